//! Signs webhooks with all that is valid for an endpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::secret::{self, SigningSecret};
use crate::signed_prefix;
use crate::{SigningKey, key};

/// How long a `v1` and a `v1a` signature are, with a space.
const V1_LENGTH: usize = secret::SCHEME.len() + 44 + 1;
const V1A_LENGTH: usize = key::SCHEME.len() + 88 + 1;

/// The secrets and keys of an endpoint, ready to sign. Making one costs two blocks of SHA-256 for each secret, which
/// signing is then spared; it may be kept for as long as none of them changes.
///
/// ```
/// # use signing::{Signer, SigningSecret};
/// # let (current, previous) = (SigningSecret::from_bytes([1; 32]), SigningSecret::from_bytes([2; 32]));
/// let signatures = Signer::new(&current).previous(&previous).sign("evt_1", 1_796_000_000, b"{}");
/// assert!(previous.verifies_standard("evt_1", 1_796_000_000, 1_796_000_001, &signatures.standard, b"{}"));
/// ```
#[derive(Clone)]
pub struct Signer {
    newest: Hmac<Sha256>,
    previous: Vec<Hmac<Sha256>>,
    keys: Vec<SigningKey>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// The values of an attempt's two signature headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// `webhook-signature`: the `v1` signatures, then the `v1a` ones, of each the newest first.
    pub standard: String,
    /// `X-Artisan-Signature`, by the newest secret alone: it has room for one.
    pub artisan: String,
}

impl Signer {
    /// Signs with the newest secret.
    #[must_use]
    pub fn new(newest: &SigningSecret) -> Self {
        Self { newest: newest.mac(), previous: Vec::new(), keys: Vec::new() }
    }

    /// Signs also with an older secret that is still valid; to be called from newer to older.
    #[must_use]
    pub fn previous(mut self, secret: &SigningSecret) -> Self {
        self.previous.push(secret.mac());
        self
    }

    /// Signs also with a key; to be called from newer to older.
    #[must_use]
    pub fn key(mut self, key: SigningKey) -> Self {
        self.keys.push(key);
        self
    }

    /// The signatures of an attempt. `timestamp` is in Unix seconds.
    ///
    /// The body is hashed once for each secret and once more for `X-Artisan-Signature`. For keys it is copied once and
    /// hashed twice for each, as Ed25519 wants it.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Signatures {
        let mut signed = signed_prefix(id, timestamp).into_bytes();
        let secrets = 1 + self.previous.len();
        let mut standard = String::with_capacity(secrets * V1_LENGTH + self.keys.len() * V1A_LENGTH);
        for keyed in std::iter::once(&self.newest).chain(&self.previous) {
            let mac = keyed.clone().chain_update(&signed).chain_update(body);
            if !standard.is_empty() {
                standard.push(' ');
            }
            standard.push_str(secret::SCHEME);
            STANDARD.encode_string(mac.finalize().into_bytes(), &mut standard);
        }
        if !self.keys.is_empty() {
            signed.extend_from_slice(body);
        }
        for key in &self.keys {
            standard.push(' ');
            key.append_signature(&signed, &mut standard);
        }
        Signatures { standard, artisan: secret::artisan(self.newest.clone(), body) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_signs_as_each_secret_and_key_would_newest_first(
            id in "[a-z_0-9]{0,40}",
            timestamp: i64,
            body: Vec<u8>,
            secrets in prop::collection::vec(any::<[u8; 32]>(), 1..4),
            seeds in prop::collection::vec(any::<[u8; 32]>(), 0..3),
        ) {
            let secrets: Vec<_> = secrets.into_iter().map(SigningSecret::from_bytes).collect();
            let keys: Vec<_> = seeds.iter().map(|seed| SigningKey::from_seed(seed).unwrap()).collect();
            let signer = secrets[1..].iter().fold(Signer::new(&secrets[0]), Signer::previous);
            let signer = keys.iter().cloned().fold(signer, Signer::key);

            let signatures = signer.sign(&id, timestamp, &body);
            let v1 = secrets.iter().map(|secret| secret.standard(&id, timestamp, &body));
            let v1a = keys.iter().map(|key| key.standard(&id, timestamp, &body));
            prop_assert_eq!(&signatures.standard, &v1.chain(v1a).collect::<Vec<_>>().join(" "));
            prop_assert_eq!(&signatures.artisan, &secrets[0].artisan(&body));
            for secret in &secrets {
                prop_assert!(secret.verifies_standard(&id, timestamp, timestamp, &signatures.standard, &body));
            }
            for key in keys {
                let key = key.verifying_key();
                prop_assert!(key.verifies_standard(&id, timestamp, timestamp, &signatures.standard, &body));
            }
        }
    }

    #[test]
    fn it_makes_room_once_and_never_prints() {
        let signer = Signer::new(&SigningSecret::from_bytes([1; 32]))
            .previous(&SigningSecret::from_bytes([2; 32]))
            .key(SigningKey::from_seed(&[3; 32]).unwrap());
        let signatures = signer.sign("evt_1", 1, b"{}");
        assert_eq!(signatures.standard.len() + 1, 2 * V1_LENGTH + V1A_LENGTH);
        assert_eq!(format!("{signer:?}"), "Signer");
    }
}
