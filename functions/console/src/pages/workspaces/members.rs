//! Roles in a workspace: given, changed and taken away.

use axum::response::Response;
use maud::html;
use serde_json::json;

use super::{Member, Workspace, may, one::read, path};
use crate::api::{Failure, List, Me, Ours, Request};
use crate::pages::Answer;
use crate::pages::people::{IN_WORKSPACE, User, everybody, role_name};
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, choice, done, empty, icon, once, section,
};
use crate::visit::{Fields, Segment, Segments, Visit};

pub(super) async fn add_form(visit: Visit, Segment(workspace): Segment) -> Answer {
    show_add(&visit, &workspace, ("", "member"), &Faults::default()).await
}

async fn show_add(visit: &Visit, workspace: &str, (user, role): (&str, &str), faults: &Faults) -> Answer {
    let (me, (workspace, _), (users, more)) =
        tokio::try_join!(Me::of(&visit.api), read(visit, workspace), everybody(&visit.api))?;
    let is_here = |user: &User| user.workspace_roles.iter().any(|held| held.workspace_id == workspace.id);
    let others: Vec<(&str, String)> = users
        .iter()
        .filter(|user| user.is_active() && !is_here(user))
        .map(|user| (user.id.as_str(), user.shown()))
        .collect();
    let may = may(&me, &workspace.id, "workspaces:write");
    let here = format!("/console/workspaces/{}", workspace.id);
    let shown = others.first().map_or("usr_…", |(id, _)| *id);
    let shown = if user.is_empty() { shown } else { user };
    let body = html! {
        (faults.summary(&["/role"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "workspaces:write" } ", which your role does not hold." } })) }
        @if others.is_empty() {
            (empty(Icon::People, "Everybody is in it already", html! {
                p { "Whoever is not a member of the organization yet is invited, straight into the workspace." }
                p { a class="button" href="/console/people/invitations/new" { "Invite" } }
            }))
        } @else {
            form class="card stack" method="post" action={ (here) "/members/new" } {
                (once(visit))
                div class="columns" {
                    (choice(Field::new("user_id", "Person").value(user).hint("Active members of the organization without a role of their own here."), others.iter().map(|(id, name)| (*id, name.as_str()))))
                    (choice(Field::new("role", "Role").value(role).fault(faults.of_field("/role")).hint("Nobody gives more than they hold there."), IN_WORKSPACE))
                }
                @if more { p class="hint" { "Only the newest 500 members are named here. Others get a role on " a href="/console/people" { "their own page" } "." } }
                div class="actions" {
                    button class="button primary" disabled[!may] { "Add" }
                    a class="button" href=(here) { "Cancel" }
                }
            }
        }
        (as_code(visit, &Call::new("PUT", format!("{}/members/{shown}", path(&workspace.id)), "workspaces:write").body(json!({"role": role}))))
    };
    Ok(page(visit, &me, &workspace, "Add somebody", faults, body))
}

fn page(
    visit: &Visit,
    me: &Me,
    workspace: &Workspace,
    title: &str,
    faults: &Faults,
    body: maud::Markup,
) -> Response {
    Page::new(visit, me, At::Workspaces, title)
        .below("Workspaces", "/console/workspaces")
        .below(workspace.name.as_str(), format!("/console/workspaces/{}", workspace.id))
        .within(&workspace.id)
        .status(faults.status())
        .show(body)
}

