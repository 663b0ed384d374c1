//! Verifies exports of the audit log: no network, no account, nothing but the file and the log's public key.
//!
//! What it trusts is the key, and nothing else. The key vouches for the checkpoint, the checkpoint's root for the tiles, and
//! the tiles' hashes for every byte of every record; a record's commitments vouch for its personal values. An export is
//! read twice: once for what proves, once for what is to be proved. Memory grows with the log by 32 bytes a record, and not
//! with what records say.
//!
//! A record that is not sealed is one that somebody inserted: exports leave out what is too young. It can't see by itself that
//! a log ends earlier than it once did, if an older checkpoint is shown with it: a checkpoint that was kept does, and so does
//! the time of the last record, as a log is never silent for longer than a day.
//!
//! Must never: call anything intact that it has not checked, or stop at the first record it cannot read.

mod checker;
mod evidence;
mod export;
mod finding;
mod keys;
mod lines;
mod report;
mod single;

#[cfg(test)]
mod tests;

pub use export::{verify_export, verify_table};
pub use finding::{Finding, Problem};
pub use keys::{KeyError, read_keys};
pub use report::{Report, Scope, Sealed};
pub use single::verify_proof;

use tlog::{CheckpointError, InvalidProof, MissingTile, VerifierKey};

/// What the verifier goes by, besides the export.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Keys of the log. One valid signature by any of them is enough.
    pub keys: Vec<VerifierKey>,
    /// A checkpoint of the same log that was kept from another time.
    pub kept: Option<String>,
}

/// Why nothing could be verified. Not to be taken for a verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be read.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// The file does not begin as an export does.
    #[error("this is not an export of an audit log: its first line does not say so")]
    NotAnExport,
    /// There is no checkpoint: nothing of the log was sealed when the export was made.
    #[error("nothing in this export is signed: nothing was sealed yet when it was made")]
    NothingSealed,
    /// A later version of the format.
    #[error("the export has format {0}, which this version does not know; use a newer artisan-verify")]
    Format(u32),
    /// The table does not begin as an exported table does.
    #[error("this is not a table of an audit log")]
    NotATable(#[source] audit_format::RowError),
    /// The text is no proof.
    #[error("this is not a proof of a record")]
    NotAProof(#[source] InvalidProof),
    /// The checkpoint that was kept is not signed by the given keys.
    #[error(
        "the checkpoint you kept cannot be trusted; if it is older than the log's key, give the old key too"
    )]
    Kept(#[source] CheckpointError),
    /// The checkpoint that was kept is that of another log.
    #[error("the checkpoint you kept is of another log, {0}")]
    KeptElsewhere(String),
    /// The export has too few tiles for a comparison with the kept checkpoint.
    #[error(
        "the export covers too little of the log to compare it with the checkpoint you kept; export the whole log"
    )]
    KeptBeyondReach(#[source] MissingTile),
}
