//! `artisan` on whole platforms: one binary for all of its tests, as they share a long link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod command_line;
mod deployment;
mod doctor;
mod lambda;
mod migrate;
mod operations;
