//! Forgotten and changed passwords, confirmed addresses.

use std::time::Duration;

use clock::Timestamp;
use ids::UserId;
use serde_json::Value;
use store::{AuditRecord, Change, Errand, FieldChange, Identity, Member, SingleUse, StoreError};

use crate::app::joining::made_over;

/// How long an address can be confirmed by the same mail.
pub(crate) const CONFIRMED_WITHIN: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What somebody's password is likely to be made of.
pub(crate) fn known(identity: &Identity) -> Vec<String> {
    vec![identity.name.clone(), identity.email.clone()]
}

/// The identity of who came with a token that was mailed to its address: with a new password, and none of its sessions.
///
/// The second factor stays: a mailbox is one factor and not two. But one that was enrolled before the address was proved to
/// be anybody's may be somebody else's, and so may the organizations that were joined until then.
pub(crate) fn reset(before: &Identity, password_hash: String, now: Timestamp) -> Identity {
    match before.email_verified {
        true => changed(before, password_hash, now),
        false => made_over(before, before.name.clone(), Some(password_hash), now),
    }
}

/// The identity with another password: its sessions are over.
pub(crate) fn changed(before: &Identity, password_hash: String, now: Timestamp) -> Identity {
    Identity {
        password_hash: Some(password_hash),
        epoch: before.epoch + 1,
        updated_at: store::touched(before.updated_at, now),
        ..before.clone()
    }
}

/// The identity with its address confirmed.
pub(crate) fn confirmed(before: &Identity, now: Timestamp) -> Identity {
    Identity { email_verified: true, updated_at: store::touched(before.updated_at, now), ..before.clone() }
}

/// The membership with its address proved, where it isn't yet.
pub(crate) fn proved(before: &Member, now: Timestamp) -> Option<Member> {
    let updated_at = store::touched(before.updated_at, now);
    (!before.address_proved).then(|| Member { address_proved: true, updated_at, ..before.clone() })
}

/// The change of an identity, on `record`, which names what altered and shows none of it.
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
    if before.password_hash != after.password_hash {
        record.changes.push(FieldChange {
            field: "password".to_owned(),
            before: Value::Null,
            after: Value::Null,
        });
    }
    if before.email_verified != after.email_verified {
        record.changes.push(FieldChange {
            field: "email_verified".to_owned(),
            before: before.email_verified.into(),
            after: after.email_verified.into(),
        });
    }
    Change::audited(record).change_identity(before, after)
}

/// What the token that confirms an address stands for.
pub(crate) fn confirmation(digest: String, email: &str, user: UserId, now: Timestamp) -> SingleUse {
    SingleUse {
        digest,
        errand: Errand::ConfirmAddress { user_id: user },
        email: email.to_owned(),
        valid_until: now + CONFIRMED_WITHIN,
        spent: false,
        created_at: now,
        updated_at: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::SecondFactor;

    #[test]
    fn a_reset_keeps_the_second_factor_of_whose_address_was_proved() {
        let now = clock::utc(2026, 11, 22, 12, 0);
        let mut identity = Identity {
            user_id: ids::Ids::new(clock::Clock::manual(now).0).next(),
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
            password_hash: Some("old".to_owned()),
            email_verified: true,
            made_over_at: None,
            second_factor: Some(SecondFactor {
                sealed_secret: "s".to_owned(),
                active: true,
                last_step: None,
                recovery_digests: Vec::new(),
                created_at: now,
            }),
            epoch: 4,
            created_at: now,
            updated_at: now,
        };
        let after = reset(&identity, "new".to_owned(), now);
        assert_eq!((after.epoch, after.password_hash.as_deref()), (5, Some("new")));
        assert!(
            after.second_factor.is_some()
                && after.made_over_at.is_none()
                && after.updated_at > identity.updated_at
        );
        identity.email_verified = false;
        let after = reset(&identity, "new".to_owned(), now);
        assert!(after.second_factor.is_none() && after.email_verified);
        assert_eq!((after.epoch, after.made_over_at), (5, Some(after.updated_at)));
    }
}
