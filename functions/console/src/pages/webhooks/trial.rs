//! Trying an endpoint out with an example.

use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{EVENT_TYPES, Endpoint, EventTypes, WRITE, below, path};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{Call, Faults, Field, Tone, as_code, banner, choice, done, json, once, section};
use crate::visit::{Fields, Params, Segment, Visit, href};

#[derive(Deserialize)]
struct Sent {
    delivery_id: String,
}

pub(super) async fn form(visit: Visit, Segment(id): Segment, params: Params) -> Answer {
    let (me, endpoint, types) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.get::<Endpoint>(path(&id)),
        visit.api.get::<EventTypes>(EVENT_TYPES)
    )?;
    let event = params.filled("event").unwrap_or("lead.created");
    Ok(show(&visit, &me, &endpoint, &types, event, &Faults::default()))
}

fn show(
    visit: &Visit,
    me: &Me,
    endpoint: &Endpoint,
    types: &EventTypes,
    event: &str,
    faults: &Faults,
) -> Response {
    let example = types.data.iter().find(|own| own.name == event).map(|own| &own.example);
    let here = format!("/console/webhooks/{}/test", endpoint.id);
    let body = html! {
        (faults.summary(&["/event"]))
        (section("Send", html! {
            @if !endpoint.is_enabled() { (banner(Tone::Wary, html! { p { "The endpoint is disabled. Enable it first." } })) }
            (picker(visit, endpoint, types, event, faults, endpoint.may(me, WRITE)))
        }))
        (section("What it looks like", html! {
            form class="filters" method="get" action=(here) {
                (choice(Field { name: "event", label: "Type of event", value: event, ..Field::default() }, types.data.iter().map(|own| (own.name.as_str(), own.name.as_str()))))
                button class="button" { "Show the example" }
            }
            @if let Some(example) = example { (json(example)) }
        }))
        (as_code(visit, &Call::new("POST", format!("{}/test", path(&endpoint.id)), WRITE).body(json!({"event": event}))))
    };
    below(visit, me, endpoint, "Send a test")
        .lead(html! { "An example, signed and retried as any other event. No other endpoint gets it." })
        .status(faults.status())
        .show(body)
}

/// The form that sends an example.
pub(super) fn picker(
    visit: &Visit,
    endpoint: &Endpoint,
    types: &EventTypes,
    event: &str,
    faults: &Faults,
    may: bool,
) -> Markup {
    let field = Field::new("send", "What to send").value(event).fault(faults.of_field("/event"));
    let names = types.data.iter().map(|own| (own.name.as_str(), own.name.as_str()));
    html! {
        form class="filters" method="post" action={ "/console/webhooks/" (endpoint.id) "/test" } {
            (once(visit))
            (choice(field.hint("It need not be one that the endpoint subscribes to."), names))
            button class="button primary" disabled[!may] { "Send it" }
        }
        @if !may { p class="hint" { "Needs " code { (WRITE) } "." } }
    }
}

pub(super) async fn send(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let event = fields.get("send");
    let request =
        Request::post(format!("{}/test", path(&id))).once(fields.once()).json(&json!({"event": event}));
    match visit.api.ask::<Sent>(request).await {
        Ok(sent) => {
            let to = format!("/console/deliveries/{}", sent.delivery_id);
            // It is there in a moment: the page waits for it.
            Ok(done(&href(&to, [("of", id.as_str())]), "test-sent"))
        }
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let (me, endpoint, types) = tokio::try_join!(
                Me::of(&visit.api),
                visit.api.get::<Endpoint>(path(&id)),
                visit.api.get::<EventTypes>(EVENT_TYPES)
            )?;
            Ok(show(&visit, &me, &endpoint, &types, event, &faults))
        }
    }
}
