//! Standing: what decides, with each request of a person's session, whether it still holds and what it may do.
//!
//! A session remembers who signed in and how. Everything that others can change about that person since (membership,
//! roles, the organization's policies, a reset password) is read afresh with every request, in one batch beside the
//! admission itself: no change of it ever has to be carried into sessions, and none takes longer than to the next request.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use ids::{OrganizationId, UserId};
use serde::Deserialize;

use crate::change::Table;
use crate::item::{self, Item, primary};
use crate::keys::{self, Key};
use crate::{Member, Organization, Store, StoreError, Tenant};

/// Where a person stands in an organization at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The organization; `None` once it is erased.
    pub organization: Option<Organization>,
    /// The membership; `None` when there is none (any more).
    pub member: Option<Member>,
    /// Sessions of other epochs are over: it grows when all of a person's sessions are ended.
    pub epoch: u64,
}

/// What stands on a person's own item, which is there once any of it was changed.
#[derive(Deserialize)]
struct Person {
    epoch: u64,
    #[serde(default)]
    mfa_enabled: bool,
}

impl Store {
    /// Where a person stands, in one consistent batch.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read as a whole.
    pub async fn standing(&self, organization: OrganizationId, user: UserId) -> Result<Standing, StoreError> {
        const OPERATION: &str = "standing";
        let refused = |source| StoreError::Refused { operation: OPERATION, source: Box::new(source) };
        let keys = |keys: &[&Key]| {
            let keys = keys.iter().map(|key| primary(key)).collect();
            KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().map_err(refused)
        };
        let profile = keys::organization(organization);
        let answer = self
            .client
            .batch_get_item()
            .request_items(self.core_table(), keys(&[&profile, &keys::member(organization, user)])?)
            .request_items(self.directory_table(), keys(&[&keys::person(user)])?)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        if answer.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
            // Throttled in part. Half a standing could let somebody in who is out.
            return Err(StoreError::Unavailable {
                operation: OPERATION,
                source: "DynamoDB left keys unprocessed".into(),
            });
        }
        let mut found = answer.responses.unwrap_or_default();
        let mut standing = Standing { organization: None, member: None, epoch: 0 };
        for found in found.remove(self.core_table()).unwrap_or_default() {
            if item::get_text(&found, keys::SK) == Some(&profile.sk) {
                standing.organization = Some(item::read(OPERATION, found)?);
            } else {
                standing.member = Some(item::read(OPERATION, found)?);
            }
        }
        let person: Option<Item> = found.remove(self.directory_table()).unwrap_or_default().pop();
        if let Some(person) = person {
            standing.epoch = item::read::<Person>(OPERATION, person)?.epoch;
        }
        Ok(standing)
    }
}

impl Tenant {
    /// Which of these members, a hundred at most, are asked for a second factor when they sign in.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read as a whole.
    pub async fn with_second_factor(&self, members: &[Member]) -> Result<HashSet<UserId>, StoreError> {
        const OPERATION: &str = "with_second_factor";
        let keys: Vec<Key> = members.iter().map(|member| keys::person(member.user_id)).collect();
        let mut protected = HashSet::new();
        for found in self.store.batch(OPERATION, [(Table::Directory, &*keys)]).await? {
            let Some(key) = item::key(&found) else { continue };
            let is_enabled = item::read::<Person>(OPERATION, found)?.mfa_enabled;
            let whose = members.iter().map(|member| member.user_id).find(|id| keys::person(*id) == key);
            protected.extend(whose.filter(|_| is_enabled));
        }
        Ok(protected)
    }
}
