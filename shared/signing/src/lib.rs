//! Webhook signatures.
//!
//! Two schemes, both over the exact bytes that are sent: [Standard Webhooks] `v1` (HMAC-SHA256 over
//! `id.timestamp.body`, base64), which stops replays because the timestamp is signed, and the plain
//! `X-Artisan-Signature` (HMAC-SHA256 of the body, hex) for receivers that want two lines of code.
//!
//! A [`SigningSecret`] prints only its type name. Comparisons take the same time whatever differs.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// Header names, in the spelling they are sent in.
pub mod header {
    /// The event's id, the same on every attempt.
    pub const ID: &str = "webhook-id";
    /// When the attempt was made, Unix seconds.
    pub const TIMESTAMP: &str = "webhook-timestamp";
    /// Space-separated list of `v1,<base64>`.
    pub const SIGNATURE: &str = "webhook-signature";
    /// `sha256=<hex>` over the body alone.
    pub const ARTISAN_SIGNATURE: &str = "x-artisan-signature";
    /// The event type.
    pub const ARTISAN_EVENT: &str = "x-artisan-event";
}

/// How far a receiver lets the signed timestamp be off, in seconds (the reference libraries' value).
pub const TOLERANCE_SECONDS: i64 = 300;

const PREFIX: &str = "whsec_";

/// A secret that webhooks to one endpoint are signed with.
#[derive(Clone)]
pub struct SigningSecret(SecretSlice<u8>);

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret")
    }
}

/// A text is not `whsec_` and 24 to 64 base64-encoded bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook signing secret")]
pub struct InvalidSecret;

impl SigningSecret {
    /// The secret made of these 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec().into())
    }

    /// Reads `whsec_<base64>`.
    ///
    /// # Errors
    /// [`InvalidSecret`] when it isn't one of 24 to 64 bytes, the sizes Standard Webhooks allows.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let bytes =
            STANDARD.decode(text.strip_prefix(PREFIX).ok_or(InvalidSecret)?).map_err(|_| InvalidSecret)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(InvalidSecret);
        }
        Ok(Self(bytes.into()))
    }

    /// The secret as the customer sees it, once: `whsec_<base64>`.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0.expose_secret()))
    }

    fn mac(&self) -> Hmac<Sha256> {
        // HMAC takes keys of any length, so this cannot fail; an empty key would only make wrong signatures.
        Hmac::new_from_slice(self.0.expose_secret()).unwrap_or_else(|_| Hmac::new(&Default::default()))
    }

    /// One `v1,<base64>` signature (Standard Webhooks) of an attempt.
    #[must_use]
    pub fn standard(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.standard_mac(id, timestamp, body).finalize().into_bytes()))
    }

    fn standard_mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }

    /// The value of `X-Artisan-Signature` for a body.
    #[must_use]
    pub fn artisan(&self, body: &[u8]) -> String {
        use std::fmt::Write as _;
        let mut mac = self.mac();
        mac.update(body);
        let mut text = String::with_capacity("sha256=".len() + 64);
        text.push_str("sha256=");
        for byte in mac.finalize().into_bytes() {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Whether any signature in a `webhook-signature` header is ours for this message, and `timestamp` is within
    /// [`TOLERANCE_SECONDS`] of `now`.
    #[must_use]
    pub fn verifies_standard(&self, id: &str, timestamp: i64, now: i64, header: &str, body: &[u8]) -> bool {
        (timestamp - now).abs() <= TOLERANCE_SECONDS
            && header
                .split(' ')
                .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
                .any(|signature| self.standard_mac(id, timestamp, body).verify_slice(&signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification and its reference libraries.
    #[test]
    fn the_published_vector_holds() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.standard("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// RFC 4231, test case 2's data under a key of the size we use, checked against Python's `hmac`.
    #[test]
    fn the_plain_signature_is_hex_hmac_of_the_body() {
        let secret = SigningSecret::from_bytes([0x0b; 32]);
        assert_eq!(
            secret.artisan(b"Hi There"),
            "sha256=198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
        );
    }

    #[test]
    fn verification_refuses_what_was_changed_or_is_old() {
        let secret = SigningSecret::from_bytes([7; 32]);
        let other = SigningSecret::from_bytes([8; 32]);
        let good = secret.standard("evt_1", 1000, b"{}");
        let dual = format!("{} {good}", other.standard("evt_1", 1000, b"{}"));
        assert!(secret.verifies_standard("evt_1", 1000, 1300, &dual, b"{}"));
        assert!(!secret.verifies_standard("evt_1", 1000, 1301, &good, b"{}"));
        assert!(!secret.verifies_standard("evt_2", 1000, 1000, &good, b"{}"));
        assert!(!secret.verifies_standard("evt_1", 1000, 1000, &good, b"{ }"));
        assert!(!other.verifies_standard("evt_1", 1000, 1000, &good, b"{}"));
    }

    #[test]
    fn a_secret_reads_back_and_never_prints() {
        let secret = SigningSecret::from_bytes([9; 32]);
        let text = secret.reveal();
        assert_eq!(SigningSecret::parse(&text).unwrap().reveal(), text);
        assert_eq!(format!("{secret:?}"), "SigningSecret");
        for junk in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(SigningSecret::parse(junk).is_err());
        }
    }
}
