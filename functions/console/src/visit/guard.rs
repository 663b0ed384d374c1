//! Whether a request that changes something comes from a page of ours.
//!
//! The threat is a page elsewhere that has the browser of somebody who is signed in send a form (cross-site request forgery),
//! or sign in as the attacker (login CSRF). Three things have to hold, each of which would do: the browser says that the
//! request comes from our own origin, its cookies came along at all (`SameSite`), and the form carries the token that a cookie
//! holds which only we can set and no script can read. A token is made with the first page, and is no session of anybody.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header;
use http::request::Parts;
use sealing::SealError;
use subtle::ConstantTimeEq as _;

use super::fields::{self, Fields};
use super::is_safe;
use crate::api::{Failure, Ours};

/// The field that carries the token.
pub(crate) const FIELD: &str = "_form";

/// A new token of forms.
pub(super) fn token() -> Result<String, SealError> {
    Ok(URL_SAFE_NO_PAD.encode(sealing::random::<32>()?))
}

/// Reads the form of a request that changes something, if it is one of ours, and gives the body for whoever comes next.
pub(super) async fn admit(parts: &mut Parts, body: Body, expected: &str) -> Result<Body, Failure> {
    if is_safe(&parts.method) {
        return Ok(body);
    }
    if !is_from_here(&parts.headers) {
        return Err(Ours::Forged.into());
    }
    let fields = fields::read(&parts.headers, body).await?;
    let matches: bool = fields.get(FIELD).as_bytes().ct_eq(expected.as_bytes()).into();
    if !matches {
        return Err(Ours::Forged.into());
    }
    parts.extensions.insert::<Fields>(fields);
    Ok(Body::empty())
}

/// Whether the browser says that a page of this very origin sends it (Fetch Metadata; RFC 6454 for those that say less).
fn is_from_here(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (header("sec-fetch-site"), header(header::ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let host = header(header::HOST.as_str());
            origin.split_once("://").is_some_and(|(_, from)| Some(from) == host)
        }
        // Browsers have sent one or the other with forms for years. What sends neither is no browser, and has no cookies but
        // those it was given: the token is what counts.
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_origin_may_send_forms() {
        for (from_here, sent) in [
            (true, &[("sec-fetch-site", "same-origin"), ("host", "a.example")][..]),
            (false, &[("sec-fetch-site", "same-site")]),
            (
                false,
                &[("sec-fetch-site", "cross-site"), ("origin", "https://a.example"), ("host", "a.example")],
            ),
            (false, &[("sec-fetch-site", "none")]),
            (true, &[("origin", "https://a.example"), ("host", "a.example")]),
            (false, &[("origin", "https://b.example"), ("host", "a.example")]),
            (false, &[("origin", "null"), ("host", "a.example")]),
            (true, &[("host", "a.example")]),
        ] {
            assert_eq!(is_from_here(&headers(sent)), from_here, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn a_form_without_the_browsers_own_token_is_refused() {
        let admitted = async |body: &'static str| {
            let (mut parts, body) = http::Request::post("/keys")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::from(body))
                .unwrap()
                .into_parts();
            admit(&mut parts, body, "token").await.is_ok()
        };
        assert!(admitted("_form=token&name=x").await);
        assert!(!admitted("_form=other&name=x").await);
        assert!(!admitted("name=x").await);
        assert!(!admitted("").await);
    }
}
