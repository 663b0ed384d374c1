//! The audit log's formats, shared by who seals, who exports and who verifies.
//!
//! A record is sealed as an *entry*: compact JSON in which every personal value is replaced by a [`commitment`]. The entry's
//! exact bytes are a leaf of the organization's Merkle log (crate `tlog`) for ever. The values lie apart, as [`Personal`],
//! each with its salt. Erasing a person deletes those, and no proof changes; [`resolve`] then shows `[erased]`.
//!
//! An export is a file of [`Line`]s, or a table ([`TableWriter`]) with the other lines beside it.
//!
//! Must never: write an entry or a personal value anew from what it was read into. Their bytes are what is proved.

mod commitment;
mod entry;
mod line;
mod personal;
mod pointer;
mod table;

pub use commitment::{Salt, commitment};
pub use entry::{ERASED, Held, PersonalError, SealedEntry, hold, resolve, seal};
pub use line::{
    CheckpointKind, CheckpointLine, ExpiredKind, ExpiredLine, ExportKind, FORMAT, Header, KEPT_FOR,
    LATEST_SEAL, LONGEST_SILENCE, Line, LineError, MissingKind, MissingLine, OUT_OF_ORDER_BY, OutsideKind,
    OutsideLine, RecordKind, RecordLine, SEALED_WITHIN, Tile, TileKind,
};
pub use personal::{Personal, PersonalValue};
pub use table::{COLUMNS, Row, RowError, TableReader, TableWriter};
