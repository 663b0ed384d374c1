//! A scanner that reports leaked secrets, as GitHub does.

use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A signed report: its body, and the two headers that go with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReport {
    /// The raw body.
    pub body: String,
    /// `Github-Public-Key-Identifier`.
    pub identifier: String,
    /// `Github-Public-Key-Signature`.
    pub signature: String,
}

/// A scanner on loopback that publishes its keys and signs reports, in the form of GitHub's secret scanning partner program.
/// Stops when dropped.
#[derive(Debug)]
pub struct SecretScanner {
    address: String,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    key: EcdsaKeyPair,
    published: Vec<Value>,
    /// What it answers instead of its keys.
    instead: Option<(u16, String)>,
    requests: usize,
}

impl State {
    /// Signs with a new key, and publishes it beside those before.
    fn turn(&mut self) {
        self.key = new_key();
        for earlier in &mut self.published {
            earlier["is_current"] = false.into();
        }
        self.published.push(published(&self.key));
    }
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key")
}

fn der(key: &EcdsaKeyPair) -> PublicKeyX509Der<'static> {
    key.public_key().as_der().expect("a public key")
}

fn identifier(key: &EcdsaKeyPair) -> String {
    digest(&SHA256, der(key).as_ref()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn published(key: &EcdsaKeyPair) -> Value {
    let text = STANDARD.encode(der(key).as_ref());
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    json!({"key_identifier": identifier(key), "key": pem, "is_current": true})
}

impl SecretScanner {
    /// A scanner with one published key.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = format!("http://{}", listener.local_addr().expect("it has an address"));
        let key = new_key();
        let state = State { published: vec![published(&key)], key, instead: None, requests: 0 };
        let state = Arc::new(Mutex::new(state));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, _serving: serving }
    }

    /// Where its keys are published.
    #[must_use]
    pub fn keys_url(&self) -> String {
        format!("{}/meta/public_keys/secret_scanning", self.address)
    }

    /// A report of these matches, `[{"token", "type", "url", "source"}]`, or of whatever else.
    #[must_use]
    pub fn sign(&self, matches: &Value) -> SignedReport {
        self.sign_raw(&matches.to_string())
    }

    /// A report with this body.
    #[must_use]
    pub fn sign_raw(&self, body: &str) -> SignedReport {
        let state = self.state();
        let signature = state.key.sign(&SystemRandom::new(), body.as_bytes()).expect("a signature");
        SignedReport {
            body: body.to_owned(),
            identifier: identifier(&state.key),
            signature: STANDARD.encode(signature.as_ref()),
        }
    }

    /// Signs with a new key from now on, and publishes it beside the old ones, which are no longer current.
    pub fn rotate_key(&self) {
        self.state().turn();
    }

    /// Publishes the present key alone.
    pub fn withdraw_old_keys(&self) {
        let mut state = self.state();
        let newest = state.published.pop();
        state.published = newest.into_iter().collect();
    }

    /// Answers this instead of its keys.
    pub fn answer_instead(&self, status: u16, body: &str) {
        self.state().instead = Some((status, body.to_owned()));
    }

    /// Answers with its keys again.
    pub fn behave(&self) {
        self.state().instead = None;
    }

    /// How often its keys were asked for.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state().requests
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let answer = answer(&state, &request);
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            // An error is a client that left.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(state: &Mutex<State>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut state = state.lock().expect("nobody panicked");
    state.requests += 1;
    let keys = || (200, json!({"public_keys": state.published}).to_string());
    let (status, body) = match (&state.instead, request.uri().path()) {
        (Some(instead), _) => instead.clone(),
        (None, "/meta/public_keys/secret_scanning") => keys(),
        (None, _) => (404, String::new()),
    };
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .expect("a response")
}
