//! The story of an id: what happened, oldest first, how long it took, and where it stands.

use std::time::Duration;

use clock::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::gather::{Attempt, Delivery, Event, Found};
use super::given::{Given, Kind, Thing};
use crate::api::Me;
use crate::pages::audit::{Record, in_words};
use crate::view::{Icon, Tone, ago, badge, icon, page_of, precise, status, to_page, took};
use crate::visit::href;

/// One thing that happened.
pub(super) struct Step {
    at: Timestamp,
    /// What comes first of what happened in the same millisecond.
    rank: u8,
    tone: Tone,
    glyph: Icon,
    /// What it is.
    kind: &'static str,
    /// Whether it is what was looked for.
    is_given: bool,
    title: Markup,
    about: Markup,
}

/// What is not there, and why.
pub(super) type Gap = String;

/// All steps, oldest first.
pub(super) fn steps(given: &Given, found: &Found, me: &Me, now: Timestamp) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let several = found.deliveries.len() > 1;
    steps.extend(found.records.iter().map(|record| of_record(given, record, found.request.is_some(), me)));
    steps.extend(found.events.iter().map(|event| of_event(given, event, me)));
    for delivery in &found.deliveries {
        let event = found.events.iter().find(|event| event.id == delivery.event_id);
        steps.push(of_delivery(given, delivery, event, found));
        let attempts = delivery.attempts.iter().flatten();
        steps.extend(attempts.map(|attempt| of_attempt(given, attempt, delivery, found, several)));
        steps.extend(
            delivery.next_attempt_at.filter(|at| *at > now).map(|at| to_come(delivery, at, found, now)),
        );
    }
    if let Some(request) = &found.request {
        steps.extend(of_request(given, request, found, &steps));
    }
    steps.sort_by_key(|step| (step.at, step.rank));
    steps
}

fn of_request(given: &Given, id: &str, found: &Found, steps: &[Step]) -> Option<Step> {
    let first = steps.iter().map(|step| step.at).min()?;
    let own = Given::read(id).and_then(|request| request.made_at);
    let by = found.records.iter().find(|record| record.request_id == id);
    Some(Step {
        // Whatever clocks say: nothing came of it before it was there.
        at: own.map_or(first, |at| at.min(first)),
        rank: 0,
        tone: Tone::Busy,
        glyph: Icon::Right,
        kind: "Request",
        is_given: given.id == id,
        title: html! { code { (id) } },
        about: html! {
            @if let Some(record) = by {
                "By " (record.actor.link())
                @if !record.ip_address.is_empty() { " from " code { (record.ip_address) } }
                @if let Some(agent) = &record.user_agent { ", by means of " (agent) }
            }
        },
    })
}

fn of_record(given: &Given, record: &Record, is_one_request: bool, me: &Me) -> Step {
    let fields: Vec<&str> = record.changes.iter().map(|change| change.field.as_str()).collect();
    Step {
        at: record.timestamp,
        rank: 1,
        tone: if record.success { Tone::Good } else { Tone::Bad },
        glyph: Icon::Audit,
        kind: "Audit record",
        is_given: given.id == record.id,
        title: html! { a href={ "/console/audit/" (record.id) } { (in_words(&record.action)) } " " @if !record.success { (record.outcome()) } },
        about: html! {
            @if !is_one_request { "By " (record.actor.link()) ". " }
            "To " (record.resource())
            @if let Some(workspace) = &record.workspace_id { ", in " (me.workspace_name(workspace)) }
            @if !fields.is_empty() { ". Changed: " (fields.join(", ")) }
            ". " (match record.leaf_index { Some(index) => format!("Sealed at place {index} of the log."), None => "Not sealed yet.".to_owned() })
            @if !is_one_request { " " a class="quiet" href=(href("/console/find", [("id", record.request_id.as_str())])) { "The whole story" } }
        },
    }
}

fn of_event(given: &Given, event: &Event, me: &Me) -> Step {
    let owed = event.deliveries.as_deref().unwrap_or_default();
    Step {
        at: event.timestamp,
        rank: 2,
        tone: Tone::Busy,
        glyph: Icon::Event,
        kind: "Event",
        is_given: given.id == event.id,
        title: html! { a href={ "/console/events/" (event.id) } { code { (event.event) } } },
        about: html! {
            "Caused in " (me.workspace_name(&event.workspace_id)) ", in the same transaction as the change."
            @if let Some(endpoint) = &event.only_for { " For one endpoint only, which was tried out: " (to_page("", endpoint, None)) "." }
            @if matches!(given.kind, Kind::Thing(_)) {
                @for delivery in owed { " " (status(&delivery.status)) }
                " " a class="quiet" href=(href("/console/find", [("id", event.id.as_str())])) { "The whole story" }
            }
        },
    }
}

