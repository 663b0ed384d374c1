//! Replays on the wire.

use access::permission::{WebhooksRead, WebhooksWrite};
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{
    Authorized, Committed, Context, Edge, IdempotencyKey, Json, Paging, PathId, Refused, Reply, routes,
};
use events::EventType;
use ids::{EndpointId, ReplayId, kind};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Change, Endpoint, EventFilter, PageRequest, Replay, ReplayStatus, Replayed};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::endpoints::EventName;
use super::endpoints::find;
use crate::app::replay::{self, Draft};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
}

/// A dry run looks at no more events of the log than this, those that the endpoint does not subscribe to included.
const MOST_COUNTED: usize = 5_000;
/// And at so many at once.
const STRETCH: usize = 100;

/// What is to be replayed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"since": "2026-11-01T00:00:00Z", "statuses": ["missing", "dead"], "dry_run": true}))]
struct StartReplay {
    /// Events from then on; from the beginning if not given.
    #[serde(default)]
    since: Option<Timestamp>,
    /// Events before then; until now if not given.
    #[serde(default)]
    until: Option<Timestamp>,
    /// Events of these types, or `["*"]`; of all that the endpoint subscribes to if not given.
    #[serde(default)]
    #[schema(value_type = Vec<EventName>)]
    events: Vec<String>,
    /// Events that were never sent to it (`missing`), and ones whose delivery is `dead`, `cancelled` or `succeeded`. If not
    /// given: the first three.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Replayed>>, min_items = 1)]
    statuses: Option<Vec<String>>,
    /// Deliveries a second, at most: 1 to 500, 50 if not given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 500)]
    rate_per_second: Option<u32>,
    /// Only tell how many there are. That changes nothing, so an `Idempotency-Key` has no effect: each time they are counted
    /// anew.
    #[serde(default)]
    dry_run: bool,
}

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub(super) struct ReplayBody {
    id: ReplayId,
    endpoint_id: EndpointId,
    since: Timestamp,
    until: Timestamp,
    events: Vec<EventType>,
    statuses: Vec<Replayed>,
    rate_per_second: u32,
    status: ReplayStatus,
    progress: Progress,
    created_at: Timestamp,
    updated_at: Timestamp,
    finished_at: Option<Timestamp>,
}

/// How far a replay has come.
#[derive(Debug, Serialize, ToSchema)]
struct Progress {
    /// Events that it has looked at and that the endpoint subscribes to.
    looked_at: u64,
    /// Deliveries that it has begun.
    sent: u64,
    /// The time of the last event it has looked at.
    position: Option<Timestamp>,
    /// How much of the time between `since` and `until` lies behind it: 0 to 1.
    fraction: f64,
}

impl ReplayBody {
    pub(super) fn of(replay: &Replay) -> Self {
        let replay = replay.clone();
        let position = replay.position.map(|event| event.time());
        let whole = replay.until.since(replay.since).as_secs_f64();
        let behind = position.map_or(0.0, |at| at.since(replay.since).as_secs_f64());
        let fraction = match replay.status {
            ReplayStatus::Completed => 1.0,
            _ if whole > 0.0 => (behind / whole).clamp(0.0, 1.0),
            _ => 0.0,
        };
        Self {
            id: replay.id,
            endpoint_id: replay.endpoint_id,
            since: replay.since,
            until: replay.until,
            events: replay.events,
            statuses: replay.statuses,
            rate_per_second: replay.rate_per_second,
            status: replay.status,
            progress: Progress { looked_at: replay.looked_at, sent: replay.sent, position, fraction },
            created_at: replay.created_at,
            updated_at: replay.updated_at,
            finished_at: replay.finished_at,
        }
    }
}

/// How many deliveries a replay would begin.
#[derive(Debug, Serialize, ToSchema)]
struct DryRun {
    /// How many, of the events that were looked at.
    count: u64,
    /// How many events those are that the endpoint subscribes to.
    looked_at: u64,
    /// Whether that is all of them. No more than some 5,000 events are looked at, and those that the endpoint does not
    /// subscribe to, or that are not of the `events` that were asked for, are among them: then it is false, and a later
    /// `since` or an earlier `until` counts the rest.
    complete: bool,
}

