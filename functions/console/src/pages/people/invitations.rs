//! Who was invited, and what became of it.

use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{people_tabs, role_name};
use crate::api::{Failure, List, Me, Ours, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, button_if, cell, done, empty, icon, link_if,
    moment, once, pager, status, table, text,
};
use crate::visit::{Fields, Params, Segment, Visit};

/// An invitation, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Invitation {
    id: String,
    email: String,
    role: String,
    #[serde(default)]
    workspace_id: Option<String>,
    status: String,
    #[serde(default)]
    invited_by: String,
    expires_at: Timestamp,
    created_at: Timestamp,
}

fn path(id: &str) -> String {
    format!("/api/admin/invitations/{id}")
}

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    show(&visit, &params, &Faults::default()).await
}

async fn show(visit: &Visit, params: &Params, faults: &Faults) -> Answer {
    let asked = Request::get("/api/admin/invitations").query("cursor", params.get("cursor"));
    let (me, invitations) = tokio::try_join!(Me::of(&visit.api), visit.api.ask::<List<Invitation>>(asked))?;
    let may = me.may_somewhere("users:write");
    let invite =
        link_if(may, "users:write", "/console/people/invitations/new", html! { (icon(Icon::Plus)) "Invite" });
    let body = html! {
        (people_tabs("Invitations"))
        (faults.summary(&[]))
        @if invitations.data.is_empty() && params.filled("cursor").is_none() {
            (empty(Icon::People, "No invitations", html! {
                p { "An invitation is a link by mail that is good once, for seven days. Whoever follows it joins with the role you offer." }
                p { "People of a domain that you have verified can also join by themselves: see " a href="/console/settings/domains" { "domains" } "." }
            }))
        } @else {
            (table("Invitations", &["Address", "Role", "State", "Sent", "Ends", "Actions"], html! {
                @for invitation in &invitations.data { (row(visit, &me, invitation)) }
            }))
            (pager("/console/people/invitations", params, invitations.next_cursor.as_deref()))
        }
        (as_code(visit, &Call::new("GET", "/api/admin/invitations", "users:read")))
    };
    let lead =
        html! { "Who was invited, and what became of it. A seat is taken when an invitation is accepted." };
    Ok(Page::new(visit, &me, At::People, "Invitations")
        .below("People", "/console/people")
        .lead(lead)
        .actions(invite)
        .status(faults.status())
        .show(body))
}

/// Whether somebody may do with an invitation what takes a permission.
fn may(me: &Me, invitation: &Invitation) -> bool {
    let of_workspace = invitation.workspace_id.as_deref().and_then(|id| me.workspace(id));
    me.may("users:write") || of_workspace.is_some_and(|workspace| workspace.may("users:write"))
}

fn row(visit: &Visit, me: &Me, invitation: &Invitation) -> Markup {
    let now = visit.now();
    let is_open = matches!(invitation.status.as_str(), "pending" | "expired");
    let here = format!("/console/people/invitations/{}", invitation.id);
    html! {
        tr {
            (cell("Address", html! {
                span class="main" { (invitation.email) }
                @if invitation.invited_by == me.user.id { br; span class="hint" { "invited by you" } }
                @else if invitation.invited_by.starts_with("usr_") { br; span class="hint" { a class="quiet" href={ "/console/people/" (invitation.invited_by) } { "who invited" } } }
                @else if invitation.invited_by.starts_with("key_") { br; span class="hint" { "invited by " a class="quiet" href={ "/console/keys/" (invitation.invited_by) } { "an API key" } } }
            }))
            (cell("Role", role_at(me, &invitation.role, invitation.workspace_id.as_deref())))
            (cell("State", status(&invitation.status)))
            (cell("Sent", moment(now, invitation.created_at)))
            (cell("Ends", html! { @if is_open { (moment(now, invitation.expires_at)) } }))
            (cell("", html! {
                @if is_open {
                    div class="actions" {
                        (button_if(visit, may(me, invitation), "users:write", &format!("{here}/resend"), "small", html! { "Send again" span class="unseen" { " to " (invitation.email) } }))
                        @if may(me, invitation) && invitation.status == "pending" {
                            a class="button small" href={ (here) "/revoke" } { "Revoke" span class="unseen" { " the invitation of " (invitation.email) } }
                        }
                    }
                }
            }))
        }
    }
}

