//! Held against implementations that others wrote: what we make they accept, and what they make we accept.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::cell::Cell;
use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;
use tlog::note::Note;
use tlog::{
    Checkpoint, Frontier, Hash, NoteSigner, Plan, TileId, VerifierKey, leaf_hash, verify_consistency,
    verify_inclusion,
};
use tlog_tiles::HashReader as _;

const ORIGIN: &str = "localhost:8000/audit/org_00000000000000000000000000";

fn entry(n: u64) -> Vec<u8> {
    format!("{{\"id\":\"aud_{n}\"}}").into_bytes()
}

/// A log of ours.
struct Ours {
    tiles: BTreeMap<TileId, Vec<Hash>>,
    frontier: Frontier,
    roots: Vec<Hash>,
}

impl Ours {
    fn with(size: u64) -> Self {
        let mut log =
            Self { tiles: BTreeMap::new(), frontier: Frontier::new(), roots: vec![Hash::empty_root()] };
        for n in 0..size {
            let leaf = leaf_hash(&entry(n));
            log.tiles.entry(TileId::of_leaf(n)).or_default().push(leaf);
            for complete in log.frontier.push(leaf) {
                log.tiles.entry(complete.tile.parent().0).or_default().push(complete.root);
            }
            log.roots.push(log.frontier.root());
        }
        log
    }

    fn compute(&self, plan: &Plan) -> Vec<Hash> {
        plan.compute(|id| self.tiles.get(&id).map(Vec::as_slice)).unwrap()
    }
}

mod with_ct_merkle {
    use super::*;

    fn digest(hash: Hash) -> ct_merkle::digest::Output<Sha256> {
        (*hash.as_bytes()).into()
    }

    fn hashes(bytes: &[u8]) -> Vec<Hash> {
        Hash::split(bytes).unwrap()
    }

    #[test]
    fn roots_and_proofs_are_the_same() {
        let ours = Ours::with(600);
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for size in 1..=600 {
            theirs.push(entry(size - 1));
            let root = theirs.root();
            assert_eq!(hashes(root.as_bytes()), [ours.roots[size as usize]]);
            // All of the small ones, and then those around the edges of tiles.
            if size > 40 && !(254..=260).contains(&size) && !(511..=514).contains(&size) {
                continue;
            }
            for index in (0..size).step_by(if size > 40 { 17 } else { 1 }) {
                let made = ours.compute(&Plan::inclusion(index, size).unwrap());
                let theirs_made = theirs.prove_inclusion(index as usize);
                assert_eq!(made, hashes(theirs_made.as_bytes()), "{index} of {size}");
                verify_inclusion(
                    leaf_hash(&entry(index)),
                    index,
                    size,
                    &hashes(theirs_made.as_bytes()),
                    ours.roots[size as usize],
                )
                .unwrap();
                let digests: Vec<_> = made.iter().copied().map(digest).collect();
                root.verify_inclusion(&entry(index), index, &InclusionProof::from_digests(&digests)).unwrap();

                let old = index + 1;
                let made = ours.compute(&Plan::consistency(old, size).unwrap());
                let old_root = RootHash::<Sha256>::new(digest(ours.roots[old as usize]), old);
                let theirs_made = theirs.prove_consistency((size - old) as usize);
                verify_consistency(
                    old,
                    ours.roots[old as usize],
                    size,
                    ours.roots[size as usize],
                    &hashes(theirs_made.as_bytes()),
                )
                .unwrap();
                let digests: Vec<_> = made.iter().copied().map(digest).collect();
                root.verify_consistency(&old_root, &ConsistencyProof::from_digests(&digests)).unwrap();
            }
        }
    }
}

mod with_tlog_tiles {
    use super::*;

    fn theirs(hash: Hash) -> tlog_tiles::Hash {
        tlog_tiles::Hash(*hash.as_bytes())
    }

    fn ours(hash: &tlog_tiles::Hash) -> Hash {
        Hash::from_bytes(hash.0)
    }

