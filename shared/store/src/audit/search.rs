//! Finding audit records: by time, who, what, on what, where, how it ended and what it touched, in any combination.
//!
//! Each search reads one list, newest or oldest first: that of the narrowest thing that is asked for. What else is asked for
//! is held against the records of that list, of which a page looks at no more than [`MOST_LOOKED_AT`]; it may then be
//! short, or empty, and still not be the last. So what a page costs does not depend on how many records there are.
//!
//! The time that is asked for is the one that records say; they lie in the order of their ids, which are made while a request
//! is served. So ids are looked at for a while beyond both ends.

use std::collections::HashMap;
use std::time::Duration;

use audit_format::Personal;
use clock::Timestamp;
use futures::future::try_join_all;
use ids::{AuditId, WorkspaceId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditEntry, Mark, Stored, StoredPersonal, log::SealRecord};
use crate::change::Table;
use crate::item::{self, Item};
use crate::keys::{self, Key};
use crate::spread::{BATCH, Index, Listed, REQUEST_INDEX, Spread, all_months};
use crate::{PageRequest, StoreError, Tenant};

/// A page with a filter looks at no more records than this.
const MOST_LOOKED_AT: usize = 1_000;
/// The time in an id and the one that its record says are no further apart than this: no request takes longer.
const APART: Duration = Duration::from_secs(60);

const BY_ACTOR: Index = Index { name: "by-actor", partition: "actor_pk", sort: keys::SK };
const BY_RESOURCE: Index = Index { name: "by-resource", partition: "resource_pk", sort: keys::SK };
const BY_ACTION: Index = Index { name: "by-action", partition: "action_pk", sort: keys::SK };
const BY_PLACE: Index = Index { name: "by-place", partition: "place_pk", sort: keys::SK };
const BY_MARK: Index = Index { name: "by-mark", partition: "mark_pk", sort: keys::SK };

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was carried out.
    Success,
    /// It was refused.
    Failure,
}

/// Which records are wanted. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditFilter {
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
    /// By this user or key.
    pub actor: Option<String>,
    /// This was done: `lead.create`.
    pub action: Option<String>,
    /// To a thing of this kind.
    pub resource_type: Option<String>,
    /// To this thing.
    pub resource: Option<String>,
    /// In this workspace.
    pub workspace: Option<WorkspaceId>,
    /// A request with this id did it.
    pub request_id: Option<String>,
    /// It ended so.
    pub outcome: Option<Outcome>,
    /// It read or wrote personal data, or did not.
    pub pii_accessed: Option<bool>,
    /// It touched credentials or permissions, or did not.
    pub sensitive: Option<bool>,
    /// It matters to auditors, or does not.
    pub compliance_relevant: Option<bool>,
}

/// The record at a position that a search gave.
#[must_use]
pub fn audit_at(position: &str) -> Option<AuditId> {
    position.strip_prefix(keys::AUDIT_PREFIX)?.parse().ok()
}

