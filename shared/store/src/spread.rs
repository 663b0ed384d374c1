//! Lists that are spread over partitions: several shards side by side, and one set of them after the other in time.
//!
//! What grows with traffic is written to several partitions at once and to new ones each month, so a list of it reads the
//! front of each shard, merges them, and goes on to the month before. What it costs follows from how many shards there are
//! and how much is shown, not from how much there is.

use std::collections::HashMap;
use std::time::Duration;

use clock::Timestamp;
use futures::future::try_join_all;

use crate::change::Table;
use crate::item::{self, Item, text};
use crate::keys::{BY_REQUEST, BY_STATE, Key, PK, SK};
use crate::{Store, StoreError, Tenant};

/// A page with a filter looks at no more items than this; it may then be short, or empty, and still not be the last.
const MOST_LOOKED_AT: usize = 2_000;
/// DynamoDB gives so many items at once.
pub(crate) const BATCH: usize = 100;
/// A page out of an index looks at about so many keys at most, and at so many items.
const MOST_KEYS: usize = 10_000;
const MOST_FETCHED: usize = 1_000;
/// Nothing is looked for further back than this.
const FURTHEST_MONTHS: usize = 13;

/// Where a list lies and which way it is read.
#[derive(Debug, Clone)]
pub(crate) struct Spread<'a> {
    pub(crate) table: &'a str,
    /// By which index it is read; by the primary key without one.
    pub(crate) index: Option<Index>,
    /// Oldest first; else newest first.
    pub(crate) forward: bool,
    /// Sets of shards, in the order in which they are read.
    pub(crate) levels: Vec<Vec<String>>,
    /// Sort keys lie between these two, which are none themselves.
    pub(crate) between: (String, String),
}

/// An index of a table: its name, and those of its keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) partition: &'static str,
    pub(crate) sort: &'static str,
}

/// [`BY_STATE`].
pub(crate) const STATE_INDEX: Index = Index { name: BY_STATE, partition: "state_pk", sort: "state_sk" };

/// [`BY_REQUEST`].
pub(crate) const REQUEST_INDEX: Index = Index { name: BY_REQUEST, partition: "request_pk", sort: SK };

/// Some items of a list, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// Them.
    pub items: Vec<T>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
    /// How many were looked at, those that are not wanted included.
    pub looked_at: usize,
}

impl<T> Listed<T> {
    pub(crate) fn map<U>(
        self,
        of: impl FnOnce(Vec<T>) -> Result<Vec<U>, StoreError>,
    ) -> Result<Listed<U>, StoreError> {
        Ok(Listed { items: of(self.items)?, next: self.next, looked_at: self.looked_at })
    }
}

/// The beginnings of the months from that of `from` to that of `to`, first to last; [`FURTHEST_MONTHS`] at most, the last
/// ones.
pub(crate) fn months(from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let mut months = all_months(from, to);
    let surplus = months.len().saturating_sub(FURTHEST_MONTHS);
    months.drain(..surplus);
    months
}

/// The beginnings of all the months from that of `from` to that of `to`, first to last; that of `to` at least.
pub(crate) fn all_months(from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let (first, mut at) = (month_of(from), month_of(to));
    let mut months = vec![at];
    while at > first {
        at = month_of(at - Duration::from_secs(1));
        months.push(at);
    }
    months.reverse();
    months
}

/// The beginning of the month that `at` is in.
fn month_of(at: Timestamp) -> Timestamp {
    // A month and its first day are a time.
    Timestamp::parse(&format!("{}-01T00:00:00.000Z", at.month())).unwrap_or(at)
}

struct Front {
    partition: String,
    items: Vec<Item>,
    more: bool,
}

impl Store {
    /// The first `wanted` items of a list that `keep` keeps.
    pub(crate) async fn spread(
        &self,
        operation: &'static str,
        list: Spread<'_>,
        wanted: usize,
        keep: impl Fn(&Item) -> bool,
    ) -> Result<Listed<Item>, StoreError> {
        let sort_key = list.index.map_or(SK, |index| index.sort);
        let (mut low, mut high) = list.between.clone();
        let mut kept: Vec<Item> = Vec::with_capacity(wanted);
        let (mut looked_at, mut doublings) = (0, 0_u32);
        for level in &list.levels {
            let mut open = level.clone();
            while !open.is_empty() {
                let chunk = (wanted.saturating_sub(kept.len()) / open.len() * 2).max(4) << doublings;
                let chunk = chunk.min(100);
                let fronts =
                    try_join_all(open.iter().map(|pk| self.front(operation, &list, pk, &low, &high, chunk)))
                        .await?;
                let position = |item: &Item| item::get_text(item, sort_key).unwrap_or_default().to_owned();
                // What lies beyond the nearest end of a front may have something before it that was not read.
                let ends = fronts.iter().filter(|front| front.more).filter_map(|front| front.items.last());
                let ends = ends.map(position);
                let reach = if list.forward { ends.min() } else { ends.max() };
                let within = |at: &str| match &reach {
                    None => true,
                    Some(reach) if list.forward => at <= reach.as_str(),
                    Some(reach) => at >= reach.as_str(),
                };
                open = fronts
                    .iter()
                    .filter(|front| front.more || front.items.iter().any(|item| !within(&position(item))))
                    .map(|front| front.partition.clone())
                    .collect();
                let mut items: Vec<(String, Item)> = fronts
                    .into_iter()
                    .flat_map(|front| front.items)
                    .map(|item| (position(&item), item))
                    .filter(|(at, _)| within(at))
                    .collect();
                items.sort_unstable_by(|(a, _), (b, _)| if list.forward { a.cmp(b) } else { b.cmp(a) });
                for (at, item) in items {
                    if kept.len() == wanted || looked_at >= MOST_LOOKED_AT {
                        let next = Some(if list.forward { low } else { high });
                        return Ok(Listed { items: kept, next, looked_at });
                    }
                    if list.forward {
                        low = at
                    } else {
                        high = at
                    }
                    looked_at += 1;
                    if keep(&item) {
                        kept.push(item);
                    }
                }
                // Where some of it is not wanted, it may be most: each time twice as much is read at once.
                if looked_at > kept.len() {
                    doublings = (doublings + 1).min(5);
                }
            }
        }
        Ok(Listed { items: kept, next: None, looked_at })
    }

