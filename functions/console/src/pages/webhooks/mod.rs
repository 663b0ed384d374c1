//! Webhooks: `/console/webhooks`.

mod cause;
mod create;
mod failures;
mod form;
mod list;
mod log;
mod one;
mod replay;
mod secret;
mod settings;
mod stats;
mod switch;
mod trial;

use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use clock::Timestamp;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

pub(super) use self::cause::cause;
pub(super) use self::replay::DryRun;
use crate::Console;
use crate::api::Me;
use crate::view::{self, At, Icon, Page, Tone, badge, button_if, icon, link_if, status, tabs};
use crate::visit::Visit;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/webhooks", get(list::list))
        .route("/webhooks/new", get(create::form).post(create::create))
        .route("/webhooks/{id}", get(one::one))
        .route("/webhooks/{id}/failures", get(failures::failures))
        .route("/webhooks/{id}/settings", get(settings::settings).post(settings::change))
        .route("/webhooks/{id}/test", get(trial::form).post(trial::send))
        .route("/webhooks/{id}/secret", get(secret::form).post(secret::rotate))
        .route("/webhooks/{id}/enable", post(switch::enable))
        .route("/webhooks/{id}/disable", get(switch::disable_form).post(switch::disable))
        .route("/webhooks/{id}/delete", get(switch::delete_form).post(switch::delete))
        .route("/webhooks/{id}/replays", get(replay::list))
        .route("/webhooks/{id}/replay", get(replay::wizard).post(replay::start))
}

/// The address of endpoints in the API.
pub(super) const PATH: &str = "/api/admin/webhooks";
/// What it takes to see them, to change them and to send to them, and to delete them.
pub(super) const READ: &str = "webhooks:read";
pub(super) const WRITE: &str = "webhooks:write";
pub(super) const DELETE: &str = "webhooks:delete";

/// An endpoint in the API.
pub(super) fn path(id: &str) -> String {
    format!("{PATH}/{id}")
}

/// An endpoint, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) url: String,
    #[serde(default)]
    events: Vec<String>,
    pub(super) workspace_id: Option<String>,
    mode: String,
    description: Option<String>,
    /// Their names; the values are not shown.
    #[serde(default)]
    pub(super) headers: Vec<String>,
    pub(super) timeout_seconds: u64,
    max_retries: u64,
    rate_limit_per_second: Option<u64>,
    status: String,
    disabled_reason: Option<String>,
    disabled_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) signatures: Vec<String>,
    public_key: Option<String>,
    previous_secret_until: Option<Timestamp>,
    previous_public_key: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How an endpoint does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Health {
    state: String,
    success_rate: Option<f64>,
    sample: u64,
    p95_latency_ms: Option<u64>,
    failures_in_a_row: u64,
    failing_since: Option<Timestamp>,
    paused_until: Option<Timestamp>,
    waiting: u64,
    waiting_more: bool,
    oldest_undelivered_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    last_error: Option<LastError>,
}

/// The last attempt that failed.
#[derive(Debug, Clone, Deserialize)]
struct LastError {
    at: Timestamp,
    error: String,
    response_status: Option<u16>,
    delivery_id: String,
}

/// An endpoint and how it does.
#[derive(Debug, Clone, Deserialize)]
struct Watched {
    #[serde(flatten)]
    endpoint: Endpoint,
    health: Health,
}

/// A type of event.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct EventType {
    pub(super) name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    example: Value,
}

/// All types of events.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct EventTypes {
    pub(super) data: Vec<EventType>,
}

/// Where the types of events are.
pub(super) const EVENT_TYPES: &str = "/api/admin/webhooks/event-types";

/// An event owed to an endpoint.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event_id: String,
    pub(super) event: String,
    pub(super) endpoint_id: String,
    pub(super) status: String,
    pub(super) attempt_count: u64,
    pub(super) next_attempt_at: Option<Timestamp>,
    pub(super) reason: Option<String>,
    pub(super) replay_id: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    /// First to last, where they were asked for.
    #[serde(default)]
    pub(super) attempts: Vec<Attempt>,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) started_at: Timestamp,
    pub(super) duration_ms: u64,
    pub(super) response_status: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) response_body: Option<String>,
}

impl Attempt {
    /// Whether the receiver took it: the status counts, whatever else was odd about the answer.
    pub(super) fn is_taken(&self) -> bool {
        self.response_status.is_some_and(|status| (200..300).contains(&status))
    }

    /// What it failed by.
    pub(super) fn failure(&self) -> Option<(&str, Option<u16>)> {
        let error = self.error.as_deref().unwrap_or("status");
        (!self.is_taken()).then_some((error, self.response_status))
    }
}

impl Delivery {
    /// Whether there is an attempt to come.
    pub(super) fn is_owed(&self) -> bool {
        matches!(self.status.as_str(), "pending" | "retrying")
    }
}

impl Endpoint {
    fn is_enabled(&self) -> bool {
        self.status == "enabled"
    }

    /// Its host and path, which is what people know it by.
    pub(super) fn short(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest)
    }

    fn may(&self, me: &Me, permission: &str) -> bool {
        me.may_in(self.workspace_id.as_deref(), permission)
    }
}

