//! Coming in and going out: `/console/sign-in` and what belongs to it.
//!
//! A link in a mail shows a form and does nothing by itself: programs that look at mails follow links.

mod invitation;
mod password;
mod prove;
mod second_factor;
mod sign_in;
mod sign_up;
mod single_sign_on;

pub(super) use sign_up::PASSWORD_RULE;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderName, header};
use maud::Markup;
use serde::Deserialize;
use serde_json::json;
use url::{Position, Url};

use crate::Console;
use crate::api::Request;
use crate::pages::Answer;
use crate::view::{self, Faults, bare, go};
use crate::visit::{Fields, Session, Theme, Tokens, Visit, href};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-in/code", get(second_factor::form).post(second_factor::verify))
        .route("/sign-in/sso", get(single_sign_on::come_back))
        .route("/sign-in/sso/start", post(single_sign_on::start))
        .route("/sign-up", get(sign_up::form).post(sign_up::sign_up))
        .route("/sign-out", post(sign_out))
        .route("/password/forgotten", get(password::forgotten_form).post(password::forgotten))
        .route("/password/reset", get(password::reset_form).post(password::reset))
        .route("/invitations/accept", get(invitation::form).post(invitation::accept))
        .route("/confirm", get(sign_up::confirm_form).post(sign_up::confirm))
        .route("/confirm/resend", post(sign_up::resend))
        .route("/prove", get(prove::form).post(prove::prove))
        .route("/switch", post(switch))
        .route("/theme", post(theme))
}

/// Where to go on to: a page of the console and nothing else, whatever the address says.
pub(super) fn next(named: &str) -> &str {
    let is_ours = named == "/console" || named.starts_with("/console/") || named.starts_with("/console?");
    if is_ours && is_plain(named) && !named.contains("//") && named.len() <= 2000 {
        named
    } else {
        "/console"
    }
}

/// Whether browsers read an address as it stands: without dots that lead upwards, in whatever spelling (WHATWG URL).
fn is_plain(address: &str) -> bool {
    let read = Url::parse("http://console.invalid").and_then(|base| base.join(address));
    read.is_ok_and(|url| &url[Position::BeforePath..] == address)
}

/// The answer that begins a session, and goes on to `to`.
fn begin(tokens: Tokens, to: &str) -> Response {
    let mut response = go(to);
    response.extensions_mut().insert(Session::Begins(tokens));
    response
}

/// What the API says to somebody who has proved who they are, in part or in whole.
#[derive(Deserialize)]
#[serde(untagged)]
enum Proved {
    Begun(Tokens),
    HalfWay {
        mfa_token: String,
    },
    /// Nothing was proved: they sign in as usual.
    AsUsual {},
}

/// What keeps the token between a password and a second factor, and for how many seconds.
const HALF_WAY: (&str, u64) = ("half-way", 300);

/// Goes on with whatever was proved.
fn go_on(visit: &Visit, proved: Proved, to: &str) -> Response {
    match proved {
        Proved::Begun(tokens) => begin(tokens, to),
        Proved::HalfWay { mfa_token } => {
            let (name, seconds) = HALF_WAY;
            with_cookie(visit, go(&href("/console/sign-in/code", [("next", to)])), name, &mfa_token, seconds)
        }
        Proved::AsUsual {} => view::done(&href("/console/sign-in", [("next", to)]), "joined"),
    }
}

fn with_cookie(visit: &Visit, mut response: Response, name: &str, value: &str, seconds: u64) -> Response {
    if let Some(cookie) = visit.keep(name, value, seconds) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A page of one card, with the status that its faults make it have.
fn card(visit: &Visit, title: &str, faults: &Faults, body: Markup) -> Response {
    let mut response = bare(visit, faults.status(), title, body);
    // A page that a mail leads to has a token in its address, which nobody else is to learn.
    let no_referrer = http::HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(HeaderName::from_static("referrer-policy"), no_referrer);
    response
}

async fn sign_out(visit: Visit, _: Fields) -> Answer {
    // A session that is over already is as good as one that is ended now.
    match visit.api.tell(Request::post("/api/auth/logout")).await {
        Err(failure) if !failure.is_signed_out() => return Err(failure),
        Ok(()) | Err(_) => {}
    }
    let mut response = view::done("/console/sign-in", "signed-out");
    response.extensions_mut().insert(Session::Ends);
    Ok(response)
}

async fn switch(visit: Visit, fields: Fields) -> Answer {
    let asked = json!({"organization_id": fields.get("organization_id")});
    let tokens: Tokens = visit.api.ask(Request::post("/api/auth/switch").json(&asked)).await?;
    let mut response = view::done("/console", "switched");
    response.extensions_mut().insert(Session::Begins(tokens));
    Ok(response)
}

async fn theme(visit: Visit, fields: Fields) -> Answer {
    const A_YEAR: u64 = 365 * 24 * 60 * 60;
    let theme = Theme::named(fields.get("theme")).name();
    Ok(with_cookie(&visit, go(next(fields.get("next"))), "theme", theme, A_YEAR).into_response())
}

#[cfg(test)]
mod tests {
    use super::{Proved, next};

    #[test]
    fn nothing_leads_out_of_the_console() {
        for ours in
            ["/console", "/console/keys", "/console/audit?action=a%2Fb&from=2026", "/console?notice=x"]
        {
            assert_eq!(next(ours), ours);
        }
        for other in [
            "",
            "/",
            "https://evil.example",
            "//evil.example",
            "/console//evil.example",
            "/consolevil",
            "/console/\\evil.example",
            "/console/\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
            "/api/auth/logout",
            "/console/../api/auth/sso/org_1/start",
            "/console/%2e%2e/x",
            "/console/.%2E/x",
            "/console/./x",
            "/console/..",
        ] {
            assert_eq!(next(other), "/console", "{other}");
        }
    }

    #[test]
    fn what_was_proved_is_told_apart() {
        let read = |text: &str| serde_json::from_str::<Proved>(text).unwrap();
        let begun =
            r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":900,"user":{}}"#;
        assert!(matches!(read(begun), Proved::Begun(_)));
        assert!(matches!(read(r#"{"mfa_required":true,"mfa_token":"m"}"#), Proved::HalfWay { .. }));
        assert!(matches!(read(r#"{"user":{},"organization":{}}"#), Proved::AsUsual {}));
    }
}
