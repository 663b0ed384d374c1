//! Key pairs: Standard Webhooks `v1a`, Ed25519 (RFC 8032).
//!
//! Whoever has the [`VerifyingKey`] can tell that a webhook is ours, and can't make one. Who receives webhooks on behalf
//! of others, or keeps no secrets, wants that.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{is_recent, of_scheme, signed_prefix};

const PREFIX: &str = "whpk_";
pub(crate) const SCHEME: &str = "v1a,";

/// Not a key: a text that is not `whpk_` and 32 base64-encoded bytes, or a seed the cryptographic library refused, which is
/// not expected to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook key")]
pub struct InvalidKey;

/// A key that webhooks to one endpoint are signed with. It has no text form: it never leaves us. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    public: VerifyingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// The key that grows from these 32 random bytes. Takes as long as signing does: keep it where it is used often.
    ///
    /// # Errors
    /// [`InvalidKey`] if the cryptographic library refuses; not expected to happen.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| InvalidKey)?;
        Ok(Self { pair: Arc::new(pair), public: VerifyingKey(public) })
    }

    /// What the receiver verifies with.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public
    }

    /// Appends `v1a,<base64>` of a whole signed text to `header`.
    pub(crate) fn append_signature(&self, signed: &[u8], header: &mut String) {
        header.push_str(SCHEME);
        STANDARD.encode_string(self.pair.sign(signed), header);
    }

    /// One `v1a,<base64>` signature (Standard Webhooks) of an attempt.
    #[must_use]
    pub fn standard(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut text = String::new();
        self.append_signature(&[signed_prefix(id, timestamp).as_bytes(), body].concat(), &mut text);
        text
    }
}

/// The public half of a [`SigningKey`]: `whpk_<base64>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// Whether any `v1a` signature in a `webhook-signature` header is this key's for this message, and `timestamp` is
    /// within [`TOLERANCE_SECONDS`](crate::TOLERANCE_SECONDS) of `now`.
    #[must_use]
    pub fn verifies_standard(&self, id: &str, timestamp: i64, now: i64, header: &str, body: &[u8]) -> bool {
        if !is_recent(timestamp, now) {
            return false;
        }
        let signed = [signed_prefix(id, timestamp).as_bytes(), body].concat();
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        of_scheme(header, SCHEME).any(|signature| key.verify(&signed, &signature).is_ok())
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl FromStr for VerifyingKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes =
            text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).ok_or(InvalidKey)?;
        bytes.try_into().map(Self).map_err(|_| InvalidKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

    fn published_key() -> SigningKey {
        let seed = STANDARD.decode("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=").unwrap();
        SigningKey::from_seed(seed.as_slice().try_into().unwrap()).unwrap()
    }

    /// The `v1a` signature in the Standard Webhooks specification's example of headers. What it signs, and the key, are
    /// in the tests of the server it was taken from (svix-server, `test_asymmetric_key_signing`).
    #[test]
    fn the_published_vector_holds() {
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let signature = published_key().standard(id, at, body);
        assert_eq!(
            signature,
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
        let public: VerifyingKey = PUBLIC.parse().unwrap();
        assert_eq!(public, published_key().verifying_key());
        assert!(public.verifies_standard(id, at, at, &signature, body));
    }

    #[test]
    fn verification_refuses_what_was_changed_or_is_old() {
        let (key, other) = (published_key(), SigningKey::from_seed(&[8; 32]).unwrap());
        let good = key.standard("evt_1", 1000, b"{}");
        let dual = format!("v1,AAAA v1a, {} {good}", other.standard("evt_1", 1000, b"{}"));
        let (key, other) = (key.verifying_key(), other.verifying_key());
        assert!(key.verifies_standard("evt_1", 1000, 1300, &dual, b"{}"));
        assert!(other.verifies_standard("evt_1", 1000, 700, &dual, b"{}"));
        assert!(!key.verifies_standard("evt_1", 1000, 1301, &good, b"{}"));
        assert!(!key.verifies_standard("evt_2", 1000, 1000, &good, b"{}"));
        assert!(!key.verifies_standard("evt_1", 1001, 1000, &good, b"{}"));
        assert!(!key.verifies_standard("evt_1", 1000, 1000, &good, b"{ }"));
        assert!(!key.verifies_standard("evt_1", 1000, 1000, &good.replace("v1a,", "v1,"), b"{}"));
        assert!(!other.verifies_standard("evt_1", 1000, 1000, &good, b"{}"));
    }

    #[test]
    fn a_public_key_reads_back_and_a_private_one_never_prints() {
        assert_eq!(PUBLIC.parse::<VerifyingKey>().unwrap().to_string(), PUBLIC);
        assert_eq!(format!("{:?}", published_key()), "SigningKey");
        for junk in ["", "whpk_", "whpk_AAAA", &PUBLIC[5..], &PUBLIC.replace("whpk_", "whsk_")] {
            assert_eq!(junk.parse::<VerifyingKey>(), Err(InvalidKey));
        }
    }
}
