//! One key: what it may, what it did, and how it ends.

use axum::response::Response;
use http::header;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::Key;
use super::create::{Created, Matrix, expiry, scopes, shown_once, whole};
use super::list::state;
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::pages::requests::Requests;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, choice, day, done, exact, facts, hidden,
    icon, id, link_if, moment, number, once, section, section_with, story, tabs, text, textarea, way_to,
};
use crate::visit::{Fields, Params, Segment, Visit, href};

fn path(id: &str) -> String {
    format!("/api/admin/api-keys/{id}")
}

pub(super) async fn one(visit: Visit, Segment(id): Segment, params: Params) -> Answer {
    show(&visit, &id, &params, None, &Faults::default()).await
}

async fn show(
    visit: &Visit,
    key: &str,
    params: &Params,
    entered: Option<&Fields>,
    faults: &Faults,
) -> Answer {
    let by_hour = params.get("by") != "day";
    let usage = Request::get(format!("{}/usage", path(key)))
        .query("granularity", if by_hour { "hour" } else { "day" });
    let (me, asked, usage, matrix) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.send(Request::get(path(key))),
        visit.api.ask::<Requests>(usage),
        visit.api.get::<Matrix>("/api/admin/roles"),
    )?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    let key: Key = asked.read()?;
    let is_live = matches!(key.status.as_str(), "active");
    let may = me.may("api_keys:write");
    let actions = html! {
        @if is_live {
            (link_if(may, "api_keys:write", &format!("/console/keys/{}/rotate", key.id), html! { "Rotate" }))
        }
        @if key.status != "revoked" {
            (link_if(me.may("api_keys:delete"), "api_keys:delete", &format!("/console/keys/{}/revoke", key.id), html! { "Revoke" }))
        }
    };
    let body = html! {
        @if let Some(at) = key.leaked_at {
            (banner(Tone::Bad, html! {
                p { strong { "This key was found where anybody can read it" } ", " (moment(visit.now(), at)) ". Rotate it without grace, and look at what it was used for." }
                @if let Some(url) = &key.leaked_url { p { "Reported at: " code { (url) } } }
            }))
        }
        @if let Some(next) = &key.rotated_to {
            (banner(Tone::Wary, html! { p { "Another key has taken its place: " a href={ "/console/keys/" (next) } { (next) } "." @if let Some(at) = key.expires_at { " It works until " (exact(at)) "." (way_to(visit, &visit.here, at)) } } }))
        }
        (about(visit, &me, &key))
        (used(visit, &key, &usage, by_hour))
        @if is_live {
            (section("Change", html! {
                (faults.summary(&["/name", "/scopes", "/expires_at", "/rate_limit_per_hour", "/allowed_cidrs"]))
                @if !may { (banner(Tone::Wary, html! { p { "To change it takes the permission " code { "api_keys:write" } "." } })) }
                (change_form(visit, &me, &key, &etag, &matrix, entered, faults, may))
            }))
        }
        (as_code(visit, &Call::new("GET", path(&key.id), "api_keys:read")))
    };
    Ok(Page::new(visit, &me, At::Keys, key.name.as_str())
        .below("API keys", "/console/keys")
        .lead(html! { code { (key.shown()) } " " (state(visit, &key)) })
        .actions(actions)
        .status(faults.status())
        .show(body))
}

fn about(visit: &Visit, me: &Me, key: &Key) -> Markup {
    let now = visit.now();
    section_with(
        "About",
        story(&key.id),
        html! {
            (facts([
                ("Id", id(&key.id)),
                ("May", html! { (key.scopes.join(", ")) }),
                ("Data", html! { (key.mode) }),
                ("Workspace", html! { @match &key.workspace_id { Some(workspace) => (me.workspace_name(workspace)), None => "All" } }),
                ("Limit", html! { (key.rate_limit_per_hour) " requests in any 60 minutes" }),
                ("Networks", html! { @if key.allowed_cidrs.is_empty() { "Anywhere" } @else { (key.allowed_cidrs.join(", ")) } }),
                ("Expires", html! { @match key.expires_at { Some(at) => { (moment(now, at)) (way_to(visit, &visit.here, at)) }, None => "Never" } }),
                ("Made", moment(now, key.created_at)),
                ("Last used", html! {
                    @match key.last_used_at {
                        Some(at) => {
                            (moment(now, at))
                            @if let Some(ip) = &key.last_used_ip { " from " code { (ip) } }
                            @if let Some(agent) = &key.last_used_user_agent { " by " (agent) }
                        },
                        None => "Never",
                    }
                }),
                ("In place of", html! { @match &key.rotated_from { Some(before) => a href={ "/console/keys/" (before) } { (before) }, None => "None" } }),
            ]))
        },
    )
}