/// What a class of errors is called.
fn class(error: &str) -> String {
    match error {
        "dns" => "DNS failed".to_owned(),
        "tls" => "TLS failed".to_owned(),
        "timeout" => "timed out".to_owned(),
        "connect" => "no connection".to_owned(),
        "reset" => "connection broken".to_owned(),
        "protocol" => "not HTTP".to_owned(),
        other => other.replace('_', " "),
    }
}

/// What an answer was, in a few words: the status, or why there is none.
pub(super) fn outcome(error: Option<&str>, response_status: Option<u16>) -> String {
    match (response_status, error) {
        (Some(status), None | Some("status")) => format!("HTTP {status}"),
        (Some(status), Some(error)) => format!("HTTP {status}, {}", class(error)),
        (None, Some(error)) => class(error),
        (None, None) => "no answer".to_owned(),
    }
}

/// A share in per cent, of which there are a hundred only where it is all of them.
fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).floor() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}

/// Milliseconds, as they are read.
pub(super) fn took(milliseconds: u64) -> String {
    view::took(Duration::from_millis(milliseconds))
}

/// A time of a form, which is in UTC, as the API takes it. What is none is left to the API to refuse.
pub(super) fn instant(entered: &str) -> Option<String> {
    match entered.len() {
        0 => None,
        10 => Some(format!("{entered}T00:00:00.000Z")),
        16 => Some(format!("{entered}:00.000Z")),
        19 => Some(format!("{entered}.000Z")),
        _ => Some(entered.to_owned()),
    }
}

/// The pages of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Deliveries,
    Failures,
    Replays,
    Settings,
}

/// The state of an endpoint: whether it is sent to, and how it does.
fn state(endpoint: &Endpoint, health: Option<&Health>) -> Markup {
    html! {
        @match health.filter(|_| endpoint.is_enabled()) {
            Some(health) => (status(&health.state)),
            None => (status(&endpoint.status)),
        }
        @if endpoint.mode == "test" { " " (badge(Tone::Quiet, "test data")) }
    }
}

/// One of an endpoint's pages.
fn tabbed(
    visit: &Visit,
    me: &Me,
    endpoint: &Endpoint,
    health: Option<&Health>,
    tab: Tab,
    code: StatusCode,
    body: Markup,
) -> Response {
    let here = format!("/console/webhooks/{}", endpoint.id);
    let at = |suffix: &str| format!("{here}{suffix}");
    let may = endpoint.may(me, WRITE);
    let actions = html! {
        @if endpoint.is_enabled() {
            (link_if(may, WRITE, &at("/test"), html! { (icon(Icon::Event)) "Send a test" }))
            (link_if(may, WRITE, &at("/replay"), html! { "Replay" }))
            (link_if(may, WRITE, &at("/disable"), html! { "Disable" }))
        } @else {
            (button_if(visit, may, WRITE, &at("/enable"), "button primary", html! { "Enable" }))
        }
    };
    let content = html! {
        (tabs("The endpoint", [
            ("Deliveries", at(""), tab == Tab::Deliveries),
            ("What fails, and why", at("/failures"), tab == Tab::Failures),
            ("Replays", at("/replays"), tab == Tab::Replays),
            ("Settings", at("/settings"), tab == Tab::Settings),
        ]))
        (body)
    };
    Page::new(visit, me, At::Webhooks, endpoint.short())
        .below("Webhooks", "/console/webhooks")
        .lead(html! { (state(endpoint, health)) " " @if let Some(description) = &endpoint.description { (description) } @else { "Where events are sent, and what became of them." } })
        .actions(actions)
        .status(code)
        .show(content)
}

/// A page below an endpoint.
fn below<'a>(visit: &'a Visit, me: &'a Me, endpoint: &Endpoint, title: &str) -> Page<'a> {
    Page::new(visit, me, At::Webhooks, title)
        .below("Webhooks", "/console/webhooks")
        .below(endpoint.short(), format!("/console/webhooks/{}", endpoint.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_of_them_are_a_hundred_per_cent() {
        for (share, text) in
            [(1.0, "100 %"), (0.9999, "99.9 %"), (0.5, "50 %"), (0.0, "0 %"), (0.123, "12.3 %")]
        {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn a_time_that_was_entered_is_one_in_utc() {
        assert_eq!(instant("2026-11-22T15:04").as_deref(), Some("2026-11-22T15:04:00.000Z"));
        assert_eq!(instant("2026-11-22").as_deref(), Some("2026-11-22T00:00:00.000Z"));
        assert_eq!(instant(""), None);
        assert_eq!(instant("yesterday").as_deref(), Some("yesterday"));
        for entered in ["2026-11-22T15:04", "2026-11-22T15:04:05", "2026-11-22"] {
            assert!(instant(entered).and_then(|text| Timestamp::parse(&text)).is_some(), "{entered}");
        }
    }

    #[test]
    fn an_answer_is_told_by_its_status_and_what_was_odd_about_it() {
        assert_eq!(outcome(Some("status"), Some(500)), "HTTP 500");
        assert_eq!(outcome(None, Some(204)), "HTTP 204");
        assert_eq!(outcome(Some("response_too_large"), Some(200)), "HTTP 200, response too large");
        assert_eq!(outcome(Some("timeout"), None), "timed out");
    }
}
