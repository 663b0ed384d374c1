//! `audit`: what searching, sealing and exporting cost as the log grows.
//!
//! For each number of records: leads are made, as fast as the platform accepts, until there are so many; then it is waited
//! until all of them are sealed; then each kind of search is made again and again, one at a time; then the whole log is
//! exported. If searches are flat, and the log is sealed soon after the last record, both hold at any size. So does the
//! memory of an export if it is the same at all sizes: it is that of the platform with all its engines, and how much it grew.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::cli::Audit;
use crate::client::{Call, CallError, Client, Token};
use crate::error::BenchError;
use crate::load::{Amount, Load};
use crate::pipeline::lead;
use crate::progress;
use crate::report::Circumstances;
use crate::rig::{Kind, Workshop};
use crate::stats::{Latency, per_second, rounded};
use crate::table::{Table, maybe, number, whole};
use crate::tenant::Tenant;

/// How long it is waited for the last record to be sealed.
const PATIENCE: Duration = Duration::from_secs(120);
const MIB: f64 = 1024.0 * 1024.0;
const LOOK: Duration = Duration::from_millis(50);
/// How long it is waited for an export: a worker has no longer.
const EXPORTED_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Everything measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    searches_each: u64,
    most_p99_ratio: f64,
    results: Vec<Measured>,
}

#[derive(Debug, Serialize)]
struct Measured {
    records: u64,
    /// Made since the measurement before, and sealed meanwhile.
    records_per_s: f64,
    /// From the last record to the checkpoint that covers it.
    sealed_after_ms: Option<f64>,
    searches: Vec<Searched>,
    export: Option<Exported>,
}

/// An export of the whole log.
#[derive(Debug, Serialize)]
struct Exported {
    records: u64,
    bytes: u64,
    seconds: f64,
    /// By how much the memory of the platform grew meanwhile, at most.
    grew_mib: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Searched {
    search: &'static str,
    latency: Option<Latency>,
    refused: u64,
}

impl Report {
    /// Whether everything was sealed and exported, and every search answered, with most records as fast as with fewest.
    pub(crate) fn is_sound(&self) -> bool {
        let p99 = |it: Option<&Measured>, place: usize| Some(it?.searches.get(place)?.latency?.p99_ms);
        let flat = (0..SEARCHES.len()).all(|place| {
            let ends = p99(self.results.first(), place).zip(p99(self.results.last(), place));
            ends.is_some_and(|(few, many)| many <= few * self.most_p99_ratio)
        });
        let answered = |it: &Measured| it.searches.iter().all(|search| search.refused == 0);
        let exported = |it: &Measured| it.export.as_ref().is_some_and(|export| export.records >= it.records);
        flat && self.results.iter().all(|it| it.sealed_after_ms.is_some() && answered(it) && exported(it))
    }

