//! What was asked of the store, and what it cost: the figures that do not depend on the machine.

use std::collections::BTreeMap;

use artisan_local::engines::Snapshot;
use artisan_local::template::Template;
use serde::Serialize;

use crate::stats::{float, per};

/// Calls of one operation on one table or queue.
#[derive(Debug, Clone, PartialEq)]
struct Use {
    operation: String,
    resource: String,
    calls: u64,
    units: f64,
}

/// Calls of the store in some time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct StoreUse(Vec<Use>);

/// The same for each of something: each event, each request.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct StoreRatios {
    /// Round trips to DynamoDB and SQS. A transaction that names several tables is one.
    pub(crate) round_trips: f64,
    /// Capacity units of reads.
    pub(crate) read_capacity_units: f64,
    /// Capacity units of writes.
    pub(crate) write_capacity_units: f64,
    /// One line for each operation and table or queue.
    pub(crate) by_operation: Vec<OperationRatios>,
}

/// One operation on one table or queue, for each of something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OperationRatios {
    /// The operation, `PutItem`.
    pub(crate) operation: String,
    /// The table or queue by its name in the template; a transaction is listed with each table it names.
    pub(crate) resource: String,
    /// Calls.
    pub(crate) calls: f64,
    /// Capacity units, of reads or of writes as the operation is.
    pub(crate) capacity_units: f64,
}

impl StoreUse {
    /// What a meter has counted, under the names of the template.
    pub(crate) fn of(snapshot: &Snapshot, template: &Template) -> Self {
        let tables = template.tables.iter().map(|it| (&it.name, &it.logical_id));
        let queues = template.queues.iter().map(|it| (&it.name, &it.logical_id));
        let names: BTreeMap<_, _> = tables.chain(queues).collect();
        Self(
            snapshot
                .measured()
                .iter()
                .map(|it| Use {
                    operation: it.operation.clone(),
                    resource: (*names.get(&it.resource).unwrap_or(&&it.resource)).clone(),
                    calls: it.calls,
                    units: it.capacity_units,
                })
                .collect(),
        )
    }

    /// Round trips. The meter counts a call once for each table it names; so of an operation that can name several,
    /// the table it named most often tells how many calls there were at least. That is exact where every such call
    /// names that table, as all changes do the audit table and all the pipeline's do the activity table.
    fn round_trips(&self) -> u64 {
        let mut several: BTreeMap<&str, u64> = BTreeMap::new();
        let mut single = 0;
        for it in &self.0 {
            if it.operation.starts_with("Transact") || it.operation.starts_with("Batch") {
                let most = several.entry(&it.operation).or_default();
                *most = (*most).max(it.calls);
            } else {
                single += it.calls;
            }
        }
        single + several.values().sum::<u64>()
    }

    /// For each of `count`.
    pub(crate) fn per(&self, count: u64) -> StoreRatios {
        let units = |reads: bool| -> f64 {
            self.0.iter().filter(|it| is_read(&it.operation) == reads).map(|it| it.units).sum()
        };
        StoreRatios {
            round_trips: per(float(self.round_trips()), count),
            read_capacity_units: per(units(true), count),
            write_capacity_units: per(units(false), count),
            by_operation: self
                .0
                .iter()
                .map(|it| OperationRatios {
                    operation: it.operation.clone(),
                    resource: it.resource.clone(),
                    calls: per(float(it.calls), count),
                    capacity_units: per(it.units, count),
                })
                .collect(),
        }
    }
}

impl StoreRatios {
    /// What remains when `part` is taken away, for each of `count`. Of what varies from run to run less than nothing
    /// may seem to remain; that is nothing.
    pub(crate) fn less(&self, part: &Self, count: u64) -> Self {
        let left = |all: f64, part: f64| per((all - part).max(0.0), count);
        let of_part = |it: &OperationRatios| {
            let same =
                |other: &&OperationRatios| other.operation == it.operation && other.resource == it.resource;
            part.by_operation.iter().find(same).map_or((0.0, 0.0), |part| (part.calls, part.capacity_units))
        };
        Self {
            round_trips: left(self.round_trips, part.round_trips),
            read_capacity_units: left(self.read_capacity_units, part.read_capacity_units),
            write_capacity_units: left(self.write_capacity_units, part.write_capacity_units),
            by_operation: self
                .by_operation
                .iter()
                .map(|it| {
                    let (calls, units) = of_part(it);
                    OperationRatios {
                        calls: left(it.calls, calls),
                        capacity_units: left(it.capacity_units, units),
                        ..it.clone()
                    }
                })
                .filter(|it| it.calls > 0.0 || it.capacity_units > 0.0)
                .collect(),
        }
    }
}

fn is_read(operation: &str) -> bool {
    matches!(operation, "GetItem" | "BatchGetItem" | "TransactGetItems" | "Query" | "Scan")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(operation: &str, resource: &str, calls: u64, units: f64) -> Use {
        Use { operation: operation.to_owned(), resource: resource.to_owned(), calls, units }
    }

    #[test]
    fn a_transaction_over_three_tables_is_one_round_trip() {
        let store = StoreUse(vec![
            used("GetItem", "Core", 10, 5.0),
            used("TransactWriteItems", "Activity", 10, 20.0),
            used("TransactWriteItems", "Audit", 4, 8.0),
            used("TransactWriteItems", "Core", 4, 8.0),
            used("UpdateItem", "Directory", 4, 4.0),
        ]);
        let each = store.per(4);
        assert_eq!(each.round_trips, 6.0);
        assert_eq!((each.read_capacity_units, each.write_capacity_units), (1.25, 10.0));
        assert_eq!(each.by_operation.len(), 5);
        assert_eq!(each.by_operation[0].calls, 2.5);
    }

    #[test]
    fn what_remains_without_a_part_is_for_each_of_a_count() {
        let all =
            StoreUse(vec![used("PutItem", "Activity", 20, 30.0), used("SendMessageBatch", "Jobs", 4, 0.0)]);
        let part = StoreUse(vec![used("PutItem", "Activity", 4, 6.0), used("GetItem", "Core", 4, 2.0)]);
        let left = all.per(4).less(&part.per(4), 2);
        assert_eq!((left.round_trips, left.write_capacity_units, left.read_capacity_units), (2.0, 3.0, 0.0));
        let lines: Vec<_> =
            left.by_operation.iter().map(|it| (it.operation.as_str(), it.calls, it.capacity_units)).collect();
        assert_eq!(lines, [("PutItem", 2.0, 3.0), ("SendMessageBatch", 0.5, 0.0)]);
    }

    #[test]
    fn nothing_costs_nothing() {
        let each = StoreUse::default().per(0);
        assert_eq!((each.round_trips, each.read_capacity_units, each.by_operation.len()), (0.0, 0.0, 0));
    }
}
