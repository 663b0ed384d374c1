//! One member: their roles, what they did, and how they leave.

use axum::response::Response;
use clock::Timestamp;
use http::header;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{IN_WORKSPACE, User, role_name};
use crate::api::{Failure, List, Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, badge, banner, button_if, cell, choice, done, facts,
    hidden, icon, id, link_if, moment, once, section, section_with, status, story, table, text, unavailable,
};
use crate::visit::{Fields, Segment, Visit, href};

/// A record of the audit log, as much as a line needs.
#[derive(Debug, Deserialize)]
struct Deed {
    id: String,
    action: String,
    #[serde(default)]
    resource_type: String,
    #[serde(default)]
    resource_id: Option<String>,
    success: bool,
    #[serde(default)]
    error_code: Option<String>,
    timestamp: Timestamp,
}

fn path(user: &str) -> String {
    format!("/api/admin/users/{user}")
}

pub(super) async fn one(visit: Visit, Segment(user): Segment) -> Answer {
    show(&visit, &user, None, &Faults::default()).await
}

/// Who looks, and the latest that somebody did; `None` when that is not to be known. What may not be looked at is not asked
/// for: a refusal would stand in the audit log.
async fn me_and_deeds(visit: &Visit, user: &str) -> Result<(Me, Option<List<Deed>>), Failure> {
    let me = Me::of(&visit.api).await?;
    if !me.may("audit_logs:read") {
        return Ok((me, None));
    }
    let asked = Request::get("/api/admin/audit-logs").query("actor", user).query("limit", "10");
    let deeds = visit.api.ask(asked).await?;
    Ok((me, Some(deeds)))
}

async fn show(visit: &Visit, user: &str, entered: Option<&Fields>, faults: &Faults) -> Answer {
    let ((me, deeds), asked) =
        tokio::try_join!(me_and_deeds(visit, user), visit.api.send(Request::get(path(user))))?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    let user: User = asked.read()?;
    let may = me.may("users:write");
    let is_self = user.id == me.user.id;
    let here = format!("/console/people/{}", user.id);
    let actions = html! {
        @if user.is_active() {
            (button_if(visit, may, "users:write", &format!("{here}/deactivate"), "button", html! { "Deactivate" }))
        } @else {
            (button_if(visit, may, "users:write", &format!("{here}/reactivate"), "button", html! { "Reactivate" }))
        }
        (link_if(is_self || me.may("users:delete"), "users:delete", &format!("{here}/remove"), html! { @if is_self { "Leave" } @else { "Remove" } }))
    };
    let body = html! {
        (faults.summary(&["/name", "/role", "/workspace_roles"]))
        @if !user.is_active() {
            (banner(Tone::Wary, html! { p { strong { "Deactivated." } " They keep their roles, cannot come in, and take no seat." } }))
        }
        (section_with("About", story(&user.id), facts([
            ("Id", id(&user.id)),
            ("E-mail address", html! { (user.email) }),
            ("Member since", moment(visit.now(), user.created_at)),
            ("State", status(&user.status)),
        ])))
        (section("Name and roles", html! {
            @if !may { (banner(Tone::Wary, html! { p { "To change them takes the permission " code { "users:write" } " on the organization." } })) }
            (change_form(visit, &me, &user, &etag, entered, faults, may))
        }))
        (lately(visit, &user, deeds.as_ref()))
        (as_code(visit, &Call::new("PATCH", path(&user.id), "users:write").body(changes(&user))))
    };
    Ok(Page::new(visit, &me, At::People, user.name.as_str())
        .below("People", "/console/people")
        .lead(
            html! { (user.email) " " (status(&user.status)) @if is_self { " " (badge(Tone::Busy, "you")) } },
        )
        .actions(actions)
        .status(faults.status())
        .show(body))
}

/// The roles as they are, as the call has them that would change them.
fn changes(user: &User) -> Value {
    let held = user.workspace_roles.iter();
    let held: Vec<Value> =
        held.map(|held| json!({"workspace_id": held.workspace_id, "role": held.role})).collect();
    json!({"role": user.role, "workspace_roles": held})
}

