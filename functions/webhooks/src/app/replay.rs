//! The rules of replays and of beginning deliveries anew.

use std::time::Duration;

use clock::Timestamp;
use events::EventType;
use ids::{Ids, OrganizationId};
use input::{Fault, Faults};
use problem::Problem;
use store::{
    AuditRecord, Change, Delivery, DeliveryStatus, Endpoint, EndpointStatus, Event, FieldChange, Reopening,
    Replay, ReplayStatus, Replayed, StoreError, WorkspaceScope,
};

/// A job that was sent along and did not come is made up for by the sweep after this time.
const SAFETY: Duration = Duration::from_secs(10 * 60);
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

/// The endpoint can be sent to.
///
/// # Errors
/// 409 when it is disabled.
pub(crate) fn sendable(endpoint: &Endpoint) -> Result<(), Problem> {
    match endpoint.status {
        EndpointStatus::Enabled => Ok(()),
        EndpointStatus::Disabled => {
            Err(Problem::Conflict { detail: "The endpoint is disabled. Enable it first.".to_owned() })
        }
    }
}

/// The delivery's event is still there to be sent.
///
/// # Errors
/// 409 when it is past its retention.
pub(crate) fn kept(delivery: &Delivery, now: Timestamp) -> Result<(), Problem> {
    if delivery.is_expired(now) {
        return Err(Problem::Conflict { detail: "The event is past its retention.".to_owned() });
    }
    Ok(())
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
        let until = self.until.unwrap_or(now);
        if since > now {
            faults.note("/since", Fault::new("range", "must not lie ahead"));
        } else if until <= since {
            faults.note("/until", Fault::new("range", "must be later than `since`"));
        }
        let mut events = Vec::with_capacity(self.events.len());
        for (index, name) in self.events.iter().enumerate() {
            match EventType::parse(name) {
                Ok(event) => events.push(event),
                Err(_) => {
                    faults.note(format!("/events/{index}"), Fault::new("value", "is not an event type"))
                }
            }
        }
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
            since,
            until: until.min(now),
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
