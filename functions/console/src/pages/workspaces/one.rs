//! One workspace: its name, who is in it, and how it ends.

use axum::response::Response;
use http::header;
use maud::{Markup, html};
use serde_json::json;

use super::{Member, Workspace, may, path};
use crate::api::{Failure, List, Me, Request};
use crate::pages::Answer;
use crate::pages::people::role_name;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, badge, banner, cell, done, facts, hidden, icon, id,
    link_if, moment, once, pager, section, section_with, status, story, table, text, unavailable,
};
use crate::visit::{Fields, Params, Segment, Visit};

pub(super) async fn one(visit: Visit, Segment(workspace): Segment, params: Params) -> Answer {
    show(&visit, &workspace, &params, None, &Faults::default()).await
}

/// A workspace and its entity tag.
pub(super) async fn read(visit: &Visit, workspace: &str) -> Result<(Workspace, String), Failure> {
    let asked = visit.api.send(Request::get(path(workspace))).await?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    Ok((asked.read()?, etag))
}

async fn show(
    visit: &Visit,
    workspace: &str,
    params: &Params,
    entered: Option<&Fields>,
    faults: &Faults,
) -> Answer {
    let members = Request::get(format!("{}/members", path(workspace))).query("cursor", params.get("cursor"));
    let (me, (workspace, etag), members) = tokio::try_join!(
        Me::of(&visit.api),
        read(visit, workspace),
        visit.api.ask::<List<Member>>(members),
    )?;
    let may_write = may(&me, &workspace.id, "workspaces:write");
    let here = format!("/console/workspaces/{}", workspace.id);
    let is_active = workspace.status == "active";
    let delete = link_if(
        may(&me, &workspace.id, "workspaces:delete"),
        "workspaces:delete",
        &format!("{here}/delete"),
        html! { "Delete" },
    );
    let add = link_if(
        may_write,
        "workspaces:write",
        &format!("{here}/members/new"),
        html! { (icon(Icon::Plus)) "Add somebody" },
    );
    let body = html! {
        (faults.summary(&["/name"]))
        @if !is_active {
            (banner(Tone::Wary, html! { p { strong { "Archived." } " Nothing in it can be used, by people or by API keys. It still counts towards the plan." } }))
        }
        (section_with("About", story(&workspace.id), facts([
            ("Id", id(&workspace.id)),
            ("State", status(&workspace.status)),
            ("Your role", html! { @match me.workspace(&workspace.id) { Some(own) => (role_name(&own.role)), None => "None" } }),
            ("Made", moment(visit.now(), workspace.created_at)),
        ])))
        (section_with("Members", add, html! {
            @if members.data.is_empty() {
                p class="hint" { "Nobody has a role in it yet. Whoever is added works with its campaigns, leads and meetings." }
            } @else {
                (table("Members of the workspace", &["Person", "Role", "Held", "State", "Actions"], html! {
                    @for member in &members.data { (row(&me, &here, member, may_write)) }
                }))
                (pager(&here, params, members.next_cursor.as_deref()))
            }
            (as_code(visit, &Call::new("GET", format!("{}/members", path(&workspace.id)), "workspaces:read")))
        }))
        (section("Name and state", changes(visit, &workspace, &etag, entered, faults, may_write)))
        (as_code(visit, &Call::new("PATCH", path(&workspace.id), "workspaces:write").body(json!({"name": workspace.name, "status": workspace.status}))))
    };
    Ok(Page::new(visit, &me, At::Workspaces, workspace.name.as_str())
        .below("Workspaces", "/console/workspaces")
        .lead(html! { "Who works in it, with which role, and where the role comes from." })
        .within(&workspace.id)
        .actions(delete)
        .status(faults.status())
        .show(body))
}

fn row(me: &Me, here: &str, member: &Member, may_write: bool) -> Markup {
    html! {
        tr {
            (cell("Person", html! {
                a class="main" href={ "/console/people/" (member.user_id) } { (member.name) }
                @if member.user_id == me.user.id { " " (badge(Tone::Busy, "you")) }
                br; span class="hint" { (member.email) }
            }))
            (cell("Role", html! { (role_name(&member.role)) }))
            (cell("Held", html! { @if member.source == "workspace" { "here" } @else { "on the organization" } }))
            (cell("State", status(&member.status)))
            (cell("", html! {
                @if may_write { a class="button small" href={ (here) "/members/" (member.user_id) } { "Change" span class="unseen" { " the role of " (member.name) } } }
            }))
        }
    }
}

