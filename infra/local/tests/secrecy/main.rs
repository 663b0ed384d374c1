//! No secret is kept or logged in the clear: not in the database, not in any other file of the data directory, not in
//! what the program writes at its most talkative.
//!
//! The program runs as a process of its own on a fresh directory. Every kind of secret that it makes or takes is made,
//! used, used wrongly and put where it doesn't belong. Then every byte that is left behind is searched for all of them.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on fails the test"
)]

mod search;
#[path = "../support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, header};
use sealing::{MasterSecret, Purpose};
use search::{Search, Secrets};
use serde_json::{Value, json};
use store::Endpoint;
use support::{port_in, until};
use testkit::{Authenticator, ClosedPort, DnsServer, IdentityProvider, Person, Receiver};

/// The running program, with what it says in two files.
struct Running(Child);

impl Running {
    fn start(port: u16, data: &Path, resolver: &str, log: &Path) -> Self {
        let write = |name: &str| File::create(log.join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_artisan-local"))
            .args(["--port", &port.to_string(), "--data-dir"])
            .arg(data)
            .env("LOG_LEVEL", "trace")
            .env("RUST_BACKTRACE", "full")
            .env("DNS_RESOLVER", resolver)
            .env("WEBHOOK_RETRY_BASE_SECONDS", "1")
            .stdout(write("out"))
            .stderr(write("err"))
            .spawn()
            .expect("the platform starts");
        Self(child)
    }

    /// Ends it as Ctrl-C does.
    async fn stop(mut self) {
        let told = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(told.success());
        let status = until("the end", async || self.0.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was answered.
struct Answer {
    request: String,
    status: u16,
    headers: header::HeaderMap,
    text: String,
    json: Value,
}

impl Answer {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.request, self.text);
        self
    }

    #[track_caller]
    fn get(&self, pointer: &str) -> &str {
        let value = self.json.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{}: no {pointer} in {}", self.request, self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Who calls, with what credential.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Caller {
    fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name, value.to_owned()));
        other
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<String>) -> Answer {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body.into());
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { request: format!("{method} {path}"), status, headers, text, json }
    }

    /// Something, as soon as it answers.
    async fn health(&self) -> Option<reqwest::Response> {
        self.http.get(format!("{}/health", self.base)).send().await.ok()
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    /// POST twice with one `Idempotency-Key`: the first answer. The second one is a replay, which shows none of `hidden`.
    async fn post_twice(&self, path: &str, body: Value, hidden: &[&str]) -> Answer {
        let keyed = self.with("idempotency-key", &path.replace('/', "-"));
        let first = keyed.post(path, body.clone()).await;
        assert!(first.status < 300, "{}: {}", first.request, first.text);
        let second = keyed.post(path, body).await.expect(first.status);
        assert_eq!(second.header("idempotency-replayed"), "true", "{}", second.request);
        for pointer in hidden {
            assert!(
                !second.text.contains(first.get(pointer)),
                "{}: {pointer} is shown again",
                second.request
            );
        }
        first
    }
}

/// The platform under test, and all that was secret so far.
struct World {
    stranger: Caller,
    secrets: RefCell<Secrets>,
    mailed: RefCell<BTreeSet<String>>,
    dns: DnsServer,
    /// Opens what is sealed for endpoints, once it is known.
    sealing: RefCell<Option<sealing::Key>>,
    port: u16,
}

impl World {
    fn secret(&self, what: &str, secret: &str) -> String {
        self.secrets.borrow_mut().add(what, secret)
    }

    /// The seed of an endpoint's signing key, which no answer shows: it is taken out of the table and opened.
    async fn seed(&self, what: &str, organization: &str, endpoint: &str) {
        let key = json!({"pk": {"S": format!("ORG#{organization}")}, "sk": {"S": format!("EP#{endpoint}")}});
        let get = json!({"TableName": "artisan-local-CoreTable", "Key": key, "ConsistentRead": true});
        let found = dynamodb(self.port, "GetItem", get).await;
        let sealed = found.pointer("/Item/signing_key/M/sealed_seed/S").and_then(Value::as_str).unwrap();
        let context = Endpoint::signing_key_context(organization.parse().unwrap(), endpoint.parse().unwrap());
        let sealing = self.sealing.borrow();
        let envelope = STANDARD.decode(sealed).unwrap();
        let seed = sealing.as_ref().unwrap().open_envelope(&context, &envelope).unwrap();
        assert_eq!(seed.len(), 32);
        self.secrets.borrow_mut().add_bytes(what, seed);
    }

