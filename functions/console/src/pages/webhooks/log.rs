//! The log of deliveries to an endpoint.

use maud::{Markup, html};

use super::{Delivery, EventType, PATH, READ};
use crate::api::{List, Request};
use crate::view::{
    Call, Field, Icon, Tone, as_code, badge, cell, choice, empty, icon, live, pager, section_with, stamp,
    status, table, tabs,
};
use crate::visit::{Params, Visit};

/// The statuses of deliveries, and what they are called here.
const STATUSES: [(&str, &str); 6] = [
    ("", "All"),
    ("pending", "Pending"),
    ("retrying", "Retrying"),
    ("succeeded", "Succeeded"),
    ("dead", "Dead letters"),
    ("cancelled", "Cancelled"),
];

/// The parameters that narrow it.
const FILTERS: &[&str] = &["status", "event"];

/// What the API is asked for.
pub(super) fn asked(endpoint: &str, params: &Params) -> Request {
    Request::get(format!("{PATH}/{endpoint}/deliveries"))
        .query("status", params.get("status"))
        .query("event", params.get("event"))
        .query("cursor", params.get("cursor"))
}

/// The log as a section of the endpoint's page. Its first page is kept fresh.
pub(super) fn section(
    visit: &Visit,
    endpoint: &str,
    params: &Params,
    types: &[EventType],
    deliveries: &List<Delivery>,
) -> Markup {
    let here = format!("/console/webhooks/{endpoint}");
    let is_live = params.filled("cursor").is_none();
    let ways = STATUSES.map(|(name, label)| {
        let href = params.href(&here, &[("status", name), ("cursor", "")]);
        (label, href, params.get("status") == name)
    });
    let names = types.iter().map(|event| (event.name.as_str(), event.name.as_str()));
    let mut call = format!("{PATH}/{endpoint}/deliveries");
    if params.has_any(FILTERS) {
        call = params.href(&call, &[("cursor", ""), ("by", "")]);
    }
    section_with(
        "Deliveries",
        html! { @if is_live { span class="live" { (icon(Icon::Live)) "Kept fresh" } } },
        html! {
            (tabs("Status", ways))
            form class="filters" method="get" action=(here) {
                @for kept in ["status", "by"] { @if let Some(value) = params.filled(kept) { input type="hidden" name=(kept) value=(value); } }
                (choice(Field::new("event", "Event").value(params.get("event")), std::iter::once(("", "All types")).chain(names)))
                button class="button" { "Show" }
            }
            @if is_live {
                (live(&params.href(&here, &[]), 4, inside(endpoint, params, deliveries)))
            } @else {
                (inside(endpoint, params, deliveries))
            }
            p class="hint" { "A webhook that nobody has begun to send yet is not listed: that takes moments." }
            (as_code(visit, &Call::new("GET", call, READ)))
        },
    )
}

/// The part that is kept fresh.
pub(super) fn inside(endpoint: &str, params: &Params, deliveries: &List<Delivery>) -> Markup {
    let here = format!("/console/webhooks/{endpoint}");
    html! {
        @if deliveries.data.is_empty() {
            @if params.has_any(FILTERS) || params.has_any(&["cursor"]) {
                (empty(Icon::Webhook, "None of these", html! { p { a href=(here) { "Show all deliveries" } } }))
            } @else {
                (empty(Icon::Webhook, "Nothing was sent yet", html! { p { "Each event that the endpoint subscribes to becomes a delivery, and is listed here with all its attempts. Send a test to see one." } }))
            }
        } @else {
            (rows(deliveries))
        }
        (pager(&here, params, deliveries.next_cursor.as_deref()))
    }
}

fn rows(deliveries: &List<Delivery>) -> Markup {
    table(
        "Deliveries",
        &["Event", "Status", "Attempts", "Happened", "Next attempt"],
        html! {
            @for delivery in &deliveries.data {
                tr {
                    (cell("Event", html! { a class="main whole" href={ "/console/deliveries/" (delivery.id) } { (delivery.event) } " " @if delivery.replay_id.is_some() { (badge(Tone::Quiet, "replayed")) } br; code class="hint" { (delivery.id) } }))
                    (cell("Status", status(&delivery.status)))
                    (cell("Attempts", html! { (delivery.attempt_count) }))
                    (cell("Happened", stamp(delivery.created_at)))
                    (cell("Next attempt", html! { @match delivery.next_attempt_at { Some(at) => (stamp(at)), None => span class="hint" { "none" } } }))
                }
            }
        },
    )
}
