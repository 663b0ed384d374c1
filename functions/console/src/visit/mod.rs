//! A visit: one request for a page, by somebody.
//!
//! Promises to every page: a form that comes in was sent from a page of ours ([`Fields`] can be had no other way); the token
//! of whoever is signed in is fresh; and an error becomes a page that says what to do. Nothing of a visit is kept here: the
//! session is two cookies that scripts cannot read, and the API judges it with every request.

mod cookies;
mod fields;
mod guard;
mod pairs;
mod params;
mod watch;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use clock::Timestamp;
use edge::RequestInfo;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::api::{self, Caller, Failure, Ours};
use crate::view;
use crate::{Console, Site};

pub(crate) use cookies::Theme;
use cookies::{Jar, Kept};
pub(crate) use fields::Fields;
pub(crate) use guard::FIELD;
pub(crate) use params::{Params, Segment, Segments, href};
pub(crate) use watch::Watch;

/// One request, and who sends it.
#[derive(Clone)]
pub(crate) struct Visit {
    console: Console,
    /// What is known of the request.
    pub(crate) info: RequestInfo,
    /// The API, as this visitor may use it.
    pub(crate) api: Caller,
    /// What forms carry that were sent from a page of ours.
    pub(crate) form_token: Arc<str>,
    /// Light, dark, or as the browser has it.
    pub(crate) theme: Theme,
    /// Path and query, as they stand in the address bar.
    pub(crate) here: Arc<str>,
    /// The page to go back to: this one, or the one whose form was sent.
    pub(crate) back: Arc<str>,
    /// Whether something was sent that may have been done.
    pub(crate) is_change: bool,
    /// What was done just now, by its short name.
    pub(crate) notice: Option<Arc<str>>,
    signed_in: bool,
    cookies: Arc<Jar>,
}

/// The tokens of a session.
#[derive(Clone, Deserialize)]
pub(crate) struct Tokens {
    access_token: String,
    refresh_token: String,
    expires_in: u64,
}

/// What becomes of the session with this answer. Travels in the extensions of a response.
#[derive(Clone)]
pub(crate) enum Session {
    /// It begins, or goes on with other tokens.
    Begins(Tokens),
    /// It is over.
    Ends,
}

#[derive(Serialize)]
struct Refresh<'a> {
    refresh_token: &'a str,
}

impl Visit {
    /// When it is.
    pub(crate) fn now(&self) -> Timestamp {
        self.info.now
    }

    /// Where the console is.
    pub(crate) fn site(&self) -> &Site {
        &self.console.0.site
    }

    /// Whether the browser shows a session; whether it holds, the API says.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.signed_in
    }

    /// A cookie that a page of ours has set for itself.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.own(name)
    }

    /// The `Set-Cookie` that keeps something for so many seconds; nothing is kept for 0.
    pub(crate) fn keep(&self, name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
        self.cookies.set(name, value, Some(seconds))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        // `around` puts it there for every page.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Ours::NoSuchPage.into())
    }
}

