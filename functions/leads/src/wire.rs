//! Leads on the wire.

pub(crate) mod email_events;

use std::collections::BTreeMap;

use access::permission::{LeadsDelete, LeadsRead, LeadsWrite};
use clock::Timestamp;
use edge::{
    Committed, Edge, IdempotencyKey, IfMatch, InWorkspace, Json, Paging, PathId, Refused, Reply, routes,
};
use ids::{CampaignId, LeadId, ReplyId, WorkspaceId, kind};
use input::Patch;
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{CommitError, Lead, LeadStatus, Refusal};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{self, Alteration, Draft};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change, delete))
        .routes(routes!(reply))
        .routes(routes!(qualify))
}

/// A lead to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "first_name": "Ada", "company": "Analytical Engines"}))]
struct CreateLead {
    /// An e-mail address; kept in lower case.
    #[schema(format = "email")]
    email: String,
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"\S")]
    first_name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"\S")]
    last_name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"\S")]
    company: Option<String>,
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"\S")]
    title: Option<String>,
    /// A campaign of the same workspace.
    #[serde(default)]
    campaign_id: Option<CampaignId>,
    /// Up to 50 fields of your own, 16 KiB as JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    custom: BTreeMap<String, Value>,
}

/// What is to be changed; what is left out stays, and null removes what can be removed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Chief Operating Officer", "company": null}))]
struct ChangeLead {
    #[serde(default)]
    #[schema(value_type = String, format = "email")]
    email: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200, pattern = r"\S")]
    first_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200, pattern = r"\S")]
    last_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200, pattern = r"\S")]
    company: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200, pattern = r"\S")]
    title: Patch<String>,
    /// A campaign of the same workspace.
    #[serde(default)]
    #[schema(value_type = Option<CampaignId>)]
    campaign_id: Patch<CampaignId>,
    /// All of your own fields: those that are not there are removed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    custom: Patch<BTreeMap<String, Value>>,
}

/// A lead.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lead)]
struct LeadBody {
    id: LeadId,
    workspace_id: WorkspaceId,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    title: Option<String>,
    campaign_id: Option<CampaignId>,
    #[schema(value_type = Object)]
    custom: BTreeMap<String, Value>,
    status: LeadStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A lead and what of it changed, as `lead.updated` carries it.
#[derive(Debug, Serialize)]
struct UpdatedLead<'a> {
    #[serde(flatten)]
    lead: &'a LeadBody,
    changed: Vec<&'static str>,
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
    #[schema(min_length = 1, max_length = 10000, pattern = r"\S")]
    message: String,
    /// How it came; `email` if not given.
    #[serde(default)]
    #[schema(max_length = 50, pattern = r"\S")]
    channel: Option<String>,
}

/// A recorded reply.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reply)]
struct ReplyBody {
    id: ReplyId,
    lead_id: LeadId,
    message: String,
    channel: String,
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
    post, path = "/", operation_id = "create_lead", tag = "leads",
    request_body = CreateLead,
    responses((status = 201, description = "Created", body = LeadBody))
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
    get, path = "/", operation_id = "list_leads", tag = "leads",
    responses((status = 200, description = "A page", body = LeadList))
)]
async fn list(caller: InWorkspace<LeadsRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.workspace.leads(&paging.page(&confines)?).await?;
    paging.show(&confines, &page, |last| last.id.to_string(), |lead| Some(LeadBody::from(lead)))
}

/// Get a lead
#[utoipa::path(
    get, path = "/{id}", operation_id = "get_lead", tag = "leads",
    params(("id" = String, Path, description = "`lead_…`")),
    responses((status = 200, description = "The lead", body = LeadBody))
)]
async fn get(caller: InWorkspace<LeadsRead>, PathId(id): PathId<kind::Lead>) -> Reply {
    let lead = caller.workspace.lead(id).await?.ok_or(MISSING)?;
    edge::ok(&LeadBody::from(&lead), Some(lead.updated_at))
}

const MISSING: Refused = Refused(Problem::NotFound { what: "lead" });

