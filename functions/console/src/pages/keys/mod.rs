//! API keys: `/console/keys`.

mod create;
mod list;
mod one;

use axum::Router;
use axum::routing::get;
use clock::Timestamp;
use serde::Deserialize;

pub(super) use self::create::whole;
use crate::Console;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/keys", get(list::list))
        .route("/keys/new", get(create::form).post(create::create))
        .route("/keys/{id}", get(one::one).post(one::change))
        .route("/keys/{id}/rotate", get(one::rotate_form).post(one::rotate))
        .route("/keys/{id}/revoke", get(one::revoke_form).post(one::revoke))
}

/// A key, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
struct Key {
    id: String,
    name: String,
    mode: String,
    prefix: String,
    last_four: String,
    scopes: Vec<String>,
    workspace_id: Option<String>,
    status: String,
    expires_at: Option<Timestamp>,
    rate_limit_per_hour: u64,
    allowed_cidrs: Vec<String>,
    last_used_at: Option<Timestamp>,
    last_used_ip: Option<String>,
    last_used_user_agent: Option<String>,
    leaked_at: Option<Timestamp>,
    leaked_url: Option<String>,
    rotated_from: Option<String>,
    rotated_to: Option<String>,
    created_at: Timestamp,
}

impl Key {
    /// As much of the key itself as is ever shown again.
    fn shown(&self) -> String {
        format!("{}…{}", self.prefix, self.last_four)
    }
}
