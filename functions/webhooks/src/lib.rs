//! Webhooks: endpoints, the deliveries to them, dead letters, replays, and the log of events. `/api/admin/webhooks` and
//! `/api/admin/events`.

mod app;
pub mod operator;
mod wire;

use std::sync::Arc;

use axum::Router;
use edge::Edge;
use egress::Policy;
use jobs::SlowLane;
use runtime::{Services, StartError};
use sealing::{MasterSecret, Purpose};
use utoipa::openapi::OpenApi;

/// What the routes share besides the edge.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Seals the secrets of endpoints.
    pub(crate) sealing: Arc<sealing::Key>,
    /// Where may be sent to.
    pub(crate) policy: Policy,
    /// Where deliveries go that are begun anew.
    pub(crate) lane: SlowLane,
}

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
    let shared = Shared { sealing: Arc::new(key), policy, lane: SlowLane::from_services(services)? };
    let (routes, _) = wire::routes().split_for_parts();
    Ok(edge::serve(edge, routes.layer(axum::Extension(shared))))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