    /// The front of one partition: at least `count` items, unless it holds fewer.
    async fn front(
        &self,
        operation: &'static str,
        list: &Spread<'_>,
        partition: &str,
        low: &str,
        high: &str,
        count: usize,
    ) -> Result<Front, StoreError> {
        let (pk, sk) = list.index.map_or((PK, SK), |index| (index.partition, index.sort));
        // BETWEEN includes both ends, of which each may be an item that was shown before.
        let limit = count + 2;
        let answer = self
            .client
            .query()
            .table_name(list.table)
            .set_index_name(list.index.map(|index| index.name.to_owned()))
            .key_condition_expression(format!("{pk} = :pk AND {sk} BETWEEN :low AND :high"))
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":low", text(low))
            .expression_attribute_values(":high", text(high))
            .scan_index_forward(list.forward)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(operation, e))?;
        let more = answer.last_evaluated_key.is_some();
        let mut items = answer.items.unwrap_or_default();
        items.retain(|item| item::get_text(item, sk).is_some_and(|at| at != low && at != high));
        Ok(Front { partition: partition.to_owned(), items, more })
    }
}

/// How a list in an index is read: it holds keys, and the items are fetched beside it.
pub(crate) struct Fetched<'a> {
    pub(crate) table: Table,
    pub(crate) list: Spread<'a>,
    /// So many are shown.
    pub(crate) limit: usize,
    /// Whether a key tells all that decides on its item, so that no more are fetched than are shown.
    pub(crate) keys_decide: bool,
}

impl Tenant {
    /// The first items of a list in an index that are wanted: by their keys, and by what `keep` makes of them. After
    /// [`MOST_KEYS`] keys or [`MOST_FETCHED`] items a page is what it is: short, or empty, and still not the last.
    pub(crate) async fn fetched<T>(
        &self,
        operation: &'static str,
        from: Fetched<'_>,
        may_keep: impl Fn(&Item) -> bool,
        keep: impl Fn(Item) -> Result<Option<T>, StoreError>,
    ) -> Result<Listed<T>, StoreError> {
        let Fetched { table, mut list, limit, keys_decide } = from;
        let sort_key = list.index.map_or(SK, |index| index.sort);
        let (mut kept, mut looked_at, mut fetched) = (Vec::with_capacity(limit), 0, 0);
        loop {
            let at_once = if keys_decide { limit - kept.len() } else { BATCH };
            let found = self.store.spread(operation, list.clone(), at_once, &may_keep).await?;
            looked_at += found.looked_at;
            fetched += found.items.len();
            let order: Vec<Key> = found.items.iter().filter_map(item::key).collect();
            let items = self.in_order(operation, table, &order).await?;
            let mut items: HashMap<Key, Item> =
                items.into_iter().filter_map(|item| Some((item::key(&item)?, item))).collect();
            let mut last = None;
            for key in &found.items {
                if kept.len() == limit {
                    return Ok(Listed { items: kept, next: last, looked_at });
                }
                last = item::get_text(key, sort_key).map(str::to_owned);
                if let Some(item) = item::key(key).and_then(|key| items.remove(&key)) {
                    kept.extend(keep(item)?);
                }
            }
            match found.next {
                Some(next) if kept.len() < limit && looked_at < MOST_KEYS && fetched < MOST_FETCHED => {
                    *(if list.forward { &mut list.between.0 } else { &mut list.between.1 }) = next;
                }
                next => return Ok(Listed { items: kept, next, looked_at }),
            }
        }
    }

    /// Items by their keys, in the order of these; those that there aren't are left out.
    pub(crate) async fn in_order(
        &self,
        operation: &'static str,
        table: Table,
        order: &[Key],
    ) -> Result<Vec<Item>, StoreError> {
        let chunks = order.chunks(BATCH).map(|chunk| self.store.batch(operation, [(table, chunk)]));
        let mut found: HashMap<Key, Item> = try_join_all(chunks)
            .await?
            .into_iter()
            .flatten()
            .filter_map(|item| Some((item::key(&item)?, item)))
            .collect();
        Ok(order.iter().filter_map(|key| found.remove(key)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_told_first_to_last_and_each_once() {
        let named = |from, to| months(from, to).iter().map(|at| at.month()).collect::<Vec<_>>();
        let at = |year, month, day| clock::utc(year, month, day, 12, 0);
        assert_eq!(named(at(2026, 11, 22), at(2026, 11, 23)), ["2026-11"]);
        assert_eq!(named(at(2026, 1, 31), at(2026, 3, 31)), ["2026-01", "2026-02", "2026-03"]);
        assert_eq!(named(at(2025, 12, 1), at(2026, 1, 1)), ["2025-12", "2026-01"]);
        assert_eq!(named(at(2026, 3, 1), at(2026, 2, 1)), ["2026-02"], "a clock may be behind");
        let long = named(at(2020, 1, 1), at(2026, 3, 31));
        assert_eq!((long.len(), long.first().unwrap().as_str()), (FURTHEST_MONTHS, "2025-03"));
    }
}
