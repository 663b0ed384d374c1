//! Identifiers: a prefix that says what it names, then a UUIDv7 (RFC 9562) in lower-case Crockford base32.
//!
//! The 26 characters sort as the time they were made, so an id is also a sort key and names the time bucket its
//! item lives in. Ids are never secrets: knowing one grants nothing.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use clock::{Clock, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// What an [`Id`] names.
pub trait Kind {
    /// The prefix before the underscore; fixed for ever, as clients store ids.
    const PREFIX: &'static str;
    /// What such an id is called in the OpenAPI document.
    const NAME: &'static str;
}

/// An identifier of one kind.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

macro_rules! kinds {
    ($($(#[$doc:meta])* $alias:ident = $kind:ident $prefix:literal;)*) => {
        /// The kinds of things that have ids. Append only.
        pub mod kind {
            $(
                #[doc = concat!("Names what a `", $prefix, "_` id names.")]
                pub enum $kind {}
                impl super::Kind for $kind {
                    const PREFIX: &'static str = $prefix;
                    const NAME: &'static str = stringify!($alias);
                }
            )*
        }
        $($(#[$doc])* pub type $alias = Id<kind::$kind>;)*
        /// Every prefix in use; tests hold them apart.
        pub const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

kinds! {
    /// An organization: the tenant.
    OrganizationId = Organization "org";
    /// A workspace inside an organization.
    WorkspaceId = Workspace "ws";
    /// A person.
    UserId = User "usr";
    /// An API key.
    KeyId = Key "key";
    /// A webhook endpoint.
    EndpointId = Endpoint "ep";
    /// An event.
    EventId = Event "evt";
    /// A delivery: one event owed to one endpoint.
    DeliveryId = Delivery "dlv";
    /// One attempt at a delivery.
    AttemptId = Attempt "att";
    /// An audit record.
    AuditId = Audit "aud";
    /// A campaign.
    CampaignId = Campaign "camp";
    /// A lead.
    LeadId = Lead "lead";
    /// A meeting.
    MeetingId = Meeting "mtg";
    /// An invitation.
    InvitationId = Invitation "inv";
    /// An export job.
    ExportId = Export "exp";
    /// A request.
    RequestId = Request "req";
    /// A signed-in session.
    SessionId = Session "ses";
    /// A reply to a lead.
    ReplyId = Reply "rep";
    /// A mail.
    MailId = Mail "mail";
    /// A replay of past events to an endpoint.
    ReplayId = Replay "rpl";
    /// A notice about an endpoint.
    NoticeId = Notice "ntc";
}

/// Crockford's alphabet in lower case: no `i`, `l`, `o` or `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BODY_LENGTH: usize = 26;

/// Why a text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The prefix or the underscore after it is missing or another kind's.
    #[error("does not begin with `{0}_`")]
    Prefix(&'static str),
    /// The part after the prefix is not 26 lower-case Crockford base32 characters for 128 bits.
    #[error("is not followed by 26 lower-case base32 characters")]
    Body,
    /// It is 128 bits, but not a UUIDv7.
    #[error("is not a time-ordered identifier")]
    Version,
}

impl<K: Kind> Id<K> {
    /// A fresh id for the instant `now`.
    fn new(now: Timestamp) -> Self {
        let random = Uuid::new_v4().into_bytes();
        Self::from_parts(now, random)
    }

    /// The id of something that follows from other things: the same `seed` at the same `time` gives the same id.
    ///
    /// Used where a step may run twice (fan-out) and must name its result alike both times.
    #[must_use]
    pub fn derived(time: Timestamp, seed: [u8; 16]) -> Self {
        Self::from_parts(time, seed)
    }

    fn from_parts(time: Timestamp, random: [u8; 16]) -> Self {
        let millis = u64::try_from(time.millis()).unwrap_or(0);
        let mut tail = [0_u8; 10];
        for (to, from) in tail.iter_mut().zip(random.iter().skip(6)) {
            *to = *from;
        }
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid(), PhantomData)
    }

    /// When the id was made.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        let millis = self.0.as_u128() >> 80;
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// The 128 bits, for hashing into buckets and seeds.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id whose [`as_bytes`](Self::as_bytes) these are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes), PhantomData)
    }

    /// Reads an id.
    ///
    /// # Errors
    /// [`InvalidId`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let body = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or(InvalidId::Prefix(K::PREFIX))?;
        if body.len() != BODY_LENGTH {
            return Err(InvalidId::Body);
        }
        let mut value: u128 = 0;
        for (index, character) in body.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|c| *c == character).ok_or(InvalidId::Body)?;
            // 26 characters hold 130 bits; the first may only use its lower three.
            if index == 0 && digit > 7 {
                return Err(InvalidId::Body);
            }
            value = (value << 5) | u128::try_from(digit).map_err(|_| InvalidId::Body)?;
        }
        let uuid = Uuid::from_u128(value);
        if uuid.get_version_num() != 7 {
            return Err(InvalidId::Version);
        }
        Ok(Self(uuid, PhantomData))
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.as_u128();
        let mut body = [b'0'; BODY_LENGTH];
        for (position, slot) in body.iter_mut().rev().enumerate() {
            let digit = (value >> (5 * position)) & 31;
            if let Some(character) = usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit)) {
                *slot = *character;
            }
        }
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(std::str::from_utf8(&body).unwrap_or_default())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| de::Error::custom(format_args!("the id {error}")))
    }
}