fn used(visit: &Visit, key: &Key, usage: &Requests, by_hour: bool) -> Markup {
    let here = format!("/console/keys/{}", key.id);
    section_with(
        "Use",
        tabs(
            "Time",
            [("24 hours", here.clone(), by_hour), ("30 days", href(&here, [("by", "day")]), !by_hour)],
        ),
        html! {
            @if usage.are_none() {
                p class="hint" { "No requests in this time. Times are in UTC." }
            } @else {
                (usage.draw(by_hour))
            }
            (as_code(visit, &Call::new("GET", format!("{}/usage?granularity={}", path(&key.id), if by_hour { "hour" } else { "day" }), "api_keys:read")))
        },
    )
}

#[expect(clippy::too_many_arguments, reason = "all of what a form shows again that was not taken")]
fn change_form(
    visit: &Visit,
    me: &Me,
    key: &Key,
    etag: &str,
    matrix: &Matrix,
    entered: Option<&Fields>,
    faults: &Faults,
    may: bool,
) -> Markup {
    let value = |name: &str, own: String| entered.map_or(own, |fields| fields.get(name).to_owned());
    let ticked: Vec<&str> = match entered {
        Some(fields) => fields.all("scopes").collect(),
        None => key.scopes.iter().map(String::as_str).collect(),
    };
    let name = value("name", key.name.clone());
    let expires = value("expires_at", key.expires_at.map(day).unwrap_or_default());
    let limit = value("rate_limit_per_hour", key.rate_limit_per_hour.to_string());
    let networks = value("allowed_cidrs", key.allowed_cidrs.join("\n"));
    html! {
        form class="stack" method="post" action={ "/console/keys/" (key.id) } {
            (once(visit)) (hidden("etag", etag))
            @if let Some(at) = key.expires_at { (hidden("expires", &at.to_string())) }
            (text("text", Field::new("name", "Name").value(&name).fault(faults.of_field("/name"))))
            (scopes(me, matrix, ticked, faults))
            div class="columns" {
                (text("date", Field::new("expires_at", "Expires").optional().value(&expires).fault(faults.of_field("/expires_at")).hint("At the beginning of that day, UTC. Never, if left empty.")))
                (number(Field::new("rate_limit_per_hour", "Requests in any 60 minutes").value(&limit).fault(faults.of_field("/rate_limit_per_hour")), (1, 1_000_000)))
            }
            (textarea(Field::new("allowed_cidrs", "Networks it may be used from").optional().value(&networks).fault(faults.of_field("/allowed_cidrs")).hint("One to a line. Anywhere, if left empty."), 3))
            div class="actions" { button class="button primary" disabled[!may] { "Save" } }
        }
    }
}

pub(super) async fn change(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let body = json!({
        "name": fields.get("name"),
        "scopes": fields.all("scopes").collect::<Vec<_>>(),
        "expires_at": kept_expiry(&fields).unwrap_or_else(|| expiry(fields.get("expires_at"))),
        "rate_limit_per_hour": whole(fields.get("rate_limit_per_hour")),
        "allowed_cidrs": fields.lines("allowed_cidrs"),
    });
    let request = Request::patch(path(&id)).header(header::IF_MATCH, fields.get("etag")).json(&body);
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/keys/{id}"), "key-changed")),
        Err(failure) => show(&visit, &id, &Params::default(), Some(&fields), &Faults::of(failure)?).await,
    }
}

/// The time at which the key ends as it is, when its day was left as it is: the form has no more than the day.
fn kept_expiry(fields: &Fields) -> Option<Value> {
    let own = fields.filled("expires").filter(|own| own.get(..10) == Some(fields.get("expires_at")))?;
    Some(own.into())
}

/// How long the old key may go on, in seconds and words.
const GRACE: [(&str, &str); 6] = [
    ("0", "End it at once"),
    ("900", "15 minutes"),
    ("3600", "An hour"),
    ("86400", "A day"),
    ("259200", "3 days"),
    ("604800", "7 days"),
];

