//! The relying party, and a provider it has discovered.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{Clock, Timestamp};
use egress::{Bounds, Document, Failure, Fetch, FetchError, Sender, Target};
use http::{HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::callback::{Callback, Code};
use crate::client::{Client, Tokens, Verifier};
use crate::error::{OidcError, Part};
use crate::issuer::Issuer;
use crate::keys::KeySet;
use crate::metadata::{Authentication, Metadata};
use crate::token::{Claims, Expected, Person, Unverified};

/// How long one answer of a provider is waited for, unless told otherwise. A sign-in asks four times at most.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest document that is taken from a provider.
const LONGEST: usize = 256 * 1024;
/// How long a discovery document is good for.
const METADATA_LIFE: Duration = Duration::from_secs(60 * 60);
/// How long published keys are good for: a key that was withdrawn is not believed for longer.
const KEYS_LIFE: Duration = Duration::from_secs(15 * 60);
/// Tokens with unknown keys make us ask for the keys no more often than this.
const REFETCH_INTERVAL: Duration = Duration::from_secs(60);
/// How many providers a process remembers.
const MOST_PROVIDERS: usize = 256;
/// What is asked for: who it is, the address and the name.
const SCOPE: &str = "openid email profile";

/// Signs people in through identity providers. Cheap to clone; what was discovered is shared.
#[derive(Clone)]
pub struct RelyingParty {
    asking: Asking,
    providers: Arc<Mutex<HashMap<Issuer, Provider>>>,
}

/// How a provider is asked.
#[derive(Clone)]
struct Asking {
    sender: Sender,
    clock: Clock,
    deadline: Duration,
}

impl Asking {
    async fn ask(&self, part: Part, target: &Target, fetch: Fetch) -> Result<Document, OidcError> {
        let bounds = Bounds { deadline: self.deadline, body: LONGEST };
        self.sender.fetch(target, fetch, bounds).await.map_err(|error| match error {
            FetchError::Failed(Failure::Timeout) => OidcError::Timeout(part),
            FetchError::Failed(cause) => OidcError::Unreachable { part, cause },
            FetchError::TooLarge => OidcError::malformed(part, "it is longer than it may be"),
        })
    }
}

impl RelyingParty {
    /// A relying party that reaches providers through `sender` and judges tokens by `clock`.
    #[must_use]
    pub fn new(sender: Sender, clock: Clock) -> Self {
        let asking = Asking { sender, clock, deadline: DEADLINE };
        Self { asking, providers: Arc::default() }
    }

    /// The same, waiting this long for each answer of a provider.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.asking.deadline = deadline;
        self
    }

    /// What the provider says about itself, remembered for an hour.
    ///
    /// # Errors
    /// [`OidcError`] when it can't be asked, or is not what `issuer` says it is.
    pub async fn discover(&self, issuer: &Issuer) -> Result<Provider, OidcError> {
        let now = self.asking.clock.now();
        if let Some(provider) = self.remembered(issuer, now) {
            return Ok(provider);
        }
        let policy = self.asking.sender.policy();
        let target = Target::parse(&issuer.discovery(), policy)
            .map_err(|_| OidcError::malformed(Part::Discovery, "the issuer may not be asked"))?;
        let document = self.asking.ask(Part::Discovery, &target, Fetch::get()).await?;
        let provider = Provider {
            issuer: issuer.clone(),
            metadata: Arc::new(Metadata::read(&document, issuer, policy)?),
            discovered_at: now,
            keys: Arc::default(),
            asking: self.asking.clone(),
        };
        self.remember(provider.clone());
        Ok(provider)
    }

    fn remembered(&self, issuer: &Issuer, now: Timestamp) -> Option<Provider> {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        providers.get(issuer).filter(|provider| now.since(provider.discovered_at) < METADATA_LIFE).cloned()
    }

    fn remember(&self, provider: Provider) {
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        if providers.len() >= MOST_PROVIDERS && !providers.contains_key(&provider.issuer) {
            let oldest = providers.values().min_by_key(|provider| provider.discovered_at);
            if let Some(oldest) = oldest.map(|provider| provider.issuer.clone()) {
                providers.remove(&oldest);
            }
        }
        providers.insert(provider.issuer.clone(), provider);
    }
}

impl fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelyingParty")
    }
}

/// What a browser is sent to a provider with.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// Who asks.
    pub client_id: &'a str,
    /// Where the browser is to come back to; as registered with the provider.
    pub redirect_uri: &'a str,
    /// Which sign-in this is: a [`random_token`](crate::random_token) bound to the browser.
    pub state: &'a str,
    /// What the id token must repeat: another [`random_token`](crate::random_token).
    pub nonce: &'a str,
    /// [`Verifier::challenge`].
    pub challenge: &'a str,
    /// Who probably wants to sign in.
    pub login_hint: Option<&'a str>,
}

