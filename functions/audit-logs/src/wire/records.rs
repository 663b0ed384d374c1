//! Finding and reading records.

use access::permission::AuditLogsRead;
use clock::Timestamp;
use edge::{Edge, Everywhere, Narrow, Narrowed, PathId, Refused, Reply, Values, request_id, routes};
use ids::{AuditId, WorkspaceId, kind};
use problem::{FieldError, Problem};
use serde::Serialize;
use serde_json::Value;
use store::{AuditEntry, AuditFilter, Outcome, PageRequest, StoreError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Who acted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditActor)]
struct ActorBody {
    /// `user`, `api_key` or `system`.
    #[schema(example = "user")]
    r#type: String,
    #[schema(example = "usr_01kaq8zr3yfe2r4m8n5p6q7s8t")]
    id: String,
    /// A user's e-mail address at that time, or `[erased]`.
    email: Option<String>,
}

/// One field that was changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditChange)]
struct ChangeBody {
    field: String,
    /// Null when it had no value, or one that is not shown.
    #[schema(value_type = Value)]
    before: Option<Value>,
    #[schema(value_type = Value)]
    after: Option<Value>,
}

/// What was done. Personal values that were erased read `[erased]`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
struct RecordBody {
    #[schema(example = "aud_01kaq8zr3yfe2r4m8n5p6q7s8t")]
    id: String,
    #[schema(example = "lead.create")]
    action: String,
    actor: ActorBody,
    #[schema(example = "lead")]
    resource_type: String,
    resource_id: Option<String>,
    organization_id: String,
    workspace_id: Option<String>,
    /// Where the request came from; empty for what the system does.
    ip_address: String,
    user_agent: Option<String>,
    request_id: String,
    #[schema(format = DateTime)]
    timestamp: String,
    /// False for a refusal.
    success: bool,
    /// The problem's code, of a refusal.
    error_code: Option<String>,
    changes: Vec<ChangeBody>,
    pii_accessed: bool,
    sensitive: bool,
    compliance_relevant: bool,
    /// Its place in the log; null until it is sealed, which takes a minute at most.
    leaf_index: Option<u64>,
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecordList)]
struct RecordList {
    data: Vec<RecordBody>,
    /// Give it as `cursor` to get the next page; null on the last one. A search may have short, even empty, pages before.
    next_cursor: Option<String>,
}

/// What a search asks for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
struct FilterParameters {
    /// From this time on, RFC 3339.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
    /// By this user or API key: `usr_…`, `key_…`, or a part of the system.
    #[param(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    actor: Option<String>,
    /// What was done: `lead.create`.
    #[param(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    action: Option<String>,
    /// To things of this kind: `lead`.
    #[param(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    resource_type: Option<String>,
    /// To this thing: `lead_…`.
    #[param(pattern = "^[A-Za-z0-9_.-]+$", min_length = 1, max_length = 256)]
    resource_id: Option<String>,
    /// In this workspace: `ws_…`.
    workspace_id: Option<WorkspaceId>,
    /// By the request with this id: ours (`req_…`), or the one that was sent as `X-Request-Id`.
    #[param(pattern = "^[A-Za-z0-9_.:-]+$", min_length = 1, max_length = 128)]
    request_id: Option<String>,
    /// `success` or `failure`.
    outcome: Option<Outcome>,
    /// Whether personal data was read or written.
    pii_accessed: Option<bool>,
    /// Whether credentials or permissions were touched.
    sensitive: Option<bool>,
    /// Whether it matters to auditors.
    compliance_relevant: Option<bool>,
}

/// Longer texts name nothing.
const LONGEST: usize = 256;

/// Whether a text may be an id or the name of an action or a kind. What an export was to be of goes on record in clear, for
/// ever: no address and nobody's name may get there by being looked for.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The filter of a search.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search(pub(crate) AuditFilter);

impl Narrow for Search {
    const NAMES: &'static [&'static str] = &[
        "from",
        "to",
        "actor",
        "action",
        "resource_type",
        "resource_id",
        "workspace_id",
        "request_id",
        "outcome",
        "pii_accessed",
        "sensitive",
        "compliance_relevant",
    ];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        let request_id = request_id(values, faults);
        let mut fault = |name: &str, code, message: &str| {
            faults.push(FieldError::new(format!("query:{name}"), code, message));
        };
        let mut time = |name: &str| {
            let time = values.get(name).map(|text| Timestamp::parse(text));
            if time == Some(None) {
                fault(name, "format", "must be a time like 2026-11-22T15:04:05Z");
            }
            time.flatten()
        };
        let (from, to) = (time("from"), time("to"));
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            fault("to", "range", "must be after `from`");
        }
        let mut text = |name: &str| {
            let text = values.get(name)?;
            if !(1..=LONGEST).contains(&text.len()) {
                fault(name, "length", "must have 1 to 256 characters");
            } else if !is_name(text) {
                fault(name, "format", "must be an id or a name of letters, digits, `_`, `.` and `-`");
            } else {
                return Some(text.clone());
            }
            None
        };
        let (actor, action) = (text("actor"), text("action"));
        let (resource_type, resource) = (text("resource_type"), text("resource_id"));
        let mut flag = |name: &str| match values.get(name).map(String::as_str) {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                fault(name, "value", "must be true or false");
                None
            }
        };
        let (pii_accessed, sensitive) = (flag("pii_accessed"), flag("sensitive"));
        let compliance_relevant = flag("compliance_relevant");
        let outcome = match values.get("outcome").map(String::as_str) {
            None => None,
            Some("success") => Some(Outcome::Success),
            Some("failure") => Some(Outcome::Failure),
            Some(_) => {
                fault("outcome", "value", "must be success or failure");
                None
            }
        };
        let workspace = values.get("workspace_id").map(|id| id.parse());
        if matches!(workspace, Some(Err(_))) {
            fault("workspace_id", "value", "is not the id of a workspace");
        }
        Self(AuditFilter {
            from,
            to,
            actor,
            action,
            resource_type,
            resource,
            workspace: workspace.and_then(Result::ok),
            request_id,
            outcome,
            pii_accessed,
            sensitive,
            compliance_relevant,
        })
    }
}

