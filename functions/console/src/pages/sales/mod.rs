//! What a team sells with: campaigns, leads, meetings of a workspace, at `/console/w/{workspace}/…`.

mod campaigns;
mod caused;
mod leads;
mod meetings;

use axum::Router;
use axum::routing::{get, post};
use maud::{Markup, html};

use crate::Console;
use crate::api::Me;
use crate::view::{Faults, Icon, check, hidden, icon, once, section, tabs, unavailable};
use crate::visit::{Fields, Visit};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/w/{workspace}/campaigns", get(campaigns::list))
        .route("/w/{workspace}/campaigns/new", get(campaigns::form).post(campaigns::create))
        .route("/w/{workspace}/campaigns/{id}", get(campaigns::one).post(campaigns::change))
        .route("/w/{workspace}/campaigns/{id}/{action}", post(campaigns::act))
        .route("/w/{workspace}/leads", get(leads::list))
        .route("/w/{workspace}/leads/new", get(leads::form).post(leads::create))
        .route("/w/{workspace}/leads/{id}", get(leads::one).post(leads::change))
        .route("/w/{workspace}/leads/{id}/replies", post(leads::reply))
        .route("/w/{workspace}/leads/{id}/qualify", post(leads::qualify))
        .route("/w/{workspace}/leads/{id}/delete", post(leads::delete))
        .route("/w/{workspace}/meetings", get(meetings::list))
        .route("/w/{workspace}/meetings/new", get(meetings::form).post(meetings::create))
        .route("/w/{workspace}/meetings/{id}", get(meetings::one))
        .route("/w/{workspace}/meetings/{id}/cancel", post(meetings::cancel))
}

/// The workspaces that may be entered, of which one is shown.
fn workspaces(me: &Me, chosen: &str, what: &str) -> Markup {
    let all = me.workspaces.iter();
    let all = all.map(|it| (it.name.as_str(), format!("/console/w/{}/{what}", it.id), it.id == chosen));
    html! { @if me.workspaces.len() > 1 { (tabs("Workspaces", all)) } }
}

/// Whether something may be done in a workspace.
fn may(me: &Me, workspace: &str, permission: &str) -> bool {
    me.may(permission) || me.workspace(workspace).is_some_and(|it| it.may(permission))
}

/// The end of something, for good: who may do it says that they are sure.
struct Deletion<'a> {
    /// What it is, such as "lead".
    what: &'a str,
    /// What becomes of it.
    told: &'a str,
    permission: &'a str,
    may: bool,
    action: String,
    etag: &'a str,
}

impl Deletion<'_> {
    /// The field that says that they are sure.
    const SURE: &'static str = "sure";

    fn show(&self, visit: &Visit, faults: &Faults) -> Markup {
        let Self { what, told, permission, may, action, etag } = self;
        let body = html! {
            p { (told) }
            @if *may {
                form class="stack" method="post" action=(action) {
                    (once(visit)) (hidden("etag", etag))
                    @if let Some(fault) = faults.of_field("/sure") { p class="fault" { (icon(Icon::Warning)) (fault) } }
                    (check(Self::SURE, "yes", html! { "I am sure" }, false, false))
                    div class="actions" { button class="button danger" { "Delete the " (what) } }
                }
            } @else {
                (unavailable(permission, html! { "Delete the " (what) }))
            }
        };
        section("Delete", body)
    }

    /// Whether a form says so.
    fn is_sure(fields: &Fields) -> Result<(), Faults> {
        if fields.is_ticked(Self::SURE) { Ok(()) } else { Err(Faults::at("/sure", "Tick this, to be sure.")) }
    }
}

/// Pages of the developer API show live data: a session has no test mode, a key has.
const LIVE: &str = "Live data. What test keys make is data of its own, which only test keys see.";
