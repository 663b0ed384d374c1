//! Authenticated encryption and key derivation from the deployment's master secrets.
//!
//! A [`MasterSecret`] is text from Secrets Manager. Nothing is ever encrypted with it directly: HKDF-SHA256
//! (RFC 5869) derives one key per purpose, so a key for cursors can't open a webhook secret. What is sealed
//! (AES-256-GCM) is bound to its `context`: moved to another tenant or endpoint it no longer opens.
//!
//! Long-lived values are sealed as an [envelope](Key::seal_envelope): a fresh data key encrypts the
//! value and the master encrypts the data key, so the master can be replaced without touching the values.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretBox, SecretString};

/// Why something could not be sealed or opened. Says no more than that: an attacker learns nothing from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text was not made by this key for this context, or was changed.
    #[error("the sealed text cannot be opened")]
    NotOurs,
    /// The cryptographic library refused; not expected to happen.
    #[error("sealing failed")]
    Failed,
}

/// A 256-bit key for one purpose.
#[derive(Clone)]
pub struct Key(Arc<LessSafeKey>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        UnboundKey::new(&AES_256_GCM, bytes)
            .map(|key| Self(Arc::new(LessSafeKey::new(key))))
            .map_err(|_| SealError::Failed)
    }

    /// Seals `plain`, bound to `context`. The result is URL-safe text.
    ///
    /// # Errors
    /// [`SealError::Failed`] if the random source or the cipher fails.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<String, SealError> {
        Ok(URL_SAFE_NO_PAD.encode(self.seal_bytes(context, plain)?))
    }

    /// Opens what [`Key::seal`] made for the same context.
    ///
    /// # Errors
    /// [`SealError::NotOurs`] for anything else.
    pub fn open(&self, context: &[u8], sealed: &str) -> Result<Vec<u8>, SealError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::NotOurs)?;
        self.open_bytes(context, &bytes)
    }

    fn seal_bytes(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SealError::Failed)?;
        let mut body = plain.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut body)
            .map_err(|_| SealError::Failed)?;
        Ok([nonce.as_slice(), &body].concat())
    }

    fn open_bytes(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::NotOurs)?;
        let mut body = body.to_vec();
        let plain =
            self.0.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| SealError::NotOurs)?;
        Ok(plain.to_vec())
    }
}

/// A master secret, the root of derived keys.
#[derive(Clone, Debug)]
pub struct MasterSecret(SecretString);

/// What a derived key is for. Each purpose has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Signing access tokens.
    Sessions,
    /// Marking refresh tokens as ours.
    RefreshTokens,
    /// Sealing pagination cursors.
    Cursors,
    /// Fingerprinting requests for idempotency.
    Idempotency,
    /// Sealing webhook signing secrets.
    WebhookSecrets,
    /// Sealing the secrets of second factors.
    SecondFactors,
    /// Sealing the token that stands between a password and a second factor.
    MfaTokens,
    /// Sealing client secrets of identity providers, and what a sign-on in progress must remember.
    SingleSignOn,
    /// Sealing mails until they are sent.
    Mail,
    /// Signing the checkpoints of audit logs.
    AuditLog,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Sessions => b"artisan/sessions/1",
            Self::RefreshTokens => b"artisan/refresh-tokens/1",
            Self::Cursors => b"artisan/cursors/1",
            Self::Idempotency => b"artisan/idempotency/1",
            Self::WebhookSecrets => b"artisan/webhook-secrets/1",
            Self::SecondFactors => b"artisan/second-factors/1",
            Self::MfaTokens => b"artisan/mfa-tokens/1",
            Self::SingleSignOn => b"artisan/single-sign-on/1",
            Self::Mail => b"artisan/mail/1",
            Self::AuditLog => b"artisan/audit-log/1",
        }
    }
}

impl MasterSecret {
    /// A master secret from the text Secrets Manager holds.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The 256-bit key for `purpose`.
    ///
    /// # Errors
    /// [`SealError::Failed`] if derivation fails; not expected to happen.
    pub fn derive(&self, purpose: Purpose) -> Result<SecretBox<[u8; 32]>, SealError> {
        let mut key = Box::new([0_u8; 32]);
        Salt::new(HKDF_SHA256, b"artisan")
            .extract(self.0.expose_secret().as_bytes())
            .expand(&[purpose.label()], HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut_slice()))
            .map_err(|_| SealError::Failed)?;
        Ok(SecretBox::new(key))
    }

    /// The sealing key for `purpose`.
    ///
    /// # Errors
    /// [`SealError::Failed`] if derivation fails; not expected to happen.
    pub fn sealing_key(&self, purpose: Purpose) -> Result<Key, SealError> {
        Key::from_bytes(self.derive(purpose)?.expose_secret())
    }
}

