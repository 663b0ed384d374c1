//! A new key.

use axum::response::Response;
use clock::Timestamp;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Key;
use crate::api::{Me, Request, by_resource};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, check, choice, copyable, icon, number, once,
    text, textarea,
};
use crate::visit::{Fields, Visit};

/// A key, with what is shown of it this once. A form that is sent again gets it without.
#[derive(Deserialize)]
pub(super) struct Created {
    #[serde(default)]
    key: Option<String>,
    #[serde(flatten)]
    about: Key,
}

/// What there is to permit.
#[derive(Deserialize)]
pub(super) struct Matrix {
    pub(super) permissions: Vec<String>,
}

pub(super) async fn form(visit: Visit) -> Answer {
    let (me, matrix) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Matrix>("/api/admin/roles"))?;
    Ok(show_form(&visit, &me, &matrix, &Fields::default(), &Faults::default()))
}

fn show_form(visit: &Visit, me: &Me, matrix: &Matrix, fields: &Fields, faults: &Faults) -> Response {
    let may = me.may("api_keys:write");
    let workspaces = me.workspaces.iter().map(|workspace| (workspace.id.as_str(), workspace.name.as_str()));
    let body = html! {
        (faults.summary(&["/name", "/scopes", "/workspace_id", "/expires_at", "/rate_limit_per_hour", "/allowed_cidrs"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { "api_keys:write" } ", which your role does not hold." } })) }
        form class="card stack" method="post" action="/console/keys/new" {
            (once(visit))
            (text("text", Field::new("name", "Name").hint("What it is for, such as the program that has it.").value(fields.get("name")).fault(faults.of_field("/name"))))
            div class="columns" {
                (choice(Field::new("mode", "Data").value(fields.get("mode")).hint("Test keys see data of their own."), [("live", "Live"), ("test", "Test")]))
                (choice(Field::new("workspace_id", "Workspace").optional().value(fields.get("workspace_id")).fault(faults.of_field("/workspace_id")).hint("A key of one workspace sees nothing of the others."), std::iter::once(("", "All workspaces")).chain(workspaces)))
            }
            (scopes(me, matrix, fields.all("scopes").collect(), faults))
            div class="columns" {
                (text("date", Field::new("expires_at", "Expires").optional().value(fields.get("expires_at")).fault(faults.of_field("/expires_at")).hint("At the beginning of that day, UTC. Never, if left empty.")))
                (number(Field::new("rate_limit_per_hour", "Requests in any 60 minutes").optional().value(fields.get("rate_limit_per_hour")).fault(faults.of_field("/rate_limit_per_hour")).hint("1,000 if left empty."), (1, 1_000_000)))
            }
            (textarea(Field::new("allowed_cidrs", "Networks it may be used from").optional().value(fields.get("allowed_cidrs")).fault(faults.of_field("/allowed_cidrs")).hint("One to a line, such as 203.0.113.0/24. Anywhere, if left empty."), 3))
            div class="actions" {
                button class="button primary" disabled[!may] { "Make the key" }
                a class="button" href="/console/keys" { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("POST", "/api/admin/api-keys", "api_keys:write").body(asked(fields))))
    };
    Page::new(visit, me, At::Keys, "New API key")
        .below("API keys", "/console/keys")
        .status(faults.status())
        .show(body)
}

/// Boxes for what a key may do, by what it is about. Nobody grants what they do not hold.
pub(super) fn scopes(me: &Me, matrix: &Matrix, ticked: Vec<&str>, faults: &Faults) -> Markup {
    let groups = by_resource(&matrix.permissions);
    html! {
        fieldset class="field" data-faulty[faults.of_field("/scopes").is_some()] {
            legend { "It may" }
            @if let Some(fault) = faults.of_field("/scopes") { p class="fault" { (icon(Icon::Warning)) (fault) } }
            div class="matrix" {
                @for (resource, permissions) in &groups {
                    div {
                        span class="label" { (resource.replace('_', " ")) }
                        div {
                            @for permission in permissions {
                                @let action = permission.split(':').nth(1).unwrap_or_default();
                                (check("scopes", permission, html! { span class="unseen" { (resource.replace('_', " ")) ": " } (action) @if !me.may(permission) { span class="unseen" { " (you do not hold it)" } } }, ticked.contains(permission), !me.may(permission)))
                            }
                        }
                    }
                }
            }
            p class="hint" { "You can give what you hold yourself." }
        }
    }
}

