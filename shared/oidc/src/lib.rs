//! OpenID Connect relying party: the authorization code flow with PKCE, for identity providers that organizations
//! configure themselves (OpenID Connect Core 1.0, Discovery 1.0; RFC 6749, 7636, 9207).
//!
//! **The threat.** The issuer is a customer's input. A hostile one names addresses that only we can reach, answers
//! for ever, or speaks for another issuer; it sends a browser on to an honest provider to have that one's code
//! delivered to itself (mix-up). A hostile user replays the token of another sign-in, of another client or of another
//! key, or has it verified by an algorithm that needs no key.
//!
//! **The answer.** Everything goes through [`egress`]: judged addresses, no redirects, a deadline, a bound on the
//! body. The issuer that was configured is the one that discovery, the answer to the browser and the id token must
//! name, character by character. An id token is believed only if a published key of that issuer signed it with an
//! asymmetric algorithm, and it is for this client, for now, and for the nonce of this sign-in. Secrets and tokens
//! are types that don't print.
//!
//! **Never:** the implicit flow; `none` or HMAC signatures; a key that the token brings along; an address from
//! discovery that would not do as a target. What happened at a provider is told apart in [`OidcError`].
//!
//! The order of a sign-in:
//!
//! ```no_run
//! # async fn sign_in(party: oidc::RelyingParty, client: oidc::Client, callback: oidc::Callback)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! # let policy = egress::Policy { allow_loopback: false };
//! # let redirect_uri = "https://app.example.com/api/auth/sso/callback";
//! let issuer = oidc::Issuer::parse("https://login.example.com", policy)?;
//! let provider = party.discover(&issuer).await?;
//! // Kept, with the verifier, until the browser comes back:
//! let (state, nonce) = (oidc::random_token()?, oidc::random_token()?);
//! let verifier = oidc::Verifier::random()?;
//! let url = provider.authorization_url(&oidc::Authorization {
//!     client_id: client.id(),
//!     redirect_uri,
//!     state: &state,
//!     nonce: &nonce,
//!     challenge: &verifier.challenge(),
//!     login_hint: None,
//! });
//! // … the browser goes to `url` and comes back with `callback`, whose state says which sign-in it is …
//! let code = provider.code(&callback)?;
//! let claims = provider.sign_in(&client, &code, &verifier, redirect_uri, &nonce).await?;
//! # Ok(()) }
//! ```

mod callback;
mod client;
mod error;
mod issuer;
mod keys;
mod metadata;
mod provider;
mod seal;
mod token;

pub use callback::{Callback, Code};
pub use client::{Client, Tokens, Verifier, random_token};
pub use error::{OidcError, Part};
pub use issuer::{Issuer, IssuerFault};
pub use provider::{Authorization, Provider, RelyingParty};
pub use seal::ClientSeal;
pub use token::Claims;
