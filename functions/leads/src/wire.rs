//! Leads on the wire.

use std::collections::BTreeMap;

use access::permission::{LeadsRead, LeadsWrite};
use clock::Timestamp;
use edge::{
    Committed, Edge, IdempotencyKey, IdempotencyParameter, InWorkspace, Json, PageParameters, Paging, PathId,
    Problems, Refused, Reply, WorkspaceParameter,
};
use ids::{CampaignId, LeadId, ReplyId, WorkspaceId, kind};
use problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Lead, LeadStatus};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{self, Draft};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get)).routes(routes!(reply))
}

/// A lead to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "first_name": "Ada", "company": "Analytical Engines"}))]
struct CreateLead {
    /// An e-mail address; kept in lower case.
    email: String,
    #[serde(default)]
    first_name: Option<String>,
    #[serde(default)]
    last_name: Option<String>,
    #[serde(default)]
    company: Option<String>,
    #[serde(default)]
    title: Option<String>,
    /// A campaign of the same workspace.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    campaign_id: Option<CampaignId>,
    /// Up to 50 fields of your own, 16 KiB as JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    custom: BTreeMap<String, Value>,
}

/// A lead.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lead)]
struct LeadBody {
    #[schema(value_type = String, example = "lead_01kaq8zr3y7e2r4m8n5p6q7s8t")]
    id: LeadId,
    #[schema(value_type = String)]
    workspace_id: WorkspaceId,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    title: Option<String>,
    #[schema(value_type = Option<String>)]
    campaign_id: Option<CampaignId>,
    #[schema(value_type = Object)]
    custom: BTreeMap<String, Value>,
    #[schema(value_type = String, example = "new")]
    status: LeadStatus,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A page of leads.
#[derive(Debug, Serialize, ToSchema)]
struct LeadList {
    data: Vec<LeadBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

/// What a lead answered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"message": "Tell me more.", "channel": "email"}))]
struct CreateReply {
    /// 1 to 10,000 characters.
    message: String,
    /// How it came; `email` if not given.
    #[serde(default)]
    channel: Option<String>,
}

/// A recorded reply.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reply)]
struct ReplyBody {
    #[schema(value_type = String)]
    id: ReplyId,
    #[schema(value_type = String)]
    lead_id: LeadId,
    message: String,
    channel: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The lead after it.
    lead: LeadBody,
}

impl From<&Lead> for LeadBody {
    fn from(lead: &Lead) -> Self {
        let lead = lead.clone();
        Self {
            id: lead.id,
            workspace_id: lead.workspace_id,
            email: lead.email,
            first_name: lead.first_name,
            last_name: lead.last_name,
            company: lead.company,
            title: lead.title,
            campaign_id: lead.campaign_id,
            custom: lead.custom,
            status: lead.status,
            created_at: lead.created_at,
            updated_at: lead.updated_at,
        }
    }
}

/// Create a lead
///
/// Causes `lead.created`.
#[utoipa::path(
    post, path = "/", operation_id = "create_lead", tag = "leads", security(("bearer" = [])),
    params(IdempotencyParameter, WorkspaceParameter),
    request_body = CreateLead,
    responses((status = 201, description = "Created", body = LeadBody), Problems),
    extensions(("x-permission" = json!("leads:write")))
)]
async fn create(caller: InWorkspace<LeadsWrite>, key: IdempotencyKey, body: Json<CreateLead>) -> Reply {
    let CreateLead { email, first_name, last_name, company, title, campaign_id, custom } = body.value;
    let draft = Draft { email, first_name, last_name, company, title, campaign_id, custom };
    let (scope, ids) = (caller.workspace.scope(), caller.context.edge().ids());
    let lead = draft.check(scope, ids, caller.context.request.now)?;
    let shown = LeadBody::from(&lead);
    let record = caller.record("lead.create", "lead", &lead.id.to_string());
    let change = app::create(&lead, scope, record, ids, &shown)?;
    caller.commit(change, &key, &body.bytes, Committed::created(&shown)).await
}

/// List leads
///
/// Newest first.
#[utoipa::path(
    get, path = "/", operation_id = "list_leads", tag = "leads", security(("bearer" = [])),
    params(PageParameters, WorkspaceParameter),
    responses((status = 200, description = "A page", body = LeadList), Problems),
    extensions(("x-permission" = json!("leads:read")))
)]
async fn list(caller: InWorkspace<LeadsRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.workspace.leads(&paging.page(&confines)?).await?;
    paging.show(&confines, &page, |last| last.id.to_string(), |lead| Some(LeadBody::from(lead)))
}

/// Get a lead
#[utoipa::path(
    get, path = "/{id}", operation_id = "get_lead", tag = "leads", security(("bearer" = [])),
    params(("id" = String, Path, description = "`lead_…`"), WorkspaceParameter),
    responses((status = 200, description = "The lead", body = LeadBody), Problems),
    extensions(("x-permission" = json!("leads:read")))
)]
async fn get(caller: InWorkspace<LeadsRead>, PathId(id): PathId<kind::Lead>) -> Reply {
    let lead = caller.workspace.lead(id).await?.ok_or(Refused(Problem::NotFound { what: "lead" }))?;
    edge::ok(&LeadBody::from(&lead), Some(lead.updated_at))
}

/// Record a reply
///
/// Moves the lead to `replied`, unless it is further on. Causes `lead.replied`.
#[utoipa::path(
    post, path = "/{id}/replies", operation_id = "create_reply", tag = "leads", security(("bearer" = [])),
    params(("id" = String, Path, description = "`lead_…`"), IdempotencyParameter, WorkspaceParameter),
    request_body = CreateReply,
    responses((status = 201, description = "Recorded", body = ReplyBody), Problems),
    extensions(("x-permission" = json!("leads:write")))
)]
async fn reply(
    caller: InWorkspace<LeadsWrite>,
    PathId(id): PathId<kind::Lead>,
    key: IdempotencyKey,
    body: Json<CreateReply>,
) -> Reply {
    let (scope, ids, now) =
        (caller.workspace.scope(), caller.context.edge().ids(), caller.context.request.now);
    let lead = caller.workspace.lead(id).await?.ok_or(Refused(Problem::NotFound { what: "lead" }))?;
    let reply = app::reply(&lead, &body.value.message, body.value.channel.as_deref(), ids, now)?;
    let replied = app::replied(&lead, now);
    let shown = ReplyBody {
        id: reply.id,
        lead_id: reply.lead_id,
        message: reply.message.clone(),
        channel: reply.channel.clone(),
        created_at: reply.created_at,
        lead: LeadBody::from(&replied),
    };
    let record = caller.record("lead.reply", "lead", &lead.id.to_string());
    let change = app::record_reply(&lead, &replied, &reply, scope, record, ids, &shown)?;
    caller.commit(change, &key, &body.bytes, Committed::created(&shown)).await
}