    /// Gives their reader our tiles, and counts.
    struct Tiles<'l>(&'l Ours, Cell<usize>);

    impl tlog_tiles::TileReader for Tiles<'_> {
        fn height(&self) -> u8 {
            8
        }

        fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            self.1.set(self.1.get() + tiles.len());
            let read = |tile: &tlog_tiles::Tile| {
                let id = TileId { level: tile.level(), index: tile.level_index() };
                Hash::join(&self.0.tiles[&id][..tile.width() as usize])
            };
            Ok(tiles.iter().map(read).collect())
        }

        fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
    }

    #[test]
    fn their_client_reads_our_tiles() {
        let log = Ours::with(66_000);
        for size in [1, 2, 255, 256, 257, 700, 65_535, 65_536, 65_537, 66_000] {
            let root = theirs(log.roots[size as usize]);
            let tiles = Tiles(&log, Cell::new(0));
            // Holds each tile it reads against the root.
            let reader = tlog_tiles::TileHashReader::new(size, root, &tiles);
            assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), root);

            for index in [0, size / 3, size / 2, size - 1] {
                let leaf = leaf_hash(&entry(index));
                let at = tlog_tiles::stored_hash_index(0, index);
                assert_eq!(reader.read_hashes(&[at]).unwrap(), [theirs(leaf)]);
                assert_eq!(tlog_tiles::record_hash(&entry(index)), theirs(leaf));

                let made = log.compute(&Plan::inclusion(index, size).unwrap());
                let proved = tlog_tiles::prove_record(size, index, &reader).unwrap();
                assert_eq!(made, proved.iter().map(ours).collect::<Vec<_>>(), "{index} of {size}");
                let proof: Vec<_> = made.into_iter().map(theirs).collect();
                tlog_tiles::check_record(&proof, size, root, index, theirs(leaf)).unwrap();

                let old = index + 1;
                let old_root = theirs(log.roots[old as usize]);
                let made = log.compute(&Plan::consistency(old, size).unwrap());
                let proved = tlog_tiles::prove_tree(size, old, &reader).unwrap();
                let proved: Vec<_> = proved.iter().map(ours).collect();
                verify_consistency(old, ours(&old_root), size, ours(&root), &proved).unwrap();
                let proof: Vec<_> = made.into_iter().map(theirs).collect();
                tlog_tiles::check_tree(&proof, size, root, old, old_root).unwrap();
            }
            assert!(tiles.1.get() < 100, "{} tiles were read", tiles.1.get());
        }
    }

    #[test]
    fn checkpoints_are_the_same_text() {
        let log = Ours::with(300);
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 300, root: log.roots[300] };
        let read = tlog_tiles::Checkpoint::from_bytes(checkpoint.to_string().as_bytes()).unwrap();
        assert_eq!((read.origin(), read.size(), ours(read.hash())), (ORIGIN, 300, log.roots[300]));
        assert_eq!(read.extension(), "");
        let written =
            tlog_tiles::Checkpoint::new(ORIGIN, 300, theirs(log.roots[300]), "").unwrap().to_bytes();
        assert_eq!(String::from_utf8(written).unwrap().parse(), Ok(checkpoint));
    }
}

mod with_signed_note {
    use super::*;
    use signed_note::{Note as TheirNote, StandardSigner, StandardVerifier, VerifierList};

    fn keys(keys: &[&VerifierKey]) -> VerifierList {
        let verifier = |key: &&VerifierKey| -> Box<dyn signed_note::Verifier> {
            Box::new(StandardVerifier::new(&key.to_string()).unwrap())
        };
        VerifierList::new(keys.iter().map(verifier).collect())
    }

    /// Their text form of the private key that grows from this seed.
    fn their_signer(key: &VerifierKey, seed: [u8; 32]) -> StandardSigner {
        let vkey = key.to_string();
        let id = vkey.split('+').nth(1).unwrap();
        let material = Hash::from_bytes(seed);
        // One byte of signature type, then the seed, in base64.
        let bytes: Vec<u8> = std::iter::once(1).chain(*material.as_bytes()).collect();
        StandardSigner::new(&format!("PRIVATE+KEY+{}+{id}+{}", key.name(), base64(&bytes))).unwrap()
    }

    fn base64(bytes: &[u8]) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    #[test]
    fn they_verify_what_we_sign() {
        let log = Ours::with(5);
        let [old, new] = [[1; 32], [2; 32]].map(|seed| NoteSigner::from_seed(ORIGIN, &seed).unwrap());
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 5, root: log.frontier.root() };
        let note = TheirNote::from_bytes(checkpoint.sign(&[&old, &new]).unwrap().as_bytes()).unwrap();

        let (verified, unknown) = note.verify(&keys(&[old.verifier(), new.verifier()])).unwrap();
        assert_eq!((verified.len(), unknown.len()), (2, 0));
        let (verified, unknown) = note.verify(&keys(&[new.verifier()])).unwrap();
        assert_eq!((verified.len(), unknown.len()), (1, 1));
        let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        assert_eq!(*read.hash(), tlog_tiles::Hash(*log.frontier.root().as_bytes()));

        let stranger = NoteSigner::from_seed(ORIGIN, &[3; 32]).unwrap();
        assert!(note.verify(&keys(&[stranger.verifier()])).is_err());
    }

    #[test]
    fn we_verify_what_they_sign() {
        let [a, b] = [[1; 32], [2; 32]].map(|seed| NoteSigner::from_seed(ORIGIN, &seed).unwrap());
        let text = Checkpoint { origin: ORIGIN.to_owned(), size: 0, root: Hash::empty_root() }.to_string();
        let mut theirs = TheirNote::new(text.as_bytes(), &[]).unwrap();
        theirs
            .add_sigs(&[&their_signer(a.verifier(), [1; 32]), &their_signer(b.verifier(), [2; 32])])
            .unwrap();
        let theirs = String::from_utf8(theirs.to_bytes()).unwrap();

        // Ed25519 signatures are deterministic: the notes are equal to the byte.
        assert_eq!(theirs, Note::sign(&text, &[&a, &b]).unwrap().to_string());
        assert_eq!(Checkpoint::open(&theirs, &[b.verifier().clone()]).map(|c| c.size), Ok(0));
    }
}
