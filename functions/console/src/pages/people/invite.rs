//! Inviting one or many.

use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::invitations::example;
use super::{placement, role_name};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Page, Tone, as_code, badge, banner, cell, lines, once, section, table, textarea,
};
use crate::visit::{Fields, Visit};

/// As many as the API takes at once.
const MOST: usize = 100;

const ROLES: [(&str, &str); 4] =
    [("member", "Member"), ("manager", "Manager"), ("read_only", "Read-only"), ("admin", "Admin")];

/// Somebody to be invited.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    email: String,
    role: String,
    workspace: Option<String>,
}

/// What became of one invitation.
#[derive(Debug, Deserialize)]
struct Outcome {
    email: String,
    status: String,
    #[serde(default)]
    problem: Option<Why>,
}

#[derive(Debug, Deserialize)]
struct Why {
    code: String,
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Outcomes {
    data: Vec<Outcome>,
}

/// What was entered, as the form shows it.
#[derive(Debug, Default)]
struct Entered<'a> {
    people: &'a str,
    role: &'a str,
    workspace: &'a str,
}

pub(super) async fn form(visit: Visit) -> Answer {
    let me = Me::of(&visit.api).await?;
    // One workspace is where everybody goes; of several, whoever invites chooses.
    let workspace = me.workspaces.first().filter(|_| me.workspaces.len() == 1);
    let entered =
        Entered { workspace: workspace.map_or("", |workspace| workspace.id.as_str()), ..Entered::default() };
    Ok(show(&visit, &me, &entered, &Faults::default(), None))
}

fn show(
    visit: &Visit,
    me: &Me,
    entered: &Entered<'_>,
    faults: &Faults,
    outcomes: Option<&Outcomes>,
) -> Response {
    let may = me.may_somewhere("users:write");
    let body = html! {
        @if let Some(outcomes) = outcomes { (told(outcomes)) }
        (faults.summary(&["/people"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "users:write" } ", which your role does not hold." } })) }
        @if outcomes.is_none() || !entered.people.is_empty() {
            form class="card stack" method="post" action="/console/people/invitations/new" {
                (once(visit))
                @if outcomes.is_some() { h2 { "Once more, for those who were refused" } }
                (textarea(Field::new("people", "E-mail addresses").value(entered.people).fault(faults.of_field("/people")).hint("One to a line, up to 100. For a role of its own: address, role, workspace, such as “ada@example.com, manager, Sales”."), 6))
                (placement(me, &ROLES, (entered.role, faults.of_field("/role")), (entered.workspace, faults.of_field("/workspace_id"))))
                p class="hint" { "Role and workspace are for every line that names none. An admin, and a read-only role on everything, are held on the organization. " a href="/console/people/roles" { "What roles may do" } }
                div class="actions" {
                    button class="button primary" disabled[!may] { "Invite" }
                    a class="button" href="/console/people/invitations" { "Cancel" }
                }
            }
        }
        (as_code(visit, &Call::new("POST", "/api/admin/invitations", "users:write").body(example())))
    };
    Page::new(visit, me, At::People, if outcomes.is_some() { "What became of it" } else { "Invite" })
        .below("People", "/console/people")
        .below("Invitations", "/console/people/invitations")
        .lead(html! { "A link by mail, good once, for seven days. Nobody offers more than they hold." })
        .status(faults.status())
        .show(body)
}

fn told(outcomes: &Outcomes) -> Markup {
    let invited = outcomes.data.iter().filter(|outcome| outcome.status == "invited").count();
    let refused = outcomes.data.len() - invited;
    html! {
        @if refused == 0 {
            (banner(Tone::Good, html! { p { strong { (invited) " invited." } " The mails are on their way." } }))
        } @else {
            (banner(Tone::Wary, html! { p { strong { (invited) " invited, " (refused) " refused." } " Why, stands beside each." } }))
        }
        (section("Each of them", html! {
            (table("What became of each invitation", &["Address", "Outcome", "Why"], html! {
                @for outcome in &outcomes.data {
                    tr {
                        (cell("Address", html! { (outcome.email) }))
                        (cell("Outcome", badge(if outcome.status == "invited" { Tone::Good } else { Tone::Bad }, &outcome.status)))
                        (cell("Why", html! { @if let Some(why) = &outcome.problem { (why.detail) br; code class="hint" { (why.code) } } }))
                    }
                }
            }))
            div class="actions" { a class="button" href="/console/people/invitations" { "To the invitations" } }
        }))
    }
}

