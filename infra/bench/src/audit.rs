//! `audit`: what searching and sealing cost as the log grows.
//!
//! For each number of records: leads are made, as fast as the platform accepts, until there are so many; then it is waited
//! until all of them are sealed; then each kind of search is made again and again, one at a time. If searches are flat, and
//! the log is sealed soon after the last record, both hold at any size.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Serialize;

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
const LOOK: Duration = Duration::from_millis(50);

/// Everything measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    searches_each: u64,
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
}

#[derive(Debug, Serialize)]
struct Searched {
    search: &'static str,
    latency: Option<Latency>,
    refused: u64,
}

impl Report {
    /// Whether everything was sealed, and every search answered.
    pub(crate) fn is_sound(&self) -> bool {
        let answered = |it: &Measured| it.searches.iter().all(|search| search.refused == 0);
        self.results.iter().all(|it| it.sealed_after_ms.is_some() && answered(it))
    }

    /// For people to read.
    pub(crate) fn tables(&self) -> String {
        let mut growth = Table::new("The log", 0, &["records", "records/s", "sealed after ms"]);
        let mut searches = Table::new("Searches", 1, &["search", "records", "p50 ms", "p99 ms", "max ms"]);
        for it in &self.results {
            growth.row([whole(it.records), number(it.records_per_s), maybe(it.sealed_after_ms)]);
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
        format!("Audit log, {}\n\n{growth}\n{searches}", self.circumstances.line())
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
        results.push(Measured {
            records: made,
            records_per_s: per_second(outcome.count(), outcome.duration()),
            sealed_after_ms: sealed
                .map(|at| rounded(at.saturating_duration_since(ended).as_secs_f64() * 1000.0)),
            searches,
        });
    }
    rig.stop().await;
    Ok(Report { circumstances, searches_each: options.searches, results })
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
