//! Leads: the people a campaign reaches out to, and what they answer.
//!
//! `/v1/leads` and its alias `/api/leads`; and `/v1/email-events`, what happened to e-mails to them.

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
    let routes = Router::new().nest("/v1/leads", routes.clone()).nest("/api/leads", routes);
    let (email_events, _) = wire::email_events::routes().split_for_parts();
    let routes = routes.merge(email_events);
    Ok(edge::serve(edge, routes))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    utoipa_axum::router::OpenApiRouter::new()
        .nest("/v1/leads", wire::routes())
        .merge(wire::email_events::routes())
        .into_openapi()
}
