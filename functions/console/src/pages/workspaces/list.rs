//! The workspaces there are, and new ones.

use axum::response::Response;
use maud::html;
use serde_json::json;

use super::Workspace;
use crate::api::{List, Me, Request};
use crate::pages::Answer;
use crate::pages::people::{Uses, role_name};
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, cell, done, empty, icon, id, link_if, moment,
    once, pager, status, table, text,
};
use crate::visit::{Fields, Params, Visit};

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    let asked = Request::get("/api/admin/workspaces").query("cursor", params.get("cursor"));
    let ((me, uses), workspaces) =
        tokio::try_join!(Uses::of(&visit), visit.api.ask::<List<Workspace>>(asked))?;
    let create = link_if(
        me.may("workspaces:write"),
        "workspaces:write",
        "/console/workspaces/new",
        html! { (icon(Icon::Plus)) "New workspace" },
    );
    let body = html! {
        (uses.workspaces().meter("Workspaces", "Archived ones count, deleted ones do not."))
        @if workspaces.data.is_empty() && params.filled("cursor").is_none() {
            (empty(Icon::Workspace, "No workspace for you", html! {
                p { "A workspace keeps campaigns, leads and meetings of one team apart from those of others. Whoever runs one can give you a role in it." }
            }))
        } @else {
            (table("Workspaces", &["Name", "Id", "Your role", "State", "Made"], html! {
                @for workspace in &workspaces.data {
                    tr {
                        (cell("Name", html! { a class="main" href={ "/console/workspaces/" (workspace.id) } { (workspace.name) } }))
                        (cell("Id", id(&workspace.id)))
                        (cell("Your role", html! { @match me.workspace(&workspace.id) { Some(own) => (role_name(&own.role)), None => span class="hint" { "none" } } }))
                        (cell("State", status(&workspace.status)))
                        (cell("Made", moment(visit.now(), workspace.created_at)))
                    }
                }
            }))
            (pager("/console/workspaces", &params, workspaces.next_cursor.as_deref()))
        }
        (as_code(&visit, &Call::new("GET", "/api/admin/workspaces", "workspaces:read")))
    };
    let lead =
        html! { "What keeps the campaigns, leads and meetings of one team apart from those of others." };
    Ok(Page::new(&visit, &me, At::Workspaces, "Workspaces").lead(lead).actions(create).show(body))
}

pub(super) async fn form(visit: Visit) -> Answer {
    let me = Me::of(&visit.api).await?;
    Ok(show_form(&visit, &me, "", &Faults::default()))
}

fn show_form(visit: &Visit, me: &Me, name: &str, faults: &Faults) -> Response {
    let may = me.may("workspaces:write");
    let shown = if name.is_empty() { "Enterprise sales" } else { name };
    let body = html! {
        (faults.summary(&["/name"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "workspaces:write" } ", which your role does not hold." } })) }
        form class="card stack" method="post" action="/console/workspaces/new" {
            (once(visit))
            (text("text", Field::new("name", "Name").value(name).fault(faults.of_field("/name")).hint("Such as the team that works in it.")))
            div class="actions" {
                button class="button primary" disabled[!may] { "Make the workspace" }
                a class="button" href="/console/workspaces" { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("POST", "/api/admin/workspaces", "workspaces:write").body(json!({"name": shown}))))
    };
    Page::new(visit, me, At::Workspaces, "New workspace")
        .below("Workspaces", "/console/workspaces")
        .lead(html! { "Whoever has a role on the organization has it in the new workspace at once; others are added to it." })
        .status(faults.status())
        .show(body)
}

pub(super) async fn create(visit: Visit, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let name = fields.get("name");
    let request = Request::post("/api/admin/workspaces").once(fields.once()).json(&json!({"name": name}));
    match visit.api.ask::<Workspace>(request).await {
        Ok(workspace) => Ok(done(&format!("/console/workspaces/{}", workspace.id), "workspace-made")),
        Err(failure) => Ok(show_form(&visit, &me, name, &Faults::of(failure)?)),
    }
}
