//! What fails at an endpoint, and why: the failures of late by their kind, and the last success beside the first failure.

use std::cmp::Reverse;
use std::collections::HashSet;

use clock::Timestamp;
use futures::future::join_all;
use http::StatusCode;
use maud::{Markup, html};

use super::{Attempt, Delivery, Endpoint, PATH, READ, Tab, Watched, cause, outcome, path, tabbed, took};
use crate::api::{Caller, Failure, List, Me, Request, found};
use crate::pages::Answer;
use crate::pages::deliveries::headers;
use crate::pages::events::Event;
use crate::view::{Call, Icon, Tone, as_code, badge, empty, json, link_if, section, section_with, stamp};
use crate::visit::{Segment, Visit};

/// So many dead letters are looked at, and so many of the latest deliveries.
const MOST_DEAD: &str = "25";
const MOST_LATEST: &str = "50";
/// So many pages of dead letters are turned until there is one of this endpoint.
const MOST_PAGES: usize = 3;
/// So many groups are shown, and of so many the last answer is asked for: the receiver chooses how many there are.
const SHOWN: usize = 20;
const FILLED: usize = 5;
/// So many of a group are named.
const NAMED: usize = 5;

/// Deliveries that fail in the same way.
#[derive(Debug)]
struct Group {
    error: String,
    status: Option<u16>,
    attempts: usize,
    first: Timestamp,
    last: Timestamp,
    /// Newest failure first, each with the status that it has now.
    deliveries: Vec<(String, String, String)>,
    /// What the receiver said last.
    said: Option<String>,
}

/// The failed attempts of some deliveries by their kind; the kind that has failed most deliveries comes first.
fn grouped(deliveries: &[Delivery]) -> Vec<Group> {
    let failed = deliveries.iter().flat_map(|delivery| {
        delivery.attempts.iter().filter_map(move |attempt| Some((delivery, attempt, attempt.failure()?)))
    });
    let mut failed: Vec<_> = failed.collect();
    failed.sort_by_key(|(_, attempt, _)| Reverse(attempt.started_at));
    let mut groups: Vec<Group> = Vec::new();
    for (delivery, attempt, (error, status)) in failed {
        let named = (delivery.id.clone(), delivery.event.clone(), delivery.status.clone());
        match groups.iter_mut().find(|group| group.error == error && group.status == status) {
            Some(group) => {
                group.attempts += 1;
                group.first = attempt.started_at;
                if group.said.is_none() {
                    group.said.clone_from(&attempt.response_body);
                }
                if !group.deliveries.contains(&named) {
                    group.deliveries.push(named);
                }
            }
            None => groups.push(Group {
                error: error.to_owned(),
                status,
                attempts: 1,
                first: attempt.started_at,
                last: attempt.started_at,
                deliveries: vec![named],
                said: attempt.response_body.clone(),
            }),
        }
    }
    groups.sort_by_key(|group| Reverse((group.deliveries.len(), group.last)));
    groups
}

/// One attempt and the delivery it was of.
#[derive(Debug, Clone, Copy)]
struct Seen<'a> {
    delivery: &'a Delivery,
    attempt: &'a Attempt,
}

/// The last attempt that was taken, and the first after it that was not; without a success, the first that is known.
fn turn(deliveries: &[Delivery]) -> (Option<Seen<'_>>, Option<Seen<'_>>) {
    let all = || {
        deliveries
            .iter()
            .flat_map(|delivery| delivery.attempts.iter().map(move |attempt| Seen { delivery, attempt }))
    };
    let started = |seen: &Seen<'_>| seen.attempt.started_at;
    let success = all().filter(|seen| seen.attempt.is_taken()).max_by_key(started);
    let after = |seen: &Seen<'_>| success.is_none_or(|success| started(seen) > started(&success));
    let failures = || all().filter(|seen| !seen.attempt.is_taken());
    let failure = failures().filter(after).min_by_key(started).or_else(|| failures().max_by_key(started));
    (success, failure)
}

