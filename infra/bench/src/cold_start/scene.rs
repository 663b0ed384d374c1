//! What functions are started into: a platform with a tenant in it, AWS behind TLS, and for each function an event that
//! makes it do what it is for.
//!
//! The events are the samples of `events/`. Credentials and ids in them are nobody's, so each is made the tenant's own: or a
//! function would be measured refusing it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use artisan_local::template::REGION;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ColdStartError;
use super::tls::Front;
use crate::client::{Call, CallError, Client, Token};
use crate::error::BenchError;
use crate::rig::{Kind, Rig, Workshop};
use crate::sink::Sink;

/// The event that each function is sent: a file of its folder in `events/`. The empty function is sent what is small.
const EVENTS: [(&str, &str); 19] = [
    (super::EMPTY, "docs/health"),
    ("api-keys", "api-keys/list"),
    ("audit-logs", "audit-logs/search"),
    ("auth", "auth/login"),
    ("campaigns", "campaigns/list"),
    ("console", "console/home"),
    ("deliver", "deliver/one"),
    ("docs", "docs/health"),
    ("fanout", "fanout/lead-replied"),
    ("leads", "leads/list"),
    ("mail", "mail/one"),
    ("meetings", "meetings/list"),
    ("organizations", "organizations/get"),
    ("seal", "seal/record"),
    ("sweep", SCHEDULE),
    ("users", "users/list"),
    ("webhooks", "webhooks/list"),
    ("worker", "worker/one"),
    ("workspaces", "workspaces/list"),
];
/// The sweep looks at nothing in its event.
const SCHEDULE: &str = "schedule";
/// What the samples call the tenant's own.
const ORGANIZATION: &str = "org_01m81wjar3f7g82fx6abtjv4fw";
const WORKSPACE: &str = "ws_01m81wjar3fj9vnnzxfgs63k0d";
const ENDPOINT: &str = "ep_01m81wjar3enmabzqqe9n44m8p";
/// What is another thing each time.
const RENEWED: [&str; 4] = ["evt_", "dlv_", "rep_", "aud_"];
/// An id without its prefix.
const BODY_LENGTH: usize = 26;

