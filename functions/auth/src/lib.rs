//! Identity: who somebody is, what they have proved, and which sessions follow from it: `/api/auth`.
//!
//! No answer and no timing tells whether an e-mail address is known, sign-up aside, which must say that an account
//! cannot be made.

mod app;
mod half_way;
mod password;
mod sign_on;
mod totp;
mod wire;

use std::sync::Arc;

use axum::Router;
use edge::Edge;
use mailing::MailQueue;
use runtime::{Services, StartError};
use sealing::{Key, MasterSecret, Purpose};
use utoipa::openapi::OpenApi;

use crate::half_way::HalfWay;
use crate::sign_on::SignOn;

/// What the routes share besides the edge.
#[derive(Clone)]
pub(crate) struct Auth(Arc<Shared>);

struct Shared {
    half_way: HalfWay,
    second_factors: Key,
    mails: MailQueue,
    sign_on: SignOn,
}

impl Auth {
    fn new(services: &Services, master: &MasterSecret) -> Result<Self, StartError> {
        let key = |purpose, what| {
            master
                .sealing_key(purpose)
                .map_err(|source| StartError::Client { what, source: Box::new(source) })
        };
        Ok(Self(Arc::new(Shared {
            half_way: HalfWay::new(key(Purpose::MfaTokens, "key of half-way tokens")?),
            second_factors: key(Purpose::SecondFactors, "key of second factors")?,
            mails: MailQueue::from_services(services)?,
            sign_on: SignOn::new(services, master)?,
        })))
    }

    /// Makes and reads the tokens between a password and a second factor.
    pub(crate) fn half_way(&self) -> &HalfWay {
        &self.0.half_way
    }

    /// Seals the secrets of second factors.
    pub(crate) fn second_factors(&self) -> &Key {
        &self.0.second_factors
    }

    /// The queue of mails.
    pub(crate) fn mails(&self) -> &MailQueue {
        &self.0.mails
    }

    /// Single sign-on.
    pub(crate) fn sign_on(&self) -> &SignOn {
        &self.0.sign_on
    }
}

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let (edge, secret) = tokio::try_join!(Edge::start(services), services.secret("SESSION_SECRET_ID"))?;
    let auth = Auth::new(services, &MasterSecret::new(secret))?;
    let (routes, _) = wire::routes().split_for_parts();
    Ok(edge::serve(edge, routes.layer(axum::Extension(auth))))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    wire::routes().into_openapi()
}
