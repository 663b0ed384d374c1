//! With the second factor, after the password.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{HALF_WAY, card, go_on, next, with_cookie};
use crate::api::{Ours, Request};
use crate::pages::Answer;
use crate::view::{Faults, Field, hidden, once, text};
use crate::visit::{Fields, Params, Visit, href};

pub(super) async fn form(visit: Visit, params: Params) -> Answer {
    Ok(show(&visit, next(params.get("next")), &Faults::default()))
}

fn show(visit: &Visit, to: &str, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/code", "/recovery_code"]))
        p { "Enter the six digits that your authenticator app shows." }
        form class="stack" method="post" action="/console/sign-in/code" {
            (once(visit)) (hidden("next", to))
            (code_fields(faults))
            button class="button primary wide" { "Go on" }
        }
        ul class="ways" { li { a href=(href("/console/sign-in", [("next", to)])) { "Start again" } } }
    };
    card(visit, "Second factor", faults, body)
}

/// The fields for a code, or one of the codes for the day the app is gone.
pub(super) fn code_fields(faults: &Faults) -> Markup {
    html! {
        (text("text", Field::new("code", "Code").optional().autocomplete("one-time-code").fault(faults.of_field("/code"))))
        details {
            summary { "The app is gone" }
            (text("text", Field::new("recovery_code", "Recovery code").optional().fault(faults.of_field("/recovery_code")).hint("One of the ten that were shown when the second factor was set up. Each is good once.")))
        }
    }
}

/// What was entered, as the API takes it.
pub(super) fn entered(fields: &Fields) -> Value {
    let code: String = fields.get("code").chars().filter(|character| !character.is_whitespace()).collect();
    match fields.filled("recovery_code") {
        Some(recovery_code) if code.is_empty() => json!({"recovery_code": recovery_code}),
        Some(_) | None => json!({"code": code}),
    }
}

pub(super) async fn verify(visit: Visit, fields: Fields) -> Answer {
    let to = next(fields.get("next"));
    let (name, _) = HALF_WAY;
    let token = visit.cookie(name).ok_or(Ours::SignedOut)?;
    let mut asked = entered(&fields);
    if let Some(asked) = asked.as_object_mut() {
        asked.insert("mfa_token".to_owned(), token.into());
    }
    match visit.api.ask(Request::post("/api/auth/mfa/verify").json(&asked)).await {
        Ok(proved) => Ok(with_cookie(&visit, go_on(&visit, proved, to), name, "", 0)),
        Err(failure) => Ok(show(&visit, to, &Faults::of(failure)?)),
    }
}