fn changes(
    visit: &Visit,
    workspace: &Workspace,
    etag: &str,
    entered: Option<&Fields>,
    faults: &Faults,
    may: bool,
) -> Markup {
    let name = entered.map_or(workspace.name.as_str(), |fields| fields.get("name"));
    let here = format!("/console/workspaces/{}", workspace.id);
    let is_active = workspace.status == "active";
    html! {
        @if !may { (banner(Tone::Wary, html! { p { "To change them takes the permission " code { "workspaces:write" } "." } })) }
        form class="stack" method="post" action=(here) {
            (once(visit)) (hidden("etag", etag))
            (text("text", Field::new("name", "Name").value(name).fault(faults.of_field("/name"))))
            div class="actions" { button class="button primary" disabled[!may] { "Rename" } }
        }
        hr;
        form class="stack" method="post" action={ (here) "/status" } {
            (once(visit)) (hidden("etag", etag)) (hidden("status", if is_active { "archived" } else { "active" }))
            @if is_active {
                p { "Archiving stops everything in it: campaigns are not sent, API keys and people get nothing from it. Nothing is lost, and it can be made active again." }
            } @else {
                p { "Made active again, it is as it was before it was archived." }
            }
            div class="actions" {
                @if may { button class="button" { @if is_active { "Archive" } @else { "Make active" } } }
                @else { (unavailable("workspaces:write", html! { @if is_active { "Archive" } @else { "Make active" } })) }
            }
        }
    }
}

pub(super) async fn rename(visit: Visit, Segment(workspace): Segment, fields: Fields) -> Answer {
    let asked = json!({"name": fields.get("name")});
    let request = Request::patch(path(&workspace)).header(header::IF_MATCH, fields.get("etag")).json(&asked);
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/workspaces/{workspace}"), "workspace-renamed")),
        Err(failure) => {
            show(&visit, &workspace, &Params::default(), Some(&fields), &Faults::of(failure)?).await
        }
    }
}

pub(super) async fn set_status(visit: Visit, Segment(workspace): Segment, fields: Fields) -> Answer {
    let status = fields.get("status");
    let asked = json!({"status": status});
    let request = Request::patch(path(&workspace)).header(header::IF_MATCH, fields.get("etag")).json(&asked);
    let notice = if status == "archived" { "workspace-archived" } else { "workspace-active" };
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/workspaces/{workspace}"), notice)),
        Err(failure) => show(&visit, &workspace, &Params::default(), None, &Faults::of(failure)?).await,
    }
}

pub(super) async fn delete_form(visit: Visit, Segment(workspace): Segment) -> Answer {
    let (me, (workspace, etag)) = tokio::try_join!(Me::of(&visit.api), read(&visit, &workspace))?;
    Ok(show_delete(&visit, &me, &workspace, &etag, &Faults::default()))
}

fn show_delete(visit: &Visit, me: &Me, workspace: &Workspace, etag: &str, faults: &Faults) -> Response {
    let may = may(me, &workspace.id, "workspaces:delete");
    let here = format!("/console/workspaces/{}", workspace.id);
    let body = html! {
        (faults.summary(&["/confirm"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "workspaces:delete" } ", which your role does not hold." } })) }
        form class="card stack" method="post" action={ (here) "/delete" } {
            (once(visit)) (hidden("etag", etag))
            p { "With " strong { (workspace.name) } " end, at once:" }
            ul class="plain-list" {
                li { "API keys, webhook endpoints and open invitations that are for this workspace alone," }
                li { "every role that was given in it." }
            }
            p { "Its campaigns, leads and meetings cannot be reached any more, and are erased 30 days later. This cannot be undone." }
            @if workspace.status == "active" { p class="hint" { "If it holds any of these it must be archived first. The organization keeps at least one active workspace." } }
            (text("text", Field::new("confirm", "The name of the workspace, to be sure").fault(faults.of_field("/confirm"))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Delete the workspace" }
                a class="button" href=(here) { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", path(&workspace.id), "workspaces:delete")))
    };
    Page::new(visit, me, At::Workspaces, "Delete the workspace")
        .below("Workspaces", "/console/workspaces")
        .below(workspace.name.as_str(), here.as_str())
        .status(faults.status())
        .show(body)
}

pub(super) async fn delete(visit: Visit, Segment(workspace): Segment, fields: Fields) -> Answer {
    let (me, (workspace, etag)) = tokio::try_join!(Me::of(&visit.api), read(&visit, &workspace))?;
    if fields.get("confirm") != workspace.name.trim() {
        let faults = Faults::at("/confirm", "That is not the name of the workspace.");
        return Ok(show_delete(&visit, &me, &workspace, &etag, &faults));
    }
    let request = Request::delete(path(&workspace.id)).header(header::IF_MATCH, fields.get("etag"));
    match visit.api.tell(request).await {
        Ok(()) => Ok(done("/console/workspaces", "workspace-deleted")),
        Err(failure) => Ok(show_delete(&visit, &me, &workspace, &etag, &Faults::of(failure)?)),
    }
}
