//! Faults on order: makes chosen calls fail, so that what happens then can be tested.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Answer;

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// Instead of the call: nothing was done.
    Before,
    /// In place of its answer: it was done, but the caller does not learn of it.
    After,
}

#[derive(Debug)]
struct Fault {
    operation: String,
    passes: usize,
    times: usize,
    strike: Strike,
    answer: Answer,
}

/// The faults that have been ordered.
#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    ordered: Mutex<Vec<Fault>>,
}

impl Faults {
    /// After `passes` calls of `operation` (SES: `SendEmail`) that go well, the next `times` are answered with `status` and the JSON
    /// document `body`; for S3's operations it is XML.
    pub fn order(
        &self,
        operation: &str,
        passes: usize,
        times: usize,
        strike: Strike,
        status: u16,
        body: &str,
    ) {
        let answer = Answer { status, content_type: super::AMZ_JSON, body: body.to_owned().into() };
        self.lock().push(Fault { operation: operation.to_owned(), passes, times, strike, answer });
        self.any.store(true, Ordering::Release);
    }

    /// Takes back everything that was ordered.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The fault that strikes this call of `operation`, if one does.
    pub(super) fn striking(&self, operation: &str) -> Option<(Strike, Answer)> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut ordered = self.lock();
        let index = ordered.iter().position(|fault| fault.operation == operation)?;
        let fault = ordered.get_mut(index)?;
        if fault.passes > 0 {
            fault.passes -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let struck = (fault.strike, fault.answer.clone());
        if fault.times == 0 {
            ordered.remove(index);
        }
        Some(struck)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
