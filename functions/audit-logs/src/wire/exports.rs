//! Exports of the audit log on the wire.

use access::permission::AuditLogsExport;
use axum::Extension;
use clock::Timestamp;
use edge::{
    Edge, Everywhere, IdempotencyKey, Json, Narrow as _, Paging, PathId, Refused, Reply, Values, routes,
};
use ids::{ExportId, kind};
use problem::{Code, FieldError};
use serde::{Deserialize, Serialize};
use store::{AuditFilter, ExportFormat, LongJob, LongJobKind, LongJobStatus, LongTask, PageRequest};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::jobs::{self, FileBody, Links, Named, Progress};
use super::records::Search;
use crate::Shared;
use crate::app::exports;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(start, list)).routes(routes!(get))
}

/// What is to be exported.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StartAuditExport, example = json!({"format": "ndjson", "from": "2026-11-01T00:00:00Z"}))]
struct StartExport {
    /// `ndjson`, which has its proofs in itself, or `csv`, which has them in a second file.
    #[schema(value_type = ExportFormat)]
    format: String,
    /// From this time on, RFC 3339.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    from: Option<String>,
    /// Before this time.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    to: Option<String>,
    /// By this user or API key: `usr_…`, `key_…`, or a part of the system.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    actor: Option<String>,
    /// What was done: `lead.create`.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    action: Option<String>,
    /// To things of this kind: `lead`.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    resource_type: Option<String>,
    /// To this thing: `lead_…`.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    resource_id: Option<String>,
    /// In this workspace: `ws_…`.
    #[serde(default)]
    #[schema(value_type = Option<ids::WorkspaceId>)]
    workspace_id: Option<String>,
    /// By the request with this id, as in a search.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_.:-]+$", min_length = 1, max_length = 128)]
    request_id: Option<String>,
    /// `success` or `failure`.
    #[serde(default)]
    #[schema(value_type = Option<store::Outcome>)]
    outcome: Option<String>,
    /// Whether personal data was read or written.
    #[serde(default)]
    pii_accessed: Option<bool>,
    /// Whether credentials or permissions were touched.
    #[serde(default)]
    sensitive: Option<bool>,
    /// Whether it matters to auditors.
    #[serde(default)]
    compliance_relevant: Option<bool>,
}

impl StartExport {
    /// What is wanted, as a search has it. Faults point into the body.
    fn read(self, faults: &mut Vec<FieldError>) -> (ExportFormat, AuditFilter) {
        let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
        let given = [
            ("from", self.from),
            ("to", self.to),
            ("actor", self.actor),
            ("action", self.action),
            ("resource_type", self.resource_type),
            ("resource_id", self.resource_id),
            ("workspace_id", self.workspace_id),
            ("request_id", self.request_id),
            ("outcome", self.outcome),
            ("pii_accessed", flag(self.pii_accessed)),
            ("sensitive", flag(self.sensitive)),
            ("compliance_relevant", flag(self.compliance_relevant)),
        ];
        let values: Values = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let format = exports::format(&self.format, faults);
        let mut found = Vec::new();
        let Search(filter) = Search::read(&values, &mut found);
        faults.extend(
            found
                .into_iter()
                .map(|fault| FieldError { pointer: fault.pointer.replacen("query:", "/", 1), ..fault }),
        );
        (format, filter)
    }
}

