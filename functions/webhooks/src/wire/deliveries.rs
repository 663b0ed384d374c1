//! Deliveries and dead letters on the wire.

use std::collections::BTreeSet;

use access::CallerKind;
use access::permission::{Permit, WebhooksRead, WebhooksWrite};
use axum::Extension;
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{
    Authorized, Committed, Edge, IdempotencyKey, Json, Narrow, Narrowed, PathId, Refused, Reply, Values,
    includes, routes,
};
use events::EventType;
use ids::{AttemptId, DeliveryId, EndpointId, EventId, ReplayId, kind};
use problem::{Code, FieldError, Problem};
use serde::{Deserialize, Serialize};
use store::{
    Attempt, Change, DeadLetterFilter, Delivery, DeliveryFilter, DeliveryStatus, ErrorClass, Replayed,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::endpoints::{EventName, find};
use super::replays::{ReplayBody, begin};
use crate::Shared;
use crate::app::redrive::{self, redrivable};
use crate::app::replay::{self, MOST_REDRIVEN};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(retry))
        .routes(routes!(dead_letters))
        .routes(routes!(redrive))
}

/// An event owed to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryBody {
    id: DeliveryId,
    event_id: EventId,
    event: EventType,
    endpoint_id: EndpointId,
    status: DeliveryStatus,
    attempt_count: u32,
    next_attempt_at: Option<Timestamp>,
    /// Why it was cancelled.
    reason: Option<String>,
    /// The replay that last began it anew.
    replay_id: Option<ReplayId>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// First to last, the last 50; when a single delivery is asked for, or a list with `include=attempts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

/// One attempt at a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptBody {
    id: AttemptId,
    number: u32,
    started_at: Timestamp,
    duration_ms: u64,
    response_status: Option<u16>,
    /// `status`, `redirect`, `timeout`, `dns`, `forbidden_address`, `connect`, `tls`, `reset`, `response_too_large` or
    /// `protocol`. Beside a status of 2xx it is a note about the body: the delivery has succeeded.
    error: Option<ErrorClass>,
    /// The first 4 KiB; a list leaves out what has more than 200 bytes.
    response_body: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryList {
    data: Vec<DeliveryBody>,
    /// Give it as `cursor` to get the next page; null on the last one. A narrowed list may have short pages.
    next_cursor: Option<String>,
}

impl DeliveryBody {
    fn of(delivery: &Delivery, attempts: bool) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            event: delivery.event,
            endpoint_id: delivery.endpoint_id,
            status: delivery.status,
            attempt_count: delivery.attempt_count,
            next_attempt_at: delivery.next_attempt_at.filter(|_| delivery.status.is_owed()),
            reason: delivery.reason.clone(),
            replay_id: delivery.replay_id,
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
            attempts: attempts.then(|| delivery.attempts.iter().map(AttemptBody::from).collect()),
        }
    }
}

impl From<&Attempt> for AttemptBody {
    fn from(attempt: &Attempt) -> Self {
        Self {
            id: attempt.id,
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            response_status: attempt.response_status,
            error: attempt.error,
            response_body: attempt.response_body.clone(),
        }
    }
}

/// What a list of deliveries is narrowed by.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
struct FilterParameters {
    /// `pending`, `retrying`, `succeeded`, `dead` or `cancelled`.
    status: Option<DeliveryStatus>,
    /// An event type.
    event: Option<EventType>,
    /// `attempts`: each delivery with its attempts.
    #[param(pattern = "^attempts$")]
    include: Option<String>,
}

#[derive(Debug, Clone)]
struct Filter {
    deliveries: DeliveryFilter,
    with_attempts: bool,
}

impl Narrow for Filter {
    const NAMES: &'static [&'static str] = &["status", "event", "include"];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        let mut filter = DeliveryFilter { event: event(values, faults), ..DeliveryFilter::default() };
        if let Some(name) = values.get("status") {
            filter.status = DeliveryStatus::parse(name);
            if filter.status.is_none() {
                faults.push(FieldError::new("query:status", "value", "is not the status of a delivery"));
            }
        }
        Self { deliveries: filter, with_attempts: includes(values, faults, "attempts") }
    }
}

fn event(values: &Values, faults: &mut Vec<FieldError>) -> Option<EventType> {
    let event = EventType::parse(values.get("event")?).ok();
    if event.is_none() {
        faults.push(FieldError::new("query:event", "value", "is not an event type"));
    }
    event
}

