//! What both commands tell about the circumstances, and where the figures go.

use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::BenchError;
use crate::store::StoreRatios;
use crate::table::{Table, number};

/// The circumstances of a measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Circumstances {
    benchmark: &'static str,
    version: &'static str,
    /// `release` or `debug`; figures of the latter mean nothing.
    build: &'static str,
    operating_system: &'static str,
    architecture: &'static str,
    processors: usize,
    began_at_unix_seconds: u64,
}

impl Circumstances {
    /// Those of this process, now.
    pub(crate) fn of(benchmark: &'static str) -> Self {
        Self {
            benchmark,
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            operating_system: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            began_at_unix_seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs()),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Self { build, operating_system, architecture, processors, .. } = self;
        format!("{build} build, {processors} processors, {architecture} {operating_system}")
    }
}

/// Adds a line for each store operation to `table`, after the cells `about`.
pub(crate) fn add_store_lines(table: &mut Table, about: &str, store: &StoreRatios) {
    for it in &store.by_operation {
        let (operation, resource) = (it.operation.clone(), it.resource.clone());
        table.row([about.to_owned(), operation, resource, number(it.calls), number(it.capacity_units)]);
    }
}

/// Writes the figures: the tables for people, and JSON to `json` if that is asked for.
///
/// # Errors
/// [`BenchError::Output`]
pub(crate) fn publish(tables: &str, figures: &impl Serialize, json: Option<&Path>) -> Result<(), BenchError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| BenchError::Output { path, source }
    };
    let standard_output = Path::new("-");
    // Numbers, texts and lists are always JSON.
    let text = || serde_json::to_string_pretty(figures).unwrap_or_default() + "\n";
    match json {
        Some(path) if path == standard_output => {
            // Whoever closed standard error does not want the tables.
            let _ = std::io::stderr().write_all(tables.as_bytes());
            std::io::stdout().write_all(text().as_bytes()).map_err(failed(path))
        }
        Some(path) => {
            // Written first: the tables may go to a pipe that is closed.
            std::fs::write(path, text()).map_err(failed(path))?;
            std::io::stdout().write_all(tables.as_bytes()).map_err(failed(standard_output))
        }
        None => std::io::stdout().write_all(tables.as_bytes()).map_err(failed(standard_output)),
    }
}
