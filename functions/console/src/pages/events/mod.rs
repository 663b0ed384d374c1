//! The log of events: `/console/events`.

mod list;
mod notices;
mod one;

use axum::Router;
use axum::routing::get;
use clock::Timestamp;
use maud::Markup;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Console;
use crate::view::tabs;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/events", get(list::list))
        .route("/events/notices", get(notices::list))
        .route("/events/{id}", get(one::one))
}

/// The address of events in the API.
const PATH: &str = "/api/admin/events";

/// Something that happened.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Event {
    id: String,
    event: String,
    timestamp: Timestamp,
    organization_id: String,
    workspace_id: String,
    #[serde(default)]
    data: Value,
    mode: String,
    only_for: Option<String>,
    kept_until: Timestamp,
    #[serde(default)]
    deliveries: Vec<ToEndpoint>,
}

/// What became of it at an endpoint.
#[derive(Debug, Clone, Deserialize)]
struct ToEndpoint {
    id: String,
    endpoint_id: String,
    status: String,
    attempt_count: u64,
}

impl Event {
    /// The body of its webhooks.
    pub(super) fn body(&self) -> Value {
        json!({
            "id": self.id,
            "event": self.event,
            "timestamp": self.timestamp,
            "organization_id": self.organization_id,
            "workspace_id": self.workspace_id,
            "data": self.data,
        })
    }

    /// What it happened to, if it says so.
    fn about(&self) -> Option<&str> {
        self.data.get("id")?.as_str()
    }
}

/// The two lists there are.
fn ways(notices: bool) -> Markup {
    tabs(
        "Events",
        [
            ("What happened", "/console/events".to_owned(), !notices),
            ("About endpoints", "/console/events/notices".to_owned(), notices),
        ],
    )
}
