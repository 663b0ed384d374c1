//! Campaigns on the wire.

use access::permission::{CampaignsDelete, CampaignsRead, CampaignsWrite};
use clock::Timestamp;
use edge::{
    Committed, Edge, IdempotencyKey, IfMatch, InWorkspace, Json, Paging, PathId, Refused, Reply, routes,
};
use ids::{CampaignId, WorkspaceId, kind};
use input::Patch;
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Campaign, CampaignStatus};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{self, Draft, NewCampaign, Step};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change, delete))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(complete))
}

/// A campaign to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Autumn outreach", "goal": "20 meetings"}))]
struct CreateCampaign {
    /// 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    /// Up to 2,000 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000, pattern = r"\S")]
    description: Option<String>,
    /// Up to 500 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    goal: Option<String>,
}

/// What is to be changed; what is left out stays, and null removes what can be removed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"goal": "30 meetings"}))]
struct ChangeCampaign {
    /// 1 to 200 characters.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"\S")]
    name: Patch<String>,
    /// Up to 2,000 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000, pattern = r"\S")]
    description: Patch<String>,
    /// Up to 500 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, pattern = r"\S")]
    goal: Patch<String>,
}

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
struct CampaignBody {
    id: CampaignId,
    workspace_id: WorkspaceId,
    name: String,
    description: Option<String>,
    goal: Option<String>,
    status: CampaignStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A page of campaigns.
#[derive(Debug, Serialize, ToSchema)]
struct CampaignList {
    data: Vec<CampaignBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<&Campaign> for CampaignBody {
    fn from(campaign: &Campaign) -> Self {
        Self {
            id: campaign.id,
            workspace_id: campaign.workspace_id,
            name: campaign.name.clone(),
            description: campaign.description.clone(),
            goal: campaign.goal.clone(),
            status: campaign.status,
            created_at: campaign.created_at,
            updated_at: campaign.updated_at,
        }
    }
}

/// Create a campaign
///
/// It begins as a draft. Causes `campaign.created`.
#[utoipa::path(
    post, path = "/", operation_id = "create_campaign", tag = "campaigns",
    request_body = CreateCampaign,
    responses((status = 201, description = "Created", body = CampaignBody))
)]
async fn create(
    caller: InWorkspace<CampaignsWrite>,
    key: IdempotencyKey,
    body: Json<CreateCampaign>,
) -> Reply {
    let input = &body.value;
    let new = NewCampaign::check(&input.name, input.description.as_deref(), input.goal.as_deref())?;
    let (scope, ids) = (caller.workspace.scope(), caller.context.edge().ids());
    let campaign = new.draft(scope, ids, caller.context.request.now);
    let shown = CampaignBody::from(&campaign);
    let record = caller.record("campaign.create", "campaign", &campaign.id.to_string());
    let change = app::create(&campaign, scope, record, ids, &shown)?;
    caller.commit(change, &key, &body.bytes, Committed::created(&shown)).await
}

/// List campaigns
///
/// Newest first.
#[utoipa::path(
    get, path = "/", operation_id = "list_campaigns", tag = "campaigns",
    responses((status = 200, description = "A page", body = CampaignList))
)]
async fn list(caller: InWorkspace<CampaignsRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.workspace.campaigns(&paging.page(&confines)?).await?;
    paging.show(&confines, &page, |last| last.id.to_string(), |campaign| Some(CampaignBody::from(campaign)))
}

/// Get a campaign
#[utoipa::path(
    get, path = "/{id}", operation_id = "get_campaign", tag = "campaigns",
    params(("id" = String, Path, description = "`camp_…`")),
    responses((status = 200, description = "The campaign", body = CampaignBody))
)]
async fn get(caller: InWorkspace<CampaignsRead>, PathId(id): PathId<kind::Campaign>) -> Reply {
    let campaign = caller.workspace.campaign(id).await?.ok_or(MISSING)?;
    edge::ok(&CampaignBody::from(&campaign), Some(campaign.updated_at))
}

const MISSING: Refused = Refused(Problem::NotFound { what: "campaign" });