impl AuditFilter {
    /// Whether anything but the time matters.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        *self != Self { from: self.from, to: self.to, ..Self::default() }
    }

    /// Between which times the ids are made of the records that are wanted.
    fn ids(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.from.map(|from| from - APART), self.to.map(|to| to + APART))
    }

    fn keeps(&self, entry: &Value) -> bool {
        let at = entry.pointer("/timestamp").and_then(Value::as_str).and_then(Timestamp::parse);
        // One that says no time was not written by us, and is not to be hidden.
        let in_time =
            at.is_none_or(|at| self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to));
        let text = |pointer: &str, wanted: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| entry.pointer(pointer).and_then(Value::as_str) == Some(wanted))
        };
        let flag = |pointer: &str, wanted: Option<bool>| {
            wanted.is_none_or(|wanted| entry.pointer(pointer).and_then(Value::as_bool) == Some(wanted))
        };
        in_time
            && text("/actor/id", &self.actor)
            && text("/action", &self.action)
            && text("/resource_type", &self.resource_type)
            && text("/resource_id", &self.resource)
            && text("/workspace_id", &self.workspace.map(|id| id.to_string()))
            && text("/request_id", &self.request_id)
            && flag("/success", self.outcome.map(|outcome| outcome == Outcome::Success))
            && flag("/pii_accessed", self.pii_accessed)
            && flag("/sensitive", self.sensitive)
            && flag("/compliance_relevant", self.compliance_relevant)
    }

    /// The combinations of marks that records have which are wanted for theirs; `None` if no mark must be there.
    fn marks(&self) -> Option<Vec<u8>> {
        let failed = self.outcome.map(|outcome| outcome == Outcome::Failure);
        let wanted = [
            (Mark::Failed, failed),
            (Mark::Personal, self.pii_accessed),
            (Mark::Sensitive, self.sensitive),
            (Mark::Compliance, self.compliance_relevant),
        ];
        wanted.iter().any(|(_, wanted)| *wanted == Some(true)).then(|| {
            let fits = |marks: u8| {
                wanted.iter().all(|(mark, wanted)| wanted.is_none_or(|is| (marks & *mark as u8 != 0) == is))
            };
            (1..16).filter(|marks| fits(*marks)).collect()
        })
    }
}

/// The list that a search reads: the index and its partitions. Without an index, months of shards.
struct List {
    index: Option<Index>,
    levels: Vec<Vec<String>>,
}

