//! One tracing subscriber for functions and the local platform, and the metrics that functions publish.
//!
//! In Lambda each event is one line of JSON on standard output. Messages and fields never hold bodies, tokens,
//! e-mail addresses or IP addresses; that is the caller's duty, and a test searches the output for them.

pub mod metrics;

use std::io::Write;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// An error with all its causes, for the one log line that tells of it.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push_str(": ");
        chain.push_str(&error.to_string());
        cause = error.source();
    }
    chain
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, for CloudWatch Logs.
    Json,
    /// Short text lines for a person at a terminal.
    Text,
}

/// What others' code logs in detail are whole requests and answers, secrets among them.
const NOT_IN_DETAIL: &[&str] = &["aws", "h2", "hyper", "reqwest", "rustls", "winterbaume"];

fn filter(level: LevelFilter) -> Targets {
    let bounded = NOT_IN_DETAIL.iter().map(|target| (*target, level.min(LevelFilter::INFO)));
    Targets::new().with_default(level).with_targets(bounded)
}

/// Installs the subscriber. `level` is `error`, `warn`, `info`, `debug` or `trace`; anything else means `info`.
/// A second call does nothing.
pub fn init(format: Format, level: &str) {
    let level = level.parse().unwrap_or(LevelFilter::INFO);
    // An already installed subscriber stays, which is what tests in one process want.
    let _ = match format {
        Format::Json => json(level, std::io::stdout).try_init(),
        Format::Text => tracing_subscriber::registry()
            .with(filter(level))
            .with(tracing_subscriber::fmt::layer().compact().with_target(false).with_writer(std::io::stderr))
            .try_init(),
    };
}

/// Installs the subscriber of functions, with another place for its lines: for tests of what is logged. Each line is one write.
/// It is the whole process's: one thread's would miss callsites that other threads have met first.
///
/// # Errors
/// There is one already.
pub fn init_to<W: Write>(writer: impl Fn() -> W + Send + Sync + 'static) -> Result<(), TryInitError> {
    json(LevelFilter::INFO, writer).try_init()
}

/// One object a line. `span` has what the lines of one request have in common, `spans` also what Lambda's runtime says of the
/// invocation around it: its `requestId`, by which Lambda tells of a timeout or a crash, and its `xrayTraceId`.
fn json<W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static>(
    level: LevelFilter,
    writer: W,
) -> impl Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
    let lines = lines.with_current_span(true).with_span_list(true).with_writer(writer);
    tracing_subscriber::registry().with(filter(level)).with(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn no_level_makes_the_sdk_log_what_it_sends() {
        let filter = filter(LevelFilter::TRACE);
        assert!(filter.would_enable("deliver", &Level::TRACE));
        for target in
            ["aws_smithy_runtime::client::http", "aws_sdk_secretsmanager", "hyper_util::client", "h2::codec"]
        {
            assert!(filter.would_enable(target, &Level::INFO), "{target}");
            assert!(!filter.would_enable(target, &Level::DEBUG), "{target}");
        }
        assert!(!super::filter(LevelFilter::WARN).would_enable("aws_config", &Level::INFO));
    }
}