/// List the deliveries to an endpoint
///
/// Newest event first. One that nobody has begun to send yet is not listed: that takes moments.
#[utoipa::path(
    get, path = "/api/admin/webhooks/{id}/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`"), FilterParameters),
    responses((status = 200, description = "A page", body = DeliveryList))
)]
async fn list(
    caller: Authorized<WebhooksRead>,
    PathId(id): PathId<kind::Endpoint>,
    narrowed: Narrowed<Filter>,
) -> Reply {
    let Narrowed { paging, by: Filter { deliveries: filter, with_attempts } } = narrowed;
    let confines = caller.confines();
    let endpoint = find(&caller, id).await?;
    let (page, now) = (paging.page(&confines)?, caller.context.request.now);
    let listed = caller.context.tenant().deliveries_to(endpoint.id, &filter, &page, now).await?;
    let shown: Vec<_> =
        listed.items.iter().map(|delivery| DeliveryBody::of(delivery, with_attempts)).collect();
    paging.reply(&confines, &shown, listed.next)
}

/// Whether the caller sees whatever was delivered.
fn reaches_all<P: Permit>(caller: &Authorized<P>) -> bool {
    caller.reaches_everywhere() && matches!(caller.context.caller.known.kind, CallerKind::Person { .. })
}

/// The endpoints in the caller's reach.
async fn open_endpoints<P: Permit>(caller: &Authorized<P>) -> Result<BTreeSet<EndpointId>, Refused> {
    let endpoints = caller.context.tenant().all_endpoints().await?;
    let open = endpoints.iter().filter(|endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode));
    Ok(open.map(|endpoint| endpoint.id).collect())
}

/// Those of `deliveries` that are in the caller's reach: what its workspaces' events led to, at endpoints it reaches. What
/// was delivered to endpoints that are gone is for people who reach everything.
async fn seen<P: Permit>(
    caller: &Authorized<P>,
    mut deliveries: Vec<Delivery>,
) -> Result<Vec<Delivery>, Refused> {
    let known = &caller.context.caller.known;
    if reaches_all(caller) {
        return Ok(deliveries);
    }
    deliveries.retain(|delivery| caller.reaches(Some(delivery.workspace_id), known.mode()));
    let named: BTreeSet<EndpointId> = deliveries.iter().map(|delivery| delivery.endpoint_id).collect();
    let endpoints =
        futures::future::try_join_all(named.into_iter().map(|id| caller.context.tenant().endpoint(id)))
            .await?;
    let open: BTreeSet<EndpointId> = endpoints
        .iter()
        .flatten()
        .filter(|endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode))
        .map(|endpoint| endpoint.id)
        .collect();
    deliveries.retain(|delivery| open.contains(&delivery.endpoint_id));
    Ok(deliveries)
}

/// Get a delivery
///
/// With its attempts.
#[utoipa::path(
    get, path = "/api/admin/webhooks/deliveries/{id}", operation_id = "get_delivery", tag = "webhooks",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "The delivery", body = DeliveryBody, headers(("ETag" = String))))
)]
async fn get(caller: Authorized<WebhooksRead>, PathId(id): PathId<kind::Delivery>) -> Reply {
    let missing = Problem::NotFound { what: "delivery" };
    let found = caller.context.tenant().delivery_detail(id).await?.ok_or(missing.clone())?;
    let delivery = seen(&caller, vec![found]).await?.pop().ok_or(missing)?;
    edge::ok(&DeliveryBody::of(&delivery, true), Some(delivery.updated_at))
}