fn change_form(
    visit: &Visit,
    me: &Me,
    user: &User,
    etag: &str,
    entered: Option<&Fields>,
    faults: &Faults,
    may: bool,
) -> Markup {
    let name = entered.map_or(user.name.as_str(), |fields| fields.get("name"));
    let role = entered.map_or(user.role.as_deref().unwrap_or_default(), |fields| fields.get("role"));
    // Those that may be entered, and those that are archived where a role is held.
    let archived = user.workspace_roles.iter().map(|held| held.workspace_id.as_str());
    let archived = archived.filter(|id| me.workspace(id).is_none());
    let workspaces: Vec<&str> =
        me.workspaces.iter().map(|workspace| workspace.id.as_str()).chain(archived).collect();
    let held = |workspace: &str| -> &str {
        match entered {
            Some(fields) => fields
                .all("workspace_role")
                .filter_map(|held| held.split_once(':'))
                .find(|(id, _)| *id == workspace)
                .map_or("", |(_, role)| match IN_WORKSPACE.iter().find(|(name, _)| *name == role) {
                    Some((name, _)) => name,
                    None => "",
                }),
            None => user
                .workspace_roles
                .iter()
                .find(|held| held.workspace_id == workspace)
                .map_or("", |held| held.role.as_str()),
        }
    };
    html! {
        form class="stack" method="post" action={ "/console/people/" (user.id) } {
            (once(visit)) (hidden("etag", etag))
            div class="columns" {
                (text("text", Field::new("name", "Name in this organization").value(name).fault(faults.of_field("/name"))))
                (choice(Field::new("role", "Role on the organization").value(role).fault(faults.of_field("/role")).hint("Counts in every workspace."), [("", "None"), ("admin", "Admin"), ("read_only", "Read-only")]))
            }
            @if !workspaces.is_empty() {
                fieldset class="field" data-faulty[faults.of_field("/workspace_roles").is_some()] {
                    legend { "Roles in workspaces" }
                    @if let Some(fault) = faults.of_field("/workspace_roles") { p class="fault" { (icon(Icon::Warning)) (fault) } }
                    div class="roles" {
                        @for workspace in &workspaces {
                            @let now = held(workspace);
                            div {
                                label for={ "in-" (workspace) } { (me.workspace_name(workspace)) }
                                select id={ "in-" (workspace) } name="workspace_role" {
                                    option value="" selected[now.is_empty()] { "None" }
                                    @for (role, name) in IN_WORKSPACE {
                                        option value={ (workspace) ":" (role) } selected[now == role] { (name) }
                                    }
                                }
                            }
                        }
                    }
                    p class="hint" { "It counts from their next request on. Nobody gives or takes away what they do not hold. " a href="/console/people/roles" { "What roles may do" } }
                }
            }
            div class="actions" { button class="button primary" disabled[!may] { "Save" } }
        }
    }
}

fn lately(visit: &Visit, user: &User, deeds: Option<&List<Deed>>) -> Markup {
    let all = href("/console/audit", [("actor", user.id.as_str())]);
    let Some(deeds) = deeds else {
        return section("Lately", unavailable("audit_logs:read", html! { "What they did" }));
    };
    section_with(
        "Lately",
        html! { @if !deeds.data.is_empty() { a class="quiet" href=(all) { "All of it" } } },
        html! {
            @if deeds.data.is_empty() {
                p class="hint" { "Nothing that is on record: what only looks at something is not." }
            } @else {
                (table("What they did lately", &["Action", "What", "When", "Outcome"], html! {
                    @for deed in &deeds.data {
                        tr {
                            (cell("Action", html! { a class="main" href={ "/console/audit/" (deed.id) } { (deed.action) } }))
                            (cell("What", html! { (deed.resource_type.replace('_', " ")) @if let Some(resource) = &deed.resource_id { " " code { (resource) } } }))
                            (cell("When", moment(visit.now(), deed.timestamp)))
                            (cell("Outcome", html! { @if deed.success { (badge(Tone::Good, "success")) } @else { (badge(Tone::Bad, deed.error_code.as_deref().unwrap_or("refused"))) } }))
                        }
                    }
                }))
            }
        },
    )
}

