//! Roles on the wire.

use access::permission::{Level, ROLES, held_on};
use access::{Grants, Permission};
use edge::{Context, Reply};
use serde::Serialize;
use store::Role;
use utoipa::ToSchema;

/// What a role gives.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoleDescription)]
struct RoleBody {
    role: Role,
    /// `organization`, `workspace` or both.
    #[schema(value_type = Vec<String>, example = json!(["workspace"]))]
    held_on: &'static [Level],
    #[schema(example = json!(["campaigns:read", "campaigns:write"]))]
    permissions: Vec<String>,
}

/// Who may do what.
#[derive(Debug, Serialize, ToSchema)]
struct RoleMatrix {
    data: Vec<RoleBody>,
    /// Every permission there is: what roles give and API keys are scoped to.
    permissions: Vec<String>,
}

/// List roles
///
/// The whole matrix of roles and permissions, by which people and API keys are judged alike.
#[utoipa::path(
    get, path = "/api/admin/roles", operation_id = "list_roles", tag = "users",
    responses((status = 200, description = "The matrix", body = RoleMatrix))
)]
pub(super) async fn list(_: Context) -> Reply {
    let names = |permissions: Grants| permissions.iter().map(|it| it.to_string()).collect();
    let row = |role| RoleBody { role, held_on: held_on(role), permissions: names(Grants::of_role(role)) };
    let all = Permission::all().map(|it| it.to_string()).collect();
    edge::ok(&RoleMatrix { data: ROLES.into_iter().map(row).collect(), permissions: all }, None)
}
