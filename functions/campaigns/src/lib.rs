//! Campaigns: what a team sets out to do with its leads.
//!
//! `/v1/campaigns` and its alias `/api/campaigns`.

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
    let routes = Router::new().nest("/v1/campaigns", routes.clone()).nest("/api/campaigns", routes);
    Ok(edge::serve(edge, routes))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    utoipa_axum::router::OpenApiRouter::new().nest("/v1/campaigns", wire::routes()).into_openapi()
}
