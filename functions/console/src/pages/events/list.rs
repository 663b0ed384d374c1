//! What happened.

use maud::{Markup, html};

use super::{Event, PATH, ways};
use crate::api::{List, Me, Request};
use crate::pages::Answer;
use crate::pages::webhooks::{EVENT_TYPES, EventTypes, READ};
use crate::view::{
    At, Call, Field, Icon, Page, Tone, as_code, badge, cell, choice, empty, fragment, icon, live, pager,
    stamp, table,
};
use crate::visit::{Params, Visit, Watch};

const HERE: &str = "/console/events";
const FILTERS: &[&str] = &["event", "workspace_id"];

pub(super) async fn list(visit: Visit, params: Params, watch: Watch) -> Answer {
    let asked = Request::get(PATH)
        .query("event", params.get("event"))
        .query("workspace_id", params.get("workspace_id"))
        .query("cursor", params.get("cursor"));
    let events = visit.api.ask::<List<Event>>(asked);
    if watch.is_fragment {
        let (me, events) = tokio::try_join!(Me::of(&visit.api), events)?;
        return Ok(fragment(&watch, inside(&me, &params, &events), false));
    }
    let (me, types, events) =
        tokio::try_join!(Me::of(&visit.api), visit.api.get::<EventTypes>(EVENT_TYPES), events)?;
    let is_live = params.filled("cursor").is_none();
    let names = types.data.iter().map(|event| (event.name.as_str(), event.name.as_str()));
    let workspaces = me.workspaces.iter().map(|workspace| (workspace.id.as_str(), workspace.name.as_str()));
    let body = html! {
        (ways(false))
        form class="filters" method="get" action=(HERE) {
            (choice(Field::new("workspace_id", "Workspace").value(params.get("workspace_id")), std::iter::once(("", "All workspaces")).chain(workspaces)))
            (choice(Field::new("event", "Event").value(params.get("event")), std::iter::once(("", "All types")).chain(names)))
            button class="button" { "Show" }
            @if params.has_any(FILTERS) { a class="button" href=(HERE) { "Show all" } }
        }
        @if is_live {
            p class="live" { (icon(Icon::Live)) "Kept fresh" }
            (live(&params.href(HERE, &[]), 5, inside(&me, &params, &events)))
        } @else {
            (inside(&me, &params, &events))
        }
        (as_code(&visit, &Call::new("GET", params.href(PATH, &[("cursor", "")]), READ)))
    };
    Ok(Page::new(&visit, &me, At::Events, "Events")
        .lead(html! { "What happened to your data, newest first, whether anybody was sent it or not." })
        .show(body))
}

/// The part that is kept fresh.
fn inside(me: &Me, params: &Params, events: &List<Event>) -> Markup {
    html! {
        @if events.data.is_empty() {
            @if params.has_any(FILTERS) || params.has_any(&["cursor"]) {
                (empty(Icon::Event, "None of these", html! { p { "No event on this page is of that kind. A narrowed list may have short pages: look at the next one, if there is one." } }))
            } @else {
                (empty(Icon::Event, "Nothing has happened yet", html! {
                    p { "When a campaign starts, a lead replies or a meeting is booked, an event is written, in the same transaction as the change itself." }
                    p { a class="button" href="/console/webhooks/new" { "Have them sent to you" } }
                }))
            }
        } @else {
            (table("Events", &["Event", "Of", "Workspace", "Happened"], html! {
                @for event in &events.data {
                    tr {
                        (cell("Event", html! { a class="main whole" href={ "/console/events/" (event.id) } { (event.event) } @if event.mode == "test" { " " (badge(Tone::Quiet, "test data")) } @if event.only_for.is_some() { " " (badge(Tone::Quiet, "a trial")) } }))
                        (cell("Of", html! { @match event.about() { Some(id) => code { (id) }, None => {} } }))
                        (cell("Workspace", html! { (me.workspace_name(&event.workspace_id)) }))
                        (cell("Happened", stamp(event.timestamp)))
                    }
                }
            }))
        }
        (pager(HERE, params, events.next_cursor.as_deref()))
    }
}
