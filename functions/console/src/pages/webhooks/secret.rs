//! An endpoint's signing secret: another one, and the page that shows one.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use serde::Deserialize;
use serde_json::json;

use super::trial::picker;
use super::{EVENT_TYPES, Endpoint, EventTypes, WRITE, below, path};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::pages::keys::whole;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, choice, copyable, exact, icon, lines, once,
    section,
};
use crate::visit::{Fields, Segment, Visit};

/// An endpoint, with its secret this once. A form that is sent again gets it without.
#[derive(Deserialize)]
pub(super) struct Revealed {
    #[serde(default)]
    secret: Option<String>,
    #[serde(flatten)]
    endpoint: Endpoint,
}

/// How long the secret before goes on, in seconds and words.
const OVERLAP: [(&str, &str); 6] = [
    ("0", "Not at all: somebody else may know it"),
    ("3600", "An hour"),
    ("86400", "A day"),
    ("172800", "2 days"),
    ("259200", "3 days"),
    ("604800", "7 days"),
];

pub(super) async fn form(visit: Visit, Segment(id): Segment) -> Answer {
    let (me, endpoint) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Endpoint>(path(&id)))?;
    Ok(show_form(&visit, &me, &endpoint, "86400", &Faults::default()))
}

fn show_form(visit: &Visit, me: &Me, endpoint: &Endpoint, overlap: &str, faults: &Faults) -> Response {
    let may = endpoint.may(me, WRITE);
    let body = html! {
        (faults.summary(&["/overlap_seconds"]))
        form class="card stack" method="post" action={ "/console/webhooks/" (endpoint.id) "/secret" } {
            (once(visit))
            p { "Requests to " strong { (endpoint.short()) } " are signed with a new secret from now on. While the two overlap they carry a signature by each, so that the receiver can change over at any time." }
            p class="hint" { "The header X-Artisan-Signature has room for one signature, and is made with the new secret at once." }
            @if let Some(until) = endpoint.previous_secret_until {
                (banner(Tone::Wary, html! { p { "A secret before is still signed with, until " (exact(until)) ". That ends with this." } }))
            }
            (choice(Field::new("overlap_seconds", "How long the old secret goes on").value(overlap).fault(faults.of_field("/overlap_seconds")).hint("Long enough to put the new one in its place."), OVERLAP))
            div class="actions" {
                button class="button primary" disabled[!may] { "Replace the secret" }
                a class="button" href={ "/console/webhooks/" (endpoint.id) "/settings" } { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("POST", format!("{}/rotate-secret", path(&endpoint.id)), WRITE).body(json!({"overlap_seconds": whole(overlap)}))))
    };
    below(visit, me, endpoint, "Replace the secret").status(faults.status()).show(body)
}

pub(super) async fn rotate(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let (me, types) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<EventTypes>(EVENT_TYPES))?;
    let body = json!({"overlap_seconds": whole(fields.get("overlap_seconds"))});
    let request = Request::post(format!("{}/rotate-secret", path(&id))).once(fields.once()).json(&body);
    match visit.api.ask::<Revealed>(request).await {
        Ok(made) => Ok(shown_once(&visit, &me, &made, &types, "The secret is replaced", StatusCode::OK)),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let endpoint = visit.api.get::<Endpoint>(path(&id)).await?;
            Ok(show_form(&visit, &me, &endpoint, fields.get("overlap_seconds"), &faults))
        }
    }
}

/// The page that shows a secret, which no other page ever does.
pub(super) fn shown_once(
    visit: &Visit,
    me: &Me,
    made: &Revealed,
    types: &EventTypes,
    title: &str,
    status: StatusCode,
) -> Response {
    let endpoint = &made.endpoint;
    let here = format!("/console/webhooks/{}", endpoint.id);
    let body = html! {
        @match &made.secret {
            Some(secret) => {
                section class="card once" data-unsaved="Have you stored the secret? It is not shown again." {
                    (banner(Tone::Wary, html! { p { strong { "Store it now." } " It is shown this once. If it is lost, replace it." } }))
                    label for="secret" { "The signing secret of " (endpoint.short()) }
                    input id="secret" class="secret" readonly value=(secret) spellcheck="false" data-select;
                    div class="actions" {
                        button type="button" class="button primary" data-copy=(secret) hidden { (icon(Icon::Copy)) "Copy the secret" }
                        a class="button" href=(here) data-saved { "I have stored it" }
                    }
                }
                (section("Verify what arrives", html! {
                    p { "Requests follow Standard Webhooks, so any of its libraries verifies them: with the secret, the body as it came, byte for byte, and the headers. Keep the secret where the program runs, not in its code." }
                    h3 { "Where the program runs" }
                    (copyable(&format!("ARTISAN_WEBHOOK_SECRET={secret}")))
                    h3 { "Python" }
                    (copyable(&lines(["# pip install standardwebhooks", "import os", "from standardwebhooks import Webhook", "event = Webhook(os.environ[\"ARTISAN_WEBHOOK_SECRET\"]).verify(body, headers)  # or WebhookVerificationError"])))
                    h3 { "TypeScript" }
                    (copyable(&lines(["// npm install standardwebhooks", "import { Webhook } from \"standardwebhooks\";", "const event = new Webhook(process.env.ARTISAN_WEBHOOK_SECRET!).verify(body, headers); // or it throws"])))
                    @if let Some(key) = &endpoint.public_key { p { "Ed25519 signatures (" code { "v1a" } ") are verified with the public key " code { (key) } "." } }
                    p { "Answer 2xx at once, and do the work afterwards. More in the " a href="/docs" { "API reference" } "." }
                }))
            },
            None => {
                section class="card" {
                    (banner(Tone::Quiet, html! { p { "This form was sent before, and the secret was shown then. It is not shown again: replace it if it is lost." } }))
                    p { a class="button" href=(here) { "To the endpoint" } }
                }
            },
        }
        (section("Try it out", picker(visit, endpoint, types, "lead.created", &Faults::default(), true)))
    };
    Page::new(visit, me, At::Webhooks, title)
        .below("Webhooks", "/console/webhooks")
        .lead(html! { code { (endpoint.url) } })
        .status(status)
        .show(body)
}
