//! Why nothing was measured.

use crate::client::CallError;
use crate::cold_start::ColdStartError;
use crate::rig::RigError;
use crate::soak::ChildError;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// There is no platform to measure.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// There is no platform to kill.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// A function was not measured.
    #[error(transparent)]
    ColdStart(#[from] ColdStartError),
    /// The platform would not be set up.
    #[error("the tenant to measure with cannot be set up")]
    SetUp(#[from] CallError),
    /// There is no receiver.
    #[error("the receiver cannot listen")]
    Sink(#[source] std::io::Error),
    /// The options contradict each other.
    #[error("{0}")]
    Options(&'static str),
    /// The figures cannot be written.
    #[error("the figures cannot be written to {path}")]
    Output {
        /// Where to.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The runtime cannot be started.
    #[error("the asynchronous runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}
