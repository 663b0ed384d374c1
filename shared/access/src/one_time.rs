//! Single-use tokens: what a link in a mail carries.
//!
//! 32 random bytes in URL-safe base64 behind a prefix that says what they are for; only their SHA-256 is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::api_key::sha256_hex;

const RANDOM_BYTES: usize = 32;
/// The length of those bytes in base64.
const BODY_LENGTH: usize = 43;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneTimeKind {
    /// Joining an organization.
    Invitation,
    /// Setting a new password.
    PasswordReset,
    /// Proving an e-mail address.
    ConfirmAddress,
}

impl OneTimeKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Invitation => "it_",
            Self::PasswordReset => "pt_",
            Self::ConfirmAddress => "ct_",
        }
    }
}

/// A single-use token in the clear.
pub struct OneTimeToken(SecretString);

impl std::fmt::Debug for OneTimeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeToken")
    }
}

impl OneTimeToken {
    /// A new token.
    ///
    /// # Errors
    /// [`sealing::SealError`] when there is no randomness to be had.
    pub fn generate(kind: OneTimeKind) -> Result<Self, sealing::SealError> {
        let body = URL_SAFE_NO_PAD.encode(sealing::random::<RANDOM_BYTES>()?);
        Ok(Self(SecretString::from(format!("{}{body}", kind.prefix()))))
    }

    /// Reads a token without any I/O; `None` when it can't be one of this kind.
    #[must_use]
    pub fn parse(kind: OneTimeKind, text: &str) -> Option<Self> {
        let body = text.trim().strip_prefix(kind.prefix())?;
        let fits = body.len() == BODY_LENGTH
            && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        fits.then(|| Self(SecretString::from(text.trim())))
    }

    /// The token itself, to be mailed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// SHA-256 in hex: what is stored and looked up.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(self.0.expose_secret().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_its_own_kind_only() {
        let token = OneTimeToken::generate(OneTimeKind::Invitation).unwrap();
        let read = OneTimeToken::parse(OneTimeKind::Invitation, token.reveal()).unwrap();
        assert_eq!(read.digest(), token.digest());
        assert!(OneTimeToken::parse(OneTimeKind::PasswordReset, token.reveal()).is_none());
        for junk in ["", "it_", "it_short", &format!("it_{}", "!".repeat(43))] {
            assert!(OneTimeToken::parse(OneTimeKind::Invitation, junk).is_none(), "{junk}");
        }
    }
}
