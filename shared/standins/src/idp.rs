//! An identity provider.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use clock::Clock;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use crate::keys::{Algorithm, SigningKey};

/// How long an id token is good for.
const TOKEN_LIFE: Duration = Duration::from_secs(300);
/// Far more than anybody should read.
const HUGE: usize = 1 << 20;

/// Somebody who has an account with the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who it is to the provider, for ever.
    pub subject: String,
    /// The address, if the provider tells it.
    pub email: Option<String>,
    /// Whether the provider says it has checked the address.
    pub email_verified: Option<bool>,
    /// The name, if the provider tells it.
    pub name: Option<String>,
    /// How the person signed in (RFC 8176).
    pub amr: Vec<String>,
    /// How strong that is, in the provider's words.
    pub acr: Option<String>,
}

impl Person {
    /// A person with a verified address, who signs in with a password.
    #[must_use]
    pub fn new(email: &str) -> Self {
        Self {
            subject: format!("subject-of-{email}"),
            email: Some(email.to_owned()),
            email_verified: Some(true),
            name: Some("Grace Hopper".to_owned()),
            amr: vec!["pwd".to_owned()],
            acr: None,
        }
    }

    fn claims(&self) -> Vec<(&'static str, Value)> {
        let mut claims = Vec::new();
        claims.extend(self.email.as_ref().map(|email| ("email", json!(email))));
        claims.extend(self.email_verified.map(|verified| ("email_verified", json!(verified))));
        claims.extend(self.name.as_ref().map(|name| ("name", json!(name))));
        claims
    }
}

/// What the provider does otherwise than it should, or than most do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quirk {
    /// The discovery document names another issuer.
    OtherIssuerDiscovered,
    /// The discovery document has this in place of one of its members, or not at all.
    Metadata(&'static str, Option<Value>),
    /// Id tokens name another issuer.
    OtherIssuer,
    /// The answer to the browser names another issuer (RFC 9207).
    OtherIssuerInRedirect,
    /// The answer to the browser names no issuer, although the metadata says that it does.
    NoIssuerInRedirect,
    /// Id tokens are for another client.
    OtherAudience,
    /// Id tokens are for this client and another one, and say that this one asked.
    TwoAudiences,
    /// Id tokens are for this client, and say that another one asked.
    OtherAuthorizedParty,
    /// Id tokens have expired.
    Expired,
    /// Id tokens are of next hour.
    NotYetValid,
    /// Id tokens have the nonce of another sign-in.
    OtherNonce,
    /// Id tokens have no nonce.
    NoNonce,
    /// A claim of id tokens is left out.
    Without(&'static str),
    /// A claim of id tokens has another value.
    Claim(&'static str, Value),
    /// One bit of the signature is another one.
    TamperedSignature,
    /// The subject was changed after signing.
    TamperedClaims,
    /// Id tokens are not signed: `alg` is `none`.
    AlgNone,
    /// Id tokens are signed with HMAC, the public key being the secret.
    Hs256WithPublicKey,
    /// Id tokens are signed with a key that is not published.
    UnpublishedKey,
    /// Id tokens don't name their key.
    NoKeyId,
    /// Id tokens tell nothing about the person; the user info does (OpenID Connect Core, section 5.4).
    ThinIdToken,
    /// The user info is that of somebody else.
    OtherSubjectInUserInfo,
    /// Closes every connection without a word.
    Down,
    /// Answers everything with this status and a page.
    Status(u16),
    /// Answers everything after this time.
    Slow(Duration),
    /// Answers everything with a mebibyte.
    HugeBody,
    /// Answers everything with what is not JSON.
    NotJson,
    /// The token endpoint refuses, for this reason.
    TokenError {
        /// The code.
        error: &'static str,
        /// The explanation.
        description: String,
    },
}

/// A real identity provider on loopback: discovery, keys, authorization code flow with PKCE, user info. It holds its
/// clients to the protocol and does itself as it is told. Stops when dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    issuer: String,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Vec<SigningKey>,
    made: usize,
    quirks: Vec<Quirk>,
    people: Vec<Person>,
    grants: HashMap<String, Grant>,
    sessions: HashMap<String, Person>,
    requests: BTreeMap<String, usize>,
}

/// What a code is good for, once.
#[derive(Debug, Clone)]
struct Grant {
    person: Person,
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

/// The provider is down.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("down")
    }
}

impl std::error::Error for Gone {}

impl IdentityProvider {
    /// The client that every provider knows.
    pub const CLIENT_ID: &str = "artisan+client";
    /// Its secret, with characters that have to be encoded.
    pub const CLIENT_SECRET: &str = "s3cret: 50%/ü";

