//! What must be found before the tenant is known: credentials and identities.
//!
//! Only authentication reads this table.

use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use ids::{KeyId, OrganizationId, SessionId, UserId, WorkspaceId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::admission::{self, Admitted, Denied, Kind, Proof, Quota, Visit};
use crate::change::{Expression, Table, Write};
use crate::item::{self, Item, number, primary, text};
use crate::keys::{self, Key};
use crate::{Change, Mode, Networks, Refusal, Store, StoreError, Tenant};

/// What an API key stands for. Its item is kept small, as each request writes it: names are short, permissions are a
/// number and networks are packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCredential {
    /// The key.
    #[serde(rename = "id")]
    pub key_id: KeyId,
    /// Its tenant.
    #[serde(rename = "org")]
    pub organization_id: OrganizationId,
    /// The one workspace it is for, if it is for one.
    #[serde(rename = "ws", default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// Test or live.
    pub mode: Mode,
    /// The permissions it holds, a bit each; which one is whose is the `access` crate's to say.
    #[serde(rename = "may")]
    pub grants: u64,
    /// The networks it may be used from; any when empty.
    #[serde(rename = "nets", default, skip_serializing_if = "Networks::is_empty")]
    pub networks: Networks,
    /// How many days what it was used for is kept, as its organization's plan says.
    #[serde(rename = "days")]
    pub kept_days: u64,
    /// When it stops working, in Unix seconds.
    #[serde(rename = "exp", default, skip_serializing_if = "Option::is_none")]
    pub expires_at_seconds: Option<i64>,
}

/// What a session stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCredential {
    /// The session.
    pub session_id: SessionId,
    /// The tenant it acts in.
    pub organization_id: OrganizationId,
    /// The person.
    pub user_id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Which of the person's sessions hold when this one began; it is over when that has changed.
    pub epoch: u64,
    /// Which stretch of their membership it began in; it is over with that.
    #[serde(default)]
    pub generation: u64,
    /// When the person signed in; a session that follows from another one keeps that one's.
    pub authenticated_at: Timestamp,
    /// What this session proved (RFC 8176, and `sso` for the organization's identity provider): `["pwd", "otp"]`.
    pub amr: Vec<String>,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whom it stands for.
    #[serde(flatten)]
    pub credential: SessionCredential,
    /// SHA-256 of the refresh token that is valid next, in hex.
    pub refresh_digest: String,
    /// SHA-256 of the one that was valid before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_digest: Option<String>,
    /// When that one was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub updated_at: Timestamp,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// Whether it is `active`.
    #[serde(default)]
    pub status: String,
}

/// Who is behind an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The person.
    pub user_id: UserId,
    /// The address, in lower case.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Argon2id, PHC string format; absent for who only signs on elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Whether the address was proved to be theirs. Until then the identity may be somebody else's who came first.
    #[serde(default)]
    pub email_verified: bool,
    /// When the identity was made over to who proved the address, if somebody else may have made it. What it joined before
    /// then was not joined by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_over_at: Option<Timestamp>,
    /// Their second factor, enrolled or about to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
    /// Which of their sessions hold: those that began in this epoch. The same as on the person's own item.
    #[serde(default)]
    pub epoch: u64,
    /// When they signed up.
    pub created_at: Timestamp,
    /// When the identity was last changed.
    pub updated_at: Timestamp,
}

impl Identity {
    /// Whether a second factor is asked for when they sign in.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.second_factor.as_ref().is_some_and(|factor| factor.active)
    }
}

/// A person's authenticator app (TOTP, RFC 6238) and recovery codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// The shared secret, sealed and bound to the person.
    pub sealed_secret: String,
    /// Whether it was activated by a first code; asked for at sign-in from then on.
    pub active: bool,
    /// The time step of the last code that was accepted: that one and older ones are refused (RFC 6238 §5.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<i64>,
    /// SHA-256 of the recovery codes that are left, in hex.
    #[serde(default)]
    pub recovery_digests: Vec<String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
}