async fn whole(api: &Caller, id: &str) -> Result<Option<Delivery>, Failure> {
    found(api.get(format!("{PATH}/deliveries/{id}")).await)
}

/// Each delivery once, as it comes first.
fn each(deliveries: impl IntoIterator<Item = Delivery>) -> Vec<Delivery> {
    let mut known = HashSet::new();
    deliveries.into_iter().filter(|delivery| known.insert(delivery.id.clone())).collect()
}

/// A list leaves out long answers. Those that are shown are asked for: the last in each group, and the two that are compared;
/// and `last`, if it is none of those that were listed.
async fn fill(api: &Caller, deliveries: &mut Vec<Delivery>, last: Option<&str>) {
    let (success, failure) = turn(deliveries);
    let compared = success.into_iter().chain(failure).map(|seen| seen.delivery.id.clone());
    let groups = grouped(deliveries);
    let newest = groups.iter().take(FILLED).filter_map(|group| group.deliveries.first());
    let newest = newest.map(|(id, _, _)| id.clone());
    let wanted: HashSet<String> = compared.chain(newest).chain(last.map(str::to_owned)).collect();
    let found = join_all(wanted.iter().map(|id| whole(api, id))).await;
    // One that does not come is told of without its answer.
    for delivery in found.into_iter().flatten().flatten() {
        match deliveries.iter_mut().find(|known| known.id == delivery.id) {
            Some(known) => known.attempts = delivery.attempts,
            None => deliveries.push(delivery),
        }
    }
}

/// The last dead letters of an endpoint. They lie among those of all: where there are many of others, pages are turned.
async fn dead(api: &Caller, id: &str) -> Result<Vec<Delivery>, Failure> {
    let asked = Request::get(format!("{PATH}/dead-letters")).query("endpoint_id", id);
    let asked = asked.query("include", "attempts").query("limit", MOST_DEAD);
    let mut cursor: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let page: List<Delivery> = api.ask(asked.clone().maybe("cursor", cursor.as_deref())).await?;
        if !page.data.is_empty() || page.next_cursor.is_none() {
            return Ok(page.data);
        }
        cursor = page.next_cursor;
    }
    Ok(Vec::new())
}

pub(super) async fn failures(visit: Visit, Segment(id): Segment) -> Answer {
    let latest = Request::get(format!("{}/deliveries", path(&id)));
    let latest = latest.query("include", "attempts").query("limit", MOST_LATEST);
    let (me, watched, dead, latest) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.get::<Watched>(path(&id)),
        dead(&visit.api, &id),
        visit.api.ask::<List<Delivery>>(latest),
    )?;
    let Watched { endpoint, health } = &watched;
    let last = health.last_error.as_ref().map(|last| last.delivery_id.as_str());
    let mut deliveries = each(dead.into_iter().chain(latest.data));
    fill(&visit.api, &mut deliveries, last).await;
    let groups = grouped(&deliveries);
    let (success, failure) = turn(&deliveries);
    let body_of = async |seen: Option<Seen<'_>>| match seen {
        Some(seen) => {
            found(visit.api.get::<Event>(format!("/api/admin/events/{}", seen.delivery.event_id)).await)
        }
        None => Ok(None),
    };
    let (sent_well, sent_badly) = tokio::try_join!(body_of(success), body_of(failure))?;
    let here = format!("/console/webhooks/{}", endpoint.id);
    let body = html! {
        @if groups.is_empty() {
            (empty(Icon::Tick, "Nothing fails", html! { p { "When an attempt fails, it is explained here: what happened, what it most likely comes from, and what mends it." } }))
        } @else {
            @for group in groups.iter().take(SHOWN) { (explained(group)) }
            @if groups.len() > SHOWN { p class="hint" { "It fails in " (groups.len() - SHOWN) " more ways." } }
            div class="actions" {
                (link_if(endpoint.may(&me, super::WRITE), super::WRITE, &format!("{here}/test"), html! { "Try it out with a test" }))
                a class="button" href={ "/console/dead-letters?endpoint_id=" (endpoint.id) } { "All dead letters of it" }
                a class="button" href={ (here) "?status=retrying" } { "All that are retried" }
            }
            @if let Some(failure) = failure { (compared(endpoint, success, failure, sent_well.as_ref(), sent_badly.as_ref())) }
            p class="hint" { "From the last 25 dead letters, the latest 50 deliveries, and the last failure." }
        }
        (as_code(&visit, &Call::new("GET", format!("{PATH}/dead-letters?endpoint_id={}&include=attempts", endpoint.id), READ)))
    };
    Ok(tabbed(&visit, &me, endpoint, Some(health), Tab::Failures, StatusCode::OK, body))
}