/// A role, and where.
fn role_at(me: &Me, role: &str, workspace: Option<&str>) -> Markup {
    html! {
        (role_name(role))
        span class="hint" { @match workspace { Some(workspace) => { " in " (me.workspace_name(workspace)) }, None => " on the organization" } }
    }
}

pub(super) async fn resend(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    match visit.api.tell(Request::post(format!("{}/resend", path(&id))).once(fields.once())).await {
        Ok(()) => Ok(done("/console/people/invitations", "invitation-sent")),
        Err(failure) => show(&visit, &Params::default(), &Faults::of(failure)?).await,
    }
}

/// The invitation with this id. The API has none to ask for by itself: the latest are looked through.
async fn find(visit: &Visit, id: &str) -> Result<Invitation, Failure> {
    const PAGES: usize = 10;
    let mut cursor = None;
    for _ in 0..PAGES {
        let asked =
            Request::get("/api/admin/invitations").query("limit", "100").maybe("cursor", cursor.as_ref());
        let List { data, next_cursor } = visit.api.ask::<List<Invitation>>(asked).await?;
        if let Some(found) = data.into_iter().find(|invitation| invitation.id == id) {
            return Ok(found);
        }
        if next_cursor.is_none() {
            break;
        }
        cursor = next_cursor;
    }
    Err(Ours::NoSuchPage.into())
}

pub(super) async fn revoke_form(visit: Visit, Segment(id): Segment) -> Answer {
    let (me, invitation) = tokio::try_join!(Me::of(&visit.api), find(&visit, &id))?;
    Ok(show_revoke(&visit, &me, &invitation, &Faults::default()))
}

fn show_revoke(visit: &Visit, me: &Me, invitation: &Invitation, faults: &Faults) -> Response {
    let may = may(me, invitation);
    let body = html! {
        (faults.summary(&["/confirm"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "users:write" } ", which your role does not hold." } })) }
        form class="card stack" method="post" action={ "/console/people/invitations/" (invitation.id) "/revoke" } {
            (once(visit))
            p { "The link that was mailed to " strong { (invitation.email) } " stops working. They can be invited again." }
            (text("email", Field::new("confirm", "The address, to be sure").fault(faults.of_field("/confirm")).hint(&format!("As it stands here: {}", invitation.email))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Revoke the invitation" }
                a class="button" href="/console/people/invitations" { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", path(&invitation.id), "users:write")))
    };
    Page::new(visit, me, At::People, "Revoke the invitation")
        .below("People", "/console/people")
        .below("Invitations", "/console/people/invitations")
        .status(faults.status())
        .show(body)
}

pub(super) async fn revoke(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let (me, invitation) = tokio::try_join!(Me::of(&visit.api), find(&visit, &id))?;
    if !fields.get("confirm").eq_ignore_ascii_case(&invitation.email) {
        let faults = Faults::at("/confirm", "That is not the address of the invitation.");
        return Ok(show_revoke(&visit, &me, &invitation, &faults));
    }
    match visit.api.tell(Request::delete(path(&id))).await {
        Ok(()) => Ok(done("/console/people/invitations", "invitation-revoked")),
        Err(failure) => Ok(show_revoke(&visit, &me, &invitation, &Faults::of(failure)?)),
    }
}

/// What one invitation looks like in code.
pub(super) fn example() -> serde_json::Value {
    json!({"invitations": [{"email": "ada@example.com", "role": "read_only"}]})
}
