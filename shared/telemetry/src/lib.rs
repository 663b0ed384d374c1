//! One tracing subscriber for functions and the local platform.
//!
//! In Lambda each event is one line of JSON on standard output. Messages and fields never hold bodies, tokens,
//! e-mail addresses or IP addresses; that is the caller's duty, and a test searches the output for them.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, for CloudWatch Logs.
    Json,
    /// Short text lines for a person at a terminal.
    Text,
}

/// Installs the subscriber. `level` is `error`, `warn`, `info`, `debug` or `trace`; anything else means `info`.
/// A second call does nothing.
pub fn init(format: Format, level: &str) {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(level);
    // An already installed subscriber stays, which is what tests in one process want.
    let _ = match format {
        Format::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true))
            .try_init(),
        Format::Text => registry
            .with(tracing_subscriber::fmt::layer().compact().with_target(false).with_writer(std::io::stderr))
            .try_init(),
    };
}
