//! A delivery: what was sent, what came back, and when it comes again: `/console/deliveries/{id}`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use clock::Timestamp;
use http::header;
use maud::{Markup, html};

use super::events::Event;
use super::webhooks::{Attempt, Delivery, Endpoint, PATH, READ, WRITE, cause, outcome, path, took};
use crate::Console;
use crate::api::{Me, Request, found};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Icon, Page, Tone, as_code, badge, button_if, done, facts, fragment, icon, id, json,
    live, live_until_over, moment, section, section_with, stamp, status, story, way_to,
};
use crate::visit::{Fields, Params, Segment, Visit, Watch};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/deliveries/{id}", get(one)).route("/deliveries/{id}/retry", post(resend))
}

fn delivery(id: &str) -> String {
    format!("{PATH}/deliveries/{id}")
}

async fn one(visit: Visit, Segment(id): Segment, params: Params, watch: Watch) -> Answer {
    let asked = visit.api.get::<Delivery>(delivery(&id)).await;
    // A test that was sent a moment ago becomes a delivery in a moment: the page it leads to waits for that.
    let awaited = params.has_any(&["of"]);
    let delivery = if awaited { found(asked)? } else { Some(asked?) };
    if watch.is_fragment {
        return Ok(match &delivery {
            Some(delivery) => {
                let is_over = awaited || !delivery.is_owed();
                looked_at_again(&visit, delivery, fragment(&watch, inside(&visit, delivery), is_over))
            }
            None => fragment(&watch, on_its_way(), false),
        });
    }
    match delivery {
        Some(delivery) => show(&visit, &delivery, &Faults::default()).await,
        None => show_awaited(&visit, &id, &params).await,
    }
}

