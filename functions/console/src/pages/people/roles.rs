//! What roles may do: the matrix, with a line for each permission to be led to.

use maud::{Markup, html};
use serde::Deserialize;

use super::{people_tabs, role_name};
use crate::api::{Me, by_resource};
use crate::pages::Answer;
use crate::view::{At, Call, Icon, Page, Tone, as_code, badge, icon, section, tabs};
use crate::visit::{Params, Visit, href};

/// Who may do what.
#[derive(Debug, Deserialize)]
struct Matrix {
    data: Vec<Role>,
    permissions: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Role {
    role: String,
    #[serde(default)]
    held_on: Vec<String>,
    permissions: Vec<String>,
}

impl Role {
    fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|held| held == permission)
    }

    /// Where it is held, in words.
    fn place(&self) -> &'static str {
        let on = |place: &str| self.held_on.iter().any(|held| held == place);
        match (on("organization"), on("workspace")) {
            (true, true) => "on the organization or in a workspace",
            (true, false) => "on the organization",
            (false, true) => "in a workspace",
            (false, false) => "nowhere",
        }
    }
}

/// The pages of the console, and what it takes to see and to use them.
const PAGES: &[(&str, &str, &[&str])] = &[
    ("API keys", "api_keys:read", &["api_keys:write", "api_keys:delete"]),
    ("Webhooks, events, dead letters", "webhooks:read", &["webhooks:write", "webhooks:delete"]),
    ("Audit log", "audit_logs:read", &["audit_logs:export"]),
    ("Campaigns", "campaigns:read", &["campaigns:write", "campaigns:delete"]),
    ("Leads", "leads:read", &["leads:write", "leads:delete"]),
    ("Meetings", "meetings:read", &["meetings:write", "meetings:delete"]),
    ("People", "users:read", &["users:write", "users:delete"]),
    ("Workspaces", "workspaces:read", &["workspaces:write", "workspaces:delete"]),
    ("Settings: organization", "organization:read", &["organization:write", "organization:delete"]),
    ("Settings: domains", "domains:read", &["domains:write", "domains:delete"]),
    ("Settings: single sign-on", "sso:read", &["sso:write", "sso:delete"]),
    ("Settings: privacy", "privacy:read", &["privacy:write"]),
];

/// What a permission allows, in words.
fn allows(permission: &str) -> &'static str {
    match permission {
        "organization:read" => "see name, plan, settings and what is in use",
        "organization:write" => "change name, plan and settings; export everything; restore after deletion",
        "organization:delete" => "delete the organization",
        "domains:read" => "see domains and their DNS records",
        "domains:write" => "claim and verify domains, and say who joins by them",
        "domains:delete" => "give domains up",
        "sso:read" => "see the identity provider",
        "sso:write" => "set the identity provider up, or replace it",
        "sso:delete" => "remove the identity provider",
        "workspaces:read" => "see workspaces and who is in them",
        "workspaces:write" => "make, rename and archive workspaces; give and take roles in them",
        "workspaces:delete" => "delete workspaces",
        "users:read" => "see people and invitations",
        "users:write" => "invite people, change their roles, deactivate and reactivate them",
        "users:delete" => "remove people",
        "api_keys:read" => "see API keys and what they were used for",
        "api_keys:write" => "make, change and rotate API keys",
        "api_keys:delete" => "revoke API keys",
        "webhooks:read" => "see endpoints, events, deliveries and dead letters",
        "webhooks:write" => "make and change endpoints, test, resend, redrive and replay",
        "webhooks:delete" => "delete endpoints",
        "campaigns:read" => "see campaigns",
        "campaigns:write" => "make and change campaigns",
        "campaigns:delete" => "delete campaigns",
        "leads:read" => "see leads and their replies",
        "leads:write" => "make and change leads",
        "leads:delete" => "delete leads",
        "meetings:read" => "see meetings",
        "meetings:write" => "book and change meetings",
        "meetings:delete" => "delete meetings",
        "analytics:read" => "see figures about campaigns",
        "audit_logs:read" => "search the audit log and prove its records",
        "audit_logs:export" => "export the audit log",
        "privacy:read" => "export what is held about a person, and follow such requests",
        "privacy:write" => "erase a person",
        _ => "",
    }
}

