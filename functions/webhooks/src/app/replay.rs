//! The rules of replays and of beginning deliveries anew.

use std::time::Duration;

use clock::Timestamp;
use events::{EventType, Subscription};
use ids::{Ids, OrganizationId};
use input::{Fault, Faults};
use problem::Problem;
use store::{
    AuditRecord, Change, Delivery, DeliveryStatus, Endpoint, EndpointStatus, Event, FieldChange, Reopening,
    Replay, ReplayStatus, Replayed, SAFETY, StoreError, WorkspaceScope,
};

use super::endpoint::events as subscribed;

/// A delivery that was begun anew is on its way for so long: another job would come no earlier.
const ON_ITS_WAY: Duration = Duration::from_secs(60);
const RATE: (u32, u32) = (1, 500);
const DEFAULT_RATE: u32 = 50;
/// How many deliveries are begun anew by one request.
pub(crate) const MOST_REDRIVEN: usize = 45;

/// What was sent for a replay, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) events: Vec<String>,
    pub(crate) statuses: Option<Vec<String>>,
    pub(crate) rate_per_second: Option<u32>,
}

/// The rule that nothing is sent to an endpoint by hand, if it holds. It is told by the change itself
/// ([`Change::ruled_out`]): the same request may have been answered while the endpoint was enabled.
pub(crate) fn forbids_sending(endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint.status {
        EndpointStatus::Enabled => None,
        EndpointStatus::Disabled => Some("the endpoint is disabled; enable it first"),
    }
}

/// The rule that a delivery is not begun anew once more, if one holds: it was a moment ago, and its job is on the way; or its
/// event is past its retention.
pub(crate) fn forbids_retry(delivery: &Delivery, now: Timestamp) -> Option<&'static str> {
    if delivery.is_expired(now) {
        return Some("the event is past its retention");
    }
    let untouched = delivery.attempt_count == delivery.begun_at_attempt && delivery.lease_until.is_none();
    let lately = delivery.next_attempt_at.is_some_and(|at| at <= now && now.since(at) < ON_ITS_WAY);
    let waits = delivery.status == DeliveryStatus::Pending && untouched && lately;
    waits.then_some("the delivery is on its way already")
}

impl Draft {
    /// The replay, if all of it is in order. Without `since` it begins with the organization.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(
        self,
        endpoint: &Endpoint,
        organization: OrganizationId,
        ids: &Ids,
        now: Timestamp,
    ) -> Result<Replay, Problem> {
        let mut faults = Faults::default();
        let since = self.since.unwrap_or(organization.time());
        // What happened within this very millisecond included.
        let end = now + Duration::from_millis(1);
        let until = self.until.unwrap_or(end);
        if since > now {
            faults.note("/since", Fault::new("range", "must not lie ahead"));
        } else if until <= since {
            faults.note("/until", Fault::new("range", "must be later than `since`"));
        }
        let events = match self.events.as_slice() {
            [] => Vec::new(),
            names => match subscribed(names, &mut faults) {
                Some(Subscription::Only(events)) => events,
                Some(Subscription::All) | None => Vec::new(),
            },
        };
        let default = vec![Replayed::Missing, Replayed::Dead, Replayed::Cancelled];
        let statuses = match self.statuses {
            None => default,
            Some(names) => statuses(&names, &mut faults),
        };
        let rate_per_second = self.rate_per_second.unwrap_or(DEFAULT_RATE);
        if !(RATE.0..=RATE.1).contains(&rate_per_second) {
            let message = format!("must be {} to {}", RATE.0, RATE.1);
            faults.note("/rate_per_second", Fault::new("range", message));
        }
        faults.finish(Some(Replay {
            id: ids.next(),
            endpoint_id: endpoint.id,
            mode: Some(endpoint.mode),
            workspace_id: endpoint.workspace_id,
            since,
            until: until.min(end),
            events,
            statuses,
            rate_per_second,
            status: ReplayStatus::Running,
            position: None,
            looked_at: 0,
            sent: 0,
            created_at: now,
            updated_at: now,
            finished_at: None,
        }))
    }
}

fn statuses(names: &[String], faults: &mut Faults) -> Vec<Replayed> {
    if names.is_empty() {
        faults.note("/statuses", Fault::new("length", "must name at least one status"));
    }
    let mut statuses = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        match Replayed::ALL.into_iter().find(|status| status.as_str() == name) {
            Some(status) if !statuses.contains(&status) => statuses.push(status),
            Some(_) => {}
            None => {
                let message = "must be `missing`, `dead`, `cancelled` or `succeeded`";
                faults.note(format!("/statuses/{index}"), Fault::new("value", message));
            }
        }
    }
    statuses
}

