//! One's own account: `/console/profile`.

mod second_factor;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde_json::json;

use crate::Console;
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::pages::session::PASSWORD_RULE;
use crate::view::{
    self, At, Faults, Field, Page, Tone, badge, banner, button, done, facts, id, moment, once, section,
    section_with, text,
};
use crate::visit::{Fields, Session, Tokens, Visit};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/profile", get(profile).post(rename))
        .route("/profile/password", post(change_password))
        .merge(second_factor::routes())
}

async fn profile(visit: Visit) -> Answer {
    let me = Me::of(&visit.api).await?;
    Ok(show(&visit, &me, None, &Faults::default(), &Faults::default()))
}

fn show(visit: &Visit, me: &Me, name: Option<&str>, named: &Faults, password: &Faults) -> Response {
    let body = html! {
        @if !me.email_verified {
            (banner(Tone::Wary, html! {
                p { "The address " strong { (me.user.email) } " is not confirmed: follow the link in the mail we sent." }
                (button(visit, "/console/confirm/resend", "button small", html! { "Send the mail again" }))
            }))
        }
        div class="split" {
            (section("You", html! {
                (named.summary(&["/name"]))
                form class="stack" method="post" action="/console/profile" {
                    (once(visit))
                    (text("text", Field::new("name", "Name").value(name.unwrap_or(&me.user.name)).autocomplete("name").hint("As it is shown in this organization.").fault(named.of_field("/name"))))
                    button class="button primary" { "Save" }
                }
                (facts([
                    ("E-mail address", html! { (me.user.email) " " @if me.email_verified { (badge(Tone::Good, "confirmed")) } @else { (badge(Tone::Wary, "not confirmed")) } }),
                    ("Id", id(&me.user.id)),
                ]))
            }))
            (section_with("Second factor", second_factor(me), html! {
                @if me.mfa_enabled {
                    p { (badge(Tone::Good, "active")) " Sign-ins ask for a code from your authenticator app." }
                } @else {
                    p { (badge(Tone::Wary, "none")) " With a code from an authenticator app, a stolen password alone lets nobody in." }
                }
            }))
        }
        div class="split" {
            (section("Password", html! {
                (password.summary(&["/current_password", "/new_password"]))
                form class="stack" method="post" action="/console/profile/password" {
                    (once(visit))
                    input type="hidden" name="username" autocomplete="username" value=(me.user.email);
                    (view::password(Field::new("current_password", "Present password").autocomplete("current-password").fault(password.of_field("/current_password"))))
                    (view::password(Field::new("new_password", "New password").autocomplete("new-password").hint(PASSWORD_RULE).fault(password.of_field("/new_password"))))
                    p class="hint" { "It ends every other session of yours." }
                    button class="button" { "Change the password" }
                }
            }))
            (section("This session", html! {
                (facts([
                    ("Proved by", html! { (proofs(&me.session.amr)) }),
                    ("Signed in", moment(visit.now(), me.session.authenticated_at)),
                    ("Roles here", html! { (me.roles().join(", ")) }),
                ]))
                (button(visit, "/console/sign-out", "button", html! { "Sign out" }))
            }))
        }
        (section("Organizations", html! {
            ul class="stack" { @for organization in &me.organizations { li { (organization.name) " " (id(&organization.id)) @if organization.id == me.organization.id { " " (badge(Tone::Busy, "here")) } } } }
        }))
    };
    let wrong = if named.is_empty() { password } else { named };
    let lead = html! { "What is yours, in every organization that you belong to." };
    Page::new(visit, me, At::Profile, "Profile and security").lead(lead).status(wrong.status()).show(body)
}

fn second_factor(me: &Me) -> Markup {
    let label = if me.mfa_enabled { "Manage" } else { "Set it up" };
    html! { a class="button small" href="/console/profile/second-factor" { (label) } }
}

/// What a session has proved, in words (RFC 8176).
fn proofs(amr: &[String]) -> String {
    let words = amr.iter().map(|method| match method.as_str() {
        "pwd" => "password",
        "otp" => "one-time code",
        "sso" => "identity provider",
        "mfa" => "several factors, as the provider says",
        other => other,
    });
    words.collect::<Vec<_>>().join(", ")
}

async fn rename(visit: Visit, fields: Fields) -> Answer {
    match visit.api.tell(Request::patch("/api/auth/me").json(&json!({"name": fields.get("name")}))).await {
        Ok(()) => Ok(done("/console/profile", "saved")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let me = Me::of(&visit.api).await?;
            Ok(show(&visit, &me, Some(fields.get("name")), &faults, &Faults::default()))
        }
    }
}

async fn change_password(visit: Visit, fields: Fields) -> Answer {
    let asked = json!({"current_password": fields.raw("current_password"), "new_password": fields.raw("new_password")});
    match visit.api.ask::<Tokens>(Request::post("/api/auth/password/change").json(&asked)).await {
        Ok(tokens) => {
            let mut response = done("/console/profile", "password-changed");
            response.extensions_mut().insert(Session::Begins(tokens));
            Ok(response)
        }
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let me = Me::of(&visit.api).await?;
            Ok(show(&visit, &me, None, &Faults::default(), &faults))
        }
    }
}
