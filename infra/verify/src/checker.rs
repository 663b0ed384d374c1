//! The second reading of an export: every record against the hash that was sealed.

use std::collections::VecDeque;
use std::time::Duration;

use audit_format::{
    ExpiredLine, Header, KEPT_FOR, LATEST_SEAL, LONGEST_SILENCE, MissingLine, OUT_OF_ORDER_BY, OutsideLine,
    RecordLine, hold,
};
use clock::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;
use tlog::{LeafSet, leaf_hash};

use crate::evidence::{Proven, unreadable};
use crate::finding::{Finding, Problem};
use crate::report::Counts;

/// So much later than it is due a record of silence may come, and an export be begun after it.
const SILENCE_MAY_LAST: Duration = LONGEST_SILENCE.saturating_add(Duration::from_hours(1));
/// Findings beyond this are counted, not kept.
const MAX_FINDINGS: usize = 1_000;

/// Where what is proved begins and ends: leaves, with the times that their records say.
#[derive(Default)]
struct Ends {
    first: Option<(u64, Timestamp)>,
    /// But for the last leaf of the log.
    last: Option<(u64, Timestamp)>,
    youngest: Option<Timestamp>,
    /// Whether the last leaf of the log is among them.
    reached: bool,
}

impl Ends {
    fn take(&mut self, leaf: u64, at: Timestamp, size: u64) {
        self.youngest = self.youngest.max(Some(at));
        if self.first.is_none_or(|(first, _)| leaf < first) {
            self.first = Some((leaf, at));
        }
        if leaf + 1 == size {
            self.reached = true;
        } else if self.last.is_none_or(|(last, _)| leaf > last) {
            self.last = Some((leaf, at));
        }
    }

    /// When the log ended, as far as it is known.
    fn end(&self) -> Option<Timestamp> {
        self.youngest.filter(|_| self.reached)
    }
}

/// Of the records of some minute, or of all that came before, the one with the last place.
struct Latest {
    leaf: u64,
    id: String,
    /// When the youngest of them happened.
    until: Timestamp,
}

