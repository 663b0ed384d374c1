//! The bulk run that brings items in old formats up to the present one ([`format`](crate::format)).
//!
//! A run reads the tables that have steps, in segments, side by side or one after the other, and changes what is old by a
//! conditional write each: one that was changed since it was read is left for another look. How far it has come stands on an item of its
//! own, so it may stop at any time and go on elsewhere; two runs at once do the same work twice, and no harm. It stops at an
//! item that a newer version has written.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::Table;
use crate::estate::{scanned_from, scanned_to};
use crate::format::{self, Age, STEPS, Step};
use crate::item::{self, Item, primary};
use crate::{Store, StoreError, keys};

/// Parts that a table is read in. Part of what a run writes down, so it holds until the run is through.
const SEGMENTS: u32 = 8;
/// Items read at a time: each that is old is a write.
const AT_A_TIME: i32 = 250;
/// Looks at an item that was changed between being read and being written.
const LOOKS: usize = 5;

/// A part of a table that a run reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Segment {
    /// Where it goes on; from the front when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Whether it is through.
    #[serde(default)]
    pub done: bool,
    /// How many items it has looked at.
    #[serde(default)]
    pub looked_at: u64,
    /// How many it has changed.
    #[serde(default)]
    pub upgraded: u64,
}

/// A run, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The level that data are at when it is through: how many steps there are.
    pub level: u32,
    /// The parts of tables, by their names.
    pub segments: BTreeMap<String, Segment>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last went on.
    pub updated_at: Timestamp,
    /// When it was through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Migration {
    fn begun(now: Timestamp) -> Self {
        let tables: BTreeSet<_> = STEPS.iter().map(|step| named(step.table)).collect();
        let parts =
            |table: &&str| (0..SEGMENTS).map(move |part| format!("{table}-{part}")).collect::<Vec<_>>();
        let segments = tables.iter().flat_map(parts).map(|name| (name, Segment::default())).collect();
        Self { level: level(), segments, created_at: now, updated_at: now, finished_at: None }
    }

    /// How many items were looked at, and how many of them were changed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let segments = self.segments.values();
        segments.fold((0, 0), |(looked, up), it| (looked + it.looked_at, up + it.upgraded))
    }

    /// The parts that are not through.
    #[must_use]
    pub fn unfinished(&self) -> Vec<String> {
        self.segments.iter().filter(|(_, it)| !it.done).map(|(name, _)| name.clone()).collect()
    }
}

/// The level that this version's data are at.
#[must_use]
pub fn level() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// What the steps up to this version's level are, first to last.
pub fn steps() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The data are those of a newer version.
    #[error(
        "the data are at level {found} and this version knows levels up to {known}; use the version that brought them there"
    )]
    Level {
        /// The level that data are at, or are being brought to.
        found: u32,
        /// That of this version.
        known: u32,
    },
    /// An item is in a format that is newer than this version's.
    #[error("{0} was written by a newer version; use that version's program")]
    Newer(String),
    /// Others change an item all the time.
    #[error("{0} is changed by others all the time; go on later")]
    Contended(String),
    /// A step can't be made.
    #[error("{item} does not let `{step}` be done")]
    Step {
        /// The item.
        item: String,
        /// The step.
        step: String,
        /// Why.
        #[source]
        source: crate::BoxError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn named(table: Table) -> &'static str {
    match table {
        Table::Directory => "directory",
        Table::Core => "core",
        Table::Activity => "activity",
        Table::Audit => "audit",
    }
}

/// The table and the number of a part.
fn part(name: &str) -> Option<(Table, i32)> {
    let (table, part) = name.rsplit_once('-')?;
    let tables = [Table::Directory, Table::Core, Table::Activity];
    Some((tables.into_iter().find(|it| named(*it) == table)?, part.parse().ok()?))
}

