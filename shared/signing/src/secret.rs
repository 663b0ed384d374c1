//! Shared secrets: Standard Webhooks `v1`, and `X-Artisan-Signature`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{is_recent, of_scheme, signed_prefix};

const PREFIX: &str = "whsec_";
pub(crate) const SCHEME: &str = "v1,";

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

    /// HMAC-SHA256 that has taken in the key, and nothing else yet.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        // HMAC takes keys of any length, so this cannot fail; an empty key would only make wrong signatures.
        Hmac::new_from_slice(self.0.expose_secret()).unwrap_or_else(|_| Hmac::new(&Default::default()))
    }

    /// One `v1,<base64>` signature (Standard Webhooks) of an attempt.
    #[must_use]
    pub fn standard(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mac = self.mac().chain_update(signed_prefix(id, timestamp)).chain_update(body);
        let mut text = SCHEME.to_owned();
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut text);
        text
    }

    /// The value of `X-Artisan-Signature` for a body.
    #[must_use]
    pub fn artisan(&self, body: &[u8]) -> String {
        artisan(self.mac(), body)
    }

    /// Whether any `v1` signature in a `webhook-signature` header is this secret's for this message, and `timestamp` is
    /// within [`TOLERANCE_SECONDS`](crate::TOLERANCE_SECONDS) of `now`. Other signatures beside it do no harm: that is how
    /// a rotation looks.
    #[must_use]
    pub fn verifies_standard(&self, id: &str, timestamp: i64, now: i64, header: &str, body: &[u8]) -> bool {
        if !is_recent(timestamp, now) {
            return false;
        }
        let mac = self.mac().chain_update(signed_prefix(id, timestamp)).chain_update(body);
        of_scheme(header, SCHEME).any(|signature| mac.clone().verify_slice(&signature).is_ok())
    }

    /// Whether `header` is the `X-Artisan-Signature` of this body. Nothing in it says how old the webhook is.
    #[must_use]
    pub fn verifies_artisan(&self, header: &str, body: &[u8]) -> bool {
        self.artisan(body).as_bytes().ct_eq(header.as_bytes()).into()
    }
}

/// `sha256=<hex>` of a body, by a MAC that has taken in its key.
pub(crate) fn artisan(mac: Hmac<Sha256>, body: &[u8]) -> String {
    const PREFIX: &str = "sha256=";
    let mut text = String::with_capacity(PREFIX.len() + 64);
    text.push_str(PREFIX);
    let bytes = mac.chain_update(body).finalize().into_bytes();
    let digits = bytes.into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    text
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
        let signature = "sha256=198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7";
        assert_eq!(secret.artisan(b"Hi There"), signature);
        assert!(secret.verifies_artisan(signature, b"Hi There"));
        assert!(!secret.verifies_artisan(signature, b"Hi there"));
        for wrong in ["", "sha256=", &signature[1..], &signature.to_uppercase()] {
            assert!(!secret.verifies_artisan(wrong, b"Hi There"), "{wrong}");
        }
    }

    #[test]
    fn verification_refuses_what_was_changed_or_is_old() {
        let secret = SigningSecret::from_bytes([7; 32]);
        let other = SigningSecret::from_bytes([8; 32]);
        let good = secret.standard("evt_1", 1000, b"{}");
        let dual = format!("v1a,AAAA v2,??? v1, {} {good}", other.standard("evt_1", 1000, b"{}"));
        assert!(secret.verifies_standard("evt_1", 1000, 1300, &dual, b"{}"));
        assert!(other.verifies_standard("evt_1", 1000, 700, &dual, b"{}"));
        assert!(!secret.verifies_standard("evt_1", 1000, 1301, &good, b"{}"));
        assert!(!secret.verifies_standard("evt_1", 1000, 699, &good, b"{}"));
        assert!(!secret.verifies_standard("evt_1", i64::MIN, i64::MAX, &good, b"{}"));
        assert!(!secret.verifies_standard("evt_2", 1000, 1000, &good, b"{}"));
        assert!(!secret.verifies_standard("evt_1", 1001, 1000, &good, b"{}"));
        assert!(!secret.verifies_standard("evt_1", 1000, 1000, &good, b"{ }"));
        assert!(!secret.verifies_standard("evt_1", 1000, 1000, &good.replace("v1,", "v1a,"), b"{}"));
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