fn of_delivery(given: &Given, delivery: &Delivery, event: Option<&Event>, found: &Found) -> Step {
    let waited = event.map(|event| delivery.created_at.since(event.timestamp));
    Step {
        at: delivery.created_at,
        rank: 3,
        tone: Tone::Busy,
        glyph: Icon::Webhook,
        kind: "Delivery",
        is_given: given.id == delivery.id,
        title: html! {
            a href={ "/console/deliveries/" (delivery.id) } {
                // Among those of one endpoint it is the event that tells them apart.
                @if given.id == delivery.endpoint_id { code { (delivery.event) } } @else { "Owed to " (url(found, &delivery.endpoint_id)) }
            }
            " " (status(&delivery.status))
        },
        about: html! {
            @match waited { Some(waited) => { "Fanned out " (took(waited)) " after the event. " }, None => { code { (delivery.event) } " " } }
            "Endpoint " (to_page("", &delivery.endpoint_id, None))
        },
    }
}

fn of_attempt(given: &Given, attempt: &Attempt, delivery: &Delivery, found: &Found, several: bool) -> Step {
    let is_success = attempt.response_status.is_some_and(|status| (200..300).contains(&status));
    let spent = took(Duration::from_millis(attempt.duration_ms));
    Step {
        at: attempt.started_at,
        rank: 4,
        tone: if is_success { Tone::Good } else { Tone::Bad },
        glyph: if is_success { Icon::Tick } else { Icon::Cross },
        kind: "Attempt",
        is_given: given.id == attempt.id,
        title: html! {
            "Attempt " (attempt.number) ": "
            @match (attempt.response_status, &attempt.error) {
                (Some(status), _) if is_success => { "answered " (status) " in " (spent) },
                (Some(status), _) => { "answered " (status) " after " (spent) },
                (None, Some(error)) => { (failed(error)) " after " (spent) },
                (None, None) => { "no answer after " (spent) },
            }
        },
        about: html! {
            @if several { "To " (url(found, &delivery.endpoint_id)) ". " }
            @if let Some(error) = &attempt.error { @if attempt.response_status.is_some() && error != "status" { (failed(error)) ". " } }
        },
    }
}

fn to_come(delivery: &Delivery, at: Timestamp, found: &Found, now: Timestamp) -> Step {
    Step {
        at,
        rank: 5,
        tone: Tone::Quiet,
        glyph: Icon::Clock,
        kind: "To come",
        is_given: false,
        title: html! { "Next attempt " (ago(now, at)) },
        about: html! { "To " (url(found, &delivery.endpoint_id)) },
    }
}

