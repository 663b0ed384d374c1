//! One binary for all acceptance tests: they share a long link.

mod audit;
mod events;
mod idempotency;
mod isolation;
mod keys;
mod layering;
mod limits;
mod main_job;
mod openapi;
mod outages;
mod problems;
mod sessions;
mod template;
