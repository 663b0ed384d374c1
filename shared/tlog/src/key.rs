//! Ed25519 keys (RFC 8032) of those who sign notes, as C2SP `signed-note` names them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;

/// Signature type of Ed25519 in `signed-note`.
const ED25519_TYPE: u8 = 1;

/// Why something is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The name is empty, or has a space or a plus in it.
    #[error("a key's name must not be empty, nor contain spaces or `+`")]
    Name,
    /// The text is not of the form `<name>+<8 hex digits>+<base64>`.
    #[error("a verifier key has the form `<name>+<8 hex digits>+<base64>`")]
    Format,
    /// A key for something other than Ed25519 signatures of notes.
    #[error("only Ed25519 verifier keys are known")]
    Type,
    /// The hex digits do not belong to name and key: one of the three was mistyped.
    #[error("the key's hex digits do not fit its name and its public key")]
    Id,
    /// The cryptographic library refused the seed; not expected to happen.
    #[error("the seed was refused")]
    Seed,
}

/// The cryptographic library did not sign; not expected to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signing failed")]
pub struct SigningFailed;

/// Whether `signed-note` allows this as the name of a key.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// Who can tell that a note was signed by `name`. As text, a "vkey": `<name>+<key id>+<base64>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifierKey {
    /// The key `public` under the name `name`.
    ///
    /// # Errors
    /// [`InvalidKey::Name`].
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, InvalidKey> {
        if !is_name(name) {
            return Err(InvalidKey::Name);
        }
        let hashed = [name.as_bytes(), &[b'\n', ED25519_TYPE], &public].concat();
        let [a, b, c, d, ..] = *Hash::of(&hashed).as_bytes();
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], public })
    }

    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first bytes of a hash of name and key, by which signatures are matched with keys. Not a secure hash.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public).verify(text.as_bytes(), signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [[ED25519_TYPE].as_slice(), &self.public].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(material))
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (name, rest) = text.split_once('+').ok_or(InvalidKey::Format)?;
        // Base64 has pluses of its own.
        let (id, material) = rest.split_once('+').ok_or(InvalidKey::Format)?;
        let material = STANDARD.decode(material).map_err(|_| InvalidKey::Format)?;
        let (kind, public) = material.split_first().ok_or(InvalidKey::Format)?;
        if *kind != ED25519_TYPE {
            return Err(InvalidKey::Type);
        }
        let key = Self::new(name, public.try_into().map_err(|_| InvalidKey::Format)?)?;
        // Compared as text, so that the digits have one spelling.
        if format!("{:08x}", u32::from_be_bytes(key.id)) == id { Ok(key) } else { Err(InvalidKey::Id) }
    }
}

/// Signs notes. Cheap to clone; never printed.
#[derive(Clone)]
pub struct NoteSigner {
    pair: Arc<Ed25519KeyPair>,
    verifier: VerifierKey,
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoteSigner")
    }
}

impl NoteSigner {
    /// The key that grows from these 32 random bytes, under the name `name`. Takes as long as signing does: keep it.
    ///
    /// # Errors
    /// [`InvalidKey::Name`]; or [`InvalidKey::Seed`], which is not expected to happen.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey::Seed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| InvalidKey::Seed)?;
        Ok(Self { pair: Arc::new(pair), verifier: VerifierKey::new(name, public)? })
    }

    /// What its signatures are verified with.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(crate) fn sign(&self, text: &str) -> Result<Vec<u8>, SigningFailed> {
        let signature = self.pair.try_sign(text.as_bytes()).map_err(|_| SigningFailed)?;
        Ok(signature.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the specification.
    const PUBLISHED: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn the_published_key_is_read_and_written() {
        let key: VerifierKey = PUBLISHED.parse().unwrap();
        assert_eq!(key.name(), "example.com/foo");
        assert_eq!(key.to_string(), PUBLISHED);
    }

    #[test]
    fn a_mistyped_key_is_refused() {
        for (text, error) in [
            ("", InvalidKey::Format),
            ("example.com/foo+530d903a", InvalidKey::Format),
            ("example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", InvalidKey::Id),
            ("example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", InvalidKey::Id),
            ("example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", InvalidKey::Id),
            ("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", InvalidKey::Name),
            ("example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", InvalidKey::Type),
            ("example.com/foo+530d903a+AekyeRrm", InvalidKey::Format),
            ("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k ", InvalidKey::Format),
        ] {
            assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
        }
        assert_eq!(VerifierKey::new("a b", [0; 32]), Err(InvalidKey::Name));
        assert_eq!(VerifierKey::new("a\u{a0}b", [0; 32]), Err(InvalidKey::Name));
    }

    #[test]
    fn a_signer_is_not_printed() {
        assert_eq!(format!("{:?}", NoteSigner::from_seed("a", &[7; 32]).unwrap()), "NoteSigner");
    }
}
