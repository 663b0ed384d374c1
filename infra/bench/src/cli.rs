//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Measures Artisan on this machine: the local platform, real HTTP, loopback only
///
/// Figures of different machines, or of one machine on different days, cannot be compared; the calls and capacity
/// units per request can. Build with --release, and let nothing else run.
#[derive(Debug, Parser)]
#[command(name = "bench", version, about)]
pub(crate) struct Cli {
    /// What to measure
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The webhook pipeline, from the publishing of an event to its receipt; exits with 1 if a delivery was lost
    Pipeline(Pipeline),
    /// What endpoints that hang cost those that answer; exits with 1 if that is more than is allowed
    Isolation(Isolation),
    /// Events for receivers that fail and a platform that is killed; exits with 1 if one is lost or comes twice
    Soak(Soak),
    /// Single operations of the API
    Requests(Requests),
    /// Searching and sealing the audit log as it grows; exits with 1 if a record was not sealed or a search not answered
    Audit(Audit),
    /// Starts of functions, and their first events, against an empty function; exits with 1 if one takes too long to start
    ColdStart(ColdStart),
}

/// Options of `pipeline`.
#[derive(Debug, Args)]
pub(crate) struct Pipeline {
    /// Events to publish, for each number of endpoints and in each phase; to more than ten endpoints proportionally fewer
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) events: u64,
    /// Numbers of endpoints, each measured on a fresh platform; every event goes to all of them
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,10",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) endpoints: Vec<u32>,
    /// Events a second while latency is measured [default: half of what was delivered at full load]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Measure once more at that rate with this many of the endpoints never answering
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) hanging: u32,
    /// API keys the events are published with, by turns; one key is one item in the store
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) keys: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `requests`.
#[derive(Debug, Args)]
pub(crate) struct Requests {
    /// Requests of each operation, at most
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) requests: u64,
    /// Seconds spent on each operation at full load, at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Numbers of records at which it is measured, from small to large
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1000,100000",
          value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) records: Vec<u64>,
    /// Searches of each kind
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) searches: u64,
    /// The most that the p99 of a search may be multiplied by, from the fewest records to the most
    #[arg(long, value_name = "RATIO", default_value_t = 1.5, value_parser = rate)]
    pub(crate) most_p99_ratio: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `cold-start`.
#[derive(Debug, Args)]
pub(crate) struct ColdStart {
    /// Where the functions and the empty one are, as `cargo lambda build --release` leaves them
    #[arg(long, value_name = "DIR", default_value = "target/lambda")]
    pub(crate) bootstraps: PathBuf,
    /// Only these functions [default: all of the template]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Starts of each function; one more before is not counted
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Events after the first, in each
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) warm: u32,
    /// Do it again with the share of a processor that Lambda gives with so many MB of memory, each
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(128..=10_240))]
    pub(crate) memory: Vec<u32>,
    /// Hold each answer of AWS back for so many microseconds
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub(crate) distance: u64,
    /// The most that the start of a function may be multiplied by, against the empty one
    #[arg(long, value_name = "RATIO", default_value_t = 1.5, value_parser = rate)]
    pub(crate) most_init_ratio: f64,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Options of `isolation`.
#[derive(Debug, Args)]
pub(crate) struct Isolation {
    /// Endpoints; every event goes to all of them
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) endpoints: u32,
    /// How many of them never answer, in every second run [default: a tenth]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) hanging: Option<u32>,
    /// Events a second [default: half of what is delivered at full load, measured first]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Seconds that each run publishes
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Runs of each kind
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) rounds: u32,
    /// The most that the p99 may be multiplied by
    #[arg(long, value_name = "RATIO", default_value_t = 1.2, value_parser = rate)]
    pub(crate) most_p99_ratio: f64,
    /// API keys the events are published with, by turns
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) keys: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `soak`.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// Events to publish
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) events: u32,
    /// Endpoints; every event goes to all of them
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) endpoints: u32,
    /// Deliveries of a hundred that receivers let fail, by turns with a 500, a lost connection or a 429
    #[arg(long, value_name = "PER_CENT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=90))]
    pub(crate) failing: u32,
    /// How often the platform is killed, evenly over the deliveries
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) kills: u32,
    /// Decides which deliveries fail, and the moments of the kills
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Seconds before a kill in which an answer may have been lost with the platform
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) window: u64,
    /// Deliveries of a hundred that may come twice without a kill to explain it
    #[arg(long, value_name = "PER_CENT", default_value_t = 1.0, value_parser = per_cent)]
    pub(crate) most_duplicates: f64,
    /// Seconds without any delivery after which the rest is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) patience: u64,
    /// The program to kill [default: `artisan-local` beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) platform: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of all that put load on a platform.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Requests in progress at once, each on a connection of its own
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) concurrency: u32,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Seconds that publishing may take in any one phase, and again the waiting for what is still to arrive; ten times as
    /// long for a whole soak
    #[arg(long, value_name = "SECONDS", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) time_limit: u64,
}

/// Where things are, and where figures go.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Write the figures as JSON; `-` is standard output, and the tables then go to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Keep the platforms' state in new directories under this one [default: a temporary directory, removed]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The SAM template [default: template.yaml here, in a parent directory, or beside the source]
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
}

impl Common {
    /// The bound on publishing, and again on waiting.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.time_limit)
    }

    /// Requests in progress at once.
    pub(crate) fn concurrency(&self) -> usize {
        usize::try_from(self.concurrency).unwrap_or(usize::MAX)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.1 to 1000000".to_owned()),
    }
}

fn per_cent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let Command::Pipeline(pipeline) = Cli::parse_from(["bench", "pipeline"]).command else { panic!() };
        assert_eq!((pipeline.endpoints.as_slice(), pipeline.rate), ([1, 10].as_slice(), None));
        let given = ["bench", "pipeline", "--endpoints", "2,3", "--rate", "12.5", "--json", "-"];
        let Command::Pipeline(pipeline) = Cli::parse_from(given).command else { panic!() };
        assert_eq!((pipeline.endpoints.as_slice(), pipeline.rate), ([2, 3].as_slice(), Some(12.5)));
    }

    #[test]
    fn nothing_is_unbounded() {
        for refused in [
            ["bench", "pipeline", "--rate", "0"],
            ["bench", "pipeline", "--rate", "inf"],
            ["bench", "pipeline", "--events", "0"],
            ["bench", "pipeline", "--endpoints", "0"],
            ["bench", "requests", "--seconds", "0"],
            ["bench", "requests", "--concurrency", "0"],
            ["bench", "isolation", "--seconds", "0"],
            ["bench", "isolation", "--rounds", "0"],
            ["bench", "soak", "--events", "0"],
            ["bench", "soak", "--patience", "0"],
            ["bench", "soak", "--failing", "100"],
        ] {
            assert!(Cli::try_parse_from(refused).is_err(), "{refused:?}");
        }
    }
}
