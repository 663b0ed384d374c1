//! The members there are.

use maud::{Markup, html};
use serde::Deserialize;

use super::{User, people_tabs, role_name};
use crate::api::{Failure, List, Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Icon, Page, Searched, Tone, as_code, badge, cell, empty, icon, link_if, meter, moment,
    status, table,
};
use crate::visit::{Params, Visit, href};

const LIST: Searched = Searched { path: "/console/people", of: "members", by: "name or e-mail address" };
const PATH: &str = "/api/admin/users";

/// As much of the organization as a meter needs.
#[derive(Debug, Default, Deserialize)]
pub(in crate::pages) struct Uses {
    usage: Usage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    seats: Use,
    workspaces: Use,
}

/// How much of something is in use, and how much may be.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(in crate::pages) struct Use {
    pub(in crate::pages) used: u64,
    pub(in crate::pages) limit: u64,
}

impl Uses {
    /// Who looks, and what is in use if they may know it. What may not be looked at is not asked for: a refusal would stand
    /// in the audit log.
    pub(in crate::pages) async fn of(visit: &Visit) -> Result<(Me, Self), Failure> {
        let me = Me::of(&visit.api).await?;
        let uses = if me.may_somewhere("organization:read") {
            visit.api.get("/api/admin/organization").await?
        } else {
            Self::default()
        };
        Ok((me, uses))
    }

    pub(in crate::pages) fn workspaces(&self) -> Use {
        self.usage.workspaces
    }
}

impl Use {
    /// A meter, where it is known.
    pub(in crate::pages) fn meter(self, name: &str, hint: &str) -> Markup {
        html! {
            @if self.limit > 0 {
                div class="card narrow" { (meter(name, self.used, self.limit)) p class="hint" { (hint) } }
            }
        }
    }
}

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    let asked = Request::get(PATH)
        .query("include", "mfa")
        .query("search", params.get("search"))
        .query("cursor", params.get("cursor"));
    let users = async { Faults::instead_of(visit.api.ask::<List<User>>(asked).await) };
    let ((me, uses), (users, faults)) = tokio::try_join!(Uses::of(&visit), users)?;
    let may_invite = me.may_somewhere("users:write");
    let invite = link_if(
        may_invite,
        "users:write",
        "/console/people/invitations/new",
        html! { (icon(Icon::Plus)) "Invite" },
    );
    let is_alone =
        users.data.len() == 1 && !params.has_any(&["search", "cursor"]) && users.next_cursor.is_none();
    let columns = ["Person", "On the organization", "In workspaces", "State", "Member since"];
    let table = table(
        "Members",
        &columns,
        html! {
            @for user in &users.data { (row(&visit, &me, user)) }
        },
    );
    let body = html! {
        (people_tabs("Members"))
        (uses.usage.seats.meter("Seats", "Active members take one each; deactivated ones and open invitations take none."))
        (LIST.page(&params, (&users, &faults), html! {}, table))
        @if is_alone {
            (empty(Icon::People, "Nobody else yet", html! {
                p { "Invite the people you work with: each gets a link by mail that is good once, for seven days." }
                p { "A role says what they may do, in one workspace or in the organization as a whole." }
                p { a class="button" href="/console/people/roles" { "What roles may do" } }
            }))
        }
        (as_code(&visit, &Call::new("GET", href(PATH, [("include", "mfa"), ("search", params.get("search"))]), "users:read")))
    };
    let lead = html! { "Who may come in, and what they may do. Newest first." };
    Ok(Page::new(&visit, &me, At::People, "People")
        .lead(lead)
        .actions(invite)
        .status(faults.status())
        .show(body))
}

fn row(visit: &Visit, me: &Me, user: &User) -> Markup {
    html! {
        tr {
            (cell("Person", html! {
                a class="main" href={ "/console/people/" (user.id) } { (user.name) }
                @if user.id == me.user.id { " " (badge(Tone::Busy, "you")) }
                br; span class="hint" { (user.email) }
            }))
            (cell("Role", html! { @match &user.role { Some(role) => (role_name(role)), None => span class="hint" { "none" } } }))
            (cell("Workspaces", in_workspaces(me, user)))
            (cell("State", html! {
                (status(&user.status))
                @if user.mfa_enabled == Some(false) { br; span class="hint" { "no second factor" } }
            }))
            (cell("Since", moment(visit.now(), user.created_at)))
        }
    }
}

/// Roles in workspaces, in short.
fn in_workspaces(me: &Me, user: &User) -> Markup {
    const SHOWN: usize = 3;
    html! {
        @if user.workspace_roles.is_empty() { span class="hint" { "none" } }
        ul {
            @for held in user.workspace_roles.iter().take(SHOWN) {
                li { (role_name(&held.role)) span class="hint" { " in " (me.workspace_name(&held.workspace_id)) } }
            }
            @if user.workspace_roles.len() > SHOWN { li class="hint" { "and " (user.workspace_roles.len() - SHOWN) " more" } }
        }
    }
}
