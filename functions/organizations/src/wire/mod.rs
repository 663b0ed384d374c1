//! An organization on the wire.

mod organization;

use edge::{Context, Edge, Refused};
use problem::Problem;
use store::Organization;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(organization::get, organization::change))
}

/// The organization as it is at this moment. What a key's request knows of it may be a few seconds old, which will do for
/// judging a request but not for changing what was read.
async fn present(context: &Context) -> Result<Organization, Refused> {
    if let Some(person) = &context.caller.person {
        return Ok(person.organization.clone());
    }
    let organization = context.tenant().organization().await?;
    organization.ok_or(Refused(Problem::NotFound { what: "organization" }))
}
