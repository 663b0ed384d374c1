//! Replaying to an endpoint: what, how many, and off it goes.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{EVENT_TYPES, Endpoint, EventTypes, READ, Tab, WRITE, Watched, below, instant, path, tabbed};
use crate::api::{List, Me, Request};
use crate::pages::Answer;
use crate::pages::keys::whole;
use crate::pages::replays::{self, Replay};
use crate::view::{
    Call, Faults, Field, Icon, Tone, as_code, banner, check, done, empty, hidden, icon, link_if, number,
    once, pager, section, text,
};
use crate::visit::{Fields, Params, Segment, Visit};

pub(super) async fn list(visit: Visit, Segment(id): Segment, params: Params) -> Answer {
    let asked = Request::get(format!("{}/replays", path(&id))).query("cursor", params.get("cursor"));
    let (me, watched, replays) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.get::<Watched>(path(&id)),
        visit.api.ask::<List<Replay>>(asked)
    )?;
    let Watched { endpoint, health } = &watched;
    let here = format!("/console/webhooks/{}/replays", endpoint.id);
    let body = html! {
        @if replays.data.is_empty() {
            (empty(Icon::Clock, "No replays yet", html! {
                p { "A replay sends events of the past: what the endpoint was never sent, or has not taken. It says beforehand how many, and can be paused and cancelled." }
                (link_if(endpoint.may(&me, WRITE), WRITE, &format!("/console/webhooks/{}/replay", endpoint.id), html! { "Replay" }))
            }))
        } @else {
            (replays::listed(&visit, &replays.data))
            (pager(&here, &params, replays.next_cursor.as_deref()))
        }
        (as_code(&visit, &Call::new("GET", format!("{}/replays", path(&endpoint.id)), READ)))
    };
    Ok(tabbed(&visit, &me, endpoint, Some(health), Tab::Replays, StatusCode::OK, body))
}

/// What of an event's delivery is replayed, and what that means.
const STATUSES: [(&str, &str); 4] = [
    ("missing", "Never sent to it: it was disabled, not there yet, or did not want them then"),
    ("dead", "Dead letters"),
    ("cancelled", "Cancelled: they waited when it was disabled"),
    ("succeeded", "Taken already: the receiver gets them once more"),
];
/// Those that are replayed unless it is said otherwise.
const USUAL: [&str; 3] = ["missing", "dead", "cancelled"];

/// What is to be replayed, as it stands in the address.
#[derive(Debug, Clone, Default)]
struct Plan {
    since: String,
    until: String,
    events: Vec<String>,
    statuses: Vec<String>,
    rate: String,
}

impl Plan {
    fn of(get: impl Fn(&str) -> String, all: impl Fn(&str) -> Vec<String>) -> Self {
        Self {
            since: get("since"),
            until: get("until"),
            events: all("events"),
            statuses: all("statuses"),
            rate: get("rate"),
        }
    }

    fn of_params(params: &Params) -> Self {
        let all = |name: &str| params.all(name).map(str::to_owned).collect();
        let mut plan = Self::of(|name| params.get(name).to_owned(), all);
        // At first those are ticked that are replayed most; what was sent without a tick is refused by the API.
        if plan.statuses.is_empty() && params.filled("asked").is_none() {
            plan.statuses = USUAL.map(str::to_owned).to_vec();
        }
        plan
    }

    fn of_fields(fields: &Fields) -> Self {
        let all = |name: &str| fields.all(name).map(str::to_owned).collect();
        Self::of(|name| fields.get(name).to_owned(), all)
    }

    fn asked(&self, dry_run: bool) -> Value {
        let mut asked = Map::new();
        for (name, entered) in [("since", &self.since), ("until", &self.until)] {
            if let Some(at) = instant(entered) {
                asked.insert(name.to_owned(), at.into());
            }
        }
        if !self.events.is_empty() {
            asked.insert("events".to_owned(), json!(self.events));
        }
        asked.insert("statuses".to_owned(), json!(self.statuses));
        if !self.rate.is_empty() {
            asked.insert("rate_per_second".to_owned(), whole(&self.rate));
        }
        if dry_run {
            asked.insert("dry_run".to_owned(), true.into());
        }
        Value::Object(asked)
    }

    /// What it consists of, as fields that are not seen.
    fn hidden(&self) -> Markup {
        html! {
            (hidden("since", &self.since)) (hidden("until", &self.until)) (hidden("rate", &self.rate))
            @for event in &self.events { (hidden("events", event)) }
            @for status in &self.statuses { (hidden("statuses", status)) }
        }
    }
}

/// How many deliveries a replay would begin.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(in crate::pages) struct DryRun {
    pub(in crate::pages) count: u64,
    pub(in crate::pages) looked_at: u64,
    pub(in crate::pages) complete: bool,
}

pub(super) async fn wizard(visit: Visit, Segment(id): Segment, params: Params) -> Answer {
    let plan = Plan::of_params(&params);
    let counted = async {
        if params.filled("count").is_none() {
            return Ok(Ok(None));
        }
        let request = Request::post(format!("{}/replay", path(&id))).json(&plan.asked(true));
        match visit.api.ask::<DryRun>(request).await {
            Ok(run) => Ok(Ok(Some(run))),
            Err(failure) => Faults::of(failure).map(Err),
        }
    };
    let (me, endpoint, types, counted) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.get::<Endpoint>(path(&id)),
        visit.api.get::<EventTypes>(EVENT_TYPES),
        counted,
    )?;
    let (run, faults) = match counted {
        Ok(run) => (run, Faults::default()),
        Err(faults) => (None, faults),
    };
    Ok(show(&visit, &me, &endpoint, &types, &plan, run, &faults))
}

