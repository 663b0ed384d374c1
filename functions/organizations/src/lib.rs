//! An organization: its profile, plan and settings, its domains and identity provider, what it owns, and its end.

mod app;
pub mod operator;
mod wire;

use axum::Router;
use dns::Resolver;
use edge::Edge;
use egress::Policy;
use oidc::ClientSeal;
use runtime::{Services, StartError};
use sealing::MasterSecret;
use utoipa::openapi::OpenApi;

/// What the routes share besides the edge: whom to ask about domains, and what is allowed of identity providers.
#[derive(Clone)]
pub(crate) struct Outside {
    /// `None` where DNS is not set up; nothing can be verified there.
    pub(crate) resolver: Option<Resolver>,
    pub(crate) policy: Policy,
    /// Seals client secrets, which the `auth` function opens.
    pub(crate) client_seal: ClientSeal,
}

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let (edge, secret) = tokio::try_join!(Edge::start(services), services.secret("SESSION_SECRET_ID"))?;
    let client_seal = ClientSeal::new(&MasterSecret::new(secret))
        .map_err(|e| StartError::Client { what: "client secret key", source: Box::new(e) })?;
    let outside = Outside {
        resolver: resolver(services)?,
        policy: Policy { allow_loopback: services.environment.parsed("WEBHOOK_ALLOW_LOOPBACK", false)? },
        client_seal,
    };
    let (routes, _) = wire::routes().split_for_parts();
    Ok(edge::serve(edge, routes.layer(axum::Extension(outside))))
}

/// The resolver at `DNS_RESOLVER`, or the system's. A machine without DNS can do everything else.
fn resolver(services: &Services) -> Result<Option<Resolver>, StartError> {
    const NAME: &str = "DNS_RESOLVER";
    match (services.environment.optional(NAME), Resolver::new(services.environment.optional(NAME))) {
        (_, Ok(resolver)) => Ok(Some(resolver)),
        (Some(_), Err(_)) => Err(StartError::Unreadable { name: NAME }),
        (None, Err(error)) => {
            tracing::warn!(%error, "domains cannot be verified");
            Ok(None)
        }
    }
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