/// An export of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditExport)]
struct ExportBody {
    id: ExportId,
    /// `queued`, `running`, `done`, `failed`, or `expired` when its files are gone.
    status: LongJobStatus,
    format: ExportFormat,
    /// What was asked for; what is null did not matter.
    #[schema(value_type = Object)]
    filter: FilterBody,
    progress: Progress,
    /// Of the file, in bytes.
    size: Option<u64>,
    /// Of the file, in hex.
    sha256: Option<String>,
    /// The second file of a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    proofs: Option<FileBody>,
    /// Where the files are, when it is done. Only in the answer to a request for this one export.
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who asked for it.
    requested_by: String,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// When the files are deleted.
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct FilterBody {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    actor: Option<String>,
    action: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    workspace_id: Option<ids::WorkspaceId>,
    request_id: Option<String>,
    outcome: Option<store::Outcome>,
    pii_accessed: Option<bool>,
    sensitive: Option<bool>,
    compliance_relevant: Option<bool>,
}

/// A page of exports.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditExportList)]
struct ExportList {
    data: Vec<ExportBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl ExportBody {
    fn of(job: &LongJob, now: Timestamp) -> Self {
        let (format, filter) = match &job.task {
            LongTask::AuditExport { format, filter } => (*format, filter.clone()),
            LongTask::PersonalExport { .. } | LongTask::Erasure { .. } => {
                (ExportFormat::Ndjson, AuditFilter::default())
            }
        };
        let file = jobs::file_of(job, now);
        Self {
            id: job.id,
            status: job.status_at(now),
            format,
            filter: FilterBody {
                from: filter.from,
                to: filter.to,
                actor: filter.actor,
                action: filter.action,
                resource_type: filter.resource_type,
                resource_id: filter.resource,
                workspace_id: filter.workspace,
                request_id: filter.request_id,
                outcome: filter.outcome,
                pii_accessed: filter.pii_accessed,
                sensitive: filter.sensitive,
                compliance_relevant: filter.compliance_relevant,
            },
            progress: Progress::of(job),
            size: file.map(|file| file.size),
            sha256: file.map(|file| file.sha256.clone()),
            proofs: file.and(job.proofs.as_ref()).map(FileBody::of),
            links: None,
            reason: job.reason.clone(),
            requested_by: job.requested_by.clone(),
            created_at: job.created_at,
            finished_at: job.finished_at,
            expires_at: job.files_expire_at(),
        }
    }
}

/// Export the audit log
///
/// Answers at once; the export is made in the background, and has progress. Without other filters than a time range it
/// proves that nothing is missing from it, which `artisan-verify` checks. Of a kind two at most are unfinished at a time. Files
/// are kept for seven days, less when a person is erased.
#[utoipa::path(
    post, path = "/api/admin/audit-logs/exports", operation_id = "start_audit_export", tag = "audit",
    request_body = StartExport,
    responses((status = 202, description = "Asked for", body = ExportBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn start(
    caller: Everywhere<AuditLogsExport>,
    Extension(shared): Extension<Shared>,
    key: IdempotencyKey,
    body: Json<StartExport>,
) -> Reply {
    let context = &caller.context;
    let mut faults = Vec::new();
    let (format, filter) = body.value.read(&mut faults);
    let record = context.record("audit_log.export", "audit_export", "");
    let job = exports::job(format, filter, faults, context.edge().ids(), &record)?;
    let change = exports::start(&job, context.tenant().organization_id(), record)?;
    let shown = ExportBody::of(&job, context.request.now);
    jobs::start(&shared, context, &job, change, &shown, &key, &body.bytes).await
}

/// List the exports of the audit log
///
/// Of the last 30 days, latest first, without links.
#[utoipa::path(
    get, path = "/api/admin/audit-logs/exports", operation_id = "list_audit_exports", tag = "audit",
    responses((status = 200, description = "A page", body = ExportList))
)]
async fn list(caller: Everywhere<AuditLogsExport>, paging: Paging) -> Reply {
    let (tenant, now) = (caller.context.tenant(), caller.context.request.now);
    let confines = tenant.organization_id().to_string();
    let page: PageRequest<ExportId> = paging.page(&confines)?;
    let listed = tenant.long_jobs(LongJobKind::AuditExport, &page).await?;
    let shown: Vec<_> = listed.items.iter().map(|job| ExportBody::of(job, now)).collect();
    let next = listed.next.as_deref().and_then(store::long_job_at).map(|id| id.to_string());
    paging.reply(&confines, &shown, next)
}

/// Get an export of the audit log
///
/// How far it has come; when it is done, links to its files. That they were given out is on record.
#[utoipa::path(
    get, path = "/api/admin/audit-logs/exports/{id}", operation_id = "get_audit_export", tag = "audit",
    params(("id" = String, Path, description = "`exp_…`")),
    responses((status = 200, description = "The export", body = ExportBody))
)]
async fn get(
    caller: Everywhere<AuditLogsExport>,
    Extension(shared): Extension<Shared>,
    PathId(id): PathId<kind::Export>,
) -> Reply {
    let (context, now) = (&caller.context, caller.context.request.now);
    let job = jobs::find(context, id, LongJobKind::AuditExport, "export").await?;
    let mut shown = ExportBody::of(&job, now);
    if let Some(file) = jobs::file_of(&job, now) {
        let links = linked(&shared, &job, file, now).await?;
        jobs::record_links(context, &job, "audit_log.export_link").await?;
        shown.links = Some(links);
    }
    edge::ok(&shown, None)
}

async fn linked(
    shared: &Shared,
    job: &LongJob,
    file: &store::ExportedFile,
    now: Timestamp,
) -> Result<Links, Refused> {
    const NDJSON: &str = "application/x-ndjson";
    let name = format!("audit-log-{}-{}", job.created_at.day(), job.id);
    match &job.proofs {
        None => {
            let file = Named { file, name: format!("{name}.ndjson"), content_type: NDJSON };
            jobs::links(shared, file, None, now).await
        }
        Some(proofs) => {
            let file = Named { file, name: format!("{name}.csv"), content_type: "text/csv; charset=utf-8" };
            let proofs = Named { file: proofs, name: format!("{name}.proofs.ndjson"), content_type: NDJSON };
            jobs::links(shared, file, Some(proofs), now).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_point_into_the_body() {
        let body =
            r#"{"format": "xml", "from": "yesterday", "outcome": "maybe", "actor": "", "sensitive": true}"#;
        let start: StartExport = serde_json::from_str(body).unwrap();
        let mut faults = Vec::new();
        let (_, filter) = start.read(&mut faults);
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/format", "/from", "/actor", "/outcome"]);
        assert_eq!(filter.sensitive, Some(true));
    }
}
