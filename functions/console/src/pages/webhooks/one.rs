//! One endpoint: how it does, and what was sent to it.

use http::StatusCode;
use maud::{Markup, html};

use super::stats::{self, Stats};
use super::{
    Delivery, EVENT_TYPES, Endpoint, EventTypes, Health, READ, Tab, Watched, cause, log, outcome, path,
    percent, tabbed, took,
};
use crate::api::{List, Me};
use crate::pages::Answer;
use crate::view::{
    Call, Tone, as_code, banner, facts, figure, fragment, id, moment, section_with, story, way_to,
};
use crate::visit::{Params, Segment, Visit, Watch};

pub(super) async fn one(visit: Visit, Segment(id): Segment, params: Params, watch: Watch) -> Answer {
    let deliveries = visit.api.ask::<List<Delivery>>(log::asked(&id, &params));
    if watch.is_fragment {
        return Ok(fragment(&watch, log::inside(&id, &params, &deliveries.await?), false));
    }
    let by = if params.get("by") == "day" { "day" } else { "hour" };
    let stats = async { Ok(Stats::of(&visit.api, by, &id).await) };
    let (me, watched, types, deliveries, stats) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.get::<Watched>(path(&id)),
        visit.api.get::<EventTypes>(EVENT_TYPES),
        deliveries,
        stats,
    )?;
    let Watched { endpoint, health } = &watched;
    let body = html! {
        (known(&visit, endpoint, health))
        (figures(&visit, health))
        @if let Some(stats) = &stats { (stats::sent(&visit, &endpoint.id, &params, stats)) }
        (log::section(&visit, &endpoint.id, &params, &types.data, &deliveries))
        (about(&visit, &me, endpoint))
    };
    Ok(tabbed(&visit, &me, endpoint, Some(health), Tab::Deliveries, StatusCode::OK, body))
}

/// What has to be known before anything else.
fn known(visit: &Visit, endpoint: &Endpoint, health: &Health) -> Markup {
    let now = visit.now();
    html! {
        @if !endpoint.is_enabled() {
            (banner(Tone::Wary, html! {
                p {
                    strong { "Nothing is sent to it" }
                    @if let Some(at) = endpoint.disabled_at { ": it was disabled " (moment(now, at)) }
                    @if let Some(reason) = &endpoint.disabled_reason { " (" (reason) ")" } "."
                }
                p { "Events are kept meanwhile. Once it is enabled, what it has missed can be replayed." }
            }))
        } @else {
            @if health.state == "failing" {
                @if let Some(last) = &health.last_error {
                    @let why = cause(&last.error, last.response_status);
                    (banner(Tone::Bad, html! {
                        p { strong { @match health.failures_in_a_row { 0 | 1 => "The last attempt has failed", count => { (count) " attempts in a row have failed" } } } @if let Some(since) = health.failing_since { ", since " (moment(now, since)) } ": " (outcome(Some(&last.error), last.response_status)) ". " (why.what) }
                        p { (why.likely) " " a href={ "/console/webhooks/" (endpoint.id) "/failures" } { "What mends it" } }
                    }))
                }
            }
            @if let Some(until) = health.paused_until.filter(|until| *until > now) {
                (banner(Tone::Wary, html! { p { "It is left alone until " (moment(now, until)) ": the receiver asked for that, or fails again and again. Nothing is lost, and no attempt counts, meanwhile." (way_to(visit, &visit.here, until)) } }))
            }
        }
        @if let Some(until) = endpoint.previous_secret_until {
            (banner(Tone::Busy, html! { p { "Requests are signed with the secret before the present one, too, until " (moment(now, until)) "." (way_to(visit, &visit.here, until)) } }))
        }
    }
}

fn figures(visit: &Visit, health: &Health) -> Markup {
    let now = visit.now();
    html! {
        div class="figures" {
            (figure("Success rate", html! { @match health.success_rate { Some(rate) => (percent(rate)), None => "–" } }, html! { @if health.sample == 0 { "nothing is settled yet" } @else { "of the last " (health.sample) " that are settled" } }))
            (figure("p95 of an attempt", html! { @match health.p95_latency_ms { Some(latency) => (took(latency)), None => "–" } }, html! { "19 of 20 took no longer" }))
            (figure("Waiting", html! { (health.waiting) @if health.waiting_more { "+" } }, html! { @match health.oldest_undelivered_at { Some(oldest) => { "the oldest happened " (moment(now, oldest)) }, None => "nothing is owed" } }))
            (figure("Failed in a row", html! { (health.failures_in_a_row) }, html! { @match health.last_success_at { Some(at) => { "last success " (moment(now, at)) }, None => "no success lately" } }))
        }
    }
}

fn about(visit: &Visit, me: &Me, endpoint: &Endpoint) -> Markup {
    let now = visit.now();
    section_with(
        "About",
        story(&endpoint.id),
        html! {
            (facts([
                ("Id", id(&endpoint.id)),
                ("URL", html! { code { (endpoint.url) } }),
                ("Events", html! { @if endpoint.events.iter().any(|name| name == "*") { "All" } @else { (endpoint.events.join(", ")) } }),
                ("Workspace", html! { @match &endpoint.workspace_id { Some(workspace) => (me.workspace_name(workspace)), None => "All" } }),
                ("Data", html! { (endpoint.mode) }),
                ("Headers of its own", html! { @if endpoint.headers.is_empty() { "None" } @else { (endpoint.headers.join(", ")) } }),
                ("Time for an attempt", html! { (endpoint.timeout_seconds) " seconds" }),
                ("Retries", html! { (endpoint.max_retries) }),
                ("Attempts a second", html! { @match endpoint.rate_limit_per_second { Some(rate) => { (rate) " at most" }, None => "As fast as they come" } }),
                ("Signatures", html! { (endpoint.signatures.join(", ")) }),
                ("Made", moment(now, endpoint.created_at)),
                ("Changed", moment(now, endpoint.updated_at)),
            ]))
            @if let Some(key) = &endpoint.public_key { p { "Public key for " code { "v1a" } ": " (id(key)) } }
            @if let Some(key) = &endpoint.previous_public_key { p { "The one before it: " (id(key)) } }
            (as_code(visit, &Call::new("GET", path(&endpoint.id), READ)))
        },
    )
}
