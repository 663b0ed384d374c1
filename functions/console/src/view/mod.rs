//! What pages are made of.
//!
//! Everything that comes from elsewhere goes through `maud`, which escapes it: names, user agents and what receivers of
//! webhooks answer are text, whatever they contain. Nothing here asks the API for anything, save who is looking when a page
//! has to say that it failed.

mod chart;
mod code;
mod failed;
mod form;
mod fragment;
mod icon;
mod json;
mod layout;
mod notice;
mod part;
mod place;
mod when;

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use maud::Markup;

pub(crate) use chart::{Bar, Chart, Series, sparkline};
pub(crate) use code::{Call, as_code, copyable, lines};
pub(crate) use failed::failed;
pub(crate) use form::{
    Faults, Field, ONCE, check, choice, hidden, instant, number, once, password, text, textarea,
};
pub(crate) use fragment::{fragment, live, live_until_over};
pub(crate) use icon::{Icon, icon};
pub(crate) use json::json;
pub(crate) use layout::{At, Page, bare};
pub(crate) use part::*;
pub(crate) use place::{page_of, to_page};
pub(crate) use when::{ago, day, exact, moment, precise, span, stamp, took, way_to};

/// A page as an answer.
pub(crate) fn answer(status: StatusCode, markup: Markup) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], markup.into_string()).into_response()
}

/// Goes on to another page, as after a form that was sent (RFC 9110 §15.4.4).
pub(crate) fn go(to: &str) -> Response {
    Redirect::to(to).into_response()
}

/// Goes on to another page, which says what was done. `notice` is a short name of [`notice`].
pub(crate) fn done(to: &str, notice: &'static str) -> Response {
    let separator = if to.contains('?') { '&' } else { '?' };
    go(&format!("{to}{separator}notice={notice}"))
}

/// What browsers may do with a page: nothing that is not the console's own. No foreign host, no script or style in a page, no
/// frame around it, no form to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Completes the headers of a page.
pub(crate) fn protect(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // Within the console a form says which page it was on, and `Origin` is no `null`. Pages that mails lead to say less.
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    );
}
