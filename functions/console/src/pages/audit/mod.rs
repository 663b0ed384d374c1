//! The audit log: `/console/audit`.

mod exports;
mod filter;
mod list;
mod one;
mod record;
mod seal;

use axum::Router;
use axum::routing::get;

use crate::Console;

pub(super) use record::{Record, in_words};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/audit", get(list::list))
        .route("/audit/checkpoint", get(seal::checkpoint))
        .route("/audit/keys", get(seal::keys))
        .route("/audit/exports", get(exports::list))
        .route("/audit/exports/new", get(exports::form).post(exports::start))
        .route("/audit/exports/{id}", get(exports::one))
        .route("/audit/{id}", get(one::one))
        .route("/audit/{id}/proof", get(one::proof))
        .route("/audit/{id}/entry", get(one::entry))
}