    /// The tokens of an answer that begins a session, and its caller.
    fn signed_in(&self, answer: &Answer) -> Caller {
        self.secret("refresh token", answer.get("/refresh_token"));
        self.stranger.with_token(&self.secret("access token", answer.get("/access_token")))
    }

    async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.stranger.post("/api/auth/login", json!({"email": email, "password": password})).await
    }

    /// Whether the API has this path.
    async fn offers(&self, path: &str) -> bool {
        self.stranger.get("/openapi.json").await.json["paths"].get(path).is_some()
    }

    /// The token of a mail that was not read before.
    async fn mailed(&self, what: &str, to: &str) -> String {
        let token = until(what, async || {
            let mails = self.stranger.with("accept", "application/json").get("/_local/mail").await;
            let mut tokens =
                mails.json["data"].as_array().unwrap().iter().filter(|mail| mail["to"] == to).filter_map(
                    |mail| {
                        let (_, rest) = mail["text"].as_str().unwrap().split_once("token=")?;
                        Some(rest.split_whitespace().next().unwrap().to_owned())
                    },
                );
            tokens.find(|token| self.mailed.borrow_mut().insert(token.clone()))
        })
        .await;
        self.secret(what, &token)
    }

    /// Puts a secret where clients put it by mistake, with and without a credential.
    async fn misplace(&self, caller: &Caller, secret: &str) {
        let encoded: String = secret
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        for caller in [caller, &self.stranger] {
            for path in [
                format!("/v1/leads/{encoded}"),
                format!("/v1/leads?cursor={encoded}"),
                format!("/v1/leads?api_key={encoded}"),
                format!("/v1/nowhere/{encoded}"),
                format!("/api/admin/api-keys/{encoded}"),
                format!("/api/auth/invitations/accept?token={encoded}"),
                format!("/console/invitations/accept?token={encoded}"),
                format!("/{encoded}"),
            ] {
                for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                    let answer = caller.send(method, &path, "{}").await;
                    // The page that a mail leads to hands its token on by a form, to whoever brought it.
                    let is_page = answer.request.starts_with("GET /console/");
                    assert!(
                        answer.status == 200 && (is_page || answer.request.starts_with("GET /v1/leads?"))
                            || answer.status >= 400
                    );
                    assert!(
                        is_page || !answer.text.contains(secret) && !answer.text.contains(&encoded),
                        "{}: {}",
                        answer.request,
                        answer.text
                    );
                }
            }
            for path in [
                "/api/auth/login",
                "/api/auth/signup",
                "/api/auth/refresh",
                "/v1/leads",
                "/api/admin/webhooks",
            ] {
                for body in [
                    format!("{{\"email\": \"ada@example.com\", \"password\": \"{secret}"),
                    json!({"nonsense": secret}).to_string(),
                    json!({"email": secret, "password": secret, "name": secret, "refresh_token": secret, "url": secret}).to_string(),
                    json!({"email": {"password": secret}}).to_string(),
                    json!([secret]).to_string(),
                    json!(secret).to_string(),
                    secret.to_owned(),
                ] {
                    let answer = caller.send(Method::POST, path, body).await;
                    assert!(answer.status >= 400, "{}: {}", answer.request, answer.text);
                    assert!(!answer.text.contains(secret), "{}: {}", answer.request, answer.text);
                }
            }
        }
        for wrong in [format!("Basic {encoded}"), format!("bearer{encoded}"), encoded.clone()] {
            let _ = self.stranger.with("authorization", &wrong).get("/v1/whoami").await.expect(401);
        }
    }
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What is found in all files below these directories. Nothing is left out, but for `exempt`.
fn leaks(
    secrets: &Secrets,
    directories: &[&Path],
    exempt: impl Fn(&Path, Vec<u8>) -> Vec<u8>,
) -> Vec<String> {
    let search = Search::of(secrets);
    let mut found = Vec::new();
    for path in directories.iter().flat_map(|directory| files(directory)) {
        let Ok(bytes) = fs::read(&path) else { continue };
        found.extend(search.find(&path.display().to_string(), &exempt(&path, bytes)));
    }
    found
}

