//! Tiles from somebody who is not trusted, held against a root that is.

use std::collections::BTreeMap;

use crate::hash::Hash;
use crate::plan::{MissingTile, Plan};
use crate::tile::{TILE_WIDTH, TileId, perfect};

/// Some tiles of a log of a known size, not yet believed.
#[derive(Debug, Clone)]
pub struct TileSet {
    size: u64,
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

/// Why tiles are not those of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// The log has no such tile, or it has another number of hashes at that size.
    #[error("tile {} of level {} has {found} hashes instead of {expected}", .id.index, .id.level)]
    Width {
        /// The tile.
        id: TileId,
        /// How many hashes it was given with.
        found: usize,
        /// How many it has, 0 if there is no such tile.
        expected: usize,
    },
    /// The tile was given twice.
    #[error("tile {} of level {} is there twice", .0.index, .0.level)]
    Twice(TileId),
    /// A tile without which the root cannot be reached.
    #[error(transparent)]
    Missing(#[from] MissingTile),
    /// The tile's own root is not what the tile above it says.
    #[error("tile {} of level {} does not fit the tile above it", .0.index, .0.level)]
    Changed(TileId),
    /// The tiles make another root. Which of them is to blame cannot be told.
    #[error("the tiles do not make the signed root")]
    Root,
}

impl TileSet {
    /// No tiles yet, of a log of `size` leaves.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, tiles: BTreeMap::new() }
    }

    /// Adds a tile, which must have just the hashes that it has at the log's size.
    ///
    /// # Errors
    /// [`TileError::Width`] or [`TileError::Twice`].
    pub fn insert(&mut self, id: TileId, hashes: Vec<Hash>) -> Result<(), TileError> {
        let (found, expected) = (hashes.len(), id.width(self.size));
        if found != expected || found == 0 {
            return Err(TileError::Width { id, found, expected });
        }
        match self.tiles.insert(id, hashes) {
            None => Ok(()),
            Some(_) => Err(TileError::Twice(id)),
        }
    }

    /// Holds every hash of every tile against `root`.
    ///
    /// A partial tile lies on the right edge: each of its hashes goes into the root. A whole tile's root is a hash of the
    /// tile above. So nothing is left unchecked, provided that the tiles are there which [`TileId::proving`] names.
    ///
    /// # Errors
    /// [`TileError`] says what is wrong, and with which tile if that can be told.
    pub fn authenticate(self, root: Hash) -> Result<AuthenticTiles, TileError> {
        for id in TileId::above_leaves(self.size) {
            if !self.tiles.contains_key(&id) {
                return Err(MissingTile(id).into());
            }
        }
        for (id, hashes) in &self.tiles {
            let (parent, place) = id.parent();
            // Partial tiles have no place above.
            if hashes.len() as u64 == TILE_WIDTH
                && self.tiles.get(&parent).and_then(|hashes| hashes.get(place)) != Some(&perfect(hashes))
            {
                return Err(TileError::Changed(*id));
            }
        }
        let tiles = AuthenticTiles(self);
        if tiles.root(tiles.size())? == root { Ok(tiles) } else { Err(TileError::Root) }
    }
}

/// Tiles that belong to the root they were held against.
#[derive(Debug, Clone)]
pub struct AuthenticTiles(TileSet);

