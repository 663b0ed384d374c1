//! Enabling and disabling an endpoint, replacing its secret, and trying it out.

use std::time::Duration;

use access::permission::WebhooksWrite;
use axum::Extension;
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{Authorized, Committed, Edge, IdempotencyKey, Json, PathId, Refused, Reply, routes};
use events::EventType;
use ids::{DeliveryId, EventId, kind};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Change, FieldChange};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::endpoints::{EndpointBody, find};
use crate::Shared;
use crate::app::{alteration, replay};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(rotate_secret))
        .routes(routes!(test))
}

/// An endpoint that is sent to again, and what it has missed.
#[derive(Debug, Serialize, ToSchema)]
struct EnabledEndpoint {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// What to replay to it: a body for `POST /api/admin/webhooks/{id}/replay`.
    replay_offer: ReplayOffer,
}

/// What an endpoint has missed while it was disabled, what waited for it at that time included.
#[derive(Debug, Serialize, ToSchema)]
struct ReplayOffer {
    since: Option<Timestamp>,
    until: Timestamp,
}

/// Enable an endpoint
///
/// It is sent what happens from now on. What happened while it was disabled is kept, and replayed if that is asked for: see
/// `replay_offer`. Failures of before do not count any more.
#[utoipa::path(
    post, path = "/api/admin/webhooks/{id}/enable", operation_id = "enable_endpoint", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "Enabled", body = EnabledEndpoint)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn enable(
    caller: Authorized<WebhooksWrite>,
    PathId(id): PathId<kind::Endpoint>,
    key: IdempotencyKey,
) -> Reply {
    let endpoint = find(&caller, id).await?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let organization = context.caller.known.organization;
    let record = context.record("endpoint.enable", "endpoint", &id.to_string());
    let (after, change) = match alteration::enabled(&endpoint, now) {
        Ok(after) => {
            let change = alteration::change(&endpoint, &after, organization, record)?;
            (after, change)
        }
        // The same request may have been answered before.
        Err(_) => {
            (endpoint.clone(), Change::audited(record).ruled_out(organization, "the endpoint is enabled"))
        }
    };
    let shown = EnabledEndpoint {
        endpoint: EndpointBody::of(&after, now),
        replay_offer: ReplayOffer { since: endpoint.missed_since.or(endpoint.disabled_at), until: now },
    };
    context.commit(change, None, &key, &[], Committed::ok(&shown)).await
}

/// Why an endpoint is disabled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "moving to another host"}))]
struct DisableEndpoint {
    /// For people to read: up to 500 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    reason: Option<String>,
}

