//! Reports of a scanner that publishes its keys on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::time::Duration;

use clock::{Clock, ManualClock, Timestamp};
use egress::{Policy, Sender, Target};
use secret_scanning::{REFETCH_INTERVAL, Signature, Verifier, VerifyError};
use standins::{SecretScanner, SignedReport};

const HOUR: Duration = Duration::from_secs(60 * 60);

async fn world() -> (SecretScanner, Verifier, ManualClock) {
    let scanner = SecretScanner::start().await;
    let policy = Policy { allow_loopback: true };
    let target = Target::parse(&scanner.keys_url(), policy).unwrap();
    let (clock, hand) = Clock::manual(Timestamp::from_seconds(1_000_000));
    let verifier = Verifier::new(Sender::new(policy).unwrap(), target, clock);
    (scanner, verifier, hand)
}

async fn verify(verifier: &Verifier, report: &SignedReport) -> Result<(), VerifyError> {
    let signature = Signature::read(Some(&report.identifier), Some(&report.signature))?;
    verifier.verify(&signature, report.body.as_bytes()).await
}

#[tokio::test]
async fn a_genuine_report_is_believed_and_the_keys_are_fetched_once() {
    let (scanner, verifier, hand) = world().await;
    for body in ["[]", "[{}]", "whatever was signed"] {
        assert!(verify(&verifier, &scanner.sign_raw(body)).await.is_ok());
    }
    assert_eq!(scanner.requests(), 1);
    hand.advance(HOUR);
    assert!(verify(&verifier, &scanner.sign_raw("[]")).await.is_ok());
    assert_eq!(scanner.requests(), 2, "they are looked at again after an hour");
}

#[tokio::test]
async fn what_was_altered_or_signed_by_somebody_else_is_not() {
    let (scanner, verifier, _) = world().await;
    let report = scanner.sign_raw(r#"[{"token":"a"}]"#);
    let altered = SignedReport { body: r#"[{"token":"b"}]"#.to_owned(), ..report.clone() };
    assert!(matches!(verify(&verifier, &altered).await, Err(VerifyError::Forged)));
    let other = SecretScanner::start().await.sign_raw(&report.body);
    let forged = SignedReport { identifier: report.identifier.clone(), ..other.clone() };
    assert!(matches!(verify(&verifier, &forged).await, Err(VerifyError::Forged)));
    assert!(matches!(verify(&verifier, &other).await, Err(VerifyError::UnknownKey)));
    assert!(verify(&verifier, &report).await.is_ok());
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once_a_minute() {
    let (scanner, verifier, hand) = world().await;
    let old = scanner.sign_raw("[]");
    assert!(verify(&verifier, &old).await.is_ok());
    scanner.rotate_key();
    let new = scanner.sign_raw("[]");
    for _ in 0..5 {
        assert!(matches!(verify(&verifier, &new).await, Err(VerifyError::UnknownKey)));
    }
    assert_eq!(scanner.requests(), 1);
    hand.advance(REFETCH_INTERVAL);
    assert!(verify(&verifier, &new).await.is_ok());
    assert!(verify(&verifier, &old).await.is_ok(), "it is still published, though not current");
    assert_eq!(scanner.requests(), 2);
    scanner.withdraw_old_keys();
    hand.advance(HOUR);
    assert!(matches!(verify(&verifier, &old).await, Err(VerifyError::UnknownKey)));
}

#[tokio::test]
async fn an_outage_of_the_keys_is_outlasted_for_a_day_and_costs_one_look_a_minute() {
    let (scanner, verifier, hand) = world().await;
    scanner.answer_instead(503, "");
    let report = scanner.sign_raw("[]");
    for _ in 0..5 {
        assert!(matches!(verify(&verifier, &report).await, Err(VerifyError::NoKeys)));
    }
    assert_eq!(scanner.requests(), 1);
    for (status, body) in [(200, "junk"), (302, "{}"), (200, &*"x".repeat(100_000))] {
        hand.advance(REFETCH_INTERVAL);
        scanner.answer_instead(status, body);
        assert!(matches!(verify(&verifier, &report).await, Err(VerifyError::NoKeys)));
    }
    scanner.behave();
    hand.advance(REFETCH_INTERVAL);
    assert!(verify(&verifier, &report).await.is_ok());
    scanner.answer_instead(503, "");
    hand.advance(23 * HOUR);
    assert!(verify(&verifier, &report).await.is_ok());
    hand.advance(HOUR);
    assert!(matches!(verify(&verifier, &report).await, Err(VerifyError::NoKeys)));
}
