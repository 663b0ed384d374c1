//! Dead letters: deliveries whose attempts are exhausted, and how they get on their way again: `/console/dead-letters`.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::replays::Replay;
use super::webhooks::{
    Delivery, DryRun, EVENT_TYPES, Endpoint, EventTypes, PATH, READ, WRITE, instant, path,
};
use crate::Console;
use crate::api::{List, Me, Request, found};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, cell, choice, done, empty, hidden, icon,
    once, pager, stamp, table, text, unavailable,
};
use crate::visit::{Fields, Params, Visit, href};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/dead-letters", get(list))
        .route("/dead-letters/redrive", get(redrive_form).post(redrive))
}

const HERE: &str = "/console/dead-letters";
/// What narrows the list.
const FILTERS: &[&str] = &["endpoint_id", "event", "since", "until"];
/// So many are redriven by one request, and no more are on a page.
const ON_A_PAGE: &str = "45";

/// The filter, as the API takes it.
fn narrowed(params: &Params) -> [(&'static str, String); 4] {
    let time = |name| instant(params.get(name)).unwrap_or_default();
    [
        ("endpoint_id", params.get("endpoint_id").to_owned()),
        ("event", params.get("event").to_owned()),
        ("since", time("since")),
        ("until", time("until")),
    ]
}

async fn list(visit: Visit, params: Params) -> Answer {
    let dead_letters = format!("{PATH}/dead-letters");
    let asked =
        Request::get(dead_letters.as_str()).query("limit", ON_A_PAGE).query("cursor", params.get("cursor"));
    let asked = narrowed(&params).iter().fold(asked, |asked, (name, value)| asked.query(name, value));
    let endpoints = Request::get(PATH).query("limit", "100");
    let dead = async { Faults::instead_of(visit.api.ask::<List<Delivery>>(asked).await) };
    let (me, types, endpoints, (dead, faults)) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.get::<EventTypes>(EVENT_TYPES),
        visit.api.ask::<List<Endpoint>>(endpoints),
        dead,
    )?;
    let endpoints = endpoints.data;
    let may = me.may_somewhere(WRITE);
    let is_narrowed = params.has_any(FILTERS);
    let body = html! {
        (faults.summary(&["query:endpoint_id", "query:event", "query:since", "query:until"]))
        (filters(&params, &endpoints, &types, &faults))
        @if !faults.is_empty() {
        } @else if dead.data.is_empty() {
            @if is_narrowed || params.has_any(&["cursor"]) {
                (empty(Icon::Dead, "None of these on this page", html! { p { "A narrowed list may have short pages: look at the next one, if there is one." } }))
            } @else {
                (empty(Icon::Tick, "No dead letters", html! { p { "A delivery whose every attempt has failed is kept here, as long as its event. It can be sent again once the receiver is mended." } }))
            }
        } @else {
            form method="get" action={ (HERE) "/redrive" } class="stack" {
                (rows(&dead.data, &endpoints, params.filled("endpoint_id").is_none()))
                div class="actions" {
                    @if may {
                        button class="button primary" { "Redrive those that are ticked" }
                        @if let Some(endpoint) = params.filled("endpoint_id") {
                            a class="button" href=(redrive_all(&params, endpoint)) { "Redrive all of this endpoint" @if params.has_any(&["event", "since", "until"]) { " and filter" } }
                        }
                    } @else {
                        (unavailable(WRITE, html! { "Redrive" }))
                    }
                }
                @if params.filled("endpoint_id").is_none() { p class="hint" { "Choose an endpoint to redrive all of its dead letters at once." } }
            }
        }
        (pager(HERE, &params, dead.next_cursor.as_deref()))
        (as_code(&visit, &Call::new("GET", href(&dead_letters, narrowed(&params).iter().map(|(name, value)| (*name, value.as_str()))), READ)))
    };
    Ok(Page::new(&visit, &me, At::DeadLetters, "Dead letters")
        .lead(html! { "What receivers have not taken after every retry. Nothing is lost: it is kept, and can be sent again." })
        .status(faults.status())
        .show(body))
}

