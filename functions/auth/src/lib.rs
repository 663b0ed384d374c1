//! Sign-up, sign-in and sessions: `/api/auth`.
//!
//! No answer and no timing tells whether an e-mail address is known, sign-up aside, which must say that an account
//! cannot be made.

mod app;
mod password;
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
