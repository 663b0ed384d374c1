//! `requests`: single operations of the API, each under full load, then alone, then on a platform that meters.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::cli::Requests;
use crate::client::{Call, Token};
use crate::cpu::CpuTime;
use crate::error::BenchError;
use crate::load::{Amount, Load, Turn};
use crate::pipeline::lead;
use crate::progress;
use crate::report::{Circumstances, add_store_lines};
use crate::rig::{Kind, Rig, Workshop};
use crate::stats::{Latency, milliseconds, per, per_second};
use crate::store::StoreRatios;
use crate::table::{Table, maybe, number, whole};
use crate::tenant::Tenant;

/// Requests of each operation before it is measured.
const WARM_UP: u64 = 20;
/// Requests one after the other, at most, and the time they may take.
const ALONE: u64 = 200;
const ALONE_LIMIT: Duration = Duration::from_secs(3);
/// Requests of each operation while calls of the store are counted.
const METERED: u64 = 50;
/// Leads and campaigns there are to be read.
const LEADS: usize = 100;
const CAMPAIGNS: usize = 10;
/// Keys that are made, at most, at full load: with those made before and after, a plan's 500.
const KEYS: u64 = 250;
/// Accounts that sign in, by turns; one account is heard ten times at once.
const ACCOUNTS: usize = 16;
/// Credentials, used by turns: each is one item in the store, and a session has an hourly limit.
const CREDENTIALS: u32 = 4;

/// Everything measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    settings: Settings,
    results: Vec<Measured>,
}

#[derive(Debug, Serialize)]
struct Settings {
    requests: u64,
    seconds: u64,
    concurrency: u32,
}

#[derive(Debug, Serialize)]
struct Measured {
    operation: &'static str,
    requests: u64,
    requests_per_s: f64,
    at_full_load: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_cpu_ms_per_request: Option<f64>,
    /// One request at a time.
    alone: Option<Latency>,
    refused_requests: BTreeMap<String, u64>,
    store_per_request: StoreRatios,
}

impl Report {
    /// Whether a request was refused that should not have been.
    pub(crate) fn refused_any(&self) -> bool {
        self.results.iter().any(|it| !it.refused_requests.is_empty())
    }
}

/// Measures.
///
/// # Errors
/// [`BenchError`] when it can't be done.
pub(crate) async fn run(workshop: &Workshop, options: &Requests) -> Result<Report, BenchError> {
    let circumstances = Circumstances::of("requests");
    let timed = timed(workshop, options).await?;
    let metered = metered(workshop, options).await?;
    let results = timed
        .into_iter()
        .zip(metered)
        .map(|(timed, store_per_request)| Measured { store_per_request, ..timed });
    let Requests { requests, seconds, .. } = *options;
    let settings = Settings { requests, seconds, concurrency: options.common.concurrency };
    Ok(Report { circumstances, settings, results: results.collect() })
}

/// Every operation in its time, on a platform that runs everything.
async fn timed(workshop: &Workshop, options: &Requests) -> Result<Vec<Measured>, BenchError> {
    let (rig, scene) = scene(workshop, options, false).await?;
    let limit = Duration::from_secs(options.seconds);
    let concurrency = options.common.concurrency();
    let mut results = Vec::new();
    for operation in scene.operations() {
        let load = operation.load(rig.address);
        load.at_full_speed(Amount { count: WARM_UP, concurrency, limit }).await;
        load.answered.clear();
        let count = options.requests.min(operation.most);
        let shown = progress::show(operation.name, &load.answered, count);
        let cpu = CpuTime::now();
        let full = load.at_full_speed(Amount { count, concurrency, limit }).await;
        let cpu = CpuTime::now().zip(cpu).map(|(now, before)| now.since(before).platform);
        let count = options.requests.min(ALONE);
        let alone = load.at_full_speed(Amount { count, concurrency: 1, limit: ALONE_LIMIT }).await;
        drop(shown);
        let mut refused_requests = full.refused.clone();
        for (status, count) in &alone.refused {
            *refused_requests.entry(status.clone()).or_default() += count;
        }
        results.push(Measured {
            operation: operation.name,
            requests: full.count(),
            requests_per_s: per_second(full.count(), full.duration()),
            at_full_load: full.latency(),
            platform_cpu_ms_per_request: cpu.map(|cpu| per(milliseconds(cpu), full.count())),
            alone: alone.latency(),
            refused_requests,
            store_per_request: StoreRatios::default(),
        });
    }
    rig.stop().await;
    Ok(results)
}