/// What is found in the cells of all tables: as they are read, wherever their bytes are in the file.
fn leaks_in_cells(secrets: &Secrets, database: &Path) -> Vec<String> {
    let search = Search::of(secrets);
    let mut found = Vec::new();
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut cells = 0;
    for table in tables {
        let mut all = connection.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                use rusqlite::types::ValueRef;
                if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = row.get_ref(column).unwrap() {
                    cells += 1;
                    found.extend(search.find(&format!("a cell of {table}"), bytes));
                }
            }
        }
    }
    assert!(cells > 500, "there are only {cells} cells, so what was done is not in them");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_neither_kept_nor_logged() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first_log, second_log) = (logs.path().join("first"), logs.path().join("second"));
    fs::create_dir(&first_log).unwrap();
    fs::create_dir(&second_log).unwrap();
    let dns = DnsServer::start().await;
    let resolver = dns.address();
    let platform = Running::start(0, data.path(), &resolver, &first_log);
    let shown = until("the banner", async || {
        let out = fs::read_to_string(first_log.join("out")).unwrap();
        out.contains("Ctrl-C").then_some(out)
    })
    .await;
    let port = port_in(&shown).unwrap();

    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let base = format!("http://127.0.0.1:{port}");
    let world = World {
        stranger: Caller { http, base, token: None, headers: Vec::new() },
        secrets: RefCell::default(),
        mailed: RefCell::default(),
        dns,
        sealing: RefCell::default(),
        port,
    };
    let (_, first_password) = shown.split_once("Password").unwrap();
    let first_password = first_password.split_whitespace().next().unwrap().to_owned();
    world.secret("first administrator's password", &first_password);
    let masters: Value =
        serde_json::from_slice(&fs::read(data.path().join("secrets.json")).unwrap()).unwrap();
    for (name, master) in masters.as_object().unwrap() {
        let master = world.secret(&format!("master secret {name}"), master.as_str().unwrap());
        if name.ends_with("WebhookSecret") {
            let key = MasterSecret::new(master).sealing_key(Purpose::WebhookSecrets).unwrap();
            world.sealing.replace(Some(key));
        }
    }
    world.signed_in(&world.sign_in("admin@example.com", &first_password).await.expect(200));

    let (ada, email) = people(&world).await;
    let key = keys(&world, &ada).await;
    webhooks(&world, &ada).await;
    single_sign_on(&world, &ada).await;
    let (ada, recovery_code) = second_factor(&world, &email).await;
    let export = ada.with("idempotency-key", "export");
    let exported = export.post("/api/admin/organization/export", json!({})).await;
    assert_eq!(exported.status, 200, "{}", exported.text);
    assert!(leaks_in(&world.secrets.borrow(), &exported.text).is_empty());

    let exempt = |path: &Path, bytes: Vec<u8>| match path {
        // Where the local platform keeps what is in Secrets Manager on AWS.
        _ if path == data.path().join("secrets.json") => Vec::new(),
        // The first start prints the first administrator's password, by design: once, and there alone.
        _ if path == first_log.join("out") => {
            let out = String::from_utf8(bytes).unwrap();
            assert_eq!(out.matches(&first_password).count(), 1);
            out.replace(&first_password, "").into_bytes()
        }
        _ => bytes,
    };
    // While it runs: what it has not put in its place yet is in the write-ahead log.
    assert!(data.path().join("artisan.db-wal").exists());
    let running = leaks(&world.secrets.borrow(), &[data.path(), logs.path()], exempt);
    assert!(running.is_empty(), "{} found:\n{}", running.len(), running.join("\n"));
    platform.stop().await;

    let mut found = leaks(&world.secrets.borrow(), &[data.path(), logs.path()], exempt);
    found.extend(leaks_in_cells(&world.secrets.borrow(), &data.path().join("artisan.db")));
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));

    // Another start, on what the first one left. Now everything fails.
    let platform = Running::start(port, data.path(), &resolver, &second_log);
    until("a start", async || world.stranger.health().await).await;
    let _ = ada.delete("/api/admin/sso").await.expect(204);
    let recovery_code = json!({"recovery_code": recovery_code}).to_string();
    let _ = ada.send(Method::DELETE, "/api/auth/mfa", recovery_code).await.expect(204);
    for tables in [["CoreTable", "ActivityTable", "AuditTable"].as_slice(), &["DirectoryTable"]] {
        for table in tables {
            delete_table(port, table).await;
        }
        everything_fails(&world, &ada, &key).await;
    }
    platform.stop().await;

    let secrets = world.secrets.borrow();
    let found = leaks(&secrets, &[data.path(), logs.path()], exempt);
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
    let mut log = fs::read_to_string(first_log.join("err")).unwrap();
    log += &fs::read_to_string(second_log.join("err")).unwrap();
    for level in ["ERROR", "INFO", "DEBUG", "TRACE"] {
        let lines = log.lines().filter(|line| line.contains(level)).count();
        println!("{lines} lines of {level}");
        assert!(lines > 0, "the program is not at its most talkative");
    }
    println!("{} secrets in {} bytes of log", secrets.count(), log.len());
}

