//! Settings of the organization: `/console/settings`.

mod danger;
mod domains;
mod organization;
mod origins;
mod privacy;
mod security;
mod sso;

use axum::Router;
use axum::routing::{get, post};
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use crate::Console;
use crate::api::{Failure, Me, Request};
use crate::pages::people::Use;
use crate::view::{At, Page, Tone, banner, tabs};
use crate::visit::Visit;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/settings", get(organization::show).post(organization::change))
        .route("/settings/domains", get(domains::list).post(domains::claim))
        .route("/settings/domains/{domain}", get(domains::one).post(domains::change))
        .route("/settings/domains/{domain}/verify", post(domains::verify))
        .route("/settings/domains/{domain}/delete", get(domains::delete_form).post(domains::delete))
        .route("/settings/sso", get(sso::show).post(sso::set))
        .route("/settings/sso/remove", get(sso::remove_form).post(sso::remove))
        .route("/settings/security", get(security::show).post(security::change))
        .route("/settings/origins", get(origins::show).post(origins::change))
        .route("/settings/privacy", get(privacy::show))
        .route("/settings/privacy/exports", post(privacy::export))
        .route("/settings/privacy/exports/{id}", get(privacy::one_export))
        .route("/settings/privacy/erase", get(privacy::erase_form).post(privacy::erase))
        .route("/settings/privacy/erasures/{id}", get(privacy::one_erasure))
        .route("/settings/danger", get(danger::show))
        .route("/settings/danger/export", post(danger::export))
        .route("/settings/danger/delete", get(danger::delete_form).post(danger::delete))
        .route("/settings/restore", get(danger::restore_form).post(danger::restore))
}

const PATH: &str = "/api/admin/organization";

/// The organization, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
struct Organization {
    id: String,
    name: String,
    plan: String,
    settings: Settings,
    usage: Usage,
    created_at: Timestamp,
}

/// What it asks of its people and allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Settings {
    require_mfa: bool,
    require_sso: bool,
    break_glass_user_id: Option<String>,
    allowed_domains: Vec<String>,
    session_max_age_seconds: Option<u64>,
    admin_allowed_cidrs: Vec<String>,
    cors_origins: Vec<String>,
    leaked_keys: String,
}

/// What is in use, beside what the plan allows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Usage {
    seats: Use,
    workspaces: Use,
    api_keys: Use,
    endpoints: Use,
    requests_per_hour: Use,
    retention_days: u64,
}

/// The organization and its entity tag.
async fn read(visit: &Visit) -> Result<(Organization, String), Failure> {
    let asked = visit.api.send(Request::get(PATH)).await?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    Ok((asked.read()?, etag))
}

/// A change of the organization, provided that it is still as it was shown.
fn patch(etag: &str, body: &Value) -> Request {
    Request::patch(PATH).header(http::header::IF_MATCH, etag).json(body)
}

const TABS: [(&str, &str); 7] = [
    ("Organization", "/console/settings"),
    ("Domains", "/console/settings/domains"),
    ("Single sign-on", "/console/settings/sso"),
    ("Security", "/console/settings/security"),
    ("Web origins", "/console/settings/origins"),
    ("Privacy", "/console/settings/privacy"),
    ("Danger", "/console/settings/danger"),
];

/// The pages of the settings, of which one is chosen.
fn settings_tabs(chosen: &str) -> Markup {
    tabs("Settings", TABS.into_iter().map(|(name, path)| (name, path.to_owned(), name == chosen)))
}

/// A page of the settings.
fn page<'a>(visit: &'a Visit, me: &'a Me, title: &str) -> Page<'a> {
    let page = Page::new(visit, me, At::Settings, title);
    if title == "Organization" { page } else { page.below("Settings", "/console/settings") }
}

/// What to say where a permission is missing.
fn lacking(held: bool, permission: &str) -> Markup {
    html! {
        @if !held {
            (banner(Tone::Wary, html! { p { "This takes the permission " code { (permission) } ", which your role does not hold. " a href={ "/console/people/roles#" (permission) } { "Who has it?" } } }))
        }
    }
}
