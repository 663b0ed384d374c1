//! Checkpoints: what a log says it was at a size, signed. C2SP `tlog-checkpoint`.

use std::fmt;
use std::str::FromStr;

use crate::hash::Hash;
use crate::key::{NoteSigner, VerifierKey};
use crate::note::{InvalidNote, Note, SignError, Unverified};

/// The head of a log: whose it is, how many leaves it has, and their root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, which is also that of the keys that sign for it.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// Their root.
    pub root: Hash,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is not even a note.
    #[error("the checkpoint is not a signed note")]
    Note(#[source] InvalidNote),
    /// The note does not say origin, size and root, one a line and nothing else.
    #[error("the checkpoint does not consist of origin, size and root")]
    Text,
    /// The note is not signed by a trusted key of the log it names.
    #[error("the checkpoint is not signed with a key that is trusted for its log")]
    Signature(#[source] Unverified),
}

impl Checkpoint {
    /// The signed text.
    ///
    /// # Errors
    /// [`SignError`], if the origin is not one line of printable text or nobody signs.
    pub fn sign(&self, signers: &[&NoteSigner]) -> Result<String, SignError> {
        let text = self.to_string();
        if text.parse().as_ref() != Ok(self) {
            return Err(SignError::Text(InvalidNote::Structure));
        }
        Ok(Note::sign(&text, signers)?.to_string())
    }

    /// Reads a signed checkpoint. Of `trusted`, only keys that bear the name of the log count: the key of one log does
    /// not sign for another.
    ///
    /// # Errors
    /// [`CheckpointError`] if it was not signed by the log, or is no checkpoint.
    pub fn open(note: &str, trusted: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let note: Note = note.parse().map_err(CheckpointError::Note)?;
        let checkpoint: Self = note.text().parse()?;
        note.verify(trusted.iter().filter(|key| key.name() == checkpoint.origin))
            .map_err(CheckpointError::Signature)?;
        Ok(checkpoint)
    }
}

/// The text of the note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root } = self;
        write!(f, "{origin}\n{size}\n{root}\n")
    }
}

/// Reads the text of a note. The specification lets logs add lines; ours never do, so such a text is refused rather than
/// read in part.
impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let parse = || {
            let (origin, rest) = text.split_once('\n')?;
            let (size, rest) = rest.split_once('\n')?;
            let root = rest.strip_suffix('\n')?.parse().ok()?;
            Some(Self { origin: origin.to_owned(), size: decimal(size)?, root })
        };
        parse().filter(|checkpoint| !checkpoint.origin.is_empty()).ok_or(CheckpointError::Text)
    }
}

/// A number in its one spelling: no sign, no leading zeroes.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str) -> NoteSigner {
        NoteSigner::from_seed(name, &[7; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "localhost:8000/audit/org_1".to_owned(), size: 42, root: Hash::of(b"root") }
    }

    #[test]
    fn what_was_signed_is_read() {
        let log = signer(&checkpoint().origin);
        let note = checkpoint().sign(&[&log]).unwrap();
        assert!(note.starts_with("localhost:8000/audit/org_1\n42\n"));
        assert_eq!(Checkpoint::open(&note, &[log.verifier().clone()]), Ok(checkpoint()));
        let grown = note.replace("\n42\n", "\n43\n");
        assert!(matches!(
            Checkpoint::open(&grown, &[log.verifier().clone()]),
            Err(CheckpointError::Signature(_))
        ));
    }

    #[test]
    fn a_key_of_another_log_does_not_count() {
        let other = signer("localhost:8000/audit/org_2");
        let note = checkpoint().sign(&[&other]).unwrap();
        let opened = Checkpoint::open(&note, &[other.verifier().clone()]);
        assert_eq!(opened, Err(CheckpointError::Signature(Unverified::NoKnownKey)));
    }

    #[test]
    fn a_text_has_one_spelling() {
        let text = checkpoint().to_string();
        assert_eq!(text.parse(), Ok(checkpoint()));
        for changed in [
            text.replace("\n42\n", "\n042\n"),
            text.replace("\n42\n", "\n+42\n"),
            text.replace("\n42\n", "\n42 \n"),
            text.replace("\n42\n", "\n99999999999999999999\n"),
            text.replace("localhost:8000/audit/org_1", ""),
            format!("{text}more\n"),
            text.trim_end().to_owned(),
        ] {
            assert_eq!(changed.parse::<Checkpoint>(), Err(CheckpointError::Text), "{changed:?}");
        }
    }

    #[test]
    fn an_origin_of_two_lines_is_not_signed() {
        let two = Checkpoint { origin: "a\nb".to_owned(), ..checkpoint() };
        assert!(two.sign(&[&signer("a")]).is_err());
    }
}
