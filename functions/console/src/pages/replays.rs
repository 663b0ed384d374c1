//! A replay: `/console/replays/{id}`.

use axum::Router;
use axum::routing::{get, post};
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::webhooks::{Endpoint, PATH, READ, WRITE, path as endpoint_path};
use crate::Console;
use crate::api::{Me, Request, found};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Page, as_code, button_if, cell, done, facts, fragment, id, live_until_over, moment,
    section_with, span, stamp, status, story, table,
};
use crate::visit::{Fields, Segment, Segments, Visit, Watch};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/replays/{id}", get(one)).route("/replays/{id}/{action}", post(act))
}

/// A replay, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Replay {
    pub(super) id: String,
    endpoint_id: String,
    since: Timestamp,
    until: Timestamp,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    statuses: Vec<String>,
    rate_per_second: u64,
    status: String,
    progress: Progress,
    created_at: Timestamp,
    updated_at: Timestamp,
    finished_at: Option<Timestamp>,
}

/// How far it has come.
#[derive(Debug, Clone, Deserialize)]
struct Progress {
    looked_at: u64,
    sent: u64,
    position: Option<Timestamp>,
    fraction: f64,
}

impl Replay {
    fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "cancelled")
    }

    /// How much lies behind it: 0 to 100.
    fn percent(&self) -> u8 {
        let most = if self.is_over() { 100.0 } else { 99.0 };
        let percent = (self.progress.fraction * 100.0).floor().clamp(0.0, most);
        // It is 0 to 100.
        percent as u8
    }
}

/// A length of time, as one waits for it.
pub(super) fn takes(seconds: u64) -> String {
    if seconds < 2 { "a second".to_owned() } else { span(std::time::Duration::from_secs(seconds)) }
}

/// Replays in a table.
pub(super) fn listed(visit: &Visit, replays: &[Replay]) -> Markup {
    table(
        "Replays",
        &["Begun", "Status", "Events from", "Before", "Which", "Sent"],
        html! {
            @for replay in replays {
                tr {
                    (cell("Begun", html! { a class="main" href={ "/console/replays/" (replay.id) } { (moment(visit.now(), replay.created_at)) } }))
                    (cell("Status", html! { (status(&replay.status)) @if !replay.is_over() { " " span class="hint" { (replay.percent()) " %" } } }))
                    (cell("Events from", stamp(replay.since)))
                    (cell("Before", stamp(replay.until)))
                    (cell("Which", html! { (replay.statuses.join(", ")) }))
                    (cell("Sent", html! { (replay.progress.sent) }))
                }
            }
        },
    )
}

fn path(id: &str) -> String {
    format!("{PATH}/replays/{id}")
}

async fn one(visit: Visit, Segment(id): Segment, watch: Watch) -> Answer {
    if watch.is_fragment {
        let replay: Replay = visit.api.get(path(&id)).await?;
        return Ok(fragment(&watch, inside(&replay), replay.is_over()));
    }
    show(&visit, &id, &Faults::default()).await
}

