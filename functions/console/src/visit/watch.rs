//! A part of a page that its script keeps fresh.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;

/// Whether only the inside of what is kept fresh is asked for, and what the browser has of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    /// Whether the script asks, and not somebody for a whole page.
    pub(crate) is_fragment: bool,
    held: Option<String>,
}

impl Watch {
    /// Whether the browser has what this entity tag stands for.
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.held.as_deref() == Some(tag)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Watch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let held = parts.headers.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
        let is_fragment = parts.headers.get("x-fragment").is_some();
        Ok(Self { is_fragment, held: held.map(str::to_owned) })
    }
}
