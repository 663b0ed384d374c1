//! Counts what the engines are asked to do.
//!
//! Every call is counted by operation and table, queue, bucket or function. When metering is switched on, DynamoDB calls also report
//! the capacity units they consumed. Counting never changes an answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counters of one set of engines.
#[derive(Debug, Default)]
pub struct Meter {
    metering: bool,
    counts: Mutex<BTreeMap<(String, String), Count>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    calls: u64,
    units: f64,
}

impl Meter {
    pub(super) fn new(metering: bool) -> Self {
        Self { metering, counts: Mutex::default() }
    }

    /// Whether capacity units are recorded.
    #[must_use]
    pub fn is_metering(&self) -> bool {
        self.metering
    }

    pub(super) fn call(&self, operation: &str, resource: &str) {
        self.with(operation, resource, |count| count.calls += 1);
    }

    pub(super) fn units(&self, operation: &str, resource: &str, units: f64) {
        self.with(operation, resource, |count| count.units += units);
    }

    fn with(&self, operation: &str, resource: &str, change: impl FnOnce(&mut Count)) {
        change(self.lock().entry((operation.to_owned(), resource.to_owned())).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Count>> {
        // A count is consistent after every statement, whoever panicked.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been counted so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(
            self.lock()
                .iter()
                .map(|((operation, resource), count)| Measured {
                    operation: operation.clone(),
                    resource: resource.clone(),
                    calls: count.calls,
                    capacity_units: count.units,
                })
                .collect(),
        )
    }

    /// Starts counting from nothing.
    pub fn reset(&self) {
        self.lock().clear();
    }
}

/// Counters at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot(Vec<Measured>);

/// One operation on one table, queue, bucket or function.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The operation, `PutItem`; a transaction or batch counts once for each table it names.
    pub operation: String,
    /// The physical name of the table, queue, bucket, secret or function; empty where the operation names none.
    pub resource: String,
    /// How many calls.
    pub calls: u64,
    /// How many capacity units they consumed; 0 unless metering is on.
    pub capacity_units: f64,
}

impl Snapshot {
    /// Every operation counted, in alphabetical order.
    #[must_use]
    pub fn measured(&self) -> &[Measured] {
        &self.0
    }

    /// The number of calls in all.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.iter().map(|measured| measured.calls).sum()
    }

    /// The number of calls of one operation, on whatever resource.
    #[must_use]
    pub fn calls_of(&self, operation: &str) -> u64 {
        self.0.iter().filter(|measured| measured.operation == operation).map(|measured| measured.calls).sum()
    }

    /// The number of calls that named one table, queue, bucket, secret or function.
    #[must_use]
    pub fn calls_on(&self, resource: &str) -> u64 {
        self.0.iter().filter(|measured| measured.resource == resource).map(|measured| measured.calls).sum()
    }

    /// The capacity units consumed in all.
    #[must_use]
    pub fn capacity_units(&self) -> f64 {
        self.0.iter().map(|measured| measured.capacity_units).sum()
    }
}
