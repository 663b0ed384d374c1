//! What API keys are used for: how many requests, about what, with what outcome, hour by hour.
//!
//! A request is counted by the write that admits it, on the credential's own item, under the hour and what the request is
//! about. That it failed is known only afterwards: the process that answered remembers it and lets the next admission of
//! the same key take it along, so that no request costs a second write, and a key at most one a minute and process. Once
//! an hour is over its counts go to the history (one item a key and day), in one transaction that takes them off the
//! credential.

use std::fmt::Write as _;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, Update};
use clock::Timestamp;
use ids::{KeyId, OrganizationId};
use serde::Deserialize;

use crate::admission::{self, base36, from_base36};
use crate::item::{self, Item, number, primary, text};
use crate::{ApiKey, Store, StoreError, Tenant, keys};

/// What the name of a count begins with.
const COUNT: char = 'U';
/// What the name of a count in the history begins with.
const HISTORY: char = 'h';
const OPERATION: &str = "key_usage";
/// How often the history is read again that changed meanwhile.
const LOOKS: usize = 3;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteGroup {
    /// Leads, with their replies.
    Leads,
    /// Campaigns.
    Campaigns,
    /// Meetings.
    Meetings,
    /// E-mail events.
    EmailEvents,
    /// Analytics.
    Analytics,
    /// The administration of the organization.
    Admin,
    /// Everything else, such as `whoami`.
    Other,
}

/// What is counted of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// That they were admitted, and what they were about.
    Admitted(RouteGroup),
    /// That they were admitted and answered with 4xx.
    ClientError,
    /// That they were admitted and answered with 5xx.
    ServerError,
    /// That they were refused, as the budget was spent.
    RateLimited,
}

/// All that is counted. The position stands for it in the tables: it is part of the data format, and what is new goes to
/// the end.
const COUNTED: [Counted; 10] = [
    Counted::Admitted(RouteGroup::Leads),
    Counted::Admitted(RouteGroup::Campaigns),
    Counted::Admitted(RouteGroup::Meetings),
    Counted::Admitted(RouteGroup::EmailEvents),
    Counted::Admitted(RouteGroup::Analytics),
    Counted::Admitted(RouteGroup::Admin),
    Counted::Admitted(RouteGroup::Other),
    Counted::ClientError,
    Counted::ServerError,
    Counted::RateLimited,
];

impl RouteGroup {
    /// Every group.
    pub const ALL: [Self; 7] = [
        Self::Leads,
        Self::Campaigns,
        Self::Meetings,
        Self::EmailEvents,
        Self::Analytics,
        Self::Admin,
        Self::Other,
    ];

    /// What a path is about.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let mut segments = path.split('/').skip(1);
        match (segments.next(), segments.next()) {
            (Some("v1" | "api"), Some("leads")) => Self::Leads,
            (Some("v1" | "api"), Some("campaigns")) => Self::Campaigns,
            (Some("v1" | "api"), Some("meetings")) => Self::Meetings,
            (Some("v1"), Some("email-events")) => Self::EmailEvents,
            (Some("v1"), Some("analytics")) => Self::Analytics,
            (Some("api"), Some("admin")) => Self::Admin,
            _ => Self::Other,
        }
    }

    /// Its name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leads => "leads",
            Self::Campaigns => "campaigns",
            Self::Meetings => "meetings",
            Self::EmailEvents => "email_events",
            Self::Analytics => "analytics",
            Self::Admin => "admin",
            Self::Other => "other",
        }
    }
}

impl Counted {
    /// What an answer with this status counts as, besides as a request that was admitted; nothing more for a success.
    #[must_use]
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            500.. => Some(Self::ServerError),
            400..500 => Some(Self::ClientError),
            _ => None,
        }
    }
}

/// So many requests of one kind in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourCount {
    /// The hour: Unix time in hours.
    pub hour: i64,
    /// What is counted.
    pub counted: Counted,
    /// How many.
    pub count: i64,
}

impl HourCount {
    /// One request now.
    #[must_use]
    pub fn one(now: Timestamp, counted: Counted) -> Self {
        Self { hour: now.minute().div_euclid(60), counted, count: 1 }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.hour, self.counted) == (other.hour, other.counted)
    }

    /// Adds it to others: an update can name an attribute once only.
    pub(crate) fn add_to(self, counts: &mut Vec<Self>) {
        match counts.iter_mut().find(|count| count.is_same(&self)) {
            Some(count) => count.count += self.count,
            None => counts.push(self),
        }
    }

    /// Its attribute on a credential's item: the hour and a character for what is counted.
    pub(crate) fn name(&self) -> String {
        format!("{COUNT}{}{}", base36(self.hour), self.code())
    }

    /// One character for what is counted.
    fn code(&self) -> char {
        let position = COUNTED.iter().position(|counted| *counted == self.counted);
        position.and_then(|at| char::from_digit(u32::try_from(at).ok()?, 36)).unwrap_or('0')
    }

    fn of_code(code: char) -> Option<Counted> {
        COUNTED.get(usize::try_from(code.to_digit(36)?).ok()?).copied()
    }
}