/// Send a delivery again
///
/// At once, whatever became of it, and with all its retries before it. The receiver gets the same `webhook-id`. One that is
/// being sent at this moment, or was begun anew within the last minute, is left alone; one that is past its retention has
/// nothing left to send.
#[utoipa::path(
    post, path = "/api/admin/webhooks/deliveries/{id}/retry", operation_id = "retry_delivery", tag = "webhooks",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 202, description = "On its way", body = DeliveryBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn retry(
    caller: Authorized<WebhooksWrite>,
    Extension(shared): Extension<Shared>,
    PathId(id): PathId<kind::Delivery>,
    key: IdempotencyKey,
) -> Reply {
    let missing = Problem::NotFound { what: "delivery" };
    let (context, now) = (&caller.context, caller.context.request.now);
    let found = context.tenant().delivery(id).await?.ok_or(missing.clone())?;
    let delivery = seen(&caller, vec![found]).await?.pop().ok_or(missing)?;
    let endpoint = find(&caller, delivery.endpoint_id).await?;
    let organization = context.caller.known.organization;
    let record = context.record("delivery.retry", "delivery", &id.to_string());
    let deliveries = std::slice::from_ref(&delivery);
    let rule = replay::forbids_sending(&endpoint).or_else(|| replay::forbids_retry(&delivery, now));
    let change = match rule {
        None => replay::begin_anew(deliveries, &DeliveryStatus::ALL, organization, record),
        Some(rule) => Change::audited(record).ruled_out(organization, rule),
    };
    let begun = Delivery {
        status: DeliveryStatus::Pending,
        next_attempt_at: Some(now),
        reason: None,
        updated_at: now,
        ..delivery.clone()
    };
    let shown = DeliveryBody::of(&begun, false);
    let committed = Committed { status: StatusCode::ACCEPTED, body: &shown, replayed: &shown };
    let reply = context.commit(change, Some(delivery.workspace_id), &key, &[], committed).await?;
    redrive::send(&shared.lane, context.caller.known.organization, deliveries).await;
    Ok(reply)
}

/// What a list of dead letters is narrowed by.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
struct DeadParameters {
    /// Those owed to this endpoint: `ep_…`.
    endpoint_id: Option<EndpointId>,
    /// An event type.
    event: Option<EventType>,
    /// Of events that happened from this time on, RFC 3339.
    since: Option<Timestamp>,
    /// Of events that happened before this time.
    until: Option<Timestamp>,
    /// `attempts`: each delivery with its attempts.
    #[param(pattern = "^attempts$")]
    include: Option<String>,
}

#[derive(Debug, Clone)]
struct Dead {
    filter: DeadLetterFilter,
    with_attempts: bool,
}

impl Narrow for Dead {
    const NAMES: &'static [&'static str] = &["endpoint_id", "event", "since", "until", "include"];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        let endpoint = values.get("endpoint_id").map(|id| id.parse::<EndpointId>());
        if matches!(endpoint, Some(Err(_))) {
            faults.push(FieldError::new("query:endpoint_id", "value", "is not the id of an endpoint"));
        }
        let mut time = |name: &str| {
            let time = Timestamp::parse(values.get(name)?);
            if time.is_none() {
                let message = "must be a time like 2026-11-22T15:04:05Z";
                faults.push(FieldError::new(format!("query:{name}"), "format", message));
            }
            time
        };
        let (since, until) = (time("since"), time("until"));
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            faults.push(FieldError::new("query:until", "range", "must be after `since`"));
        }
        let (endpoint, event) = (endpoint.and_then(Result::ok), event(values, faults));
        Self {
            filter: DeadLetterFilter { endpoint, event, since, until },
            with_attempts: includes(values, faults, "attempts"),
        }
    }
}

/// List dead letters
///
/// Deliveries whose attempts are exhausted, latest first. A narrowed page may be short, even empty, and not be the last:
/// `next_cursor` says.
#[utoipa::path(
    get, path = "/api/admin/webhooks/dead-letters", operation_id = "list_dead_letters", tag = "webhooks",
    params(DeadParameters),
    responses((status = 200, description = "A page", body = DeliveryList))
)]
async fn dead_letters(caller: Authorized<WebhooksRead>, narrowed: Narrowed<Dead>) -> Reply {
    let Narrowed { paging, by: Dead { filter, with_attempts } } = narrowed;
    let confines = caller.confines();
    // Pages are filled with what may be seen, so that no cursor tells of the rest.
    let open = match reaches_all(&caller) {
        true => None,
        false => Some(open_endpoints(&caller).await?),
    };
    let mode = caller.context.caller.known.mode();
    let in_reach = |delivery: &Delivery| {
        caller.reaches(Some(delivery.workspace_id), mode)
            && open.as_ref().is_none_or(|open| open.contains(&delivery.endpoint_id))
    };
    let sees: Option<&(dyn Fn(&Delivery) -> bool + Sync)> =
        if open.is_some() { Some(&in_reach) } else { None };
    let page = caller.context.tenant().dead_letters(&filter, sees, &paging.page(&confines)?).await?;
    let shown: Vec<_> = page.items.iter().map(|delivery| DeliveryBody::of(delivery, with_attempts)).collect();
    paging.reply(&confines, &shown, page.next)
}