impl Store {
    /// The last run, or the one under way.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn migration(&self) -> Result<Option<Migration>, StoreError> {
        self.get(Self::directory_table, "migration", &keys::migration()).await
    }

    /// The run that is under way, or a new one: where there is none to this version's level, or where one that is through is
    /// to be made `again`.
    ///
    /// # Errors
    /// [`MigrateError::Level`] when the data are those of a newer version.
    pub async fn begin_migration(&self, again: bool, now: Timestamp) -> Result<Migration, MigrateError> {
        const OPERATION: &str = "begin_migration";
        let found = self.migration().await?;
        match found {
            Some(found) if found.level > level() => {
                return Err(MigrateError::Level { found: found.level, known: level() });
            }
            Some(found) if found.level == level() && !(again && found.finished_at.is_some()) => {
                return Ok(found);
            }
            _ => {}
        }
        let begun = Migration::begun(now);
        let item = item::write(OPERATION, &keys::migration(), &begun)?;
        let put = self.client.put_item().table_name(self.directory_table()).set_item(Some(item));
        // Not over that of a newer version, which may have begun at this moment.
        let put = put
            .condition_expression("attribute_not_exists(pk) OR #level <= :level")
            .expression_attribute_names("#level", "level")
            .expression_attribute_values(":level", item::number(i64::from(begun.level)));
        match put.send().await {
            Ok(_) => Ok(begun),
            Err(error) => Err(StoreError::from_sdk(OPERATION, error).into()),
        }
    }

    /// Goes on with a part of a run by some items, and writes down how far it has come.
    ///
    /// # Errors
    /// [`MigrateError`]; what was done stays done.
    pub async fn migrate(
        &self,
        name: &str,
        segment: &Segment,
        now: Timestamp,
    ) -> Result<Segment, MigrateError> {
        self.migrate_by(STEPS, name, segment, now).await
    }

    async fn migrate_by(
        &self,
        steps: &[Step],
        name: &str,
        segment: &Segment,
        now: Timestamp,
    ) -> Result<Segment, MigrateError> {
        const OPERATION: &str = "migrate";
        let Some((table, number)) = part(name).filter(|_| !segment.done) else {
            return Ok(Segment { done: true, ..segment.clone() });
        };
        let answer = self
            .client
            .scan()
            .table_name(self.table_name(table))
            .segment(number)
            .total_segments(i32::try_from(SEGMENTS).unwrap_or(i32::MAX))
            .consistent_read(true)
            .limit(AT_A_TIME)
            .set_exclusive_start_key(scanned_from(segment.next.as_deref()))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        let mut segment = segment.clone();
        for found in answer.items.unwrap_or_default() {
            segment.looked_at += 1;
            segment.upgraded += u64::from(self.bring_up(steps, table, found).await?);
        }
        segment.next = scanned_to(OPERATION, answer.last_evaluated_key.as_ref())?;
        segment.done = segment.next.is_none();
        self.note_migration(name, &segment, now).await?;
        Ok(segment)
    }

    /// Brings one item up, unless it is; whether it was changed.
    async fn bring_up(&self, steps: &[Step], table: Table, mut found: Item) -> Result<bool, MigrateError> {
        for _ in 0..LOOKS {
            match format::age(steps, &found) {
                Age::Present => return Ok(false),
                Age::Newer => return Err(MigrateError::Newer(format::told(&found))),
                Age::Older => {}
            }
            let after = format::upgraded(steps, found.clone()).map_err(|source| MigrateError::Step {
                item: format::told(&found),
                step: steps.iter().map(|step| step.name).collect::<Vec<_>>().join("; "),
                source,
            })?;
            match self.put_changes(table, &found, &after).await? {
                Changed::Yes => return Ok(true),
                // Erased meanwhile.
                Changed::Gone => return Ok(false),
                Changed::Not(now) => found = now,
            }
        }
        Err(MigrateError::Contended(format::told(&found)))
    }

    /// Writes what a step has changed, if the item is still as it was read as far as steps are concerned: what they changed,
    /// the version and the time of the last change.
    async fn put_changes(&self, table: Table, before: &Item, after: &Item) -> Result<Changed, StoreError> {
        const OPERATION: &str = "bring_up";
        const TOUCHED: &str = "updated_at";
        let Some(key) = item::key(before) else { return Ok(Changed::Gone) };
        let (mut set, mut remove, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        let mut call =
            self.client.update_item().table_name(self.table_name(table)).set_key(Some(primary(&key)));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for (index, name) in names.into_iter().enumerate() {
            let (was, is) = (before.get(name), after.get(name));
            if was == is && name != TOUCHED {
                continue;
            }
            let (placeholder, old, new) = (format!("#n{index}"), format!(":o{index}"), format!(":n{index}"));
            call = call.expression_attribute_names(&placeholder, name);
            match was {
                Some(was) => {
                    conditions.push(format!("{placeholder} = {old}"));
                    call = call.expression_attribute_values(old, was.clone());
                }
                None => conditions.push(format!("attribute_not_exists({placeholder})")),
            }
            match is.filter(|_| was != is) {
                Some(is) => {
                    set.push(format!("{placeholder} = {new}"));
                    call = call.expression_attribute_values(new, is.clone());
                }
                None if is.is_none() => remove.push(placeholder),
                None => {}
            }
        }
        conditions.push("attribute_exists(pk)".to_owned());
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        let call = call
            .update_expression(format!("{}{}", clause("SET", &set), clause("REMOVE", &remove)))
            .condition_expression(conditions.join(" AND "))
            .return_values_on_condition_check_failure(
                aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld,
            );
        match call.send().await {
            Ok(_) => Ok(Changed::Yes),
            Err(SdkError::ServiceError(context))
                if matches!(context.err(), UpdateItemError::ConditionalCheckFailedException(_)) =>
            {
                let UpdateItemError::ConditionalCheckFailedException(failed) = context.into_err() else {
                    return Ok(Changed::Gone);
                };
                Ok(failed.item.map_or(Changed::Gone, Changed::Not))
            }
            Err(error) => Err(StoreError::from_sdk(OPERATION, error)),
        }
    }

    async fn note_migration(&self, name: &str, segment: &Segment, now: Timestamp) -> Result<(), StoreError> {
        const OPERATION: &str = "note_migration";
        let segment: AttributeValue = item::value(OPERATION, segment)?;
        self.client
            .update_item()
            .table_name(self.directory_table())
            .set_key(Some(primary(&keys::migration())))
            .update_expression("SET #segments.#part = :segment, updated_at = :now")
            .condition_expression("#level = :level")
            .expression_attribute_names("#segments", "segments")
            .expression_attribute_names("#part", name)
            .expression_attribute_names("#level", "level")
            .expression_attribute_values(":segment", segment)
            .expression_attribute_values(":level", item::number(i64::from(level())))
            .expression_attribute_values(":now", item::text(now.to_string()))
            .send()
            .await
            .map(drop)
            .map_err(|e| StoreError::from_sdk(OPERATION, e))
    }

    /// Notes that a run is through, if all of its parts are; the run as it is.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub async fn end_migration(&self, now: Timestamp) -> Result<Option<Migration>, StoreError> {
        const OPERATION: &str = "end_migration";
        let Some(mut run) = self.migration().await? else { return Ok(None) };
        if run.level == level() && run.finished_at.is_none() && run.unfinished().is_empty() {
            run.finished_at = Some(now);
            let call = self.client.update_item().table_name(self.directory_table());
            call.set_key(Some(primary(&keys::migration())))
                .update_expression("SET finished_at = :now, updated_at = :now")
                .condition_expression("#level = :level")
                .expression_attribute_names("#level", "level")
                .expression_attribute_values(":level", item::number(i64::from(run.level)))
                .expression_attribute_values(":now", item::text(now.to_string()))
                .send()
                .await
                .map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        }
        Ok(Some(run))
    }
}

/// What became of a change.
enum Changed {
    Yes,
    /// It is otherwise by now.
    Not(Item),
    /// It is not there any more.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_parts_of_the_tables_with_steps_and_never_of_the_audit_table() {
        let run = Migration::begun(clock::utc(2026, 11, 22, 15, 4));
        assert_eq!(run.segments.len(), SEGMENTS as usize);
        for name in run.unfinished() {
            assert!(matches!(part(&name), Some((Table::Core, 0..8))), "{name}");
        }
        assert!(part("audit-0").is_none());
    }
}