/// The first byte of an envelope: its format.
const ENVELOPE_FORMAT: u8 = 1;
const DATA_KEY_LENGTH: usize = 32;
/// How much longer an [envelope](Key::seal_envelope) is than what is in it.
pub const ENVELOPE_OVERHEAD: usize = 1 + WRAPPED_KEY_LENGTH + NONCE_LEN + 16;
const WRAPPED_KEY_LENGTH: usize = NONCE_LEN + DATA_KEY_LENGTH + 16;

impl Key {
    /// Seals `plain` under a fresh data key and the data key under this one.
    ///
    /// # Errors
    /// [`SealError::Failed`] if the random source or the cipher fails.
    pub fn seal_envelope(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut data_key = SecretBox::new(Box::new([0_u8; DATA_KEY_LENGTH]));
        rand::fill(secrecy::ExposeSecretMut::expose_secret_mut(&mut data_key))
            .map_err(|_| SealError::Failed)?;
        let wrapped = self.seal_bytes(context, data_key.expose_secret())?;
        let body = Self::from_bytes(data_key.expose_secret())?.seal_bytes(context, plain)?;
        Ok([&[ENVELOPE_FORMAT], wrapped.as_slice(), body.as_slice()].concat())
    }

    /// Opens what [`Key::seal_envelope`] made for the same context.
    ///
    /// # Errors
    /// [`SealError::NotOurs`] for anything else.
    pub fn open_envelope(&self, context: &[u8], envelope: &[u8]) -> Result<Vec<u8>, SealError> {
        let Some((&ENVELOPE_FORMAT, rest)) = envelope.split_first() else {
            return Err(SealError::NotOurs);
        };
        let (wrapped, body) = rest.split_at_checked(WRAPPED_KEY_LENGTH).ok_or(SealError::NotOurs)?;
        let data_key = SecretBox::new(Box::new(self.open_bytes(context, wrapped)?));
        Self::from_bytes(data_key.expose_secret()).map_err(|_| SealError::NotOurs)?.open_bytes(context, body)
    }
}

/// `N` random bytes from the operating system's generator.
///
/// # Errors
/// [`SealError::Failed`] when there is no randomness to be had.
pub fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0_u8; N];
    rand::fill(&mut bytes).map_err(|_| SealError::Failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(purpose: Purpose) -> Key {
        MasterSecret::new("0123456789abcdef0123456789abcdef".into()).sealing_key(purpose).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_context_only() {
        let cursors = key(Purpose::Cursors);
        let sealed = cursors.seal(b"org_1", b"position").unwrap();
        assert_eq!(cursors.open(b"org_1", &sealed).unwrap(), b"position");
        assert_eq!(cursors.open(b"org_2", &sealed), Err(SealError::NotOurs));
        assert_eq!(key(Purpose::WebhookSecrets).open(b"org_1", &sealed), Err(SealError::NotOurs));
    }

    #[test]
    fn no_changed_character_goes_unnoticed() {
        let cursors = key(Purpose::Cursors);
        let sealed = cursors.seal(b"", b"position").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(cursors.open(b"", &changed).is_err(), "{index}");
        }
        for junk in ["", "A", "not base64 !", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(cursors.open(b"", junk), Err(SealError::NotOurs));
        }
    }

    #[test]
    fn an_envelope_opens_in_its_own_context_only() {
        let master = key(Purpose::WebhookSecrets);
        let envelope = master.seal_envelope(b"org/ep", b"secret").unwrap();
        assert_eq!(master.open_envelope(b"org/ep", &envelope).unwrap(), b"secret");
        assert_eq!(envelope.len(), ENVELOPE_OVERHEAD + b"secret".len());
        assert_eq!(master.open_envelope(b"org/other", &envelope), Err(SealError::NotOurs));
        for cut in 0..envelope.len() {
            assert_eq!(master.open_envelope(b"org/ep", &envelope[..cut]), Err(SealError::NotOurs));
        }
        assert_ne!(envelope, master.seal_envelope(b"org/ep", b"secret").unwrap());
    }
}
