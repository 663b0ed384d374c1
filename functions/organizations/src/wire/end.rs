//! Deletion, restoration and export on the wire.

use access::permission::{OrganizationDelete, OrganizationWrite};
use access::{Action, Known, Permission};
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{Committed, Everywhere, IdempotencyKey, Json, Refused, Reinstating, Reply};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Holding, OrganizationStatus, Position};
use utoipa::ToSchema;

use super::organization::OrganizationBody;
use super::{EXPORT, present};
use crate::app::end;

const MOST_RECORDS: usize = 1000;
const DEFAULT_RECORDS: usize = 500;

/// Which organization is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"confirm": "Acme"}))]
pub(crate) struct DeleteOrganization {
    /// Its name.
    confirm: String,
}

/// A deleted organization.
#[derive(Debug, Serialize, ToSchema)]
struct DeletedOrganization {
    status: OrganizationStatus,
    /// Until then it can be brought back.
    erased_after: Option<Timestamp>,
}

/// Delete the organization
///
/// People and API keys are refused from the next request on, and the admins are told by mail. For 30 days it can be brought
/// back; then everything it owns is erased, the audit log aside. Can be repeated.
#[utoipa::path(
    delete, path = "/api/admin/organization", operation_id = "delete_organization", tag = "organization",
    request_body = DeleteOrganization,
    responses((status = 202, description = "Deleted, to be erased", body = DeletedOrganization)),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict])))
)]
pub(super) async fn delete(caller: Reinstating<OrganizationDelete>, body: Json<DeleteOrganization>) -> Reply {
    let context = &caller.context;
    let (edge, tenant, now) = (context.edge(), context.tenant(), context.request.now);
    let mut organization = present(context).await?;
    end::confirm(&organization, &body.value.confirm)?;
    if organization.status == OrganizationStatus::Active {
        let after = end::deleted(&organization, now);
        let admins = tenant.notified_admins().await?;
        let record = context.record("organization.delete", "organization", &organization.id.to_string());
        let change = end::delete(&organization, &after, &admins, record, edge.mail_seal(), edge.ids())?;
        context.commit_silently(change).await?;
        organization = after;
    }
    context.forget_overview();
    // From here on only keys are left, and repeating the request goes on with them.
    tenant.align_api_keys(now).await?;
    let (status, erased_after) = (organization.status, organization.erased_after);
    let mut response = edge::ok(&DeletedOrganization { status, erased_after }, None)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Bring a deleted organization back
///
/// People and API keys are let in again. Can be repeated.
#[utoipa::path(
    post, path = "/api/admin/organization/restore", operation_id = "restore_organization", tag = "organization",
    responses((status = 200, description = "It is active", body = OrganizationBody, headers(("ETag" = String)))),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict])))
)]
pub(super) async fn restore(caller: Reinstating<OrganizationWrite>, key: IdempotencyKey) -> Reply {
    let context = &caller.context;
    let (tenant, now) = (context.tenant(), context.request.now);
    let before = present(context).await?;
    if before.status == OrganizationStatus::Active {
        tenant.align_api_keys(now).await?;
        return edge::ok(&OrganizationBody::from(&before), Some(before.updated_at));
    }
    let after = end::restored(&before, now)?;
    let record = context.record("organization.restore", "organization", &before.id.to_string());
    let change = end::restore(&before, &after, record)?;
    let shown = OrganizationBody::from(&after);
    let answer = context.commit(change, None, &key, &[], Committed::ok(&shown)).await?;
    context.forget_overview();
    tenant.align_api_keys(now).await?;
    Ok(answer)
}

/// Which part of an export.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"limit": 1000}))]
pub(crate) struct ExportOrganization {
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// How many records at most: 1 to 1,000, 500 if not given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Something the organization owns.
#[derive(Debug, Serialize, ToSchema)]
struct HoldingBody {
    /// `organization`, `workspace`, `member`, `invitation`, `domain`, `sso`, `api_key`, `endpoint`, `campaign`, `lead`,
    /// `reply`, `event`, `delivery`, `attempt` or `audit_record`.
    #[schema(example = "lead")]
    r#type: &'static str,
    /// It, as it is stored, without secrets.
    #[schema(value_type = Object)]
    record: Value,
}

/// A page of an export.
#[derive(Debug, Serialize, ToSchema)]
struct HoldingList {
    /// May be empty although there is more.
    data: Vec<HoldingBody>,
    /// Send it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<Holding> for HoldingBody {
    fn from(holding: Holding) -> Self {
        Self { r#type: holding.kind, record: holding.record }
    }
}

/// Export everything the organization owns
///
/// It shows everything, so it takes every permission to read, and `audit_logs:export`. Page by page, in test and in live
/// mode, without secrets: keep asking with `next_cursor` until it is null. Events,
/// deliveries and attempts are there for as long as the plan keeps them; the audit log ends where the export began. Each
/// page is a record of that log. A read in all but name, so it takes no `Idempotency-Key`.
#[utoipa::path(
    post, path = "/api/admin/organization/export", operation_id = "export_organization", tag = "organization",
    request_body = ExportOrganization,
    responses((status = 200, description = "A page", body = HoldingList)),
    extensions(("x-problem-codes" = json!([Code::InvalidCursor])))
)]
pub(super) async fn export(caller: Everywhere<OrganizationWrite>, body: Json<ExportOrganization>) -> Reply {
    let context = &caller.context;
    let known = &context.caller.known;
    if let Some(permission) = lacks_to_export(known) {
        return Err(context.refuse_grant(permission).await);
    }
    let limit = body.value.limit.unwrap_or(DEFAULT_RECORDS);
    if !(1..=MOST_RECORDS).contains(&limit) {
        return Err(Refused(Problem::invalid("/limit", "range", format!("must be 1 to {MOST_RECORDS}"))));
    }
    let paging = context.edge().paging(EXPORT, limit, body.value.cursor);
    let confines = caller.confines();
    let page = paging.page::<Position>(&confines)?;
    let holdings = context.tenant().holdings(&page, context.request.now).await?;
    let mut record = context.record("organization.export", "organization", &known.organization.to_string());
    record.pii_accessed = true;
    record.sensitive = true;
    record.compliance_relevant = true;
    context.tenant().record(&record).await?;
    let shown: Vec<HoldingBody> = holdings.items.into_iter().map(HoldingBody::from).collect();
    paging.reply(&confines, &shown, holdings.next.map(|position| position.to_string()))
}

/// What somebody lacks to see everything there is: an export shows it all.
fn lacks_to_export(known: &Known) -> Option<Permission> {
    let held = known.grants();
    Permission::all()
        .filter(|it| matches!(it.action(), Action::Read | Action::Export))
        .find(|permission| !held.holds(*permission))
}