fn leaks_in(secrets: &Secrets, text: &str) -> Vec<String> {
    Search::of(secrets).find("an answer", text.as_bytes())
}

const FIRST_PASSWORD: &str = "violet harbour kettle 91";
const CHANGED_PASSWORD: &str = "seven copper lanterns adrift";
const RESET_PASSWORD: &str = "grün wie neun Gärten/im März";

async fn ada_again(world: &World, email: &str) -> Caller {
    world.signed_in(&world.sign_in(email, RESET_PASSWORD).await.expect(200))
}

/// Sign-up, sign-in, refresh, passwords, confirmations and invitations.
async fn people(world: &World) -> (Caller, String) {
    let email = "ada@example.com".to_owned();
    let stranger = &world.stranger;
    world.secret("password at sign-up", FIRST_PASSWORD);
    world.secret("changed password", CHANGED_PASSWORD);
    world.secret("reset password", RESET_PASSWORD);
    let wrong = world.secret("mistyped password", "violet harbor kettel 19");
    let weak = world.secret("refused password", "correct horse battery staple");
    let sign_up = |password: &str| json!({"organization_name": "Harbour", "name": "Ada Lovelace", "email": email, "password": password});
    let _ = stranger.post("/api/auth/signup", sign_up(&weak)).await.expect(422);
    let answer = stranger
        .post_twice("/api/auth/signup", sign_up(FIRST_PASSWORD), &["/access_token", "/refresh_token"])
        .await;
    let ada = world.signed_in(&answer);
    let _ = stranger.post("/api/auth/signup", sign_up(FIRST_PASSWORD)).await.expect(409);
    let _ = world.sign_in(&email, &wrong).await.expect(401);
    let _ = world.sign_in("nobody@example.com", &wrong).await.expect(401);
    // Typed into the wrong field.
    let _ = world.sign_in(FIRST_PASSWORD, &email).await.expect(401);
    let _ =
        world.sign_in(&format!("{}@example.com", FIRST_PASSWORD.replace(' ', "-")), "x").await.expect(401);

    let confirmation = world.mailed("confirmation token", &email).await;
    // To sign-in first, and back.
    let _ = stranger.get(&format!("/console/confirm?token={confirmation}")).await.expect(303);
    let _ = ada
        .post("/api/auth/email/confirm", json!({"token": confirmation, "extra": confirmation}))
        .await
        .expect(422);
    let _ = ada.post("/api/auth/email/confirm", json!({"token": confirmation})).await.expect(204);
    let _ = ada.post("/api/auth/email/confirm", json!({"token": confirmation})).await.expect(410);

    // A refresh token is good once; used again after its successor was, it ends the session.
    let answer = world.sign_in(&email, FIRST_PASSWORD).await.expect(200);
    let other = world.signed_in(&answer);
    let old = json!({"refresh_token": answer.get("/refresh_token")});
    let answered = stranger.post("/api/auth/refresh", old.clone()).await.expect(200);
    let refreshed = world.signed_in(&answered);
    let _ = refreshed.get("/api/auth/me").await.expect(200);
    let next = json!({"refresh_token": answered.get("/refresh_token")});
    let _ = world.signed_in(&stranger.post("/api/auth/refresh", next).await.expect(200));
    let _ = stranger.post("/api/auth/refresh", old).await.expect(401);
    let _ = other.get("/api/auth/me").await.expect(401);
    let third = world.signed_in(&world.sign_in(&email, FIRST_PASSWORD).await.expect(200));
    let _ = third.send(Method::POST, "/api/auth/logout", "").await.expect(204);
    let _ = third.get("/api/auth/me").await.expect(401);

    let change = json!({"current_password": FIRST_PASSWORD, "new_password": CHANGED_PASSWORD});
    let _ = ada
        .post(
            "/api/auth/password/change",
            json!({"current_password": wrong, "new_password": CHANGED_PASSWORD}),
        )
        .await
        .expect(401);
    world.signed_in(
        &ada.with("idempotency-key", "change").post("/api/auth/password/change", change).await.expect(200),
    );
    let _ = stranger.post("/api/auth/password/forgot", json!({"email": email})).await.expect(202);
    let token = world.mailed("reset token", &email).await;
    let _ = stranger.get(&format!("/console/password/reset?token={token}")).await.expect(200);
    let reset = json!({"token": token, "password": RESET_PASSWORD});
    let _ = stranger
        .post("/api/auth/password/reset", json!({"token": token, "password": weak}))
        .await
        .expect(422);
    let _ = stranger
        .with("idempotency-key", "reset")
        .post("/api/auth/password/reset", reset.clone())
        .await
        .expect(204);
    let _ = stranger.post("/api/auth/password/reset", reset).await.expect(410);
    let ada = ada_again(world, &email).await;

    // Accepted, sent again, revoked.
    let invite = |email: &str| json!({"email": email, "role": "read_only"});
    let invitations = "/api/admin/invitations";
    let _ = ada.post_twice(invitations, invite("bob@example.com"), &[]).await;
    let token = world.mailed("invitation token", "bob@example.com").await;
    let _ = stranger.get(&format!("/console/invitations/accept?token={token}")).await.expect(200);
    let password = world.secret("password at an invitation", "nine brass herons, waiting");
    let _ = stranger
        .post("/api/auth/invitations/accept", json!({"token": token, "password": password}))
        .await
        .expect(422);
    let accept = json!({"token": token, "name": "Bob", "password": password});
    let bob = world.signed_in(
        &stranger
            .with("idempotency-key", "accept")
            .post("/api/auth/invitations/accept", accept.clone())
            .await
            .expect(201),
    );
    let _ = stranger.post("/api/auth/invitations/accept", accept).await.expect(410);
    let second = ada.post(invitations, invite("carol@example.com")).await.expect(201);
    let first_token = world.mailed("invitation token that was replaced", "carol@example.com").await;
    let path = format!("{invitations}/{}", second.get("/id"));
    assert_eq!(ada.post(&format!("{path}/resend"), json!({})).await.status / 100, 2);
    world.mailed("invitation token that was sent again", "carol@example.com").await;
    let accept = json!({"token": first_token, "name": "Carol", "password": password});
    assert!(stranger.post("/api/auth/invitations/accept", accept).await.status >= 400);
    let _ = ada.delete(&path).await.expect(204);

    world.misplace(&bob, bob.token.as_deref().unwrap()).await;
    world.misplace(&ada, &token).await;
    (ada, email)
}

