//! Proofs, computed from the tiles of the log.
//!
//! None leaves here that does not hold: where a record, a hash or a checkpoint was altered, whoever asks is told that there is
//! no proof, and we are told why.

use std::collections::HashMap;

use futures::future::try_join_all;
use problem::Problem;
use store::{AuditEntry, LogHead, StoreError, Tenant};
use tlog::{Checkpoint, Hash, Plan, Proof, TileId, VerifierKey, note::Note, verify_consistency};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproved {
    /// The record is not sealed yet.
    #[error("the record is not sealed yet")]
    NotSealed,
    /// The log never had that size.
    #[error("there is no such size")]
    NoSuchSize,
    /// The log is not whole.
    #[error("a part of the log is gone or was changed")]
    Broken,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Unproved {
    pub(crate) fn problem(self) -> Result<Problem, StoreError> {
        Ok(match self {
            Self::NotSealed => Problem::Conflict {
                detail: "The record is not sealed yet. Records are sealed within a minute: ask again then."
                    .to_owned(),
            },
            Self::NoSuchSize => Problem::invalid(
                "query:from",
                "range",
                "must be the size of a log that was signed, as is `to`",
            ),
            Self::Broken => {
                tracing::error!("a part of an audit log is gone or was changed");
                Problem::Internal
            }
            Self::Store(error) => return Err(error),
        })
    }
}

/// The proof that a record is in the log that `head` signs.
pub(crate) async fn inclusion(
    tenant: &Tenant,
    record: &AuditEntry,
    head: &LogHead,
) -> Result<Proof, Unproved> {
    let index = record.leaf_index.filter(|index| *index < head.size).ok_or(Unproved::NotSealed)?;
    let plan = Plan::inclusion(index, head.size).map_err(|_| Unproved::Broken)?;
    let hashes = compute(tenant, &plan).await?;
    let extra = match record.personal.is_empty() {
        true => None,
        false => Some(record.personal.to_json().map_err(|_| Unproved::Broken)?.into_bytes()),
    };
    let proof = Proof { extra, index, hashes, checkpoint: head.checkpoint.clone() };
    let keys = head.keys.iter().map(|key| key.parse()).collect::<Result<Vec<VerifierKey>, _>>();
    let keys = keys.map_err(|_| Unproved::Broken)?;
    proof.verify(record.entry.as_bytes(), &keys).map_err(|_| Unproved::Broken)?;
    Ok(proof)
}

/// That a log is the beginning of a larger one.
pub(crate) struct Growth {
    /// The proof.
    pub(crate) hashes: Vec<Hash>,
    /// The signed note of the larger one, if it was signed at that size.
    pub(crate) checkpoint: Option<String>,
}

/// The proof that the log of `old` records is the beginning of that of `new` ones, both of which `head` has passed.
pub(crate) async fn consistency(
    tenant: &Tenant,
    head: &LogHead,
    old: u64,
    new: u64,
) -> Result<Growth, Unproved> {
    if old == 0 || new > head.size {
        return Err(Unproved::NoSuchSize);
    }
    let plan = Plan::consistency(old, new).map_err(|_| Unproved::NoSuchSize)?;
    let (hashes, older, newer) =
        tokio::try_join!(compute(tenant, &plan), State::at(tenant, head, old), State::at(tenant, head, new))?;
    verify_consistency(old, older.root, new, newer.root, &hashes).map_err(|_| Unproved::Broken)?;
    Ok(Growth { hashes, checkpoint: newer.note })
}

/// A log as it was at some size.
struct State {
    root: Hash,
    /// What was signed then, if anything was.
    note: Option<String>,
}

impl State {
    async fn at(tenant: &Tenant, head: &LogHead, size: u64) -> Result<Self, Unproved> {
        let note = match size == head.size {
            true => Some(head.checkpoint.clone()),
            false => tenant.checkpoint(size).await?,
        };
        let root = match &note {
            // Whose signature it bears is for those to judge who have kept the key of that time.
            Some(note) => signed(note).filter(|signed| signed.size == size).map(|signed| signed.root),
            // Nobody has a root of that size to hold a proof against, but its tiles have to fit the other one.
            None => compute(tenant, &Plan::root(size)).await?.pop(),
        };
        Ok(Self { root: root.ok_or(Unproved::Broken)?, note })
    }
}

fn signed(note: &str) -> Option<Checkpoint> {
    note.parse::<Note>().ok()?.text().parse().ok()
}

async fn compute(tenant: &Tenant, plan: &Plan) -> Result<Vec<Hash>, Unproved> {
    let tiles = plan.tiles().into_iter().map(async |id| {
        let hashes = tenant.tile(id.level, id.index).await?;
        Ok::<(TileId, Vec<Hash>), StoreError>((id, hashes.into_iter().map(Hash::from_bytes).collect()))
    });
    let tiles: HashMap<TileId, Vec<Hash>> = try_join_all(tiles).await?.into_iter().collect();
    plan.compute(|id| tiles.get(&id).map(Vec::as_slice)).map_err(|_| Unproved::Broken)
}