/// Whether a parameter can stand in a path as one segment.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn filters(params: &Params, endpoints: &[Endpoint], types: &EventTypes, faults: &Faults) -> Markup {
    let fault = |name: &str| faults.of_field(&format!("query:{name}"));
    let of = endpoints.iter().map(|endpoint| (endpoint.id.as_str(), endpoint.short()));
    let names = types.data.iter().map(|event| (event.name.as_str(), event.name.as_str()));
    html! {
        form class="filters" method="get" action=(HERE) {
            (choice(Field::new("endpoint_id", "Endpoint").value(params.get("endpoint_id")).fault(fault("endpoint_id")), std::iter::once(("", "All endpoints")).chain(of)))
            (choice(Field::new("event", "Event").value(params.get("event")).fault(fault("event")), std::iter::once(("", "All types")).chain(names)))
            (text("datetime-local", Field::new("since", "Happened from, UTC").optional().value(params.get("since")).fault(fault("since"))))
            (text("datetime-local", Field::new("until", "Before, UTC").optional().value(params.get("until")).fault(fault("until"))))
            button class="button" { "Show" }
            @if params.has_any(FILTERS) { a class="button" href=(HERE) { "Show all" } }
        }
    }
}

fn rows(dead: &[Delivery], endpoints: &[Endpoint], of_several: bool) -> Markup {
    let columns: &[&str] = if of_several {
        &["Tick", "Event", "Endpoint", "Attempts", "Happened", "Given up"]
    } else {
        &["Tick", "Event", "Attempts", "Happened", "Given up"]
    };
    html! {
        label class="check" { input type="checkbox" data-all="delivery" hidden; span class="hint" { "Tick those that are to be sent again." } }
        (table("Dead letters", columns, html! {
            @for delivery in dead {
                @let endpoint = endpoints.iter().find(|endpoint| endpoint.id == delivery.endpoint_id);
                tr {
                    (cell("Tick", html! { label class="check" { input type="checkbox" name="delivery" value=(delivery.id); span class="unseen" { (delivery.event) " of " (delivery.id) } } }))
                    (cell("Event", html! { a class="main whole" href={ "/console/deliveries/" (delivery.id) } { (delivery.event) } }))
                    @if of_several { (cell("Endpoint", html! { a href={ "/console/webhooks/" (delivery.endpoint_id) "/failures" } { (endpoint.map_or(delivery.endpoint_id.as_str(), Endpoint::short)) } })) }
                    (cell("Attempts", html! { (delivery.attempt_count) }))
                    (cell("Happened", stamp(delivery.created_at)))
                    (cell("Given up", stamp(delivery.updated_at)))
                }
            }
        }))
    }
}

fn redrive_all(params: &Params, endpoint: &str) -> String {
    let narrowed = ["event", "since", "until"].map(|name| (name, params.get(name)));
    href(&format!("{HERE}/redrive"), std::iter::once(("endpoint_id", endpoint)).chain(narrowed))
}

/// What is to be redriven: some by their ids, or all of an endpoint.
#[derive(Debug, Clone, Default)]
struct Chosen {
    deliveries: Vec<String>,
    endpoint: String,
    event: String,
    since: String,
    until: String,
}

impl Chosen {
    fn of_params(params: &Params) -> Self {
        let get = |name: &str| params.get(name).to_owned();
        Self {
            deliveries: params.all("delivery").map(str::to_owned).collect(),
            endpoint: get("endpoint_id"),
            event: get("event"),
            since: get("since"),
            until: get("until"),
        }
    }

    fn of_fields(fields: &Fields) -> Self {
        let get = |name: &str| fields.get(name).to_owned();
        Self {
            deliveries: fields.all("delivery").map(str::to_owned).collect(),
            endpoint: get("endpoint_id"),
            event: get("event"),
            since: get("since"),
            until: get("until"),
        }
    }