/// A function's surroundings.
pub(crate) struct Scene {
    rig: Rig,
    front: Front,
    /// Receives webhooks.
    _sink: Sink,
    client: Client,
    samples: PathBuf,
    names: [(&'static str, String); 3],
    key: String,
    mail: String,
    /// Whose the session is.
    address: String,
    session: (Instant, String),
    turn: u64,
    _folder: TempDir,
}

impl Scene {
    /// Sets it up. `distance` is how far away AWS is.
    ///
    /// # Errors
    /// [`BenchError`]
    pub(crate) async fn open(workshop: &Workshop, distance: Duration) -> Result<Self, BenchError> {
        let kind = Kind { name: "cold-start", metering: false, event_sources: false };
        let mut rig = workshop.start(kind).await?;
        let (folder, path) = workshop.directory("cold-start-files")?;
        let folder = match folder {
            Some(folder) => folder,
            None => tempfile::tempdir_in(path).map_err(ColdStartError::System)?,
        };
        let aws = rig.aws().await?;
        let front = Front::open(aws, distance, folder.path()).await.map_err(ColdStartError::Tls)?;
        let sink = Sink::start().await.map_err(BenchError::Sink)?;
        let mut client = Client::new(rig.address);

        // The first file signs up whom the samples are about.
        let samples = workshop.template().parent().unwrap_or(Path::new("")).join("events");
        let sign_up = sample(&samples, "auth/signup")?;
        client.must(Call::post("/api/auth/signup", text_at(&sign_up, "/body")?)).await?;
        let signed_in = (Instant::now(), session(&mut client, &samples).await?);
        let session = bearer(&signed_in.1)?;
        let me = client.must(Call::get("/api/auth/me").by(&session)).await?;
        // The first plan allows fewer requests than there may be.
        let upgrade = json!({"plan": "business"}).to_string();
        client.must(Call::patch("/api/admin/organization", upgrade).by(&session)).await?;
        let endpoint = json!({"url": sink.url(1), "events": ["*"]}).to_string();
        let endpoint =
            client.must_give(Call::post("/api/admin/webhooks", endpoint).by(&session), "id").await?;
        let key = json!({"name": "Measured", "rate_limit_per_hour": 1_000_000}).to_string();
        let key = client.must_give(Call::post("/api/admin/api-keys", key).by(&session), "key").await?;
        let address = text_at(&me, "/user/email")?;
        let forgotten = json!({"email": address}).to_string();
        client.must(Call::post("/api/auth/password/forgot", forgotten)).await?;
        let mail = rig.last_message("MailQueue").ok_or(ColdStartError::NoJob { queue: "MailQueue" })?;
        let names = [
            (ORGANIZATION, text_at(&me, "/organization/id")?),
            (WORKSPACE, text_at(&me, "/workspaces/0/id")?),
            (ENDPOINT, endpoint),
        ];
        Ok(Self {
            rig,
            front,
            _sink: sink,
            client,
            samples,
            names,
            key,
            mail,
            address,
            session: signed_in,
            turn: 0,
            _folder: folder,
        })
    }

    /// The functions that are in the template.
    pub(crate) fn functions(&self) -> Vec<String> {
        self.rig.template().functions.iter().map(|function| function.binary.clone()).collect()
    }

    /// The variables that Lambda and the template give to a function.
    pub(crate) fn variables(&self, function: &str, api: SocketAddr) -> BTreeMap<String, String> {
        let own = self.rig.variables(function);
        // The empty function is given what any other is, and reads one of them.
        let mut variables = own.or_else(|| self.rig.variables("leads")).unwrap_or_default();
        for (name, value) in [
            ("AWS_ENDPOINT_URL", format!("https://{}", self.front.address)),
            ("SSL_CERT_FILE", self.front.bundle.display().to_string()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", api.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769".to_owned()),
        ] {
            variables.insert(name.to_owned(), value);
        }
        variables
    }

    /// An event for a function. It is new each time, so that the function has to do all of what it does.
    ///
    /// # Errors
    /// [`BenchError`]
    pub(crate) async fn event(&mut self, function: &str) -> Result<String, BenchError> {
        let unknown = || ColdStartError::NoEvent { function: function.to_owned() };
        let (_, file) = EVENTS.iter().find(|(name, _)| *name == function).ok_or_else(unknown)?;
        if *file == SCHEDULE {
            return Ok(json!({}).to_string());
        }
        self.turn += 1;
        let mut event = sample(&self.samples, file)?;
        if function == "worker" {
            let session = self.session().await?;
            // What is held about a person: an export of the audit log would wait for what nobody seals here.
            let export = json!({"email": self.address}).to_string();
            self.client.must(Call::post("/api/admin/privacy/exports", export).by(&bearer(&session)?)).await?;
            let queue = "LongJobsQueue";
            let job = self.rig.last_message(queue).ok_or(ColdStartError::NoJob { queue })?;
            replace(&mut event, "/Records/0/body", job);
        }
        if function == "mail" {
            replace(&mut event, "/Records/0/body", self.mail.clone());
        }
        if function == "console" {
            // As a browser that is signed in; the cookie's prefix is that of HTTP, as the platform is reached by.
            let cookies = json!([format!("artisan-console-access={}", self.session().await?)]);
            event.as_object_mut().map(|event| event.insert("cookies".to_owned(), cookies));
        }
        let credentials = event.pointer("/headers/authorization").and_then(Value::as_str).unwrap_or_default();
        if credentials.starts_with("Bearer sk_") {
            replace(&mut event, "/headers/authorization", format!("Bearer {}", self.key));
        } else if !credentials.is_empty() {
            let session = self.session().await?;
            replace(&mut event, "/headers/authorization", format!("Bearer {session}"));
        }
        let mut text = event.to_string();
        for (sample, own) in &self.names {
            text = text.replace(sample, own);
        }
        Ok(renewed(&text, self.turn))
    }

    /// Counts calls of the store from nothing.
    pub(crate) fn count_calls(&self) {
        self.rig.reset_meter();
    }

    /// The calls of the store since then.
    pub(crate) fn calls(&self) -> f64 {
        self.rig.store_use().per(1).round_trips
    }

    /// Takes everything down.
    pub(crate) async fn close(self) {
        self.rig.stop().await;
    }

    /// A session's token. They end after a quarter of an hour, and a measurement may take longer.
    async fn session(&mut self) -> Result<String, BenchError> {
        if self.session.0.elapsed() > Duration::from_mins(5) {
            self.session = (Instant::now(), session(&mut self.client, &self.samples).await?);
        }
        Ok(self.session.1.clone())
    }
}

async fn session(client: &mut Client, samples: &Path) -> Result<String, BenchError> {
    let login = sample(samples, "auth/login")?;
    Ok(client.must_give(Call::post("/api/auth/login", text_at(&login, "/body")?), "access_token").await?)
}

fn bearer(secret: &str) -> Result<Token, BenchError> {
    Ok(Token::bearer(secret).ok_or(CallError::Incomplete { call: "a sign-in".to_owned(), field: "token" })?)
}

/// An event as it stands in `events/`.
fn sample(samples: &Path, file: &str) -> Result<Value, ColdStartError> {
    let path = samples.join(format!("{file}.json"));
    let failed = |source| ColdStartError::Event { path: path.clone(), source };
    serde_json::from_str(&std::fs::read_to_string(&path).map_err(failed)?)
        .map_err(|error| failed(error.into()))
}

fn text_at(value: &Value, pointer: &'static str) -> Result<String, BenchError> {
    let text = value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Ok(text.ok_or(CallError::Incomplete { call: "what sets the tenant up".to_owned(), field: pointer })?)
}

fn replace(event: &mut Value, pointer: &str, text: String) {
    if let Some(place) = event.pointer_mut(pointer) {
        *place = Value::String(text);
    }
}

/// The same with other ids where something is new each time: those of one turn, in which the same id stays the same.
fn renewed(text: &str, turn: u64) -> String {
    // In hexadecimal, whose digits are digits of ids, too. What it replaces is random.
    let ending = format!("{:06x}", turn & 0x00ff_ffff);
    let mut text = text.to_owned();
    for prefix in RENEWED {
        let mut from = 0;
        while let Some(found) = text.get(from..).and_then(|rest| rest.find(prefix)) {
            let begin = from + found + prefix.len();
            let end = begin + BODY_LENGTH;
            let is_id =
                |body: &str| body.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
            if text.get(begin..end).is_some_and(is_id) {
                text.replace_range(end - ending.len()..end, &ending);
            }
            from = begin;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use artisan_local::template::Template;

    use super::*;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn every_function_of_the_template_has_an_event() {
        let template = Template::read(&repository().join("template.yaml")).unwrap();
        let functions: BTreeSet<_> =
            template.functions.iter().map(|function| function.binary.as_str()).collect();
        let known: BTreeSet<_> =
            EVENTS.iter().map(|(name, _)| *name).filter(|name| *name != super::super::EMPTY).collect();
        assert_eq!(known, functions);
        for (_, file) in EVENTS.iter().filter(|(_, file)| *file != SCHEDULE) {
            sample(&repository().join("events"), file).unwrap();
        }
    }

    #[test]
    fn ids_are_renewed_alike_and_stay_ids() {
        let text = "evt_01m81wjar3fm6a0z90d1bazx5e lead_id evt_01m81wjar3fm6a0z90d1bazx5e evt_ org_01m81wjar3fm6a0z90d1bazx5e";
        let expected = "evt_01m81wjar3fm6a0z90d100002a lead_id evt_01m81wjar3fm6a0z90d100002a evt_ org_01m81wjar3fm6a0z90d1bazx5e";
        assert_eq!(renewed(text, 42), expected);
        assert_ne!(renewed(text, 43), expected);
    }
}