fn explained(group: &Group) -> Markup {
    let why = cause(&group.error, group.status);
    let name = outcome(Some(&group.error), group.status);
    let count = group.deliveries.len();
    section_with(
        &name,
        badge(
            Tone::Bad,
            &format!(
                "{count} deliver{}, {} attempt{}",
                if count == 1 { "y" } else { "ies" },
                group.attempts,
                if group.attempts == 1 { "" } else { "s" }
            ),
        ),
        html! {
            p { strong { (why.what) } }
            dl class="why" {
                div { dt { "Where to look" } dd { (why.where_) } }
                div { dt { "Most likely" } dd { (why.likely) } }
                div { dt { "What mends it" } dd { (why.fix) } }
            }
            @if let Some(said) = group.said.as_deref().filter(|said| !said.is_empty()) {
                details { summary { "What the receiver said last" } pre class="wrap" tabindex="0" { (said) } }
            }
            p class="hint" { "From " (stamp(group.first)) " to " (stamp(group.last)) "." }
            ul class="links" {
                @for (id, event, status) in group.deliveries.iter().take(NAMED) {
                    li { a href={ "/console/deliveries/" (id) } { (event) } " " span class="hint" { (status) } }
                }
                @if count > NAMED { li class="hint" { "and " (count - NAMED) " more" } }
            }
        },
    )
}

fn compared(
    endpoint: &Endpoint,
    success: Option<Seen<'_>>,
    failure: Seen<'_>,
    sent_well: Option<&Event>,
    sent_badly: Option<&Event>,
) -> Markup {
    let between = success.filter(|success| {
        success.attempt.started_at < endpoint.updated_at && endpoint.updated_at < failure.attempt.started_at
    });
    section(
        "The last success beside the first failure",
        html! {
            @if between.is_some() { p { "The endpoint was changed between the two, at " (stamp(endpoint.updated_at)) ": its " a href={ "/console/webhooks/" (endpoint.id) "/settings" } { "settings" } " are worth a look." } }
            div class="split" {
                @match success {
                    Some(success) => (side("Last success", endpoint, success, sent_well)),
                    None => div { h3 { "Last success" } p class="hint" { "None is known: it may never have worked at this URL." } },
                }
                (side("First failure", endpoint, failure, sent_badly))
            }
        },
    )
}