/// API keys: made, used, refused. The one that is good.
async fn keys(world: &World, ada: &Caller) -> Caller {
    let path = "/api/admin/api-keys";
    let made = ada
        .post_twice(path, json!({"name": "used", "scopes": ["leads:read", "leads:write"]}), &["/key"])
        .await;
    let used = ada.with_token(&world.secret("API key that is used", made.get("/key")));
    let _ = used.get("/v1/whoami").await.expect(200);
    let lead = used.post_twice("/v1/leads", json!({"email": "grace@example.com"}), &[]).await;
    assert_eq!(lead.status, 201);
    if world.offers("/api/admin/api-keys/{id}/rotate").await {
        let made = ada.post(path, json!({"name": "rotated"})).await.expect(201);
        let old = ada.with_token(&world.secret("API key that is rotated", made.get("/key")));
        let rotate = format!("{path}/{}/rotate", made.get("/id"));
        let made = ada.post_twice(&rotate, json!({"grace_seconds": 3600}), &["/key"]).await;
        let new = ada.with_token(&world.secret("API key from a rotation", made.get("/key")));
        for key in [old, new] {
            let _ = key.get("/v1/whoami").await.expect(200);
        }
    }
    // What it may not: a refusal is put on record, with where it was.
    let _ = used.get("/v1/campaigns").await.expect(403);
    for method in [Method::GET, Method::DELETE] {
        let _ = used.send(method, &format!("{path}/{}", made.get("/key")), "").await.expect(403);
    }

    let made = ada.post(path, json!({"name": "revoked"})).await.expect(201);
    let revoked = ada.with_token(&world.secret("API key that is revoked", made.get("/key")));
    let _ = revoked.get("/v1/whoami").await.expect(200);
    let _ = ada.delete(&format!("{path}/{}", made.get("/id"))).await.expect(204);
    let _ = revoked.get("/v1/leads").await.expect(401);
    let _ = revoked.delete(&format!("{path}/{}", made.get("/key"))).await.expect(401);

    let made = ada
        .post(path, json!({"name": "elsewhere", "mode": "test", "allowed_cidrs": ["203.0.113.0/24"]}))
        .await
        .expect(201);
    let elsewhere = ada.with_token(&world.secret("API key from elsewhere", made.get("/key")));
    let _ = elsewhere.get(&format!("/v1/leads/{}", made.get("/key"))).await.expect(403);

    let made = ada.post(path, json!({"name": "spent", "rate_limit_per_hour": 1})).await.expect(201);
    let spent = ada.with_token(&world.secret("API key that is spent", made.get("/key")));
    let _ = spent.get("/v1/whoami").await.expect(200);
    let _ = spent.get("/v1/whoami").await.expect(429);

    let mut mistyped = used.token.clone().unwrap();
    let last = if mistyped.pop() == Some('a') { 'b' } else { 'a' };
    mistyped.push(last);
    let mistyped = ada.with_token(&world.secret("API key that is mistyped", &mistyped));
    let _ = mistyped.get("/v1/whoami").await.expect(401);
    world.misplace(&used, used.token.as_deref().unwrap()).await;
    used
}

