//! Meetings: what it was all for.
//!
//! `/v1/meetings` and its alias `/api/meetings`.

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
    let routes = Router::new().nest("/v1/meetings", routes.clone()).nest("/api/meetings", routes);
    Ok(edge::serve(edge, routes))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    utoipa_axum::router::OpenApiRouter::new().nest("/v1/meetings", wire::routes()).into_openapi()
}