/// Which dead letters are to be sent again: some by their ids, or all of an endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"endpoint_id": "ep_01kaq8zr3yfe2r4m8n5p6q7s8t", "since": "2026-11-01T00:00:00Z"}))]
struct Redrive {
    /// Up to 45 of them.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 45)]
    delivery_ids: Option<Vec<DeliveryId>>,
    /// All dead letters of this endpoint, by a replay.
    #[serde(default)]
    endpoint_id: Option<EndpointId>,
    /// With `endpoint_id`: of events from then on.
    #[serde(default)]
    since: Option<Timestamp>,
    /// With `endpoint_id`: of events before then.
    #[serde(default)]
    until: Option<Timestamp>,
    /// With `endpoint_id`: of these event types.
    #[serde(default)]
    #[schema(value_type = Vec<EventName>)]
    events: Vec<String>,
}

/// What is redriven.
#[derive(Debug, Serialize, ToSchema)]
struct Redriven {
    /// Deliveries on their way.
    delivery_ids: Vec<DeliveryId>,
    /// Ones that were named and are no dead letters any more, are past their retention, or whose endpoint is disabled or
    /// gone.
    skipped: Vec<DeliveryId>,
    /// The replay that sends the dead letters of an endpoint.
    replay: Option<ReplayBody>,
}

/// Redrive dead letters
///
/// Some by their ids, or all of an endpoint by a replay, which has progress and can be paused and cancelled; it is refused
/// while another replay to the endpoint runs or is paused. Each has all its retries before it.
#[utoipa::path(
    post, path = "/api/admin/webhooks/dead-letters/redrive", operation_id = "redrive_dead_letters", tag = "webhooks",
    request_body = Redrive,
    responses((status = 202, description = "On their way", body = Redriven)),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict])))
)]
async fn redrive(
    caller: Authorized<WebhooksWrite>,
    Extension(shared): Extension<Shared>,
    key: IdempotencyKey,
    body: Json<Redrive>,
) -> Reply {
    let Redrive { delivery_ids, endpoint_id, since, until, events } = body.value;
    let (context, now) = (&caller.context, caller.context.request.now);
    match (delivery_ids, endpoint_id) {
        (None, Some(endpoint)) => {
            let statuses = Some(vec![Replayed::Dead.as_str().to_owned()]);
            let draft = replay::Draft { since, until, events, statuses, rate_per_second: None };
            let endpoint = find(&caller, endpoint).await?;
            let (replay, change) = begin(context, &endpoint, draft, "dead_letters.redrive")?;
            let replay = Some(ReplayBody::of(&replay));
            let shown = Redriven { delivery_ids: Vec::new(), skipped: Vec::new(), replay };
            let committed = Committed { status: StatusCode::ACCEPTED, body: &shown, replayed: &shown };
            context.commit(change, None, &key, &body.bytes, committed).await
        }
        (Some(ids), None) if since.is_none() && until.is_none() && events.is_empty() => {
            let ids: Vec<_> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            if !(1..=MOST_REDRIVEN).contains(&ids.len()) {
                let message = format!("must name 1 to {MOST_REDRIVEN} deliveries");
                return Err(Refused(Problem::invalid("/delivery_ids", "length", message)));
            }
            let found = seen(&caller, context.tenant().deliveries(&ids).await?).await?;
            let redriven = redrivable(context.tenant(), found, now).await?;
            let delivery_ids: Vec<_> = redriven.iter().map(|delivery| delivery.id).collect();
            let skipped = ids.into_iter().filter(|id| !delivery_ids.contains(id)).collect();
            let shown = Redriven { delivery_ids, skipped, replay: None };
            let record = context.record("dead_letters.redrive", "delivery", "");
            let organization = context.caller.known.organization;
            let change = replay::begin_anew(&redriven, &[DeliveryStatus::Dead], organization, record);
            let committed = Committed { status: StatusCode::ACCEPTED, body: &shown, replayed: &shown };
            let reply = context.commit(change, None, &key, &body.bytes, committed).await?;
            redrive::send(&shared.lane, organization, &redriven).await;
            Ok(reply)
        }
        _ => {
            let message = "give either `delivery_ids` alone, or `endpoint_id`";
            Err(Refused(Problem::invalid("", "value", message)))
        }
    }
}