/// A call of DynamoDB, behind the program's back.
async fn dynamodb(port: u16, operation: &str, body: Value) -> Value {
    let request = reqwest::Client::new().post(format!("http://127.0.0.1:{}/", port + 1));
    let request = request.header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
    let request = request.header(header::CONTENT_TYPE, "application/x-amz-json-1.0");
    let answer = request.body(body.to_string()).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{operation}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn delete_table(port: u16, table: &str) {
    let name = format!("artisan-local-{table}");
    let unprotected = json!({"TableName": name, "DeletionProtectionEnabled": false});
    let _ = dynamodb(port, "UpdateTable", unprotected).await;
    let _ = dynamodb(port, "DeleteTable", json!({"TableName": name})).await;
}

/// Each kind of secret is brought once more while there is nothing to keep it in.
async fn everything_fails(world: &World, ada: &Caller, key: &Caller) {
    let fails = async |caller: &Caller, path: &str, body: Value| {
        let answer = caller.with("idempotency-key", "fails").post(path, body).await;
        assert!(answer.status >= 400, "{}: {}", answer.request, answer.text);
    };
    let stranger = &world.stranger;
    let (email, token) = ("ada@example.com", world.mailed.borrow().first().unwrap().clone());
    let new = world.secret("password at a sign-up that fails", "fourteen wooden tortoises");
    let value = world.secret("value of a header that is not added", "receiver-credential-0815");
    let person = json!({"organization_name": "X", "name": "X", "email": "x@example.com", "password": new});
    fails(stranger, "/api/auth/signup", person).await;
    fails(stranger, "/api/auth/login", json!({"email": email, "password": RESET_PASSWORD})).await;
    let accept = json!({"token": token, "name": "X", "password": new});
    fails(stranger, "/api/auth/invitations/accept", accept).await;
    fails(stranger, "/api/auth/password/reset", json!({"token": token, "password": new})).await;
    let change = json!({"current_password": RESET_PASSWORD, "new_password": new});
    fails(ada, "/api/auth/password/change", change).await;
    fails(ada, "/api/auth/mfa/enroll", json!({"password": RESET_PASSWORD})).await;
    fails(ada, "/api/admin/api-keys", json!({"name": "x"})).await;
    let endpoint =
        json!({"url": "https://example.com/", "events": ["*"], "headers": {"x-receiver-key": value}});
    fails(ada, "/api/admin/webhooks", endpoint.clone()).await;
    fails(key, "/api/admin/webhooks", endpoint).await;
    fails(key, "/v1/leads", json!({"email": "x@example.com"})).await;
    let _ = key.get("/v1/leads").await.status;
    world.misplace(key, key.token.as_deref().unwrap()).await;
}

/// Signing secrets and keys, and headers that customers add. A delivery that arrives, and some that don't.
async fn webhooks(world: &World, ada: &Caller) {
    let (path, receiver) =
        ("/api/admin/webhooks", Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await);
    let value = world.secret("value of an added header", "Basic cmVjZWl2ZXI6dGhpcnRlZW4gYmx1ZSBkb29ycw==");
    let other = world.secret("value of another added header", "receiver-credential-4711");
    let replaced = world.secret("value of a header that is replaced", "receiver-credential-4712");
    let asked = json!({
        "url": receiver.url(),
        "events": ["*"],
        "headers": {"Authorization": value, "x-receiver-key": replaced},
        "signatures": ["v1", "v1a"],
    });
    let made = ada.post_twice(path, asked, &["/secret"]).await;
    world.secret("signing secret", made.get("/secret"));
    let endpoint = format!("{path}/{}", made.get("/id"));
    let organization = ada.get("/api/admin/organization").await.expect(200).get("/id").to_owned();
    world.seed("seed of a signing key", &organization, made.get("/id")).await;
    let _ = ada.get(&endpoint).await.expect(200);
    let refused = json!({"url": receiver.url(), "events": ["*"], "headers": {"host": value, "a b": other, "x-a": format!("{value}\n")}});
    let refused = ada.post(path, refused).await.expect(422);
    assert!(!refused.text.contains(&value) && !refused.text.contains(&other), "{}", refused.text);
    let change = |body: Value| ada.send(Method::PATCH, &endpoint, body.to_string());
    let _ = change(json!({"headers": {"host": other}})).await.expect(422);
    let _ = change(json!({"headers": {"x-receiver-key": other}})).await.expect(200);

    // Twice: the one before is still signed with, and the first is forgotten.
    let rotate = format!("{endpoint}/rotate-secret");
    let rotated = ada.post(&rotate, json!({})).await.expect(200);
    world.secret("signing secret that is replaced in turn", rotated.get("/secret"));
    world.seed("seed of a signing key that is replaced in turn", &organization, made.get("/id")).await;
    let rotated = ada.post_twice(&rotate, json!({"overlap_seconds": 3600}), &["/secret"]).await;
    world.secret("signing secret from a rotation", rotated.get("/secret"));
    world.seed("seed of a signing key from a rotation", &organization, made.get("/id")).await;
    let _ = ada.post(&rotate, json!({"secret": rotated.get("/secret")})).await.expect(422);
    let nobody = ClosedPort::any();
    let made = ada.post(
        path,
        json!({"url": nobody.url(), "events": ["*"], "max_retries": 0, "headers": {"x-receiver-key": other}}),
    );
    world.secret("signing secret of an endpoint that is down", made.await.expect(201).get("/secret"));

    let key = ada.post("/api/admin/api-keys", json!({"name": "events"})).await.expect(201);
    let key = ada.with_token(&world.secret("API key that causes events", key.get("/key")));
    let _ = key.post("/v1/leads", json!({"email": "hedy@example.com"})).await.expect(201);
    let sent = until("a repeated delivery", async || receiver.received().get(1).cloned()).await;
    assert_eq!(
        (sent.header("authorization"), sent.header("x-receiver-key")),
        (value.as_str(), other.as_str())
    );
    assert_eq!(sent.header("webhook-signature").matches("v1a,").count(), 2, "both keys have signed");
    until("a dead letter", async || {
        let dead = ada.get(&format!("{path}/dead-letters")).await.expect(200);
        (dead.json["data"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    world.misplace(&key, &value).await;
}

/// A provider's client secret, and what a browser carries to it and back.
async fn single_sign_on(world: &World, ada: &Caller) {
    let provider = IdentityProvider::start(clock::Clock::system()).await;
    let claim = ada.post("/api/admin/domains", json!({"domain": "harbour.example.com"})).await.expect(201);
    world.dns.add_txt(claim.get("/challenge/name"), claim.get("/challenge/value"));
    let _ = ada.send(Method::POST, "/api/admin/domains/harbour.example.com/verify", "").await.expect(200);
    let secret = world.secret("client secret", IdentityProvider::CLIENT_SECRET);
    let connection = json!({
        "issuer": provider.issuer(),
        "client_id": IdentityProvider::CLIENT_ID,
        "client_secret": secret,
        "default_role": "read_only",
    });
    let mut wrong = connection.clone();
    wrong["client_secrets"] = json!(secret);
    let _ = ada.put("/api/admin/sso", wrong).await.expect(422);
    let _ = ada.put("/api/admin/sso", connection).await.expect(200);
    let _ = ada.get("/api/admin/sso").await.expect(200);

    let person = Person::new("grace@harbour.example.com");
    for forged in [true, false] {
        let start = world.stranger.get("/api/auth/sso/harbour.example.com/start").await.expect(302);
        let cookie = start.header("set-cookie").split(';').next().unwrap().to_owned();
        world.secret("browser's cookie", cookie.split_once('=').unwrap().1);
        let url = provider.authorize(start.header("location"), &person);
        let (_, query) = url.split_once('?').unwrap();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if name == "state" || name == "code" {
                world.secret(&format!("{name} of a sign-on"), value);
            }
        }
        let back = format!("/api/auth/sso/callback?{query}");
        if forged {
            let _ = world.stranger.get(&back).await.expect(401);
            let _ = world.stranger.with("cookie", &format!("{cookie}x")).get(&back).await.expect(401);
        } else {
            let browser = world.stranger.with("cookie", &cookie);
            let session = world.signed_in(&browser.get(&back).await.expect(200));
            let _ = session.with("cookie", &cookie).get("/api/auth/me").await.expect(200);
            let _ = browser.get(&back).await.expect(410);
        }
    }
}

/// The seed of a second factor, recovery codes, and the token between password and code. Gives a session that has proved
/// it, and a recovery code that is good.
async fn second_factor(world: &World, email: &str) -> (Caller, String) {
    let ada = ada_again(world, email).await;
    let _ = ada
        .post("/api/auth/mfa/enroll", json!({"password": RESET_PASSWORD, "secret": "x"}))
        .await
        .expect(422);
    let enrolled = ada
        .with("idempotency-key", "enroll")
        .post("/api/auth/mfa/enroll", json!({"password": RESET_PASSWORD}))
        .await
        .expect(200);
    let seed = world.secret("second factor's seed", enrolled.get("/secret"));
    world.secrets.borrow_mut().add_bytes("second factor's seed, decoded", base32(&seed));
    let code = Authenticator::new(&seed).code(clock::Clock::system().now());
    let activated = ada.post("/api/auth/mfa/activate", json!({"code": code})).await.expect(200);
    let codes = |answer: &Answer| -> Vec<String> {
        let codes = answer.json["recovery_codes"].as_array().unwrap();
        codes.iter().map(|code| world.secret("recovery code", code.as_str().unwrap())).collect()
    };
    let first = codes(&activated);
    let half_way = world.sign_in(email, RESET_PASSWORD).await.expect(200);
    let token = world.secret("token between password and code", half_way.get("/mfa_token"));
    let verify = |code: &str| {
        world.stranger.post("/api/auth/mfa/verify", json!({"mfa_token": token, "recovery_code": code}))
    };
    let mistyped =
        world.secret("recovery code that is mistyped", &first[0].chars().rev().collect::<String>());
    let _ = verify(&mistyped).await.expect(401);
    let verified = verify(&first[0]).await.expect(200);
    let ada = world.signed_in(&verified);
    let _ = verify(&first[0]).await.expect(401);
    // A step ahead, as the clock of a phone may be: the code of this step is spent.
    let code = Authenticator::new(&seed).code(clock::Clock::system().now() + Duration::from_secs(30));
    let renew = ada.with("idempotency-key", "renew");
    let renewed = renew.post("/api/auth/mfa/recovery-codes", json!({"code": code})).await.expect(200);
    let second = codes(&renewed);
    world.misplace(&ada, &seed).await;
    world.misplace(&ada, &second[0]).await;
    (ada, second[1].clone())
}

/// RFC 4648, section 6.
fn base32(text: &str) -> Vec<u8> {
    let digits = text.bytes().map(|c| if c.is_ascii_uppercase() { c - b'A' } else { c - b'2' + 26 });
    let bits: Vec<u8> = digits.flat_map(|digit| (0..5).rev().map(move |bit| digit >> bit & 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}
