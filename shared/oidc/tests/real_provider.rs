//! Sign-ins through a certified provider of somebody else's making, `infra/acceptance/oidc-provider`. Run by
//! `.ci/checks/oidc.sh`, which installs it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use clock::{Clock, ManualClock};
use egress::{Failure, Policy, Sender};
use http::header;
use oidc::{
    Authorization, Callback, Claims, Client, Issuer, OidcError, Part, Provider, RelyingParty, Tokens,
    Verifier,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpSocket;
use url::Url;

const LOCAL: Policy = Policy { allow_loopback: true };
const REDIRECT_URI: &str = "https://app.example.com/api/auth/sso/callback";
const CLIENT_ID: &str = "artisan";
const OTHER_CLIENT_ID: &str = "another";
const CLIENT_SECRET: &str = "a secret: with 50% special + characters";

/// The provider's process. Its standard input is held, and it ends with that; its output is held, or writing there
/// would end it.
struct RealProvider {
    process: Child,
    issuer: String,
    _output: BufReader<ChildStdout>,
}

impl RealProvider {
    fn start(options: &[&str]) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/acceptance/oidc-provider");
        let mut process = Command::new("node")
            .current_dir(folder)
            .args(["provider.mjs", "--client-id", CLIENT_ID, "--client-id", OTHER_CLIENT_ID])
            .args(["--client-secret", CLIENT_SECRET, "--redirect-uri", REDIRECT_URI])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let ready = output.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("ready "));
        let issuer = ready.unwrap().replace("ready ", "");
        Self { process, issuer, _output: output }
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Ends it and keeps its port, on which nobody listens from now on, not even the provider of a test beside this one.
    async fn down(&mut self) -> TcpSocket {
        self.stop();
        let port = Url::parse(&self.issuer).unwrap().port().unwrap();
        let kept = TcpSocket::new_v4().unwrap();
        kept.set_reuseaddr(true).unwrap();
        // The kernel may close what an ended process listened on a moment after the process.
        for _ in 0..100 {
            if kept.bind((Ipv4Addr::LOCALHOST, port).into()).is_ok() {
                return kept;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("port {port} is not given up")
    }
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        self.stop();
    }
}

struct World {
    idp: RealProvider,
    party: RelyingParty,
    clock: ManualClock,
    browser: reqwest::Client,
}

/// A sign-in that the browser has come back from.
struct Answered {
    provider: Provider,
    callback: Callback,
    verifier: Verifier,
    nonce: String,
}

impl World {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        let (clock, hand) = Clock::manual(Clock::system().now());
        let browser =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self {
            idp: RealProvider::start(options),
            party: RelyingParty::new(Sender::new(LOCAL).unwrap(), clock),
            clock: hand,
            browser: browser.unwrap(),
        }
    }

    async fn discover(&self) -> Provider {
        self.party.discover(&Issuer::parse(&self.idp.issuer, LOCAL).unwrap()).await.unwrap()
    }

    async fn answered(&self, client_id: &str, person: &str) -> Answered {
        let provider = self.discover().await;
        let (verifier, nonce) = (Verifier::random().unwrap(), oidc::random_token().unwrap());
        let state = oidc::random_token().unwrap();
        let authorization = Authorization {
            client_id,
            redirect_uri: REDIRECT_URI,
            state: &state,
            nonce: &nonce,
            challenge: &verifier.challenge(),
            login_hint: Some(person),
        };
        let back = self.browse(provider.authorization_url(&authorization).into()).await;
        let callback = Callback::parse(back.strip_prefix(&format!("{REDIRECT_URI}?")).unwrap());
        assert_eq!(callback.state(), Some(state.as_str()));
        Answered { provider, callback, verifier, nonce }
    }

    /// What a browser does: follows redirects with cookies until it is sent back to us.
    async fn browse(&self, start: String) -> String {
        let mut cookies = BTreeMap::new();
        let mut next = start;
        for _ in 0..10 {
            if next.starts_with(REDIRECT_URI) {
                return next;
            }
            let cookie: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let answer =
                self.browser.get(&next).header(header::COOKIE, cookie.join("; ")).send().await.unwrap();
            for set in answer.headers().get_all(header::SET_COOKIE) {
                let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let location =
                answer.headers().get(header::LOCATION).unwrap_or_else(|| panic!("{next}: {answer:?}"));
            next = url::Url::parse(&next).unwrap().join(location.to_str().unwrap()).unwrap().into();
        }
        panic!("the provider redirects without end");
    }

    async fn sign_in(&self) -> Result<Claims, OidcError> {
        self.answered(CLIENT_ID, "ada@example.com").await.finish(CLIENT_ID).await
    }

    async fn rotate_keys(&self) {
        self.browser.post(format!("{}/rotate", self.idp.issuer)).send().await.unwrap();
    }
}

impl Answered {
    fn client(id: &str) -> Client {
        Client::new(id.to_owned(), CLIENT_SECRET.to_owned().into())
    }

    async fn finish(&self, client_id: &str) -> Result<Claims, OidcError> {
        let code = self.provider.code(&self.callback)?;
        let client = Self::client(client_id);
        self.provider.sign_in(&client, &code, &self.verifier, REDIRECT_URI, &self.nonce).await
    }

    async fn tokens(&self, client_id: &str) -> Tokens {
        let code = self.provider.code(&self.callback).unwrap();
        let client = Self::client(client_id);
        self.provider.exchange(&client, &code, &self.verifier, REDIRECT_URI).await.unwrap()
    }

    async fn verify(&self, token: &SecretString, nonce: &str) -> Result<String, OidcError> {
        self.provider.verify_id_token(token, CLIENT_ID, nonce).await.map(|claims| claims.subject)
    }
}

#[tokio::test]
#[ignore = "needs node"]
async fn a_person_signs_in_whatever_it_signs_with_and_however_it_wants_the_secret() {
    for options in [
        ["--alg", "RS256", "--auth-method", "client_secret_basic"],
        ["--alg", "PS256", "--auth-method", "client_secret_post"],
        ["--alg", "ES256", "--auth-method", "client_secret_basic"],
        ["--alg", "EdDSA", "--auth-method", "client_secret_post"],
    ] {
        let claims = World::with(&options).sign_in().await.unwrap();
        assert_eq!(claims.subject, "ada@example.com", "{options:?}");
        assert_eq!(claims.email.as_deref(), Some("ada@example.com"), "from the user info");
        assert_eq!(claims.email_verified, Some(true));
        assert_eq!(claims.name.as_deref(), Some("Somebody at ada@example.com"));
    }
}

#[tokio::test]
#[ignore = "needs node"]
async fn somebody_who_turns_back_is_refused() {
    let answered = World::new().answered(CLIENT_ID, "nobody").await;
    let expected = OidcError::Refused {
        part: Part::Callback,
        error: "access_denied".to_owned(),
        description: Some("the person turned back".to_owned()),
    };
    assert_eq!(answered.provider.code(&answered.callback).unwrap_err(), expected);
}

#[tokio::test]
#[ignore = "needs node"]
async fn another_issuer_than_the_one_configured_is_told_at_discovery_and_in_the_answer() {
    let world = World::new();
    for other in [world.idp.issuer.replace("127.0.0.1", "localhost"), format!("{}/", world.idp.issuer)] {
        let error = world.party.discover(&Issuer::parse(&other, LOCAL).unwrap()).await.unwrap_err();
        assert_eq!(error, OidcError::WrongIssuer(Part::Discovery), "{other}");
    }
    let elsewhere = World::new().answered(CLIENT_ID, "ada@example.com").await.callback;
    let provider = world.discover().await;
    assert_eq!(provider.code(&elsewhere).unwrap_err(), OidcError::WrongIssuer(Part::Callback));
}

#[tokio::test]
#[ignore = "needs node"]
async fn a_token_for_another_client_is_not_for_us() {
    let world = World::new();
    let answered = world.answered(OTHER_CLIENT_ID, "ada@example.com").await;
    let tokens = answered.tokens(OTHER_CLIENT_ID).await;
    assert_eq!(answered.verify(&tokens.id_token, &answered.nonce).await, Err(OidcError::WrongAudience));
}

#[tokio::test]
#[ignore = "needs node"]
async fn a_code_for_another_client_is_refused() {
    let error =
        World::new().answered(OTHER_CLIENT_ID, "ada@example.com").await.finish(CLIENT_ID).await.unwrap_err();
    assert!(matches!(&error, OidcError::Refused { error, .. } if error == "invalid_grant"), "{error}");
}

#[tokio::test]
#[ignore = "needs node"]
async fn a_token_expires_and_is_not_of_the_future() {
    let world = World::new();
    let answered = world.answered(CLIENT_ID, "ada@example.com").await;
    let tokens = answered.tokens(CLIENT_ID).await;
    assert!(answered.verify(&tokens.id_token, &answered.nonce).await.is_ok());
    let start = Clock::system().now();
    world.clock.set(start + Duration::from_secs(2 * 60 * 60));
    assert_eq!(answered.verify(&tokens.id_token, &answered.nonce).await, Err(OidcError::Expired));
    world.clock.set(start - Duration::from_secs(10 * 60));
    assert_eq!(answered.verify(&tokens.id_token, &answered.nonce).await, Err(OidcError::NotYetValid));
}

#[tokio::test]
#[ignore = "needs node"]
async fn a_token_is_not_to_be_replayed_into_another_sign_in() {
    let world = World::new();
    let one = world.answered(CLIENT_ID, "ada@example.com").await;
    let other = world.answered(CLIENT_ID, "eve@example.com").await;
    let tokens = one.tokens(CLIENT_ID).await;
    assert_eq!(other.verify(&tokens.id_token, &other.nonce).await, Err(OidcError::WrongNonce));
    // Neither is its code, even with the secret: the verifier is another one.
    let spliced = Answered { callback: other.callback.clone(), ..one };
    let error = spliced.finish(CLIENT_ID).await.unwrap_err();
    assert!(matches!(&error, OidcError::Refused { error, .. } if error == "invalid_grant"), "{error}");
}

#[tokio::test]
#[ignore = "needs node"]
async fn a_tampered_token_is_found_out() {
    let world = World::new();
    let answered = world.answered(CLIENT_ID, "ada@example.com").await;
    let token = answered.tokens(CLIENT_ID).await.id_token.expose_secret().to_owned();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let tampered = format!("{message}.{other}{}", signature.strip_prefix(|_: char| true).unwrap());
    let verified = answered.verify(&tampered.into(), &answered.nonce).await;
    assert_eq!(verified, Err(OidcError::BadSignature));
    let (header, _) = message.split_once('.').unwrap();
    let forged = format!("{header}.eyJzdWIiOiJldmUifQ.{signature}");
    assert_eq!(answered.verify(&forged.into(), &answered.nonce).await, Err(OidcError::BadSignature));
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", message.split_once('.').unwrap().1);
    assert_eq!(
        answered.verify(&unsigned.into(), &answered.nonce).await,
        Err(OidcError::UnsupportedAlgorithm)
    );
}

#[tokio::test]
#[ignore = "needs node"]
async fn new_keys_are_found_and_old_ones_no_longer_believed() {
    let world = World::new();
    let before = world.answered(CLIENT_ID, "ada@example.com").await;
    let tokens = before.tokens(CLIENT_ID).await;
    assert!(before.verify(&tokens.id_token, &before.nonce).await.is_ok());
    world.rotate_keys().await;
    assert!(world.sign_in().await.is_ok());
    assert_eq!(before.verify(&tokens.id_token, &before.nonce).await, Err(OidcError::UnknownKey));
}

#[tokio::test]
#[ignore = "needs node"]
async fn a_provider_that_is_down_is_unavailable() {
    let mut world = World::new();
    let answered = world.answered(CLIENT_ID, "ada@example.com").await;
    let _port = world.idp.down().await;
    let error = answered.finish(CLIENT_ID).await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable { part: Part::TokenEndpoint, .. }), "{error}");
    assert!(error.is_unavailable());
    let fresh = RelyingParty::new(Sender::new(LOCAL).unwrap(), Clock::system());
    let error = fresh.discover(&Issuer::parse(&world.idp.issuer, LOCAL).unwrap()).await.unwrap_err();
    assert_eq!(error, OidcError::Unreachable { part: Part::Discovery, cause: Failure::Connect });
}
