//! Second factors: enrolled, activated, used, taken off.

use std::time::Duration;

use access::api_key::sha256_hex;
use access::policy;
use clock::Timestamp;
use problem::Problem;
use sealing::SealError;
use store::{AuditRecord, Change, FieldChange, Identity, SecondFactor, StoreError};

use crate::totp::Secret;

/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;
/// How long ago who has no password may have signed in to enroll.
const RECENT: Duration = Duration::from_secs(10 * 60);
/// Sixteen characters of 5 bits each: 80 bits.
const RECOVERY_LENGTH: usize = 16;
/// The alphabet of ids, in which nothing looks like anything else.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A one-time code, or one of the codes for the day the app is gone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Code(String),
    Recovery(String),
}

impl Answer {
    /// Reads what was sent: one of the two.
    ///
    /// # Errors
    /// 422 when there are none or both.
    pub(crate) fn of(code: Option<String>, recovery: Option<String>) -> Result<Self, Problem> {
        match (code, recovery) {
            (Some(code), None) => Ok(Self::code(&code)),
            (None, Some(recovery)) => Ok(Self::Recovery(recovery)),
            _ => Err(Problem::invalid("/code", "required", "send either code or recovery_code")),
        }
    }

    /// A one-time code, with or without the gap that apps show in it.
    pub(crate) fn code(text: &str) -> Self {
        Self::Code(text.chars().filter(|c| !c.is_whitespace()).collect())
    }
}

/// What is left of a second factor after `answer` was used: `None` when it is wrong, too late, or was used before.
pub(crate) fn used(
    factor: &SecondFactor,
    secret: &Secret,
    answer: &Answer,
    now: Timestamp,
) -> Option<SecondFactor> {
    let mut left = factor.clone();
    match answer {
        Answer::Code(code) => left.last_step = Some(secret.accepts(code, now, factor.last_step)?),
        Answer::Recovery(code) => {
            let digest = digest(code);
            let index = left.recovery_digests.iter().position(|kept| *kept == digest)?;
            left.recovery_digests.remove(index);
        }
    }
    Some(left)
}

/// Whether a sign-in is recent enough to tie a second factor to somebody who has no password to give once more.
pub(crate) fn is_recent(authenticated_at: Timestamp, now: Timestamp) -> bool {
    now.since(authenticated_at) <= RECENT
}

/// A second factor that waits for its first code.
pub(crate) fn pending(sealed_secret: String, now: Timestamp) -> SecondFactor {
    SecondFactor {
        sealed_secret,
        active: false,
        last_step: None,
        recovery_digests: Vec::new(),
        created_at: now,
    }
}

/// New recovery codes, and what is kept of them.
///
/// # Errors
/// [`SealError`] when there is no randomness to be had.
pub(crate) fn recovery_codes() -> Result<(Vec<String>, Vec<String>), SealError> {
    let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>()?;
    let digests = codes.iter().map(|code| digest(code)).collect();
    Ok((codes, digests))
}

fn recovery_code() -> Result<String, SealError> {
    let bytes = sealing::random::<RECOVERY_LENGTH>()?;
    // One byte a character: 256 is a multiple of 32, so each is as likely as any other.
    let character = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('0', char::from);
    let characters: Vec<char> = bytes.iter().map(character).collect();
    let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

/// SHA-256 of a recovery code, however it was typed.
fn digest(code: &str) -> String {
    let bare: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    sha256_hex(bare.to_ascii_lowercase().as_bytes())
}

/// The identity with another second factor.
pub(crate) fn with_factor(before: &Identity, factor: Option<SecondFactor>, now: Timestamp) -> Identity {
    Identity { second_factor: factor, updated_at: store::touched(before.updated_at, now), ..before.clone() }
}

/// The change from one second factor to another, on `record`.
///
/// # Errors
/// [`StoreError::Malformed`] when a record cannot be written as an item.
pub(crate) fn change(
    mut record: AuditRecord,
    before: &Identity,
    after: &Identity,
) -> Result<Change, StoreError> {
    record.sensitive = true;
    record.compliance_relevant = true;
    let state = |identity: &Identity| match &identity.second_factor {
        None => "none",
        Some(factor) if factor.active => "active",
        Some(_) => "pending",
    };
    if state(before) != state(after) {
        record.changes.push(FieldChange {
            field: "second_factor".to_owned(),
            before: state(before).into(),
            after: state(after).into(),
        });
    }
    Change::audited(record).change_identity(before, after)
}

/// What a session has proved once a code was right, too.
pub(crate) fn stepped_up(amr: &[String]) -> Vec<String> {
    let mut amr = amr.to_vec();
    if !amr.iter().any(|method| method == policy::ONE_TIME_CODE) {
        amr.push(policy::ONE_TIME_CODE.to_owned());
    }
    amr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_good_once_however_it_is_typed() {
        let (codes, digests) = recovery_codes().unwrap();
        let distinct: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!((codes.len(), distinct.len()), (10, 10));
        assert_eq!(codes[0].len(), 19, "{}", codes[0]);
        let now = clock::utc(2026, 11, 22, 12, 0);
        let secret = Secret::from_bytes(&[7; 20]).unwrap();
        let factor = SecondFactor { active: true, recovery_digests: digests, ..pending("s".to_owned(), now) };
        let typed = Answer::Recovery(codes[3].to_uppercase().replace('-', " "));
        let left = used(&factor, &secret, &typed, now).unwrap();
        assert_eq!(left.recovery_digests.len(), 9);
        assert_eq!(used(&left, &secret, &typed, now), None);
        assert_eq!(used(&factor, &secret, &Answer::Recovery("0000".to_owned()), now), None);
        assert_eq!(used(&factor, &secret, &Answer::code("000 000"), now), None);
    }

    #[test]
    fn a_sign_in_is_recent_for_ten_minutes() {
        let now = clock::utc(2026, 11, 22, 12, 0);
        assert!(is_recent(now, now + RECENT));
        assert!(!is_recent(now, now + RECENT + Duration::from_millis(1)));
    }

    #[test]
    fn either_code_is_asked_for() {
        assert!(Answer::of(None, None).is_err());
        assert!(Answer::of(Some("1".to_owned()), Some("2".to_owned())).is_err());
        assert!(Answer::of(Some("123 456".to_owned()), None) == Ok(Answer::Code("123456".to_owned())));
    }
}
