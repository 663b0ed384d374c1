//! A proof that travels: that an entry is in a log, in one text that is checked offline. C2SP `tlog-proof`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, CheckpointError, decimal};
use crate::hash::{Hash, leaf_hash};
use crate::key::VerifierKey;
use crate::verify::{InclusionError, verify_inclusion};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// As many as a log of 2^64 leaves asks for.
const MAX_HASHES: usize = 64;

/// An inclusion proof with the checkpoint it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What belongs to the entry but is not proved. Not to be trusted by itself.
    pub extra: Option<Vec<u8>>,
    /// The number of the entry in the log, from 0.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling to the root's child.
    pub hashes: Vec<Hash>,
    /// The checkpoint: a signed note.
    pub checkpoint: String,
}

/// Not a proof: which line cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// It does not begin with the name of the format.
    #[error("a proof begins with the line `c2sp.org/tlog-proof@v1`")]
    FirstLine,
    /// `extra` is not followed by base64.
    #[error("the proof's `extra` line cannot be read")]
    Extra,
    /// There is no `index` line, or no number in it.
    #[error("the proof's `index` line cannot be read")]
    Index,
    /// A line is not a hash, or there are too many.
    #[error("the proof's hashes cannot be read")]
    Hashes,
    /// No blank line with a checkpoint after it.
    #[error("the proof has no checkpoint")]
    Checkpoint,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The checkpoint is not that of a log that is trusted.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not where the proof says: another entry, or a false proof.
    #[error("the entry is not in the log at the place the proof names")]
    Inclusion(#[source] InclusionError),
}

impl Proof {
    /// Checks that these are the bytes of an entry of a log that one of the `trusted` keys signs for. Returns that log's
    /// checkpoint.
    ///
    /// # Errors
    /// [`ProofError`] if the signature or the inclusion does not hold.
    pub fn verify(&self, entry: &[u8], trusted: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, trusted)?;
        verify_inclusion(leaf_hash(entry), self.index, checkpoint.size, &self.hashes, checkpoint.root)
            .map_err(ProofError::Inclusion)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Proof {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(InvalidProof::Checkpoint)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(InvalidProof::FirstLine);
        }
        let extra = lines.next_if(|line| line.starts_with("extra")).map(|line| {
            let base64 = line.strip_prefix("extra ").filter(|base64| !base64.is_empty());
            base64.and_then(|base64| STANDARD.decode(base64).ok()).ok_or(InvalidProof::Extra)
        });
        let extra = extra.transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(InvalidProof::Index)?;
        let hashes: Vec<Hash> =
            lines.map(str::parse).collect::<Result<_, _>>().map_err(|_| InvalidProof::Hashes)?;
        if hashes.len() > MAX_HASHES {
            return Err(InvalidProof::Hashes);
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::node_hash;
    use crate::key::NoteSigner;

    /// A log of the entries `one` and `two`, and the proof of the second.
    fn proof() -> (Proof, VerifierKey) {
        let log = NoteSigner::from_seed("example.com/log", &[7; 32]).unwrap();
        let root = node_hash(leaf_hash(b"one"), leaf_hash(b"two"));
        let checkpoint =
            Checkpoint { origin: "example.com/log".to_owned(), size: 2, root }.sign(&[&log]).unwrap();
        let proof = Proof { extra: None, index: 1, hashes: vec![leaf_hash(b"one")], checkpoint };
        (proof, log.verifier().clone())
    }

    #[test]
    fn a_proof_holds_for_its_entry_alone() {
        let (proof, key) = proof();
        let keys = [key];
        assert_eq!(proof.verify(b"two", &keys).map(|checkpoint| checkpoint.size), Ok(2));
        assert_eq!(proof.verify(b"one", &keys), Err(ProofError::Inclusion(InclusionError::Root)));
        assert!(matches!(proof.verify(b"two", &[]), Err(ProofError::Checkpoint(_))));
    }

    #[test]
    fn text_brings_it_back() {
        let (bare, _) = proof();
        let with_extra = Proof { extra: Some(b"{}".to_vec()), ..bare.clone() };
        let only_leaf = Proof { index: 0, hashes: vec![], ..bare.clone() };
        for proof in [bare, with_extra, only_leaf] {
            assert_eq!(proof.to_string().parse(), Ok(proof));
        }
    }

    #[test]
    fn what_is_no_proof() {
        let (proof, _) = proof();
        let text = Proof { extra: Some(b"{}".to_vec()), ..proof }.to_string();
        for (from, to, error) in [
            ("@v1", "@v2", InvalidProof::FirstLine),
            ("extra e30=", "extra e30", InvalidProof::Extra),
            ("extra e30=", "extra ", InvalidProof::Extra),
            ("extra e30=\n", "extra e30=\nextra e30=\n", InvalidProof::Index),
            ("index 1", "index 01", InvalidProof::Index),
            ("index 1\n", "", InvalidProof::Index),
            ("=\n\n", "\n\n", InvalidProof::Hashes),
            ("=\n\n", "=\n", InvalidProof::Checkpoint),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let parsed = changed.parse::<Proof>();
            // Without its blank line, the head reaches to that of the checkpoint.
            let expected = if error == InvalidProof::Checkpoint { InvalidProof::Hashes } else { error };
            assert_eq!(parsed, Err(expected), "{from}");
        }
        assert_eq!("".parse::<Proof>(), Err(InvalidProof::Checkpoint));
        assert_eq!("c2sp.org/tlog-proof@v1\nindex 0\n".parse::<Proof>(), Err(InvalidProof::Checkpoint));
    }
}
