//! What we sign is verified by the Standard Webhooks project's own library for Rust, and what is not ours is refused.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};
use signing::{Signer, SigningKey, SigningSecret, TOLERANCE_SECONDS, header};
use standardwebhooks::{Webhook, WebhookError};

const ID: &str = "evt_06ehvx8z0csp9a4w2gq9d1m7fc";
const BODY: &[u8] =
    "{\"id\":\"evt_06ehvx8z0csp9a4w2gq9d1m7fc\",\"data\":{\"message\":\"café ☕\"}}".as_bytes();
/// More than a test takes. The library reads the clock itself.
const MARGIN_SECONDS: i64 = 60;

fn secret(byte: u8) -> SigningSecret {
    SigningSecret::from_bytes([byte; 32])
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// What a receiver says that knows `secret`, to `body` with the headers of [`BODY`] as `signer` signed it at `at`.
fn verify(secret: &SigningSecret, signer: &Signer, at: i64, body: &[u8]) -> Result<(), WebhookError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ID, HeaderValue::from_static(ID));
    headers.insert(header::TIMESTAMP, at.into());
    headers.insert(header::SIGNATURE, HeaderValue::try_from(signer.sign(ID, at, BODY).standard).unwrap());
    Webhook::new(&secret.reveal()).unwrap().verify(body, &headers)
}

#[test]
fn a_signature_is_verified_for_as_long_as_it_is_recent() {
    let signer = Signer::new(&secret(1));
    let recent = TOLERANCE_SECONDS - MARGIN_SECONDS;
    for at in [now(), now() - recent, now() + recent] {
        verify(&secret(1), &signer, at, BODY).unwrap();
    }
    let old = verify(&secret(1), &signer, now() - TOLERANCE_SECONDS - MARGIN_SECONDS, BODY);
    assert!(matches!(old, Err(WebhookError::TimestampTooOldError)), "{old:?}");
    let early = verify(&secret(1), &signer, now() + TOLERANCE_SECONDS + MARGIN_SECONDS, BODY);
    assert!(matches!(early, Err(WebhookError::FutureTimestampError)), "{early:?}");
}

#[test]
fn during_a_rotation_both_secrets_verify_and_no_other() {
    let key = SigningKey::from_seed(&[9; 32]).unwrap();
    let signer = Signer::new(&secret(2)).previous(&secret(1)).key(key);
    for known in [1, 2] {
        verify(&secret(known), &signer, now(), BODY).unwrap();
    }
    let stranger = verify(&secret(3), &signer, now(), BODY);
    assert!(matches!(stranger, Err(WebhookError::InvalidSignature)), "{stranger:?}");
}

#[test]
fn a_changed_body_is_refused() {
    let signer = Signer::new(&secret(1));
    for index in 0..BODY.len() {
        let mut forged = BODY.to_vec();
        forged[index] ^= 1;
        assert!(verify(&secret(1), &signer, now(), &forged).is_err(), "{index}");
    }
}

#[test]
fn what_the_library_signs_we_verify() {
    let at = now();
    let theirs = Webhook::new(&secret(1).reveal()).unwrap().sign(ID, at, BODY).unwrap();
    assert!(secret(1).verifies_standard(ID, at, at, &theirs, BODY));
}