/// A failure becomes a page outside, where it is known who is looking.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What is done for every page, before and after.
pub(crate) async fn around(State(console): State<Console>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(info) = parts.extensions.get::<RequestInfo>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let site = &console.0.site;
    let jar = Jar::of(&parts.headers, site.secure);
    let anyone = console.0.api.for_anyone(&info);
    let (form_token, mut new_form_token) = match jar.get(Kept::Form) {
        Some(token) => (token.to_owned(), None),
        None => match guard::token() {
            Ok(token) => (token.clone(), Some(token)),
            Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    };
    let mut session = None;
    let caller = match (jar.get(Kept::Access), jar.get(Kept::Refresh)) {
        (Some(access), _) => Ok(Some(anyone.with_token(access))),
        (None, Some(refresh)) => match refreshed(&anyone, refresh).await {
            Ok(tokens) => {
                let caller = anyone.with_token(&tokens.access_token);
                session = Some(Session::Begins(tokens));
                Ok(Some(caller))
            }
            Err(failure) if failure.is_signed_out() => {
                session = Some(Session::Ends);
                Ok(None)
            }
            Err(failure) => Err(failure),
        },
        (None, None) => Ok(None),
    };
    let here = here(&parts);
    let params = Params::of(&parts.uri);
    let visit = Visit {
        signed_in: matches!(caller, Ok(Some(_))),
        api: caller.as_ref().ok().cloned().flatten().unwrap_or(anyone),
        form_token: form_token.as_str().into(),
        theme: jar.theme(),
        back: back(&parts, site, &here).into(),
        is_change: !is_safe(&parts.method),
        here: here.into(),
        notice: Some(params.get("notice")).filter(|name| !name.is_empty()).map(Into::into),
        cookies: Arc::new(jar),
        console: console.clone(),
        info,
    };
    let admitted = match caller {
        Ok(_) => guard::admit(&mut parts, body, &form_token).await,
        Err(failure) => Err(failure),
    };
    let mut response = match admitted {
        Ok(body) => {
            parts.extensions.insert(visit.clone());
            next.run(Request::from_parts(parts, body)).await
        }
        Err(failure) => failure.into_response(),
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = if failure.is_signed_out() {
            // The browser keeps a token as long as its own clock says; the API's may be ahead. Nothing was done yet: with new
            // tokens the browser sends the same once more.
            match renewed(&visit, &failure, session.is_some()).await {
                Some(tokens) => {
                    session = Some(Session::Begins(tokens));
                    sent_again(&visit)
                }
                None => {
                    session = Some(Session::Ends);
                    view::failed(&visit, &failure).await
                }
            }
        } else {
            view::failed(&visit, &failure).await
        };
    }
    let changed = match response.extensions_mut().remove::<Session>() {
        Some(changed) => {
            // With another session another token: nobody who knew the browser's before knows it now (session fixation).
            new_form_token = guard::token().ok();
            Some(changed)
        }
        None => session,
    };
    let cookies = &visit.cookies;
    let mut set = Vec::new();
    match changed {
        Some(Session::Begins(tokens)) => {
            // A moment less than it is good for, so that none is sent that expires on its way.
            let life = tokens.expires_in.saturating_sub(30);
            set.push(cookies.set_kept(Kept::Access, &tokens.access_token, Some(life)));
            set.push(cookies.set_kept(Kept::Refresh, &tokens.refresh_token, Some(cookies::SESSION)));
        }
        Some(Session::Ends) => {
            set.push(cookies.set_kept(Kept::Access, "", Some(0)));
            set.push(cookies.set_kept(Kept::Refresh, "", Some(0)));
        }
        None => {}
    }
    if let Some(token) = new_form_token {
        set.push(cookies.set_kept(Kept::Form, &token, None));
    }
    let headers = response.headers_mut();
    for cookie in set.into_iter().flatten() {
        headers.append(header::SET_COOKIE, cookie);
    }
    view::protect(headers);
    response
}

/// The cookie that says that something is sent for the second time, for some seconds.
const AGAIN: &str = "again";

/// New tokens, if the API refused the session, the browser can show what they are given for, and they are good for something.
async fn renewed(visit: &Visit, failure: &Failure, is_new: bool) -> Option<Tokens> {
    if is_new || visit.cookie(AGAIN).is_some() || !matches!(failure, Failure::Refused(_)) {
        return None;
    }
    let refresh = visit.cookies.get(Kept::Refresh)?;
    let anyone = visit.console.0.api.for_anyone(&visit.info);
    let tokens = refreshed(&anyone, refresh).await.ok()?;
    api::Me::of(&anyone.with_token(&tokens.access_token)).await.ok()?;
    Some(tokens)
}

/// Has the browser send the same once more (RFC 9110 §15.4.8), and no more than once.
fn sent_again(visit: &Visit) -> Response {
    let mut response = Redirect::temporary(&visit.here).into_response();
    if let Some(again) = visit.keep(AGAIN, "1", 10) {
        response.headers_mut().append(header::SET_COOKIE, again);
    }
    response
}

async fn refreshed(anyone: &Caller, refresh_token: &str) -> Result<Tokens, Failure> {
    anyone.ask(api::Request::post("/api/auth/refresh").json(&Refresh { refresh_token })).await
}

/// Path and query as the browser has them: the router has taken the first segment off.
fn here(parts: &Parts) -> String {
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    format!("/console{}", path.strip_suffix('/').filter(|rest| rest.is_empty()).unwrap_or(path))
}

/// The page that was looked at when the request was sent.
fn back(parts: &Parts, site: &Site, here: &str) -> String {
    if is_safe(&parts.method) {
        return here.to_owned();
    }
    let referrer = parts.headers.get(header::REFERER).and_then(|referrer| referrer.to_str().ok());
    let page = referrer.and_then(|referrer| referrer.strip_prefix(site.url.as_str()));
    match page {
        Some(page)
            if page == "/console" || page.starts_with("/console/") || page.starts_with("/console?") =>
        {
            page.to_owned()
        }
        _ => "/console".to_owned(),
    }
}

/// Whether a request only looks.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