pub(super) async fn rotate_form(visit: Visit, Segment(id): Segment) -> Answer {
    let (me, key) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Key>(path(&id)))?;
    Ok(show_rotate(&visit, &me, &key, "86400", &Faults::default()))
}

fn show_rotate(visit: &Visit, me: &Me, key: &Key, grace: &str, faults: &Faults) -> Response {
    let may = me.may("api_keys:write");
    let body = html! {
        (faults.summary(&["/grace_seconds"]))
        form class="card stack" method="post" action={ "/console/keys/" (key.id) "/rotate" } {
            (once(visit))
            p { "A new key takes the place of " strong { (key.name) } " (" code { (key.shown()) } "), with the same rights and one budget for both. "
                @match key.last_used_at { Some(at) => { "The old one was last used " (moment(visit.now(), at)) "." }, None => "The old one was never used." } }
            (choice(Field::new("grace_seconds", "How long the old key goes on").value(grace).fault(faults.of_field("/grace_seconds")).hint("Long enough for every program to have the new one."), GRACE))
            div class="actions" {
                button class="button primary" disabled[!may] { "Rotate the key" }
                a class="button" href={ "/console/keys/" (key.id) } { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("POST", format!("{}/rotate", path(&key.id)), "api_keys:write").body(json!({"grace_seconds": whole(grace)}))))
    };
    Page::new(visit, me, At::Keys, "Rotate the key")
        .below("API keys", "/console/keys")
        .below(key.name.as_str(), format!("/console/keys/{}", key.id))
        .status(faults.status())
        .show(body)
}

pub(super) async fn rotate(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let body = json!({"grace_seconds": whole(fields.get("grace_seconds"))});
    let request = Request::post(format!("{}/rotate", path(&id))).once(fields.once()).json(&body);
    match visit.api.ask::<Created>(request).await {
        Ok(created) => Ok(shown_once(&visit, &me, &created, "The key is rotated")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let key = visit.api.get::<Key>(path(&id)).await?;
            Ok(show_rotate(&visit, &me, &key, fields.get("grace_seconds"), &faults))
        }
    }
}

pub(super) async fn revoke_form(visit: Visit, Segment(id): Segment) -> Answer {
    let usage = Request::get(format!("{}/usage", path(&id))).query("granularity", "hour");
    let (me, key, usage) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.get::<Key>(path(&id)),
        visit.api.ask::<Requests>(usage)
    )?;
    Ok(show_revoke(&visit, &me, &key, Some(&usage), &Faults::default()))
}

fn show_revoke(visit: &Visit, me: &Me, key: &Key, usage: Option<&Requests>, faults: &Faults) -> Response {
    let may = me.may("api_keys:delete");
    let body = html! {
        (faults.summary(&["/confirm"]))
        form class="card stack" method="post" action={ "/console/keys/" (key.id) "/revoke" } {
            (once(visit))
            p { "Requests with " strong { (key.name) } " (" code { (key.shown()) } ") are refused from that moment on. This cannot be undone." }
            @if let Some(usage) = usage {
                @if usage.total.requests > 0 {
                    (banner(Tone::Wary, html! { p { "It was used " strong { (usage.total.requests) " times in the last 24 hours" }
                        @if let Some(ip) = &key.last_used_ip { ", last from " code { (ip) } }
                        @if let Some(agent) = &key.last_used_user_agent { " by " (agent) } "." } }))
                } @else { (banner(Tone::Good, html! { p { "It was not used in the last 24 hours." } })) }
            }
            (text("text", Field::new("confirm", "The name of the key, to be sure").fault(faults.of_field("/confirm"))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Revoke the key" }
                a class="button" href={ "/console/keys/" (key.id) } { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", path(&key.id), "api_keys:delete")))
    };
    Page::new(visit, me, At::Keys, "Revoke the key")
        .below("API keys", "/console/keys")
        .below(key.name.as_str(), format!("/console/keys/{}", key.id))
        .status(faults.status())
        .show(body)
}

pub(super) async fn revoke(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let (me, key) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Key>(path(&id)))?;
    if fields.get("confirm") != key.name.trim() {
        let faults = Faults::at("/confirm", "That is not the name of the key.");
        return Ok(show_revoke(&visit, &me, &key, None, &faults));
    }
    visit.api.tell(Request::delete(path(&id))).await?;
    Ok(done("/console/keys", "key-revoked"))
}