impl Tenant {
    /// The records that `filter` keeps, newest first, or oldest first if `forward`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn audit_records(
        &self,
        filter: &AuditFilter,
        page: &PageRequest<AuditId>,
        forward: bool,
        now: Timestamp,
    ) -> Result<Listed<AuditEntry>, StoreError> {
        const OPERATION: &str = "audit_records";
        let smallest = |at: Timestamp| keys::audit_sk(AuditId::derived(at, [0; 16]));
        let (from, to) = filter.ids();
        let mut low = from.map_or_else(|| keys::AUDIT_PREFIX.to_owned(), &smallest);
        let mut high = to.map_or_else(keys::audit_sk_end, &smallest);
        if let Some(after) = page.after {
            *(if forward { &mut low } else { &mut high }) = keys::audit_sk(after);
        }
        if low >= high {
            return Ok(Listed { items: Vec::new(), next: None, looked_at: 0 });
        }
        let list = self.list(filter, page.after, forward, now);
        let takes_all = *filter == AuditFilter::default();
        let (mut kept, mut looked_at, mut last) = (Vec::with_capacity(page.limit), 0, None);
        loop {
            let wanted = if filter.is_narrow() { BATCH } else { page.limit };
            let spread = Spread {
                table: self.store.audit_table(),
                index: list.index,
                forward,
                levels: list.levels.clone(),
                between: (low.clone(), high.clone()),
            };
            let found = self.store.spread(OPERATION, spread, wanted, |_| true).await?;
            let stored = match list.index {
                None => found.items,
                Some(_) => {
                    let order: Vec<Key> = found.items.iter().filter_map(item::key).collect();
                    self.in_order(OPERATION, Table::Audit, &order).await?
                }
            };
            for item in stored {
                if kept.len() == page.limit || looked_at >= MOST_LOOKED_AT {
                    return Ok(Listed { items: self.with_rest(kept).await?, next: last, looked_at });
                }
                looked_at += 1;
                let Some((id, entry)) = readable(OPERATION, item) else { continue };
                last = Some(keys::audit_sk(id));
                if takes_all || filter.keeps(&value(OPERATION, &entry)?) {
                    kept.push((id, entry));
                }
            }
            let full = kept.len() == page.limit || looked_at >= MOST_LOOKED_AT;
            match found.next {
                // What can't be read is no place to go on from: the next page begins after what could.
                Some(next) if !full || last.is_none() => {
                    *(if forward { &mut low } else { &mut high }) = next;
                }
                next => {
                    let next = next.and(last);
                    return Ok(Listed { items: self.with_rest(kept).await?, next, looked_at });
                }
            }
        }
    }

    fn list(&self, filter: &AuditFilter, after: Option<AuditId>, forward: bool, now: Timestamp) -> List {
        let organization = self.organization;
        let one = |index, partitions| List { index: Some(index), levels: vec![partitions] };
        if let Some(resource) = &filter.resource {
            return one(BY_RESOURCE, vec![keys::audit_resource(organization, resource)]);
        }
        if let Some(request) = &filter.request_id {
            return one(REQUEST_INDEX, keys::request_shards(organization, request));
        }
        if let Some(actor) = &filter.actor {
            return one(BY_ACTOR, keys::audit_actor_shards(organization, actor));
        }
        if let Some(action) = &filter.action {
            return one(BY_ACTION, keys::audit_action_shards(organization, action));
        }
        if let Some(marks) = filter.marks() {
            let partitions =
                marks.into_iter().flat_map(|marks| keys::audit_marks_shards(organization, marks));
            return one(BY_MARK, partitions.collect());
        }
        if let Some(workspace) = filter.workspace {
            return one(BY_PLACE, keys::audit_workspace_shards(organization, workspace));
        }
        let (from, to) = filter.ids();
        let (mut first, mut last) = (from.unwrap_or(organization.time()), to.unwrap_or(now));
        if let Some(after) = after {
            *(if forward { &mut first } else { &mut last }) = after.time();
        }
        let mut months = all_months(first.max(organization.time()), last.min(now));
        if !forward {
            months.reverse();
        }
        let shards = |month| keys::audit_shards(organization, month).collect();
        List { index: None, levels: months.into_iter().map(shards).collect() }
    }

    /// One record.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn audit_record(&self, id: AuditId) -> Result<Option<AuditEntry>, StoreError> {
        const OPERATION: &str = "audit_record";
        let keys = [keys::audit(self.organization, id)];
        let found = self.in_order(OPERATION, Table::Audit, &keys).await?;
        let records = found.into_iter().filter_map(|item| readable(OPERATION, item)).collect();
        Ok(self.with_rest(records).await?.pop())
    }

    /// The texts of records by their ids, in this order; `None` for one that isn't there, or can't be read.
    pub(crate) async fn entries(&self, ids: &[AuditId]) -> Result<Vec<Option<String>>, StoreError> {
        const OPERATION: &str = "entries";
        let order: Vec<Key> = ids.iter().map(|id| keys::audit(self.organization, *id)).collect();
        let items = self.in_order(OPERATION, Table::Audit, &order).await?;
        let records = items.into_iter().filter_map(|item| readable(OPERATION, item));
        let mut found: HashMap<AuditId, String> = records.collect();
        Ok(ids.iter().map(|id| found.remove(id)).collect())
    }

    /// Where records stand in the log, and what of their personal values there is.
    pub(crate) async fn with_rest(
        &self,
        records: Vec<(AuditId, String)>,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        const OPERATION: &str = "audit_rest";
        let half = BATCH / 2;
        let chunks = records.chunks(half).map(async |chunk| {
            let seals: Vec<Key> = chunk.iter().map(|(id, _)| keys::seal(self.organization, *id)).collect();
            let personal: Vec<Key> = chunk
                .iter()
                .filter(|(_, entry)| may_have_commitments(entry))
                .map(|(id, _)| keys::audit_personal(self.organization, *id))
                .collect();
            self.store.batch(OPERATION, [(Table::Audit, &*seals), (Table::Activity, &*personal)]).await
        });
        let (mut places, mut personals) = (HashMap::new(), HashMap::<AuditId, Personal>::new());
        for item in try_join_all(chunks).await?.into_iter().flatten() {
            if item.contains_key("personal") {
                personals.extend(or_logged(personal_of(OPERATION, item)));
            } else {
                let seal = or_logged(item::read(OPERATION, item));
                places.extend(seal.map(|SealRecord { id, leaf_index }| (id, leaf_index)));
            }
        }
        let entry = |(id, entry)| AuditEntry {
            personal: personals.remove(&id).unwrap_or_default(),
            leaf_index: places.get(&id).copied(),
            id,
            entry,
        };
        Ok(records.into_iter().map(entry).collect())
    }

    /// All records, oldest first, as JSON: for whoever has few.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn every_audit_record(&self, now: Timestamp) -> Result<Vec<Value>, StoreError> {
        let mut page = PageRequest { limit: BATCH, after: None };
        let mut records = Vec::new();
        loop {
            let listed = self.audit_records(&AuditFilter::default(), &page, true, now).await?;
            for entry in &listed.items {
                records.push(entry.record()?);
            }
            match listed.next.as_deref().and_then(audit_at) {
                Some(next) => page.after = Some(next),
                None => return Ok(records),
            }
        }
    }
}