/// Takes the records of an export in their order.
pub(crate) struct Checker<'a> {
    header: &'a Header,
    proven: &'a Proven,
    seen: LeafSet,
    ends: Ends,
    /// Leaves whose records are said to have expired.
    expired: LeafSet,
    /// The last leaf that is proved to be so old that those before it may have.
    old: Option<u64>,
    /// The records of the last day and a bit, by minutes.
    recent: VecDeque<Latest>,
    /// All before.
    latest: Option<Latest>,
    last_id: Option<String>,
    counts: Counts,
    findings: Vec<Finding>,
    /// Findings, with those that were not kept.
    found: u64,
    /// Lines that may have been records.
    damaged: bool,
    in_proofs: bool,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(header: &'a Header, proven: &'a Proven) -> Self {
        let size = proven.log.as_ref().map_or(0, |log| log.checkpoint.size);
        Self {
            header,
            proven,
            seen: LeafSet::of(size),
            ends: Ends::default(),
            expired: LeafSet::of(size),
            old: None,
            recent: VecDeque::new(),
            latest: None,
            last_id: None,
            counts: Counts::default(),
            findings: Vec::new(),
            found: 0,
            damaged: false,
            in_proofs: false,
        }
    }

    /// Whether what comes now is from the proofs beside a table.
    pub(crate) fn in_proofs(&mut self, are: bool) {
        self.in_proofs = are;
    }

    fn find(&mut self, finding: Finding) {
        self.found += 1;
        if self.findings.len() < MAX_FINDINGS {
            let in_proofs = self.in_proofs && finding.line.is_some();
            self.findings.push(Finding { in_proofs, ..finding });
        }
    }

    /// A line that cannot be read, and may have been a record.
    pub(crate) fn unreadable(&mut self, line: u64) {
        self.damaged(unreadable(line));
    }

    /// A record that cannot be read for this reason.
    pub(crate) fn damaged(&mut self, finding: Finding) {
        self.damaged = true;
        self.find(finding);
    }

    /// A leaf without its record, by the export's own account.
    pub(crate) fn missing(&mut self, line: u64, missing: MissingLine) {
        self.seen.insert(missing.leaf_index);
        let finding = Finding::new(
            Problem::RecordMissing,
            "missing: it was sealed, and could not be found when the export was made",
        );
        self.find(finding.of_leaf(Some(missing.leaf_index)).of_record(missing.id).on_line(line));
    }

    /// A leaf whose record is said to have expired. Whether it may have shows in the end.
    pub(crate) fn expired(&mut self, line: u64, expired: ExpiredLine) {
        let ExpiredLine { leaf_index, id, .. } = expired;
        self.counts.expired += 1;
        let wrong = if leaf_index >= self.seen.log_size() {
            Some((Problem::RecordInserted, "the log has no such record"))
        } else if self.seen.insert(leaf_index) {
            Some((Problem::RecordDuplicated, "is said to have expired, and is there as well"))
        } else {
            self.expired.insert(leaf_index);
            None
        };
        if let Some((problem, message)) = wrong {
            let finding = Finding::new(problem, message);
            self.find(finding.of_leaf(Some(leaf_index)).of_record(Some(id)).on_line(line));
        }
    }

    /// A leaf out of range.
    pub(crate) fn outside(&mut self, line: u64, outside: &OutsideLine) {
        self.counts.outside += 1;
        let leaf = outside.leaf_index;
        let Ok(entry) = serde_json::from_str::<Value>(outside.entry.get()) else {
            return self.unreadable(line);
        };
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let at = text("timestamp").and_then(Timestamp::parse);
        let checked = self.place(leaf, &outside.entry).and_then(|()| {
            if self.in_range(at) {
                let message = "missing: the file says that it lies outside the range, and it does not";
                return Err(Finding::new(Problem::RecordMissing, message));
            }
            self.proved(leaf, at);
            self.owner(text("organization_id"))
        });
        if let Err(finding) = checked {
            self.find(finding.of_leaf(Some(leaf)).of_record(text("id").map(str::to_owned)).on_line(line));
        }
    }

    fn in_range(&self, at: Option<Timestamp>) -> bool {
        at.is_none_or(|at| {
            self.header.from.is_none_or(|from| at >= from) && self.header.to.is_none_or(|to| at <= to)
        })
    }

    /// A leaf's record has the bytes that were sealed, and they say this time.
    fn proved(&mut self, leaf: u64, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        self.ends.take(leaf, at, self.seen.log_size());
        let is_old = self.header.created_at.since(at) + SILENCE_MAY_LAST + OUT_OF_ORDER_BY >= KEPT_FOR;
        if is_old && self.old.is_none_or(|old| old < leaf) {
            self.old = Some(leaf);
        }
    }

    /// A record.
    pub(crate) fn record(&mut self, line: u64, record: &RecordLine) {
        self.counts.records += 1;
        let Ok(entry) = serde_json::from_str::<Value>(record.entry.get()) else {
            return self.unreadable(line);
        };
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let id = text("id").map(str::to_owned);
        let at = text("timestamp").and_then(Timestamp::parse);
        let placed = match record.leaf_index {
            // Exports leave out what is too young to be sealed.
            None => Err(Finding::new(Problem::RecordInserted, "inserted: it was never sealed")),
            Some(leaf) => self.place(leaf, &record.entry).map(|()| self.proved(leaf, at)),
        };
        let checked = placed
            .and_then(|()| self.order(id.as_deref()))
            .and_then(|()| self.owner(text("organization_id")))
            .and_then(|()| self.time(at))
            .and_then(|()| hold(&entry, &record.personal).map_err(|error| Finding::personal(&error)));
        match checked {
            Ok(held) => self.counts.erased += held.erased as u64,
            Err(finding) => self.find(finding.of_leaf(record.leaf_index).of_record(id.clone()).on_line(line)),
        }
        if let Some(leaf) = record.leaf_index {
            self.counts.sealed += 1;
            self.slipped_in(leaf, id.as_deref(), at);
        }
        self.last_id = id.or(self.last_id.take());
    }

    /// A sealed record has the bytes that were sealed in its place. Whatever is wrong with it, it is not missing as well.
    fn place(&mut self, leaf: u64, entry: &RawValue) -> Result<(), Finding> {
        let found = |problem, message: &str| Err(Finding::new(problem, message));
        let Some(log) = &self.proven.log else {
            let message = "has a place in the log, but the export has no signed checkpoint of a log";
            return found(Problem::RecordInserted, message);
        };
        let hash = leaf_hash(entry.get().as_bytes());
        if leaf >= log.checkpoint.size {
            let message = format!("inserted: the log has only {} records", log.checkpoint.size);
            return found(Problem::RecordInserted, &message);
        }
        match log.tiles.leaf(leaf) {
            Some(sealed) if sealed == hash => {
                if self.seen.insert(leaf) {
                    found(Problem::RecordDuplicated, "is in the file twice")
                } else {
                    Ok(())
                }
            }
            Some(_) => {
                // Looking through the log for each of very many records would take for ever.
                let elsewhere =
                    if self.findings.len() < MAX_FINDINGS { log.tiles.find_leaf(hash) } else { None };
                self.seen.insert(elsewhere.unwrap_or(leaf));
                match elsewhere {
                    Some(place) => found(
                        Problem::RecordReordered,
                        &format!("reordered: it was sealed as number {place}"),
                    ),
                    None => {
                        let message = "changed: its content is not what was sealed in its place";
                        found(Problem::RecordChanged, message)
                    }
                }
            }
            None => {
                self.seen.insert(leaf);
                found(Problem::ProofsChanged, "the file lacks the proof of this record")
            }
        }
    }

    /// A record has its place among those of its time: nothing can be written into the past of a sealed log unnoticed.
    ///
    /// Records come in the order of their time. So those that are older by more than records can wait for being sealed may
    /// not have a later place than this one.
    fn slipped_in(&mut self, leaf: u64, id: Option<&str>, at: Option<Timestamp>) {
        let (Some(id), Some(at)) = (id, at) else { return };
        while let Some(older) = self.recent.pop_front_if(|it| at.since(it.until) > LATEST_SEAL) {
            if self.latest.as_ref().is_none_or(|latest| latest.leaf < older.leaf) {
                self.latest = Some(older);
            }
        }
        if let Some(latest) = self.latest.take_if(|latest| latest.leaf > leaf) {
            let message = "inserted: it was sealed more than a day after its time, behind younger records";
            let finding = Finding::new(Problem::RecordInserted, message);
            self.find(finding.of_leaf(Some(latest.leaf)).of_record(Some(latest.id)));
        }
        let minute = at.minute();
        match self.recent.back_mut().filter(|last| last.until.minute() == minute) {
            Some(last) if last.leaf < leaf => {
                *last = Latest { leaf, id: id.to_owned(), until: at.max(last.until) }
            }
            Some(last) => last.until = at.max(last.until),
            None => self.recent.push_back(Latest { leaf, id: id.to_owned(), until: at }),
        }
    }

    /// Records stand in the order of their ids, each once.
    fn order(&self, id: Option<&str>) -> Result<(), Finding> {
        let (Some(id), Some(last)) = (id, self.last_id.as_deref()) else { return Ok(()) };
        match id.cmp(last) {
            std::cmp::Ordering::Greater => Ok(()),
            std::cmp::Ordering::Equal => Err(Finding::new(Problem::RecordDuplicated, "is in the file twice")),
            std::cmp::Ordering::Less => {
                Err(Finding::new(Problem::RecordReordered, format!("stands after {last}, which is younger")))
            }
        }
    }

    fn owner(&self, organization: Option<&str>) -> Result<(), Finding> {
        if organization == Some(self.header.organization_id.as_str()) {
            return Ok(());
        }
        let message = format!("is a record of {}", organization.unwrap_or("no organization"));
        Err(Finding::new(Problem::WrongOrganization, message))
    }

    fn time(&self, at: Option<Timestamp>) -> Result<(), Finding> {
        let Some(at) = at else {
            return Err(Finding::new(Problem::Unreadable, "has no time"));
        };
        if !self.in_range(Some(at)) {
            return Err(Finding::new(
                Problem::OutsideRange,
                format!("is of {at}, outside the range of the export"),
            ));
        }
        Ok(())
    }

    /// What only shows when all records are through. Returns the findings, the first in the log first, and how many there
    /// were.
    pub(crate) fn finish(mut self) -> (Counts, Vec<Finding>, u64) {
        // What could not be read may be what is missing.
        if !self.damaged {
            self.complete();
            self.begins_and_ends();
            self.old_enough();
            self.not_silent();
            self.count();
        }
        self.counts.ends_at = self.ends.end();
        self.findings.sort_by_key(Finding::rank);
        (self.counts, self.findings, self.found)
    }

    /// The first and the last leaf that a range is proved with. The log's last one may stand by itself.
    fn stretch(&self) -> Option<(u64, u64)> {
        let size = self.seen.log_size();
        let by_itself = size > 1 && self.seen.contains(size - 1) && !self.seen.contains(size - 2);
        let without = self.seen.bounds_below(size - u64::from(by_itself));
        without.or_else(|| self.seen.bounds_below(size))
    }

    /// Nothing is missing between the first and the last record, or from the whole log.
    fn complete(&mut self) {
        if self.header.filtered {
            return;
        }
        let whole = self.header.from.is_none() && self.header.to.is_none();
        let (first, last) = match self.stretch() {
            _ if whole => (0, self.seen.log_size()),
            Some((first, last)) => (first, last + 1),
            None => (0, 0),
        };
        let missing =
            Finding::new(Problem::RecordMissing, "missing: a record was sealed here, and is not in the file");
        for leaf in first..last {
            if !self.seen.contains(leaf) {
                self.find(missing.clone().of_leaf(Some(leaf)));
            }
        }
    }

    /// Of a range, the file shows that what is before its first leaf is too old, and what is after its last too young.
    fn begins_and_ends(&mut self) {
        let Header { from, to, filtered, .. } = *self.header;
        if filtered || (from.is_none() && to.is_none()) || self.seen.log_size() == 0 {
            return;
        }
        let Some((first, last)) = self.stretch() else {
            let message =
                "the file shows nothing of the log, and so not that there is no record in the range";
            return self.find(Finding::new(Problem::RangeNotProved, message));
        };
        let proves = |end: Option<(u64, Timestamp)>, leaf: u64, beyond: &dyn Fn(Timestamp) -> bool| {
            end.is_some_and(|(at_leaf, at)| at_leaf == leaf && beyond(at))
        };
        let begins = first == 0
            || self.expired.contains(first)
            || proves(self.ends.first, first, &|at| from.is_some_and(|from| at + OUT_OF_ORDER_BY < from));
        let ends = last + 1 == self.seen.log_size()
            || proves(self.ends.last, last, &|at| to.is_some_and(|to| at > to + OUT_OF_ORDER_BY));
        if !begins {
            let message =
                "may be of the range as well: the file does not show that the range begins after it";
            self.find(Finding::new(Problem::RangeNotProved, message).of_leaf(Some(first - 1)));
        }
        if !ends {
            let message = "may be of the range as well: the file does not show that the range ends before it";
            self.find(Finding::new(Problem::RangeNotProved, message).of_leaf(Some(last + 1)));
        }
    }

    /// Records that are said to have expired stand before one that is about to.
    fn old_enough(&mut self) {
        if self.counts.expired == 0 {
            return;
        }
        let young = Finding::new(
            Problem::RecordMissing,
            "missing: it is said to have expired, but nothing shows that it is seven years old",
        );
        for leaf in self.old.map_or(0, |old| old + 1)..self.seen.log_size() {
            if self.expired.contains(leaf) {
                self.find(young.clone().of_leaf(Some(leaf)));
            }
        }
    }

    /// A log says at least once a day that it is there, and an export shows where it ended. So the time at which the export says
    /// it was made can be no later one.
    fn not_silent(&mut self) {
        let size = self.seen.log_size();
        let Some(at) = self.ends.end() else {
            let is_range = self.header.from.is_some() || self.header.to.is_some();
            if size > 0 && is_range && !self.header.filtered && !self.seen.contains(size - 1) {
                let message =
                    "the file does not show the last record of the log, and so not when it was made";
                self.find(Finding::new(Problem::RangeNotProved, message).of_leaf(Some(size - 1)));
            }
            return;
        };
        if self.header.created_at.since(at) > SILENCE_MAY_LAST {
            let message = format!(
                "is the last one that was sealed, and none is younger than {at}. The export was made on {}, and in every log a record is sealed \
                 at least once a day: its end may have been cut off",
                self.header.created_at
            );
            self.find(Finding::new(Problem::CutOff, message).of_leaf(Some(size - 1)));
        }
    }

    fn count(&mut self) {
        let (said, counted) = (self.proven.records, self.counts.records);
        if said != counted {
            let message = format!("the file says it has {said} records, and has {counted}");
            self.find(Finding::new(Problem::CountDiffers, message));
        }
    }
}
