//! One binary for all acceptance tests: they share a long link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod audit;
mod domains;
mod estate;
mod events;
mod idempotency;
mod isolation;
mod keys;
mod layering;
mod limits;
mod main_job;
mod openapi;
mod organizations;
mod outages;
mod problems;
mod sessions;
mod template;
