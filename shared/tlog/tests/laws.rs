//! The published vectors, and laws that hold for logs of any size.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use tlog::{
    ConsistencyError, Frontier, Hash, InclusionError, Plan, TileId, leaf_hash, node_hash, verify_consistency,
    verify_inclusion,
};

const LARGEST: u64 = 70_000;

/// A log with a tile of the third level in it. Tiles of the smaller logs it grew from are beginnings of its own.
struct Log {
    leaves: Vec<Hash>,
    /// The root at each size.
    roots: Vec<Hash>,
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl Log {
    fn of(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut log = Self { leaves: Vec::new(), roots: vec![Hash::empty_root()], tiles: BTreeMap::new() };
        let mut frontier = Frontier::new();
        for leaf in leaves {
            log.tiles.entry(TileId::of_leaf(frontier.size())).or_default().push(leaf);
            for complete in frontier.push(leaf) {
                let (tile, place) = complete.tile.parent();
                let hashes = log.tiles.entry(tile).or_default();
                assert_eq!(hashes.len(), place);
                hashes.push(complete.root);
            }
            log.leaves.push(leaf);
            log.roots.push(frontier.root());
        }
        log
    }

    /// Only the first `size` leaves can be read, as it was then.
    fn compute(&self, size: u64, plan: &Plan) -> Vec<Hash> {
        plan.compute(|id| self.tiles.get(&id).map(|hashes| &hashes[..id.width(size)])).unwrap()
    }

    fn root(&self, size: u64) -> Hash {
        self.roots[size as usize]
    }

    fn leaf(&self, index: u64) -> Hash {
        self.leaves[index as usize]
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        self.compute(size, &Plan::inclusion(index, size).unwrap())
    }

    fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        self.compute(new, &Plan::consistency(old, new).unwrap())
    }
}

static LOG: LazyLock<Log> = LazyLock::new(|| Log::of((0..LARGEST).map(|n| leaf_hash(&n.to_be_bytes()))));

/// `MTH` of RFC 6962 section 2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(mth(left), mth(right))
        }
    }
}

