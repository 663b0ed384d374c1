//! The local platform: everything that `template.yaml` declares, in one process and with no other software.
//!
//! It reads the template a team deploys, builds its tables, queues, secrets and routes on engines that speak AWS's
//! protocols, and hosts the functions themselves: the same libraries, spoken to by the same SDK. What runs here
//! cannot drift from what is deployed, because there is no second description of it.
//!
//! It is for development, tests and benchmarks on one machine. It never listens beyond loopback, enforces no IAM,
//! and makes no promise against power failure; killing the process at any moment loses nothing.

pub mod cli;
mod client;
mod data_directory;
pub mod demo;
pub mod engines;
pub mod event_sources;
pub mod first_start;
pub mod gateway;
mod host;
pub mod inbox;
pub mod mailbox;
mod moving_clock;
mod page;
mod platform;
pub mod ports;
mod provision;
mod random;
pub mod recovery;
pub mod registry;
pub mod server;
pub mod shutdown;
mod signatures;
pub mod template;

pub use platform::{Data, Options, Platform, PlatformError};
