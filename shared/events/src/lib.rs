//! The events customers subscribe to, and the envelope they arrive in.
//!
//! An [`Envelope`] is serialized once, when the event is written; from then on its text is carried as it is, so
//! that every attempt to every endpoint sends, and signs, the same bytes.
//!
//! What an event carries is described by a JSON Schema and shown by an example, both of them files beside this code:
//! `schemas/` and `examples/`. A published version of a schema never changes; one that takes its place gets the next
//! number.

mod schema;

use std::fmt;
use std::sync::LazyLock;

pub use schema::{Flaw, LARGEST_BODY, Unfit};

use clock::Timestamp;
use ids::{EventId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! event_types {
    ($($variant:ident $name:literal $version:literal)*) => {
        /// Something that happened to a tenant's data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl EventType {
            /// Every event type, in the order they are documented.
            pub const ALL: &'static [EventType] = &[$(EventType::$variant,)*];

            /// The name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(EventType::$variant => $name,)* }
            }

            /// Which version of its schema its data has.
            #[must_use]
            pub fn version(self) -> u32 {
                match self { $(EventType::$variant => $version,)* }
            }

            fn schema_file(self) -> &'static str {
                match self { $(EventType::$variant => include_str!(concat!("../schemas/", $name, ".json")),)* }
            }

            fn compiled(self) -> &'static schema::Compiled {
                match self {
                    $(EventType::$variant => {
                        static COMPILED: LazyLock<schema::Compiled> =
                            LazyLock::new(|| schema::Compiled::of(EventType::$variant));
                        &COMPILED
                    })*
                }
            }

            fn example_file(self) -> &'static str {
                match self { $(EventType::$variant => include_str!(concat!("../examples/", $name, ".json")),)* }
            }
        }
    };
}

event_types! {
    LeadCreated "lead.created" 1
    LeadUpdated "lead.updated" 1
    LeadReplied "lead.replied" 1
    LeadQualified "lead.qualified" 1
    CampaignCreated "campaign.created" 1
    CampaignStarted "campaign.started" 1
    CampaignPaused "campaign.paused" 1
    CampaignCompleted "campaign.completed" 1
    EmailSent "email.sent" 1
    EmailOpened "email.opened" 1
    EmailBounced "email.bounced" 1
    MeetingBooked "meeting.booked" 1
    MeetingCancelled "meeting.cancelled" 1
}

/// The text names no event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an event type")]
pub struct UnknownEventType;

impl EventType {
    /// Reads an event type's name.
    ///
    /// # Errors
    /// [`UnknownEventType`] when there is none of that name.
    pub fn parse(name: &str) -> Result<Self, UnknownEventType> {
        Self::ALL.iter().copied().find(|event| event.as_str() == name).ok_or(UnknownEventType)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&name).map_err(de::Error::custom)
    }
}

/// Which events an endpoint wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// Every event, those of the future included (`*`).
    All,
    /// These.
    Only(Vec<EventType>),
}

impl Subscription {
    /// Whether an event of this type is wanted.
    #[must_use]
    pub fn wants(&self, event: EventType) -> bool {
        match self {
            Self::All => true,
            Self::Only(events) => events.contains(&event),
        }
    }

    /// The names as they stand in an endpoint: `["*"]` or the event types.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::All => vec!["*".to_owned()],
            Self::Only(events) => events.iter().map(ToString::to_string).collect(),
        }
    }

    /// Reads the names of an endpoint. `*` stands alone; repeated names count once.
    ///
    /// # Errors
    /// The index of the first name that is no event type, or that stands beside `*`.
    pub fn parse(names: &[String]) -> Result<Self, usize> {
        if names == ["*"] {
            return Ok(Self::All);
        }
        let mut events = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let event = EventType::parse(name).map_err(|_| index)?;
            if !events.contains(&event) {
                events.push(event);
            }
        }
        Ok(Self::Only(events))
    }
}

/// What a receiver gets.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope<'a, D> {
    /// The event's id, the same on every attempt and for every endpoint.
    pub id: EventId,
    /// What happened.
    pub event: EventType,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The workspace it happened in.
    pub workspace_id: WorkspaceId,
    /// The resource, as the API shows it.
    pub data: &'a D,
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for EventType {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
        text.enum_values(Some(Self::ALL.iter().map(|event| event.as_str()))).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for EventType {
    fn name() -> std::borrow::Cow<'static, str> {
        "EventType".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_thirteen_event_types_and_each_reads_back() {
        assert_eq!(EventType::ALL.len(), 13);
        for event in EventType::ALL {
            assert_eq!(EventType::parse(event.as_str()), Ok(*event));
        }
        assert!(EventType::parse("lead.deleted").is_err());
    }

    #[test]
    fn a_subscription_is_a_list_or_a_star() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(Subscription::parse(&names(&["*"])), Ok(Subscription::All));
        assert_eq!(Subscription::parse(&names(&["lead.created", "*"])), Err(1));
        let only = Subscription::parse(&names(&["lead.created", "lead.created"])).unwrap();
        assert_eq!(only.names(), ["lead.created"]);
        assert!(only.wants(EventType::LeadCreated) && !only.wants(EventType::LeadReplied));
    }
}