/// A page of replays.
#[derive(Debug, Serialize, ToSchema)]
struct ReplayList {
    data: Vec<ReplayBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

/// The replay that was asked for, and the change that starts it.
pub(super) fn begin(
    context: &Context,
    endpoint: &Endpoint,
    draft: Draft,
    action: &'static str,
) -> Result<(Replay, Change), Refused> {
    let organization = context.caller.known.organization;
    let replay = draft.check(endpoint, organization, context.edge().ids(), context.request.now)?;
    let record = context.record(action, "replay", &replay.id.to_string());
    let change = match replay::forbids_sending(endpoint) {
        None => replay::start(&replay, endpoint, organization, record)?,
        Some(rule) => Change::audited(record).ruled_out(organization, rule),
    };
    Ok((replay, change))
}

/// Replay events to an endpoint
///
/// Sends it events of the past: ones that it was never sent, and deliveries that were given up, cancelled or, if that is asked
/// for, taken. The receiver gets the same `webhook-id` as before. A dry run tells how many there are. Otherwise the replay
/// starts within a minute; it has progress, and can be paused and cancelled. One to each endpoint, and five of the
/// organization, may run or be paused at a time.
#[utoipa::path(
    post, path = "/api/admin/webhooks/{id}/replay", operation_id = "replay_events", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    request_body = StartReplay,
    responses((status = 200, description = "How many there are (`dry_run`)", body = DryRun), (status = 202, description = "Started", body = ReplayBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn start(
    caller: Authorized<WebhooksWrite>,
    PathId(id): PathId<kind::Endpoint>,
    key: IdempotencyKey,
    body: Json<StartReplay>,
) -> Reply {
    let StartReplay { since, until, events, statuses, rate_per_second, dry_run } = body.value;
    let draft = Draft { since, until, events, statuses, rate_per_second };
    let context = &caller.context;
    let endpoint = find(&caller, id).await?;
    if dry_run {
        let organization = context.caller.known.organization;
        let replay = draft.check(&endpoint, organization, context.edge().ids(), context.request.now)?;
        return edge::ok(&count(context, &endpoint, &replay).await?, None);
    }
    let (replay, change) = begin(context, &endpoint, draft, "endpoint.replay")?;
    let shown = ReplayBody::of(&replay);
    let committed = Committed { status: StatusCode::ACCEPTED, body: &shown, replayed: &shown };
    context.commit(change, None, &key, &body.bytes, committed).await
}

async fn count(context: &Context, endpoint: &Endpoint, replay: &Replay) -> Result<DryRun, Refused> {
    let (tenant, now) = (context.tenant(), context.request.now);
    let filter =
        EventFilter { events: replay.events.clone(), mode: Some(endpoint.mode), ..EventFilter::default() };
    let mut run = DryRun { count: 0, looked_at: 0, complete: false };
    let mut page = PageRequest { limit: STRETCH, after: None };
    let mut looked_at = 0;
    while looked_at < MOST_COUNTED {
        let listed = tenant.events_since(replay.since, &filter, &page, now).await?;
        looked_at += listed.looked_at;
        let ids: Vec<_> = listed
            .items
            .iter()
            .filter(|event| event.id.time() < replay.until && event.only_for.is_none())
            .filter(|event| endpoint.is_for(event.event, event.mode, event.workspace_id))
            .map(|event| event.id)
            .collect();
        if !ids.is_empty() {
            let found = tenant.deliveries_of_events(endpoint.id, &ids).await?;
            let counts = ids.iter().filter(|id| {
                let delivery = found.iter().find(|delivery| delivery.event_id == **id);
                let status = Replayed::of(delivery.map(|delivery| delivery.status));
                status.is_some_and(|status| replay.statuses.contains(&status))
            });
            run.count += u64::try_from(counts.count()).unwrap_or(0);
            run.looked_at += u64::try_from(ids.len()).unwrap_or(0);
        }
        let position = listed.next.as_deref().and_then(store::event_at);
        match position.filter(|last| last.time() < replay.until) {
            Some(after) => page.after = Some(after),
            None => {
                run.complete = true;
                break;
            }
        }
    }
    Ok(run)
}

/// List the replays to an endpoint
///
/// Latest first.
#[utoipa::path(
    get, path = "/api/admin/webhooks/{id}/replays", operation_id = "list_replays", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "A page", body = ReplayList))
)]
async fn list(caller: Authorized<WebhooksRead>, PathId(id): PathId<kind::Endpoint>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let endpoint = find(&caller, id).await?;
    let page: PageRequest<ReplayId> = paging.page(&confines)?;
    let listed = caller.context.tenant().replays(endpoint.id, &page).await?;
    let next = listed.next.as_deref().and_then(|sk| sk.rsplit_once('#')).map(|(_, id)| id.to_owned());
    let shown: Vec<_> = listed.items.iter().map(ReplayBody::of).collect();
    paging.reply(&confines, &shown, next)
}