/// Whose an item is that counts usage.
#[derive(Debug, Deserialize)]
pub(crate) struct Owner {
    #[serde(rename = "id")]
    pub(crate) key_id: KeyId,
    #[serde(rename = "org")]
    pub(crate) organization_id: OrganizationId,
    /// How long its plan keeps what happened.
    #[serde(rename = "days")]
    pub(crate) kept_days: u64,
}

/// What a credential's item has counted.
pub(crate) fn counts(item: &Item) -> impl Iterator<Item = HourCount> + '_ {
    item.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(COUNT)?;
        let (hour, code) = name.split_at_checked(name.len().checked_sub(1)?)?;
        let counted = HourCount::of_code(code.chars().next()?)?;
        Some(HourCount { hour: from_base36(hour)?, counted, count: value.as_n().ok()?.parse().ok()? })
    })
}

/// The updates that add `past` to the history, one for each day.
pub(crate) fn history_updates(
    table: &str,
    owner: &Owner,
    past: &[HourCount],
    now: Timestamp,
) -> Vec<Result<Update, BuildError>> {
    let mut days: Vec<i64> = past.iter().map(|count| count.hour.div_euclid(24)).collect();
    days.sort_unstable();
    days.dedup();
    let update = |day: i64| {
        let begins = Timestamp::from_seconds(day * 24 * 60 * 60);
        let expires_at = begins.seconds() + signed_days(owner.kept_days + 1);
        let mut call = Update::builder()
            .table_name(table)
            .set_key(Some(primary(&keys::key_usage(owner.organization_id, owner.key_id, begins))))
            .expression_attribute_values(":v", number(1))
            .expression_attribute_values(":now", text(now.to_string()))
            .expression_attribute_values(":expires", number(expires_at));
        let mut update = "SET v = :v, created_at = if_not_exists(created_at, :now), updated_at = :now, \
                          expires_at = :expires ADD "
            .to_owned();
        for (index, count) in past.iter().filter(|count| count.hour.div_euclid(24) == day).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let (hour, code) = (count.hour.rem_euclid(24), count.code());
            // Writing to a `String` cannot fail.
            let _ = write!(update, "{separator}{HISTORY}{hour:02}{code} :c{index}");
            call = call.expression_attribute_values(format!(":c{index}"), number(count.count));
        }
        call.update_expression(update).build()
    };
    days.into_iter().map(update).collect()
}

fn signed_days(days: u64) -> i64 {
    i64::try_from(days).unwrap_or(365) * 24 * 60 * 60
}

/// What an item of the history of `day` (Unix time in days) holds.
fn history(item: &Item, day: i64) -> impl Iterator<Item = HourCount> + '_ {
    item.iter().filter_map(move |(name, value)| {
        let name = name.strip_prefix(HISTORY)?;
        let (hour, code) = name.split_at_checked(2)?;
        let counted = HourCount::of_code(code.chars().next()?)?;
        let hour = day * 24 + hour.parse::<i64>().ok()?;
        Some(HourCount { hour, counted, count: value.as_n().ok()?.parse().ok()? })
    })
}

impl Tenant {
    /// What a key was used for in the hours from `from` on and before `to`, in no order: what the history has of it, and
    /// what the credential's own item has counted since.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn key_usage(&self, key: &ApiKey, from: i64, to: i64) -> Result<Vec<HourCount>, StoreError> {
        let day = |hour: i64| Timestamp::from_seconds(hour.div_euclid(24) * 24 * 60 * 60);
        let first = keys::key_usage(self.organization, key.id, day(from));
        let last = keys::key_usage(self.organization, key.id, day(to));
        // An hour that goes to the history between the reads would be found in both or in neither: what is past must be the
        // same on the credential before and after.
        let (mut live, mut found) = (self.counted_lately(key).await?, Vec::new());
        for _ in 0..LOOKS {
            found = self.history_of(&first, &last).await?;
            let after = self.counted_lately(key).await?;
            let moved = live.iter().any(|count| !after.iter().any(|other| other.is_same(count)));
            live = after;
            if !moved {
                break;
            }
        }
        found.append(&mut live);
        found.retain(|count| (from..to).contains(&count.hour));
        Ok(found)
    }

    /// What the credential's own item has counted.
    async fn counted_lately(&self, key: &ApiKey) -> Result<Vec<HourCount>, StoreError> {
        Ok(self.credential(key).await?.iter().flat_map(counts).collect())
    }

    async fn history_of(&self, first: &keys::Key, last: &keys::Key) -> Result<Vec<HourCount>, StoreError> {
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.activity_table())
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(&first.pk))
            .expression_attribute_values(":first", text(&first.sk))
            .expression_attribute_values(":last", text(&last.sk))
            .consistent_read(true);
        let items = item::all(OPERATION, query).await?;
        let mut found = Vec::new();
        for item in &items {
            let day = item::get_text(item, keys::SK).and_then(keys::parse_usage_day);
            found.extend(day.into_iter().flat_map(|day| history(item, day)));
        }
        Ok(found)
    }
}

