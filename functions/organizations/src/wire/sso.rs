//! The identity provider on the wire.

use access::permission::{SsoDelete, SsoRead, SsoWrite};
use axum::Extension;
use clock::Timestamp;
use edge::{Authorized, Context, Everywhere, IfMatch, Json, Refused, Reply, RoleInWorkspace};
use ids::WorkspaceId;
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Role, SsoConnection};
use utoipa::ToSchema;

use super::present;
use crate::Outside;
use crate::app::placement::Placement;
use crate::app::sso::{self, Draft};

/// An identity provider that speaks OpenID Connect.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"issuer": "https://login.example.com", "client_id": "artisan", "client_secret": "…", "default_role": "read_only"}))]
pub(crate) struct SetSso {
    /// HTTPS, and exactly as the provider's tokens name it.
    #[schema(format = "uri")]
    issuer: String,
    /// 1 to 256 characters.
    #[schema(min_length = 1, max_length = 256)]
    client_id: String,
    /// Up to 1,024 characters; never shown. May be left out while issuer and client stay the same.
    #[serde(default)]
    #[schema(format = Password, min_length = 1, max_length = 1024)]
    client_secret: Option<String>,
    /// The role of those who join by signing on: `manager`, `member` or `read_only`.
    #[schema(value_type = RoleInWorkspace)]
    default_role: Role,
    /// Where they have it. On the organization if not given, which is for `read_only` alone.
    #[serde(default)]
    default_workspace_id: Option<WorkspaceId>,
}

/// How the organization signs its people in, without the secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sso)]
struct SsoBody {
    #[schema(format = "uri")]
    issuer: String,
    client_id: String,
    #[schema(value_type = RoleInWorkspace)]
    default_role: Role,
    /// Null also when it is a workspace that the caller does not reach.
    default_workspace_id: Option<WorkspaceId>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&SsoConnection> for SsoBody {
    fn from(connection: &SsoConnection) -> Self {
        Self {
            issuer: connection.issuer.clone(),
            client_id: connection.client_id.clone(),
            default_role: connection.default_role,
            default_workspace_id: connection.default_workspace_id,
            created_at: connection.created_at,
            updated_at: connection.updated_at,
        }
    }
}

async fn find(context: &Context) -> Result<SsoConnection, Refused> {
    let connection = context.tenant().sso().await?;
    connection.ok_or(Refused(Problem::NotFound { what: "identity provider" }))
}

/// Get the identity provider
#[utoipa::path(
    get, path = "/api/admin/sso", operation_id = "get_sso", tag = "single sign-on",
    responses((status = 200, description = "The identity provider", body = SsoBody)),
    extensions(("x-problem-codes" = json!([Code::NotFound])))
)]
pub(super) async fn get(caller: Authorized<SsoRead>) -> Reply {
    let connection = find(&caller.context).await?;
    let mut shown = SsoBody::from(&connection);
    let mode = caller.context.caller.known.mode();
    shown.default_workspace_id = shown.default_workspace_id.filter(|id| caller.reaches(Some(*id), mode));
    edge::ok(&shown, Some(connection.updated_at))
}

/// Set the identity provider
///
/// Sets it up, or replaces it as a whole. It vouches for people with addresses of the organization's verified domains and
/// for nobody else: without one, nobody can sign on.
#[utoipa::path(
    put, path = "/api/admin/sso", operation_id = "set_sso", tag = "single sign-on",
    request_body = SetSso,
    responses((status = 200, description = "Set", body = SsoBody)),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict, Code::WorkspaceArchived])))
)]
pub(super) async fn set(
    caller: Everywhere<SsoWrite>,
    Extension(outside): Extension<Outside>,
    if_match: IfMatch,
    body: Json<SetSso>,
) -> Reply {
    let context = &caller.context;
    let (before, profile) = (context.tenant().sso().await?, present(context).await?);
    match &before {
        Some(before) => if_match.check(before.updated_at)?,
        // There is no version that the header could name.
        None if if_match.is_given() => return Err(Refused(Problem::PreconditionFailed)),
        None => {}
    }
    let sent = body.value;
    let placement = Placement { role: sent.default_role, workspace_id: sent.default_workspace_id };
    let exceeds = placement.exceeds(&context.caller.known);
    let draft = Draft {
        issuer: sent.issuer,
        client_id: sent.client_id,
        client_secret: sent.client_secret,
        placement,
    };
    let checked = draft.check(before.as_ref(), outside.policy)?;
    checked.locks_nobody_out(before.as_ref(), &profile)?;
    if let Some(permission) = exceeds {
        return Err(context.refuse_grant(permission).await);
    }
    let (organization, now) = (context.tenant().organization_id(), context.request.now);
    let after = checked.connect(before.as_ref(), organization, &outside.client_seal, now)?;
    let record = context.record("sso.set", "sso", &organization.to_string());
    let change = sso::set(before.as_ref(), &after, organization, record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    edge::ok(&SsoBody::from(&after), Some(after.updated_at))
}

/// Remove the identity provider
///
/// Refused while the organization requires single sign-on.
#[utoipa::path(
    delete, path = "/api/admin/sso", operation_id = "delete_sso", tag = "single sign-on",
    responses((status = 204, description = "Removed")),
    extensions(("x-problem-codes" = json!([Code::NotFound, Code::Conflict])))
)]
pub(super) async fn delete(caller: Everywhere<SsoDelete>, if_match: IfMatch) -> Reply {
    let context = &caller.context;
    let (before, organization) = (find(context).await?, present(context).await?);
    if_match.check(before.updated_at)?;
    let record = context.record("sso.delete", "sso", &organization.id.to_string());
    let change = sso::remove(&before, &organization, record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await
}
