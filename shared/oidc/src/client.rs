//! What belongs to our side of a sign-in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealing::SealError;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// Who we are to a provider: what an organization registered there and configured here.
#[derive(Clone)]
pub struct Client {
    id: String,
    secret: SecretString,
}

impl Client {
    /// The client with this id and secret.
    #[must_use]
    pub fn new(id: String, secret: SecretString) -> Self {
        Self { id, secret }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// The credentials of the `Authorization` header. Both parts are form-encoded first (RFC 6749, section 2.3.1).
    pub(crate) fn basic(&self) -> SecretString {
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.id), encode(self.secret.expose_secret()));
        format!("Basic {}", STANDARD.encode(pair)).into()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The secret half of PKCE (RFC 7636): shows that who redeems a code is who asked for it.
#[derive(Clone)]
pub struct Verifier(SecretString);

impl Verifier {
    /// A fresh one, of 32 random bytes.
    ///
    /// # Errors
    /// [`SealError`] when there is no randomness to be had.
    pub fn random() -> Result<Self, SealError> {
        random_token().map(Self::from)
    }

    /// What the provider is told when the sign-in begins: the SHA-256 of the verifier (method `S256`).
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.reveal()))
    }

    /// The verifier, to be kept, sealed, until the browser comes back. [`From<String>`](Self::from) reads it again.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Verifier {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// 32 random bytes as URL-safe text: a `state`, or a `nonce`.
///
/// # Errors
/// [`SealError`] when there is no randomness to be had.
pub fn random_token() -> Result<String, SealError> {
    sealing::random::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// What a code was exchanged for.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Who signed in, signed by the provider. Not verified yet.
    pub id_token: SecretString,
    /// Opens the user info, for some minutes.
    pub access_token: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let verifier = Verifier::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let (one, other) = (Verifier::random().unwrap(), Verifier::random().unwrap());
        assert_eq!(one.reveal().len(), 43);
        assert_ne!(one.reveal(), other.reveal());
    }

    #[test]
    fn credentials_are_encoded_before_they_are_joined_and_never_printed() {
        let client = Client::new("a:b c".to_owned(), "p%/ü".to_owned().into());
        let basic = client.basic();
        let encoded = basic.expose_secret().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"a%3Ab+c:p%25%2F%C3%BC");
        assert_eq!(format!("{client:?}"), r#"Client { id: "a:b c", .. }"#);
        assert_eq!(format!("{:?}", Verifier::random().unwrap()), "Verifier");
    }
}
