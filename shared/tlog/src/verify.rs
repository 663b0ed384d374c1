//! Checking proofs. The algorithms are RFC 9162's, sections 2.1.3.2 and 2.1.4.2.

use crate::hash::{Hash, node_hash};

/// Why an inclusion proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// The log has no such leaf.
    #[error("the log has {size} leaves, and none with the number {index}")]
    NoSuchLeaf {
        /// The number the leaf is said to have.
        index: u64,
        /// The size of the log.
        size: u64,
    },
    /// The proof has more or fewer hashes than the place of the leaf asks for.
    #[error("the proof does not have the right number of hashes")]
    Length,
    /// The proof leads to another root: leaf, number, proof or root is wrong.
    #[error("the proof does not lead from the leaf to the root")]
    Root,
}

/// Why a consistency proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyError {
    /// The newer log is smaller.
    #[error("the log has shrunk from {old} to {new} leaves")]
    Shrunk {
        /// The size it had.
        old: u64,
        /// The size it has.
        new: u64,
    },
    /// The proof has more or fewer hashes than the sizes ask for.
    #[error("the proof does not have the right number of hashes")]
    Length,
    /// The proof leads to another old root.
    #[error("the proof does not lead to the old root")]
    OldRoot,
    /// The proof leads to another new root.
    #[error("the proof does not lead to the new root")]
    NewRoot,
}

/// Where a proof is on its way up: the number of a node on its level, and of the last node there.
struct Climb {
    node: u64,
    last: u64,
}

impl Climb {
    fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    fn is_odd(&self) -> bool {
        self.node & 1 == 1
    }

    /// Whether the next hash of the proof stands to the left. If so, moves past the levels on which the node has no sibling.
    fn sibling_is_left(&mut self) -> bool {
        let left = self.is_odd() || self.node == self.last;
        if left {
            while !self.is_odd() && self.node != 0 {
                self.up();
            }
        }
        left
    }
}

/// Checks that `leaf` is leaf number `index` of the log of `size` leaves whose root is `root`.
///
/// # Errors
/// [`InclusionError`] if the proof does not show that.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: Hash,
) -> Result<(), InclusionError> {
    if index >= size {
        return Err(InclusionError::NoSuchLeaf { index, size });
    }
    let mut climb = Climb { node: index, last: size - 1 };
    let mut hash = leaf;
    for sibling in proof {
        if climb.last == 0 {
            return Err(InclusionError::Length);
        }
        hash = if climb.sibling_is_left() { node_hash(*sibling, hash) } else { node_hash(hash, *sibling) };
        climb.up();
    }
    if climb.last != 0 {
        return Err(InclusionError::Length);
    }
    if hash == root { Ok(()) } else { Err(InclusionError::Root) }
}

/// Checks that the log of `new` leaves with the root `new_root` begins with the log of `old` leaves with the root `old_root`.
///
/// # Errors
/// [`ConsistencyError`] if the proof does not show that.
pub fn verify_consistency(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), ConsistencyError> {
    if old > new {
        return Err(ConsistencyError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        let known_old = if old == 0 { Hash::empty_root() } else { new_root };
        return match proof {
            [_, ..] => Err(ConsistencyError::Length),
            [] if old_root != known_old => Err(ConsistencyError::OldRoot),
            [] if new == 0 && new_root != known_old => Err(ConsistencyError::NewRoot),
            [] => Ok(()),
        };
    }
    // A whole power of two is a node of the new tree, so the proof leaves it out.
    let (start, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        let (start, rest) = proof.split_first().ok_or(ConsistencyError::Length)?;
        (*start, rest)
    };
    let mut climb = Climb { node: old - 1, last: new - 1 };
    while climb.is_odd() {
        climb.up();
    }
    let (mut from_old, mut from_new) = (start, start);
    for sibling in rest {
        if climb.last == 0 {
            return Err(ConsistencyError::Length);
        }
        if climb.sibling_is_left() {
            from_old = node_hash(*sibling, from_old);
            from_new = node_hash(*sibling, from_new);
        } else {
            from_new = node_hash(from_new, *sibling);
        }
        climb.up();
    }
    if climb.last != 0 {
        Err(ConsistencyError::Length)
    } else if from_old != old_root {
        Err(ConsistencyError::OldRoot)
    } else if from_new != new_root {
        Err(ConsistencyError::NewRoot)
    } else {
        Ok(())
    }
}
