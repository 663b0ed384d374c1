//! `artisan`: operates a deployment.

use std::io::Write as _;
use std::process::ExitCode;

use artisan_cli::cli::Cli;
use artisan_cli::{Verdict, execute};
use clap::Parser as _;

/// Failed, or something was found. What cannot be understood ends with 2, by clap.
const FAULTY: u8 = 1;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(telemetry::Format::Text, std::env::var("LOG_LEVEL").as_deref().unwrap_or("warn"));
    match execute(&cli).await {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Faulty) => ExitCode::from(FAULTY),
        Err(error) => {
            // Who reads nothing of it still gets the exit code.
            let _ = writeln!(std::io::stderr(), "artisan: {}", telemetry::chain(&error));
            ExitCode::from(FAULTY)
        }
    }
}
