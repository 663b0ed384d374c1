//! The proof, and what follows from having looked for it.

use std::fmt::Write as _;
use std::time::Duration;

use clock::Timestamp;
use dns::{Resolver, Unanswered};
use sealing::SealError;
use store::{DomainClaim, DomainStatus};

/// The label of the record, before the domain.
const LABEL: &str = "_artisan-challenge";
/// What the record says before the random part.
const VALUE: &str = "artisan-domain-verification=";

/// How long after a look that told something the next one is due.
pub const NEXT_CHECK: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a verified domain stays so without its record.
pub const GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long after a look that told nothing the next one is due.
const ASK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// A new challenge: what the TXT record must say.
///
/// # Errors
/// [`SealError`] when there is no randomness to be had.
pub fn challenge() -> Result<String, SealError> {
    let mut text = VALUE.to_owned();
    for byte in sealing::random::<20>()? {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// The name of the record that proves a claim to `domain`.
#[must_use]
pub fn record_name(domain: &str) -> String {
    format!("{LABEL}.{domain}")
}

/// Whether the record is there.
///
/// # Errors
/// [`Unanswered`] when that could not be found out; it then says nothing about the claim.
pub async fn find(resolver: &Resolver, claim: &DomainClaim) -> Result<bool, Unanswered> {
    let texts = resolver.txt(&record_name(&claim.domain)).await?;
    Ok(texts.iter().any(|text| text.trim() == claim.challenge))
}

/// The claim after its record was found at `now`.
#[must_use]
pub fn verified(claim: &DomainClaim, now: Timestamp) -> DomainClaim {
    DomainClaim {
        status: DomainStatus::Verified,
        // One that has lapsed begins anew.
        verified_at: claim.verified_at.filter(|_| claim.status.is_good()).or(Some(now)),
        checked_at: Some(now),
        failing_since: None,
        next_check_at: Some(now + NEXT_CHECK),
        updated_at: store::touched(claim.updated_at, now),
        ..claim.clone()
    }
}

/// The claim of a verified domain after its record was not found at `now`.
pub(crate) fn missed(claim: &DomainClaim, now: Timestamp) -> DomainClaim {
    let since = claim.failing_since.unwrap_or(now);
    let is_over = now.since(since) >= GRACE;
    DomainClaim {
        status: if is_over { DomainStatus::Lapsed } else { DomainStatus::Failing },
        checked_at: Some(now),
        failing_since: Some(since),
        next_check_at: (!is_over).then(|| (now + NEXT_CHECK).min(since + GRACE)),
        updated_at: store::touched(claim.updated_at, now),
        ..claim.clone()
    }
}

/// The claim after nothing could be found out at `now`.
pub(crate) fn unknown(claim: &DomainClaim, now: Timestamp) -> DomainClaim {
    DomainClaim {
        next_check_at: Some(now + ASK_AGAIN),
        updated_at: store::touched(claim.updated_at, now),
        ..claim.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        clock::utc(2026, 11, 22, 15, 0)
    }

    fn pending() -> DomainClaim {
        DomainClaim {
            domain: "example.com".to_owned(),
            status: DomainStatus::Pending,
            challenge: "x".to_owned(),
            auto_join: None,
            verified_at: None,
            checked_at: None,
            failing_since: None,
            next_check_at: None,
            created_at: now(),
            updated_at: now(),
        }
    }

    #[test]
    fn challenges_are_not_guessed() {
        let (one, other) = (challenge().unwrap(), challenge().unwrap());
        assert!(one.starts_with("artisan-domain-verification=") && one.len() == 28 + 40);
        assert_ne!(one, other);
        assert_eq!(record_name("example.com"), "_artisan-challenge.example.com");
    }

    #[test]
    fn a_claim_that_is_missed_day_after_day_lapses_after_the_grace() {
        let mut claim = verified(&pending(), now());
        assert_eq!(claim.next_check_at, Some(now() + NEXT_CHECK));
        let mut at = now();
        let mut looks = 0;
        while let Some(next) = claim.next_check_at {
            at = next;
            claim = missed(&claim, at);
            looks += 1;
            assert_eq!(claim.failing_since, Some(now() + NEXT_CHECK));
        }
        assert_eq!((claim.status, looks), (DomainStatus::Lapsed, 8));
        assert_eq!(at, now() + NEXT_CHECK + GRACE);
    }

    #[test]
    fn a_record_that_comes_back_ends_the_grace_and_silence_changes_nothing() {
        let failing = missed(&verified(&pending(), now()), now() + NEXT_CHECK);
        assert_eq!(failing.status, DomainStatus::Failing);
        let asked = unknown(&failing, now() + GRACE * 2);
        assert_eq!((asked.status, asked.failing_since), (failing.status, failing.failing_since));
        assert_eq!(asked.checked_at, failing.checked_at);
        let back = verified(&failing, now() + NEXT_CHECK * 2);
        assert_eq!((back.status, back.failing_since), (DomainStatus::Verified, None));
        assert_eq!(back.verified_at, Some(now()));
        let again = verified(&missed(&failing, now() + GRACE * 2), now() + GRACE * 3);
        assert_eq!(again.verified_at, Some(now() + GRACE * 3));
    }
}
