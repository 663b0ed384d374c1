//! Beginning deliveries anew by hand: which may be, and how they get on their way.

use std::collections::BTreeSet;
use std::time::Duration;

use clock::Timestamp;
use futures::future::try_join_all;
use ids::OrganizationId;
use jobs::{DeliveryJob, SlowLane};
use store::{Delivery, DeliveryStatus, StoreError, Tenant};

use super::replay::forbids_sending;

/// Those of `found` that are dead letters, within their retention, of endpoints that are there and enabled.
///
/// # Errors
/// [`StoreError`] when their endpoints cannot be read.
pub(crate) async fn redrivable(
    tenant: &Tenant,
    mut found: Vec<Delivery>,
    now: Timestamp,
) -> Result<Vec<Delivery>, StoreError> {
    found.retain(|delivery| delivery.status == DeliveryStatus::Dead && !delivery.is_expired(now));
    let endpoints: BTreeSet<_> = found.iter().map(|delivery| delivery.endpoint_id).collect();
    let endpoints = try_join_all(endpoints.into_iter().map(|id| tenant.endpoint(id))).await?;
    let sendable = endpoints.into_iter().flatten().filter(|endpoint| forbids_sending(endpoint).is_none());
    let sendable: BTreeSet<_> = sendable.map(|endpoint| endpoint.id).collect();
    found.retain(|delivery| sendable.contains(&delivery.endpoint_id));
    Ok(found)
}

/// Queues deliveries that were begun anew. If the queue does not take them, the sweep does so a little later.
pub(crate) async fn send(lane: &SlowLane, organization: OrganizationId, deliveries: &[Delivery]) {
    let job = |delivery: &Delivery| DeliveryJob::again(organization, delivery.endpoint_id, delivery.id);
    let jobs: Vec<_> = deliveries.iter().map(|delivery| (job(delivery), Duration::ZERO)).collect();
    if let Err(error) = lane.send(&jobs).await {
        tracing::warn!(error = telemetry::chain(&error), "deliveries are left to the sweep");
    }
}