/// What the directory knows of an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The person.
    pub identity: Identity,
    /// The organizations they belong to, in no order.
    pub memberships: Vec<IdentityMembership>,
    /// Digests of the addresses they signed in from lately.
    pub signed_in_from: Vec<String>,
    /// The organizations they belonged to once; they come back by invitation only.
    pub left: Vec<OrganizationId>,
}

/// That an identity belongs to an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityMembership {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Since when.
    pub created_at: Timestamp,
}

/// That somebody belonged to an organization once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Left {
    /// Who it was.
    #[serde(default)]
    pub(crate) user_id: Option<UserId>,
}

/// What became of a credential that asked to be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission<C> {
    /// Come in.
    Admitted {
        /// Who.
        credential: C,
        /// What is left.
        quota: Quota,
        /// Where the request was counted, for [`Store::count_outcome`].
        counted_at: Key,
    },
    /// Never heard of it.
    Unknown,
    /// Revoked, or the session was ended.
    Revoked(C),
    /// Its organization is deleted.
    Suspended(C),
    /// Expired.
    Expired(C),
    /// It may not be used from there.
    Elsewhere(C),
    /// Its budget is spent.
    Limited {
        /// Whose.
        credential: C,
        /// How much of it, and when some returns.
        quota: Quota,
        /// Where it is counted, for [`Store::count_outcome`].
        counted_at: Key,
    },
}

impl Store {
    /// Admits one request of an API key: authenticates it, checks status, expiry and networks, enforces the limit, stamps
    /// the last use and counts it, in one call (the module `admission` tells when it is two).
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer or the item is malformed.
    pub async fn admit_key(
        &self,
        proof: &Proof,
        visit: &Visit<'_>,
    ) -> Result<Admission<KeyCredential>, StoreError> {
        judged(self.admit_at(keys::api_key_at(&proof.locator), Kind::Key(proof), visit).await)
    }

    /// Admits one request of a session, in the same way.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer or the item is malformed.
    pub async fn admit_session(
        &self,
        id: SessionId,
        visit: &Visit<'_>,
    ) -> Result<Admission<SessionCredential>, StoreError> {
        judged(self.admit_at(keys::session(id), Kind::Session, visit).await)
    }

    /// Who is behind an e-mail address, in one query.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn account(&self, email: &str) -> Result<Option<Account>, StoreError> {
        const OPERATION: &str = "account";
        let query = self
            .client
            .query()
            .table_name(self.directory_table())
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(keys::identity(email).pk))
            .consistent_read(true);
        let items = item::all(OPERATION, query).await?;
        let (mut identity, mut memberships) = (None, Vec::new());
        let (mut signed_in_from, mut left) = (Vec::new(), Vec::new());
        for found in items {
            let sk = item::get_text(&found, keys::SK).unwrap_or_default();
            if sk == keys::identity(email).sk {
                identity = Some(item::read(OPERATION, found)?);
            } else if let Some(digest) = sk.strip_prefix(keys::SIGNED_IN_FROM) {
                signed_in_from.push(digest.to_owned());
            } else if let Some(organization) = keys::parse_left(sk) {
                left.push(organization);
            } else if keys::is_membership(sk) {
                memberships.push(item::read(OPERATION, found)?);
            }
        }
        Ok(identity.map(|identity| Account { identity, memberships, signed_in_from, left }))
    }

    /// A session, whether active or not.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.get(Self::directory_table, "session", &keys::session(id)).await
    }

    /// Notes a sign-in with an address nobody has, under a digest of it: so that it takes as long as the record of
    /// one with a wrong password, and so that a spray can be seen. Kept for a day.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn note_unknown_sign_in(
        &self,
        digest: &str,
        now: Timestamp,
        address: &str,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "note_unknown_sign_in";
        let note = |key: &keys::Key| {
            let mut note = primary(key);
            note.insert("created_at".to_owned(), text(now.to_string()));
            note.insert("updated_at".to_owned(), text(now.to_string()));
            note.insert("v".to_owned(), number(1));
            note.insert("expires_at".to_owned(), number(now.seconds() + 24 * 60 * 60));
            note
        };
        let key = keys::unknown_sign_in(digest);
        let mut apart = note(&keys::Key { pk: key.pk.clone(), sk: "FROM".to_owned() });
        apart.insert("address".to_owned(), text(address));
        let put = |item| {
            let put = Write::Put { item, condition: String::new(), values: Vec::new() };
            let write = self.write(Table::Directory, put);
            write.map_err(|e| StoreError::Refused { operation: OPERATION, source: Box::new(e) })
        };
        let writes = vec![put(note(&key))?, put(apart)?];
        let call = self.client.transact_write_items().set_transact_items(Some(writes));
        call.send().await.map(drop).map_err(|e| StoreError::from_sdk(OPERATION, e))
    }

    /// The tenant of a person who has just proved something: with a password, a token that was mailed to them, an identity
    /// provider's word, or a session that is being refreshed. Never an id that nothing vouches for.
    #[must_use]
    pub fn tenant_of_sign_in(&self, organization: OrganizationId) -> Tenant {
        self.tenant_of_job(organization)
    }
}

