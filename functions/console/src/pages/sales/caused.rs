//! What came of something: the events that tell of it, and its audit records.

use clock::Timestamp;
use futures::future::try_join_all;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Caller, Failure, List, Me, Request};
use crate::view::{cell, moment, section_with, status, story, table, unavailable};
use crate::visit::Visit;

/// Of so many changes the events are shown.
const LATEST: usize = 5;

/// An event, as far as it is shown here.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    id: String,
    event: String,
    timestamp: Timestamp,
    #[serde(default)]
    data: Value,
}

/// An audit record, as far as it is shown here.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    id: String,
    action: String,
    timestamp: Timestamp,
    success: bool,
    request_id: String,
    actor: Actor,
}

#[derive(Debug, Deserialize)]
struct Actor {
    id: String,
    email: Option<String>,
}

/// Both, each unless it may not be seen.
pub(super) struct Caused {
    events: Option<Vec<Event>>,
    records: Option<Vec<Record>>,
}

impl Caused {
    /// Of what has this id. What may not be seen is not asked for: a refusal would be on record.
    pub(super) async fn by(visit: &Visit, me: &Me, workspace: &str, id: &str) -> Result<Self, Failure> {
        let records = match me.may("audit_logs:read") {
            true => Some(records(&visit.api, id).await?),
            false => None,
        };
        let events = match me.may_in(Some(workspace), "webhooks:read") {
            true => Some(events(&visit.api, records.as_deref().unwrap_or_default(), workspace, id).await?),
            false => None,
        };
        Ok(Self { events, records })
    }

    pub(super) fn show(&self, visit: &Visit, id: &str) -> Markup {
        section_with(
            "What came of it",
            story(id),
            html! {
                @match &self.events {
                    None => (unavailable("webhooks:read", html! { "Events" })),
                    Some(events) if events.is_empty() => p class="hint" { "No event of its latest changes, nor among the last hundred of this workspace." },
                    Some(events) => (table("Events", &["Event", "When"], html! {
                        @for event in events {
                            tr {
                                (cell("Event", html! { a class="main" href={ "/console/events/" (event.id) } { (event.event) } }))
                                (cell("When", moment(visit.now(), event.timestamp)))
                            }
                        }
                    })),
                }
                @match &self.records {
                    None => (unavailable("audit_logs:read", html! { "Audit records" })),
                    Some(records) if records.is_empty() => p class="hint" { "No audit record." },
                    Some(records) => (table("Audit records", &["Action", "By", "When", "Outcome"], html! {
                        @for record in records {
                            tr {
                                (cell("Action", html! { a class="main" href={ "/console/audit/" (record.id) } { (record.action) } }))
                                (cell("By", html! { (record.actor.email.as_deref().unwrap_or(&record.actor.id)) }))
                                (cell("When", moment(visit.now(), record.timestamp)))
                                (cell("Outcome", status(if record.success { "success" } else { "failure" })))
                            }
                        }
                    })),
                }
            },
        )
    }
}

async fn records(api: &Caller, id: &str) -> Result<Vec<Record>, Failure> {
    let asked = Request::get("/api/admin/audit-logs").query("resource_id", id).query("limit", "20");
    Ok(api.ask::<List<Record>>(asked).await?.data)
}

/// The events that tell of something, newest first: of what its latest changes caused, and of the last hundred of its workspace.
async fn events(api: &Caller, records: &[Record], workspace: &str, id: &str) -> Result<Vec<Event>, Failure> {
    let mut requests: Vec<&str> = Vec::new();
    for record in records.iter().filter(|record| record.success) {
        if !requests.contains(&record.request_id.as_str()) {
            requests.push(&record.request_id);
        }
    }
    requests.truncate(LATEST);
    let all = Request::get("/api/admin/events").query("workspace_id", workspace).query("limit", "100");
    let asked = requests.into_iter().map(|request| all.clone().query("request_id", request));
    let asked = asked.chain(std::iter::once(all.clone()));
    let found = try_join_all(asked.map(|request| api.ask::<List<Event>>(request))).await?;
    // What a request caused may tell of others, too.
    let names = |event: &Event| {
        ["id", "lead_id", "campaign_id", "meeting_id"]
            .iter()
            .any(|name| event.data.get(name).and_then(Value::as_str) == Some(id))
    };
    let mut events: Vec<Event> = found.into_iter().flat_map(|list| list.data).filter(names).collect();
    events.sort_by(|one, other| other.id.cmp(&one.id));
    events.dedup_by(|one, other| one.id == other.id);
    Ok(events)
}
