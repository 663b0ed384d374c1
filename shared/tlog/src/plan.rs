//! What must be read for a root or a proof, and making it of what was read.
//!
//! RFC 6962 section 2.1.1 (`PATH`) and 2.1.2 (`PROOF`).

use std::collections::BTreeSet;

use crate::hash::Hash;
use crate::subtree::{Range, Subtree, fold};
use crate::tile::TileId;

/// Hashes to compute: each the hash of a range of leaves, as the perfect subtrees it is made of.
///
/// First ask for the [`tiles`](Plan::tiles) it needs, at most two of each tile level and so O(log n). Then [`compute`](Plan::compute).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<Vec<Subtree>>);

/// Why there is no such proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The log does not have this leaf.
    #[error("a log of {size} leaves has no leaf {index}")]
    NoSuchLeaf {
        /// The leaf that was asked for.
        index: u64,
        /// The size of the log.
        size: u64,
    },
    /// A log does not shrink.
    #[error("a log of {new} leaves did not grow from one of {old}")]
    Shrunk {
        /// The size it should have grown from.
        old: u64,
        /// The size it has.
        new: u64,
    },
}

/// A tile that a [`Plan`] needs was not given, or has too few hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tile {} of level {} is missing, or too short", .0.index, .0.level)]
pub struct MissingTile(pub TileId);

impl Plan {
    /// The root of the log when it had `size` leaves. [`Plan::compute`] gives one hash.
    #[must_use]
    pub fn root(size: u64) -> Self {
        Self(vec![Range { start: 0, end: size }.subtrees()])
    }

    /// What the log's [`Frontier`](crate::Frontier) was when it had `size` leaves, for
    /// [`Frontier::from_roots`](crate::Frontier::from_roots).
    #[must_use]
    pub fn frontier(size: u64) -> Self {
        Self(Range { start: 0, end: size }.subtrees().into_iter().map(|subtree| vec![subtree]).collect())
    }

    /// The proof that leaf number `index` is in the log of `size` leaves: from the leaf's sibling to the child of the root.
    ///
    /// # Errors
    /// [`PlanError::NoSuchLeaf`] if `index` is not below `size`.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, PlanError> {
        if index >= size {
            return Err(PlanError::NoSuchLeaf { index, size });
        }
        let mut siblings = Vec::new();
        let mut range = Range { start: 0, end: size };
        while let Some((left, right)) = range.halves() {
            let (inside, sibling) = if index < left.end { (left, right) } else { (right, left) };
            siblings.push(sibling.subtrees());
            range = inside;
        }
        siblings.reverse();
        Ok(Self(siblings))
    }

    /// The proof that the log of `new` leaves begins with the log of `old` ones. It is empty if they are the same, or if
    /// the old one was empty.
    ///
    /// # Errors
    /// [`PlanError::Shrunk`] if `old` is larger than `new`.
    pub fn consistency(old: u64, new: u64) -> Result<Self, PlanError> {
        if old > new {
            return Err(PlanError::Shrunk { old, new });
        }
        let mut hashes = Vec::new();
        let mut range = Range { start: 0, end: new };
        while old != 0 && range.end != old {
            let Some((left, right)) = range.halves() else { break };
            let (inside, sibling) = if old <= left.end { (left, right) } else { (right, left) };
            hashes.push(sibling.subtrees());
            range = inside;
        }
        // The old root itself is known to who verifies; a part of it is not.
        if range.start != 0 {
            hashes.push(range.subtrees());
        }
        hashes.reverse();
        Ok(Self(hashes))
    }

    /// The perfect subtrees whose hashes are needed.
    pub fn subtrees(&self) -> impl Iterator<Item = Subtree> {
        self.0.iter().flatten().copied()
    }

    /// The tiles that those lie in: what must be read.
    #[must_use]
    pub fn tiles(&self) -> BTreeSet<TileId> {
        self.subtrees().map(Subtree::tile).collect()
    }

    /// Computes the hashes from tiles. A tile may have more hashes than it had at the size that was planned for.
    ///
    /// # Errors
    /// [`MissingTile`] names the first tile that `tile` does not give, or that has too few hashes.
    pub fn compute<'t>(
        &self,
        mut tile: impl FnMut(TileId) -> Option<&'t [Hash]>,
    ) -> Result<Vec<Hash>, MissingTile> {
        let mut hash_of = |subtree: &Subtree| {
            let id = subtree.tile();
            tile(id).and_then(|tile| subtree.hash_in(tile)).ok_or(MissingTile(id))
        };
        self.0
            .iter()
            .map(|range| Ok(fold(&range.iter().map(&mut hash_of).collect::<Result<Vec<_>, _>>()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_proved() {
        assert_eq!(Plan::inclusion(3, 3), Err(PlanError::NoSuchLeaf { index: 3, size: 3 }));
        assert_eq!(Plan::inclusion(0, 0), Err(PlanError::NoSuchLeaf { index: 0, size: 0 }));
        assert_eq!(Plan::consistency(4, 3), Err(PlanError::Shrunk { old: 4, new: 3 }));
        let missing = Plan::root(1).compute(|_| None);
        assert_eq!(missing, Err(MissingTile(TileId { level: 0, index: 0 })));
    }

    #[test]
    fn few_tiles_are_enough() {
        for size in [1, 255, 256, 257, 65_535, 65_536, 65_537, 16_777_217, 1 << 40, u64::MAX] {
            let levels = (size.ilog2() / 8 + 1) as usize;
            for index in [0, size / 3, size / 2, size - 1] {
                assert!(
                    Plan::inclusion(index, size).unwrap().tiles().len() <= 2 * levels,
                    "{index} of {size}"
                );
                assert!(Plan::consistency(index, size).unwrap().tiles().len() <= 2 * levels);
            }
            assert!(Plan::root(size).tiles().len() <= levels);
        }
    }
}
