//! The token between a password and a second factor.
//!
//! Sealed, so that it says nothing to who holds it, and bound to the person, the epoch of their sessions and the
//! organization: it can't be used for another one, nor after the password was reset. It opens nothing by itself; the codes
//! it is sent with are good once.

use std::time::Duration;

use clock::Timestamp;
use ids::{OrganizationId, UserId};
use sealing::{Key, SealError};
use serde::{Deserialize, Serialize};
use store::Identity;

/// How long it is good for.
const LIFE: Duration = Duration::from_secs(5 * 60);
const PREFIX: &str = "mt_";
const CONTEXT: &[u8] = b"half-way";

/// Makes and reads the tokens.
#[derive(Debug, Clone)]
pub(crate) struct HalfWay(Key);

/// Who has given their password, and where they want to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Halfway {
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) epoch: u64,
    pub(crate) organization: OrganizationId,
    pub(crate) at: Timestamp,
}

impl HalfWay {
    pub(crate) fn new(key: Key) -> Self {
        Self(key)
    }

    /// A token for somebody whose password was right.
    ///
    /// # Errors
    /// [`SealError`] when it can't be sealed; not expected to happen.
    pub(crate) fn token(
        &self,
        identity: &Identity,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<String, SealError> {
        let passed = Halfway {
            user: identity.user_id,
            email: identity.email.clone(),
            epoch: identity.epoch,
            organization,
            at: now,
        };
        let json = serde_json::to_vec(&passed).map_err(|_| SealError::Failed)?;
        Ok(format!("{PREFIX}{}", self.0.seal(CONTEXT, &json)?))
    }

    /// What a token says; `None` when it isn't ours or has expired.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Option<Halfway> {
        let json = self.0.open(CONTEXT, token.strip_prefix(PREFIX)?).ok()?;
        let passed: Halfway = serde_json::from_slice(&json).ok()?;
        (now < passed.at + LIFE).then_some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealing::{MasterSecret, Purpose};

    fn half_way(secret: &str) -> HalfWay {
        HalfWay::new(MasterSecret::new(secret.repeat(64)).sealing_key(Purpose::MfaTokens).unwrap())
    }

    #[test]
    fn a_token_is_ours_and_good_for_five_minutes() {
        let now = clock::utc(2026, 11, 22, 12, 0);
        let ids = ids::Ids::new(clock::Clock::manual(now).0);
        let identity = Identity {
            user_id: ids.next(),
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
            password_hash: None,
            email_verified: true,
            made_over_at: None,
            second_factor: None,
            epoch: 3,
            created_at: now,
            updated_at: now,
        };
        let organization = ids.next();
        let token = half_way("a").token(&identity, organization, now).unwrap();
        let read = half_way("a").read(&token, now + LIFE - Duration::from_millis(1)).unwrap();
        assert_eq!((read.user, read.epoch, read.organization), (identity.user_id, 3, organization));
        assert_eq!(half_way("a").read(&token, now + LIFE), None);
        assert_eq!(half_way("b").read(&token, now), None);
        assert_eq!(half_way("a").read(&token.replace("mt_", "xt_"), now), None);
    }
}