pub(super) async fn change(visit: Visit, Segment(user): Segment, fields: Fields) -> Answer {
    let roles = fields.all("workspace_role").filter_map(|held| held.split_once(':'));
    let roles: Vec<Value> =
        roles.map(|(workspace, role)| json!({"workspace_id": workspace, "role": role})).collect();
    let body = json!({"name": fields.get("name"), "role": fields.filled("role"), "workspace_roles": roles});
    let request = Request::patch(path(&user)).header(header::IF_MATCH, fields.get("etag")).json(&body);
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/people/{user}"), "user-changed")),
        Err(failure) => show(&visit, &user, Some(&fields), &Faults::of(failure)?).await,
    }
}

pub(super) async fn deactivate(visit: Visit, Segment(user): Segment, fields: Fields) -> Answer {
    set(&visit, &user, &fields, "deactivate", "user-deactivated").await
}

pub(super) async fn reactivate(visit: Visit, Segment(user): Segment, fields: Fields) -> Answer {
    set(&visit, &user, &fields, "reactivate", "user-reactivated").await
}

async fn set(visit: &Visit, user: &str, fields: &Fields, verb: &str, notice: &'static str) -> Answer {
    match visit.api.tell(Request::post(format!("{}/{verb}", path(user))).once(fields.once())).await {
        Ok(()) => Ok(done(&format!("/console/people/{user}"), notice)),
        Err(failure) => show(visit, user, None, &Faults::of(failure)?).await,
    }
}

pub(super) async fn remove_form(visit: Visit, Segment(user): Segment) -> Answer {
    let (me, asked) = tokio::try_join!(Me::of(&visit.api), visit.api.send(Request::get(path(&user))))?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    Ok(show_remove(&visit, &me, &asked.read()?, &etag, &Faults::default()))
}

fn show_remove(visit: &Visit, me: &Me, user: &User, etag: &str, faults: &Faults) -> Response {
    let is_self = user.id == me.user.id;
    let may = is_self || me.may("users:delete");
    let here = format!("/console/people/{}", user.id);
    let body = html! {
        (faults.summary(&["/confirm"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "users:delete" } ", which your role does not hold." } })) }
        form class="card stack" method="post" action={ (here) "/remove" } {
            (once(visit)) (hidden("etag", etag))
            @if is_self {
                p { "You leave " strong { (me.organization.name) } ", with your next request. To come back takes an invitation." }
            } @else {
                p { strong { (user.name) } " (" (user.email) ") is out with their next request: their sessions in this organization end, and their seat is free." }
            }
            p { "What they made stays, API keys included. To keep somebody out for a while, deactivate them instead." }
            @if !user.workspace_roles.is_empty() || user.role.is_some() {
                p { "Roles that are lost: "
                    @if let Some(role) = &user.role { (role_name(role)) " on the organization" @if !user.workspace_roles.is_empty() { ", " } }
                    @for (at, held) in user.workspace_roles.iter().enumerate() { @if at > 0 { ", " } (role_name(&held.role)) " in " (me.workspace_name(&held.workspace_id)) }
                    "." }
            }
            (text("text", Field::new("confirm", "The name of the person, to be sure").fault(faults.of_field("/confirm")).hint(&format!("As it stands here: {}", user.name))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) @if is_self { "Leave the organization" } @else { "Remove the person" } }
                a class="button" href=(here) { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", path(&user.id), "users:delete")))
    };
    Page::new(visit, me, At::People, if is_self { "Leave the organization" } else { "Remove the person" })
        .below("People", "/console/people")
        .below(user.name.as_str(), here.as_str())
        .status(faults.status())
        .show(body)
}

pub(super) async fn remove(visit: Visit, Segment(user): Segment, fields: Fields) -> Answer {
    let (me, asked) = tokio::try_join!(Me::of(&visit.api), visit.api.send(Request::get(path(&user))))?;
    let (user, now): (User, _) = (asked.read()?, asked.header("etag").unwrap_or_default());
    let etag = fields.get("etag");
    if fields.get("confirm") != user.name.trim() {
        let faults = Faults::at("/confirm", "That is not the name of the person.");
        return Ok(show_remove(&visit, &me, &user, etag, &faults));
    }
    match visit.api.tell(Request::delete(path(&user.id)).header(header::IF_MATCH, etag)).await {
        Ok(()) => Ok(done("/console/people", "user-removed")),
        // What is shown is how they are now, and the next try is about that.
        Err(failure) => Ok(show_remove(&visit, &me, &user, now, &Faults::of(failure)?)),
    }
}
