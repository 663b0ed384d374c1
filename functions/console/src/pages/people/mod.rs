//! People: `/console/people`, whom they are to become (`/invitations`) and what roles mean (`/roles`).

mod invitations;
mod invite;
mod list;
mod one;
mod roles;

pub(super) use list::{Use, Uses};

use axum::Router;
use axum::routing::{get, post};
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::api::{Caller, Failure, List, Me, Request};
use crate::view::{Field, choice, tabs};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/people", get(list::list))
        .route("/people/roles", get(roles::roles))
        .route("/people/invitations", get(invitations::list))
        .route("/people/invitations/new", get(invite::form).post(invite::invite))
        .route("/people/invitations/{id}/resend", post(invitations::resend))
        .route("/people/invitations/{id}/revoke", get(invitations::revoke_form).post(invitations::revoke))
        .route("/people/{id}", get(one::one).post(one::change))
        .route("/people/{id}/deactivate", post(one::deactivate))
        .route("/people/{id}/reactivate", post(one::reactivate))
        .route("/people/{id}/remove", get(one::remove_form).post(one::remove))
}

/// A member, as the API tells of them.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) workspace_roles: Vec<WorkspaceRole>,
    pub(super) status: String,
    /// Where it was asked for and may be known.
    #[serde(default)]
    pub(super) mfa_enabled: Option<bool>,
    created_at: Timestamp,
}

/// A role in one workspace.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct WorkspaceRole {
    pub(super) workspace_id: String,
    role: String,
}

impl User {
    pub(super) fn is_active(&self) -> bool {
        self.status == "active"
    }

    /// Name and address, for lists to choose from.
    pub(super) fn shown(&self) -> String {
        format!("{} ({})", self.name, self.email)
    }
}

/// The roles that are held in a workspace, by the API's name and ours.
pub(super) const IN_WORKSPACE: [(&str, &str); 3] =
    [("manager", "Manager"), ("member", "Member"), ("read_only", "Read-only")];

/// What a role is called.
pub(super) fn role_name(role: &str) -> &str {
    match role {
        "admin" => "Admin",
        "manager" => "Manager",
        "member" => "Member",
        "read_only" => "Read-only",
        other => other,
    }
}

/// How many members are looked at where all of them matter.
const MOST_LOOKED_AT: usize = 500;

/// The members of the organization, and whether there are more than were looked at.
pub(super) async fn everybody(api: &Caller) -> Result<(Vec<User>, bool), Failure> {
    let mut everybody = Vec::new();
    let mut cursor = None;
    while everybody.len() < MOST_LOOKED_AT {
        let asked = Request::get("/api/admin/users").query("include", "mfa").query("limit", "100");
        let asked = asked.maybe("cursor", cursor.as_ref());
        let List { data, next_cursor } = api.ask::<List<User>>(asked).await?;
        everybody.extend(data);
        cursor = next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok((everybody, cursor.is_some()))
}

/// The pages about people.
fn people_tabs(chosen: &str) -> Markup {
    let tab = |name, path: &str| (name, path.to_owned(), name == chosen);
    tabs(
        "People",
        [
            tab("Members", "/console/people"),
            tab("Invitations", "/console/people/invitations"),
            tab("Roles", "/console/people/roles"),
        ],
    )
}

/// Fields for a role and where it is to be held: `role` and `workspace_id`, each as it stands and with what is wrong with it.
pub(super) fn placement(
    me: &Me,
    roles: &[(&str, &str)],
    (role, wrong_role): (&str, Option<&str>),
    (workspace, wrong_workspace): (&str, Option<&str>),
) -> Markup {
    let workspaces = me.workspaces.iter().map(|it| (it.id.as_str(), it.name.as_str()));
    html! {
        div class="columns" {
            (choice(Field::new("role", "Role").value(role).fault(wrong_role), roles.iter().copied()))
            (choice(Field::new("workspace_id", "Workspace").value(workspace).fault(wrong_workspace).hint("Managers and members belong to a workspace."), std::iter::once(("", "None: the organization as a whole")).chain(workspaces)))
        }
    }
}
