//! Single-use tokens: what a link in a mail, or a sign-on in progress, is worth.
//!
//! Only the SHA-256 of a token is stored. A token is spent in the transaction that does what it is for, so it can't be
//! used twice however many try at once. Spent and expired ones are kept for a while, so that their holder can be told
//! which of the two it is.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use ids::{InvitationId, OrganizationId, UserId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, number, primary, text};
use crate::{Change, Refusal, Store, StoreError, keys};

/// How long after its end a token's item is kept.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long after its end a sign-on is kept: anybody begins one, and it ends within minutes.
const SIGN_ON_REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Errand {
    /// Joining an organization.
    Invitation {
        /// The organization.
        organization_id: OrganizationId,
        /// The invitation.
        invitation_id: InvitationId,
    },
    /// Setting a new password.
    PasswordReset {
        /// Whose.
        user_id: UserId,
        /// Of which epoch of theirs: a token from before the last reset or change is worth nothing.
        epoch: u64,
    },
    /// Proving that an e-mail address is one's own.
    ConfirmAddress {
        /// Whose.
        user_id: UserId,
    },
    /// Coming back from an identity provider.
    SignOn {
        /// The organization.
        organization_id: OrganizationId,
        /// What must be remembered meanwhile, sealed.
        sealed: String,
    },
}

/// A single-use token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleUse {
    /// SHA-256 of the token, in hex.
    pub digest: String,
    /// What it is for.
    pub errand: Errand,
    /// The address it was mailed to; empty when it was not mailed.
    pub email: String,
    /// Until when it can be used.
    pub valid_until: Timestamp,
    /// Whether it was used or withdrawn.
    pub spent: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Makes a token good.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn issue_single_use(self, token: &SingleUse) -> Result<Self, StoreError> {
        let item = single_use_item(self.operation(), token)?;
        Ok(self.step(Table::Directory, Write::Create(item), Refusal::Exists("token")))
    }

    /// Uses or withdraws a token that is good.
    pub fn spend_single_use(self, digest: &str, now: Timestamp) -> Self {
        self.step(Table::Directory, Write::Update(spending(digest, now)), Refusal::Spent)
    }
}

fn spending(digest: &str, now: Timestamp) -> Expression {
    Expression {
        key: primary(&keys::single_use(digest)),
        update: "SET spent = :yes, updated_at = :now".to_owned(),
        condition: "spent = :no".to_owned(),
        values: vec![
            (":yes", AttributeValue::Bool(true)),
            (":no", AttributeValue::Bool(false)),
            (":now", text(now.to_string())),
        ],
        ..Expression::default()
    }
}

fn single_use_item(operation: &'static str, token: &SingleUse) -> Result<item::Item, StoreError> {
    let mut item = item::write(operation, &keys::single_use(&token.digest), token)?;
    let remembered = match token.errand {
        Errand::SignOn { .. } => SIGN_ON_REMEMBERED,
        Errand::Invitation { .. } | Errand::PasswordReset { .. } | Errand::ConfirmAddress { .. } => {
            REMEMBERED
        }
    };
    item.insert("expires_at".to_owned(), number((token.valid_until + remembered).seconds()));
    Ok(item)
}

impl Store {
    /// A token by its SHA-256, whether or not it is still good.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn single_use(&self, digest: &str) -> Result<Option<SingleUse>, StoreError> {
        self.get(Self::directory_table, "single_use", &keys::single_use(digest)).await
    }

    /// Uses a token that belongs to no change: whether it was good until now. Of any number who try, one uses it.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn take_single_use(&self, digest: &str, now: Timestamp) -> Result<bool, StoreError> {
        const OPERATION: &str = "take_single_use";
        let Expression { key, update, condition, values, .. } = spending(digest, now);
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let taking = self
            .client
            .update_item()
            .table_name(self.directory_table())
            .set_key(Some(key))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values));
        match taking.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(context))
                if matches!(context.err(), UpdateItemError::ConditionalCheckFailedException(_)) =>
            {
                Ok(false)
            }
            Err(error) => Err(StoreError::from_sdk(OPERATION, error)),
        }
    }

    /// Makes a token good that belongs to no change: a password reset, a sign-on that begins.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn put_single_use(&self, token: &SingleUse) -> Result<(), StoreError> {
        let item = single_use_item("put_single_use", token)?;
        let put = self.client.put_item().table_name(self.directory_table()).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)");
        put.send().await.map_err(|e| StoreError::from_sdk("put_single_use", e))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_on_is_kept_for_a_day_and_what_was_mailed_for_thirty() {
        let now = clock::utc(2026, 11, 22, 12, 0);
        let ids = ids::Ids::new(clock::Clock::manual(now).0);
        let kept = |errand| {
            let token = SingleUse {
                digest: "d".to_owned(),
                errand,
                email: String::new(),
                valid_until: now,
                spent: false,
                created_at: now,
                updated_at: now,
            };
            let item = single_use_item("test", &token).unwrap();
            item["expires_at"].as_n().unwrap().parse::<i64>().unwrap() - now.seconds()
        };
        let sign_on = Errand::SignOn { organization_id: ids.next(), sealed: "s".to_owned() };
        assert_eq!(kept(sign_on), 24 * 60 * 60);
        assert_eq!(kept(Errand::ConfirmAddress { user_id: ids.next() }), 30 * 24 * 60 * 60);
    }
}