/// Change a campaign
///
/// Whatever its status. It is started, paused and completed by routes of their own.
#[utoipa::path(
    patch, path = "/{id}", operation_id = "change_campaign", tag = "campaigns",
    params(("id" = String, Path, description = "`camp_…`")),
    request_body = ChangeCampaign,
    responses((status = 200, description = "Changed", body = CampaignBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn change(
    caller: InWorkspace<CampaignsWrite>,
    PathId(id): PathId<kind::Campaign>,
    if_match: IfMatch,
    body: Json<ChangeCampaign>,
) -> Reply {
    let before = caller.workspace.campaign(id).await?.ok_or(MISSING)?;
    if_match.check(before.updated_at)?;
    let ChangeCampaign { name, description, goal } = body.value;
    let after = Draft { name, description, goal }.apply(&before, caller.context.request.now)?;
    if app::differences(&before, &after).is_empty() {
        return edge::ok(&CampaignBody::from(&before), Some(before.updated_at));
    }
    let record = caller.record("campaign.update", "campaign", &id.to_string());
    let change = app::alter(&before, &after, caller.workspace.scope(), record)?;
    caller.context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    edge::ok(&CampaignBody::from(&after), Some(after.updated_at))
}

/// Delete a campaign
///
/// One that is running must be paused or completed first. Its leads stay, and still name it.
#[utoipa::path(
    delete, path = "/{id}", operation_id = "delete_campaign", tag = "campaigns",
    params(("id" = String, Path, description = "`camp_…`")),
    responses((status = 204, description = "Deleted")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn delete(
    caller: InWorkspace<CampaignsDelete>,
    PathId(id): PathId<kind::Campaign>,
    if_match: IfMatch,
) -> Reply {
    let campaign = caller.workspace.campaign(id).await?.ok_or(MISSING)?;
    if_match.check(campaign.updated_at)?;
    app::may_be_deleted(&campaign)?;
    let record = caller.record("campaign.delete", "campaign", &id.to_string());
    let change = app::delete(&campaign, caller.workspace.scope(), record);
    caller.context.commit_silently(change.only_as_read(if_match.is_given())).await
}

/// Start a campaign
///
/// A draft, or a paused one. Causes `campaign.started`.
#[utoipa::path(
    post, path = "/{id}/start", operation_id = "start_campaign", tag = "campaigns",
    params(("id" = String, Path, description = "`camp_…`")),
    responses((status = 200, description = "Running", body = CampaignBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn start(
    caller: InWorkspace<CampaignsWrite>,
    PathId(id): PathId<kind::Campaign>,
    key: IdempotencyKey,
) -> Reply {
    take(Step::Start, &caller, id, &key).await
}

/// Pause a campaign
///
/// A running one. Causes `campaign.paused`.
#[utoipa::path(
    post, path = "/{id}/pause", operation_id = "pause_campaign", tag = "campaigns",
    params(("id" = String, Path, description = "`camp_…`")),
    responses((status = 200, description = "Paused", body = CampaignBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn pause(
    caller: InWorkspace<CampaignsWrite>,
    PathId(id): PathId<kind::Campaign>,
    key: IdempotencyKey,
) -> Reply {
    take(Step::Pause, &caller, id, &key).await
}

/// Complete a campaign
///
/// A running or a paused one, for good. Causes `campaign.completed`.
#[utoipa::path(
    post, path = "/{id}/complete", operation_id = "complete_campaign", tag = "campaigns",
    params(("id" = String, Path, description = "`camp_…`")),
    responses((status = 200, description = "Completed", body = CampaignBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn complete(
    caller: InWorkspace<CampaignsWrite>,
    PathId(id): PathId<kind::Campaign>,
    key: IdempotencyKey,
) -> Reply {
    take(Step::Complete, &caller, id, &key).await
}

async fn take(
    step: Step,
    caller: &InWorkspace<CampaignsWrite>,
    id: CampaignId,
    key: &IdempotencyKey,
) -> Reply {
    let (scope, ids, now) =
        (caller.workspace.scope(), caller.context.edge().ids(), caller.context.request.now);
    let read = caller.workspace.campaign(id).await?.ok_or(MISSING)?;
    let after = step.take(&read, now);
    let shown = CampaignBody::from(&after);
    let record = caller.record(step.action(), "campaign", &id.to_string());
    let change = step.change(&read, &after, scope, record, ids, &shown)?;
    caller.commit(change, key, &[], Committed::ok(&shown)).await
}
