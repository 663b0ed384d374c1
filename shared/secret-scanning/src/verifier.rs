//! Verifying who signed a report.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::{Clock, Timestamp};
use egress::{Bounds, Fetch, FetchError, Sender, Target};
use tokio::sync::Mutex;

use crate::keys::KeySet;

/// Names the key that a report is signed with.
pub const IDENTIFIER_HEADER: &str = "github-public-key-identifier";
/// The signature of a report.
pub const SIGNATURE_HEADER: &str = "github-public-key-signature";

/// However many reports name keys that are not known, what is published is not asked for more often than this.
pub const REFETCH_INTERVAL: Duration = Duration::from_secs(60);
/// How long published keys are good for without another look.
const KEYS_LIFE: Duration = Duration::from_secs(60 * 60);
/// How long they are still good for while there is no other look to be had: reports are not to be lost because of an outage.
const KEYS_LAST: Duration = Duration::from_secs(24 * 60 * 60);
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(5), body: 64 * 1024 };

/// Identifiers are SHA-256 in hex; anything longer than this is none.
const LONGEST_IDENTIFIER: usize = 128;
/// A signature on P-256 has at most 72 bytes: two integers of 33 bytes in a sequence.
const LONGEST_SIGNATURE: usize = 72;

/// Why a report is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The headers are missing, or cannot be right.
    #[error("the report is not signed")]
    Unsigned,
    /// It names a key that is not published.
    #[error("the report names a key that is not published")]
    UnknownKey,
    /// The signature is not one of these bytes by that key.
    #[error("the signature of the report is wrong")]
    Forged,
    /// The published keys cannot be had at present, so nobody can tell.
    #[error("the published keys cannot be had")]
    NoKeys,
}

/// Why there are no published keys to be had.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("the published keys could not be fetched")]
    Fetch(#[from] FetchError),
    #[error("the published keys were answered with status {0}")]
    Status(u16),
    #[error("what is published is no list of keys")]
    Malformed,
}

/// What the headers of a report say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    identifier: String,
    bytes: Vec<u8>,
}

impl Signature {
    /// Reads the two headers.
    ///
    /// # Errors
    /// [`VerifyError::Unsigned`] when one is missing or cannot be right.
    pub fn read(identifier: Option<&str>, signature: Option<&str>) -> Result<Self, VerifyError> {
        let (Some(identifier), Some(signature)) = (identifier, signature) else {
            return Err(VerifyError::Unsigned);
        };
        let plausible = (1..=LONGEST_IDENTIFIER).contains(&identifier.len())
            && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && signature.len() <= LONGEST_SIGNATURE.div_ceil(3) * 4;
        let bytes = STANDARD.decode(signature).ok().filter(|bytes| plausible && !bytes.is_empty());
        let bytes = bytes.ok_or(VerifyError::Unsigned)?;
        Ok(Self { identifier: identifier.to_owned(), bytes })
    }
}

/// Verifies reports by the keys that are published at one address. Cheap to clone; what was fetched is shared.
#[derive(Clone)]
pub struct Verifier {
    sender: Sender,
    published_at: Target,
    clock: Clock,
    keys: Arc<Mutex<Keys>>,
}

/// The keys as they were last seen.
#[derive(Default)]
struct Keys {
    seen: Option<(KeySet, Timestamp)>,
    /// When they were last asked for, whatever came of it.
    asked_at: Option<Timestamp>,
}

impl Keys {
    /// Whether they were seen less than `age` ago.
    fn are_younger_than(&self, age: Duration, now: Timestamp) -> bool {
        self.seen.as_ref().is_some_and(|(_, seen_at)| now.since(*seen_at) < age)
    }

    fn know(&self, identifier: &str) -> bool {
        self.seen.as_ref().is_some_and(|(set, _)| set.find(identifier).is_some())
    }
}

impl Verifier {
    /// A verifier by the keys at `published_at`, which are fetched through `sender` when the first report comes.
    #[must_use]
    pub fn new(sender: Sender, published_at: Target, clock: Clock) -> Self {
        Self { sender, published_at, clock, keys: Arc::default() }
    }

    /// Whether `body` is signed as the headers say.
    ///
    /// # Errors
    /// [`VerifyError`] says why it is not believed, or that nobody can tell at present.
    pub async fn verify(&self, signature: &Signature, body: &[u8]) -> Result<(), VerifyError> {
        // Held while asking, so that many reports at once ask once.
        let mut keys = self.keys.lock().await;
        let now = self.clock.now();
        let fresh = keys.are_younger_than(KEYS_LIFE, now) && keys.know(&signature.identifier);
        let may_ask = keys.asked_at.is_none_or(|asked_at| now.since(asked_at) >= REFETCH_INTERVAL);
        if !fresh && may_ask {
            keys.asked_at = Some(now);
            match self.fetch().await {
                Ok(set) => keys.seen = Some((set, now)),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "the keys of secret scanning could not be fetched");
                }
            }
        }
        match &keys.seen {
            Some((set, _)) if keys.are_younger_than(KEYS_LAST, now) => {
                let key = set.find(&signature.identifier).ok_or(VerifyError::UnknownKey)?;
                key.verify_sig(body, &signature.bytes).map_err(|_| VerifyError::Forged)
            }
            _ => Err(VerifyError::NoKeys),
        }
    }

    async fn fetch(&self) -> Result<KeySet, KeysError> {
        let document = self.sender.fetch(&self.published_at, Fetch::get(), BOUNDS).await?;
        if document.status != 200 {
            return Err(KeysError::Status(document.status));
        }
        KeySet::read(&document.body).ok_or(KeysError::Malformed)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_cannot_be_right_are_refused_without_a_look_at_anything() {
        let good = STANDARD.encode([7; LONGEST_SIGNATURE]);
        assert!(Signature::read(Some("f9525bf080f7"), Some(&good)).is_ok());
        let long = STANDARD.encode([7; LONGEST_SIGNATURE + 1]);
        for (identifier, signature) in [
            (None, None),
            (Some("f9"), None),
            (None, Some(&*good)),
            (Some(""), Some(&*good)),
            (Some("f9 52"), Some(&*good)),
            (Some("../f9"), Some(&*good)),
            (Some("f9"), Some("")),
            (Some("f9"), Some("not base64")),
            (Some("f9"), Some(&*long)),
        ] {
            let read = Signature::read(identifier, signature);
            assert!(matches!(read, Err(VerifyError::Unsigned)), "{identifier:?} {signature:?}");
        }
        assert!(Signature::read(Some(&"f".repeat(LONGEST_IDENTIFIER + 1)), Some(&good)).is_err());
    }
}
