//! What the address says: the whole state of a page.

use std::convert::Infallible;
use std::ops::Deref;

use axum::extract::{FromRequestParts, Path};
use http::Uri;
use http::request::Parts;

use super::pairs::Pairs;
use crate::api::{Failure, Ours};

/// The parameters of an address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Pairs);

impl Deref for Params {
    type Target = Pairs;

    fn deref(&self) -> &Pairs {
        &self.0
    }
}

impl Params {
    pub(super) fn of(uri: &Uri) -> Self {
        Self(Pairs::parse(uri.query().unwrap_or_default().as_bytes()))
    }

    /// With these parameters in the place of their own.
    pub(crate) fn with<'a>(&self, changed: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let changed: Vec<_> = changed.into_iter().collect();
        let kept = self.0.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        Self(kept.chain(changed.iter().copied()).collect())
    }

    /// Without what is under this name.
    pub(crate) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(own, _)| *own != name).collect())
    }

    /// Whether any of these narrows what is shown.
    pub(crate) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.filled(name).is_some())
    }

    /// The address of `path` with these parameters, of which `changed` are others, and those that are empty left out. What
    /// was done just now is not said again.
    pub(crate) fn href(&self, path: &str, changed: &[(&str, &str)]) -> String {
        let kept = self
            .0
            .iter()
            .filter(|(name, _)| *name != "notice" && changed.iter().all(|(other, _)| other != name));
        href(path, kept.chain(changed.iter().copied()))
    }
}

#[cfg(test)]
impl Params {
    /// The parameters of a query.
    pub(crate) fn read(query: &str) -> Self {
        Self(Pairs::parse(query.as_bytes()))
    }
}

/// The address of `path` with these parameters; those that are empty are left out.
pub(crate) fn href<'a>(path: &str, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(params.into_iter().filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
impl FromIterator<(&'static str, &'static str)> for Params {
    fn from_iter<I: IntoIterator<Item = (&'static str, &'static str)>>(params: I) -> Self {
        Self(params.into_iter().collect())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

/// A segment of the path that names something of the API's. It has no character that means something in an address, so that
/// it stays a segment in the address that the API is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Segment(pub(crate) String);

/// Two segments, first to last.
#[derive(Debug, Clone)]
pub(crate) struct Segments(pub(crate) String, pub(crate) String);

fn is_plain(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !text.bytes().all(|byte| byte == b'.')
}

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) if is_plain(&text) => Ok(Self(text)),
            Ok(_) | Err(_) => Err(Ours::NoSuchPage.into()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((first, second))) if is_plain(&first) && is_plain(&second) => Ok(Self(first, second)),
            Ok(_) | Err(_) => Err(Ours::NoSuchPage.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_is_not_changed() {
        let params = Params::of(&"/audit?action=api_key.create&cursor=x&notice=done".parse().unwrap());
        assert_eq!(
            params.href("/console/audit", &[("cursor", ""), ("actor", "a b&c")]),
            "/console/audit?action=api_key.create&actor=a+b%26c"
        );
        assert_eq!(Params::default().href("/console/audit", &[]), "/console/audit");
        let frozen = params.with([("action", "lead.create"), ("from", "2026")]).without("cursor");
        assert_eq!(frozen.href("/", &[]), "/?action=lead.create&from=2026");
    }

    #[test]
    fn a_segment_cannot_become_two() {
        for plain in ["ep_01kaq8zr3y7e2r4m8n5p6q7s8t", "sales.example.com", "a-b"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in ["", "..", ".", "a/b", "a?b", "a%2fb", "a b", "é", &"a".repeat(254)] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
