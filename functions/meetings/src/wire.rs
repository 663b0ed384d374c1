//! Meetings on the wire.

use access::permission::{MeetingsRead, MeetingsWrite};
use clock::Timestamp;
use edge::{Committed, Edge, IdempotencyKey, InWorkspace, Json, Paging, PathId, Refused, Reply, routes};
use ids::{LeadId, MeetingId, WorkspaceId, kind};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Meeting, MeetingStatus};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{self, Draft};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get)).routes(routes!(cancel))
}

/// A meeting to be booked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lead_id": "lead_01kaq8zr3yfe2r4m8n5p6q7s8t", "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T10:30:00Z", "location": "Café Central"}))]
struct CreateMeeting {
    /// A lead of the same workspace.
    lead_id: LeadId,
    starts_at: Timestamp,
    /// After it begins, by 24 hours at most.
    ends_at: Timestamp,
    /// A place or a link, up to 500 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    location: Option<String>,
}

/// A meeting.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Meeting)]
struct MeetingBody {
    id: MeetingId,
    workspace_id: WorkspaceId,
    lead_id: LeadId,
    starts_at: Timestamp,
    ends_at: Timestamp,
    location: Option<String>,
    /// `booked` or `cancelled`.
    status: MeetingStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A page of meetings.
#[derive(Debug, Serialize, ToSchema)]
struct MeetingList {
    data: Vec<MeetingBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<&Meeting> for MeetingBody {
    fn from(meeting: &Meeting) -> Self {
        Self {
            id: meeting.id,
            workspace_id: meeting.workspace_id,
            lead_id: meeting.lead_id,
            starts_at: meeting.starts_at,
            ends_at: meeting.ends_at,
            location: meeting.location.clone(),
            status: meeting.status,
            created_at: meeting.created_at,
            updated_at: meeting.updated_at,
        }
    }
}

const MISSING: Refused = Refused(Problem::NotFound { what: "meeting" });

/// Book a meeting
///
/// Causes `meeting.booked`.
#[utoipa::path(
    post, path = "/", operation_id = "create_meeting", tag = "meetings",
    request_body = CreateMeeting,
    responses((status = 201, description = "Booked", body = MeetingBody))
)]
async fn create(caller: InWorkspace<MeetingsWrite>, key: IdempotencyKey, body: Json<CreateMeeting>) -> Reply {
    let CreateMeeting { lead_id, starts_at, ends_at, location } = body.value;
    let (scope, ids) = (caller.workspace.scope(), caller.context.edge().ids());
    let draft = Draft { lead_id, starts_at, ends_at, location };
    let meeting = draft.check(scope, ids, caller.context.request.now)?;
    let shown = MeetingBody::from(&meeting);
    let record = caller.record("meeting.create", "meeting", &meeting.id.to_string());
    let change = app::book(&meeting, scope, record, ids, &shown)?;
    caller.commit(change, &key, &body.bytes, Committed::created(&shown)).await
}

/// List meetings
///
/// Those booked last first.
#[utoipa::path(
    get, path = "/", operation_id = "list_meetings", tag = "meetings",
    responses((status = 200, description = "A page", body = MeetingList))
)]
async fn list(caller: InWorkspace<MeetingsRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.workspace.meetings(&paging.page(&confines)?).await?;
    paging.show(&confines, &page, |last| last.id.to_string(), |meeting| Some(MeetingBody::from(meeting)))
}

/// Get a meeting
#[utoipa::path(
    get, path = "/{id}", operation_id = "get_meeting", tag = "meetings",
    params(("id" = String, Path, description = "`mtg_…`")),
    responses((status = 200, description = "The meeting", body = MeetingBody, headers(("ETag" = String))))
)]
async fn get(caller: InWorkspace<MeetingsRead>, PathId(id): PathId<kind::Meeting>) -> Reply {
    let meeting = caller.workspace.meeting(id).await?.ok_or(MISSING)?;
    edge::ok(&MeetingBody::from(&meeting), Some(meeting.updated_at))
}

/// Cancel a meeting
///
/// It stays listed. Causes `meeting.cancelled`.
#[utoipa::path(
    post, path = "/{id}/cancel", operation_id = "cancel_meeting", tag = "meetings",
    params(("id" = String, Path, description = "`mtg_…`")),
    responses((status = 200, description = "Cancelled", body = MeetingBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn cancel(
    caller: InWorkspace<MeetingsWrite>,
    PathId(id): PathId<kind::Meeting>,
    key: IdempotencyKey,
) -> Reply {
    let (scope, ids, now) =
        (caller.workspace.scope(), caller.context.edge().ids(), caller.context.request.now);
    let meeting = caller.workspace.meeting(id).await?.ok_or(MISSING)?;
    let cancelled = app::cancelled(&meeting, now);
    let shown = MeetingBody::from(&cancelled);
    let record = caller.record("meeting.cancel", "meeting", &id.to_string());
    let change = app::cancel(&cancelled, scope, record, ids, &shown)?;
    caller.commit(change, &key, &[], Committed::ok(&shown)).await
}
