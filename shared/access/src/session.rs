//! A person's tokens: a signed access token for 15 minutes and a refresh token that is replaced on each use.
//!
//! The access token (JWT, RFC 7519, HS256) says which session it belongs to and nothing that isn't looked up again:
//! the session's own item decides with every request whether it still stands. The first refresh token of a session is random,
//! and each further one follows from the one before it by our key, so that whoever asks twice gets the same one. All carry a
//! mark that only we can make, so that nobody can pass off an invented one as a used one; their SHA-256 is all that is kept.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ids::{OrganizationId, SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::api_key::sha256_hex;

/// How long an access token is good for.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a session lasts however often it is refreshed.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long after it was replaced a refresh token still gets the successor that it got: for who lost the answer, and for two
/// requests of one browser at the same moment. Used later, it has been copied.
pub const REFRESH_LEEWAY: Duration = Duration::from_secs(10);
/// Requests of one session in any 60 minutes.
pub const REQUESTS_PER_HOUR: u64 = 5000;

const ISSUER: &str = "artisan";
const AUDIENCE: &str = "artisan-api";
const REFRESH_PREFIX: &str = "rt_";
/// Keeps what successors follow from apart from what is marked, which is shorter.
const SUCCESSOR: &[u8] = b"successor";

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
    org: OrganizationId,
    sub: UserId,
    iat: i64,
    exp: i64,
}

/// Whose an access token is: enough to look up, at the same time, whether its session and its person still stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// The session.
    pub session: SessionId,
    /// The organization it acts in.
    pub organization: OrganizationId,
    /// The person.
    pub user: UserId,
}

/// Makes and reads both kinds of token.
#[derive(Clone)]
pub struct Tokens {
    refresh: Hmac<Sha256>,
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
        let refresh = master.derive(sealing::Purpose::RefreshTokens)?;
        Ok(Self {
            refresh: Hmac::new_from_slice(refresh.expose_secret()).map_err(|_| sealing::SealError::Failed)?,
            encoding: EncodingKey::from_secret(key.expose_secret()),
            decoding: DecodingKey::from_secret(key.expose_secret()),
            validation,
        })
    }

    /// An access token for a session.
    ///
    /// # Errors
    /// [`sealing::SealError::Failed`] when signing fails; not expected to happen.
    pub fn access_token(&self, bearer: Bearer, now: Timestamp) -> Result<String, sealing::SealError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sid: bearer.session,
            org: bearer.organization,
            sub: bearer.user,
            iat: now.seconds(),
            exp: (now + ACCESS_TOKEN_LIFE).seconds(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| sealing::SealError::Failed)
    }

    /// Whose an access token is.
    ///
    /// # Errors
    /// [`InvalidToken`] when it can't be used.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Bearer, InvalidToken> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| InvalidToken::NotOurs)?
            .claims;
        if claims.exp <= now.seconds() {
            return Err(InvalidToken::Expired);
        }
        Ok(Bearer { session: claims.sid, organization: claims.org, user: claims.sub })
    }
}

/// A refresh token in the clear: `rt_<session>.<32 bytes that nobody can guess, and their mark>`.
pub struct RefreshToken {
    session: SessionId,
    text: SecretString,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken")
    }
}

impl Tokens {
    /// The first refresh token of a session.
    ///
    /// # Errors
    /// [`sealing::SealError`] when there is no randomness to be had.
    pub fn refresh_token(&self, session: SessionId) -> Result<RefreshToken, sealing::SealError> {
        Ok(self.marked(session, &sealing::random::<32>()?))
    }

    /// The refresh token that takes another one's place: always the same.
    #[must_use]
    pub fn successor(&self, token: &RefreshToken) -> RefreshToken {
        let of = self.refresh.clone().chain_update(SUCCESSOR).chain_update(token.session.as_bytes());
        let body = of.chain_update(token.reveal().as_bytes()).finalize().into_bytes();
        self.marked(token.session, &body)
    }

    fn marked(&self, session: SessionId, body: &[u8]) -> RefreshToken {
        let mark = self.mark(session, body).finalize().into_bytes();
        let text = URL_SAFE_NO_PAD.encode([body, &mark].concat());
        RefreshToken { session, text: SecretString::from(format!("{REFRESH_PREFIX}{session}.{text}")) }
    }

    /// Reads a refresh token that we made, without any I/O. Whether it is the valid one is for the session to say.
    ///
    /// # Errors
    /// [`InvalidToken::NotOurs`] when it isn't one of ours.
    pub fn read_refresh_token(&self, text: &str) -> Result<RefreshToken, InvalidToken> {
        let parts = text.strip_prefix(REFRESH_PREFIX).and_then(|rest| rest.split_once('.'));
        let (session, body) = parts.ok_or(InvalidToken::NotOurs)?;
        let session = session.parse().map_err(|_| InvalidToken::NotOurs)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| InvalidToken::NotOurs)?;
        let (random, mark) = body.split_at_checked(32).ok_or(InvalidToken::NotOurs)?;
        self.mark(session, random).verify_slice(mark).map_err(|_| InvalidToken::NotOurs)?;
        Ok(RefreshToken { session, text: SecretString::from(text) })
    }

    fn mark(&self, session: SessionId, random: &[u8]) -> Hmac<Sha256> {
        self.refresh.clone().chain_update(session.as_bytes()).chain_update(random)
    }
}

impl RefreshToken {
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
        let ids = ids::Ids::new(clock::Clock::system());
        let session = Bearer { session: ids.next(), organization: ids.next(), user: ids.next() };
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
    fn a_successor_follows_from_the_token_and_the_key_alone() {
        let ids = ids::Ids::new(clock::Clock::system());
        let first = tokens("a").refresh_token(ids.next()).unwrap();
        let second = tokens("a").successor(&first);
        assert_eq!(tokens("a").successor(&first).reveal(), second.reveal());
        let read = tokens("a").read_refresh_token(second.reveal()).unwrap();
        assert_eq!((read.session(), read.digest()), (first.session(), second.digest()));
        let others = [
            first.digest(),
            tokens("a").successor(&second).digest(),
            tokens("b").successor(&first).digest(),
            tokens("a").successor(&tokens("a").refresh_token(first.session()).unwrap()).digest(),
        ];
        assert!(!others.contains(&second.digest()));
    }

    #[test]
    fn a_refresh_token_reads_back_and_cannot_be_invented() {
        let ids = ids::Ids::new(clock::Clock::system());
        let session = ids.next();
        let token = tokens("a").refresh_token(session).unwrap();
        let read = tokens("a").read_refresh_token(token.reveal()).unwrap();
        assert_eq!((read.session(), read.digest()), (session, token.digest()));
        assert_eq!(format!("{token:?}"), "RefreshToken");
        let body = token.reveal().split_once('.').unwrap().1.to_owned();
        let other: SessionId = ids.next();
        for invented in [
            String::new(),
            "rt_".to_owned(),
            "rt_x.y".to_owned(),
            format!("rt_{session}."),
            format!("rt_{session}.{}", URL_SAFE_NO_PAD.encode([7; 64])),
            format!("rt_{other}.{body}"),
        ] {
            assert_eq!(
                tokens("a").read_refresh_token(&invented).unwrap_err(),
                InvalidToken::NotOurs,
                "{invented}"
            );
        }
        assert_eq!(tokens("b").read_refresh_token(token.reveal()).unwrap_err(), InvalidToken::NotOurs);
    }
}