/// Disable an endpoint
///
/// Nothing is sent to it from now on, and deliveries that wait for it are cancelled. Events that happen meanwhile are kept,
/// and can be replayed to it once it is enabled again.
#[utoipa::path(
    post, path = "/api/admin/webhooks/{id}/disable", operation_id = "disable_endpoint", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    request_body = DisableEndpoint,
    responses((status = 200, description = "Disabled", body = EndpointBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn disable(
    caller: Authorized<WebhooksWrite>,
    PathId(id): PathId<kind::Endpoint>,
    key: IdempotencyKey,
    body: Option<Json<DisableEndpoint>>,
) -> Reply {
    let body = Json::or_default(body);
    let endpoint = find(&caller, id).await?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let organization = context.caller.known.organization;
    let waiting = context.tenant().backlog(id).await?;
    let record = context.record("endpoint.disable", "endpoint", &id.to_string());
    let disabled = alteration::disabled(&endpoint, body.value.reason.as_deref(), &waiting, now);
    let (after, change) = match disabled {
        Ok(after) => {
            let change = alteration::change(&endpoint, &after, organization, record)?;
            (after, change)
        }
        Err(Problem::Conflict { .. }) => {
            (endpoint.clone(), Change::audited(record).ruled_out(organization, "the endpoint is disabled"))
        }
        Err(invalid) => return Err(Refused(invalid)),
    };
    let shown = EndpointBody::of(&after, now);
    // The sweep cancels what waits, and tells the admins.
    context.commit(change, None, &key, &body.bytes, Committed::ok(&shown)).await
}

/// How a secret is replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_seconds": 86400}))]
struct RotateSecret {
    /// How long deliveries are signed with the old secret, too: 0 to 604,800 (7 days), a day if not given. 0 for a secret that
    /// somebody else may know.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604800)]
    overlap_seconds: Option<u64>,
}

/// An endpoint and its new secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
struct RotatedEndpoint<'a> {
    /// What deliveries are signed with from now on. Keep it: it can't be shown again, and is not in an answer that is
    /// repeated.
    #[schema(required = false, example = "whsec_…")]
    secret: String,
    #[serde(flatten)]
    endpoint: &'a EndpointBody,
}

/// Replace the secret of an endpoint
///
/// The answer holds the new one, once. For a day, or as long as is asked for, deliveries carry a signature by each of the two,
/// so that the receiver can change over at any time. An endpoint with `v1a` signatures gets a new key, too.
#[utoipa::path(
    post, path = "/api/admin/webhooks/{id}/rotate-secret", operation_id = "rotate_endpoint_secret", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    request_body = RotateSecret,
    responses((status = 200, description = "Replaced", body = RotatedEndpoint<'static>)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn rotate_secret(
    caller: Authorized<WebhooksWrite>,
    Extension(shared): Extension<Shared>,
    PathId(id): PathId<kind::Endpoint>,
    key: IdempotencyKey,
    body: Option<Json<RotateSecret>>,
) -> Reply {
    let body = Json::or_default(body);
    let seconds = body.value.overlap_seconds.unwrap_or(alteration::OVERLAP.as_secs());
    if seconds > alteration::LONGEST_OVERLAP.as_secs() {
        let message = format!("must be 0 to {}", alteration::LONGEST_OVERLAP.as_secs());
        return Err(Refused(Problem::invalid("/overlap_seconds", "range", message)));
    }
    let endpoint = find(&caller, id).await?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let organization = context.caller.known.organization;
    let overlap = Duration::from_secs(seconds);
    let (after, secret) = alteration::rotated(&endpoint, overlap, organization, &shared.sealing, now)?;
    let mut record = context.record("endpoint.rotate_secret", "endpoint", &id.to_string());
    record.sensitive = true;
    record.changes.push(FieldChange {
        field: "secret".to_owned(),
        before: "not shown".into(),
        after: "not shown, another one".into(),
    });
    let change = alteration::change(&endpoint, &after, organization, record)?;
    let shown = EndpointBody::of(&after, now);
    let revealed = RotatedEndpoint { secret: secret.reveal(), endpoint: &shown };
    let committed = Committed { status: StatusCode::OK, body: &revealed, replayed: &shown };
    context.commit(change, None, &key, &body.bytes, committed).await
}

/// What to try an endpoint out with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"event": "lead.replied"}))]
struct TestEndpoint {
    /// An event type; `lead.created` if not given. It need not be one that the endpoint subscribes to.
    #[serde(default)]
    event: Option<EventType>,
}

/// A test event on its way.
#[derive(Debug, Serialize, ToSchema)]
struct TestSent {
    event_id: EventId,
    /// Where to see what became of it: `GET /api/admin/webhooks/deliveries/{id}`, in a moment.
    delivery_id: DeliveryId,
    event: EventType,
}

/// Try an endpoint out
///
/// Sends it the example of an event type, signed and retried as any other. No other endpoint gets it.
#[utoipa::path(
    post, path = "/api/admin/webhooks/{id}/test", operation_id = "test_endpoint", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    request_body = TestEndpoint,
    responses((status = 202, description = "On its way", body = TestSent)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn test(
    caller: Authorized<WebhooksWrite>,
    PathId(id): PathId<kind::Endpoint>,
    key: IdempotencyKey,
    body: Option<Json<TestEndpoint>>,
) -> Reply {
    let body = Json::or_default(body);
    let endpoint = find(&caller, id).await?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let organization = context.caller.known.organization;
    let r#type = body.value.event.unwrap_or(EventType::LeadCreated);
    let ids = context.edge().ids();
    let event = replay::trial(&endpoint, r#type, organization, ids, now)?;
    let event_id = event.id();
    let mut record = context.record("endpoint.test", "endpoint", &id.to_string());
    record.workspace_id = endpoint.workspace_id;
    let change = Change::audited(record);
    let change = match replay::forbids_sending(&endpoint) {
        None => change.causing(event),
        Some(rule) => change.ruled_out(organization, rule),
    };
    let shown = TestSent { event_id, delivery_id: store::delivery_id(event_id, id), event: r#type };
    let committed = Committed { status: StatusCode::ACCEPTED, body: &shown, replayed: &shown };
    context.commit(change, None, &key, &body.bytes, committed).await
}
