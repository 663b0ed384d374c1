//! Tiles: 256 hashes of one level side by side, and with them the seven levels above, which are computed.
//!
//! C2SP `tlog-tiles`. Level 0 holds the hashes of leaves; every hash of a level above is the root of a whole tile below. A
//! tile on the right edge is partial and grows until it is whole; what it has already never changes.

use std::collections::BTreeSet;

use crate::hash::Hash;
use crate::subtree::{Subtree, fold};

/// How many levels of the tree a tile covers.
pub const TILE_HEIGHT: u32 = 8;
/// How many hashes a whole tile has.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// Names a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for the hashes of leaves. There is none above 7.
    pub level: u8,
    /// Which one it is on its level.
    pub index: u64,
}

impl TileId {
    /// The tile that holds the hash of this leaf.
    #[must_use]
    pub fn of_leaf(index: u64) -> Self {
        Self { level: 0, index: index / TILE_WIDTH }
    }

    /// Where hash number `index` of tile level `level` lies: its tile, and its place there.
    #[must_use]
    pub fn of_hash(level: u8, index: u64) -> (Self, usize) {
        (Self { level, index: index / TILE_WIDTH }, place(index))
    }

    /// How many hashes the tile has in a log of `size` leaves: at most [`TILE_WIDTH`], and 0 if there is no such tile.
    #[must_use]
    pub fn width(self, size: u64) -> usize {
        let before = self.index.checked_mul(TILE_WIDTH);
        let width = before.map_or(0, |before| hashes_on(self.level, size).saturating_sub(before));
        width.min(TILE_WIDTH) as usize
    }

    /// The tiles that prove leaves of a log of `size` to its root: the leaves' own; of level 0 also the last one if it is
    /// partial, as the root is made of it; and all tiles above.
    ///
    /// Those are 32 bytes for each 255 leaves of the log and 32 for each leaf in a tile that is named. Leaves that
    /// the log does not have are left out.
    pub fn proving(size: u64, leaves: impl IntoIterator<Item = u64>) -> BTreeSet<Self> {
        let edge = (!size.is_multiple_of(TILE_WIDTH)).then_some(size);
        let mut tiles: BTreeSet<Self> =
            leaves.into_iter().filter(|leaf| *leaf < size).chain(edge).map(Self::of_leaf).collect();
        tiles.extend(Self::above_leaves(size));
        tiles
    }

    /// All tiles of level 1 and above in a log of `size` leaves, level by level from left to right.
    pub fn above_leaves(size: u64) -> impl Iterator<Item = Self> {
        (1..=7).flat_map(move |level| {
            (0..hashes_on(level, size).div_ceil(TILE_WIDTH)).map(move |index| Self { level, index })
        })
    }

    /// Where the root of this tile lies once it is whole: a place in a tile one level up.
    #[must_use]
    pub fn parent(self) -> (Self, usize) {
        Self::of_hash(self.level + 1, self.index)
    }
}

/// How many hashes there are on a tile level of a log of `size` leaves.
fn hashes_on(level: u8, size: u64) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0)
}

fn place(index: u64) -> usize {
    (index % TILE_WIDTH) as usize
}

impl Subtree {
    /// The tile that this subtree's hash is in, or is computed from.
    #[must_use]
    pub fn tile(self) -> TileId {
        self.first_hash().0
    }

    /// Its tile, and the place of the first of the 2^(level mod 8) hashes there that lie below it.
    fn first_hash(self) -> (TileId, usize) {
        let inside = self.level % TILE_HEIGHT;
        // At most 63 / 8.
        let level = (self.level / TILE_HEIGHT) as u8;
        TileId::of_hash(level, self.index << inside)
    }

    /// Its hash, from the hashes of [`Subtree::tile`]; `None` if they do not reach far enough.
    pub(crate) fn hash_in(self, tile: &[Hash]) -> Option<Hash> {
        let (_, first) = self.first_hash();
        let count = 1_usize << (self.level % TILE_HEIGHT);
        tile.get(first..first + count).map(perfect)
    }
}

/// The root of a perfect subtree, from its 2^n hashes.
pub(crate) fn perfect(hashes: &[Hash]) -> Hash {
    match hashes {
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            if left.is_empty() { Hash::empty_root() } else { fold(&[perfect(left), perfect(right)]) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(level: u8, index: u64) -> TileId {
        TileId { level, index }
    }

    #[test]
    fn widths() {
        for (id, size, width) in [
            (tile(0, 0), 0, 0),
            (tile(0, 0), 1, 1),
            (tile(0, 0), 256, 256),
            (tile(0, 1), 256, 0),
            (tile(0, 1), 300, 44),
            (tile(1, 0), 255, 0),
            (tile(1, 0), 70_000, 256),
            (tile(1, 1), 70_000, 17),
            (tile(2, 0), 70_000, 1),
            (tile(7, 0), u64::MAX, 255),
            (tile(8, 0), u64::MAX, 0),
            (tile(255, u64::MAX), u64::MAX, 0),
            (tile(0, u64::MAX), u64::MAX, 0),
        ] {
            assert_eq!(id.width(size), width, "{id:?} of {size}");
        }
    }

    #[test]
    fn what_proves_some_leaves() {
        let tiles = |size, leaves: &[u64]| {
            TileId::proving(size, leaves.iter().copied()).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(tiles(0, &[0]), []);
        assert_eq!(tiles(200, &[]), [tile(0, 0)]);
        assert_eq!(tiles(256, &[]), [tile(1, 0)]);
        assert_eq!(tiles(1_000, &[3, 300, 301, 2_000]), [tile(0, 0), tile(0, 1), tile(0, 3), tile(1, 0)]);
        assert_eq!(tiles(65_536, &[]), [tile(1, 0), tile(2, 0)]);
    }

    #[test]
    fn a_subtree_lies_in_one_tile() {
        assert_eq!(Subtree { level: 0, index: 256 }.tile(), tile(0, 1));
        assert_eq!(Subtree { level: 7, index: 1 }.tile(), tile(0, 0));
        assert_eq!(Subtree { level: 8, index: 1 }.tile(), tile(1, 0));
        assert_eq!(Subtree { level: 63, index: 0 }.tile(), tile(7, 0));
        assert_eq!(Subtree { level: 0, index: 3 }.hash_in(&[]), None);
    }
}
