//! What cannot be taken lightly: everything given out, and the end of the organization.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PATH, lacking, page, settings_tabs};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{
    Call, Faults, Field, Icon, Tone, as_code, banner, bare, button, day, done, icon, link_if, once, section,
    text,
};
use crate::visit::{Fields, Visit};

/// The cookie that keeps where an export goes on, for an hour: `organization.part.cursor`.
const GOES_ON: &str = "export";

/// A page of an export.
#[derive(Debug, Deserialize)]
struct Holdings {
    data: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
}

pub(super) async fn show(visit: Visit) -> Answer {
    let me = Me::of(&visit.api).await?;
    Ok(shown(&visit, &me))
}

/// What an export of everything takes, of what somebody holds: the first that is missing.
fn lacks_to_export(me: &Me) -> Option<&'static str> {
    ["organization:write", "audit_logs:export"].into_iter().find(|permission| !me.may(permission))
}

fn shown(visit: &Visit, me: &Me) -> Response {
    let lacks = lacks_to_export(me);
    let part = part_of(visit.cookie(GOES_ON), &me.organization.id).map(|(part, _)| part);
    let body = html! {
        (settings_tabs("Danger"))
        (section("Export everything", html! {
            p { "All that the organization owns, in test and in live mode, without secrets: one JSON object to a line. It takes every permission to read, and each page of it is on record in the audit log." }
            p class="hint" { "A file holds some megabytes. If there is more, its last line says so, and the button goes on where the file ended. For very much, use the call below." }
            @if let Some(part) = part { (banner(Tone::Busy, html! { p { "There is more: part " (part) " is next." } })) }
            @if let Some(permission) = lacks { (lacking(false, permission)) }
            form method="post" action="/console/settings/danger/export" {
                (once(visit))
                div class="actions" {
                    button class="button" disabled[lacks.is_some()] { (icon(Icon::Download)) "Download" @if let Some(part) = part { " part " (part) } }
                    @if part.is_some() { button class="button" name="again" value="1" { "Begin again" } }
                }
            }
            (as_code(visit, &Call::new("POST", format!("{PATH}/export"), "organization:write").body(json!({"limit": 1000}))))
        }))
        section class="card danger" {
            h2 { "Delete the organization" }
            p { "People and API keys are refused at once. For 30 days it can be brought back; then everything it owns is erased, the audit log aside." }
            div class="actions" { (link_if(me.may("organization:delete"), "organization:delete", "/console/settings/danger/delete", html! { "Delete the organization" })) }
        }
    };
    page(visit, me, "Danger").lead(html! { "What cannot be taken lightly." }).show(body)
}

/// What the cookie keeps: which part is next, and where it begins.
fn part_of<'a>(kept: Option<&'a str>, organization: &str) -> Option<(u32, &'a str)> {
    let (part, cursor) = kept?.strip_prefix(organization)?.strip_prefix('.')?.split_once('.')?;
    Some((part.parse().ok().filter(|part| *part > 1)?, cursor))
}

/// Bytes after which a file ends: what Lambda answers is 6 MB at most.
const ENOUGH: usize = 3_000_000;
/// Pages after which a file ends, so that it is there before the gateway gives up.
const MOST_PAGES: usize = 25;
/// Records to a page.
const RECORDS: usize = 200;

pub(super) async fn export(visit: Visit, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let organization = &me.organization.id;
    let kept = part_of(visit.cookie(GOES_ON), organization).filter(|_| !fields.is_ticked("again"));
    let part = kept.map_or(1, |(part, _)| part);
    let mut cursor = kept.map(|(_, cursor)| cursor.to_owned());
    let mut file = String::new();
    for _ in 0..MOST_PAGES {
        let asked =
            Request::post(format!("{PATH}/export")).json(&json!({"limit": RECORDS, "cursor": cursor}));
        let page: Holdings = visit.api.ask(asked).await?;
        for holding in &page.data {
            file.push_str(&holding.to_string());
            file.push('\n');
        }
        cursor = page.next_cursor;
        if cursor.is_none() || file.len() >= ENOUGH {
            break;
        }
    }
    let next = cursor.map(|cursor| format!("{organization}.{}.{cursor}", part + 1));
    if next.is_some() {
        file.push_str(&json!({"type": "more", "next_part": part + 1}).to_string());
        file.push('\n');
    }
    Ok(attached(&visit, part, file, next.as_deref()))
}