impl Store {
    /// Counts that an admitted request failed, or that one was refused. What comes of a request is known when it is too late
    /// for the write that admitted it, so the next admission of the key in this process takes it along; once a minute, key
    /// and process it is written by itself, so that little is lost when the process ends before there is a next one.
    pub async fn count_outcome(&self, counted_at: &keys::Key, now: Timestamp, outcome: Counted) {
        let counts = self.memory.note_outcome(counted_at, now, HourCount::one(now, outcome));
        if counts.is_empty() {
            return;
        }
        let call = self.client.update_item().condition_expression("attribute_exists(pk)");
        if let Err(error) = self.count(call, counted_at, "ADD ", &counts).await {
            // It says what came of requests, not how many there were, and is not worth failing an answer for.
            tracing::warn!(
                error = telemetry::chain(&error),
                "the outcomes of some requests wait to be counted"
            );
            self.memory.note(counted_at, &counts);
        }
    }

    /// Adds `counts` to a credential's item by an update that `expression` begins; gives the item as it is then.
    pub(crate) async fn count(
        &self,
        call: UpdateItemFluentBuilder,
        key: &keys::Key,
        expression: &str,
        counts: &[HourCount],
    ) -> Result<Item, StoreError> {
        let names: Vec<_> =
            counts.iter().enumerate().map(|(index, count)| format!("{} :c{index}", count.name())).collect();
        let mut call = call
            .table_name(self.directory_table())
            .set_key(Some(primary(key)))
            .update_expression(format!("{expression}{}", names.join(", ")))
            .return_values(ReturnValue::AllNew);
        for (index, count) in counts.iter().enumerate() {
            call = call.expression_attribute_values(format!(":c{index}"), number(count.count));
        }
        let answer = admission::sent(call).await.map_err(|e| StoreError::from_sdk("count", e))?;
        Ok(answer.attributes.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_count_has_a_name_of_its_own_that_reads_back() {
        let mut item = Item::new();
        let mut expected = Vec::new();
        for counted in COUNTED {
            let count = HourCount { hour: 497_234, counted, count: 3 };
            item.insert(count.name(), number(3));
            expected.push(count);
        }
        for group in RouteGroup::ALL {
            assert!(COUNTED.contains(&Counted::Admitted(group)));
        }
        item.insert("Ubad!".to_owned(), number(1));
        item.insert("updated_at".to_owned(), number(1));
        let mut read: Vec<_> = counts(&item).collect();
        read.sort_by_key(|count| count.counted);
        assert_eq!(read, expected);
        // Data format: a line that changes here is a migration.
        let named = |counted| HourCount { hour: 497_234, counted, count: 1 }.name();
        assert_eq!(named(Counted::Admitted(RouteGroup::Leads)), "Uano20");
        assert_eq!(named(Counted::Admitted(RouteGroup::Other)), "Uano26");
        assert_eq!(named(Counted::RateLimited), "Uano29");
    }

    #[test]
    fn a_path_tells_what_it_is_about() {
        for (path, group) in [
            ("/v1/leads", RouteGroup::Leads),
            ("/v1/leads/lead_1/replies", RouteGroup::Leads),
            ("/api/campaigns", RouteGroup::Campaigns),
            ("/v1/meetings/mtg_1/cancel", RouteGroup::Meetings),
            ("/v1/email-events", RouteGroup::EmailEvents),
            ("/v1/analytics/summary", RouteGroup::Analytics),
            ("/api/admin/api-keys", RouteGroup::Admin),
            ("/v1/whoami", RouteGroup::Other),
            ("/api/auth/me", RouteGroup::Other),
            ("", RouteGroup::Other),
        ] {
            assert_eq!(RouteGroup::of_path(path), group, "{path}");
        }
    }
}
