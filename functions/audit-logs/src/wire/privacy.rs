//! What is held about a person, and forgetting it, on the wire.

use access::permission::{PrivacyRead, PrivacyWrite};
use axum::Extension;
use clock::Timestamp;
use edge::{Context, Edge, Everywhere, IdempotencyKey, Json, PathId, Refused, Reply, routes};
use ids::{ExportId, LeadId, UserId, kind};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{LongJob, LongJobKind, LongJobStatus, LongTask, Subject};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::jobs::{self, Links, Named, Progress};
use crate::Shared;
use crate::app::privacy::{self, Draft};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(start_export))
        .routes(routes!(get_export))
        .routes(routes!(start_erasure))
        .routes(routes!(get_erasure))
}

/// Who is meant, named in one way.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com"}))]
struct PersonReference {
    /// Their e-mail address.
    #[serde(default)]
    #[schema(format = "email")]
    email: Option<String>,
    /// `usr_…`: a member, or somebody who was one.
    #[serde(default)]
    #[schema(value_type = Option<UserId>)]
    user_id: Option<String>,
    /// `lead_…`: whoever has the address of this lead.
    #[serde(default)]
    #[schema(value_type = Option<LeadId>)]
    lead_id: Option<String>,
}

impl PersonReference {
    fn check(self) -> Result<Subject, Problem> {
        let Self { email, user_id, lead_id } = self;
        Draft { email, user_id, lead_id }.check()
    }
}

/// An export of what is held about a person.
#[derive(Debug, Serialize, ToSchema)]
struct PersonalExport {
    id: ExportId,
    /// `queued`, `running`, `done`, `failed`, or `expired` when its file is gone.
    status: LongJobStatus,
    /// By what the person was named: `email`, `user_id` or `lead_id`. Who it is is kept no longer than it is needed.
    #[schema(example = "email")]
    named_by: String,
    progress: Progress,
    /// Of the file, in bytes.
    size: Option<u64>,
    /// Of the file, in hex.
    sha256: Option<String>,
    /// Where the file is, when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who asked for it.
    requested_by: String,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// When the file is deleted.
    expires_at: Option<Timestamp>,
}

/// The erasure of a person.
#[derive(Debug, Serialize, ToSchema)]
struct Erasure {
    id: ExportId,
    /// `queued`, `running`, `done` or `failed`.
    status: LongJobStatus,
    /// By what the person was named: `email`, `user_id` or `lead_id`.
    #[schema(example = "email")]
    named_by: String,
    /// How many things of each kind were erased so far.
    erased: BTreeMap<String, u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who asked for it.
    requested_by: String,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

fn named_by(job: &LongJob) -> String {
    match &job.task {
        LongTask::PersonalExport { named_by, .. } | LongTask::Erasure { named_by, .. } => named_by.clone(),
        LongTask::AuditExport { .. } => String::new(),
    }
}

impl PersonalExport {
    fn of(job: &LongJob, now: Timestamp) -> Self {
        let file = jobs::file_of(job, now);
        Self {
            id: job.id,
            status: job.status_at(now),
            named_by: named_by(job),
            progress: Progress::of(job),
            size: file.map(|file| file.size),
            sha256: file.map(|file| file.sha256.clone()),
            links: None,
            reason: job.reason.clone(),
            requested_by: job.requested_by.clone(),
            created_at: job.created_at,
            finished_at: job.finished_at,
            expires_at: job.files_expire_at(),
        }
    }
}

impl Erasure {
    fn of(job: &LongJob) -> Self {
        Self {
            id: job.id,
            status: job.status,
            named_by: named_by(job),
            erased: job.erased.clone(),
            reason: job.reason.clone(),
            requested_by: job.requested_by.clone(),
            created_at: job.created_at,
            finished_at: job.finished_at,
        }
    }
}

/// The address of the person, where a lead names them.
///
/// # Errors
/// 404 when there is no such lead.
async fn address_of(context: &Context, about: &Subject) -> Result<Option<String>, Refused> {
    let Subject::LeadId(id) = about else { return Ok(None) };
    let lead = context.tenant().lead_anywhere(*id).await?;
    lead.map(|lead| Some(lead.email)).ok_or(Refused(Problem::NotFound { what: "lead" }))
}

/// Export a person
///
/// What the organization holds about a person: membership, account (name, address, whether it is confirmed, whether there is a
/// password and an active second factor), sessions in this organization with when and from where each was last used, invitations,
/// leads of all workspaces and modes with replies and meetings, events, and audit records by and about them. Left out are
/// credentials and what they could be made of; mails, remembered answers and notices, which repeat the rest and are gone within
/// days; what receivers of webhooks answered; and what other organizations hold. Made in the background, as one JSON document,
/// and kept for seven days.
#[utoipa::path(
    post, path = "/api/admin/privacy/exports", operation_id = "start_personal_export", tag = "privacy",
    request_body = PersonReference,
    responses((status = 202, description = "Asked for", body = PersonalExport)),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict])))
)]
async fn start_export(
    caller: Everywhere<PrivacyRead>,
    Extension(shared): Extension<Shared>,
    key: IdempotencyKey,
    body: Json<PersonReference>,
) -> Reply {
    let context = &caller.context;
    let about = body.value.check()?;
    let _ = address_of(context, &about).await?;
    let record = context.record("privacy.export", "personal_export", "");
    let job = privacy::export(about, context.edge().ids(), &record);
    let change = privacy::start(&job, context.tenant().organization_id(), record)?;
    let shown = PersonalExport::of(&job, context.request.now);
    jobs::start(&shared, context, &job, change, &shown, &key, &body.bytes).await
}

