//! The types of events there are, for whoever writes or tests a receiver.

use access::permission::WebhooksRead;
use edge::{Authorized, Edge, Reply, routes};
use events::EventType;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypeDescription)]
struct EventTypeBody {
    /// As it stands in an endpoint's `events` and in a webhook's `event`.
    name: EventType,
    /// The version of the schema. A published one never changes.
    version: u32,
    /// When it happens.
    description: String,
    /// The JSON Schema (draft 2020-12) of a webhook's `data`.
    #[schema(value_type = Object)]
    schema: Value,
    /// A webhook's body, as it could be.
    #[schema(value_type = Object)]
    example: Value,
}

/// All types of events.
#[derive(Debug, Serialize, ToSchema)]
struct EventTypeList {
    data: Vec<EventTypeBody>,
}

impl From<EventType> for EventTypeBody {
    fn from(event: EventType) -> Self {
        Self {
            name: event,
            version: event.version(),
            description: event.description(),
            schema: event.schema(),
            example: event.example(),
        }
    }
}

/// List the types of events
///
/// Each with the JSON Schema of its data and an example of a webhook's body.
#[utoipa::path(
    get, path = "/api/admin/webhooks/event-types", operation_id = "list_event_types", tag = "webhooks",
    responses((status = 200, description = "All of them", body = EventTypeList))
)]
async fn list(_caller: Authorized<WebhooksRead>) -> Reply {
    let data = EventType::ALL.iter().copied().map(EventTypeBody::from).collect();
    edge::ok(&EventTypeList { data }, None)
}
