//! The seal that client secrets are kept under.

use std::fmt;

use ids::OrganizationId;
use sealing::{Key, MasterSecret, Purpose, SealError};
use secrecy::{ExposeSecret as _, SecretString};

/// Seals the secrets that organizations have with their providers: bound to the organization, so that another one's can't
/// be put in its place. Cheap to clone.
#[derive(Clone)]
pub struct ClientSeal(Key);

impl ClientSeal {
    /// The seal that follows from the deployment's session secret.
    ///
    /// # Errors
    /// [`SealError::Failed`] if the key can't be derived; not expected to happen.
    pub fn new(secret: &MasterSecret) -> Result<Self, SealError> {
        secret.sealing_key(Purpose::SingleSignOn).map(Self)
    }

    /// The secret as it is kept.
    ///
    /// # Errors
    /// [`SealError::Failed`] if the random source or the cipher fails.
    pub fn seal(&self, organization: OrganizationId, secret: &SecretString) -> Result<String, SealError> {
        self.0.seal(&context(organization), secret.expose_secret().as_bytes())
    }

    /// The secret again.
    ///
    /// # Errors
    /// [`SealError::NotOurs`] when it was sealed for another organization, or changed since.
    pub fn open(&self, organization: OrganizationId, sealed: &str) -> Result<SecretString, SealError> {
        let bytes = self.0.open(&context(organization), sealed)?;
        String::from_utf8(bytes).map(SecretString::from).map_err(|_| SealError::NotOurs)
    }
}

/// What a secret is bound to. What else is sealed for single sign-on begins otherwise.
fn context(organization: OrganizationId) -> Vec<u8> {
    format!("client-secret/{organization}").into_bytes()
}

impl fmt::Debug for ClientSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSeal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_own_organization_only() {
        let seal = ClientSeal::new(&MasterSecret::new("s".repeat(64))).unwrap();
        let at = clock::utc(2026, 11, 22, 12, 0);
        let [acme, other] = [1, 2].map(|it| OrganizationId::derived(at, [it; 16]));
        let sealed = seal.seal(acme, &"hush".to_owned().into()).unwrap();
        assert_eq!(seal.open(acme, &sealed).unwrap().expose_secret(), "hush");
        assert_eq!(seal.open(other, &sealed).unwrap_err(), SealError::NotOurs);
        assert_eq!(format!("{seal:?}"), "ClientSeal");
    }
}
