//! Campaigns on the wire.

use access::permission::{CampaignsRead, CampaignsWrite};
use clock::Timestamp;
use edge::{
    Committed, Edge, IdempotencyKey, IdempotencyParameter, InWorkspace, Json, PageParameters, Paging, PathId,
    Problems, Refused, Reply, WorkspaceParameter,
};
use ids::{CampaignId, WorkspaceId, kind};
use problem::Problem;
use serde::{Deserialize, Serialize};
use store::{Campaign, CampaignStatus};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{self, NewCampaign};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get))
}

/// A campaign to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Autumn outreach", "goal": "20 meetings"}))]
struct CreateCampaign {
    /// 1 to 200 characters.
    name: String,
    /// Up to 2,000 characters.
    #[serde(default)]
    description: Option<String>,
    /// Up to 500 characters.
    #[serde(default)]
    goal: Option<String>,
}

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
struct CampaignBody {
    #[schema(value_type = String, example = "camp_01kaq8zr3y7e2r4m8n5p6q7s8t")]
    id: CampaignId,
    #[schema(value_type = String)]
    workspace_id: WorkspaceId,
    name: String,
    description: Option<String>,
    goal: Option<String>,
    #[schema(value_type = String, example = "draft")]
    status: CampaignStatus,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
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
    post, path = "/", operation_id = "create_campaign", tag = "campaigns", security(("bearer" = [])),
    params(IdempotencyParameter, WorkspaceParameter),
    request_body = CreateCampaign,
    responses(
        (status = 201, description = "Created", body = CampaignBody),
        Problems,
    ),
    extensions(("x-permission" = json!("campaigns:write")))
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
    get, path = "/", operation_id = "list_campaigns", tag = "campaigns", security(("bearer" = [])),
    params(PageParameters, WorkspaceParameter),
    responses(
        (status = 200, description = "A page", body = CampaignList),
        Problems,
    ),
    extensions(("x-permission" = json!("campaigns:read")))
)]
async fn list(caller: InWorkspace<CampaignsRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.workspace.campaigns(&paging.page(&confines)?).await?;
    paging.show(&confines, &page, |last| last.id.to_string(), |campaign| Some(CampaignBody::from(campaign)))
}

/// Get a campaign
#[utoipa::path(
    get, path = "/{id}", operation_id = "get_campaign", tag = "campaigns", security(("bearer" = [])),
    params(("id" = String, Path, description = "`camp_…`"), WorkspaceParameter),
    responses(
        (status = 200, description = "The campaign", body = CampaignBody),
        Problems,
    ),
    extensions(("x-permission" = json!("campaigns:read")))
)]
async fn get(caller: InWorkspace<CampaignsRead>, PathId(id): PathId<kind::Campaign>) -> Reply {
    let campaign = caller.workspace.campaign(id).await?;
    let campaign = campaign.ok_or(Refused(Problem::NotFound { what: "campaign" }))?;
    edge::ok(&CampaignBody::from(&campaign), Some(campaign.updated_at))
}
