//! With the organization's identity provider.
//!
//! The API sends the browser to the provider and keeps, in a cookie, which browser set out. Here the console is in between: it
//! keeps that value in a cookie of its own. The way there is a page that goes on by itself and has a link: the policy of our
//! pages lets forms lead to nowhere else, redirects included. The way back is the API's own address, the only one that providers know; it hands the
//! browser on to `/console/sign-in/sso` as it came.

use axum::response::Response;
use http::{HeaderValue, header};
use maud::html;

use super::{begin, card, next, with_cookie};
use crate::api::{Asked, Request};
use crate::pages::Answer;
use crate::view::{Faults, Field, hidden, once, text};
use crate::visit::{Fields, Params, Tokens, Visit, href};

/// What the API calls the cookie, with HTTPS and without.
const NAMES: [&str; 2] = ["__Host-artisan-sign-on", "artisan-sign-on"];
/// How long a sign-on may take, in seconds.
const TAKES: u64 = 600;
/// Where to go on to afterwards.
const NEXT: &str = "sign-on-next";
const BROWSER: &str = "sign-on";
const ELSEWHERE: &str = "The sign-on was begun in another browser, or too long ago. Start again.";

/// A domain in the form that says whose provider it is, or a browser that comes back from one.
pub(super) async fn come_back(visit: Visit, params: Params) -> Answer {
    if params.filled("state").is_none() {
        return Ok(show(&visit, params.get("organization"), next(params.get("next")), &Faults::default()));
    }
    let to = next(visit.cookie(NEXT).unwrap_or_default());
    // The API would send it here once more.
    let Some(browser) = visit.cookie(BROWSER).filter(|browser| !browser.is_empty()) else {
        return Ok(show(&visit, "", to, &Faults::at("", ELSEWHERE)));
    };
    let name = if visit.site().secure { NAMES[0] } else { NAMES[1] };
    let mut request =
        Request::get("/api/auth/sso/callback").header(header::COOKIE, format!("{name}={browser}"));
    for name in ["state", "code", "error", "iss"] {
        request = request.query(name, params.get(name));
    }
    match visit.api.ask::<Tokens>(request).await {
        Ok(tokens) => {
            let response = with_cookie(&visit, begin(tokens, to), BROWSER, "", 0);
            Ok(with_cookie(&visit, response, NEXT, "", 0))
        }
        Err(failure) => Ok(show(&visit, "", to, &Faults::of(failure)?)),
    }
}

fn show(visit: &Visit, organization: &str, to: &str, faults: &Faults) -> Response {
    let body = html! {
        (faults.summary(&[]))
        form class="stack" method="post" action="/console/sign-in/sso/start" {
            (once(visit)) (hidden("next", to))
            (text("text", Field::new("organization", "Domain of your organization").value(organization).hint("Such as example.com, or its id, org_….")))
            button class="button primary wide" { "Go on" }
        }
        ul class="ways" { li { a href=(href("/console/sign-in", [("next", to)])) { "With a password" } } }
    };
    card(visit, "Single sign-on", faults, body)
}

/// Sets out. By a form of ours alone: a link of somebody else's would sign people in as whom their own provider says (login CSRF).
pub(super) async fn start(visit: Visit, fields: Fields) -> Answer {
    let to = next(fields.get("next"));
    let named = fields.get("organization");
    let is_plain = !named.is_empty()
        && named.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !named.starts_with('.');
    if !is_plain {
        let faults = Faults::at("/organization", "That is neither a domain nor an id.");
        return Ok(show(&visit, named, to, &faults));
    }
    let request =
        Request::get(format!("/api/auth/sso/{}/start", named.to_ascii_lowercase())).query("for", "console");
    match visit.api.send(request.query("login_hint", fields.get("email"))).await {
        Ok(asked) => {
            let browser = browser(&asked).unwrap_or_default();
            let provider = asked.header("location").unwrap_or("/console/sign-in");
            let response = with_cookie(&visit, go_there(&visit, provider), BROWSER, browser, TAKES);
            Ok(with_cookie(&visit, response, NEXT, to, TAKES))
        }
        Err(failure) if failure.code() == "not_found" => {
            let faults = Faults::at("", "No organization of that name has single sign-on.");
            Ok(show(&visit, named, to, &faults))
        }
        Err(failure) => Ok(show(&visit, named, to, &Faults::of(failure)?)),
    }
}

/// A page that goes on to the provider by itself.
fn go_there(visit: &Visit, provider: &str) -> Response {
    let body = html! {
        p { "You are on your way to your organization's identity provider." }
        p { a class="button primary wide" href=(provider) { "Go there now" } }
    };
    let mut response = card(visit, "Single sign-on", &Faults::default(), body);
    if let Ok(refresh) = HeaderValue::try_from(format!("0; url={provider}")) {
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    response
}

/// The value of the cookie that the API sets.
fn browser(asked: &Asked) -> Option<&str> {
    let in_headers = asked.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut set = asked.cookies.iter().map(String::as_str).chain(in_headers);
    set.find_map(|cookie| {
        let (name, value) = cookie.split(';').next()?.split_once('=')?;
        NAMES.contains(&name.trim()).then_some(value)
    })
}
