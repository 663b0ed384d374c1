//! The webhook that docs/webhooks.md shows is verified by the secret and the key that stand beside it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use signing::{SigningSecret, VerifyingKey, header};

const PAGE: &str = include_str!("../../../docs/webhooks.md");

/// The text of the page's first code span that begins so.
fn span(beginning: &str) -> &'static str {
    PAGE.split('`').find(|span| span.starts_with(beginning) && span.len() > 40).unwrap()
}

#[test]
fn the_documented_webhook_verifies() {
    let request = PAGE.split_once("```http\n").unwrap().1.split_once("\n```").unwrap().0;
    let (head, body) = request.split_once("\n\n").unwrap();
    let text = |name: &str| {
        let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(own, _)| own.eq_ignore_ascii_case(name)).unwrap().1
    };
    let (id, at) = (text(header::ID), text(header::TIMESTAMP).parse().unwrap());
    let signature = text(header::SIGNATURE);

    let secret = SigningSecret::parse(span("whsec_")).unwrap();
    assert!(secret.verifies_standard(id, at, at, signature, body.as_bytes()));
    assert!(secret.verifies_artisan(text(header::ARTISAN_SIGNATURE), body.as_bytes()));
    let key: VerifyingKey = span("whpk_").parse().unwrap();
    assert!(key.verifies_standard(id, at, at, signature, body.as_bytes()));
}