/// Get an export of a person
///
/// How far it has come; when it is done, a link to its file. That it was given out is on record.
#[utoipa::path(
    get, path = "/api/admin/privacy/exports/{id}", operation_id = "get_personal_export", tag = "privacy",
    params(("id" = String, Path, description = "`exp_…`")),
    responses((status = 200, description = "The export", body = PersonalExport))
)]
async fn get_export(
    caller: Everywhere<PrivacyRead>,
    Extension(shared): Extension<Shared>,
    PathId(id): PathId<kind::Export>,
) -> Reply {
    let (context, now) = (&caller.context, caller.context.request.now);
    let job = jobs::find(context, id, LongJobKind::PersonalExport, "export").await?;
    let mut shown = PersonalExport::of(&job, now);
    if let Some(file) = jobs::file_of(&job, now) {
        let name = format!("person-{}-{}.json", job.created_at.day(), job.id);
        let file = Named { file, name, content_type: "application/json" };
        let links = jobs::links(&shared, file, None, now).await?;
        jobs::record_links(context, &job, "privacy.export_link").await?;
        shown.links = Some(links);
    }
    edge::ok(&shown, None)
}

/// Erase a person
///
/// Leads of the person's address in all workspaces and modes go, with their replies and meetings; invitations, waiting mails
/// and remembered answers; what events say of the person reads `[erased]`, and what receivers answered to those is deleted.
/// The audit log stays as it is and its proofs hold: personal values in its records read `[erased]`. All exports of the
/// organization are deleted, as they may hold the person. A member must be removed first.
#[utoipa::path(
    post, path = "/api/admin/privacy/erasures", operation_id = "start_erasure", tag = "privacy",
    request_body = PersonReference,
    responses((status = 202, description = "Asked for", body = Erasure)),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict])))
)]
async fn start_erasure(
    caller: Everywhere<PrivacyWrite>,
    Extension(shared): Extension<Shared>,
    key: IdempotencyKey,
    body: Json<PersonReference>,
) -> Reply {
    let context = &caller.context;
    let about = body.value.check()?;
    let email = address_of(context, &about).await?;
    let members = context.tenant().all_members().await?;
    privacy::refuse_members(&about, email.as_deref(), &members)?;
    let record = context.record("privacy.erase", "erasure", "");
    let job = privacy::erasure(about, context.edge().ids(), &record);
    let change = privacy::start(&job, context.tenant().organization_id(), record)?;
    let shown = Erasure::of(&job);
    jobs::start(&shared, context, &job, change, &shown, &key, &body.bytes).await
}

/// Get an erasure
#[utoipa::path(
    get, path = "/api/admin/privacy/erasures/{id}", operation_id = "get_erasure", tag = "privacy",
    params(("id" = String, Path, description = "`exp_…`")),
    responses((status = 200, description = "The erasure", body = Erasure))
)]
async fn get_erasure(caller: Everywhere<PrivacyRead>, PathId(id): PathId<kind::Export>) -> Reply {
    let job = jobs::find(&caller.context, id, LongJobKind::Erasure, "erasure").await?;
    edge::ok(&Erasure::of(&job), None)
}
