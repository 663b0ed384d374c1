//! What an organization has so much of: seats, admins, workspaces, keys, endpoints, and requests an hour to give to keys.
//!
//! Counts and limits stand on the organization's own item, and each count moves in the transaction that makes or ends
//! what it counts. So a limit is judged at the instant of the change: of any number of people who join for the last seat
//! exactly one gets it, and of two admins who demote each other exactly one succeeds.

use ids::{OrganizationId, UserId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Write};
use crate::item::{self, Item, get_number, get_text, number, text};
use crate::{Refusal, keys};

/// How much of each an organization has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Active members.
    pub seat_count: u64,
    /// Active members who are admins.
    pub admin_count: u64,
    /// Workspaces that are not deleted.
    pub workspace_count: u64,
    /// API keys that are not revoked.
    pub api_key_count: u64,
    /// How many of the requests an hour that the plan allows are not given to a key yet.
    pub requests_per_hour_left: u64,
    /// Webhook endpoints.
    pub endpoint_count: u64,
}

/// How much of each a plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Active members.
    pub seat_limit: u64,
    /// Workspaces.
    pub workspace_limit: u64,
    /// API keys that are not revoked.
    pub api_key_limit: u64,
    /// What the limits of all keys together may come to, in requests an hour.
    pub requests_per_hour_limit: u64,
    /// Webhook endpoints.
    pub endpoint_limit: u64,
    /// Days that events, deliveries and attempts are kept.
    pub retention_days: u64,
}

/// What is counted: name in answers, attribute of its count, attribute of its limit.
const COUNTED: [(&str, &str, &str); 4] = [
    ("seats", "seat_count", "seat_limit"),
    ("workspaces", "workspace_count", "workspace_limit"),
    ("API keys", "api_key_count", "api_key_limit"),
    ("endpoints", "endpoint_count", "endpoint_limit"),
];
/// What may still be given out is kept and not what was given: a condition can compare, but it can't add.
pub(crate) const REQUESTS_LEFT: &str = "requests_per_hour_left";
/// And what there is to give in all.
pub(crate) const REQUESTS_LIMIT: &str = "requests_per_hour_limit";
const ADMINS: &str = "admin_count";
const BREAK_GLASS: &str = "settings.break_glass_user_id";

/// By how much a change moves each count: one up, one down, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) seats: i64,
    pub(crate) admins: i64,
    pub(crate) workspaces: i64,
    pub(crate) api_keys: i64,
    pub(crate) endpoints: i64,
    /// Requests an hour that are given to keys, or taken back.
    pub(crate) requests: i64,
    /// The admin who ceases to be one, who must not be the one that breaks the glass.
    pub(crate) resigns: Option<UserId>,
}

impl Usage {
    /// How many requests an hour the keys have been given.
    #[must_use]
    pub fn requests_per_hour(&self, limits: &Limits) -> u64 {
        limits.requests_per_hour_limit.saturating_sub(self.requests_per_hour_left)
    }
}