pub(super) async fn roles(visit: Visit, params: Params) -> Answer {
    let (me, matrix) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Matrix>("/api/admin/roles"))?;
    let chosen = matrix.data.iter().find(|role| role.role == params.get("role"));
    let here = "/console/people/roles";
    let all = std::iter::once(("All roles", here.to_owned(), chosen.is_none()));
    let each = matrix.data.iter().map(|role| {
        let name = role_name(&role.role);
        (
            name,
            href(here, [("role", role.role.as_str())]),
            chosen.is_some_and(|chosen| chosen.role == role.role),
        )
    });
    let body = html! {
        (people_tabs("Roles"))
        section class="card" {
            div class="heading" { h2 { "View as" } (tabs("View as a role", all.chain(each))) }
            @match chosen {
                Some(role) => (seen_as(&me, &matrix, role)),
                None => ul class="roles-held" {
                    @for role in &matrix.data {
                        li {
                            strong { (role_name(&role.role)) }
                            " is held " (role.place()) " and gives " (role.permissions.len()) " of " (matrix.permissions.len()) " permissions."
                            @if me.roles().contains(&role.role.as_str()) { " " (badge(Tone::Busy, "yours")) }
                        }
                    }
                },
            }
        }
        (table_of(&me, &matrix, chosen))
        p class="hint" { "API keys are judged by the same permissions: a key may do what its scopes name. Of two roles that are held in one place, both count." }
        (as_code(&visit, &Call::new("GET", "/api/admin/roles", "nothing in particular")))
    };
    let lead = html! { "What each role may do, and where it is held. Every control that you cannot use leads here." };
    Ok(Page::new(&visit, &me, At::People, "Roles").below("People", "/console/people").lead(lead).show(body))
}

/// The console as a role sees it.
fn seen_as(me: &Me, matrix: &Matrix, role: &Role) -> Markup {
    html! {
        p {
            strong { (role_name(&role.role)) } " is held " (role.place()) ". It may " (role.permissions.len()) " of " (matrix.permissions.len()) " things."
            @if me.roles().contains(&role.role.as_str()) { " You hold it." }
        }
        div class="table" { table {
            caption class="unseen" { "The pages of the console, as this role sees them" }
            thead { tr { th scope="col" { "Page" } th scope="col" { "Sees it" } th scope="col" { "May change" } } }
            tbody {
                @for (page, read, rest) in PAGES {
                    @let sees = role.may(read);
                    tr data-lacking[!sees] {
                        td data-label="Page" { (page) }
                        td data-label="Sees it" { (yes(sees)) }
                        td data-label="May change" { div {
                            @for permission in *rest {
                                span class="held" {
                                    @if role.may(permission) { (icon(Icon::Tick)) code { (permission) } }
                                    @else { (icon(Icon::Lock)) span class="unseen" { "lacks " } code class="lacking" { (permission) } }
                                }
                                " "
                            }
                        } }
                    }
                }
            }
        } }
    }
}

fn yes(held: bool) -> Markup {
    html! { @if held { span class="yes" { (icon(Icon::Tick)) "Yes" } } @else { span class="no" { (icon(Icon::Cross)) "No" } } }
}

fn table_of(me: &Me, matrix: &Matrix, chosen: Option<&Role>) -> Markup {
    let groups = by_resource(&matrix.permissions);
    let is_chosen = |role: &Role| chosen.is_some_and(|chosen| chosen.role == role.role);
    section(
        "Every permission",
        html! {
            div class="table matrix-of-roles" { table {
                caption class="unseen" { "Permissions and the roles that hold them" }
                thead { tr {
                    th scope="col" { "Permission" }
                    @for role in &matrix.data {
                        th scope="col" data-chosen[is_chosen(role)] { (role_name(&role.role)) @if me.roles().contains(&role.role.as_str()) { " " span class="optional" { "(yours)" } } }
                    }
                } }
                @for (resource, permissions) in &groups {
                    tbody {
                        tr class="group" { th colspan=(matrix.data.len() + 1) scope="rowgroup" { (resource.replace('_', " ")) } }
                        @for permission in permissions {
                            tr id=(permission) data-lacking[chosen.is_some_and(|role| !role.may(permission))] {
                                th scope="row" { code { (permission) } " " span class="hint" { (allows(permission)) } }
                                @for role in &matrix.data {
                                    td data-label=(role_name(&role.role)) data-chosen[is_chosen(role)] { (yes(role.may(permission))) }
                                }
                            }
                        }
                    }
                }
            } }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_that_a_page_takes_is_explained() {
        for (page, read, rest) in PAGES {
            for permission in std::iter::once(read).chain(*rest) {
                assert!(!allows(permission).is_empty(), "{page}: {permission}");
            }
        }
    }

    #[test]
    fn it_is_said_where_a_role_is_held() {
        let role = |held_on: &[&str]| Role {
            role: "x".to_owned(),
            held_on: held_on.iter().map(|place| (*place).to_owned()).collect(),
            permissions: Vec::new(),
        };
        assert_eq!(role(&["organization", "workspace"]).place(), "on the organization or in a workspace");
        assert_eq!(role(&["workspace"]).place(), "in a workspace");
    }
}