/// What each operation asks of the store, with nothing else going on.
async fn metered(workshop: &Workshop, options: &Requests) -> Result<Vec<StoreRatios>, BenchError> {
    let (rig, scene) = scene(workshop, options, true).await?;
    let mut results = Vec::new();
    for operation in scene.operations() {
        let load = operation.load(rig.address);
        let shown = progress::show(
            format!("{}, counting calls of the store", operation.name),
            &load.answered,
            METERED,
        );
        rig.reset_meter();
        let limit = options.common.limit();
        let outcome = load.at_full_speed(Amount { count: METERED, concurrency: 1, limit }).await;
        drop(shown);
        results.push(rig.store_use().per(outcome.count()));
    }
    rig.stop().await;
    Ok(results)
}

/// What is there to be asked for.
#[derive(Debug, Clone)]
struct Scene {
    keys: Vec<Token>,
    sessions: Vec<Token>,
    accounts: Vec<String>,
    campaigns: Vec<String>,
    /// At least one for each caller, so that no two change the same one at once.
    leads: Vec<String>,
}

async fn scene(workshop: &Workshop, options: &Requests, metering: bool) -> Result<(Rig, Scene), BenchError> {
    let name = if metering { "requests-metered" } else { "requests" };
    let mut rig = workshop.start(Kind { name, metering, event_sources: !metering }).await?;
    let mut tenant = Tenant::in_use(&mut rig, CREDENTIALS).await?;
    let mut scene = Scene {
        keys: tenant.keys.clone(),
        sessions: tenant.sessions(CREDENTIALS).await?,
        accounts: tenant.others(&mut rig, options.common.concurrency().min(ACCOUNTS)).await?,
        campaigns: Vec::new(),
        leads: Vec::new(),
    };
    for number in 0..CAMPAIGNS {
        let body = json!({"name": format!("Campaign {number}"), "goal": "20 meetings"}).to_string();
        scene.campaigns.push(tenant.make("/v1/campaigns", body).await?);
    }
    for number in 0..LEADS.max(options.common.concurrency()) {
        let body = lead(u64::try_from(number).unwrap_or(0));
        scene.leads.push(tenant.make("/v1/leads", body).await?);
    }
    Ok((rig, scene))
}

struct Operation {
    name: &'static str,
    /// Requests at full load, at most.
    most: u64,
    expected: StatusCode,
    call: fn(&Scene, Turn) -> Call,
    scene: Scene,
}

impl Operation {
    fn load(&self, address: SocketAddr) -> Load {
        let (call, scene) = (self.call, self.scene.clone());
        Load::new(address, self.expected, move |turn| call(&scene, turn))
    }
}

