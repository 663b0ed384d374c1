//! The endpoints there are, and how they do.

use maud::{Markup, html};

use super::stats::Stats;
use super::{PATH, READ, WRITE, Watched, outcome, percent, state};
use crate::api::{List, Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Icon, Page, Searched, as_code, cell, empty, icon, link_if, moment, sparkline, table,
};
use crate::visit::{Params, Visit, href};

const LIST: Searched = Searched { path: "/console/webhooks", of: "endpoints", by: "URL or description" };

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    let asked = Request::get(PATH)
        .query("include", "health")
        .query("search", params.get("search"))
        .query("cursor", params.get("cursor"));
    let endpoints = async { Faults::instead_of(visit.api.ask::<List<Watched>>(asked).await) };
    let stats = async { Ok(Stats::of(&visit.api, "day", "").await) };
    let (me, (endpoints, faults), stats) = tokio::try_join!(Me::of(&visit.api), endpoints, stats)?;
    let create = link_if(
        me.may_somewhere(WRITE),
        WRITE,
        "/console/webhooks/new",
        html! { (icon(Icon::Plus)) "New endpoint" },
    );
    let teaching = empty(
        Icon::Webhook,
        "No endpoints yet",
        html! {
            p { "An endpoint is a URL of yours. When a lead replies or a meeting is booked, it gets a signed POST that says so, within seconds." }
            p { "What it does not take is sent again, and what it never takes is kept: nothing is lost." }
        },
    );
    let table = table(
        "Endpoints",
        &["Endpoint", "State", "Last error", "Attempts taken", "30 days"],
        html! {
            @for watched in &endpoints.data { (row(&visit, &me, watched, stats.as_ref())) }
        },
    );
    let body = html! {
        (LIST.page(&params, (&endpoints, &faults), teaching, table))
        (as_code(&visit, &Call::new("GET", href(PATH, [("include", "health"), ("search", params.get("search"))]), READ)))
    };
    let lead = html! { "URLs of yours that are told, by signed requests, what happens here." };
    Ok(Page::new(&visit, &me, At::Webhooks, "Webhooks")
        .lead(lead)
        .actions(create)
        .status(faults.status())
        .show(body))
}

fn row(visit: &Visit, me: &Me, watched: &Watched, stats: Option<&Stats>) -> Markup {
    let (now, Watched { endpoint, health }) = (visit.now(), watched);
    let sent = stats.and_then(|stats| stats.sent_to(&endpoint.id));
    html! {
        tr {
            (cell("Endpoint", html! {
                a class="main" href={ "/console/webhooks/" (endpoint.id) } { (endpoint.short()) }
                @if let Some(description) = &endpoint.description { br; (description) }
                br; span class="hint" {
                    @match &endpoint.workspace_id { Some(workspace) => { "in " (me.workspace_name(workspace)) }, None => "all workspaces" }
                    ", " (subscription(&endpoint.events))
                }
            }))
            (cell("State", html! {
                (state(endpoint, Some(health)))
                @if let Some(since) = health.failing_since { br; span class="hint" { "since " (moment(now, since)) } }
            }))
            (cell("Last error", html! {
                @match &health.last_error {
                    Some(last) => { a href={ "/console/deliveries/" (last.delivery_id) } { (outcome(Some(&last.error), last.response_status)) } br; span class="hint" { (moment(now, last.at)) } },
                    None => span class="hint" { "none" },
                }
            }))
            (cell("Attempts taken", html! {
                @match &sent {
                    Some(sent) => @match sent.share() { Some(share) => { span class="whole" { (percent(share)) } br; span class="hint whole" { "of " (sent.all()) } }, None => span class="hint" { "none was made" } },
                    None => span class="hint" { @if stats.is_some() { "none was made" } @else { "not known" } },
                }
            }))
            (cell("30 days", html! { @if let Some(sent) = &sent { (sparkline(&format!("Attempts at {}", endpoint.short()), &sent.by_bucket)) } }))
        }
    }
}

/// What an endpoint subscribes to, in short.
fn subscription(events: &[String]) -> String {
    match events {
        [all] if all == "*" => "all events".to_owned(),
        [one] => one.clone(),
        several => format!("{} types of events", several.len()),
    }
}
