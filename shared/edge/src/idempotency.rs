//! The `Idempotency-Key` header.

use axum::extract::FromRequestParts;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use problem::Problem;
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use store::{Answer, Idempotent};

use crate::{Edge, Refused, RequestInfo};

pub(crate) const LONGEST_KEY: usize = 255;

/// The key a caller sent, if any: 1 to 255 visible ASCII characters, with or without the quotes of the IETF draft.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let well_formed =
            (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if well_formed && values.next().is_none() {
            return Ok(Self(Some(key.to_owned())));
        }
        let message = format!("must be one value of 1 to {LONGEST_KEY} visible ASCII characters");
        Err(Refused(Problem::invalid("header:Idempotency-Key", "format", message)))
    }
}

/// A request to be carried out once: whose key it is, and what the request says.
#[derive(Debug, Clone, Copy)]
pub struct Idempotency<'a> {
    /// The key.
    pub key: &'a IdempotencyKey,
    /// Whose: keys of different callers do not meet.
    pub owner: &'a str,
    /// The workspace it acts in, where it acts in one.
    pub workspace: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl Idempotency<'_> {
    /// What the store needs to remember, if the caller sent a key. Both digests are keyed with the deployment's
    /// secret: a body may hold a password, which a plain hash would give away to whoever reads the table.
    pub(crate) fn remember(&self, edge: &Edge, request: &RequestInfo, answer: Answer) -> Option<Idempotent> {
        let key = self.key.0.as_ref()?;
        Some(Idempotent {
            key_digest: digest(edge, &[self.owner.as_bytes(), key.as_bytes()]),
            request_digest: digest(edge, &[request.target.as_bytes(), self.workspace.as_bytes(), self.body]),
            now: request.now,
            answer,
        })
    }
}

impl Edge {
    /// A digest of `text` that can't be undone without the deployment's secret, for naming what must not be shown.
    #[must_use]
    pub fn fingerprint(&self, text: &str) -> String {
        digest(self, &[text.as_bytes()])
    }
}

fn digest(edge: &Edge, parts: &[&[u8]]) -> String {
    use std::fmt::Write as _;
    // HMAC takes keys of any length, so this cannot fail.
    let mut mac = Hmac::<Sha256>::new_from_slice(edge.0.fingerprint.expose_secret())
        .unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in parts {
        // Lengths keep the parts apart: ("ab", "c") is not ("a", "bc").
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    let mut text = String::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
