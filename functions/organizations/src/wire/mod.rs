//! An organization on the wire.

mod domains;
mod end;
mod organization;
mod sso;

use edge::{Context, Edge, Refused, routes};
use problem::Problem;
use store::Organization;
use utoipa_axum::router::OpenApiRouter;

/// The path of exports; cursors are bound to it.
const EXPORT: &str = "/api/admin/organization/export";

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(organization::get, organization::change, end::delete))
        .routes(routes!(end::restore))
        .routes(routes!(end::export))
        .routes(routes!(domains::claim, domains::list))
        .routes(routes!(domains::get, domains::change, domains::delete))
        .routes(routes!(domains::verify))
        .routes(routes!(sso::get, sso::set, sso::delete))
}

/// The organization as it is at this moment. What a key's request knows of it may be a few seconds old, which will do for
/// judging a request but not for changing what was read.
async fn present(context: &Context) -> Result<Organization, Refused> {
    if let Some(person) = &context.caller.person {
        return Ok(Organization::clone(&person.organization));
    }
    let organization = context.tenant().organization().await?;
    organization.ok_or(Refused(Problem::NotFound { what: "organization" }))
}
