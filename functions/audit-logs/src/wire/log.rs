//! The log that commits to the records: checkpoints and proofs.

use access::permission::AuditLogsRead;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::IntoResponse as _;
use edge::{Edge, Everywhere, PathId, Refused, Reply, routes};
use http::{HeaderValue, header};
use ids::kind;
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{LogHead, Tenant};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::app::proofs::{self, Growth, Unproved};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(checkpoint))
        .routes(routes!(consistency))
        .routes(routes!(keys))
        .routes(routes!(proof))
        .routes(routes!(entry))
}

impl From<Unproved> for Refused {
    fn from(unproved: Unproved) -> Self {
        unproved.problem().map_or_else(Self::from, Self)
    }
}

async fn head(tenant: &Tenant) -> Result<LogHead, Refused> {
    let head = tenant.log_head().await?.filter(|head| head.size > 0);
    head.ok_or(Refused(Problem::NotFound { what: "checkpoint" }))
}

fn text(body: String) -> Reply {
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
    Ok((content_type, body).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CheckpointParameters {
    /// Of the log when it had so many records and was signed; of the log as it is, when left out.
    #[serde(default)]
    size: Option<u64>,
}

/// Get a checkpoint
///
/// The signed head of the organization's log, a note as <https://c2sp.org/tlog-checkpoint> describes it: origin, number of
/// records, root hash, signatures. Keep it: whoever has one can show that nothing below it was changed since.
#[utoipa::path(
    get, path = "/api/admin/audit-logs/checkpoint", operation_id = "get_audit_checkpoint", tag = "audit",
    params(CheckpointParameters),
    responses((status = 200, description = "The note", body = String, content_type = "text/plain")),
    extensions(("x-problem-codes" = json!([Code::NotFound])))
)]
async fn checkpoint(
    caller: Everywhere<AuditLogsRead>,
    query: Result<Query<CheckpointParameters>, QueryRejection>,
) -> Reply {
    let Query(CheckpointParameters { size }) = query.map_err(unreadable)?;
    let tenant = caller.context.tenant();
    match size {
        None => text(head(tenant).await?.checkpoint),
        Some(size) => {
            let note = tenant.checkpoint(size).await?;
            text(note.ok_or(Refused(Problem::NotFound { what: "checkpoint" }))?)
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConsistencyParameters {
    /// The smaller size.
    from: u64,
    /// The larger size; the present one when left out.
    #[serde(default)]
    to: Option<u64>,
}

/// That an older log is the beginning of a newer one.
#[derive(Debug, Serialize, ToSchema)]
struct AuditConsistency {
    from: u64,
    to: u64,
    /// The proof of RFC 6962, section 2.1.2, in base64.
    hashes: Vec<String>,
    /// The signed note of the larger one, where that size was signed.
    checkpoint: Option<String>,
}

/// Prove that the log only grew
///
/// From one size to another: with it and the two checkpoints anybody can show that the newer log has all that the older one
/// had, unchanged and in the same order.
#[utoipa::path(
    get, path = "/api/admin/audit-logs/checkpoint/consistency", operation_id = "get_audit_consistency", tag = "audit",
    params(ConsistencyParameters),
    responses((status = 200, description = "The proof", body = AuditConsistency)),
    extensions(("x-problem-codes" = json!([Code::NotFound])))
)]
async fn consistency(
    caller: Everywhere<AuditLogsRead>,
    query: Result<Query<ConsistencyParameters>, QueryRejection>,
) -> Reply {
    let Query(ConsistencyParameters { from, to }) = query.map_err(unreadable)?;
    let tenant = caller.context.tenant();
    let head = head(tenant).await?;
    let to = to.unwrap_or(head.size);
    let Growth { hashes, checkpoint } = proofs::consistency(tenant, &head, from, to).await?;
    let hashes = hashes.iter().map(ToString::to_string).collect();
    edge::ok(&AuditConsistency { from, to, hashes, checkpoint }, None)
}

/// List the keys of the log
///
/// What its checkpoints are signed with, one key a line, the present one first, as `artisan-verify --key` and other tools for
/// signed notes take them. They don't change but when a key is replaced; keep them apart from what they are to vouch for.
#[utoipa::path(
    get, path = "/api/admin/audit-logs/checkpoint/keys", operation_id = "list_audit_keys", tag = "audit",
    responses((status = 200, description = "The keys", body = String, content_type = "text/plain")),
    extensions(("x-problem-codes" = json!([Code::NotFound])))
)]
async fn keys(caller: Everywhere<AuditLogsRead>) -> Reply {
    let head = head(caller.context.tenant()).await?;
    text(head.keys.iter().map(|key| format!("{key}\n")).collect())
}

/// Prove a record
///
/// That it is in the log, as <https://c2sp.org/tlog-proof> describes it: its index, the hashes beside its way to the root, and the
/// checkpoint. `extra` holds its personal values, as far as they are not erased. The proof is of the record's exact text,
/// which `…/{id}/entry` gives; `artisan-verify --proof` checks one against the other.
#[utoipa::path(
    get, path = "/api/admin/audit-logs/{id}/proof", operation_id = "get_audit_proof", tag = "audit",
    params(("id" = String, Path, description = "`aud_…`")),
    responses((status = 200, description = "The proof", body = String, content_type = "text/plain")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn proof(caller: Everywhere<AuditLogsRead>, PathId(id): PathId<kind::Audit>) -> Reply {
    let tenant = caller.context.tenant();
    let (record, head) = tokio::try_join!(tenant.audit_record(id), tenant.log_head())?;
    let record = record.ok_or(Refused(Problem::NotFound { what: "audit record" }))?;
    let head = head.ok_or(Unproved::NotSealed)?;
    text(proofs::inclusion(tenant, &record, &head).await?.to_string())
}

/// Get the text of a record
///
/// The exact bytes that the log commits to. In the places of personal values stand commitments: the SHA-256 of a salt and the
/// value.
#[utoipa::path(
    get, path = "/api/admin/audit-logs/{id}/entry", operation_id = "get_audit_entry", tag = "audit",
    params(("id" = String, Path, description = "`aud_…`")),
    responses((status = 200, description = "The text", body = Object))
)]
async fn entry(caller: Everywhere<AuditLogsRead>, PathId(id): PathId<kind::Audit>) -> Reply {
    let record = caller.context.tenant().audit_record(id).await?;
    let record = record.ok_or(Refused(Problem::NotFound { what: "audit record" }))?;
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((content_type, record.entry).into_response())
}

fn unreadable(rejection: QueryRejection) -> Refused {
    Refused(Problem::invalid("query:", "format", rejection.body_text()))
}