/// The replay, if its endpoint is in the caller's reach, or was before it was deleted.
async fn find_replay<P: access::permission::Permit>(
    caller: &Authorized<P>,
    id: ReplayId,
) -> Result<Replay, Refused> {
    let missing = Refused(Problem::NotFound { what: "replay" });
    let Some(replay) = caller.context.tenant().replay(id).await? else { return Err(missing) };
    match caller.context.tenant().endpoint(replay.endpoint_id).await? {
        Some(endpoint) if caller.reaches(endpoint.workspace_id, endpoint.mode) => Ok(replay),
        None if replay.mode.is_some_and(|mode| caller.reaches(replay.workspace_id, mode)) => Ok(replay),
        _ => Err(missing),
    }
}

/// Get a replay
#[utoipa::path(
    get, path = "/api/admin/webhooks/replays/{id}", operation_id = "get_replay", tag = "webhooks",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, description = "The replay", body = ReplayBody, headers(("ETag" = String))))
)]
async fn get(caller: Authorized<WebhooksRead>, PathId(id): PathId<kind::Replay>) -> Reply {
    let replay = find_replay(&caller, id).await?;
    edge::ok(&ReplayBody::of(&replay), Some(replay.updated_at))
}

/// Pause a replay
///
/// What it has queued is sent; the rest waits until it is resumed.
#[utoipa::path(
    post, path = "/api/admin/webhooks/replays/{id}/pause", operation_id = "pause_replay", tag = "webhooks",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, description = "Paused", body = ReplayBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn pause(
    caller: Authorized<WebhooksWrite>,
    PathId(id): PathId<kind::Replay>,
    key: IdempotencyKey,
) -> Reply {
    moved(caller, id, key, "replay.pause", &[ReplayStatus::Running], ReplayStatus::Paused).await
}

/// Resume a replay
#[utoipa::path(
    post, path = "/api/admin/webhooks/replays/{id}/resume", operation_id = "resume_replay", tag = "webhooks",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, description = "Running", body = ReplayBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn resume(
    caller: Authorized<WebhooksWrite>,
    PathId(id): PathId<kind::Replay>,
    key: IdempotencyKey,
) -> Reply {
    moved(caller, id, key, "replay.resume", &[ReplayStatus::Paused], ReplayStatus::Running).await
}

/// Cancel a replay
///
/// What it has queued is sent; the rest is not.
#[utoipa::path(
    post, path = "/api/admin/webhooks/replays/{id}/cancel", operation_id = "cancel_replay", tag = "webhooks",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, description = "Cancelled", body = ReplayBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn cancel(
    caller: Authorized<WebhooksWrite>,
    PathId(id): PathId<kind::Replay>,
    key: IdempotencyKey,
) -> Reply {
    let from = [ReplayStatus::Running, ReplayStatus::Paused];
    moved(caller, id, key, "replay.cancel", &from, ReplayStatus::Cancelled).await
}

async fn moved(
    caller: Authorized<WebhooksWrite>,
    id: ReplayId,
    key: IdempotencyKey,
    action: &'static str,
    from: &[ReplayStatus],
    to: ReplayStatus,
) -> Reply {
    let replay = find_replay(&caller, id).await?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let mut record = context.record(action, "replay", &id.to_string());
    record.changes.push(store::FieldChange {
        field: "status".to_owned(),
        before: replay.status.as_str().into(),
        after: to.as_str().into(),
    });
    let organization = context.caller.known.organization;
    let now = store::touched(replay.updated_at, now);
    let change = Change::audited(record).move_replay(organization, &replay, from, to, now);
    let finished_at = (to == ReplayStatus::Cancelled).then_some(now);
    let shown = ReplayBody::of(&Replay { status: to, updated_at: now, finished_at, ..replay });
    context.commit(change, None, &key, &[], Committed::ok(&shown)).await
}
