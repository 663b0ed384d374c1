//! The HTTP edge of a function.
//!
//! A handler extracts (authority, input), calls one function of its `app`, and maps the result. All the rest of
//! the HTTP contract is here: who the caller is and whether they may, problem responses, request ids,
//! security and rate-limit headers, size limits, idempotency, cursors, entity tags.

mod authority;
mod body;
mod commit;
mod cursor;
mod etag;
mod idempotency;
mod openapi;
mod operation;
mod overview;
mod preflight;
mod ranged;
mod reply;
mod request;
mod search;
mod serve;
mod turned_away;

use std::sync::Arc;

use access::Gate;
use access::api_key::Peppers;
use access::session::Tokens;
use clock::Clock;
use ids::Ids;
use mailing::MailSeal;
use runtime::{Services, StartError};
use sealing::{MasterSecret, Purpose};
use store::Store;

pub use authority::{
    Authorized, Context, Everywhere, EverywhereOrSelf, InWorkspace, Person, Reinstating, Unproven,
};
pub use body::{Json, Raw};
pub use commit::{Committed, replay};
pub use cursor::{Narrow, Narrowed, Paging, Values, includes, request_id};
pub use etag::IfMatch;
pub use idempotency::{Idempotency, IdempotencyKey};
pub use openapi::{Hostname, Network, Origin, ProblemBody, RoleInWorkspace};
pub use operation::{Argument, Described, Description, LAYERS, PERMISSION, PROBLEM_CODES, described, joined};
pub use ranged::{All, Ranged};
pub use reply::{Refused, Reply, answer, no_content, ok};
pub use request::{LONGEST_REQUEST_ID, PathId, PathIds, RequestInfo};
pub use search::{Search, Searchable};
pub use serve::{BODY_LIMIT, serve, serve_open, serve_rest};
#[doc(hidden)]
pub use utoipa_axum;

/// What every HTTP function shares: the gate, the keys for cursors, idempotency and mails, clock and ids.
#[derive(Clone)]
pub struct Edge(Arc<Shared>);

struct Shared {
    gate: Gate,
    cursors: sealing::Key,
    fingerprint: secrecy::SecretBox<[u8; 32]>,
    overviews: overview::Overviews,
    turned_away: turned_away::TurnedAway,
    tokens: Tokens,
    mail_seal: MailSeal,
    store: Store,
    clock: Clock,
    ids: Ids,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Edge")
    }
}

impl Edge {
    /// Builds the edge from `SESSION_SECRET_ID`, `API_KEY_PEPPER_ID` and the tables, and opens the connections.
    ///
    /// # Errors
    /// [`StartError`] when a variable or the secret is missing.
    pub async fn start(services: &Services) -> Result<Self, StartError> {
        let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
        let (secret, peppers, ()) =
            tokio::join!(services.secret("SESSION_SECRET_ID"), peppers(services), store.warm_up());
        let (master, peppers) = (MasterSecret::new(secret?), peppers?);
        let failed =
            |what| move |source: sealing::SealError| StartError::Client { what, source: Box::new(source) };
        let tokens = Tokens::new(&master).map_err(failed("token signer"))?;
        Ok(Self(Arc::new(Shared {
            gate: Gate::new(store.clone(), tokens.clone(), peppers),
            cursors: master.sealing_key(Purpose::Cursors).map_err(failed("cursor key"))?,
            fingerprint: master.derive(Purpose::Idempotency).map_err(failed("idempotency key"))?,
            overviews: overview::Overviews::default(),
            turned_away: turned_away::TurnedAway::default(),
            tokens,
            mail_seal: MailSeal::new(&master).map_err(failed("mail key"))?,
            store,
            clock: services.clock.clone(),
            ids: services.ids.clone(),
        })))
    }

    /// How API keys are hashed.
    #[must_use]
    pub fn peppers(&self) -> &Peppers {
        self.0.gate.peppers()
    }

    /// The source of ids.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The signer of access tokens; only the `auth` function issues any.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Seals mails: those that a change causes go out by `Change::mailing`.
    #[must_use]
    pub fn mail_seal(&self) -> &MailSeal {
        &self.0.mail_seal
    }

    /// The whole store. For the `auth` function, which works before there is a tenant, and for health checks;
    /// everything else gets its tenant from [`Authorized`].
    #[must_use]
    pub fn unscoped_store(&self) -> &Store {
        &self.0.store
    }
}

/// The peppers in the secret that `API_KEY_PEPPER_ID` names; none when it is not set.
async fn peppers(services: &Services) -> Result<Peppers, StartError> {
    const NAME: &str = "API_KEY_PEPPER_ID";
    if services.environment.optional(NAME).is_none() {
        return Ok(Peppers::none());
    }
    let secret = services.secret(NAME).await?;
    Peppers::parse(&secret).map_err(|source| StartError::Secret { name: NAME, source: Box::new(source) })
}