/// A person as an address names them: a form may say anything.
fn is_id(user: &str) -> bool {
    user.starts_with("usr_") && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn put(workspace: &str, user: &str, role: &str) -> Request {
    Request::put(format!("{}/members/{user}", path(workspace))).json(&json!({"role": role}))
}

pub(super) async fn add(visit: Visit, Segment(workspace): Segment, fields: Fields) -> Answer {
    let (user, role) = (fields.get("user_id"), fields.get("role"));
    if !is_id(user) {
        return Err(Ours::Malformed.into());
    }
    match visit.api.tell(put(&workspace, user, role)).await {
        Ok(()) => Ok(done(&format!("/console/workspaces/{workspace}"), "workspace-role-given")),
        Err(failure) => show_add(&visit, &workspace, (user, role), &Faults::of(failure)?).await,
    }
}

/// A member of the workspace. The API has none to ask for by itself, so that the list is looked through.
async fn find(visit: &Visit, workspace: &str, user: &str) -> Result<Member, Failure> {
    const PAGES: usize = 10;
    let mut cursor = None;
    for _ in 0..PAGES {
        let asked = Request::get(format!("{}/members", path(workspace)))
            .query("limit", "100")
            .maybe("cursor", cursor.as_ref());
        let List { data, next_cursor } = visit.api.ask::<List<Member>>(asked).await?;
        if let Some(found) = data.into_iter().find(|member| member.user_id == user) {
            return Ok(found);
        }
        if next_cursor.is_none() {
            break;
        }
        cursor = next_cursor;
    }
    Err(Ours::NoSuchPage.into())
}

pub(super) async fn one(visit: Visit, Segments(workspace, user): Segments) -> Answer {
    show_one(&visit, &workspace, &user, None, &Faults::default()).await
}

async fn show_one(
    visit: &Visit,
    workspace: &str,
    user: &str,
    entered: Option<&str>,
    faults: &Faults,
) -> Answer {
    let (me, (workspace, _), member) =
        tokio::try_join!(Me::of(&visit.api), read(visit, workspace), find(visit, workspace, user))?;
    let may = may(&me, &workspace.id, "workspaces:write");
    let is_own = member.source == "workspace";
    let role = entered.unwrap_or(if is_own { member.role.as_str() } else { "member" });
    let action = format!("/console/workspaces/{}/members/{}", workspace.id, member.user_id);
    let body = html! {
        (faults.summary(&["/role"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "workspaces:write" } ", which your role does not hold." } })) }
        (section("Role in the workspace", html! {
            @if !is_own {
                p { (member.name) " is " strong { (role_name(&member.role)) } " here by a role on the organization. It counts beside one that is given here, and is changed on " a href={ "/console/people/" (member.user_id) } { "their own page" } "." }
            }
            form class="stack" method="post" action=(action) {
                (once(visit))
                (choice(Field::new("role", "Role").value(role).fault(faults.of_field("/role")).hint("Counts from their next request on."), IN_WORKSPACE))
                div class="actions" {
                    button class="button primary" disabled[!may] { @if is_own { "Save" } @else { "Give it" } }
                    a class="button" href={ "/console/workspaces/" (workspace.id) } { "Cancel" }
                }
            }
        }))
        @if is_own {
            (section("Take the role away", html! {
                p { "A role on the organization, if there is one, stays. The only role that somebody holds anywhere cannot be taken away: remove or deactivate the person instead." }
                form method="post" action={ (action) "/remove" } { (once(visit)) button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Take it away" } }
            }))
        }
        (as_code(visit, &Call::new("PUT", format!("{}/members/{}", path(&workspace.id), member.user_id), "workspaces:write").body(json!({"role": role}))))
    };
    Ok(page(visit, &me, &workspace, &member.name, faults, body))
}

pub(super) async fn change(visit: Visit, Segments(workspace, user): Segments, fields: Fields) -> Answer {
    let role = fields.get("role");
    match visit.api.tell(put(&workspace, &user, role)).await {
        Ok(()) => Ok(done(&format!("/console/workspaces/{workspace}"), "workspace-role-given")),
        Err(failure) => show_one(&visit, &workspace, &user, Some(role), &Faults::of(failure)?).await,
    }
}

pub(super) async fn remove(visit: Visit, Segments(workspace, user): Segments, _: Fields) -> Answer {
    let request = Request::delete(format!("{}/members/{user}", path(&workspace)));
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/workspaces/{workspace}"), "workspace-role-taken")),
        Err(failure) => show_one(&visit, &workspace, &user, None, &Faults::of(failure)?).await,
    }
}
