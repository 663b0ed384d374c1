//! CORS preflights: what a browser asks before it lets a page call the API (Fetch standard, "CORS-preflight fetch").
//!
//! A preflight carries no credentials, so all that can be told is whether any organization lists the page's origin. That is
//! no secret and opens nothing: the real request must come with a credential, and its answer may be read by the page only
//! if that credential's own organization lists the origin.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};
use store::Store;

use crate::Refused;

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "authorization, content-type, idempotency-key, if-match, x-request-id, x-workspace-id";
/// Seconds for which a browser may remember the answer.
const MAX_AGE: &str = "600";
/// What the answer depends on, besides the origin.
const VARY: &str = "Access-Control-Request-Method, Access-Control-Request-Headers";
/// An origin is `scheme://host:port`, and a host has at most 253 characters.
const LONGEST_ORIGIN: usize = 300;

/// Answers a preflight from an origin that is listed; everything else goes on to whoever is asked.
pub(crate) async fn answer(State(store): State<Store>, request: Request, next: Next) -> Response {
    let Some(origin) = asking(&request) else { return next.run(request).await };
    let listed = match origin.to_str() {
        Ok(text) if text.len() <= LONGEST_ORIGIN => store.is_listed_origin(text).await,
        _ => Ok(false),
    };
    match listed {
        Err(error) => Refused::from(error).into_response(),
        Ok(false) => next.run(request).await,
        Ok(true) => allow(origin),
    }
}

/// The origin of the page that asks, if the request is a preflight.
fn asking(request: &Request) -> Option<HeaderValue> {
    let headers = request.headers();
    let is_preflight =
        request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    headers.get(header::ORIGIN).filter(|_| is_preflight).cloned()
}

fn allow(origin: HeaderValue) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    response
}
