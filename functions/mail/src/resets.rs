//! Password resets: issued to whoever has the address.

use std::time::Duration;

use access::api_key::sha256_hex;
use access::{OneTimeKind, OneTimeToken};
use clock::Clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use mailing::{Letter, Token};
use store::{BoxError, Errand, SingleUse, Store};

use crate::{Forgotten, ResetIssuer};

/// How long a reset is good for.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// How many a person is mailed in a window of attempts: others can ask for them, too.
const MOST: u64 = 3;

/// Issues resets from the directory.
pub(crate) struct Resets {
    store: Store,
    clock: Clock,
}

impl Resets {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    async fn issued(&self, asked: Forgotten) -> Result<Option<Letter>, BoxError> {
        let now = self.clock.now();
        // Who belongs to no organization has nothing to sign in to.
        let account = self.store.account(&asked.email).await?.filter(|it| !it.memberships.is_empty());
        let Some(account) = account else { return Ok(None) };
        let identity = account.identity;
        // The id is random, so its digest tells nothing either.
        let digest = sha256_hex(format!("reset/{}", identity.user_id).as_bytes());
        if self.store.count_attempt(&digest, now).await?.count > MOST {
            return Ok(None);
        }
        let token = OneTimeToken::generate(OneTimeKind::PasswordReset)?;
        let reset = SingleUse {
            digest: token.digest(),
            errand: Errand::PasswordReset { user_id: identity.user_id, epoch: identity.epoch },
            email: identity.email.clone(),
            valid_until: now + LIFE,
            spent: false,
            created_at: now,
            updated_at: now,
        };
        self.store.put_single_use(&reset).await?;
        Ok(Some(Letter::PasswordReset {
            to: identity.email,
            name: identity.name,
            token: Token::new(token.reveal()),
            expires_at: reset.valid_until,
        }))
    }
}

impl ResetIssuer for Resets {
    fn issue(&self, asked: Forgotten) -> BoxFuture<'_, Result<Option<Letter>, BoxError>> {
        self.issued(asked).boxed()
    }
}
