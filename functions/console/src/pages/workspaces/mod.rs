//! Workspaces: `/console/workspaces`.

mod list;
mod members;
mod one;

use axum::Router;
use axum::routing::{get, post};
use clock::Timestamp;
use serde::Deserialize;

use crate::Console;
use crate::api::Me;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/workspaces", get(list::list))
        .route("/workspaces/new", get(list::form).post(list::create))
        .route("/workspaces/{id}", get(one::one).post(one::rename))
        .route("/workspaces/{id}/status", post(one::set_status))
        .route("/workspaces/{id}/delete", get(one::delete_form).post(one::delete))
        .route("/workspaces/{id}/members/new", get(members::add_form).post(members::add))
        .route("/workspaces/{id}/members/{user}", get(members::one).post(members::change))
        .route("/workspaces/{id}/members/{user}/remove", post(members::remove))
}

/// A workspace, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
struct Workspace {
    id: String,
    name: String,
    status: String,
    created_at: Timestamp,
}

/// Somebody with a role in a workspace.
#[derive(Debug, Clone, Deserialize)]
struct Member {
    user_id: String,
    email: String,
    name: String,
    role: String,
    /// `workspace` or `organization`.
    source: String,
    status: String,
}

fn path(id: &str) -> String {
    format!("/api/admin/workspaces/{id}")
}

/// Whether something may be done in a workspace.
fn may(me: &Me, workspace: &str, permission: &str) -> bool {
    me.may(permission) || me.workspace(workspace).is_some_and(|workspace| workspace.may(permission))
}
