//! A person's tokens: a signed access token for 15 minutes and a refresh token that is replaced on each use.
//!
//! The access token (JWT, RFC 7519, HS256) says which session it belongs to and nothing that isn't looked up again:
//! the session's own item decides with every request whether it still stands. A refresh token is random; its
//! SHA-256 is all that is kept.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Timestamp;
use ids::SessionId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::api_key::sha256_hex;

/// How long an access token is good for.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a session lasts however often it is refreshed.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Requests of one session in any 60 minutes.
pub const REQUESTS_PER_HOUR: u64 = 5000;

const ISSUER: &str = "artisan";
const AUDIENCE: &str = "artisan-api";
const REFRESH_PREFIX: &str = "rt_";

/// The token can't be used: not ours, changed, or expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It isn't one of ours, or was changed.
    #[error("not a token of ours")]
    NotOurs,
    /// It was one of ours.
    #[error("the token has expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// Signs and reads access tokens.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Tokens signed with the key the master secret gives for sessions.
    ///
    /// # Errors
    /// [`sealing::SealError`] when the key cannot be derived.
    pub fn new(master: &sealing::MasterSecret) -> Result<Self, sealing::SealError> {
        let key = master.derive(sealing::Purpose::Sessions)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Expiry is judged by the injected clock, below.
        validation.validate_exp = false;
        Ok(Self {
            encoding: EncodingKey::from_secret(key.expose_secret()),
            decoding: DecodingKey::from_secret(key.expose_secret()),
            validation,
        })
    }

    /// An access token for a session.
    ///
    /// # Errors
    /// [`sealing::SealError::Failed`] when signing fails; not expected to happen.
    pub fn access_token(&self, session: SessionId, now: Timestamp) -> Result<String, sealing::SealError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sid: session,
            iat: now.seconds(),
            exp: (now + ACCESS_TOKEN_LIFE).seconds(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| sealing::SealError::Failed)
    }

    /// The session an access token belongs to.
    ///
    /// # Errors
    /// [`InvalidToken`] when it can't be used.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<SessionId, InvalidToken> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| InvalidToken::NotOurs)?
            .claims;
        if claims.exp <= now.seconds() {
            return Err(InvalidToken::Expired);
        }
        Ok(claims.sid)
    }
}

/// A refresh token in the clear.
pub struct RefreshToken {
    session: SessionId,
    text: SecretString,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken")
    }
}

impl RefreshToken {
    /// A new token of a session.
    ///
    /// # Errors
    /// [`sealing::SealError`] when there is no randomness to be had.
    pub fn generate(session: SessionId) -> Result<Self, sealing::SealError> {
        let random = URL_SAFE_NO_PAD.encode(sealing::random::<32>()?);
        Ok(Self { session, text: SecretString::from(format!("{REFRESH_PREFIX}{session}.{random}")) })
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`InvalidToken::NotOurs`] when it doesn't have the form of one.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let body = text.strip_prefix(REFRESH_PREFIX).ok_or(InvalidToken::NotOurs)?;
        let (session, random) = body.split_once('.').ok_or(InvalidToken::NotOurs)?;
        if random.len() != 43 {
            return Err(InvalidToken::NotOurs);
        }
        let session = session.parse().map_err(|_| InvalidToken::NotOurs)?;
        Ok(Self { session, text: SecretString::from(text) })
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The token itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(self.text.expose_secret().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&sealing::MasterSecret::new(secret.repeat(32))).unwrap()
    }

    #[test]
    fn an_access_token_is_good_for_fifteen_minutes_and_for_us_only() {
        let now = clock::utc(2026, 11, 22, 15, 0);
        let session = ids::Ids::new(clock::Clock::system()).next();
        let token = tokens("a").access_token(session, now).unwrap();
        assert_eq!(tokens("a").read(&token, now), Ok(session));
        assert_eq!(tokens("a").read(&token, now + Duration::from_secs(899)), Ok(session));
        assert_eq!(tokens("a").read(&token, now + Duration::from_secs(900)), Err(InvalidToken::Expired));
        assert_eq!(tokens("b").read(&token, now), Err(InvalidToken::NotOurs));
        // The same claims under `alg: none`.
        let claims = token.split('.').nth(1).unwrap();
        let none = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#));
        assert_eq!(tokens("a").read(&none, now), Err(InvalidToken::NotOurs));
    }

    #[test]
    fn a_refresh_token_reads_back_and_never_prints() {
        let session = ids::Ids::new(clock::Clock::system()).next();
        let token = RefreshToken::generate(session).unwrap();
        let read = RefreshToken::parse(token.reveal()).unwrap();
        assert_eq!((read.session(), read.digest()), (session, token.digest()));
        assert_eq!(format!("{token:?}"), "RefreshToken");
        for junk in ["", "rt_", "rt_x.y", "sk_live_x"] {
            assert_eq!(RefreshToken::parse(junk).unwrap_err(), InvalidToken::NotOurs);
        }
    }
}
