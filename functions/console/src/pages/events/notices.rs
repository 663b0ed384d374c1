//! What is to be known of endpoints: that they fail, were disabled, or are well again.

use clock::Timestamp;
use maud::html;
use serde::Deserialize;

use super::ways;
use crate::api::{List, Me, Request, found};
use crate::pages::Answer;
use crate::pages::webhooks::{Endpoint, PATH, READ};
use crate::view::{At, Call, Icon, Page, Tone, as_code, badge, cell, empty, moment, pager, table};
use crate::visit::{Params, Visit};

const HERE: &str = "/console/events/notices";

/// Something that is to be known of an endpoint.
#[derive(Debug, Deserialize)]
struct Notice {
    r#type: String,
    endpoint_id: String,
    delivery_id: Option<String>,
    detail: String,
    created_at: Timestamp,
}

/// What it is called here, and how bad it is.
fn named(kind: &str) -> (Tone, &str) {
    match kind {
        "endpoint.failing" => (Tone::Bad, "failing"),
        "endpoint.disabled" => (Tone::Wary, "disabled"),
        "endpoint.recovered" => (Tone::Good, "recovered"),
        "delivery.exhausted" => (Tone::Bad, "given up"),
        other => (Tone::Quiet, other),
    }
}

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    let asked = Request::get(format!("{PATH}/operational-events")).query("cursor", params.get("cursor"));
    let endpoints =
        async { found(visit.api.ask::<List<Endpoint>>(Request::get(PATH).query("limit", "100")).await) };
    let (me, notices, endpoints) =
        tokio::try_join!(Me::of(&visit.api), visit.api.ask::<List<Notice>>(asked), endpoints)?;
    let endpoints = endpoints.unwrap_or_default().data;
    let name = |id: &str| {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.id == id);
        endpoint.map_or(id, Endpoint::short).to_owned()
    };
    let body = html! {
        (ways(true))
        @if notices.data.is_empty() {
            (empty(Icon::Tick, "Nothing to report", html! { p { "When an endpoint fails again and again, is disabled, or is well again, and when a delivery is given up, it says so here, and the admins get a mail." } }))
        } @else {
            (table("About endpoints", &["What", "Endpoint", "In words", "When"], html! {
                @for notice in &notices.data {
                    @let (tone, word) = named(&notice.r#type);
                    tr {
                        (cell("What", html! { (badge(tone, word)) @if let Some(delivery) = &notice.delivery_id { " " a href={ "/console/deliveries/" (delivery) } { "delivery" } } }))
                        (cell("Endpoint", html! { a href={ "/console/webhooks/" (notice.endpoint_id) } { (name(&notice.endpoint_id)) } }))
                        (cell("In words", html! { (notice.detail) }))
                        (cell("When", moment(visit.now(), notice.created_at)))
                    }
                }
            }))
            (pager(HERE, &params, notices.next_cursor.as_deref()))
        }
        (as_code(&visit, &Call::new("GET", format!("{PATH}/operational-events"), READ)))
    };
    Ok(Page::new(&visit, &me, At::Events, "About endpoints")
        .below("Events", "/console/events")
        .lead(html! { "What the admins were told of endpoints, kept for 90 days." })
        .show(body))
}