/// Saves the look for personal values where there were none.
fn may_have_commitments(entry: &str) -> bool {
    entry.contains(r#"{"committed":""#)
}

/// A record's id and text. One that somebody made unreadable is as good as gone: it must not stand in the way of all others,
/// and the log tells that it is missing.
fn readable(operation: &'static str, item: Item) -> Option<(AuditId, String)> {
    or_logged(read(operation, item))
}

fn or_logged<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| {
        tracing::error!(error = telemetry::chain(error), "an audit record can't be read")
    })
    .ok()
}

fn read(operation: &'static str, item: Item) -> Result<(AuditId, String), StoreError> {
    let id = item::get_text(&item, keys::SK).and_then(audit_at);
    let id = id.ok_or_else(|| StoreError::malformed(operation, "a sort key without an id"))?;
    let stored: Stored = item::read(operation, item)?;
    serde_json::from_str::<IgnoredAny>(&stored.entry).map_err(|e| StoreError::malformed(operation, e))?;
    Ok((id, stored.entry))
}

fn personal_of(operation: &'static str, item: Item) -> Result<(AuditId, Personal), StoreError> {
    let apart: StoredPersonal = item::read(operation, item)?;
    let personal = Personal::from_json(&apart.personal).map_err(|e| StoreError::malformed(operation, e))?;
    Ok((apart.id, personal))
}

fn value(operation: &'static str, entry: &str) -> Result<Value, StoreError> {
    serde_json::from_str(entry).map_err(|e| StoreError::malformed(operation, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_all_their_combinations() {
        let failed = AuditFilter { outcome: Some(Outcome::Failure), ..AuditFilter::default() };
        assert_eq!(failed.marks().unwrap(), [1, 3, 5, 7, 9, 11, 13, 15]);
        let harmless =
            AuditFilter { pii_accessed: Some(true), sensitive: Some(false), ..AuditFilter::default() };
        assert_eq!(harmless.marks().unwrap(), [2, 3, 10, 11]);
        let succeeded = AuditFilter { outcome: Some(Outcome::Success), ..AuditFilter::default() };
        assert_eq!(succeeded.marks(), None, "nothing marks a success");
    }

    #[test]
    fn a_record_is_of_the_time_that_it_says() {
        let noon = clock::utc(2026, 11, 22, 12, 0);
        let at = |at: Timestamp| serde_json::json!({"timestamp": at});
        let (before, after) = (at(noon - Duration::from_millis(1)), at(noon + Duration::from_millis(1)));
        let since = AuditFilter { from: Some(noon), ..AuditFilter::default() };
        assert!(!since.keeps(&before) && since.keeps(&at(noon)) && since.keeps(&after));
        let until = AuditFilter { to: Some(noon), ..AuditFilter::default() };
        assert!(until.keeps(&before) && !until.keeps(&at(noon)) && !until.keeps(&after));
        assert!(since.keeps(&serde_json::json!({})) && !since.is_narrow());
    }
}