impl Scene {
    fn operations(&self) -> Vec<Operation> {
        let operation =
            |name, expected, call| Operation { name, most: u64::MAX, expected, call, scene: self.clone() };
        let key: fn(&Self, Turn) -> Call = |scene, turn| {
            let call = Call::post("/api/admin/api-keys", r#"{"name": "Bench"}"#.to_owned());
            by(in_turn(&scene.sessions, turn.number), call)
        };
        vec![
            operation("whoami", StatusCode::OK, |scene, turn| scene.by_key(turn, Call::get("/v1/whoami"))),
            operation("campaign get", StatusCode::OK, |scene, turn| {
                let id = in_turn(&scene.campaigns, turn.number).map_or("", String::as_str);
                scene.by_key(turn, Call::get(format!("/v1/campaigns/{id}")))
            }),
            operation("lead create", StatusCode::CREATED, |scene, turn| {
                scene.by_key(turn, Call::post("/v1/leads", lead(turn.number)))
            }),
            operation("lead create, Idempotency-Key", StatusCode::CREATED, |scene, turn| {
                let call = Call::post("/v1/leads", lead(turn.number)).once(format!("bench-{}", turn.number));
                scene.by_key(turn, call)
            }),
            operation("lead get", StatusCode::OK, |scene, turn| {
                let id = in_turn(&scene.leads, turn.number).map_or("", String::as_str);
                scene.by_key(turn, Call::get(format!("/v1/leads/{id}")))
            }),
            operation("lead list, 25", StatusCode::OK, |scene, turn| {
                scene.by_key(turn, Call::get("/v1/leads?limit=25"))
            }),
            operation("lead reply", StatusCode::CREATED, |scene, turn| {
                let id = scene.leads.get(turn.caller).map_or("", String::as_str);
                let body = r#"{"message":"Tell me more.","channel":"email"}"#;
                scene.by_key(turn, Call::post(format!("/v1/leads/{id}/replies"), body))
            }),
            Operation { most: KEYS, ..operation("API key create", StatusCode::CREATED, key) },
            operation("login", StatusCode::OK, |scene, turn| {
                let account = scene.accounts.get(turn.caller % scene.accounts.len().max(1));
                Tenant::login(account.map_or("", String::as_str))
            }),
        ]
    }

    fn by_key(&self, turn: Turn, call: Call) -> Call {
        by(in_turn(&self.keys, turn.number), call)
    }
}

fn by(token: Option<&Token>, call: Call) -> Call {
    match token {
        Some(token) => call.by(token),
        None => call,
    }
}

fn in_turn<T>(all: &[T], number: u64) -> Option<&T> {
    let index = usize::try_from(number).ok()?.checked_rem(all.len())?;
    all.get(index)
}

impl Report {
    /// For people to read.
    pub(crate) fn tables(&self) -> String {
        let heading = [
            "operation",
            "requests",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "platform CPU ms",
            "alone p50 ms",
            "p99 ms",
            "refused",
        ];
        let title = format!("{} requests at once, and one alone", self.settings.concurrency);
        let mut timed = Table::new(title, 1, &heading);
        let mut store = Table::new(
            "Calls of the store for each request",
            1,
            &["operation", "round trips", "read units", "write units"],
        );
        let mut lines =
            Table::new("… by operation", 3, &["operation", "of the store", "on", "calls", "capacity units"]);
        for it in &self.results {
            timed.row([
                it.operation.to_owned(),
                whole(it.requests),
                number(it.requests_per_s),
                maybe(it.at_full_load.map(|latency| latency.p50_ms)),
                maybe(it.at_full_load.map(|latency| latency.p99_ms)),
                maybe(it.platform_cpu_ms_per_request),
                maybe(it.alone.map(|latency| latency.p50_ms)),
                maybe(it.alone.map(|latency| latency.p99_ms)),
                whole(it.refused_requests.values().sum()),
            ]);
            let ratios = &it.store_per_request;
            store.row([
                it.operation.to_owned(),
                number(ratios.round_trips),
                number(ratios.read_capacity_units),
                number(ratios.write_capacity_units),
            ]);
            add_store_lines(&mut lines, it.operation, ratios);
        }
        let mut text = format!("Requests, {}\n", self.circumstances.line());
        for table in [timed, store, lines] {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{table}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn every_operation_is_answered_as_expected() {
        let given = ["bench", "requests", "--requests", "3", "--concurrency", "2"];
        let Command::Requests(options) = Cli::parse_from(given).command else { panic!() };
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        let workshop = Workshop::open(template, None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(run(&workshop, &options)).unwrap();
        workshop.close();
        assert!(!report.refused_any(), "{}", report.tables());
        for it in &report.results {
            assert_eq!(it.requests, 3, "{}", it.operation);
            assert!(it.store_per_request.round_trips >= 1.0, "{}: {:?}", it.operation, it.store_per_request);
        }
    }
}
