//! What an operator does to dead letters from the command line: by the rules of the routes, and on record as they are.

use clock::Timestamp;
use ids::{DeliveryId, EndpointId, Ids};
use jobs::SlowLane;
use store::{AuditRecord, CommitError, DeliveryStatus, Refusal, Replay, Replayed, Tenant};

use crate::app::redrive::{self, redrivable};
use crate::app::replay::{self, Draft};

/// How many deliveries are redriven at a time.
pub const MOST_REDRIVEN: usize = replay::MOST_REDRIVEN;

/// Which dead letters of an endpoint are meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// Of events from then on; of all when absent.
    pub since: Option<Timestamp>,
    /// Of events before then.
    pub until: Option<Timestamp>,
}

/// Starts the replay that redrives an endpoint's dead letters, as `POST /api/admin/webhooks/dead-letters/redrive` does with an
/// `endpoint_id`. The sweep carries it out. `record` is the record of it, but for the replay's id.
///
/// # Errors
/// [`CommitError`]: there is no such endpoint, it is disabled, another replay to it runs, or the store failed.
pub async fn redrive_endpoint(
    tenant: &Tenant,
    endpoint: EndpointId,
    span: Span,
    mut record: AuditRecord,
    ids: &Ids,
) -> Result<Replay, CommitError> {
    let missing = CommitError::Refused(Refusal::Missing("endpoint"));
    let endpoint = tenant.endpoint(endpoint).await?.ok_or(missing)?;
    if let Some(rule) = replay::forbids_sending(&endpoint) {
        return Err(CommitError::Refused(Refusal::Rule(rule)));
    }
    let draft = Draft {
        since: span.since,
        until: span.until,
        events: Vec::new(),
        statuses: Some(vec![Replayed::Dead.as_str().to_owned()]),
        rate_per_second: None,
    };
    let rule = Refusal::Rule("the time must not lie ahead, and its end must be later than its beginning");
    let replay = draft
        .check(&endpoint, tenant.organization_id(), ids, record.timestamp)
        .map_err(|_| CommitError::Refused(rule))?;
    record.resource_id = Some(replay.id.to_string());
    tenant.commit(replay::start(&replay, &endpoint, tenant.organization_id(), record)?, None).await?;
    Ok(replay)
}

/// Redrives dead letters by their ids, [`MOST_REDRIVEN`] at most, as the same route does with `delivery_ids`. Returns those
/// that are on their way; the others are no dead letters, past their retention, or their endpoint is disabled or gone.
///
/// # Errors
/// [`CommitError`] when none of them can be redriven, or the store failed.
pub async fn redrive(
    tenant: &Tenant,
    deliveries: &[DeliveryId],
    record: AuditRecord,
    lane: &SlowLane,
) -> Result<Vec<DeliveryId>, CommitError> {
    let dead = redrivable(tenant, tenant.deliveries(deliveries).await?, record.timestamp).await?;
    if dead.is_empty() {
        return Err(CommitError::Refused(Refusal::Rule("none of these is a dead letter that can be sent")));
    }
    let organization = tenant.organization_id();
    let change = replay::begin_anew(&dead, &[DeliveryStatus::Dead], organization, record);
    tenant.commit(change, None).await?;
    redrive::send(lane, organization, &dead).await;
    Ok(dead.into_iter().map(|delivery| delivery.id).collect())
}