/// What the form asks the API for.
fn asked(fields: &Fields) -> Value {
    let mut asked = Map::new();
    let name = fields.filled("name").unwrap_or("CRM sync");
    asked.insert("name".to_owned(), name.into());
    let scopes: Vec<&str> = fields.all("scopes").collect();
    if scopes.is_empty() {
        asked.insert("scopes".to_owned(), json!(["leads:read"]));
    } else {
        asked.insert("scopes".to_owned(), json!(scopes));
    }
    for name in ["mode", "workspace_id"] {
        if let Some(value) = fields.filled(name) {
            asked.insert(name.to_owned(), value.into());
        }
    }
    if let Some(day) = fields.filled("expires_at") {
        asked.insert("expires_at".to_owned(), format!("{day}T00:00:00.000Z").into());
    }
    if let Some(limit) = fields.filled("rate_limit_per_hour") {
        asked.insert("rate_limit_per_hour".to_owned(), whole(limit));
    }
    let networks = fields.lines("allowed_cidrs");
    if !networks.is_empty() {
        asked.insert("allowed_cidrs".to_owned(), json!(networks));
    }
    Value::Object(asked)
}

/// A number as JSON has it; what is none is left to the API to refuse.
pub(in crate::pages) fn whole(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| text.into(), Value::from)
}

pub(super) async fn create(visit: Visit, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let mut body = asked(&fields);
    // Nothing is put in the place of what was not entered.
    if let Some(body) = body.as_object_mut() {
        body.insert("name".to_owned(), fields.get("name").into());
        body.insert("scopes".to_owned(), json!(fields.all("scopes").collect::<Vec<_>>()));
    }
    let request = Request::post("/api/admin/api-keys").once(fields.once()).json(&body);
    match visit.api.ask::<Created>(request).await {
        Ok(created) => Ok(shown_once(&visit, &me, &created, "The key is made")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let matrix = visit.api.get::<Matrix>("/api/admin/roles").await?;
            Ok(show_form(&visit, &me, &matrix, &fields, &faults))
        }
    }
}

/// The page that shows a key, which no other page ever does.
pub(super) fn shown_once(visit: &Visit, me: &Me, created: &Created, title: &str) -> Response {
    let about = &created.about;
    let call = Call::new("GET", "/v1/whoami", "nothing in particular");
    let body = html! {
        @match &created.key {
            Some(key) => {
                section class="card once" data-unsaved="Have you stored the key? It is not shown again." {
                    (banner(Tone::Wary, html! { p { strong { "Store it now." } " It is shown this once. Only its hash is kept, so nobody can tell you later what it was." } }))
                    label for="key" { "The key of " (about.name) }
                    input id="key" class="secret" readonly value=(key) spellcheck="false" data-select;
                    div class="actions" {
                        button type="button" class="button primary" data-copy=(key) hidden { (icon(Icon::Copy)) "Copy the key" }
                        a class="button" href={ "/console/keys/" (about.id) } data-saved { "I have stored it" }
                    }
                    h2 { "Try it" }
                    (copyable(&format!("curl '{}/v1/whoami' \\\n  --header 'Authorization: Bearer {key}'", visit.site().url)))
                }
            },
            None => {
                section class="card" {
                    (banner(Tone::Quiet, html! { p { "This form was sent before, and the key was shown then. It is not shown again: rotate it if it is lost." } }))
                    p { a class="button" href={ "/console/keys/" (about.id) } { "To the key" } }
                }
            },
        }
        (as_code(visit, &call))
    };
    Page::new(visit, me, At::Keys, title)
        .below("API keys", "/console/keys")
        .status(StatusCode::CREATED)
        .show(body)
}

/// The beginning of the day that a form names, or `None` for never.
pub(super) fn expiry(day: &str) -> Value {
    if day.is_empty() {
        return Value::Null;
    }
    let text = format!("{day}T00:00:00.000Z");
    Timestamp::parse(&text).map_or_else(|| day.into(), |at| Value::from(at.to_string()))
}