/// A part of the export as a file, with what says where the next one begins.
fn attached(visit: &Visit, part: u32, file: String, next: Option<&str>) -> Response {
    let name = format!("attachment; filename=\"organization-{}-part-{part}.ndjson\"", day(visit.now()));
    let mut response =
        (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-ndjson")], file).into_response();
    let headers = response.headers_mut();
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    let cookie = match next {
        Some(next) => visit.keep(GOES_ON, next, 3600),
        None => visit.keep(GOES_ON, "", 0),
    };
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

pub(super) async fn delete_form(visit: Visit) -> Answer {
    let me = Me::of(&visit.api).await?;
    Ok(show_delete(&visit, &me, &Faults::default()))
}

fn show_delete(visit: &Visit, me: &Me, faults: &Faults) -> Response {
    let may = me.may("organization:delete");
    let name = me.organization.name.as_str();
    let body = html! {
        (faults.summary(&["/confirm"]))
        (lacking(may, "organization:delete"))
        form class="card danger stack" method="post" action="/console/settings/danger/delete" {
            (once(visit))
            p { "With " strong { (name) } ":" }
            ul class="plain-list" {
                li { "every person and every API key is refused from the next request on, you included;" }
                li { "no webhook is delivered any more;" }
                li { "the admins are told by mail;" }
                li { "for 30 days somebody who may change the organization can bring it back;" }
                li { "then everything it owns is erased, the audit log aside." }
            }
            p { a href="/console/settings/danger" { "Export everything" } " first, if any of it is needed later." }
            (text("text", Field::new("confirm", "The name of the organization, to be sure").fault(faults.of_field("/confirm"))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Delete the organization" }
                a class="button" href="/console/settings/danger" { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", PATH, "organization:delete").body(json!({"confirm": name}))))
    };
    page(visit, me, "Delete the organization")
        .below("Danger", "/console/settings/danger")
        .status(faults.status())
        .show(body)
}

pub(super) async fn delete(visit: Visit, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let confirm = fields.get("confirm");
    if confirm != me.organization.name.trim() {
        let faults = Faults::at("/confirm", "That is not the name of the organization.");
        return Ok(show_delete(&visit, &me, &faults));
    }
    match visit.api.tell(Request::delete(PATH).json(&json!({"confirm": confirm}))).await {
        Ok(()) => Ok(done("/console/settings/restore", "organization-deleted")),
        Err(failure) => Ok(show_delete(&visit, &me, &Faults::of(failure)?)),
    }
}

/// The one page that a deleted organization has. Nothing else can be asked for, not even who is signed in.
pub(super) async fn restore_form(visit: Visit) -> Answer {
    match Me::of(&visit.api).await {
        Ok(_) => Ok(done("/console/settings/danger", "organization-lives")),
        Err(failure) if failure.code() == "organization_deleted" => {
            Ok(show_restore(&visit, &Faults::default()))
        }
        Err(failure) => Err(failure),
    }
}

fn show_restore(visit: &Visit, faults: &Faults) -> Response {
    let body: Markup = html! {
        (faults.summary(&[]))
        p { "It was deleted, and nobody can use it. For 30 days from then on it can be brought back, as it was; then everything it owns is erased, the audit log aside." }
        p class="hint" { "Bringing it back takes the permission " code { "organization:write" } "." }
        form method="post" action="/console/settings/restore" { (once(visit)) button class="button primary wide" { "Bring it back" } }
        div class="actions" { (button(visit, "/console/sign-out", "button", html! { "Sign out" })) }
    };
    bare(visit, faults.status(), "The organization is deleted", body)
}

pub(super) async fn restore(visit: Visit, fields: Fields) -> Answer {
    match visit.api.tell(Request::post(format!("{PATH}/restore")).once(fields.once())).await {
        Ok(()) => Ok(done("/console/settings/danger", "organization-restored")),
        Err(failure) => Ok(show_restore(&visit, &Faults::of(failure)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::part_of;

    #[test]
    fn an_export_goes_on_where_it_ended() {
        assert_eq!(part_of(Some("org_1.2.abc.def"), "org_1"), Some((2, "abc.def")));
        let others = [
            "",
            "org_1",
            "org_1.2",
            "org_1.x.abc",
            "org_1.0.abc",
            "org_1.1.abc",
            "org_2.2.abc",
            "org_12.2.abc",
        ];
        for other in others.map(Some).into_iter().chain([None]) {
            assert_eq!(part_of(other, "org_1"), None, "{other:?}");
        }
    }
}