impl Tenant {
    /// That somebody with this address belonged here once, if they did and do not now. It outlives their account.
    pub(crate) async fn left(&self, email: &str) -> Result<Option<Left>, StoreError> {
        self.store.get(Store::directory_table, "left", &keys::left(email, self.organization)).await
    }
}

/// An admission in terms of the credential that stands on the item.
fn judged<C: DeserializeOwned>(decision: Result<Admitted, Denied>) -> Result<Admission<C>, StoreError> {
    let credential = |item: Item| item::read::<C>("admit", item);
    Ok(match decision {
        Ok(Admitted { item, quota, counted_at }) => {
            Admission::Admitted { credential: credential(item)?, quota, counted_at }
        }
        Err(Denied::Unknown) => Admission::Unknown,
        Err(Denied::Revoked(item)) => Admission::Revoked(credential(item)?),
        Err(Denied::Suspended(item)) => Admission::Suspended(credential(item)?),
        Err(Denied::Expired(item)) => Admission::Expired(credential(item)?),
        Err(Denied::Elsewhere(item)) => Admission::Elsewhere(credential(item)?),
        Err(Denied::Limited(spent)) => {
            let Admitted { item, quota, counted_at } = *spent;
            Admission::Limited { credential: credential(item)?, quota, counted_at }
        }
        Err(Denied::Store(error)) => return Err(error),
    })
}

