//! The second factor: `/console/profile/second-factor`.
//!
//! Who has none where their organization asks for one comes here with a session that may do nothing else, so that these pages ask
//! the API for nothing but what they are about.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use maud::{Markup, html};
use qrcode::{Color, QrCode};
use serde::Deserialize;
use serde_json::{Map, json};

use crate::Console;
use crate::api::{Failure, Me, Request};
use crate::pages::Answer;
use crate::view::{Faults, Field, Tone, banner, bare, copyable, done, hidden, lines, once, password, text};
use crate::visit::{Fields, Visit};

const HERE: &str = "/console/profile/second-factor";

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/profile/second-factor", get(form).post(enroll))
        .route("/profile/second-factor/activate", post(activate))
        .route("/profile/second-factor/recovery-codes", post(renew))
        .route("/profile/second-factor/remove", post(remove))
}

/// A second factor that is about to be active.
#[derive(Deserialize)]
struct Enrolled {
    secret: String,
    otpauth_url: String,
}

#[derive(Deserialize)]
struct Codes {
    recovery_codes: Vec<String>,
}

async fn form(visit: Visit) -> Answer {
    let is_active = match Me::of(&visit.api).await {
        Ok(me) => me.mfa_enabled,
        // They are here for lack of one.
        Err(failure) if failure.code() == "mfa_required" => false,
        Err(failure) => return Err(failure),
    };
    Ok(if is_active { manage(&visit, &Faults::default()) } else { begin(&visit, &Faults::default()) })
}

fn card(visit: &Visit, title: &str, faults: &Faults, body: Markup) -> Response {
    let status = faults.status();
    bare(visit, status, title, html! { (faults.summary(&["/password", "/code"])) (body) })
}

fn begin(visit: &Visit, faults: &Faults) -> Response {
    let body = html! {
        p { "Sign-ins will ask for a code from an authenticator app on your phone, besides the password." }
        form class="stack" method="post" action=(HERE) {
            (once(visit))
            (password(Field::new("password", "Your password").optional().autocomplete("current-password").hint("If you have one: it shows that it is you.").fault(faults.of_field("/password"))))
            button class="button primary wide" { "Go on" }
        }
        ul class="ways" { li { a href="/console/profile" { "Back to the profile" } } }
    };
    card(visit, "Set up a second factor", faults, body)
}

async fn enroll(visit: Visit, fields: Fields) -> Answer {
    let mut asked = Map::new();
    let password = fields.raw("password");
    if !password.is_empty() {
        asked.insert("password".to_owned(), password.into());
    }
    match visit.api.ask::<Enrolled>(Request::post("/api/auth/mfa/enroll").json(&asked)).await {
        Ok(enrolled) => Ok(scan(&visit, &enrolled, &Faults::default())),
        Err(failure) => Ok(begin(&visit, &Faults::of(failure)?)),
    }
}

fn scan(visit: &Visit, enrolled: &Enrolled, faults: &Faults) -> Response {
    let groups: Vec<&str> = (0..enrolled.secret.len())
        .step_by(4)
        .filter_map(|at| enrolled.secret.get(at..(at + 4).min(enrolled.secret.len())))
        .collect();
    let body = html! {
        p { "Scan this with the app, or type the secret in. Then enter the code that the app shows." }
        (qr(&enrolled.otpauth_url))
        (copyable(&groups.join(" ")))
        form class="stack" method="post" action={ (HERE) "/activate" } {
            (once(visit)) (hidden("secret", &enrolled.secret)) (hidden("otpauth_url", &enrolled.otpauth_url))
            (text("text", Field::new("code", "Code").autocomplete("one-time-code").fault(faults.of_field("/code"))))
            button class="button primary wide" { "Switch it on" }
        }
        ul class="ways" { li { a href="/console/profile" { "Not now" } } }
    };
    card(visit, "Scan the code", faults, body)
}

/// A QR code on white ground, whatever the colours of the page, with the margin of four modules that readers ask for.
fn qr(text: &str) -> Markup {
    let Ok(code) = QrCode::new(text) else { return html! {} };
    let (width, colors) = (code.width(), code.to_colors());
    let modules = colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
    let path: String =
        modules.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + 4, at / width + 4)).collect();
    let side = width + 8;
    html! {
        svg class="qr" viewBox={ "0 0 " (side) " " (side) } role="img" aria-label="QR code of the secret" shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#ffffff" {}
            path d=(path) fill="#000000" {}
        }
    }
}

async fn activate(visit: Visit, fields: Fields) -> Answer {
    match visit
        .api
        .ask::<Codes>(Request::post("/api/auth/mfa/activate").json(&json!({"code": code(&fields)})))
        .await
    {
        Ok(codes) => Ok(recovery(&visit, &codes, "It is on")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let enrolled = Enrolled {
                secret: fields.get("secret").to_owned(),
                otpauth_url: fields.get("otpauth_url").to_owned(),
            };
            Ok(scan(&visit, &enrolled, &faults))
        }
    }
}

fn code(fields: &Fields) -> String {
    fields.get("code").chars().filter(|character| !character.is_whitespace()).collect()
}

/// The codes for the day the app is gone, which no other page shows.
fn recovery(visit: &Visit, codes: &Codes, title: &str) -> Response {
    let body = html! {
        (banner(Tone::Wary, html! { p { strong { "Store these recovery codes now." } " They are shown this once. Each lets you in once when the app is gone." } }))
        div data-unsaved="Have you stored the codes?" {
            (copyable(&lines(&codes.recovery_codes)))
            p { a class="button primary wide" href="/console/profile" data-saved { "I have stored them" } }
        }
    };
    bare(visit, StatusCode::OK, title, body)
}

fn manage(visit: &Visit, faults: &Faults) -> Response {
    let body = html! {
        p { "It is on: sign-ins ask for a code from your authenticator app." }
        form class="stack" method="post" action={ (HERE) "/recovery-codes" } {
            (once(visit))
            (text("text", Field::new("code", "Code from the app").autocomplete("one-time-code").fault(faults.of_field("/code"))))
            button class="button primary wide" { "Make new recovery codes" }
            p class="hint" { "Those that there are become void." }
            button class="button danger wide" formaction={ (HERE) "/remove" } { "Take the second factor off" }
        }
        ul class="ways" { li { a href="/console/profile" { "Back to the profile" } } }
    };
    card(visit, "Second factor", faults, body)
}

async fn renew(visit: Visit, fields: Fields) -> Answer {
    let asked = json!({"code": code(&fields)});
    match visit.api.ask::<Codes>(Request::post("/api/auth/mfa/recovery-codes").json(&asked)).await {
        Ok(codes) => Ok(recovery(&visit, &codes, "New recovery codes")),
        Err(failure) => Ok(manage(&visit, &Faults::of(failure)?)),
    }
}

async fn remove(visit: Visit, fields: Fields) -> Result<Response, Failure> {
    let asked = json!({"code": code(&fields)});
    match visit.api.tell(Request::delete("/api/auth/mfa").json(&asked)).await {
        Ok(()) => Ok(done("/console/profile", "factor-removed")),
        Err(failure) => Ok(manage(&visit, &Faults::of(failure)?)),
    }
}