/// Makes ids for the present instant.
#[derive(Clone, Debug)]
pub struct Ids(Clock);

impl Ids {
    /// Ids that carry this clock's time.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self(clock)
    }

    /// A fresh id.
    #[must_use]
    pub fn next<K: Kind>(&self) -> Id<K> {
        Id::new(self.0.now())
    }
}

#[cfg(feature = "openapi")]
impl<K: Kind> utoipa::PartialSchema for Id<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let (prefix, body) = (K::PREFIX, "01kaq8zr3yfe2r4m8n5p6q7s8t");
        // 128 bits in 26 characters of five; version and variant of a UUIDv7 stand in the 11th and the 14th.
        let any = "[0-9a-hjkmnp-tv-z]";
        let pattern = format!("^{prefix}_[0-7]{any}{{9}}[ef]{any}{{2}}[89abrstv]{any}{{12}}$");
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
        let text = text.pattern(Some(pattern));
        text.examples([format!("{prefix}_{body}")]).into()
    }
}

#[cfg(feature = "openapi")]
impl<K: Kind> utoipa::ToSchema for Id<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        K::NAME.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_id_reads_back_as_itself_and_knows_its_time() {
        let now = clock::utc(2026, 11, 22, 15, 4);
        let (clock, _) = Clock::manual(now);
        let id: LeadId = Ids::new(clock).next();
        assert_eq!(id.to_string().len(), "lead_".len() + BODY_LENGTH);
        assert_eq!(LeadId::parse(&id.to_string()), Ok(id));
        assert_eq!(id.time(), now);
    }

    #[test]
    fn ids_sort_as_text_in_the_order_they_were_made() {
        let (clock, hand) = Clock::manual(clock::utc(2026, 1, 1, 0, 0));
        let ids = Ids::new(clock);
        let mut made = Vec::new();
        for _ in 0..200 {
            made.push(ids.next::<kind::Event>().to_string());
            hand.advance(Duration::from_millis(1));
        }
        assert!(made.is_sorted());
    }

    #[test]
    fn only_the_one_spelling_is_an_id() {
        let id = Ids::new(Clock::system()).next::<kind::Lead>().to_string();
        assert_eq!(CampaignId::parse(&id), Err(InvalidId::Prefix("camp")));
        assert_eq!(LeadId::parse(&id.to_uppercase()), Err(InvalidId::Prefix("lead")));
        assert_eq!(LeadId::parse(&id[..id.len() - 1]), Err(InvalidId::Body));
        assert_eq!(LeadId::parse(&format!("{}é", &id[..id.len() - 2])), Err(InvalidId::Body));
        assert_eq!(LeadId::parse("lead_zzzzzzzzzzzzzzzzzzzzzzzzzz"), Err(InvalidId::Body));
        assert_eq!(LeadId::parse("lead_00000000000000000000000000"), Err(InvalidId::Version));
        assert_eq!(LeadId::parse("lead"), Err(InvalidId::Prefix("lead")));
    }

    #[test]
    fn prefixes_are_distinct() {
        let mut sorted = PREFIXES.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), PREFIXES.len());
    }
}