    fn is_by_id(&self) -> bool {
        !self.deliveries.is_empty()
    }

    fn is_nothing(&self) -> bool {
        !self.is_by_id() && self.endpoint.is_empty()
    }

    /// What narrows them, as the API takes it.
    fn narrowed(&self) -> Map<String, Value> {
        let mut narrowed = Map::new();
        for (name, entered) in [("since", &self.since), ("until", &self.until)] {
            if let Some(at) = instant(entered) {
                narrowed.insert(name.to_owned(), at.into());
            }
        }
        if !self.event.is_empty() {
            narrowed.insert("events".to_owned(), json!([self.event]));
        }
        narrowed
    }

    fn asked(&self) -> Value {
        if self.is_by_id() {
            return json!({"delivery_ids": self.deliveries});
        }
        let mut asked = self.narrowed();
        asked.insert("endpoint_id".to_owned(), self.endpoint.as_str().into());
        Value::Object(asked)
    }

    fn counting(&self) -> Value {
        let mut asked = self.narrowed();
        asked.insert("statuses".to_owned(), json!(["dead"]));
        asked.insert("dry_run".to_owned(), true.into());
        Value::Object(asked)
    }

    fn back(&self) -> String {
        let narrowed = [
            ("endpoint_id", &self.endpoint),
            ("event", &self.event),
            ("since", &self.since),
            ("until", &self.until),
        ];
        href(HERE, narrowed.map(|(name, value)| (name, value.as_str())))
    }
}

async fn redrive_form(visit: Visit, params: Params) -> Answer {
    let chosen = Chosen::of_params(&params);
    confirm(&visit, &chosen, Faults::default()).await
}

async fn confirm(visit: &Visit, chosen: &Chosen, faults: Faults) -> Answer {
    let (mut faults, mut run, mut endpoint) = (faults, None, None);
    if !chosen.is_by_id() && is_plain(&chosen.endpoint) {
        let counting = Request::post(format!("{}/replay", path(&chosen.endpoint))).json(&chosen.counting());
        let (counted, known) = tokio::join!(
            visit.api.ask::<DryRun>(counting),
            visit.api.get::<Endpoint>(path(&chosen.endpoint))
        );
        endpoint = found(known)?;
        match counted {
            Ok(counted) => run = Some(counted),
            Err(failure) if faults.is_empty() => faults = Faults::of(failure)?,
            Err(_) => {}
        }
    }
    let me = Me::of(&visit.api).await?;
    let may = me.may_somewhere(WRITE);
    let body = html! {
        (faults.summary(&[]))
        @if chosen.is_nothing() {
            section class="card" {
                (banner(Tone::Wary, html! { p { "None is ticked." } }))
                div class="actions" { a class="button" href=(chosen.back()) { "Back to the dead letters" } }
            }
        } @else {
            form class="card stack" method="post" action={ (HERE) "/redrive" } {
                (once(visit)) (hidden("endpoint_id", &chosen.endpoint)) (hidden("event", &chosen.event))
                (hidden("since", &chosen.since)) (hidden("until", &chosen.until))
                @for delivery in &chosen.deliveries { (hidden("delivery", delivery)) }
                (told(chosen, endpoint.as_ref(), run))
                p class="hint" { "Each has all its retries before it again. The receiver gets the same webhook-id as before: it can tell what it has handled." }
                div class="actions" {
                    button class="button primary" disabled[!may || run.is_some_and(|run| run.count == 0 && run.complete)] { (icon(Icon::Event)) "Redrive them" }
                    a class="button" href=(chosen.back()) { "Cancel" }
                }
                @if !may { p class="hint" { "Needs " code { (WRITE) } "." } }
            }
            (as_code(visit, &Call::new("POST", format!("{PATH}/dead-letters/redrive"), WRITE).body(chosen.asked())))
        }
    };
    Ok(Page::new(visit, &me, At::DeadLetters, "Redrive dead letters")
        .below("Dead letters", HERE)
        .lead(html! { "What receivers have not taken is sent again." })
        .status(faults.status())
        .show(body))
}