async fn show(visit: &Visit, replay: &str, faults: &Faults) -> Answer {
    let (me, replay) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Replay>(path(replay)))?;
    let endpoint = found(visit.api.get::<Endpoint>(endpoint_path(&replay.endpoint_id)).await)?;
    let workspace = endpoint.as_ref().and_then(|endpoint| endpoint.workspace_id.as_deref());
    let may = me.may_in(workspace, WRITE);
    let here = format!("/console/replays/{}", replay.id);
    let action = |action: &str, class: &str, label: &str| {
        button_if(visit, may, WRITE, &format!("{here}/{action}"), class, html! { (label) })
    };
    let actions = html! {
        @match replay.status.as_str() {
            "running" => { (action("pause", "button", "Pause")) (action("cancel", "button danger", "Cancel the replay")) },
            "paused" => { (action("resume", "button primary", "Resume")) (action("cancel", "button danger", "Cancel the replay")) },
            _ => {},
        }
    };
    let where_ = endpoint.as_ref().map_or(replay.endpoint_id.as_str(), Endpoint::short);
    let body = html! {
        (faults.summary(&[]))
        @if replay.is_over() {
            section class="card" { (inside(&replay)) }
        } @else {
            section class="card" { (live_until_over(&here, 3, inside(&replay))) }
        }
        (section_with("What is replayed", story(&replay.id), facts([
                ("Id", id(&replay.id)),
                ("To", html! { a href={ "/console/webhooks/" (replay.endpoint_id) } { (where_) } }),
                ("Events from", stamp(replay.since)),
                ("Before", stamp(replay.until)),
                ("Which", html! { (replay.statuses.join(", ")) }),
                ("Types", html! { @if replay.events.is_empty() { "All that it subscribes to" } @else { (replay.events.join(", ")) } }),
                ("Deliveries a second", html! { (replay.rate_per_second) " at most" }),
                ("Begun", moment(visit.now(), replay.created_at)),
                ("Changed", moment(visit.now(), replay.updated_at)),
        ])))
        (as_code(visit, &Call::new("GET", path(&replay.id), READ)))
    };
    Ok(Page::new(visit, &me, At::Webhooks, "Replay")
        .below("Webhooks", "/console/webhooks")
        .below(where_, format!("/console/webhooks/{}", replay.endpoint_id))
        .below("Replays", format!("/console/webhooks/{}/replays", replay.endpoint_id))
        .lead(html! { "Events of the past, on their way once more. What it has queued is sent, also when it is paused or cancelled." })
        .actions(actions)
        .status(faults.status())
        .show(body))
}

/// The part that is kept fresh.
fn inside(replay: &Replay) -> Markup {
    let Progress { looked_at, sent, position, .. } = &replay.progress;
    let percent = replay.percent();
    html! {
        div class="heading" {
            h2 { (status(&replay.status)) }
            @match (replay.status.as_str(), replay.finished_at) {
                ("running", _) if position.is_none() => p class="hint" { "It starts within a minute." },
                ("paused", _) => p class="hint" { "The rest waits until it is resumed." },
                (_, Some(at)) => p class="hint" { "Since " (stamp(at)) },
                _ => {},
            }
        }
        div class="progress" {
            progress aria-label="How much of the time lies behind it" max="100" value=(percent) { (percent) " %" }
            span { (percent) " %" }
        }
        (facts([
            ("Deliveries begun", html! { strong { (sent) } }),
            ("Events looked at", html! { (looked_at) }),
            ("Has come to events of", html! { @match position { Some(at) => (stamp(*at)), None => "none yet" } }),
        ]))
    }
}

async fn act(visit: Visit, Segments(replay, action): Segments, fields: Fields) -> Answer {
    let notice = match action.as_str() {
        "pause" => "replay-paused",
        "resume" => "replay-resumed",
        "cancel" => "replay-cancelled",
        _ => return Err(crate::api::Ours::NoSuchPage.into()),
    };
    let request = Request::post(format!("{}/{action}", path(&replay))).once(fields.once());
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/replays/{replay}"), notice)),
        // It may have come to its end in the meantime.
        Err(failure) => show(&visit, &replay, &Faults::of(failure)?).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_not_done_before_it_is() {
        let now = clock::utc(2026, 11, 22, 15, 0);
        let replay = |status: &str, fraction| Replay {
            id: "rpl_1".to_owned(),
            endpoint_id: "ep_1".to_owned(),
            since: now,
            until: now,
            events: Vec::new(),
            statuses: Vec::new(),
            rate_per_second: 50,
            status: status.to_owned(),
            progress: Progress { looked_at: 0, sent: 0, position: None, fraction },
            created_at: now,
            updated_at: now,
            finished_at: None,
        };
        assert_eq!(replay("running", 1.0).percent(), 99);
        assert_eq!(replay("running", 0.429).percent(), 42);
        assert_eq!(replay("completed", 1.0).percent(), 100);
        assert_eq!(replay("running", f64::NAN).percent(), 0);
    }
}
