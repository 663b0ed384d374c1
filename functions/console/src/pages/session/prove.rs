//! When the organization asks for more proof than the session has given.

use axum::response::Response;
use maud::html;

use super::second_factor::{code_fields, entered};
use super::{card, next};
use crate::api::Request;
use crate::pages::Answer;
use crate::view::{Faults, button, go, hidden, once};
use crate::visit::{Fields, Params, Visit, href};

pub(super) async fn form(visit: Visit, params: Params) -> Answer {
    let to = next(params.get("next"));
    if params.get("by") == "sso_required" {
        let body = html! {
            p { "Your organization admits people by its identity provider only. This session began in another way." }
            p { a class="button primary wide" href=(href("/console/sign-in/sso", [("next", to)])) { "Single sign-on" } }
            (button(&visit, "/console/sign-out", "button wide", html! { "Sign out" }))
        };
        return Ok(card(&visit, "Single sign-on is asked for", &Faults::default(), body));
    }
    Ok(show(&visit, to, &Faults::default()))
}

fn show(visit: &Visit, to: &str, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/code", "/recovery_code"]))
        p { "Your organization asks for a second factor, and this session has not proved one." }
        form class="stack" method="post" action="/console/prove" {
            (once(visit)) (hidden("next", to))
            (code_fields(faults))
            button class="button primary wide" { "Go on" }
        }
        ul class="ways" {
            li { a href="/console/profile/second-factor" { "I have none yet: set one up" } }
            li { (button(visit, "/console/sign-out", "plain", html! { "Sign out" })) }
        }
    };
    card(visit, "Second factor is asked for", faults, body)
}

pub(super) async fn prove(visit: Visit, fields: Fields) -> Answer {
    let to = next(fields.get("next"));
    match visit.api.tell(Request::post("/api/auth/mfa/verify").json(&entered(&fields))).await {
        Ok(()) => Ok(go(to)),
        Err(failure) => Ok(show(&visit, to, &Faults::of(failure)?)),
    }
}