    /// A provider that does everything right, signs with ES256, and lives by `clock`.
    pub async fn start(clock: Clock) -> Self {
        Self::signing_with(Algorithm::Es256, clock).await
    }

    /// The same with another algorithm.
    pub async fn signing_with(algorithm: Algorithm, clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let issuer = format!("http://{}/tenant", listener.local_addr().expect("it has an address"));
        let state = State {
            keys: vec![SigningKey::new(algorithm, 0)],
            made: 1,
            quirks: Vec::new(),
            people: Vec::new(),
            grants: HashMap::new(),
            sessions: HashMap::new(),
            requests: BTreeMap::new(),
        };
        let shared = Arc::new(Shared { issuer, clock, state: Mutex::new(state) });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Self { shared, _serving: serving }
    }

    /// Its issuer, which is configured together with [`Self::CLIENT_ID`] and [`Self::CLIENT_SECRET`].
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// From now on it does this too.
    pub fn add(&self, quirk: Quirk) {
        self.shared.state().quirks.push(quirk);
    }

    /// From now on it does everything right again.
    pub fn behave(&self) {
        self.shared.state().quirks.clear();
    }

    /// Signs with a new key, and publishes that one only.
    pub fn rotate_keys(&self) {
        let mut state = self.shared.state();
        let number = state.made;
        let algorithm = state.keys[0].algorithm;
        state.keys = vec![SigningKey::new(algorithm, number)];
        state.made += 1;
    }

    /// Knows a person, so that a browser that comes with the address as `login_hint` signs in as that person. Others
    /// sign in as [`Person::new`].
    pub fn register(&self, person: Person) {
        self.shared.state().people.push(person);
    }

    /// Plays the browser of somebody who signs in: takes the authorization URL, and gives the URL that the provider
    /// then redirects to, with `code` and `state`.
    ///
    /// # Panics
    /// When the request is not a code flow with PKCE as it should be.
    #[must_use]
    pub fn authorize(&self, authorization_url: &str, person: &Person) -> String {
        let url = self.own(authorization_url);
        self.shared.authorize(&fields(url.query().unwrap_or_default()), person).expect("a proper request")
    }

    /// Plays the browser of somebody who turns back: gives the URL that the provider redirects to, with `error` and
    /// `state`.
    ///
    /// # Panics
    /// When the request is not one of this provider's.
    #[must_use]
    pub fn refuse(&self, authorization_url: &str, error: &str, description: &str) -> String {
        let url = self.own(authorization_url);
        let asked = fields(url.query().unwrap_or_default());
        self.shared
            .redirect(&asked, &[("error", error), ("error_description", description)])
            .expect("a redirect URI")
    }

    /// How often the path below the issuer was asked for, such as `/jwks` or `/.well-known/openid-configuration`.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.shared.state().requests.get(path).copied().unwrap_or_default()
    }

    fn own(&self, url: &str) -> Url {
        assert!(url.starts_with(&format!("{}/authorize?", self.issuer())), "{url} is this provider's");
        Url::parse(url).expect("a URL")
    }
}

type Fields = HashMap<String, String>;

fn fields(form: &str) -> Fields {
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

fn field<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, String> {
    fields
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("{name} is missing"))
}

fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn random() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("there is randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    fn has(&self, quirk: &Quirk) -> bool {
        self.state().quirks.contains(quirk)
    }

    fn authorize(&self, asked: &Fields, person: &Person) -> Result<String, String> {
        demand(field(asked, "response_type")? == "code", "response_type is not code")?;
        demand(field(asked, "client_id")? == IdentityProvider::CLIENT_ID, "client_id is unknown")?;
        demand(field(asked, "scope")?.split(' ').any(|scope| scope == "openid"), "scope has no openid")?;
        demand(field(asked, "code_challenge_method")? == "S256", "code_challenge_method is not S256")?;
        demand(field(asked, "code_challenge")?.len() == 43, "code_challenge is not a SHA-256")?;
        demand(field(asked, "state")?.len() >= 32, "state can be guessed")?;
        demand(field(asked, "nonce")?.len() >= 32, "nonce can be guessed")?;
        let grant = Grant {
            person: person.clone(),
            nonce: field(asked, "nonce")?.to_owned(),
            challenge: field(asked, "code_challenge")?.to_owned(),
            redirect_uri: field(asked, "redirect_uri")?.to_owned(),
        };
        let code = random();
        self.state().grants.insert(code.clone(), grant);
        self.redirect(asked, &[("code", &code)])
    }

    fn redirect(&self, asked: &Fields, with: &[(&str, &str)]) -> Result<String, String> {
        let mut url = Url::parse(field(asked, "redirect_uri")?).map_err(|_| "redirect_uri is not a URL")?;
        url.query_pairs_mut().extend_pairs(with).append_pair("state", field(asked, "state")?);
        if self.has(&Quirk::OtherIssuerInRedirect) {
            url.query_pairs_mut().append_pair("iss", "https://other.example");
        } else if !self.has(&Quirk::NoIssuerInRedirect) {
            url.query_pairs_mut().append_pair("iss", &self.issuer);
        }
        Ok(url.into())
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.state().keys[0].algorithm.name()],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        if self.has(&Quirk::OtherIssuerDiscovered) {
            document["issuer"] = "https://other.example".into();
        }
        for quirk in &self.state().quirks {
            if let Quirk::Metadata(member, value) = quirk {
                match value {
                    Some(value) => document[*member] = value.clone(),
                    None => drop(document.as_object_mut().expect("an object").remove(*member)),
                }
            }
        }
        document
    }

    fn exchange(
        &self,
        authorization: Option<&str>,
        form: &Fields,
    ) -> Result<Value, (u16, &'static str, String)> {
        let refusal = self.state().quirks.iter().find_map(|quirk| match quirk {
            Quirk::TokenError { error, description } => Some((400, *error, description.clone())),
            _ => None,
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if !is_our_client(authorization, form) {
            return Err((401, "invalid_client", "neither the one nor the other way".to_owned()));
        }
        let grant = self.redeem(form).map_err(|why| (400, "invalid_grant", why))?;
        let access_token = random();
        self.state().sessions.insert(access_token.clone(), grant.person.clone());
        Ok(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE.as_secs(),
            "id_token": self.id_token(&grant),
        }))
    }

    fn redeem(&self, form: &Fields) -> Result<Grant, String> {
        demand(field(form, "grant_type")? == "authorization_code", "grant_type is not authorization_code")?;
        let grant = self.state().grants.remove(field(form, "code")?).ok_or("the code is unknown or used")?;
        demand(field(form, "redirect_uri")? == grant.redirect_uri, "redirect_uri is another one")?;
        let proof = URL_SAFE_NO_PAD.encode(digest(&SHA256, field(form, "code_verifier")?.as_bytes()));
        demand(proof == grant.challenge, "code_verifier does not fit")?;
        Ok(grant)
    }

    fn id_token(&self, grant: &Grant) -> String {
        let now = self.clock.now().seconds();
        let life = i64::try_from(TOKEN_LIFE.as_secs()).expect("it fits");
        let mut claims = json!({
            "iss": self.issuer,
            "sub": grant.person.subject,
            "aud": IdentityProvider::CLIENT_ID,
            "iat": now,
            "exp": now + life,
            "auth_time": now,
            "nonce": grant.nonce,
            "amr": grant.person.amr,
        });
        if let Some(acr) = &grant.person.acr {
            claims["acr"] = acr.as_str().into();
        }
        let state = self.state();
        if !state.quirks.contains(&Quirk::ThinIdToken) {
            claims
                .as_object_mut()
                .expect("an object")
                .extend(grant.person.claims().into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        for quirk in &state.quirks {
            match quirk {
                Quirk::OtherIssuer => claims["iss"] = "https://other.example".into(),
                Quirk::OtherAudience => claims["aud"] = "another-client".into(),
                Quirk::TwoAudiences => {
                    claims["aud"] = json!(["another-client", IdentityProvider::CLIENT_ID]);
                    claims["azp"] = IdentityProvider::CLIENT_ID.into();
                }
                Quirk::OtherAuthorizedParty => claims["azp"] = "another-client".into(),
                Quirk::Expired => claims["exp"] = (now - 3600).into(),
                Quirk::NotYetValid => claims["iat"] = (now + 3600).into(),
                Quirk::OtherNonce => claims["nonce"] = random().into(),
                Quirk::NoNonce => drop(claims.as_object_mut().expect("an object").remove("nonce")),
                Quirk::Without(claim) => drop(claims.as_object_mut().expect("an object").remove(*claim)),
                Quirk::Claim(claim, value) => claims[*claim] = value.clone(),
                _ => {}
            }
        }
        sign(&state, claims)
    }

    fn userinfo(&self, authorization: Option<&str>) -> Option<Value> {
        let token = authorization?.strip_prefix("Bearer ")?;
        let person = self.state().sessions.get(token)?.clone();
        let subject =
            if self.has(&Quirk::OtherSubjectInUserInfo) { "somebody-else" } else { &person.subject };
        let mut claims = json!({"sub": subject});
        for (name, value) in person.claims() {
            claims[name] = value;
        }
        Some(claims)
    }

    /// A browser comes: it is redirected as the person that `login_hint` names.
    fn visit(&self, asked: &Fields) -> Result<String, String> {
        let hint = field(asked, "login_hint")?;
        let known = self.state().people.iter().find(|person| person.email.as_deref() == Some(hint)).cloned();
        self.authorize(asked, &known.unwrap_or_else(|| Person::new(hint)))
    }
}

/// Whether the client shows its secret, in the header or in the form (RFC 6749, section 2.3.1) and not in both.
fn is_our_client(authorization: Option<&str>, form: &Fields) -> bool {
    let in_form = (form.get("client_id").map(String::as_str), form.get("client_secret").map(String::as_str));
    let in_header = authorization.and_then(|header| {
        let text = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        let decode = |text: &str| fields(&format!("x={text}")).remove("x");
        Some((decode(id)?, decode(secret)?))
    });
    let ours = (IdentityProvider::CLIENT_ID, IdentityProvider::CLIENT_SECRET);
    match in_header {
        Some((id, secret)) => (&*id, &*secret) == ours && in_form.1.is_none(),
        None => authorization.is_none() && in_form == (Some(ours.0), Some(ours.1)),
    }
}

fn sign(state: &State, mut claims: Value) -> String {
    let has = |quirk: Quirk| state.quirks.contains(&quirk);
    let published = &state.keys[0];
    let unpublished;
    let key = if has(Quirk::UnpublishedKey) {
        unpublished = SigningKey::new(published.algorithm, state.made + 1);
        &unpublished
    } else {
        published
    };
    let mut header = json!({"typ": "JWT", "alg": key.algorithm.name(), "kid": key.id});
    if has(Quirk::NoKeyId) {
        header.as_object_mut().expect("an object").remove("kid");
    }
    if has(Quirk::AlgNone) {
        header["alg"] = "none".into();
    }
    if has(Quirk::Hs256WithPublicKey) {
        header["alg"] = "HS256".into();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = if has(Quirk::AlgNone) {
        Vec::new()
    } else if has(Quirk::Hs256WithPublicKey) {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.public()), message.as_bytes()).as_ref().to_vec()
    } else {
        key.sign(message.as_bytes())
    };
    if has(Quirk::TamperedSignature) {
        signature[20] ^= 1;
    }
    let mut message = message;
    if has(Quirk::TamperedClaims) {
        claims["sub"] = "somebody-else".into();
        message = format!("{}.{}", encode(&header), encode(&claims));
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(Arc::clone(&shared), request));
            // An error is a client that left, or a provider that is down.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Gone> {
    let path = request.uri().path().strip_prefix("/tenant").unwrap_or_default().to_owned();
    *shared.state().requests.entry(path.clone()).or_default() += 1;
    let quirks = shared.state().quirks.clone();
    for quirk in quirks {
        match quirk {
            Quirk::Down => return Err(Gone),
            Quirk::Status(status) => return Ok(page(status, "text/html", "<h1>Sorry</h1>".to_owned())),
            Quirk::Slow(time) => tokio::time::sleep(time).await,
            Quirk::HugeBody => return Ok(page(200, "application/json", " ".repeat(HUGE))),
            Quirk::NotJson => return Ok(page(200, "application/json", "{\"issuer\":".to_owned())),
            _ => {}
        }
    }
    let (parts, body) = request.into_parts();
    let form = body.collect().await.map_err(|_| Gone)?.to_bytes();
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    Ok(match (parts.method.as_str(), path.as_str()) {
        ("GET", "/.well-known/openid-configuration") => json_page(200, &shared.discovery()),
        ("GET", "/jwks") => {
            let keys: Vec<Value> = shared.state().keys.iter().map(SigningKey::jwk).collect();
            json_page(200, &json!({"keys": keys}))
        }
        ("POST", "/token") => {
            match shared.exchange(authorization, &fields(&String::from_utf8_lossy(&form))) {
                Ok(tokens) => json_page(200, &tokens),
                Err((status, error, description)) => {
                    json_page(status, &json!({"error": error, "error_description": description}))
                }
            }
        }
        ("GET", "/userinfo") => match shared.userinfo(authorization) {
            Some(claims) => json_page(200, &claims),
            None => json_page(401, &json!({"error": "invalid_token"})),
        },
        ("GET", "/authorize") => match shared.visit(&fields(parts.uri.query().unwrap_or_default())) {
            Ok(location) => {
                let mut redirect = page(302, "text/html", String::new());
                redirect.headers_mut().insert(header::LOCATION, location.parse().expect("a header"));
                redirect
            }
            Err(why) => page(400, "text/plain", why),
        },
        _ => page(404, "text/plain", String::new()),
    })
}

fn json_page(status: u16, body: &Value) -> Response<Full<Bytes>> {
    page(status, "application/json", body.to_string())
}

fn page(status: u16, content_type: &str, body: String) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .body(Full::new(body.into()))
        .expect("a response")
}
