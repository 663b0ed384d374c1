//! Proofs, computed from the tiles of the log.

use std::collections::HashMap;

use futures::future::try_join_all;
use problem::Problem;
use store::{AuditEntry, LogHead, StoreError, Tenant};
use tlog::{Hash, Plan, Proof, TileId};

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
    Ok(Proof { extra, index, hashes, checkpoint: head.checkpoint.clone() })
}

/// The proof that the log of `old` records is the beginning of that of `new` ones.
pub(crate) async fn consistency(tenant: &Tenant, old: u64, new: u64) -> Result<Vec<Hash>, Unproved> {
    let plan = Plan::consistency(old, new).map_err(|_| Unproved::NoSuchSize)?;
    compute(tenant, &plan).await
}

async fn compute(tenant: &Tenant, plan: &Plan) -> Result<Vec<Hash>, Unproved> {
    let tiles = plan.tiles().into_iter().map(async |id| {
        let hashes = tenant.tile(id.level, id.index).await?;
        Ok::<(TileId, Vec<Hash>), StoreError>((id, hashes.into_iter().map(Hash::from_bytes).collect()))
    });
    let tiles: HashMap<TileId, Vec<Hash>> = try_join_all(tiles).await?.into_iter().collect();
    plan.compute(|id| tiles.get(&id).map(Vec::as_slice)).map_err(|_| Unproved::Broken)
}