impl AuthenticTiles {
    /// How many leaves the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    fn tile(&self, id: TileId) -> Option<&[Hash]> {
        self.0.tiles.get(&id).map(Vec::as_slice)
    }

    /// The hash of a leaf, if its tile is there.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        let (tile, place) = TileId::of_hash(0, index);
        self.tile(tile)?.get(place).copied()
    }

    /// The first leaf with this hash, in the tiles that are there. Looks through all of them.
    #[must_use]
    pub fn find_leaf(&self, hash: Hash) -> Option<u64> {
        self.0.tiles.iter().take_while(|(id, _)| id.level == 0).find_map(|(id, hashes)| {
            let place = hashes.iter().position(|leaf| *leaf == hash)?;
            Some(id.index * TILE_WIDTH + place as u64)
        })
    }

    /// The root that the log had at a size it has passed, which shows whether an older root is of this log.
    ///
    /// # Errors
    /// [`MissingTile`] if a tile that goes into it is not there.
    pub fn root(&self, size: u64) -> Result<Hash, MissingTile> {
        let hashes = self.compute(&Plan::root(size))?;
        Ok(hashes.first().copied().unwrap_or_else(Hash::empty_root))
    }

    /// Computes what was planned, for example a proof.
    ///
    /// # Errors
    /// [`MissingTile`] if a tile that goes into it is not there.
    pub fn compute(&self, plan: &Plan) -> Result<Vec<Hash>, MissingTile> {
        plan.compute(|id| self.tile(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::Frontier;
    use crate::hash::leaf_hash;

    /// All tiles of a log of `size` leaves, and its root.
    fn log(size: u64) -> (BTreeMap<TileId, Vec<Hash>>, Hash) {
        let mut tiles = BTreeMap::<TileId, Vec<Hash>>::new();
        let mut frontier = Frontier::new();
        for n in 0..size {
            let leaf = leaf_hash(&n.to_be_bytes());
            tiles.entry(TileId::of_leaf(n)).or_default().push(leaf);
            for complete in frontier.push(leaf) {
                tiles.entry(complete.tile.parent().0).or_default().push(complete.root);
            }
        }
        (tiles, frontier.root())
    }

    fn authenticate(
        size: u64,
        tiles: BTreeMap<TileId, Vec<Hash>>,
        root: Hash,
    ) -> Result<AuthenticTiles, TileError> {
        let mut set = TileSet::new(size);
        for (id, hashes) in tiles {
            set.insert(id, hashes)?;
        }
        set.authenticate(root)
    }

    #[test]
    fn every_hash_is_held_against_the_root() {
        for size in [1, 255, 256, 600, 768] {
            let (tiles, root) = log(size);
            authenticate(size, tiles.clone(), root).unwrap();
            for id in tiles.keys() {
                for place in [0, tiles[id].len() / 2, tiles[id].len() - 1] {
                    let mut tiles = tiles.clone();
                    tiles.get_mut(id).unwrap()[place] = Hash::of(b"forged");
                    let error = authenticate(size, tiles, root).unwrap_err();
                    let fitting = matches!(error, TileError::Changed(_) | TileError::Root);
                    assert!(fitting, "{size}: {id:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn the_tiles_that_prove_some_leaves_are_enough() {
        let (all, root) = log(1_000);
        let needed = TileId::proving(1_000, [300]);
        let some: BTreeMap<_, _> = all.clone().into_iter().filter(|(id, _)| needed.contains(id)).collect();
        assert!(some.len() < all.len());
        let tiles = authenticate(1_000, some.clone(), root).unwrap();
        assert_eq!(tiles.leaf(300), Some(leaf_hash(&300_u64.to_be_bytes())));
        assert_eq!(tiles.find_leaf(leaf_hash(&301_u64.to_be_bytes())), Some(301));
        assert_eq!(tiles.leaf(600), None);
        assert_eq!(tiles.root(300), Ok(log(300).1));
        assert_eq!(tiles.root(600), Err(MissingTile(TileId { level: 0, index: 2 })));
        assert!(tiles.compute(&Plan::inclusion(300, 1_000).unwrap()).is_ok());
        for id in some.keys().filter(|id| **id != TileId::of_leaf(300)) {
            let mut tiles = some.clone();
            tiles.remove(id);
            assert!(matches!(authenticate(1_000, tiles, root), Err(TileError::Missing(_))), "{id:?}");
        }
    }

    #[test]
    fn tiles_of_another_size_are_refused() {
        let (tiles, root) = log(300);
        let id = TileId::of_leaf(299);
        let mut set = TileSet::new(300);
        assert_eq!(set.insert(id, vec![root; 43]), Err(TileError::Width { id, found: 43, expected: 44 }));
        assert!(set.insert(TileId { level: 0, index: 2 }, vec![root]).is_err());
        assert!(set.insert(TileId { level: 0, index: 2 }, vec![]).is_err());
        assert_eq!(set.insert(id, tiles[&id].clone()), Ok(()));
        assert_eq!(set.insert(id, tiles[&id].clone()), Err(TileError::Twice(id)));
        assert_eq!(TileSet::new(0).authenticate(Hash::empty_root()).map(|tiles| tiles.size()), Ok(0));
    }
}