/// A provider that has been discovered. Cheap to clone; its keys are shared.
#[derive(Clone)]
pub struct Provider {
    issuer: Issuer,
    metadata: Arc<Metadata>,
    discovered_at: Timestamp,
    keys: Arc<tokio::sync::Mutex<Keys>>,
    asking: Asking,
}

/// The keys as they were last seen.
#[derive(Default)]
struct Keys {
    seen: Option<(KeySet, Timestamp)>,
    /// When they were last asked for because of an unknown key, and not because of their age.
    sought_at: Option<Timestamp>,
}

/// What the token endpoint answers (RFC 6749, sections 5.1 and 5.2).
#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    access_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Provider {
    /// Who it is.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Where to send the browser of somebody who wants to sign in.
    #[must_use]
    pub fn authorization_url(&self, authorization: &Authorization<'_>) -> Url {
        let mut url = self.metadata.authorization.url().clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", authorization.client_id)
            .append_pair("redirect_uri", authorization.redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("state", authorization.state)
            .append_pair("nonce", authorization.nonce)
            .append_pair("code_challenge", authorization.challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(authorization.login_hint.map(|hint| ("login_hint", hint)));
        url
    }

    /// The code that the browser came back with, if this provider sent it. The caller has found this provider by the
    /// callback's state.
    ///
    /// # Errors
    /// [`OidcError::Refused`] if the provider said no, [`OidcError::WrongIssuer`] if another one answered,
    /// [`OidcError::Malformed`] if it is neither a code nor an error.
    pub fn code(&self, callback: &Callback) -> Result<Code, OidcError> {
        // RFC 9207, section 2.4: first of all who answers, whatever the answer.
        let named = match &callback.iss {
            Some(issuer) => issuer == self.issuer.as_str(),
            None => !self.metadata.names_issuer,
        };
        if !named {
            return Err(OidcError::WrongIssuer(Part::Callback));
        }
        if let Some(error) = &callback.error {
            return Err(OidcError::refused(Part::Callback, error, callback.error_description.as_deref()));
        }
        match &callback.code {
            Some(code) if !code.is_empty() => Ok(Code(code.clone().into())),
            _ => Err(OidcError::malformed(Part::Callback, "it has neither a code nor an error")),
        }
    }

    /// Who signed in: exchanges the code, verifies the id token and, if that doesn't tell the address, asks for the
    /// user info.
    ///
    /// # Errors
    /// [`OidcError`] says what was not as it should be.
    pub async fn sign_in(
        &self,
        client: &Client,
        code: &Code,
        verifier: &Verifier,
        redirect_uri: &str,
        nonce: &str,
    ) -> Result<Claims, OidcError> {
        let tokens = self.exchange(client, code, verifier, redirect_uri).await?;
        let claims = self.verify_id_token(&tokens.id_token, client.id(), nonce).await?;
        // With the code flow a provider may keep what `email` and `profile` ask for to the user info (OpenID Connect
        // Core 1.0, section 5.4).
        if claims.email.is_some() { Ok(claims) } else { self.with_user_info(claims, &tokens).await }
    }

    /// Exchanges a code for tokens.
    ///
    /// # Errors
    /// [`OidcError`] when the provider can't be asked, refuses, or answers something else.
    pub async fn exchange(
        &self,
        client: &Client,
        code: &Code,
        verifier: &Verifier,
        redirect_uri: &str,
    ) -> Result<Tokens, OidcError> {
        const PART: Part = Part::TokenEndpoint;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.0.expose_secret()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.reveal()),
        ];
        let fetch = match self.metadata.authentication {
            Authentication::Post => {
                form.extend([("client_id", client.id()), ("client_secret", client.secret().expose_secret())]);
                Fetch::form(form)
            }
            Authentication::Basic => {
                Fetch::form(form).with(header::AUTHORIZATION, credentials(&client.basic())?)
            }
        };
        let document = self.asking.ask(PART, &self.metadata.token, fetch).await?;
        let status = OidcError::Status { part: PART, status: document.status };
        let answer: TokenAnswer = match serde_json::from_slice(&document.body) {
            Ok(answer) => answer,
            Err(_) if document.status == 200 => return Err(OidcError::malformed(PART, "it is not JSON")),
            Err(_) => return Err(status),
        };
        // An overloaded provider may say so in the form of an error; that is not a refusal.
        if let (Some(error), ..500) = (&answer.error, document.status) {
            return Err(OidcError::refused(PART, error, answer.error_description.as_deref()));
        }
        if document.status != 200 {
            return Err(status);
        }
        Ok(Tokens {
            id_token: answer.id_token.ok_or(OidcError::malformed(PART, "it has no id token"))?.into(),
            access_token: answer.access_token.map(SecretString::from),
        })
    }

    /// Who an id token says signed in, if this provider signed it for this client, for now and for the sign-in with
    /// this nonce.
    ///
    /// # Errors
    /// [`OidcError`] says what was not as it should be.
    pub async fn verify_id_token(
        &self,
        id_token: &SecretString,
        client_id: &str,
        nonce: &str,
    ) -> Result<Claims, OidcError> {
        let token = Unverified::read(id_token.expose_secret())?;
        let keys = self.keys_for(&token).await?;
        let now = self.asking.clock.now();
        token.verify(&keys, &Expected { issuer: self.issuer.as_str(), client_id, nonce, now })
    }

    async fn keys_for(&self, token: &Unverified<'_>) -> Result<Vec<jsonwebtoken::DecodingKey>, OidcError> {
        // Held while asking, so that many sign-ins at once ask once.
        let mut keys = self.keys.lock().await;
        let now = self.asking.clock.now();
        let matching = |set: &KeySet| set.matching(token.algorithm, token.key_id.as_deref());
        if let Some((set, seen_at)) = &keys.seen
            && now.since(*seen_at) < KEYS_LIFE
        {
            let found = matching(set);
            if !found.is_empty() {
                return Ok(found);
            }
            // Perhaps a new key, published since.
            if keys.sought_at.is_some_and(|sought_at| now.since(sought_at) < REFETCH_INTERVAL) {
                return Err(OidcError::UnknownKey);
            }
            keys.sought_at = Some(now);
        }
        let document = self.asking.ask(Part::Keys, &self.metadata.keys, Fetch::get()).await?;
        let (set, _) = keys.seen.insert((KeySet::read(&document)?, now));
        let found = matching(set);
        if found.is_empty() { Err(OidcError::UnknownKey) } else { Ok(found) }
    }

    /// The claims, with what the user info adds to them. Without a user info endpoint, the claims as they are.
    async fn with_user_info(&self, claims: Claims, tokens: &Tokens) -> Result<Claims, OidcError> {
        const PART: Part = Part::UserInfo;
        let (Some(target), Some(access_token)) = (&self.metadata.userinfo, &tokens.access_token) else {
            return Ok(claims);
        };
        let bearer = format!("Bearer {}", access_token.expose_secret()).into();
        let fetch = Fetch::get().with(header::AUTHORIZATION, credentials(&bearer)?);
        let document = self.asking.ask(PART, target, fetch).await?;
        if document.status != 200 {
            return Err(OidcError::Status { part: PART, status: document.status });
        }
        let person: Person = serde_json::from_slice(&document.body)
            .map_err(|_| OidcError::malformed(PART, "it is not a JSON object of claims"))?;
        let told = person.into_claims(PART)?;
        // Section 5.3.2: user info of another subject must not be used.
        if told.subject != claims.subject {
            return Err(OidcError::WrongSubject);
        }
        Ok(Claims {
            email: told.email,
            email_verified: told.email_verified,
            name: claims.name.or(told.name),
            // How the person signed in is for the signed token to say.
            ..claims
        })
    }
}