/// Change a lead
///
/// Causes `lead.updated`, which names the fields that changed. A request that changes nothing causes nothing.
#[utoipa::path(
    patch, path = "/{id}", operation_id = "change_lead", tag = "leads",
    params(("id" = String, Path, description = "`lead_…`")),
    request_body = ChangeLead,
    responses((status = 200, description = "Changed", body = LeadBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn change(
    caller: InWorkspace<LeadsWrite>,
    PathId(id): PathId<kind::Lead>,
    if_match: IfMatch,
    body: Json<ChangeLead>,
) -> Reply {
    let (context, scope) = (&caller.context, caller.workspace.scope());
    let before = caller.workspace.lead(id).await?.ok_or(MISSING)?;
    if_match.check(before.updated_at)?;
    let ChangeLead { email, first_name, last_name, company, title, campaign_id, custom } = body.value;
    let alteration = Alteration { email, first_name, last_name, company, title, campaign_id, custom };
    let after = alteration.apply(&before, context.request.now)?;
    let changed = app::differences(&before, &after);
    if changed.is_empty() {
        return edge::ok(&LeadBody::from(&before), Some(before.updated_at));
    }
    let shown = LeadBody::from(&after);
    let record = caller.record("lead.update", "lead", &id.to_string());
    let event = UpdatedLead { lead: &shown, changed };
    let change = app::alter(&before, &after, scope, record, context.edge().ids(), &event)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    edge::ok(&shown, Some(after.updated_at))
}

/// Replies that one request deletes at most: some seconds of work.
const MOST_REPLIES: usize = 5_000;
/// How often a lead is tried that somebody changes while its replies are being deleted.
const TRIES: usize = 4;

/// Delete a lead
///
/// With all its replies. A lead with thousands of them may be answered with 503 while they are being deleted: the same
/// request goes on.
#[utoipa::path(
    delete, path = "/{id}", operation_id = "delete_lead", tag = "leads",
    params(("id" = String, Path, description = "`lead_…`")),
    responses((status = 204, description = "Deleted"))
)]
async fn delete(
    caller: InWorkspace<LeadsDelete>,
    PathId(id): PathId<kind::Lead>,
    if_match: IfMatch,
) -> Reply {
    let tenant = caller.context.tenant();
    for _ in 0..TRIES {
        let lead = caller.workspace.lead(id).await?.ok_or(MISSING)?;
        if_match.check(lead.updated_at)?;
        // Replies first: they are found by their lead only. One that comes in now changes the lead, and it is read again.
        if !caller.workspace.delete_replies(id, MOST_REPLIES).await? {
            return Err(Refused(Problem::Unavailable));
        }
        let record = caller.record("lead.delete", "lead", &id.to_string());
        let change = app::delete(&lead, caller.workspace.scope(), record);
        match tenant.commit(change.only_as_read(if_match.is_given()), None).await {
            Ok(()) => return Ok(edge::no_content()),
            Err(CommitError::Refused(Refusal::Raced)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refused(Problem::Unavailable))
}

/// Qualify a lead
///
/// Marks it as worth a salesperson's time. Causes `lead.qualified`.
#[utoipa::path(
    post, path = "/{id}/qualify", operation_id = "qualify_lead", tag = "leads",
    params(("id" = String, Path, description = "`lead_…`")),
    responses((status = 200, description = "Qualified", body = LeadBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn qualify(
    caller: InWorkspace<LeadsWrite>,
    PathId(id): PathId<kind::Lead>,
    key: IdempotencyKey,
) -> Reply {
    let (scope, ids, now) =
        (caller.workspace.scope(), caller.context.edge().ids(), caller.context.request.now);
    let lead = caller.workspace.lead(id).await?.ok_or(MISSING)?;
    let qualified = app::qualified(&lead, now);
    let shown = LeadBody::from(&qualified);
    let record = caller.record("lead.qualify", "lead", &id.to_string());
    let change = app::qualify(&lead, &qualified, scope, record, ids, &shown)?;
    caller.commit(change, &key, &[], Committed::ok(&shown)).await
}

/// Record a reply
///
/// Moves the lead to `replied`, unless it is further on. Causes `lead.replied`.
#[utoipa::path(
    post, path = "/{id}/replies", operation_id = "create_reply", tag = "leads",
    params(("id" = String, Path, description = "`lead_…`")),
    request_body = CreateReply,
    responses((status = 201, description = "Recorded", body = ReplyBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn reply(
    caller: InWorkspace<LeadsWrite>,
    PathId(id): PathId<kind::Lead>,
    key: IdempotencyKey,
    body: Json<CreateReply>,
) -> Reply {
    let (scope, ids, now) =
        (caller.workspace.scope(), caller.context.edge().ids(), caller.context.request.now);
    let lead = caller.workspace.lead(id).await?.ok_or(MISSING)?;
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
