//! Which leaves of a log an export has: a bit for each.

/// No log is larger, or it is not what it says: this many bits fit into the function's memory.
pub(crate) const MOST: u64 = 500_000_000;

/// A set of leaves.
pub(crate) struct Leaves {
    bits: Vec<u64>,
    size: u64,
}

impl Leaves {
    /// None yet, of a log of `size` leaves.
    pub(crate) fn of(size: u64) -> Self {
        Self { bits: vec![0; usize::try_from(size.div_ceil(64)).unwrap_or(0)], size }
    }

    fn word(leaf: u64) -> (usize, u64) {
        (usize::try_from(leaf / 64).unwrap_or(usize::MAX), 1 << (leaf % 64))
    }

    pub(crate) fn insert(&mut self, leaf: u64) {
        let (word, bit) = Self::word(leaf);
        if let Some(word) = self.bits.get_mut(word).filter(|_| leaf < self.size) {
            *word |= bit;
        }
    }

    pub(crate) fn has(&self, leaf: u64) -> bool {
        let (word, bit) = Self::word(leaf);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Those that are in it, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let words = self.bits.iter().zip(0_u64..).filter(|(word, _)| **word != 0);
        words.flat_map(|(_, index)| index * 64..(index + 1) * 64).filter(|leaf| self.has(*leaf))
    }

    /// Those that are not, between the first and the last, or of the whole log.
    pub(crate) fn gaps(&self, whole: bool) -> impl Iterator<Item = u64> + '_ {
        let (start, end) = if whole {
            (0, self.size)
        } else {
            let last = (0..self.size).rev().find(|leaf| self.has(*leaf));
            self.iter().next().zip(last).unwrap_or((0, 0))
        };
        (start..end).filter(|leaf| !self.has(*leaf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_and_gaps() {
        let mut leaves = Leaves::of(200);
        for leaf in [3, 63, 64, 65, 130, 200, u64::MAX] {
            leaves.insert(leaf);
        }
        assert_eq!(leaves.iter().collect::<Vec<_>>(), [3, 63, 64, 65, 130]);
        assert_eq!(leaves.gaps(false).count(), 130 - 3 + 1 - 5);
        assert_eq!(leaves.gaps(true).count(), 195);
        assert_eq!(leaves.gaps(true).last(), Some(199));
        assert_eq!(Leaves::of(10).gaps(false).count(), 0);
        assert_eq!(Leaves::of(0).gaps(true).count(), 0);
    }
}