fn credentials(text: &SecretString) -> Result<HeaderValue, OidcError> {
    HeaderValue::try_from(text.expose_secret())
        .map_err(|_| OidcError::malformed(Part::TokenEndpoint, "the access token does not fit a header"))
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provider").field(&self.issuer).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress::Policy;

    #[test]
    fn a_process_remembers_the_latest_providers_and_no_more() {
        let policy = Policy { allow_loopback: false };
        let (clock, _) = Clock::manual(Timestamp::EPOCH);
        let party = RelyingParty::new(Sender::new(policy).unwrap(), clock);
        let issuer = |number: i64| Issuer::parse(&format!("https://a.example/{number}"), policy).unwrap();
        for number in 0..300 {
            let issuer = issuer(number);
            let body = serde_json::json!({
                "issuer": issuer.as_str(),
                "authorization_endpoint": "https://a.example/authorize",
                "token_endpoint": "https://a.example/token",
                "jwks_uri": "https://a.example/keys",
            });
            let document = Document { status: 200, body: body.to_string().into() };
            party.remember(Provider {
                metadata: Arc::new(Metadata::read(&document, &issuer, policy).unwrap()),
                issuer,
                discovered_at: Timestamp::from_seconds(number),
                keys: Arc::default(),
                asking: party.asking.clone(),
            });
        }
        assert_eq!(party.providers.lock().unwrap().len(), MOST_PROVIDERS);
        let now = Timestamp::from_seconds(300);
        assert!(party.remembered(&issuer(43), now).is_none());
        assert!(party.remembered(&issuer(44), now).is_some());
        assert!(party.remembered(&issuer(44), now + METADATA_LIFE).is_none());
    }
}
