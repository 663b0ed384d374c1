//! Which leaves of a log have been met: a bit for each.

/// A set of leaves of a log of a known size. Leaves beyond it are never in it.
#[derive(Debug, Clone)]
pub struct LeafSet {
    bits: Vec<u64>,
    size: u64,
}

impl LeafSet {
    /// An empty one, for a log of `size` leaves: one bit of memory each.
    #[must_use]
    pub fn of(size: u64) -> Self {
        Self { bits: vec![0; usize::try_from(size.div_ceil(64)).unwrap_or(0)], size }
    }

    /// How many leaves the log has.
    #[must_use]
    pub fn log_size(&self) -> u64 {
        self.size
    }

    fn place(leaf: u64) -> (usize, u64) {
        (usize::try_from(leaf / 64).unwrap_or(usize::MAX), 1 << (leaf % 64))
    }

    /// Puts a leaf in; whether it was in it before.
    pub fn insert(&mut self, leaf: u64) -> bool {
        let (word, bit) = Self::place(leaf);
        let word = self.bits.get_mut(word).filter(|_| leaf < self.size);
        word.is_some_and(|word| {
            let before = *word & bit != 0;
            *word |= bit;
            before
        })
    }

    /// Whether a leaf is in it.
    #[must_use]
    pub fn contains(&self, leaf: u64) -> bool {
        let (word, bit) = Self::place(leaf);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Those that are in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let words = self.bits.iter().zip(0_u64..).filter(|(word, _)| **word != 0);
        words.flat_map(|(_, index)| index * 64..(index + 1) * 64).filter(|leaf| self.contains(*leaf))
    }

    /// The first and the last of them below `end`.
    #[must_use]
    pub fn bounds_below(&self, end: u64) -> Option<(u64, u64)> {
        let first = self.iter().next().filter(|first| *first < end)?;
        let last = (first..end.min(self.size)).rev().find(|leaf| self.contains(*leaf))?;
        Some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_go_in_once() {
        let mut leaves = LeafSet::of(200);
        for leaf in [3, 63, 64, 65, 130] {
            assert!(!leaves.insert(leaf));
            assert!(leaves.insert(leaf));
        }
        for leaf in [200, 255, u64::MAX] {
            assert!(!leaves.insert(leaf) && !leaves.contains(leaf));
        }
        assert_eq!(leaves.iter().collect::<Vec<_>>(), [3, 63, 64, 65, 130]);
    }

    #[test]
    fn the_first_and_the_last() {
        let mut leaves = LeafSet::of(200);
        assert_eq!(leaves.bounds_below(200), None);
        for leaf in [3, 64, 199] {
            leaves.insert(leaf);
        }
        assert_eq!(leaves.bounds_below(200), Some((3, 199)));
        assert_eq!(leaves.bounds_below(u64::MAX), Some((3, 199)));
        assert_eq!(leaves.bounds_below(199), Some((3, 64)));
        assert_eq!(leaves.bounds_below(4), Some((3, 3)));
        assert_eq!(leaves.bounds_below(3), None);
        assert_eq!(LeafSet::of(0).bounds_below(1), None);
    }
}
