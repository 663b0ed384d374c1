//! Checks the signatures of webhooks that the inbox receives, as a receiver would.
//!
//! A receiver knows its endpoint's secrets; the inbox finds them in the tables. A webhook is verified when some endpoint
//! of the organization it claims to come from has signed it with one of them, in both ways that Artisan signs.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clock::Clock;
use ids::OrganizationId;
use runtime::{Services, StartError};
use sealing::{Key, MasterSecret, Purpose};
use serde::Deserialize;
use signing::{SigningSecret, header};
use std::sync::Arc;
use store::{Endpoint, Store};

use crate::inbox::Verifier;

struct Signatures {
    store: Store,
    secrets: Key,
    clock: Clock,
}

#[derive(Deserialize)]
struct Claim {
    organization_id: OrganizationId,
}

/// A verifier over the tables and the secret that the given function uses.
pub(crate) async fn verifier(services: &Services) -> Result<Verifier, StartError> {
    let master = MasterSecret::new(services.secret("WEBHOOK_SECRET_ID").await?);
    let secrets = master
        .sealing_key(Purpose::WebhookSecrets)
        .map_err(|source| StartError::Client { what: "webhook secret key", source: Box::new(source) })?;
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
    let signatures = Arc::new(Signatures { store, secrets, clock: services.clock.clone() });
    Ok(Arc::new(move |headers, body| {
        let signatures = Arc::clone(&signatures);
        Box::pin(async move { signatures.verify(&headers, &body).await })
    }))
}

impl Signatures {
    async fn verify(&self, headers: &HeaderMap, body: &Bytes) -> bool {
        let Ok(claim) = serde_json::from_slice::<Claim>(body) else { return false };
        let endpoints = self.store.tenant_of_job(claim.organization_id).all_endpoints().await;
        let endpoints = endpoints.unwrap_or_default();
        let mut secrets = endpoints.iter().flat_map(|endpoint| self.secrets(claim.organization_id, endpoint));
        let now = self.clock.now().seconds();
        secrets.any(|secret| signed_with(&secret, now, headers, body) == Some(true))
    }

    /// All that the endpoint's webhooks may be signed with, the newest first. One that can't be opened is passed over.
    fn secrets(&self, organization: OrganizationId, endpoint: &Endpoint) -> Vec<SigningSecret> {
        let replaced = endpoint.replaced.as_ref().map(|replaced| &replaced.sealed_secret);
        let sealed = std::iter::once(&endpoint.sealed_secret).chain(replaced);
        let context = Endpoint::secret_context(organization, endpoint.id);
        sealed.filter_map(|sealed| self.open(&context, sealed)).collect()
    }

    fn open(&self, context: &[u8], sealed: &str) -> Option<SigningSecret> {
        let plain = self.secrets.open_envelope(context, &STANDARD.decode(sealed).ok()?).ok()?;
        Some(SigningSecret::from_bytes(plain.try_into().ok()?))
    }
}

/// `None` where the headers are not there or can't be read.
fn signed_with(secret: &SigningSecret, now: i64, headers: &HeaderMap, body: &[u8]) -> Option<bool> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (id, timestamp) = (text(header::ID)?, text(header::TIMESTAMP)?.parse().ok()?);
    let standard = secret.verifies_standard(id, timestamp, now, text(header::SIGNATURE)?, body);
    Some(standard && secret.verifies_artisan(text(header::ARTISAN_SIGNATURE)?, body))
}

#[cfg(test)]
mod tests {
    use signing::{Signer, SigningKey};

    use super::*;

    /// A webhook that was signed before the rotation has the old secret's signatures only; one from after it has both
    /// secrets' in one header, and the new one's alone in the other.
    #[test]
    fn webhooks_from_before_and_after_a_rotation_are_verified() {
        let (new, old) = (SigningSecret::from_bytes([2; 32]), SigningSecret::from_bytes([1; 32]));
        let key = SigningKey::from_seed(&[3; 32]).unwrap();
        let (before, after) = (Signer::new(&old), Signer::new(&new).previous(&old).key(key));
        let verified = |signer: &Signer, body: &[u8]| {
            let signatures = signer.sign("evt_1", 1000, b"{}");
            let mut headers = HeaderMap::new();
            headers.insert(header::ID, "evt_1".parse().unwrap());
            headers.insert(header::TIMESTAMP, "1000".parse().unwrap());
            headers.insert(header::SIGNATURE, signatures.standard.parse().unwrap());
            headers.insert(header::ARTISAN_SIGNATURE, signatures.artisan.parse().unwrap());
            [&new, &old].map(|secret| signed_with(secret, 1000, &headers, body))
        };
        assert_eq!(verified(&before, b"{}"), [Some(false), Some(true)]);
        assert_eq!(verified(&after, b"{}"), [Some(true), Some(false)]);
        assert_eq!(verified(&after, b"{ }"), [Some(false), Some(false)]);
        assert_eq!(signed_with(&new, 1000, &HeaderMap::new(), b"{}"), None);
    }
}
