//! API keys: made, listed and revoked at `/api/admin/api-keys`; a key asks about itself at `/v1/whoami`. Those that were found
//! in public are reported at `/api/secret-scanning/github`.

mod app;
pub mod operator;
mod wire;

use axum::Router;
use edge::Edge;
use egress::{Policy, Sender, Target};
use runtime::{Services, StartError};
use secret_scanning::Verifier;
use utoipa::openapi::OpenApi;

/// Who reports leaked keys; `None` where no reports are taken.
#[derive(Debug, Clone)]
pub(crate) struct Scanning(Option<Verifier>);

impl Scanning {
    /// By the keys that are published at `SECRET_SCANNING_KEYS_URL`.
    fn of(services: &Services) -> Result<Self, StartError> {
        const NAME: &str = "SECRET_SCANNING_KEYS_URL";
        let Some(url) = services.environment.optional(NAME) else { return Ok(Self(None)) };
        let policy = Policy { allow_loopback: services.environment.parsed("WEBHOOK_ALLOW_LOOPBACK", false)? };
        let target = Target::parse(url, policy).map_err(|_| StartError::Unreadable { name: NAME })?;
        let sender = Sender::with_dns(policy, services.environment.optional("DNS_RESOLVER"))
            .map_err(|source| StartError::Client { what: "client of secret scanning", source })?;
        Ok(Self(Some(Verifier::new(sender, target, services.clock.clone()))))
    }
}

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let scanning = Scanning::of(services)?;
    let edge = Edge::start(services).await?;
    let (routes, _) = wire::routes().split_for_parts();
    Ok(edge::serve(edge, routes.layer(axum::Extension(scanning))))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
