//! An invitation by mail.

use axum::response::Response;
use maud::html;
use serde_json::{Map, Value};

use super::sign_up::PASSWORD_RULE;
use super::{card, go_on};
use crate::api::Request;
use crate::pages::Answer;
use crate::view::{Faults, Field, Tone, banner, hidden, once, password, text};
use crate::visit::{Fields, Params, Visit};

pub(super) async fn form(visit: Visit, params: Params) -> Answer {
    Ok(show(&visit, params.get("token"), &Fields::default(), &Faults::default()))
}

fn show(visit: &Visit, token: &str, fields: &Fields, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/name", "/password"]))
        @if visit.is_signed_in() {
            (banner(Tone::Quiet, html! { p { "You are signed in. The invitation is for the address that it was sent to, whoever is signed in here." } }))
        }
        form class="stack" method="post" action="/console/invitations/accept" {
            (once(visit)) (hidden("token", token))
            (text("text", Field::new("name", "Your name").optional().value(fields.get("name")).autocomplete("name").fault(faults.of_field("/name")).hint("If you are new here.")))
            (password(Field::new("password", "Password").optional().autocomplete("new-password").fault(faults.of_field("/password")).hint("New here: choose one. ")))
            p class="hint" { (PASSWORD_RULE) " If you have an account with this address, its password signs you in; you can also leave it empty and sign in as usual." }
            button class="button primary wide" { "Join" }
        }
    };
    card(visit, "You are invited", faults, body)
}

pub(super) async fn accept(visit: Visit, fields: Fields) -> Answer {
    let mut asked = Map::from_iter([("token".to_owned(), Value::from(fields.get("token")))]);
    if let Some(name) = fields.filled("name") {
        asked.insert("name".to_owned(), name.into());
    }
    let password = fields.raw("password");
    if !password.is_empty() {
        asked.insert("password".to_owned(), password.into());
    }
    match visit.api.ask(Request::post("/api/auth/invitations/accept").json(&asked)).await {
        Ok(proved) => Ok(go_on(&visit, proved, "/console")),
        Err(failure) => Ok(show(&visit, fields.get("token"), &fields, &Faults::of(failure)?)),
    }
}