/// What went wrong with an attempt, in words.
fn failed(error: &str) -> String {
    match error {
        "status" => "refused by the receiver",
        "redirect" => "a redirect, which is not followed",
        "timeout" => "no whole answer in time",
        "dns" => "the name could not be resolved",
        "forbidden_address" => "an address that nothing is sent to",
        "connect" => "no connection could be made",
        "tls" => "TLS failed",
        "reset" => "the connection broke",
        "response_too_large" => "the answer was too long",
        "protocol" => "what came was not HTTP",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

fn url<'a>(found: &'a Found, endpoint: &'a str) -> &'a str {
    found.endpoints.iter().find(|own| own.id == endpoint).map_or(endpoint, |own| own.url.as_str())
}

/// What one might look for and is not there, in words.
pub(super) fn gaps(given: &Given, found: &Found, now: Timestamp) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let sees = |permission: &str| found.withheld.iter().all(|withheld| withheld.permission != permission);
    if found.request.is_some() {
        if found.records.is_empty() && sees("audit_logs:read") {
            gaps.push("No audit record names this request. Reads leave none, and neither do requests that were refused before it was known who sent them.".to_owned());
        }
        if found.events.is_empty() && sees("webhooks:read") && !found.records.is_empty() {
            gaps.push("It caused no event: only campaigns, leads, mails and meetings do.".to_owned());
        }
    }
    if given.kind == Kind::Attempt && found.request.is_some() {
        gaps.push("What the request did is left out here: look at the story of its delivery.".to_owned());
    }
    for event in &found.events {
        let Some(owed) = &event.deliveries else { continue };
        let is_fresh = now.since(event.timestamp) < Duration::from_secs(30);
        if owed.is_empty() && is_fresh {
            gaps.push(format!("{} is not fanned out yet: that takes moments.", event.event));
        } else if owed.is_empty() {
            gaps.push(format!(
                "No endpoint of that workspace wanted {}, or those that did are gone.",
                event.event
            ));
        }
        let untold =
            owed.iter().filter(|owed| found.deliveries.iter().all(|delivery| delivery.id != owed.id));
        let untold = untold.count();
        if untold > 0 && !matches!(given.kind, Kind::Thing(_) | Kind::Attempt) {
            gaps.push(format!(
                "{} has {untold} more {}: its page has them all.",
                event.event,
                plural("delivery", "deliveries", untold)
            ));
        }
    }
    let more = found.events.len().saturating_sub(found.events_looked_into);
    if more > 0 {
        gaps.push(format!(
            "Of {more} more {} it is not told here what became of them: their pages do.",
            plural("event", "events", more)
        ));
    }
    gaps
}

fn plural(one: &'static str, many: &'static str, count: usize) -> &'static str {
    if count == 1 { one } else { many }
}

/// The steps, with the time between them.
pub(super) fn show(steps: &[Step]) -> Markup {
    let before = std::iter::once(None).chain(steps.iter().map(Some));
    html! {
        ol class="story" {
            @for (step, before) in steps.iter().zip(before) {
                li class=(class(step.tone)) aria-current=[step.is_given.then_some("true")] {
                    p class="step" {
                        span class="kind" { (icon(step.glyph)) (step.kind) }
                        strong { (step.title) }
                        @if step.is_given { (badge(Tone::Quiet, "looked for")) }
                    }
                    p class="hint" {
                        time datetime=(step.at) { (precise(step.at)) }
                        @if let Some(before) = before { " · " (later(step.at.since(before.at))) }
                    }
                    p { (step.about) }
                }
            }
        }
    }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Wary | Tone::Busy => "",
        Tone::Quiet => "quiet",
    }
}

fn later(duration: Duration) -> String {
    if duration.is_zero() { "at the same moment".to_owned() } else { format!("{} later", took(duration)) }
}

/// Where each delivery stands, and what can be done about it.
pub(super) fn standing(found: &Found, now: Timestamp) -> Markup {
    html! {
        ul class="standing" {
            @for delivery in &found.deliveries {
                li {
                    (status(&delivery.status)) " "
                    a href={ "/console/deliveries/" (delivery.id) } { (url(found, &delivery.endpoint_id)) }
                    span class="hint" {
                        @match delivery.status.as_str() {
                            "succeeded" => { "Delivered, at attempt " (delivery.attempt_count) "." },
                            "pending" => "On its way.",
                            "retrying" => { (delivery.attempt_count) " " (plural("attempt", "attempts", delivery.attempt_count as usize)) " failed. "
                                @match delivery.next_attempt_at { Some(at) => { "The next one is due " (ago(now, at)) "." }, None => "The next one is due now." } },
                            "dead" => { "Given up after " (delivery.attempt_count) " attempts. It can be " a href="/console/dead-letters" { "sent again" } "." },
                            "cancelled" => { "Not sent" @if let Some(reason) = &delivery.reason { ": " (reason.replace('_', " ")) } "." },
                            _ => "",
                        }
                    }
                }
            }
        }
    }
}

