//! Whether an endpoint is sent to, and whether it is there at all.

use axum::response::Response;
use clock::Timestamp;
use http::header;
use maud::html;
use serde::Deserialize;
use serde_json::json;

use super::{DELETE, Endpoint, Health, WRITE, Watched, below, path};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{
    Call, Faults, Field, Icon, Tone, as_code, banner, done, facts, hidden, icon, moment, once, section,
    stamp, text,
};
use crate::visit::{Fields, Segment, Visit, href};

/// What an endpoint has missed while it was disabled.
#[derive(Deserialize)]
struct Enabled {
    #[serde(flatten)]
    endpoint: Endpoint,
    replay_offer: Offer,
}

#[derive(Deserialize)]
struct Offer {
    since: Option<Timestamp>,
    until: Timestamp,
}

pub(super) async fn enable(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let request = Request::post(format!("{}/enable", path(&id))).once(fields.once());
    let (me, enabled) = tokio::try_join!(Me::of(&visit.api), visit.api.ask::<Enabled>(request))?;
    let Enabled { endpoint, replay_offer: Offer { since, until } } = enabled;
    let here = format!("/console/webhooks/{}", endpoint.id);
    // The field takes minutes: from the one in which it began.
    let from = since.map(|at| at.to_string()).unwrap_or_default();
    let replay =
        href(&format!("{here}/replay"), [("since", from.get(..16).unwrap_or_default()), ("count", "1")]);
    let body = html! {
        (section("Replay what it has missed?", html! {
            p { "From now on it is sent what happens. What happened while it was disabled is kept, and what waited for it at that time was cancelled: both can be sent to it now." }
            (facts([
                ("From", html! { @match since { Some(at) => (stamp(at)), None => "The beginning" } }),
                ("Until", stamp(until)),
            ]))
            div class="actions" {
                a class="button primary" href=(replay) { "Count what it has missed" }
                a class="button" href={ (here) "/test" } { "Send a test first" }
                a class="button" href=(here) { "No replay" }
            }
        }))
        (as_code(&visit, &Call::new("POST", format!("{}/enable", path(&endpoint.id)), WRITE)))
    };
    Ok(below(&visit, &me, &endpoint, "The endpoint is enabled").show(body))
}

pub(super) async fn disable_form(visit: Visit, Segment(id): Segment) -> Answer {
    let (me, watched) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Watched>(path(&id)))?;
    Ok(show_disable(&visit, &me, &watched, "", &Faults::default()))
}

fn show_disable(visit: &Visit, me: &Me, watched: &Watched, reason: &str, faults: &Faults) -> Response {
    let Watched { endpoint, health } = watched;
    let may = endpoint.may(me, WRITE);
    let field = Field::new("reason", "Why").optional().value(reason).fault(faults.of_field("/reason"));
    let body = html! {
        (faults.summary(&["/reason"]))
        form class="card stack" method="post" action={ "/console/webhooks/" (endpoint.id) "/disable" } {
            (once(visit))
            p { "Nothing is sent to " strong { (endpoint.short()) } " until it is enabled again. Events that happen meanwhile are kept, and can be replayed." }
            (stake(visit, health))
            (text("text", field.hint("For people to read, such as: moving to another host.")))
            div class="actions" {
                button class="button primary" disabled[!may] { "Disable the endpoint" }
                a class="button" href={ "/console/webhooks/" (endpoint.id) } { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("POST", format!("{}/disable", path(&endpoint.id)), WRITE).body(json!({"reason": if reason.is_empty() { "moving to another host" } else { reason }}))))
    };
    below(visit, me, endpoint, "Disable the endpoint").status(faults.status()).show(body)
}

/// What is at stake: what waits for it.
fn stake(visit: &Visit, health: &Health) -> maud::Markup {
    html! {
        @if health.waiting > 0 {
            (banner(Tone::Wary, html! { p {
                strong { (health.waiting) @if health.waiting_more { " or more" } " deliveries wait for it" } " and are cancelled"
                @if let Some(oldest) = health.oldest_undelivered_at { "; the oldest happened " (moment(visit.now(), oldest)) } "."
            } }))
        } @else {
            (banner(Tone::Good, html! { p { "Nothing waits for it." } }))
        }
    }
}

pub(super) async fn disable(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let body = match fields.filled("reason") {
        Some(reason) => json!({"reason": reason}),
        None => json!({}),
    };
    let request = Request::post(format!("{}/disable", path(&id))).once(fields.once()).json(&body);
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/webhooks/{id}"), "endpoint-disabled")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let (me, watched) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Watched>(path(&id)))?;
            Ok(show_disable(&visit, &me, &watched, fields.get("reason"), &faults))
        }
    }
}

pub(super) async fn delete_form(visit: Visit, Segment(id): Segment) -> Answer {
    show_delete(&visit, &id, &Faults::default()).await
}

async fn show_delete(visit: &Visit, id: &str, faults: &Faults) -> Answer {
    let (me, asked) = tokio::try_join!(Me::of(&visit.api), visit.api.send(Request::get(path(id))))?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    let Watched { endpoint, health } = asked.read()?;
    let may = endpoint.may(&me, DELETE);
    let body = html! {
        (faults.summary(&["/confirm"]))
        form class="card stack" method="post" action={ "/console/webhooks/" (endpoint.id) "/delete" } {
            (once(visit)) (hidden("etag", &etag))
            p { "Nothing is sent to " code { (endpoint.url) } " from that moment on, and its secret is gone. Events are kept, but not for it. This cannot be undone." }
            (stake(visit, &health))
            @if let Some(at) = health.last_success_at { p { "The receiver took a delivery " (moment(visit.now(), at)) "." } }
            (text("text", Field::new("confirm", "Its host and path, to be sure").fault(faults.of_field("/confirm")).hint(endpoint.short())))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Delete the endpoint" }
                a class="button" href={ "/console/webhooks/" (endpoint.id) "/settings" } { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", path(&endpoint.id), DELETE)))
    };
    Ok(below(visit, &me, &endpoint, "Delete the endpoint").status(faults.status()).show(body))
}

pub(super) async fn delete(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let endpoint: Endpoint = visit.api.get(path(&id)).await?;
    let confirmed = fields.get("confirm");
    if confirmed != endpoint.short() && confirmed != endpoint.url {
        return show_delete(&visit, &id, &Faults::at("/confirm", "That is not where the endpoint is.")).await;
    }
    let request = Request::delete(path(&id)).header(header::IF_MATCH, fields.get("etag"));
    match visit.api.tell(request).await {
        Ok(()) => Ok(done("/console/webhooks", "endpoint-deleted")),
        Err(failure) => show_delete(&visit, &id, &Faults::of(failure)?).await,
    }
}
