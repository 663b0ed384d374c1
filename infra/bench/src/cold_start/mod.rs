//! `bench cold-start`: what it takes to start a function, and to answer its first event.
//!
//! Each function's release bootstrap is started as a process of its own under a runtime API, with the variables that the
//! template gives it, against a platform that is reached by TLS. What is measured is the time from the start of the process to
//! its first request for an event, from there to the answer to a first event, and to those of the same kind that follow; and
//! the processor time and the memory of each. The empty function is measured beside them, by turns, so that what the machine
//! does at some moment befalls all alike.
//!
//! With sizes of memory, all of it is done again under the share of a processor that Lambda gives with each.

mod bootstrap;
mod figures;
mod quota;
mod runtime_api;
mod scene;
mod tls;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::bootstrap::{Bootstrap, Used};
use self::figures::{Figures, Report, Spread, UnderQuota};
use self::quota::Quota;
use self::runtime_api::{Heard, RuntimeApi};
use self::scene::Scene;
use self::tls::TlsError;
use crate::cli::ColdStart;
use crate::error::BenchError;
use crate::progress::{self, Counter};
use crate::report::Circumstances;
use crate::rig::Workshop;
use crate::stats::{float, milliseconds, rounded};

/// What all are held against.
const EMPTY: &str = "empty-function";
/// A function that has not done something within this time will not.
const PATIENCE: Duration = Duration::from_secs(60);
/// A process that has asked for an event is at rest so soon.
const REST: Duration = Duration::from_millis(3);

