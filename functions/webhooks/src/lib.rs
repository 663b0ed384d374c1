//! Webhook endpoints, the deliveries to them, and dead letters: `/api/admin/webhooks`.

mod app;
mod event_types;
mod wire;

use std::sync::Arc;

use axum::Router;
use edge::Edge;
use egress::Policy;
use runtime::{Services, StartError};
use sealing::{MasterSecret, Purpose};
use utoipa::openapi::OpenApi;

/// What the routes share besides the edge.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<sealing::Key>, Policy);

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let (edge, secret) = tokio::try_join!(Edge::start(services), services.secret("WEBHOOK_SECRET_ID"))?;
    let key = MasterSecret::new(secret)
        .sealing_key(Purpose::WebhookSecrets)
        .map_err(|e| StartError::Client { what: "webhook secret key", source: Box::new(e) })?;
    let policy = Policy { allow_loopback: services.environment.parsed("WEBHOOK_ALLOW_LOOPBACK", false)? };
    let (routes, _) = wire::routes().split_for_parts();
    let routes = routes.layer(axum::Extension(Secrets(Arc::new(key), policy)));
    Ok(edge::serve(edge, routes))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
