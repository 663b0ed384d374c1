//! Identity: who somebody is, what they have proved, and which sessions follow from it: `/api/auth`.
//!
//! No answer and no timing tells whether an e-mail address is known, sign-up aside, which must say that an account
//! cannot be made.

mod app;
mod half_way;
mod password;
mod wire;

use std::sync::Arc;

use axum::Router;
use edge::Edge;
use runtime::{Services, StartError};
use sealing::{MasterSecret, Purpose};
use utoipa::openapi::OpenApi;

use crate::half_way::HalfWay;

/// What the routes share besides the edge.
#[derive(Clone)]
pub(crate) struct Auth(Arc<Shared>);

struct Shared {
    half_way: HalfWay,
}

impl Auth {
    fn new(master: &MasterSecret) -> Result<Self, StartError> {
        let key = |purpose, what| {
            master
                .sealing_key(purpose)
                .map_err(|source| StartError::Client { what, source: Box::new(source) })
        };
        Ok(Self(Arc::new(Shared {
            half_way: HalfWay::new(key(Purpose::MfaTokens, "key of half-way tokens")?),
        })))
    }

    /// Makes and reads the tokens between a password and a second factor.
    pub(crate) fn half_way(&self) -> &HalfWay {
        &self.0.half_way
    }
}

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let (edge, secret) = tokio::try_join!(Edge::start(services), services.secret("SESSION_SECRET_ID"))?;
    let auth = Auth::new(&MasterSecret::new(secret))?;
    let (routes, _) = wire::routes().split_for_parts();
    Ok(edge::serve(edge, routes.layer(axum::Extension(auth))))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
