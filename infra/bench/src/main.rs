//! The benchmark: `cargo run --release -p bench -- pipeline`, `-- isolation`, `-- soak`, `-- requests`, `-- audit` and
//! `-- cold-start`.
//!
//! It starts the local platform on a fresh directory, puts load on it over real HTTP, receives its webhooks, and
//! prints what that came to. Everything stays on loopback, and everything is bounded in number and time.

mod audit;
mod cli;
mod client;
mod cold_start;
mod cpu;
mod error;
mod load;
mod pipeline;
mod progress;
mod report;
mod requests;
mod rig;
mod sink;
mod soak;
mod stats;
mod store;
mod table;
mod tenant;

use std::io::Write as _;
use std::process::ExitCode;

use artisan_local::cli::one_line;
use clap::Parser as _;
use telemetry::Format;

use crate::cli::{Cli, Command, Place};
use crate::error::BenchError;
use crate::rig::Workshop;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something was lost or refused.
const UNSOUND: u8 = 1;
/// Nothing was measured.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(Format::Text, std::env::var("LOG_LEVEL").as_deref().unwrap_or("warn"));
    if cfg!(debug_assertions) {
        say("bench: this is a debug build, its figures mean nothing; build with --release");
    }
    match measure(&cli.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(UNSOUND),
        Err(error) => {
            say(&format!("bench: {}", one_line(&error)));
            ExitCode::from(FAILED)
        }
    }
}

/// Measures and tells; whether everything went as it should.
fn measure(command: &Command) -> Result<bool, BenchError> {
    let place = match command {
        Command::Pipeline(options) => &options.common.place,
        Command::Isolation(options) => &options.common.place,
        Command::Soak(options) => &options.common.place,
        Command::Requests(options) => &options.common.place,
        Command::Audit(options) => &options.common.place,
        Command::ColdStart(options) => &options.place,
    };
    let workshop = Workshop::open(template(place), place.data_dir.as_deref())?;
    // One thread for the load and the receiver: they are not what is measured, and should not crowd it out.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BenchError::Runtime)?;
    let measured = runtime.block_on(async {
        tokio::select! {
            // Leaving in an orderly way is what removes temporary directories.
            _ = tokio::signal::ctrl_c() => Err(BenchError::Interrupted),
            measured = run(&workshop, command) => measured,
        }
    });
    workshop.close();
    measured
}

async fn run(workshop: &Workshop, command: &Command) -> Result<bool, BenchError> {
    match command {
        Command::Pipeline(options) => {
            let report = pipeline::run(workshop, options).await?;
            report::publish(&report.tables(), &report, options.common.place.json.as_deref())?;
            if report.lost_any() {
                say("bench: deliveries were lost");
            }
            Ok(!report.lost_any())
        }
        Command::Isolation(options) => {
            let report = pipeline::isolation::run(workshop, options).await?;
            report::publish(&report.tables(), &report, options.common.place.json.as_deref())?;
            if !report.is_isolated() {
                say("bench: endpoints that answer were delayed by those that do not");
            }
            Ok(report.is_isolated())
        }
        Command::Soak(options) => {
            let report = soak::run(workshop, options).await?;
            report::publish(&report.tables(), &report, options.common.place.json.as_deref())?;
            for fault in report.faults() {
                say(&format!("bench: {fault}"));
            }
            Ok(report.faults().is_empty())
        }
        Command::Requests(options) => {
            let report = requests::run(workshop, options).await?;
            report::publish(&report.tables(), &report, options.common.place.json.as_deref())?;
            if report.refused_any() {
                say("bench: requests were refused");
            }
            Ok(!report.refused_any())
        }
        Command::Audit(options) => {
            let report = audit::run(workshop, options).await?;
            report::publish(&report.tables(), &report, options.common.place.json.as_deref())?;
            if !report.is_sound() {
                say("bench: records were not sealed, or searches not answered");
            }
            Ok(report.is_sound())
        }
        Command::ColdStart(options) => {
            let report = cold_start::run(workshop, options).await?;
            report::publish(&report.tables(), &report, options.place.json.as_deref())?;
            let slow = report.slow();
            for function in &slow {
                say(&format!("bench: {function} takes too long to start"));
            }
            Ok(slow.is_empty())
        }
    }
}

/// The template to run, found as the local platform finds it.
fn template(place: &Place) -> std::path::PathBuf {
    let mut local = artisan_local::cli::Cli::parse_from(["artisan-local"]);
    local.template.clone_from(&place.template);
    local.template()
}

/// Nobody may be listening, which is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
