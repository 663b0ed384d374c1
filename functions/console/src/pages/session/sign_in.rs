//! With address and password.

use axum::response::Response;
use maud::html;
use serde_json::json;

use super::{card, go_on, next};
use crate::api::Request;
use crate::pages::Answer;
use crate::view::{Faults, Field, go, hidden, once, password, text};
use crate::visit::{Fields, Params, Visit, href};

pub(super) async fn form(visit: Visit, params: Params) -> Answer {
    let to = next(params.get("next"));
    Ok(if visit.is_signed_in() { go(to) } else { show(&visit, params.get("email"), to, &Faults::default()) })
}

fn show(visit: &Visit, email: &str, to: &str, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/email", "/password"]))
        form class="stack" method="post" action="/console/sign-in" {
            (once(visit)) (hidden("next", to))
            (text("email", Field::new("email", "E-mail address").value(email).autocomplete("username").fault(faults.of_field("/email"))))
            (password(Field::new("password", "Password").autocomplete("current-password").fault(faults.of_field("/password"))))
            button class="button primary wide" { "Sign in" }
        }
        ul class="ways" {
            li { a href=(href("/console/sign-in/sso", [("next", to)])) { "Single sign-on" } }
            li { a href="/console/password/forgotten" { "Forgotten password" } }
            li { a href="/console/sign-up" { "New here? Sign up" } }
        }
    };
    card(visit, "Sign in", faults, body)
}

pub(super) async fn sign_in(visit: Visit, fields: Fields) -> Answer {
    let to = next(fields.get("next"));
    let asked = json!({"email": fields.get("email"), "password": fields.raw("password")});
    match visit.api.ask(Request::post("/api/auth/login").json(&asked)).await {
        Ok(proved) => Ok(go_on(&visit, proved, to)),
        Err(failure) => Ok(show(&visit, fields.get("email"), to, &Faults::of(failure)?)),
    }
}
