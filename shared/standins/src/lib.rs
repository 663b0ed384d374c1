//! What lies outside, stood in for in tests: real servers on loopback ports that do as they are told, also wrongly.
//!
//! They know nothing of the platform, so that the crates which talk to the outside can be tested by themselves.
//! `testkit` hands them on to tests of the whole. Nothing here is ever linked into a function.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a stand-in stops the test at the first thing that is not as it should be"
)]

mod dns;
mod idp;
mod keys;
mod scanner;

pub use dns::DnsServer;
pub use idp::{IdentityProvider, Person, Quirk};
pub use keys::Algorithm;
pub use scanner::{SecretScanner, SignedReport};