/// The example of an event type, as an event for this endpoint alone.
///
/// # Errors
/// [`StoreError::Malformed`] when it can't be written as JSON; not expected to happen.
pub(crate) fn trial(
    endpoint: &Endpoint,
    r#type: EventType,
    organization: OrganizationId,
    ids: &Ids,
    now: Timestamp,
) -> Result<Event, StoreError> {
    // One that listens to all workspaces is tried with an event of none that there is.
    let workspace = endpoint.workspace_id.unwrap_or_else(|| ids.next());
    let scope = WorkspaceScope { organization, workspace, mode: endpoint.mode };
    let data = r#type.example().get("data").cloned().unwrap_or_default();
    Ok(Event::new(ids.next(), r#type, scope, now, &data)?.only_for(endpoint.id))
}

/// The change that starts a replay.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn start(
    replay: &Replay,
    endpoint: &Endpoint,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.workspace_id = endpoint.workspace_id;
    record.compliance_relevant = true;
    let set = |field: &str, after: serde_json::Value| FieldChange {
        field: field.to_owned(),
        before: serde_json::Value::Null,
        after,
    };
    let statuses: Vec<_> = replay.statuses.iter().map(|status| status.as_str()).collect();
    let events: Vec<_> = replay.events.iter().map(|event| event.as_str()).collect();
    record.changes = vec![
        set("endpoint_id", endpoint.id.to_string().into()),
        set("since", replay.since.to_string().into()),
        set("until", replay.until.to_string().into()),
        set("events", events.into()),
        set("statuses", statuses.into()),
    ];
    Change::audited(record).start_replay(organization, replay)
}

/// The change that begins these deliveries anew.
pub(crate) fn begin_anew(
    deliveries: &[Delivery],
    from: &[DeliveryStatus],
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Change {
    record.compliance_relevant = true;
    let now = record.timestamp;
    let one = if let [delivery] = deliveries { Some(delivery) } else { None };
    record.workspace_id = one.map(|delivery| delivery.workspace_id);
    record.resource_id = one.map(|delivery| delivery.id.to_string());
    record.changes = deliveries
        .iter()
        .map(|delivery| FieldChange {
            field: format!("{}.status", delivery.id),
            before: delivery.status.as_str().into(),
            after: DeliveryStatus::Pending.as_str().into(),
        })
        .collect();
    let reopening = Reopening { from: from.to_vec(), replay: None, look_at: now + SAFETY };
    let mut endpoints: Vec<_> = deliveries.iter().map(|delivery| delivery.endpoint_id).collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    let change = deliveries.iter().fold(Change::audited(record), |change, delivery| {
        change.reopen(organization, delivery, &reopening, now)
    });
    endpoints
        .into_iter()
        .fold(change, |change, endpoint| change.look_at_endpoint(organization, endpoint, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Id;

    #[test]
    fn a_delivery_is_on_its_way_for_a_minute_after_it_was_begun_anew() {
        let now = clock::utc(2026, 11, 22, 15, 4);
        let begun = Delivery {
            id: Id::derived(now, [1; 16]),
            event_id: Id::derived(now, [2; 16]),
            event: EventType::LeadCreated,
            endpoint_id: Id::derived(now, [3; 16]),
            workspace_id: Id::derived(now, [4; 16]),
            status: DeliveryStatus::Pending,
            attempt_count: 5,
            begun_at_attempt: 5,
            next_attempt_at: Some(now),
            attempts: Vec::new(),
            fence: 6,
            lease_until: None,
            reason: None,
            replay_id: None,
            request_id: None,
            created_at: now,
            updated_at: now,
            expires_at: i64::MAX,
        };
        assert!(forbids_retry(&begun, now + ON_ITS_WAY - Duration::from_millis(1)).is_some());
        for (free, at) in [
            (begun.clone(), now + ON_ITS_WAY),
            (Delivery { next_attempt_at: Some(now + ON_ITS_WAY), ..begun.clone() }, now),
            (Delivery { status: DeliveryStatus::Dead, ..begun.clone() }, now),
            (Delivery { attempt_count: 6, ..begun.clone() }, now),
            (Delivery { lease_until: Some(now), ..begun.clone() }, now),
        ] {
            assert_eq!(forbids_retry(&free, at), None, "{free:?}");
        }
    }
}