/// Why a function was not measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ColdStartError {
    /// There is nothing to start.
    #[error("there is no {}; build it with `cargo lambda build --release --package {function}`", path.display())]
    NotBuilt {
        /// The function.
        function: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It cannot be started.
    #[error("{} cannot be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is gone.
    #[error("it ended by itself: {said}")]
    Ended {
        /// What it wrote last.
        said: String,
    },
    /// It reported a failure, or did nothing.
    #[error("{what}: {said}")]
    Failed {
        /// What happened.
        what: String,
        /// What it wrote last.
        said: String,
    },
    /// One of the functions failed.
    #[error("{function} was not measured")]
    Function {
        /// Which.
        function: String,
        /// Why.
        #[source]
        source: Box<BenchError>,
    },
    /// Nobody has said what it is to be sent.
    #[error("no event is known for {function}; name one in infra/bench/src/cold_start/scene.rs")]
    NoEvent {
        /// The function.
        function: String,
    },
    /// An event cannot be read.
    #[error("the event {} cannot be read", path.display())]
    Event {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A queue lacks what was to be put into it.
    #[error("nothing came into {queue}")]
    NoJob {
        /// Its name in the template.
        queue: &'static str,
    },
    /// No TLS.
    #[error(transparent)]
    Tls(TlsError),
    /// No port, no folder.
    #[error("the operating system gives no port or folder")]
    System(#[source] std::io::Error),
    /// No quota.
    #[error("processor time cannot be limited; that takes control groups of Linux, and usually root")]
    Quota(#[source] std::io::Error),
}

/// One life of a process.
#[derive(Debug, Clone)]
struct Life {
    /// From its start to its first request for an event.
    init: Duration,
    /// What it had used by then.
    after_init: Used,
    /// From the first event to its answer.
    first: Duration,
    /// What it had used when it asked for a second one.
    after_first: Used,
    /// The same of the events after the first.
    warm: Vec<Duration>,
    /// What it had used at the end.
    at_end: Used,
    /// Calls of the store until it asked for a second event.
    calls: f64,
}

/// Measures as `options` say.
///
/// # Errors
/// [`BenchError`], naming the function.
pub(crate) async fn run(workshop: &Workshop, options: &ColdStart) -> Result<Report, BenchError> {
    let circumstances = Circumstances::of("cold-start");
    let mut scene = Scene::open(workshop, Duration::from_micros(options.distance)).await?;
    let mut functions = scene.functions();
    functions.sort();
    if !options.only.is_empty() {
        functions.retain(|function| options.only.contains(function));
    }
    functions.insert(0, EMPTY.to_owned());
    let sizes: Vec<Option<u32>> =
        std::iter::once(None).chain(options.memory.iter().copied().map(Some)).collect();
    let rounds = u64::from(options.runs) + 1;
    let lived = Counter::default();
    let total = rounds * u64::try_from(functions.len() * sizes.len()).unwrap_or(u64::MAX);
    let showing = progress::show("Starting functions", &lived, total);
    let mut all: Vec<Figures> = Vec::new();
    for size in sizes {
        let mut lives: Vec<Vec<Life>> = vec![Vec::new(); functions.len()];
        for round in 0..rounds {
            for (function, lives) in functions.iter().zip(&mut lives) {
                let life = live(&mut scene, options, function, size).await.map_err(|source| {
                    ColdStartError::Function { function: function.clone(), source: Box::new(source) }
                })?;
                // In the first round programs are read from the disk, as far as it was not in memory.
                if round > 0 {
                    lives.push(life);
                }
                lived.add();
            }
        }
        match size {
            None => {
                all.extend(functions.iter().zip(&lives).map(|(function, lives)| figures(function, lives)))
            }
            Some(megabytes) => {
                for (figures, lives) in all.iter_mut().zip(&lives) {
                    figures.by_memory.push(under_quota(megabytes, lives));
                }
            }
        }
    }
    drop(showing);
    scene.close().await;
    Ok(Report {
        circumstances,
        distance_ms: milliseconds(Duration::from_micros(options.distance)),
        runs: options.runs,
        warm_events: options.warm,
        most_init_ratio: options.most_init_ratio,
        functions: figures::against_the_first(all),
    })
}

/// Starts a function, sends it events, and ends it.
async fn live(
    scene: &mut Scene,
    options: &ColdStart,
    function: &str,
    memory: Option<u32>,
) -> Result<Life, BenchError> {
    let program = program(&options.bootstraps, function)?;
    let quota = memory.map(Quota::of_memory).transpose().map_err(ColdStartError::Quota)?;
    let first_event = scene.event(function).await?;
    let mut api = RuntimeApi::open().await.map_err(ColdStartError::System)?;
    let variables = scene.variables(function, api.address);
    let mut bootstrap = Bootstrap::prepare(&program, &variables, quota.as_ref()).await?;
    scene.count_calls();

    let began = bootstrap.start().await?;
    let init = ready(&mut api, &mut bootstrap).await?.saturating_duration_since(began);
    let after_init = at_rest(&bootstrap).await?;
    let first = answered(&mut api, &mut bootstrap, first_event).await?;
    let after_first = at_rest(&bootstrap).await?;
    let calls = scene.calls();
    let mut warm = Vec::new();
    for _ in 0..options.warm {
        let event = scene.event(function).await?;
        warm.push(answered(&mut api, &mut bootstrap, event).await?);
    }
    let at_end = at_rest(&bootstrap).await?;
    bootstrap.stop().await;
    Ok(Life { init, after_init, first, after_first, warm, at_end, calls })
}

/// The program of a function, where `cargo lambda build` puts it.
fn program(bootstraps: &Path, function: &str) -> Result<PathBuf, ColdStartError> {
    let path = bootstraps.join(function).join("bootstrap");
    let absolute = path.canonicalize().ok();
    absolute.ok_or_else(|| ColdStartError::NotBuilt { function: function.to_owned(), path })
}

/// Gives a function an event; how long it took to answer. Returns when it asks for the next.
async fn answered(
    api: &mut RuntimeApi,
    bootstrap: &mut Bootstrap,
    event: String,
) -> Result<Duration, ColdStartError> {
    let given = Instant::now();
    api.give(event);
    let (at, answer) = match heard(api, bootstrap).await? {
        Heard::Answer(at, answer) => (at, answer),
        other => return Err(unexpected(&other, bootstrap)),
    };
    if let Some(why) = refusal(&answer) {
        return Err(ColdStartError::Failed { what: why, said: bootstrap.said() });
    }
    ready(api, bootstrap).await?;
    Ok(at.saturating_duration_since(given))
}

/// When the function asks for an event.
async fn ready(api: &mut RuntimeApi, bootstrap: &mut Bootstrap) -> Result<Instant, ColdStartError> {
    match heard(api, bootstrap).await? {
        Heard::Ready(at) => Ok(at),
        other => Err(unexpected(&other, bootstrap)),
    }
}

async fn heard(api: &mut RuntimeApi, bootstrap: &mut Bootstrap) -> Result<Heard, ColdStartError> {
    let heard = tokio::select! {
        // A function that fails says so before it ends.
        biased;
        heard = api.heard() => heard,
        ended = bootstrap.end() => return Err(ended),
        () = tokio::time::sleep(PATIENCE) => None,
    };
    let what = || format!("it did nothing for {} s", PATIENCE.as_secs());
    heard.ok_or_else(|| ColdStartError::Failed { what: what(), said: bootstrap.said() })
}

fn unexpected(heard: &Heard, bootstrap: &Bootstrap) -> ColdStartError {
    let what = match heard {
        Heard::Ready(_) => "it asked for an event without answering one".to_owned(),
        Heard::Answer(..) => "it answered what it was not asked".to_owned(),
        Heard::Failure(failure) => format!("it failed, {failure}"),
    };
    ColdStartError::Failed { what, said: bootstrap.said() }
}

/// Why an answer is not that of a function that did what it is for.
fn refusal(answer: &Value) -> Option<String> {
    let refused = match (answer.get("statusCode"), answer.get("batchItemFailures")) {
        (Some(status), _) => status != 200,
        (None, Some(failures)) => failures.as_array().is_none_or(|failures| !failures.is_empty()),
        (None, None) => !answer.is_null(),
    };
    refused.then(|| format!("it answered {answer}"))
}

/// What it has used, when it has gone to rest.
async fn at_rest(bootstrap: &Bootstrap) -> Result<Used, ColdStartError> {
    tokio::time::sleep(REST).await;
    bootstrap.used()
}

fn figures(function: &str, lives: &[Life]) -> Figures {
    let of = |part: fn(&Life) -> Duration| Spread::of(lives.iter().map(part).collect());
    Figures {
        function: function.to_owned(),
        init: of(|life| life.init),
        init_processor: of(|life| life.after_init.processor),
        init_ratio: 1.0,
        init_peak_mib: peak(lives, |life| life.after_init),
        first: of(|life| life.first),
        first_processor: of(|life| life.after_first.processor.saturating_sub(life.after_init.processor)),
        warm: warm(lives),
        warm_processor: of(|life| {
            let events = u32::try_from(life.warm.len()).unwrap_or(u32::MAX).max(1);
            life.at_end.processor.saturating_sub(life.after_first.processor) / events
        }),
        peak_mib: peak(lives, |life| life.at_end),
        store_calls: lives.iter().map(|life| life.calls).fold(0.0, f64::max),
        by_memory: Vec::new(),
    }
}

fn under_quota(memory_mb: u32, lives: &[Life]) -> UnderQuota {
    UnderQuota {
        memory_mb,
        init: Spread::of(lives.iter().map(|life| life.init).collect()),
        first: Spread::of(lives.iter().map(|life| life.first).collect()),
        warm: warm(lives),
    }
}

fn warm(lives: &[Life]) -> Spread {
    Spread::of(lives.iter().flat_map(|life| life.warm.iter().copied()).collect())
}

/// The most of all lives.
fn peak(lives: &[Life], part: fn(&Life) -> Used) -> f64 {
    rounded(float(lives.iter().map(|life| part(life).peak_kib).max().unwrap_or_default()) / 1024.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_refuses_is_no_measurement() {
        for (answer, refused) in [
            (json!({"statusCode": 200, "body": ""}), false),
            (json!({"statusCode": 401, "body": ""}), true),
            (json!({"batchItemFailures": []}), false),
            (json!({"batchItemFailures": [{"itemIdentifier": "1"}]}), true),
            (json!(null), false),
            (json!({"errorMessage": "no"}), true),
        ] {
            assert_eq!(refusal(&answer).is_some(), refused, "{answer}");
        }
    }
}