fn hex(hash: Hash) -> String {
    hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The eight entries that implementations of Certificate Transparency test with.
const ENTRIES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

#[test]
fn the_published_roots() {
    let log = Log::of(ENTRIES.map(leaf_hash));
    let roots: Vec<_> = log.roots.iter().copied().map(hex).collect();
    assert_eq!(
        roots,
        [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
    );
}

#[test]
fn the_published_proofs() {
    let log = Log::of(ENTRIES.map(leaf_hash));
    let inclusion = |index, size| log.inclusion(index, size).into_iter().map(hex).collect::<Vec<_>>();
    assert_eq!(inclusion(0, 1), Vec::<String>::new());
    assert_eq!(
        inclusion(0, 8),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    assert_eq!(
        inclusion(5, 8),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(inclusion(2, 3), ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]);
    let consistency = |old, new| log.consistency(old, new).into_iter().map(hex).collect::<Vec<_>>();
    assert_eq!(consistency(1, 1), Vec::<String>::new());
    assert_eq!(
        consistency(6, 8),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

#[test]
fn every_proof_of_small_logs() {
    for size in 1..=70 {
        assert_eq!(mth(&LOG.leaves[..size as usize]), LOG.root(size));
        for other in 0..=size {
            let proof = LOG.consistency(other, size);
            assert_eq!(verify_consistency(other, LOG.root(other), size, LOG.root(size), &proof), Ok(()));
            if other < size {
                let proof = LOG.inclusion(other, size);
                assert_eq!(verify_inclusion(LOG.leaf(other), other, size, &proof, LOG.root(size)), Ok(()));
            }
        }
    }
}

/// The same hash with one of its bits turned.
fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// Sizes near the edges of tiles as often as any others, and two numbers up to the size.
fn size_and_two() -> impl Strategy<Value = (u64, u64, u64)> {
    let edges = (0_u64..=273, -3_i64..=3)
        .prop_map(|(tile, off)| (tile * 256).saturating_add_signed(off).clamp(1, LARGEST));
    prop_oneof![1..=LARGEST, edges.clone(), Just(65_536), Just(65_537)]
        .prop_flat_map(move |size| (Just(size), 0..size, prop_oneof![0..=size, edges.clone()]))
        .prop_map(|(size, index, old)| (size, index, old.min(size)))
}

// Those that hash a log anew each time.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn roots_are_as_defined(size in 1..=LARGEST) {
        prop_assert_eq!(mth(&LOG.leaves[..size as usize]), LOG.root(size));
        prop_assert_eq!(LOG.compute(size, &Plan::root(size)), [LOG.root(size)]);
    }

    #[test]
    fn appending_goes_on_from_what_was_kept(size in 0..LARGEST - 300, more in 0_u64..300) {
        let mut frontier = Frontier::new();
        for leaf in &LOG.leaves[..size as usize] {
            frontier.push(*leaf);
        }
        let mut frontier = Frontier::from_bytes(&frontier.to_bytes()).unwrap();
        for index in size..size + more {
            frontier.push(LOG.leaf(index));
        }
        prop_assert_eq!((frontier.size(), frontier.root()), (size + more, LOG.root(size + more)));
    }
}

proptest! {
    #[test]
    fn inclusion_proofs_hold_and_nothing_near_them(
        (size, index, other) in size_and_two(), bit in 0_usize..256, at in any::<prop::sample::Index>(),
    ) {
        let (leaf, root, mut proof) = (LOG.leaf(index), LOG.root(size), LOG.inclusion(index, size));
        prop_assert_eq!(verify_inclusion(leaf, index, size, &proof, root), Ok(()));
        prop_assert!(verify_inclusion(flipped(leaf, bit), index, size, &proof, root).is_err());
        prop_assert!(verify_inclusion(leaf, index, size, &proof, flipped(root, bit)).is_err());
        if other != index {
            prop_assert!(verify_inclusion(leaf, other, size, &proof, root).is_err());
        }
        prop_assert_eq!(verify_inclusion(leaf, size, size, &proof, root),
            Err(InclusionError::NoSuchLeaf { index: size, size }));
        if !proof.is_empty() {
            prop_assert_eq!(verify_inclusion(leaf, index, size, &proof[1..], root), Err(InclusionError::Length));
            let at = at.index(proof.len());
            proof[at] = flipped(proof[at], bit);
            prop_assert_eq!(verify_inclusion(leaf, index, size, &proof, root), Err(InclusionError::Root));
        }
        proof.push(root);
        prop_assert!(verify_inclusion(leaf, index, size, &proof, root).is_err());
    }

    #[test]
    fn consistency_proofs_hold_and_nothing_near_them(
        (new, _, old) in size_and_two(), bit in 0_usize..256, at in any::<prop::sample::Index>(),
    ) {
        let (old_root, new_root, mut proof) = (LOG.root(old), LOG.root(new), LOG.consistency(old, new));
        prop_assert_eq!(verify_consistency(old, old_root, new, new_root, &proof), Ok(()));
        prop_assert!(verify_consistency(old, flipped(old_root, bit), new, new_root, &proof).is_err());
        if old > 0 {
            prop_assert!(verify_consistency(old, old_root, new, flipped(new_root, bit), &proof).is_err());
        }
        if old < new {
            prop_assert_eq!(verify_consistency(new, new_root, old, old_root, &proof),
                Err(ConsistencyError::Shrunk { old: new, new: old }));
        }
        if !proof.is_empty() {
            prop_assert!(verify_consistency(old, old_root, new, new_root, &proof[1..]).is_err());
            let at = at.index(proof.len());
            proof[at] = flipped(proof[at], bit);
            prop_assert!(verify_consistency(old, old_root, new, new_root, &proof).is_err());
        }
        proof.push(new_root);
        prop_assert!(verify_consistency(old, old_root, new, new_root, &proof).is_err());
    }
}
