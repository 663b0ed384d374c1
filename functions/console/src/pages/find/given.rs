//! What an id says by itself: of what it is, and when it was made.

use clock::Timestamp;
use ids::RequestId;

/// Something that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// When the id was made, if it is one of ours.
    pub(super) made_at: Option<Timestamp>,
}

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Record,
    Event,
    Delivery,
    Attempt,
    /// Something that things are done to, and records tell of.
    Thing(Thing),
    /// None of ours: a request id that a caller made, or the name of something.
    Foreign,
}

/// What things are done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    Organization,
    Workspace,
    User,
    Key,
    Endpoint,
    Campaign,
    Lead,
    Meeting,
    Invitation,
    Export,
    Replay,
    Other,
}

impl Given {
    /// Reads what was entered; `None` if it can be no id at all.
    pub(super) fn read(entered: &str) -> Option<Self> {
        let id = entered.trim_matches(|c: char| c.is_whitespace() || "\"'`,;()[]<>".contains(c));
        let may_be = (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        if !may_be {
            return None;
        }
        // All of our ids are built alike: the time of one is read as that of a request.
        let made_at = id
            .split_once('_')
            .and_then(|(_, body)| RequestId::parse(&format!("req_{body}")).ok())
            .map(|id| id.time());
        let kind = match (made_at, id.split('_').next().unwrap_or_default()) {
            (None, _) => Kind::Foreign,
            (Some(_), prefix) => Kind::of(prefix),
        };
        Some(Self { id: id.to_owned(), kind, made_at })
    }

    /// Whether it may be looked for as a thing: what a request may be called besides cannot be.
    pub(super) fn is_name(&self) -> bool {
        !self.id.contains(':')
    }
}

impl Kind {
    fn of(prefix: &str) -> Self {
        match prefix {
            "req" => Self::Request,
            "aud" => Self::Record,
            "evt" => Self::Event,
            "dlv" => Self::Delivery,
            "att" => Self::Attempt,
            "org" => Self::Thing(Thing::Organization),
            "ws" => Self::Thing(Thing::Workspace),
            "usr" => Self::Thing(Thing::User),
            "key" => Self::Thing(Thing::Key),
            "ep" => Self::Thing(Thing::Endpoint),
            "camp" => Self::Thing(Thing::Campaign),
            "lead" => Self::Thing(Thing::Lead),
            "mtg" => Self::Thing(Thing::Meeting),
            "inv" => Self::Thing(Thing::Invitation),
            "exp" => Self::Thing(Thing::Export),
            "rpl" => Self::Thing(Thing::Replay),
            "ses" | "rep" | "ntc" | "mail" => Self::Thing(Thing::Other),
            _ => Self::Foreign,
        }
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Request => "Request",
            Self::Record => "Audit record",
            Self::Event => "Event",
            Self::Delivery => "Delivery",
            Self::Attempt => "Attempt at a delivery",
            Self::Thing(thing) => thing.name(),
            Self::Foreign => "An id of yours",
        }
    }
}

impl Thing {
    fn name(self) -> &'static str {
        match self {
            Self::Organization => "Organization",
            Self::Workspace => "Workspace",
            Self::User => "Person",
            Self::Key => "API key",
            Self::Endpoint => "Endpoint",
            Self::Campaign => "Campaign",
            Self::Lead => "Lead",
            Self::Meeting => "Meeting",
            Self::Invitation => "Invitation",
            Self::Export => "Export",
            Self::Replay => "Replay",
            Self::Other => "Something on record",
        }
    }

    /// Whether it can act, so that there is what it did besides what was done to it.
    pub(super) fn acts(self) -> bool {
        matches!(self, Self::User | Self::Key)
    }

    /// The permission that reading it takes; `None` where it cannot be read by its id.
    pub(super) fn permission(self) -> Option<&'static str> {
        Some(match self {
            Self::Organization => "organization:read",
            Self::Workspace => "workspaces:read",
            Self::User => "users:read",
            Self::Key => "api_keys:read",
            Self::Endpoint | Self::Replay => "webhooks:read",
            Self::Campaign => "campaigns:read",
            Self::Lead => "leads:read",
            Self::Meeting => "meetings:read",
            Self::Export => "audit_logs:export",
            Self::Invitation | Self::Other => return None,
        })
    }

    /// Where it can be read, and whether that takes a workspace.
    pub(super) fn path(self, id: &str) -> Option<(String, bool)> {
        Some(match self {
            Self::Organization => ("/api/admin/organization".to_owned(), false),
            Self::Workspace => (format!("/api/admin/workspaces/{id}"), false),
            Self::User => (format!("/api/admin/users/{id}"), false),
            Self::Key => (format!("/api/admin/api-keys/{id}"), false),
            Self::Endpoint => (format!("/api/admin/webhooks/{id}"), false),
            Self::Replay => (format!("/api/admin/webhooks/replays/{id}"), false),
            Self::Campaign => (format!("/v1/campaigns/{id}"), true),
            Self::Lead => (format!("/v1/leads/{id}"), true),
            Self::Meeting => (format!("/v1/meetings/{id}"), true),
            // An export that is asked for by its id gives out links to its files, which goes on record.
            Self::Export | Self::Invitation | Self::Other => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_of_what_it_is_and_when_it_was_made() {
        let made: ids::LeadId = ids::Id::derived(clock::utc(2026, 11, 22, 15, 4), [7; 16]);
        let given = Given::read(&format!("  \"{made}\",")).unwrap();
        assert_eq!(given.kind, Kind::Thing(Thing::Lead));
        assert_eq!(given.made_at, Some(clock::utc(2026, 11, 22, 15, 4)));
        for prefix in ids::PREFIXES {
            let id = made.to_string().replacen("lead", prefix, 1);
            assert_ne!(Given::read(&id).unwrap().kind, Kind::Foreign, "{prefix}");
        }
    }

    #[test]
    fn what_is_none_of_ours_may_be_a_callers_own() {
        for own in ["checkout-42", "a.b:c", "lead_short", "sales.example.com"] {
            assert_eq!(Given::read(own).unwrap().kind, Kind::Foreign, "{own}");
        }
        assert!(!Given::read("a.b:c").unwrap().is_name());
        for none in ["", "   ", "a b", "é", "<script>alert(1)</script>", &"x".repeat(129)] {
            assert_eq!(Given::read(none), None, "{none}");
        }
    }
}