fn side(title: &str, endpoint: &Endpoint, seen: Seen<'_>, event: Option<&Event>) -> Markup {
    let Seen { delivery, attempt } = seen;
    html! {
        div class="side-by-side" {
            h3 { (title) }
            p { a href={ "/console/deliveries/" (delivery.id) } { (delivery.event) } ", attempt " (attempt.number) }
            p { strong { (outcome(attempt.error.as_deref(), attempt.response_status)) } " in " (took(attempt.duration_ms)) " at " (stamp(attempt.started_at)) }
            h4 { "What was answered" }
            @match attempt.response_body.as_deref().filter(|body| !body.is_empty()) {
                Some(body) => pre class="wrap" tabindex="0" { (body) },
                None => p class="hint" { "No body." },
            }
            h4 { @if attempt.started_at < endpoint.updated_at { "Headers that would be sent now" } @else { "Headers that were sent" } }
            @if attempt.started_at < endpoint.updated_at { p class="hint" { "The endpoint was changed after this attempt." } }
            (headers(endpoint.headers.as_slice(), &endpoint.signatures, delivery, Some(attempt.started_at)))
            h4 { "Body that was sent" }
            @match event {
                Some(event) => (json(&event.body())),
                None => p class="hint" { "It is past its retention." },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(id: &str, attempts: &[(i64, Option<u16>, Option<&str>)]) -> Delivery {
        let attempts = attempts.iter().zip(1..).map(|((at, status, error), number)| Attempt {
            number,
            started_at: Timestamp::from_seconds(*at),
            duration_ms: 20,
            response_status: *status,
            error: error.map(str::to_owned),
            response_body: None,
        });
        Delivery {
            id: id.to_owned(),
            event_id: "evt_1".to_owned(),
            event: "lead.replied".to_owned(),
            endpoint_id: "ep_1".to_owned(),
            status: "dead".to_owned(),
            attempt_count: 1,
            next_attempt_at: None,
            reason: None,
            replay_id: None,
            created_at: Timestamp::from_seconds(0),
            updated_at: Timestamp::from_seconds(0),
            attempts: attempts.collect(),
        }
    }

    #[test]
    fn failures_are_grouped_by_what_they_failed_by() {
        let deliveries = [
            delivery("dlv_1", &[(10, Some(500), Some("status")), (20, Some(500), Some("status"))]),
            delivery(
                "dlv_2",
                &[(30, Some(500), Some("status")), (40, Some(200), Some("response_too_large"))],
            ),
            delivery("dlv_3", &[(50, None, Some("timeout"))]),
        ];
        let groups = grouped(&deliveries);
        let told: Vec<_> = groups
            .iter()
            .map(|group| (group.error.as_str(), group.deliveries.len(), group.attempts))
            .collect();
        assert_eq!(told, [("status", 2, 3), ("timeout", 1, 1)], "an odd answer of 2xx is no failure");
        let first = groups.first().unwrap();
        assert_eq!((first.first.seconds(), first.last.seconds()), (10, 30));
        assert_eq!(first.deliveries.first().unwrap().0, "dlv_2");
    }

    #[test]
    fn the_first_failure_is_the_first_after_the_last_success() {
        let taken = delivery("dlv_1", &[(5, None, Some("dns")), (20, Some(200), None)]);
        let failing = [
            delivery("dlv_2", &[(10, Some(500), Some("status"))]),
            delivery("dlv_3", &[(30, Some(401), Some("status")), (40, Some(401), Some("status"))]),
        ];
        let all = each(failing.clone().into_iter().chain([taken]));
        let (success, failure) = turn(&all);
        assert_eq!(success.unwrap().attempt.started_at.seconds(), 20);
        assert_eq!(failure.unwrap().attempt.started_at.seconds(), 30);
        let (none, failure) = turn(&failing);
        assert!(none.is_none());
        assert_eq!(failure.unwrap().attempt.started_at.seconds(), 10);
        let mended = [delivery("dlv_4", &[(1, None, Some("tls")), (2, Some(204), None)])];
        let (_, failure) = turn(&mended);
        assert_eq!(failure.unwrap().attempt.started_at.seconds(), 1, "it was mended since");
    }

    #[test]
    fn what_a_retry_has_mended_is_told_of_and_each_delivery_once() {
        let mended = delivery("dlv_1", &[(1, Some(503), Some("status")), (2, Some(200), None)]);
        let deliveries = each([mended.clone(), mended]);
        assert_eq!(deliveries.len(), 1);
        let groups = grouped(&deliveries);
        assert_eq!(
            groups.iter().map(|group| (group.status, group.attempts)).collect::<Vec<_>>(),
            [(Some(503), 1)]
        );
    }
}
