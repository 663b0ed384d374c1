//! One event, and what became of it.

use maud::{Markup, html};

use super::{Event, PATH};
use crate::api::{List, Me, Request, found};
use crate::pages::Answer;
use crate::pages::webhooks::{Endpoint, PATH as ENDPOINTS, READ, WRITE};
use crate::view::{
    At, Call, Icon, Page, Tone, as_code, badge, button_if, cell, empty, facts, id, json, moment, section,
    section_with, status, story, table,
};
use crate::visit::{Segment, Visit};

pub(super) async fn one(visit: Visit, Segment(id): Segment) -> Answer {
    let endpoints =
        async { found(visit.api.ask::<List<Endpoint>>(Request::get(ENDPOINTS).query("limit", "100")).await) };
    let (me, event, endpoints) =
        tokio::try_join!(Me::of(&visit.api), visit.api.get::<Event>(format!("{PATH}/{id}")), endpoints)?;
    let endpoints = endpoints.unwrap_or_default().data;
    let body = html! {
        (section_with("About", story(&event.id), facts([
            ("Id", self::id(&event.id)),
            ("Of", html! { @match event.about() { Some(about) => (self::id(about)), None => "–" } }),
            ("Workspace", html! { (me.workspace_name(&event.workspace_id)) }),
            ("Data", html! { (event.mode) }),
            ("Happened", moment(visit.now(), event.timestamp)),
            ("Kept until", moment(visit.now(), event.kept_until)),
            ("For", html! { @match &event.only_for { Some(endpoint) => { a href={ "/console/webhooks/" (endpoint) } { "One endpoint" } ", which somebody tried out" }, None => "Every endpoint that subscribes to it" } }),
        ])))
        (section("What became of it", deliveries(&visit, &me, &event, &endpoints)))
        (section("Body of its webhooks", json(&event.body())))
        (as_code(&visit, &Call::new("GET", format!("{PATH}/{}", event.id), READ)))
    };
    Ok(Page::new(&visit, &me, At::Events, event.event.as_str())
        .below("Events", "/console/events")
        .lead(html! { "Something that happened, and which endpoints were told." })
        .show(body))
}

fn deliveries(visit: &Visit, me: &Me, event: &Event, endpoints: &[Endpoint]) -> Markup {
    if event.deliveries.is_empty() {
        return empty(
            Icon::Webhook,
            "Nobody was sent it",
            html! { p { "No endpoint that there is subscribes to it, or it happened a moment ago. An endpoint that wants it after all gets it by a replay of what is missing." } },
        );
    }
    table(
        "Deliveries",
        &["Endpoint", "Status", "Attempts", "Send again"],
        html! {
            @for delivery in &event.deliveries {
                @let endpoint = endpoints.iter().find(|endpoint| endpoint.id == delivery.endpoint_id);
                @let workspace = endpoint.and_then(|endpoint| endpoint.workspace_id.as_deref());
                tr {
                    (cell("Endpoint", html! { a class="main" href={ "/console/deliveries/" (delivery.id) } { (endpoint.map_or(delivery.endpoint_id.as_str(), Endpoint::short)) } }))
                    (cell("Status", status(&delivery.status)))
                    (cell("Attempts", html! { (delivery.attempt_count) @if delivery.attempt_count == 0 { " " (badge(Tone::Busy, "not begun")) } }))
                    (cell("Send again", button_if(visit, me.may_in(workspace, WRITE), WRITE, &format!("/console/deliveries/{}/retry", delivery.id), "button small", html! { "Send again" })))
                }
            }
        },
    )
}
