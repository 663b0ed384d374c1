//! An organization: its profile, plan and settings, its domains and identity provider, what it owns, and its end.

mod app;
mod wire;

use axum::Router;
use edge::Edge;
use runtime::{Services, StartError};
use utoipa::openapi::OpenApi;

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let edge = Edge::start(services).await?;
    let (routes, _) = wire::routes().split_for_parts();
    Ok(edge::serve(edge, routes))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