/// What will happen, with how many.
fn told(chosen: &Chosen, endpoint: Option<&Endpoint>, run: Option<DryRun>) -> Markup {
    let count = chosen.deliveries.len();
    html! {
        @if chosen.is_by_id() {
            p class="count" { strong { (count) @if count == 1 { " dead letter" } @else { " dead letters" } } " will be sent again at once." }
            ul class="links" { @for delivery in &chosen.deliveries { li { a href={ "/console/deliveries/" (delivery) } { code { (delivery) } } } } }
        } @else {
            p class="count" {
                @if let Some(run) = run { strong { @if !run.complete { "At least " } (run.count) @if run.count == 1 { " dead letter" } @else { " dead letters" } } } @else { "The dead letters" }
                " of " strong { (endpoint.map_or(chosen.endpoint.as_str(), Endpoint::short)) }
                @if !chosen.event.is_empty() { ", of the type " code { (chosen.event) } }
                @if !chosen.since.is_empty() { ", that happened from " (chosen.since.replace('T', " ")) " UTC on" }
                @if !chosen.until.is_empty() { ", before " (chosen.until.replace('T', " ")) " UTC" }
                " will be sent again by a replay, which has progress and can be paused and cancelled."
            }
        }
    }
}

/// What is on its way.
#[derive(Deserialize)]
struct Redriven {
    #[serde(default)]
    delivery_ids: Vec<String>,
    #[serde(default)]
    skipped: Vec<String>,
    replay: Option<Replay>,
}

async fn redrive(visit: Visit, fields: Fields) -> Answer {
    let chosen = Chosen::of_fields(&fields);
    if chosen.is_nothing() {
        return confirm(&visit, &chosen, Faults::default()).await;
    }
    let request = Request::post(format!("{PATH}/dead-letters/redrive")).once(fields.once());
    match visit.api.ask::<Redriven>(request.json(&chosen.asked())).await {
        Ok(Redriven { replay: Some(replay), .. }) => {
            Ok(done(&format!("/console/replays/{}", replay.id), "replay-started"))
        }
        Ok(Redriven { delivery_ids, skipped, replay: None }) => {
            let notice = match (delivery_ids.is_empty(), skipped.is_empty()) {
                (_, true) => "redriven",
                (false, false) => "redriven-some",
                (true, false) => "redriven-none",
            };
            Ok(done(&chosen.back(), notice))
        }
        Err(failure) => confirm(&visit, &chosen, Faults::of(failure)?).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_alone_and_an_endpoint_takes_a_filter() {
        let by_id = Chosen {
            deliveries: vec!["dlv_1".to_owned()],
            event: "lead.replied".to_owned(),
            ..Chosen::default()
        };
        assert_eq!(by_id.asked(), json!({"delivery_ids": ["dlv_1"]}));
        let all = Chosen {
            endpoint: "ep_1".to_owned(),
            event: "lead.replied".to_owned(),
            since: "2026-11-01T00:00".to_owned(),
            ..Chosen::default()
        };
        assert_eq!(
            all.asked(),
            json!({"endpoint_id": "ep_1", "events": ["lead.replied"], "since": "2026-11-01T00:00:00.000Z"})
        );
        assert_eq!(
            all.counting(),
            json!({"statuses": ["dead"], "dry_run": true, "events": ["lead.replied"], "since": "2026-11-01T00:00:00.000Z"})
        );
        assert!(Chosen::default().is_nothing());
    }

    #[test]
    fn what_comes_from_an_address_stays_one_segment_of_a_path() {
        assert!(is_plain("ep_01kaq8zr3yfe2r4m8n5p6q7s8t"));
        for other in ["", "..", "a/b", "a?b", "a%2fb"] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
