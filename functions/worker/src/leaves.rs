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

    /// The first and the last of them.
    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        let first = self.iter().next()?;
        let last = (first..self.size).rev().find(|leaf| self.has(*leaf))?;
        Some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_and_their_bounds() {
        let mut leaves = Leaves::of(200);
        for leaf in [3, 63, 64, 65, 130, 200, u64::MAX] {
            leaves.insert(leaf);
        }
        assert_eq!(leaves.iter().collect::<Vec<_>>(), [3, 63, 64, 65, 130]);
        assert_eq!(leaves.bounds(), Some((3, 130)));
        assert_eq!((Leaves::of(10).bounds(), Leaves::of(0).bounds()), (None, None));
    }
}