fn show(
    visit: &Visit,
    me: &Me,
    endpoint: &Endpoint,
    types: &EventTypes,
    plan: &Plan,
    run: Option<DryRun>,
    faults: &Faults,
) -> Response {
    let may = endpoint.may(me, WRITE);
    let here = format!("/console/webhooks/{}/replay", endpoint.id);
    let subscribed = types
        .data
        .iter()
        .filter(|event| endpoint.events.iter().any(|name| name == "*" || *name == event.name));
    let body = html! {
        (faults.summary(&["/since", "/until", "/events", "/statuses", "/rate_per_second"]))
        @if !endpoint.is_enabled() { (banner(Tone::Wary, html! { p { "The endpoint is disabled. Enable it first: a replay waits until then." } })) }
        (section("1. What", html! {
            form class="stack" method="get" action=(here) {
                (hidden("asked", "1")) (hidden("count", "1"))
                div class="columns" {
                    (text("datetime-local", Field::new("since", "Events from").optional().value(&plan.since).fault(faults.of_field("/since")).hint("UTC. From the first that is kept, if left empty.")))
                    (text("datetime-local", Field::new("until", "Before").optional().value(&plan.until).fault(faults.of_field("/until")).hint("UTC. Until now, if left empty.")))
                    (number(Field::new("rate", "Deliveries a second, at most").optional().value(&plan.rate).fault(faults.of_field("/rate_per_second")).hint("50 if left empty."), (1, 500)))
                }
                fieldset class="field" data-faulty[faults.of_field("/statuses").is_some()] {
                    legend { "Which of them" }
                    @if let Some(fault) = faults.of_field("/statuses") { p class="fault" { (icon(Icon::Warning)) (fault) } }
                    div class="ticks" { @for (name, label) in STATUSES { (check("statuses", name, html! { (label) }, plan.statuses.iter().any(|own| own == name), false)) } }
                }
                fieldset class="field" {
                    legend { "Types" span class="optional" { " all that it subscribes to, if none is ticked" } }
                    @if let Some(fault) = faults.of_field("/events") { p class="fault" { (icon(Icon::Warning)) (fault) } }
                    div class="ticks" { @for event in subscribed { (check("events", &event.name, html! { code { (event.name) } }, plan.events.contains(&event.name), false)) } }
                }
                div class="actions" { button class=(if run.is_none() { "button primary" } else { "button" }) disabled[!may] { "Count them" } a class="button" href={ "/console/webhooks/" (endpoint.id) } { "Cancel" } }
                @if !may { p class="hint" { "Needs " code { (WRITE) } "." } }
            }
        }))
        @if let Some(run) = run { (counted(visit, endpoint, plan, run, may)) }
        (as_code(visit, &Call::new("POST", format!("{}/replay", path(&endpoint.id)), WRITE).body(plan.asked(run.is_none()))))
    };
    below(visit, me, endpoint, "Replay")
        .lead(html! { "Sends it events of the past. They are counted first, and nothing is sent before you have seen how many." })
        .status(faults.status())
        .show(body)
}

fn counted(visit: &Visit, endpoint: &Endpoint, plan: &Plan, run: DryRun, may: bool) -> Markup {
    let rate: u64 = plan.rate.parse().unwrap_or(50).max(1);
    section(
        "2. How many",
        html! {
            p class="count" {
                strong { @if !run.complete { "At least " } (run.count) @if run.count == 1 { " delivery" } @else { " deliveries" } }
                " of " (run.looked_at) @if run.looked_at == 1 { " event" } @else { " events" } " that it subscribes to"
                @if run.count > 0 { ", in about " (replays::takes(run.count.div_ceil(rate))) " at " (rate) " a second; longer if the receiver is slow" } "."
            }
            @if !run.complete { (banner(Tone::Wary, html! { p { "Counting stopped after some 5,000 events. There may be more: a shorter time counts the rest." } })) }
            @if run.count > 0 || !run.complete {
                form method="post" action={ "/console/webhooks/" (endpoint.id) "/replay" } {
                    (once(visit)) (plan.hidden())
                    div class="actions" { button class="button primary" disabled[!may] { "Start the replay" } }
                }
                p class="hint" { "It starts within a minute, and can be paused and cancelled. The receiver gets the same webhook-id as before." }
            } @else {
                p class="hint" { "There is nothing to replay." }
            }
        },
    )
}

pub(super) async fn start(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let plan = Plan::of_fields(&fields);
    let request = Request::post(format!("{}/replay", path(&id))).once(fields.once()).json(&plan.asked(false));
    match visit.api.ask::<Replay>(request).await {
        Ok(replay) => Ok(done(&format!("/console/replays/{}", replay.id), "replay-started")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let (me, endpoint, types) = tokio::try_join!(
                Me::of(&visit.api),
                visit.api.get::<Endpoint>(path(&id)),
                visit.api.get::<EventTypes>(EVENT_TYPES)
            )?;
            Ok(show(&visit, &me, &endpoint, &types, &plan, None, &faults))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_asks_for_what_stands_in_the_address() {
        let address = [("since", "2026-11-01T00:00"), ("statuses", "dead"), ("rate", "5"), ("asked", "1")];
        let plan = Plan::of_params(&address.into_iter().collect());
        assert_eq!(
            plan.asked(true),
            json!({"since": "2026-11-01T00:00:00.000Z", "statuses": ["dead"], "rate_per_second": 5, "dry_run": true})
        );
        let usual = Plan::of_params(&Params::default());
        assert_eq!(usual.asked(false), json!({"statuses": ["missing", "dead", "cancelled"]}));
        let none = Plan::of_params(&[("asked", "1")].into_iter().collect());
        assert_eq!(none.asked(false), json!({"statuses": []}));
    }
}
