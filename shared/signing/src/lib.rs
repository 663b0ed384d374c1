//! Webhook signatures.
//!
//! Three schemes, all over the exact bytes that are sent. Two are [Standard Webhooks]', over `id.timestamp.body`, so that
//! an old webhook can't be sent again: `v1` (HMAC-SHA256), whose [`SigningSecret`] the receiver shares, and `v1a`
//! (Ed25519), whose [`SigningKey`] never leaves us while everybody may have the [`VerifyingKey`]. The third is the plain
//! `X-Artisan-Signature` (HMAC-SHA256 of the body, hex) for receivers that want two lines of code.
//!
//! A [`Signer`] is what a sender uses. It signs with every secret and key that is valid, so that a receiver can change
//! from one to the next when it likes.
//!
//! Secrets and keys print only their type name. Comparisons take the same time whatever differs.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

mod key;
mod secret;
mod signer;

pub use key::{InvalidKey, SigningKey, VerifyingKey};
pub use secret::{InvalidSecret, SigningSecret};
pub use signer::{Signatures, Signer};

/// Header names, in the spelling they are sent in.
pub mod header {
    /// The event's id, the same on every attempt.
    pub const ID: &str = "webhook-id";
    /// When the attempt was made, Unix seconds.
    pub const TIMESTAMP: &str = "webhook-timestamp";
    /// Space-separated list of `v1,<base64>` and `v1a,<base64>`.
    pub const SIGNATURE: &str = "webhook-signature";
    /// `sha256=<hex>` over the body alone.
    pub const ARTISAN_SIGNATURE: &str = "x-artisan-signature";
    /// The event type.
    pub const ARTISAN_EVENT: &str = "x-artisan-event";
}

/// How far a receiver lets the signed timestamp be off, in seconds (the reference libraries' value).
pub const TOLERANCE_SECONDS: i64 = 300;

/// What stands before the body in the signed text of Standard Webhooks.
fn signed_prefix(id: &str, timestamp: i64) -> String {
    format!("{id}.{timestamp}.")
}

fn is_recent(timestamp: i64, now: i64) -> bool {
    timestamp.abs_diff(now) <= TOLERANCE_SECONDS.unsigned_abs()
}

/// The signatures of one scheme in a `webhook-signature` header, decoded. What can't be read is passed over, as are
/// schemes of another name: a receiver must not mind what it does not know.
fn of_scheme<'a>(header: &'a str, scheme: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let texts = header.split(' ').filter_map(move |one| one.strip_prefix(scheme));
    texts.filter_map(|text| STANDARD.decode(text).ok())
}
