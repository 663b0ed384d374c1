//! The right edge of a log: all that appending needs to know.

use crate::hash::{Hash, node_hash};
use crate::subtree::fold;
use crate::tile::{TILE_HEIGHT, TileId};

/// A log's size and the roots of the perfect subtrees it is made of, at most 64. Appending to it costs two hashes on average.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One for each bit that is set in `size`, the largest first.
    roots: Vec<Hash>,
}

/// A tile that has just become whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompleteTile {
    /// The tile.
    pub tile: TileId,
    /// Its root: the hash that now belongs at [`TileId::parent`].
    pub root: Hash,
}

/// Not what [`Frontier::to_bytes`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a frontier: its length does not fit its size")]
pub struct InvalidFrontier;

impl Frontier {
    /// The frontier of a log without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. Returns the tiles that it made whole, from level 0 upwards: one for every 256th leaf, two for every
    /// 65,536th, and so on.
    pub fn push(&mut self, leaf: Hash) -> Vec<CompleteTile> {
        let mut complete = Vec::new();
        let mut hash = leaf;
        for level in 1..=self.size.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            hash = node_hash(left, hash);
            if level % TILE_HEIGHT == 0 {
                // At most 64 / 8.
                let tile = TileId { level: (level / TILE_HEIGHT - 1) as u8, index: self.size >> level };
                complete.push(CompleteTile { tile, root: hash });
            }
        }
        self.roots.push(hash);
        self.size += 1;
        complete
    }

    /// The root of the whole log.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.roots)
    }

    /// To keep it: the size as eight bytes, the most significant first, then the hashes. At most 2,056 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.size.to_be_bytes().as_slice(), &Hash::join(&self.roots)].concat()
    }

    /// What [`Frontier::to_bytes`] was made from.
    ///
    /// # Errors
    /// [`InvalidFrontier`] if the length does not fit the size that the first bytes say.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidFrontier> {
        let (size, roots) = bytes.split_first_chunk().ok_or(InvalidFrontier)?;
        let size = u64::from_be_bytes(*size);
        Self::from_roots(size, Hash::split(roots).ok_or(InvalidFrontier)?)
    }

    /// The frontier of a log of `size` leaves, from what [`Plan::frontier`](crate::Plan::frontier) computes.
    ///
    /// # Errors
    /// [`InvalidFrontier`] if there are not as many roots as a log of that size has.
    pub fn from_roots(size: u64, roots: Vec<Hash>) -> Result<Self, InvalidFrontier> {
        if u32::try_from(roots.len()) == Ok(size.count_ones()) {
            Ok(Self { size, roots })
        } else {
            Err(InvalidFrontier)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn bytes_bring_it_back() {
        let mut frontier = Frontier::new();
        for n in 0..300_u32 {
            let bytes = frontier.to_bytes();
            assert_eq!(Frontier::from_bytes(&bytes), Ok(frontier.clone()));
            assert_eq!(Frontier::from_bytes(&bytes[1..]), Err(InvalidFrontier));
            assert_eq!(Frontier::from_bytes(&[bytes.as_slice(), &[0; 32]].concat()), Err(InvalidFrontier));
            frontier.push(leaf_hash(&n.to_be_bytes()));
        }
        assert_eq!(Frontier::from_bytes(&[]), Err(InvalidFrontier));
    }

    #[test]
    fn tiles_bring_it_back() {
        let mut frontier = Frontier::new();
        let mut tiles = std::collections::BTreeMap::<TileId, Vec<Hash>>::new();
        for n in 0..600_u32 {
            let plan = crate::Plan::frontier(frontier.size());
            let roots = plan.compute(|id| tiles.get(&id).map(Vec::as_slice)).unwrap();
            assert_eq!(Frontier::from_roots(frontier.size(), roots), Ok(frontier.clone()));
            assert_eq!(Frontier::from_roots(n.into(), vec![Hash::empty_root(); 11]), Err(InvalidFrontier));
            let leaf = leaf_hash(&n.to_be_bytes());
            tiles.entry(TileId::of_leaf(n.into())).or_default().push(leaf);
            for complete in frontier.push(leaf) {
                tiles.entry(complete.tile.parent().0).or_default().push(complete.root);
            }
        }
    }

    #[test]
    fn whole_tiles_are_told() {
        let mut frontier = Frontier::new();
        let mut told = Vec::new();
        for n in 0..65_536_u32 {
            told.extend(frontier.push(leaf_hash(&n.to_be_bytes())));
        }
        assert_eq!(told.len(), 257);
        assert_eq!(told.first().map(|c| c.tile), Some(TileId { level: 0, index: 0 }));
        assert_eq!(told[1].tile.parent(), (TileId { level: 1, index: 0 }, 1));
        let last = CompleteTile { tile: TileId { level: 1, index: 0 }, root: frontier.root() };
        assert_eq!(told.last(), Some(&last));
    }
}
