//! A transparency log: a Merkle tree over entries that only ever grows, and what convinces others of it.
//!
//! * [`Frontier`] appends: it holds the log's size and the few hashes that its next root depends on.
//! * Hashes lie in tiles of 256 ([`TileId`]), which are written once. A [`Plan`] says which tiles a root, an inclusion proof
//!   or a consistency proof needs, and makes it of them. Nothing here reads or writes: fetching tiles is the caller's.
//! * [`verify_inclusion`] and [`verify_consistency`] need neither tiles nor trust in who made the proof.
//! * A [`Checkpoint`] is a root and a size that the log signed, as a [`note`]; a [`Proof`] is a checkpoint and an
//!   inclusion proof in one text, checked offline.
//!
//! Sources: [RFC 6962] section 2.1 (hashes, proofs), [RFC 9162] sections 2.1.3.2 and 2.1.4.2 (their verification), and of
//! the [C2SP] specifications `tlog-tiles`, `signed-note`, `tlog-checkpoint` and `tlog-proof`.
//!
//! Must never: accept a text that has a second spelling, or a proof without the size it is for.
//!
//! [RFC 6962]: https://www.rfc-editor.org/rfc/rfc6962.html
//! [RFC 9162]: https://www.rfc-editor.org/rfc/rfc9162.html
//! [C2SP]: https://c2sp.org/

mod checkpoint;
mod frontier;
mod hash;
mod key;
mod leaf_set;
pub mod note;
mod plan;
mod proof;
mod subtree;
mod tile;
mod tile_set;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use frontier::{CompleteTile, Frontier, InvalidFrontier};
pub use hash::{Hash, InvalidHash, leaf_hash, node_hash};
pub use key::{InvalidKey, NoteSigner, SigningFailed, VerifierKey};
pub use leaf_set::LeafSet;
pub use plan::{MissingTile, Plan, PlanError};
pub use proof::{InvalidProof, Proof, ProofError};
pub use subtree::Subtree;
pub use tile::{TILE_HEIGHT, TILE_WIDTH, TileId};
pub use tile_set::{AuthenticTiles, TileError, TileSet};
pub use verify::{ConsistencyError, InclusionError, verify_consistency, verify_inclusion};