    /// For people to read.
    pub(crate) fn tables(&self) -> String {
        let mut growth = Table::new("The log", 0, &["records", "records/s", "sealed after ms"]);
        let mut searches = Table::new("Searches", 1, &["search", "records", "p50 ms", "p99 ms", "max ms"]);
        let mut exports = Table::new("Exports", 0, &["records", "MiB", "s", "memory grew, MiB"]);
        for it in &self.results {
            growth.row([whole(it.records), number(it.records_per_s), maybe(it.sealed_after_ms)]);
            if let Some(export) = &it.export {
                let mib = number(export.bytes as f64 / MIB);
                exports.row([whole(export.records), mib, number(export.seconds), maybe(export.grew_mib)]);
            }
        }
        for (place, search) in SEARCHES.iter().enumerate() {
            for it in &self.results {
                let latency = it.searches.get(place).and_then(|it| it.latency);
                searches.row([
                    search.name.to_owned(),
                    whole(it.records),
                    maybe(latency.map(|it| it.p50_ms)),
                    maybe(latency.map(|it| it.p99_ms)),
                    maybe(latency.map(|it| it.max_ms)),
                ]);
            }
        }
        format!("Audit log, {}\n\n{growth}\n{searches}\n{exports}", self.circumstances.line())
    }
}

struct Search {
    name: &'static str,
    query: &'static str,
}

const SEARCHES: [Search; 6] = [
    Search { name: "newest", query: "" },
    Search { name: "by action, common", query: "action=lead.create" },
    Search { name: "by action, rare", query: "action=organization.update" },
    Search { name: "refused", query: "outcome=failure" },
    Search { name: "sensitive and carried out", query: "sensitive=true&outcome=success" },
    Search { name: "by resource that is not there", query: "resource_id=lead_0" },
];

/// Measures.
///
/// # Errors
/// [`BenchError`] when it can't be done.
pub(crate) async fn run(workshop: &Workshop, options: &Audit) -> Result<Report, BenchError> {
    let circumstances = Circumstances::of("audit");
    let mut rig = workshop.start(Kind { name: "audit", metering: false, event_sources: true }).await?;
    let mut tenant = Tenant::in_use(&mut rig, 4).await?;
    let session = tenant.sessions(1).await?.pop().ok_or(BenchError::Options("no session"))?;
    let keys = tenant.keys.clone();
    let load = Load::new(rig.address, StatusCode::CREATED, move |turn| {
        let call = Call::post("/v1/leads", lead(turn.number));
        let key = usize::try_from(turn.number).unwrap_or(0).checked_rem(keys.len());
        match key.and_then(|key| keys.get(key)) {
            Some(key) => call.by(key),
            None => call,
        }
    });
    let mut client = Client::new(rig.address);
    let (mut made, mut results) = (0, Vec::new());
    for &records in &options.records {
        load.answered.clear();
        let count = records.saturating_sub(made);
        let shown = progress::show(format!("{records} records"), &load.answered, count);
        let common = &options.common;
        let outcome = load
            .at_full_speed(Amount { count, concurrency: common.concurrency(), limit: common.limit() })
            .await;
        drop(shown);
        made += outcome.count();
        let ended = Instant::now();
        let sealed = sealed(&mut client, &session, made).await?;
        let mut searches = Vec::new();
        for search in &SEARCHES {
            searches.push(searched(&rig.address, &session, search, options.searches).await);
        }
        let export = exported(&mut client, &session).await?;
        results.push(Measured {
            export,
            records: made,
            records_per_s: per_second(outcome.count(), outcome.duration()),
            sealed_after_ms: sealed
                .map(|at| rounded(at.saturating_duration_since(ended).as_secs_f64() * 1000.0)),
            searches,
        });
    }
    rig.stop().await;
    let (searches_each, most_p99_ratio) = (options.searches, options.most_p99_ratio);
    Ok(Report { circumstances, searches_each, most_p99_ratio, results })
}

/// When a checkpoint covers so many records; `None` if none does in time.
async fn sealed(client: &mut Client, session: &Token, records: u64) -> Result<Option<Instant>, CallError> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let answer = client.send(Call::get("/api/admin/audit-logs/checkpoint").by(session)).await?;
        let size = std::str::from_utf8(&answer.body).ok().and_then(|note| note.lines().nth(1)?.parse().ok());
        if size.is_some_and(|size: u64| size >= records) {
            return Ok(Some(Instant::now()));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}

/// Exports the whole log as NDJSON; `None` if that does not end well in time.
async fn exported(client: &mut Client, session: &Token) -> Result<Option<Exported>, CallError> {
    const EXPORTS: &str = "/api/admin/audit-logs/exports";
    let (before, began) = (resident_mib(), Instant::now());
    let mut most = before;
    let wanted = Call::post(EXPORTS, r#"{"format":"ndjson"}"#).by(session);
    let id = client.must_give(wanted, "id").await?;
    while began.elapsed() < EXPORTED_WITHIN {
        tokio::time::sleep(LOOK).await;
        most = resident_mib().into_iter().chain(most).reduce(f64::max);
        let job = client.must(Call::get(format!("{EXPORTS}/{id}")).by(session)).await?;
        match job.get("status").and_then(Value::as_str) {
            Some("done") => {
                return Ok(Some(Exported {
                    records: job.pointer("/progress/records").and_then(Value::as_u64).unwrap_or(0),
                    bytes: job.get("size").and_then(Value::as_u64).unwrap_or(0),
                    seconds: rounded(began.elapsed().as_secs_f64()),
                    grew_mib: most.zip(before).map(|(most, before)| rounded(most - before)),
                }));
            }
            Some("failed") => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

/// The memory of this process; `None` where that isn't told.
fn resident_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

async fn searched(address: &std::net::SocketAddr, session: &Token, search: &Search, count: u64) -> Searched {
    let (session, query) = (session.clone(), search.query);
    let load = Load::new(*address, StatusCode::OK, move |_| {
        Call::get(format!("/api/admin/audit-logs?limit=25&{query}")).by(&session)
    });
    let limit = Duration::from_secs(30);
    let outcome = load.at_full_speed(Amount { count, concurrency: 1, limit }).await;
    let refused = outcome.refused.values().sum();
    Searched { search: search.name, latency: outcome.latency(), refused }
}
