//! A password that was forgotten.

use axum::response::Response;
use maud::html;
use serde_json::json;

use super::card;
use super::sign_up::PASSWORD_RULE;
use crate::api::Request;
use crate::pages::Answer;
use crate::view::{Faults, Field, Tone, banner, done, hidden, once, password, text};
use crate::visit::{Fields, Params, Session, Visit};

pub(super) async fn forgotten_form(visit: Visit) -> Answer {
    Ok(show_forgotten(&visit, "", &Faults::default()))
}

fn show_forgotten(visit: &Visit, email: &str, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/email"]))
        p { "We send you a link with which you set another one." }
        form class="stack" method="post" action="/console/password/forgotten" {
            (once(visit))
            (text("email", Field::new("email", "E-mail address").value(email).autocomplete("username").fault(faults.of_field("/email"))))
            button class="button primary wide" { "Send the link" }
        }
        ul class="ways" { li { a href="/console/sign-in" { "Back to sign-in" } } }
    };
    card(visit, "Forgotten password", faults, body)
}

pub(super) async fn forgotten(visit: Visit, fields: Fields) -> Answer {
    let asked = json!({"email": fields.get("email")});
    match visit.api.tell(Request::post("/api/auth/password/forgot").json(&asked)).await {
        Ok(()) => {
            // The same, whether anybody has the address or not.
            let body = html! {
                (banner(Tone::Good, html! { p { "If somebody has the address " strong { (fields.get("email")) } ", a mail is on its way to them. Its link is good for an hour." } }))
                p { a class="button wide" href="/console/sign-in" { "Back to sign-in" } }
            };
            Ok(card(&visit, "Look into your mail", &Faults::default(), body))
        }
        Err(failure) => Ok(show_forgotten(&visit, fields.get("email"), &Faults::of(failure)?)),
    }
}

pub(super) async fn reset_form(visit: Visit, params: Params) -> Answer {
    Ok(show_reset(&visit, params.get("token"), &Faults::default()))
}

fn show_reset(visit: &Visit, token: &str, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/password"]))
        p { "It ends every session of yours, wherever you are signed in." }
        form class="stack" method="post" action="/console/password/reset" {
            (once(visit)) (hidden("token", token))
            (password(Field::new("password", "New password").autocomplete("new-password").hint(PASSWORD_RULE).fault(faults.of_field("/password"))))
            button class="button primary wide" { "Set the password" }
        }
        ul class="ways" { li { a href="/console/password/forgotten" { "Ask for another link" } } }
    };
    card(visit, "Set a new password", faults, body)
}

pub(super) async fn reset(visit: Visit, fields: Fields) -> Answer {
    let asked = json!({"token": fields.get("token"), "password": fields.raw("password")});
    match visit.api.tell(Request::post("/api/auth/password/reset").json(&asked)).await {
        Ok(()) => {
            let mut response = done("/console/sign-in", "password-reset");
            response.extensions_mut().insert(Session::Ends);
            Ok(response)
        }
        Err(failure) => Ok(show_reset(&visit, fields.get("token"), &Faults::of(failure)?)),
    }
}