impl Change {
    /// Creates an identity.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn create_identity(self, identity: &Identity) -> Result<Self, StoreError> {
        let person = item::write(self.operation(), &keys::identity(&identity.email), identity)?;
        Ok(self.step(Table::Directory, Write::Create(person), Refusal::Exists("identity")))
    }

    /// Changes an identity that is still as it was read. With another epoch than before, all of the person's sessions
    /// that began until then are over with their next request. What others may know of it, whether a second factor is active,
    /// stands on the person's own item too.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn change_identity(self, before: &Identity, after: &Identity) -> Result<Self, StoreError> {
        let change =
            self.replace(Table::Directory, &keys::identity(&before.email), after, before.updated_at)?;
        if before.epoch == after.epoch && before.has_second_factor() == after.has_second_factor() {
            return Ok(change);
        }
        let turn = Expression {
            key: primary(&keys::person(after.user_id)),
            update: "SET epoch = :epoch, mfa_enabled = :mfa, updated_at = :now, \
                     created_at = if_not_exists(created_at, :now), v = :v"
                .to_owned(),
            condition: match before.epoch == after.epoch {
                true => "attribute_not_exists(epoch) OR epoch <= :epoch",
                false => "attribute_not_exists(epoch) OR epoch < :epoch",
            }
            .to_owned(),
            values: vec![
                (":epoch", number(i64::try_from(after.epoch).unwrap_or(i64::MAX))),
                (":mfa", AttributeValue::Bool(after.has_second_factor())),
                (":now", text(after.updated_at.to_string())),
                (":v", number(1)),
            ],
            ..Expression::default()
        };
        Ok(change.step(Table::Directory, Write::Update(turn), Refusal::Raced))
    }

    /// Remembers that a person signed in from the address that `digest` names, until `until`: what others do wrong
    /// elsewhere will not keep them out here.
    pub fn signed_in_from(self, email: &str, digest: &str, now: Timestamp, until: Timestamp) -> Self {
        let note = Expression {
            key: primary(&keys::signed_in_from(email, digest)),
            update: "SET created_at = if_not_exists(created_at, :now), updated_at = :now, v = :v, expires_at = :until"
                .to_owned(),
            values: vec![
                (":now", text(now.to_string())),
                (":v", number(1)),
                (":until", number(until.seconds())),
            ],
            ..Expression::default()
        };
        self.step(Table::Directory, Write::Update(note), Refusal::Raced)
    }

    /// Adds to what an active session has proved.
    pub fn session_proved(self, id: SessionId, amr: &[String], now: Timestamp) -> Self {
        let values = amr.iter().map(|method| text(method.as_str())).collect();
        let update = Expression {
            key: primary(&keys::session(id)),
            update: "SET amr = :amr, updated_at = :now".to_owned(),
            condition: "#status = :active".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":amr", aws_sdk_dynamodb::types::AttributeValue::L(values)),
                (":active", text("active")),
                (":now", text(now.to_string())),
            ],
        };
        self.step(Table::Directory, Write::Update(update), Refusal::Missing("session"))
    }

    /// Begins a session that may make `limit` requests in any 60 minutes.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn begin_session(self, session: &Session, limit: u64) -> Result<Self, StoreError> {
        let mut item = item::write(self.operation(), &keys::session(session.credential.session_id), session)?;
        item.extend(admission::fresh(limit));
        item.insert("status".to_owned(), text("active"));
        item.insert("exp".to_owned(), number(session.ends_at.seconds()));
        item.insert("expires_at".to_owned(), number(session.ends_at.seconds()));
        Ok(self.step(Table::Directory, Write::Create(item), Refusal::Exists("session")))
    }

    /// Replaces the refresh token of an active session, provided `old_digest` is the one that is valid; that one, and when it
    /// was replaced, is remembered.
    pub fn rotate_refresh_token(
        self,
        id: SessionId,
        old_digest: &str,
        new_digest: &str,
        now: Timestamp,
    ) -> Self {
        let update = Expression {
            key: primary(&keys::session(id)),
            update:
                "SET refresh_digest = :new, replaced_digest = :old, replaced_at = :now, updated_at = :now"
                    .to_owned(),
            condition: "#status = :active AND refresh_digest = :old AND exp > :seconds".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":active", text("active")),
                (":new", text(new_digest)),
                (":old", text(old_digest)),
                (":now", text(now.to_string())),
                (":seconds", number(now.seconds())),
            ],
        };
        self.step(Table::Directory, Write::Update(update), Refusal::Missing("session"))
    }

    /// Ends a session that is active, at once: its access tokens stop with the next request. Of two changes that end the
    /// same session, to begin another one in its place, one is refused.
    pub fn end_session(self, id: SessionId, now: Timestamp) -> Self {
        let update = Expression {
            key: primary(&keys::session(id)),
            update: "SET #status = :ended, updated_at = :now".to_owned(),
            condition: "#status = :active".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":ended", text("ended")),
                (":active", text("active")),
                (":now", text(now.to_string())),
            ],
        };
        self.step(Table::Directory, Write::Update(update), Refusal::Missing("session"))
    }
}
