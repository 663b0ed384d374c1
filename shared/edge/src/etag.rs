//! Entity tags: the time of a resource's last change.

use axum::extract::FromRequestParts;
use clock::Timestamp;
use http::header;
use http::request::Parts;
use problem::Problem;

use crate::Refused;

pub(crate) fn of(changed_at: Timestamp) -> String {
    format!("\"{}\"", changed_at.millis())
}

/// The `If-Match` header (RFC 9110 §13.1.1), where there is one.
#[derive(Debug, Clone)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Whether the change is meant for one version only.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Refuses a change to a resource that is no longer as the caller knows it.
    ///
    /// # Errors
    /// 412 when the header names another version.
    pub fn check(&self, changed_at: Timestamp) -> Result<(), Refused> {
        let Some(wanted) = &self.0 else { return Ok(()) };
        let current = of(changed_at);
        if wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == current) {
            Ok(())
        } else {
            Err(Refused(Problem::PreconditionFailed))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        // Bytes that are not text can't be a tag of ours, so they match nothing.
        Ok(Self(
            parts.headers.get(header::IF_MATCH).map(|value| value.to_str().unwrap_or_default().to_owned()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_present_version_or_a_star_matches() {
        let now = clock::utc(2026, 1, 1, 0, 0);
        let check = |header: Option<&str>| IfMatch(header.map(str::to_owned)).check(now).is_ok();
        assert!(check(None) && check(Some("*")) && check(Some(&of(now))));
        assert!(check(Some(&format!("\"1\", {}", of(now)))));
        assert!(!check(Some("\"1\"")) && !check(Some("")) && !check(Some(&format!("W/{}", of(now)))));
    }
}
