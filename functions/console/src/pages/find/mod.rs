//! Anything by its id, and the whole story of it: `/console/find`.
//!
//! An id of anything is enough: the request that caused it, the change, its audit records, the events that came of it, and
//! what became of those at each endpoint, attempt by attempt.

mod gather;
mod given;
mod story;

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};

use self::gather::{Found, Seeker};
use self::given::{Given, Kind, Thing};
use crate::Console;
use crate::api::Me;
use crate::pages::Answer;
use crate::view::{
    At, Call, Icon, Page, Tone, as_code, banner, empty, fragment, icon, id, live, precise, section,
};
use crate::visit::{Params, Visit, Watch, href};

const HERE: &str = "/console/find";

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/find", get(find))
}

async fn find(visit: Visit, params: Params, watch: Watch) -> Answer {
    let entered = params.get("id");
    let me = Me::of(&visit.api).await?;
    let page = Page::new(&visit, &me, At::Find, "Find by id")
        .lead(html! { "Paste the id of anything: what caused it, what came of it, and where it stands." });
    let Some(given) = Given::read(entered) else {
        return Ok(page.show(html! { (form(entered)) (unread(entered)) }));
    };
    let seeker = Seeker { api: &visit.api, me: &me };
    let found = seeker.find(&given).await?;
    let is_over = !found.is_moving();
    let part = told(&visit, &me, &given, &found);
    if watch.is_fragment {
        return Ok(fragment(&watch, part, is_over));
    }
    let body = html! {
        (form(&given.id))
        @if found.is_empty() { (nothing(&given, &found)) } @else if is_over { (part) } @else { (live(&visit.here, 30, part)) }
        (code(&visit, &given))
    };
    Ok(page.show(body))
}

fn form(entered: &str) -> Markup {
    html! {
        form class="card search" method="get" action=(HERE) role="search" aria-label="Find by id" {
            div class="filters" {
                div class="field" {
                    label for="given" { "Id" }
                    input id="given" name="id" type="text" value=(entered) autocomplete="off" spellcheck="false" maxlength="200" aria-describedby="given-hint";
                }
                button class="button primary" { (icon(Icon::Find)) "Find" }
            }
            p class="hint" id="given-hint" { "Of a request, record, event, delivery, attempt, key, endpoint, person, lead, campaign, meeting… or a request id of your own (X-Request-Id)." }
        }
    }
}

/// Where nothing was entered, or nothing that could be an id.
fn unread(entered: &str) -> Markup {
    html! {
        @if !entered.is_empty() {
            (banner(Tone::Wary, html! { p { "That is no id. An id has letters, digits and " code { "_ . : -" } " in it, and nothing else." } }))
        }
        (empty(Icon::Find, "One id, the whole story", html! {
            p { "Every answer of the API has an " code { "X-Request-Id" } ", and so has every problem. Paste it here to see what the request did: the change, its audit record, the events, and each attempt to deliver them." }
            p { "Ids are in every page of the console, with a button to copy them. The key " kbd { "/" } " goes to the field at the top." }
        }))
    }
}

/// Why nothing is found.
fn nothing(given: &Given, found: &Found) -> Markup {
    html! {
        (withheld(found))
        (empty(Icon::Find, "Nothing found", html! {
            p { strong { (given.kind.name()) } @if let Some(at) = given.made_at { ", made " (precise(at)) } "." }
            @match given.kind {
                Kind::Foreign => p { "No request with this id did anything that is on record, and nothing on record has this name. Check that it was sent as " code { "X-Request-Id" } "." },
                Kind::Request => p { "It did nothing that is on record, and caused no event. Reads leave no record; a request of another organization is not told of here." },
                Kind::Attempt => p { "Of an attempt, only the latest deliveries of a few endpoints are looked at. Find its delivery by the page of its endpoint." },
                Kind::Event | Kind::Delivery => p { "It is of another organization or workspace, or it is past the time for which it is kept." },
                _ => p { "It is of another organization, or of a workspace that you may not enter, or it was never there." },
            }
        }))
    }
}

fn withheld(found: &Found) -> Markup {
    html! {
        @if !found.withheld.is_empty() {
            (banner(Tone::Wary, html! {
                @for withheld in &found.withheld {
                    p { (withheld.what) " are left out: that takes " code { (withheld.permission) } ". " a href={ "/console/people/roles#" (withheld.permission) } { "Who has it?" } }
                }
            }))
        }
    }
}

/// The story, which is asked for again while something moves.
fn told(visit: &Visit, me: &Me, given: &Given, found: &Found) -> Markup {
    let now = visit.now();
    let steps = story::steps(given, found, me, now);
    let gaps = story::gaps(given, found, now);
    let earlier = match given.kind {
        Kind::Thing(thing) if thing.acts() => Some(("actor", "All that it did")),
        Kind::Thing(_) => Some(("resource_id", "All that was done to it")),
        _ => None,
    };
    html! {
        div class="parts" {
            (withheld(found))
            (section(given.kind.name(), html! {
                p { (id(&given.id)) @if let Some(at) = given.made_at { " " span class="hint" { "made " (precise(at)) } } }
                @if let (Kind::Thing(thing), Some((state, workspace))) = (given.kind, &found.state) { (story::state(given, thing, state, workspace.as_deref(), now)) }
                @if !found.deliveries.is_empty() && given.kind != Kind::Thing(Thing::Endpoint) { h3 { "Where it stands" } (story::standing(found, now)) }
            }))
            @if !steps.is_empty() {
                (section("What happened, oldest first", html! {
                    @if found.is_more { p class="hint" { "The latest of it." } }
                    (story::show(&steps))
                    @if let Some((name, words)) = earlier { p { a class="button small" href=(href("/console/audit", [(name, given.id.as_str())])) { (words) } } }
                }))
            }
            @if !gaps.is_empty() { ul class="gaps hint" { @for gap in &gaps { li { (gap) } } } }
            @if found.is_moving() { p class="live" { (icon(Icon::Live)) "Kept fresh until it is settled." } }
        }
    }
}

/// The call that the story begins with.
fn code(visit: &Visit, given: &Given) -> Markup {
    let (path, permission) = match given.kind {
        Kind::Record => (format!("/api/admin/audit-logs/{}", given.id), "audit_logs:read"),
        Kind::Event => (format!("/api/admin/events/{}", given.id), "webhooks:read"),
        Kind::Delivery => (format!("/api/admin/webhooks/deliveries/{}", given.id), "webhooks:read"),
        Kind::Thing(_) => {
            (href("/api/admin/audit-logs", [("resource_id", given.id.as_str())]), "audit_logs:read")
        }
        Kind::Request | Kind::Foreign => {
            (href("/api/admin/audit-logs", [("request_id", given.id.as_str())]), "audit_logs:read")
        }
        Kind::Attempt => return html! {},
    };
    as_code(visit, &Call::new("GET", path, permission))
}