/// A thing as it is now: what it is called, how it is, and where its page is.
pub(super) fn state(
    given: &Given,
    thing: Thing,
    state: &Value,
    workspace: Option<&str>,
    now: Timestamp,
) -> Markup {
    let text = |name: &str| state.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let time = |name: &str| text(name).and_then(Timestamp::parse);
    let name = ["name", "email", "url"].iter().find_map(|name| text(name));
    let kind = if thing == Thing::Export { "audit_export" } else { "" };
    html! {
        p class="step" {
            @if let Some(name) = name { strong { (name) } }
            @if let Some(word) = text("status") { (status(word)) }
            @if let Some(role) = text("role") { (badge(Tone::Quiet, role)) }
        }
        p class="hint" {
            @if let Some(at) = time("created_at") { "Made " (ago(now, at)) ". " }
            @if let Some(at) = time("updated_at") { "Last changed " (ago(now, at)) ". " }
            @if let Some(at) = time("last_used_at") { "Last used " (ago(now, at)) ". " }
        }
        @if let Some(page) = page_of(kind, &given.id, workspace) { p { a class="button small" href=(page) { "To its page" } } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gather::Owed;
    use super::*;

    fn at(millis: u64) -> Timestamp {
        clock::utc(2026, 11, 22, 15, 4) + Duration::from_millis(millis)
    }

    fn me() -> Me {
        serde_json::from_str(
            r#"{"user":{"id":"usr_1","email":"ada@example.com","name":"Ada"},"organization":{"id":"org_1","name":"Acme","plan":"growth"},
                "workspaces":[],"session":{"amr":["pwd"],"authenticated_at":"2026-11-22T15:00:00.000Z"},"email_verified":true,"mfa_enabled":false}"#,
        )
        .unwrap()
    }

    fn event(deliveries: Option<Vec<Owed>>) -> Event {
        Event {
            id: "evt_1".to_owned(),
            event: "lead.created".to_owned(),
            timestamp: at(0),
            workspace_id: "ws_1".to_owned(),
            only_for: None,
            request_id: Some("own-1".to_owned()),
            deliveries,
        }
    }

    fn delivery() -> Delivery {
        let attempt = |number, millis, status, error: Option<&str>| Attempt {
            id: format!("att_{number}"),
            number,
            started_at: at(millis),
            duration_ms: 35,
            response_status: status,
            error: error.map(str::to_owned),
        };
        Delivery {
            id: "dlv_1".to_owned(),
            event_id: "evt_1".to_owned(),
            event: "lead.created".to_owned(),
            endpoint_id: "ep_1".to_owned(),
            status: "retrying".to_owned(),
            attempt_count: 2,
            next_attempt_at: Some(at(300_000)),
            reason: None,
            created_at: at(40),
            updated_at: at(60_050),
            attempts: Some(vec![
                attempt(1, 50, Some(500), Some("status")),
                attempt(2, 60_000, None, Some("timeout")),
            ]),
        }
    }

    #[test]
    fn a_story_is_told_from_the_request_to_the_attempt_that_is_to_come() {
        let owed = Owed { id: "dlv_1".to_owned(), status: "retrying".to_owned() };
        let found = Found {
            request: Some("own-1".to_owned()),
            events: vec![event(Some(vec![owed]))],
            events_looked_into: 1,
            deliveries: vec![delivery()],
            ..Found::default()
        };
        let given = Given::read("own-1").unwrap();
        let steps = steps(&given, &found, &me(), at(61_000));
        let kinds: Vec<&str> = steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds, ["Request", "Event", "Delivery", "Attempt", "Attempt", "To come"]);
        assert!(steps.first().unwrap().is_given && found.is_moving());
        let page = show(&steps).into_string();
        for said in [
            "Fanned out 40 ms after the event",
            "answered 500 after 35 ms",
            "no whole answer in time",
            "59.9 s later",
        ] {
            assert!(page.contains(said), "{said}: {page}");
        }
        assert!(gaps(&given, &found, at(61_000)).first().unwrap().starts_with("No audit record"));
    }

    #[test]
    fn an_event_that_nobody_wanted_says_so_once_it_had_the_time() {
        let found =
            Found { events: vec![event(Some(Vec::new()))], events_looked_into: 1, ..Found::default() };
        let given = Given::read("evt_1").unwrap();
        assert!(gaps(&given, &found, at(5_000)).concat().contains("takes moments"));
        assert!(
            gaps(&given, &found, at(60_000))
                .concat()
                .contains("No endpoint of that workspace wanted lead.created")
        );
    }

    #[test]
    fn what_a_receiver_or_a_tenant_named_is_text() {
        let mut delivery = delivery();
        delivery.endpoint_id = "<script>".to_owned();
        let found = Found { deliveries: vec![delivery], ..Found::default() };
        let steps = steps(&Given::read("dlv_1").unwrap(), &found, &me(), at(0));
        assert!(!show(&steps).into_string().contains("<script>"));
        assert!(!standing(&found, at(0)).into_string().contains("<script>"));
    }
}