/// Reads lines of "address", "address, role" or "address, role, workspace". Workspaces are given by id or name.
fn read(text: &str, role: &str, workspace: &str, workspaces: &[(&str, &str)]) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let mut parts = line.split([',', ';', '\t']).map(str::trim);
        let email = parts.next().unwrap_or_default();
        let named_role = parts.next().filter(|role| !role.is_empty());
        let named_workspace = parts.next().filter(|workspace| !workspace.is_empty());
        let role = match named_role.map(role_of) {
            None => role,
            Some(Some(role)) => role,
            Some(None) => {
                wrong.push(format!("Line {number}: there is no role “{}”.", named_role.unwrap_or_default()));
                continue;
            }
        };
        let known = |name: &str| {
            workspaces
                .iter()
                .find(|(id, own)| *id == name || own.eq_ignore_ascii_case(name))
                .map(|(id, _)| *id)
        };
        let workspace = match (named_workspace, named_workspace.and_then(known)) {
            (Some(name), None) => {
                wrong.push(format!("Line {number}: there is no workspace “{name}”."));
                continue;
            }
            (Some(_), Some(id)) => Some(id),
            // Admins are held on the organization, whatever all the others get.
            (None, _) if role == "admin" => None,
            (None, _) => Some(workspace).filter(|workspace| !workspace.is_empty()),
        };
        if parts.any(|rest| !rest.is_empty()) {
            wrong.push(format!("Line {number}: there is more than address, role and workspace."));
            continue;
        }
        rows.push(Row {
            email: email.to_owned(),
            role: role.to_owned(),
            workspace: workspace.map(str::to_owned),
        });
    }
    if !wrong.is_empty() {
        return Err(wrong.join(" "));
    }
    match rows.len() {
        0 => Err("There is no address.".to_owned()),
        1..=MOST => Ok(rows),
        many => Err(format!("There are {many}, and {MOST} can be invited at once.")),
    }
}

/// The role that somebody means by a name.
fn role_of(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace(['-', ' '], "_");
    ROLES.into_iter().map(|(role, _)| role).find(|role| *role == name)
}

/// A line that says the same as a row.
fn written(row: &Row, me: &Me) -> String {
    match &row.workspace {
        Some(workspace) => {
            format!("{}, {}, {}", row.email, role_name(&row.role), me.workspace_name(workspace))
        }
        None => format!("{}, {}", row.email, role_name(&row.role)),
    }
}

pub(super) async fn invite(visit: Visit, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let (role, workspace) = (fields.get("role"), fields.get("workspace_id"));
    let entered = Entered { people: fields.get("people"), role, workspace };
    let workspaces: Vec<(&str, &str)> =
        me.workspaces.iter().map(|workspace| (workspace.id.as_str(), workspace.name.as_str())).collect();
    let rows = match read(entered.people, role, workspace, &workspaces) {
        Ok(rows) => rows,
        Err(wrong) => return Ok(show(&visit, &me, &entered, &Faults::at("/people", &wrong), None)),
    };
    let asked: Vec<Value> = rows
        .iter()
        .map(|row| json!({"email": row.email, "role": row.role, "workspace_id": row.workspace}))
        .collect();
    let request =
        Request::post("/api/admin/invitations").once(fields.once()).json(&json!({"invitations": asked}));
    match visit.api.ask::<Outcomes>(request).await {
        Ok(outcomes) => {
            // In the order of the request.
            let refused = rows.iter().zip(&outcomes.data).filter(|(_, outcome)| outcome.status != "invited");
            let people = lines(refused.map(|(row, _)| written(row, &me)));
            let entered = Entered { people: &people, ..entered };
            Ok(show(&visit, &me, &entered, &Faults::default(), Some(&outcomes)))
        }
        Err(failure) => Ok(show(&visit, &me, &entered, &Faults::of(failure)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACES: &[(&str, &str)] = &[("ws_1", "Sales"), ("ws_2", "Support, nights")];

    fn row(email: &str, role: &str, workspace: Option<&str>) -> Row {
        Row { email: email.to_owned(), role: role.to_owned(), workspace: workspace.map(str::to_owned) }
    }

    #[test]
    fn a_line_names_an_address_and_may_name_more() {
        let text = "a@x.example\n\n b@x.example , Read-only\r\nc@x.example,manager,sales\nd@x.example; admin\n\
                    e@x.example\tmember\tws_2\n";
        let read = read(text, "member", "ws_1", WORKSPACES).unwrap();
        assert_eq!(
            read,
            [
                row("a@x.example", "member", Some("ws_1")),
                row("b@x.example", "read_only", Some("ws_1")),
                row("c@x.example", "manager", Some("ws_1")),
                row("d@x.example", "admin", None),
                row("e@x.example", "member", Some("ws_2")),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_line() {
        let of = |text: &str| read(text, "member", "", WORKSPACES).unwrap_err();
        assert_eq!(of(" \n"), "There is no address.");
        let wrong = of("a@x.example, boss\n\nb@x.example, member, Nowhere\nc@x.example, member, ws_1, x");
        assert!(wrong.contains("Line 1: there is no role “boss”."), "{wrong}");
        assert!(wrong.contains("Line 3: there is no workspace “Nowhere”."), "{wrong}");
        assert!(wrong.contains("Line 4"), "{wrong}");
        let many = "a@x.example\n".repeat(101);
        assert!(of(&many).contains("101"));
    }
}
