//! Checks the signatures of webhooks that the inbox receives, as a receiver would.
//!
//! A receiver knows its endpoint's secret; the inbox finds it in the tables. A webhook is verified when some endpoint
//! of the organization it claims to come from has signed it, in both ways that Artisan signs.

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
        let mut secrets =
            endpoints.iter().filter_map(|endpoint| self.secret(claim.organization_id, endpoint));
        secrets.any(|secret| self.signed(&secret, headers, body) == Some(true))
    }

    fn secret(&self, organization: OrganizationId, endpoint: &Endpoint) -> Option<SigningSecret> {
        let envelope = STANDARD.decode(&endpoint.sealed_secret).ok()?;
        let context = Endpoint::secret_context(organization, endpoint.id);
        let plain = self.secrets.open_envelope(&context, &envelope).ok()?;
        Some(SigningSecret::from_bytes(plain.try_into().ok()?))
    }

    fn signed(&self, secret: &SigningSecret, headers: &HeaderMap, body: &[u8]) -> Option<bool> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (id, timestamp) = (text(header::ID)?, text(header::TIMESTAMP)?.parse().ok()?);
        let now = self.clock.now().seconds();
        let standard = secret.verifies_standard(id, timestamp, now, text(header::SIGNATURE)?, body);
        Some(standard && text(header::ARTISAN_SIGNATURE)? == secret.artisan(body))
    }
}
