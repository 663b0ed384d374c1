//! A new organization, and the address of whoever made it.

use axum::response::Response;
use maud::html;
use serde_json::json;

use super::{begin, card};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{Faults, Field, done, go, hidden, once, password, text};
use crate::visit::{Fields, Params, Tokens, Visit};

/// What is asked of passwords, in words.
pub(crate) const PASSWORD_RULE: &str = "At least 12 characters, and none that is easily guessed.";

pub(super) async fn form(visit: Visit) -> Answer {
    Ok(if visit.is_signed_in() {
        go("/console")
    } else {
        show(&visit, &Fields::default(), &Faults::default())
    })
}

fn show(visit: &Visit, fields: &Fields, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/organization_name", "/name", "/email", "/password"]))
        form class="stack" method="post" action="/console/sign-up" {
            (once(visit))
            (text("text", Field::new("organization_name", "Organization").value(fields.get("organization_name")).autocomplete("organization").fault(faults.of_field("/organization_name"))))
            (text("text", Field::new("name", "Your name").value(fields.get("name")).autocomplete("name").fault(faults.of_field("/name"))))
            (text("email", Field::new("email", "E-mail address").value(fields.get("email")).autocomplete("username").fault(faults.of_field("/email"))))
            (password(Field::new("password", "Password").autocomplete("new-password").hint(PASSWORD_RULE).fault(faults.of_field("/password"))))
            button class="button primary wide" { "Sign up" }
        }
        ul class="ways" { li { a href="/console/sign-in" { "I have an account" } } }
    };
    card(visit, "Sign up", faults, body)
}

pub(super) async fn sign_up(visit: Visit, fields: Fields) -> Answer {
    let asked = json!({
        "organization_name": fields.get("organization_name"),
        "name": fields.get("name"),
        "email": fields.get("email"),
        "password": fields.raw("password"),
    });
    // Without a name of the submission: a second answer would come without the tokens.
    match visit.api.ask::<Tokens>(Request::post("/api/auth/signup").json(&asked)).await {
        Ok(tokens) => Ok(begin(tokens, "/console?notice=welcome")),
        Err(failure) => Ok(show(&visit, &fields, &Faults::of(failure)?)),
    }
}

pub(super) async fn confirm_form(visit: Visit, params: Params) -> Answer {
    // Only the account itself may confirm its address.
    let me = Me::of(&visit.api).await?;
    Ok(show_confirm(&visit, &me, params.get("token"), &Faults::default()))
}

fn show_confirm(visit: &Visit, me: &Me, token: &str, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&["/token"]))
        @if me.email_verified {
            p { "The address " strong { (me.user.email) } " is confirmed." }
            p { a class="button primary wide" href="/console" { "To the overview" } }
        } @else {
            p { "You are signed in as " strong { (me.user.email) } ". Is this address yours?" }
            form class="stack" method="post" action="/console/confirm" {
                (once(visit)) (hidden("token", token))
                button class="button primary wide" { "Yes, confirm it" }
            }
            form class="stack" method="post" action="/console/confirm/resend" {
                (once(visit))
                button class="button wide" { "Send the mail again" }
            }
        }
    };
    card(visit, "Confirm your address", faults, body)
}

pub(super) async fn confirm(visit: Visit, fields: Fields) -> Answer {
    let token = fields.get("token");
    match visit.api.tell(Request::post("/api/auth/email/confirm").json(&json!({"token": token}))).await {
        Ok(()) => Ok(done("/console", "confirmed")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let me = Me::of(&visit.api).await?;
            Ok(show_confirm(&visit, &me, token, &faults))
        }
    }
}

pub(super) async fn resend(visit: Visit, _: Fields) -> Answer {
    match visit.api.tell(Request::post("/api/auth/email/resend")).await {
        Ok(()) => Ok(done("/console/profile", "mail-sent")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let me = Me::of(&visit.api).await?;
            Ok(show_confirm(&visit, &me, "", &faults))
        }
    }
}