/// A record as it is shown.
pub(crate) fn shown(entry: &AuditEntry) -> Result<Value, StoreError> {
    let mut record = entry.record()?;
    if let Some(fields) = record.as_object_mut() {
        fields.insert("leaf_index".to_owned(), entry.leaf_index.into());
    }
    Ok(record)
}

/// Search the audit log
///
/// Newest first. Parameters are combined. Whatever is asked for, a page costs the same however many records there are.
#[utoipa::path(
    get, path = "/api/admin/audit-logs", operation_id = "list_audit_records", tag = "audit",
    params(FilterParameters),
    responses((status = 200, description = "A page", body = RecordList))
)]
async fn list(caller: Everywhere<AuditLogsRead>, narrowed: Narrowed<Search>) -> Reply {
    let Narrowed { paging, by: Search(filter) } = narrowed;
    let (tenant, now) = (caller.context.tenant(), caller.context.request.now);
    let confines = tenant.organization_id().to_string();
    let page: PageRequest<AuditId> = paging.page(&confines)?;
    let listed = tenant.audit_records(&filter, &page, false, now).await?;
    let records = listed.items.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    let next = listed.next.as_deref().and_then(store::audit_at).map(|id| id.to_string());
    paging.reply(&confines, &records, next)
}

/// Get an audit record
#[utoipa::path(
    get, path = "/api/admin/audit-logs/{id}", operation_id = "get_audit_record", tag = "audit",
    params(("id" = String, Path, description = "`aud_…`")),
    responses((status = 200, description = "The record", body = RecordBody))
)]
async fn get(caller: Everywhere<AuditLogsRead>, PathId(id): PathId<kind::Audit>) -> Reply {
    let record = caller.context.tenant().audit_record(id).await?;
    let record = record.ok_or(Refused(Problem::NotFound { what: "audit record" }))?;
    edge::ok(&shown(&record)?, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&'static str, &str)]) -> (AuditFilter, Vec<String>) {
        let values = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut faults = Vec::new();
        let Search(filter) = Search::read(&values, &mut faults);
        (filter, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn a_search_says_all_that_is_wrong_with_it() {
        let (filter, faults) = read(&[
            ("from", "2026-11-22T15:04:05Z"),
            ("actor", "usr_1"),
            ("outcome", "failure"),
            ("sensitive", "true"),
        ]);
        assert!(faults.is_empty());
        assert_eq!((filter.outcome, filter.sensitive), (Some(Outcome::Failure), Some(true)));
        let (_, faults) = read(&[
            ("from", "yesterday"),
            ("actor", ""),
            ("outcome", "maybe"),
            ("pii_accessed", "1"),
            ("workspace_id", "ws_1"),
        ]);
        let expected =
            ["query:from", "query:actor", "query:pii_accessed", "query:outcome", "query:workspace_id"];
        assert_eq!(faults, expected);
        let (_, faults) = read(&[("from", "2026-11-22T15:04:05Z"), ("to", "2026-11-22T15:04:05Z")]);
        assert_eq!(faults, ["query:to"]);
    }

    #[test]
    fn what_is_no_id_and_no_name_of_an_action_is_not_looked_for() {
        let (filter, faults) = read(&[
            ("actor", "usr_01kaq8zr3y7e2r4m8n5p6q7s8t"),
            ("action", "audit_log.export"),
            ("resource_type", "api_key"),
            ("resource_id", "acme-sales.example.com"),
        ]);
        assert!(faults.is_empty() && filter.resource.is_some(), "{faults:?}");
        let (filter, faults) = read(&[
            ("actor", "ada@example.com"),
            ("action", "Ada Lovelace"),
            ("resource_type", "ada%40example.com"),
            ("resource_id", "grüße"),
        ]);
        assert_eq!(faults, ["query:actor", "query:action", "query:resource_type", "query:resource_id"]);
        assert_eq!(filter, AuditFilter::default());
    }
}