impl Tally {
    pub(crate) fn is_still(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            seats: self.seats + other.seats,
            admins: self.admins + other.admins,
            workspaces: self.workspaces + other.workspaces,
            api_keys: self.api_keys + other.api_keys,
            endpoints: self.endpoints + other.endpoints,
            requests: self.requests + other.requests,
            resigns: self.resigns.or(other.resigns),
        }
    }

    /// This one without what `other` counts.
    pub(crate) fn less(self, other: Self) -> Self {
        Self {
            seats: self.seats - other.seats,
            admins: self.admins - other.admins,
            workspaces: self.workspaces - other.workspaces,
            api_keys: self.api_keys - other.api_keys,
            endpoints: self.endpoints - other.endpoints,
            requests: self.requests - other.requests,
            resigns: self.resigns.or(other.resigns),
        }
    }

    fn bounded(&self) -> [i64; 4] {
        [self.seats, self.workspaces, self.api_keys, self.endpoints]
    }

    fn grows(&self) -> bool {
        self.requests > 0 || self.bounded().iter().any(|delta| *delta > 0)
    }

    /// The one update of the organization's item that moves all counts, if there is room for it.
    pub(crate) fn write(&self, organization: OrganizationId) -> Write {
        let mut updates = Vec::new();
        let mut conditions = vec!["attribute_exists(pk)".to_owned()];
        let mut values = Vec::new();
        const DELTAS: [&str; 4] = [":seats", ":workspaces", ":keys", ":endpoints"];
        for (((_, count, limit), delta), name) in COUNTED.iter().zip(self.bounded()).zip(DELTAS) {
            if delta != 0 {
                updates.push(format!("{count} = {count} + {name}"));
                values.push((name, number(delta)));
            }
            if delta > 0 {
                conditions.push(format!("{count} < {limit}"));
            }
        }
        if self.requests != 0 {
            updates.push(format!("{REQUESTS_LEFT} = if_not_exists({REQUESTS_LEFT}, :none) - :requests"));
            values.push((":none", number(0)));
            values.push((":requests", number(self.requests)));
        }
        if self.requests > 0 {
            conditions.push(format!("{REQUESTS_LEFT} >= :requests"));
        }
        let mut names = Vec::new();
        if self.grows() {
            conditions.push("#status = :active".to_owned());
            names.push(("#status", "status"));
            values.push((":active", text("active")));
        }
        if self.admins != 0 {
            updates.push(format!("{ADMINS} = {ADMINS} + :admins"));
            values.push((":admins", number(self.admins)));
        }
        if self.admins < 0 {
            conditions.push(format!("{ADMINS} > :one"));
            values.push((":one", number(1)));
        }
        if let Some(user) = self.resigns {
            conditions.push(format!("(attribute_not_exists({BREAK_GLASS}) OR {BREAK_GLASS} <> :resigns)"));
            values.push((":resigns", text(user.to_string())));
        }
        Write::Update(Expression {
            key: item::primary(&keys::organization(organization)),
            update: format!("SET {}", updates.join(", ")),
            condition: conditions.join(" AND "),
            names,
            values,
        })
    }

    /// Why the update was refused, by the organization's item as it stood.
    pub(crate) fn refusal(&self, organization: Option<&Item>) -> Refusal {
        let Some(item) = organization else { return Refusal::Missing("organization") };
        if self.grows() && get_text(item, "status") != Some("active") {
            return Refusal::Rule("the organization is being deleted");
        }
        for ((what, count, limit), delta) in COUNTED.iter().zip(self.bounded()) {
            let (count, limit) = (get_number(item, count).unwrap_or(0), get_number(item, limit).unwrap_or(0));
            if delta > 0 && count >= limit {
                return Refusal::Full { what, limit: u64::try_from(limit).unwrap_or(0) };
            }
        }
        if self.requests > get_number(item, REQUESTS_LEFT).unwrap_or(0) {
            let limit = get_number(item, REQUESTS_LIMIT).unwrap_or(0);
            let limit = u64::try_from(limit).unwrap_or(0);
            return Refusal::Full { what: "requests an hour, over all API keys", limit };
        }
        let breaks_glass =
            break_glass(item).is_some_and(|user| self.resigns.is_some_and(|id| id.to_string() == user));
        if breaks_glass && get_number(item, ADMINS).is_some_and(|admins| admins > 1) {
            return Refusal::Rule(
                "this is the organization's break-glass admin; take that out of its settings first",
            );
        }
        Refusal::LastAdmin
    }
}

/// The break-glass admin, by the organization's item.
fn break_glass(organization: &Item) -> Option<&str> {
    get_text(organization.get("settings")?.as_m().ok()?, "break_glass_user_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(seats: (i64, i64), admins: i64, status: &str) -> Item {
        Item::from([
            ("status".to_owned(), text(status)),
            ("seat_count".to_owned(), number(seats.0)),
            ("seat_limit".to_owned(), number(seats.1)),
            ("admin_count".to_owned(), number(admins)),
        ])
    }

    #[test]
    fn a_refusal_says_what_stands_in_the_way() {
        let joins = Tally { seats: 1, ..Tally::default() };
        assert_eq!(
            joins.refusal(Some(&item((5, 5), 1, "active"))),
            Refusal::Full { what: "seats", limit: 5 }
        );
        assert!(matches!(joins.refusal(Some(&item((1, 5), 1, "deleted"))), Refusal::Rule(_)));
        assert_eq!(joins.refusal(None), Refusal::Missing("organization"));
        let leaves = Tally { seats: -1, admins: -1, ..Tally::default() };
        assert_eq!(leaves.refusal(Some(&item((1, 5), 1, "active"))), Refusal::LastAdmin);
        let now = clock::utc(2026, 11, 22, 15, 4);
        let (ada, bea) = (UserId::derived(now, [1; 16]), UserId::derived(now, [2; 16]));
        let mut guarded = item((2, 5), 2, "active");
        let settings = Item::from([("break_glass_user_id".to_owned(), text(ada.to_string()))]);
        guarded.insert("settings".to_owned(), aws_sdk_dynamodb::types::AttributeValue::M(settings));
        let resigns = |id| Tally { resigns: Some(id), ..leaves };
        assert!(matches!(resigns(ada).refusal(Some(&guarded)), Refusal::Rule(_)));
        assert_eq!(resigns(bea).refusal(Some(&guarded)), Refusal::LastAdmin);
    }
}
