//! The audit log: what was done, by whom, and proof that nothing of it was edited; exports of it; and what is held about a
//! person, to be exported or erased. `/api/admin/audit-logs` and `/api/admin/privacy`.

mod app;
pub mod operator;
mod wire;

use ::jobs::LongJobs;
use axum::Router;
use edge::Edge;
use objects::Bucket;
use runtime::{Services, StartError};
use utoipa::openapi::OpenApi;

/// What the routes share besides the edge.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Where the files of exports are.
    pub(crate) exports: Bucket,
    /// Where long jobs are looked at.
    pub(crate) queue: LongJobs,
}

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let edge = Edge::start(services).await?;
    let client = objects::Client::from_services(services);
    let shared = Shared {
        exports: Bucket::from_environment(&services.environment, "EXPORTS_BUCKET", &client)?,
        queue: LongJobs::from_services(services)?,
    };
    let (routes, _) = wire::routes().split_for_parts();
    Ok(edge::serve(edge, routes.layer(axum::Extension(shared))))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