/// Says when to look again, where nothing will happen for long: within a minute, as somebody may send it again.
fn looked_at_again(visit: &Visit, delivery: &Delivery, mut fragment: Response) -> Response {
    let wait = delivery.next_attempt_at.map_or(0, |at| at.since(visit.now()).as_secs()).min(60);
    if wait > 5 {
        fragment.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    fragment
}

/// The page of a delivery that is not there yet.
async fn show_awaited(visit: &Visit, id: &str, params: &Params) -> Answer {
    let me = Me::of(&visit.api).await?;
    let here = params.href(&format!("/console/deliveries/{id}"), &[]);
    let body = html! {
        section class="card" { (live_until_over(&here, 1, on_its_way())) }
        p { a class="button" href=(here) { "Look again" } }
        (as_code(visit, &Call::new("GET", delivery(id), READ)))
    };
    Ok(Page::new(visit, &me, At::Webhooks, "Delivery")
        .below("Webhooks", "/console/webhooks")
        .lead(html! { "What was sent, what came back, and when it comes again." })
        .show(body))
}

fn on_its_way() -> Markup {
    html! {
        div class="heading" { h2 { (badge(Tone::Busy, "on its way")) } }
        p { "The event is there; in a moment it is sent." }
    }
}

async fn show(visit: &Visit, delivery_: &Delivery, faults: &Faults) -> Answer {
    let event = format!("/api/admin/events/{}", delivery_.event_id);
    let (me, endpoint, event) = tokio::try_join!(
        Me::of(&visit.api),
        async { found(visit.api.get::<Endpoint>(path(&delivery_.endpoint_id)).await) },
        async { found(visit.api.get::<Event>(event).await) },
    )?;
    let here = format!("/console/deliveries/{}", delivery_.id);
    let workspace = endpoint.as_ref().and_then(|endpoint| endpoint.workspace_id.as_deref());
    let may = me.may_in(workspace, WRITE);
    let actions = html! {
        (button_if(visit, may, WRITE, &format!("{here}/retry"), "button primary", html! { "Send again" }))
    };
    let name = endpoint.as_ref().map_or(delivery_.endpoint_id.as_str(), Endpoint::short);
    let last = delivery_.attempts.last().map(|attempt| attempt.started_at);
    let body = html! {
        (faults.summary(&[]))
        @if delivery_.is_owed() {
            section class="card" {
                p class="live" { (icon(Icon::Live)) "Kept fresh until it is settled" }
                (live(&here, 2, inside(visit, delivery_)))
            }
        } @else {
            section class="card" { (inside(visit, delivery_)) }
        }
        (section_with("About", story(&delivery_.id), facts([
            ("Id", id(&delivery_.id)),
            ("Event", html! { a href={ "/console/events/" (delivery_.event_id) } { (delivery_.event) } }),
            ("Endpoint", html! { a href={ "/console/webhooks/" (delivery_.endpoint_id) } { (name) } @if endpoint.is_none() { " " (badge(Tone::Quiet, "deleted")) } }),
            ("Happened", moment(visit.now(), delivery_.created_at)),
            ("Replay", html! { @match &delivery_.replay_id { Some(replay) => a href={ "/console/replays/" (replay) } { "The one that last began it anew" }, None => "None" } }),
            ("Changed", moment(visit.now(), delivery_.updated_at)),
        ])))
        (section("What is sent", html! {
            h3 { "Headers" }
            (headers(
                endpoint.as_ref().map(|endpoint| endpoint.headers.as_slice()).unwrap_or_default(),
                endpoint.as_ref().map(|endpoint| endpoint.signatures.as_slice()).unwrap_or_default(),
                delivery_,
                last,
            ))
            h3 { "Body" }
            @match &event {
                Some(event) => { (json(&event.body())) p class="hint" { "Its text is the same with each attempt, byte for byte. Fields are in alphabetical order here." } },
                None => p class="hint" { "The event is past its retention, or not for you to see." },
            }
        }))
        (as_code(visit, &Call::new("POST", format!("{}/retry", delivery(&delivery_.id)), WRITE)))
    };
    Ok(Page::new(visit, &me, At::Webhooks, delivery_.event.as_str())
        .below("Webhooks", "/console/webhooks")
        .below(name, format!("/console/webhooks/{}", delivery_.endpoint_id))
        .lead(html! { "One event and one endpoint: what was sent, what came back, and when it comes again." })
        .actions(actions)
        .status(faults.status())
        .show(body))
}

/// The part that is kept fresh: where it stands, and each attempt.
fn inside(visit: &Visit, delivery: &Delivery) -> Markup {
    html! {
        div class="heading" {
            h2 { "Attempts " (status(&delivery.status)) }
            @match (delivery.status.as_str(), delivery.next_attempt_at) {
                ("dead", _) => p class="hint" { "Every attempt has failed: a dead letter. Send it again once the receiver is mended." },
                ("cancelled", _) => p class="hint" { "It is not sent any more" @if let Some(reason) = &delivery.reason { ": " (reason) } "." },
                (_, Some(at)) => p class="hint" { "Next attempt at " (stamp(at)) (way_to(visit, &format!("/console/deliveries/{}", delivery.id), at)) },
                _ => {},
            }
        }
        @if delivery.attempts.is_empty() {
            p class="hint" { "There was none yet." }
        } @else {
            ol class="story attempts" {
                @for (at, attempt) in delivery.attempts.iter().enumerate().rev() {
                    (attempted(attempt, delivery.attempts.get(at + 1).is_some_and(|after| after.failure() == attempt.failure())))
                }
            }
            @if delivery.attempts.first().is_some_and(|first| first.number > 1) { p class="hint" { "The last 50 attempts are kept." } }
        }
    }
}

/// One attempt. Why it failed is said of the last that failed so, and not `again` of those before it.
fn attempted(attempt: &Attempt, again: bool) -> Markup {
    let failure = attempt.failure();
    html! {
        li class=(if failure.is_some() { "bad" } else { "good" }) {
            p {
                strong { "Attempt " (attempt.number) ": " (outcome(attempt.error.as_deref(), attempt.response_status)) }
                " " span class="hint" { @if failure.is_some() { "failed" } @else { "succeeded" } " in " (took(attempt.duration_ms)) ", " (stamp(attempt.started_at)) }
            }
            @if let Some((error, status)) = failure.filter(|_| !again) {
                @let why = cause(error, status);
                p { (why.what) " " span class="hint" { (why.where_) "." } }
                details { summary { "Likely cause, and what mends it" } p { (why.likely) } p { (why.fix) } }
            }
            @match attempt.response_body.as_deref().filter(|body| !body.is_empty()) {
                Some(body) => details { summary { "What was answered" } pre class="wrap" tabindex="0" { (body) } },
                None => p class="hint" { "No body was answered." },
            }
        }
    }
}

/// The headers of an attempt: those of ours with what they hold, and the endpoint's own by name.
pub(super) fn headers(
    own: &[String],
    signatures: &[String],
    delivery: &Delivery,
    at: Option<Timestamp>,
) -> Markup {
    let when =
        at.map_or_else(|| "when it is sent, in Unix seconds".to_owned(), |at| at.seconds().to_string());
    let signed = if signatures.is_empty() { "v1".to_owned() } else { signatures.join(" and ") };
    html! {
        dl class="headers" {
            div { dt { "Content-Type" } dd { "application/json" } }
            div { dt { "webhook-id" } dd { (delivery.event_id) } }
            div { dt { "webhook-timestamp" } dd { (when) } }
            div { dt { "webhook-signature" } dd class="hint" { (signed) ", made with the endpoint's secret" } }
            div { dt { "X-Artisan-Signature" } dd class="hint" { "of the body alone" } }
            div { dt { "X-Artisan-Event" } dd { (delivery.event) } }
            @for name in own { div { dt { (name) } dd class="hint" { "set in the endpoint's settings; not shown" } } }
        }
    }
}

async fn resend(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let request = Request::post(format!("{}/retry", delivery(&id))).once(fields.once());
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/deliveries/{id}"), "delivery-resent")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let delivery: Delivery = visit.api.get(delivery(&id)).await?;
            show(&visit, &delivery, &faults).await
        }
    }
}
