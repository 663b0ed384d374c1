//! Perfect subtrees: what ranges of leaves are made of.

use crate::hash::{Hash, node_hash};

/// A perfect subtree: 2^level leaves, the first of which is number `index` · 2^level. Its hash never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// How many levels its root is above the leaves.
    pub level: u32,
    /// Which one it is on its level.
    pub index: u64,
}

/// The leaves from `start` to before `end`, hashed as RFC 6962 does: `MTH(D[start:end])`. `start` is a multiple of a power
/// of two that is no smaller than the range, as it is for every range that proofs and roots are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Range {
    pub(crate) fn len(self) -> u64 {
        self.end - self.start
    }

    /// Where RFC 6962 splits the range: its left part has the largest power of two that is smaller than its length.
    /// `None` for a single leaf, and for nothing.
    pub(crate) fn halves(self) -> Option<(Self, Self)> {
        let last = self.len().checked_sub(1).filter(|last| *last > 0)?;
        let middle = self.start + (1 << last.ilog2());
        Some((Self { start: self.start, end: middle }, Self { start: middle, end: self.end }))
    }

    /// The perfect subtrees it is made of, the largest first.
    pub(crate) fn subtrees(self) -> Vec<Subtree> {
        let mut subtrees = Vec::new();
        let mut start = self.start;
        while let Some(level) = (self.end - start).checked_ilog2() {
            subtrees.push(Subtree { level, index: start >> level });
            start += 1 << level;
        }
        subtrees
    }
}

/// The hash of a range from the hashes of its [`Range::subtrees`].
pub(crate) fn fold(subtrees: &[Hash]) -> Hash {
    subtrees
        .iter()
        .copied()
        .rev()
        .reduce(|right, left| node_hash(left, right))
        .unwrap_or_else(Hash::empty_root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_split_as_the_rfc_says() {
        let halves = |start, end| Range { start, end }.halves().map(|(left, right)| (left.end, right.start));
        assert_eq!(halves(0, 0), None);
        assert_eq!(halves(4, 5), None);
        assert_eq!(halves(0, 2), Some((1, 1)));
        assert_eq!(halves(0, 8), Some((4, 4)));
        assert_eq!(halves(0, 9), Some((8, 8)));
        assert_eq!(halves(8, 15), Some((12, 12)));
        assert_eq!(halves(0, u64::MAX), Some((1 << 63, 1 << 63)));
    }

    #[test]
    fn a_range_is_made_of_perfect_subtrees() {
        let subtrees = |start, end| {
            Range { start, end }.subtrees().iter().map(|s| (s.level, s.index)).collect::<Vec<_>>()
        };
        assert_eq!(subtrees(0, 0), []);
        assert_eq!(subtrees(0, 7), [(2, 0), (1, 2), (0, 6)]);
        assert_eq!(subtrees(8, 15), [(2, 2), (1, 6), (0, 14)]);
        assert_eq!(subtrees(0, u64::MAX).len(), 64);
    }
}
