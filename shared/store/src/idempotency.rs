//! Remembered answers (`Idempotency-Key`).
//!
//! The answer is written in the same transaction as the change it answers, under a key that must not exist. So a
//! repeated request either commits nothing and finds the first answer, or is the first. There is no "in progress"
//! marker that a crash could leave behind, and no extra round trip.

use std::time::Duration;

use clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, number};
use crate::keys::Key;
use crate::{StoreError, keys};

/// How long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer as it is replayed. It holds no secret: those are taken out before it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: String,
}

/// A request that asked for idempotency.
#[derive(Debug, Clone)]
pub struct Idempotent {
    /// Digest of the caller and the key, unreadable without the deployment's secret.
    pub key_digest: String,
    /// Digest of the method, path, workspace and body.
    pub request_digest: String,
    /// When the request came.
    pub now: Timestamp,
    /// What it will be answered.
    pub answer: Answer,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) request_digest: String,
    answer: Answer,
    created_at: Timestamp,
    /// Unix seconds; DynamoDB removes the item some time after.
    pub(crate) expires_at: i64,
}

impl Remembered {
    pub(crate) fn into_answer(self) -> Answer {
        self.answer
    }
}

/// Where an idempotency key is remembered: with the tenant, or before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Realm {
    Tenant(ids::OrganizationId),
    SignUp,
}

impl Idempotent {
    fn key(&self, realm: Realm) -> Key {
        match realm {
            Realm::Tenant(organization) => keys::idempotency(organization, &self.key_digest),
            Realm::SignUp => keys::sign_up_idempotency(&self.key_digest),
        }
    }

    pub(crate) fn item(&self, realm: Realm) -> Result<Item, StoreError> {
        let remembered = Remembered {
            request_digest: self.request_digest.clone(),
            answer: self.answer.clone(),
            created_at: self.now,
            expires_at: (self.now + REMEMBERED).seconds(),
        };
        item::write("remember", &self.key(realm), &remembered)
    }

    /// An expired item may still be there: TTL deletes within days, not at the second.
    pub(crate) const CONDITION: &'static str = "attribute_not_exists(pk) OR expires_at <= :now";

    pub(crate) fn condition_value(&self) -> aws_sdk_dynamodb::types::AttributeValue {
        number(self.now.seconds())
    }
}
