//! Parts of a page that its script keeps fresh: it asks the page's own handler for the inside, again and again.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, header};
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};

use super::answer;
use crate::visit::Watch;

/// What is kept fresh by asking `href` every so many seconds. Without a script it stays as it is.
pub(crate) fn live(href: &str, seconds: u8, inside: Markup) -> Markup {
    html! { div data-live=(href) data-every=(seconds) { (inside) } }
}

/// The same where the page is loaded anew at the end: what can be done on it is another thing then.
pub(crate) fn live_until_over(href: &str, seconds: u8, inside: Markup) -> Markup {
    html! { div data-live=(href) data-every=(seconds) data-reload { (inside) } }
}

/// The inside of what is kept fresh. `is_last` says that nothing more will come: the script then stops asking. Forms have no
/// place in it: what names a submission is another one each time, and so would be the entity tag.
pub(crate) fn fragment(watch: &Watch, inside: Markup, is_last: bool) -> Response {
    let digest = Sha256::digest(inside.0.as_bytes());
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest));
    if watch.has(&tag) && !is_last {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let settled = StatusCode::from_u16(286).unwrap_or(StatusCode::OK);
    let response = answer(if is_last { settled } else { StatusCode::OK }, inside);
    ([(header::ETAG, tag)], response).into_response()
}
