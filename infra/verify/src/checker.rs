//! The second reading of an export: every record against the hash that was sealed.

use std::time::Duration;

use audit_format::{Header, MissingLine, OutsideLine, RecordLine, hold};
use clock::Timestamp;
use serde_json::Value;
use tlog::leaf_hash;

use crate::evidence::{Proven, unreadable};
use crate::finding::{Finding, Problem};
use crate::report::Counts;

/// Records are sealed within a minute. One that is older than this when the export is made, and is not sealed, was not
/// written the way records are.
const SEALED_WITHIN: Duration = Duration::from_mins(10);
/// Findings beyond this are counted, not kept.
const MAX_FINDINGS: usize = 1_000;

/// Which leaves have been seen: a bit for each.
struct Seen {
    bits: Vec<u64>,
    size: u64,
}

impl Seen {
    fn new(size: u64) -> Self {
        // A size that this machine can't address came with as many tiles.
        Self { bits: vec![0; usize::try_from(size.div_ceil(64)).unwrap_or(0)], size }
    }

    /// Marks a leaf. Whether it was marked before.
    fn mark(&mut self, leaf: u64) -> bool {
        let word = usize::try_from(leaf / 64).ok().and_then(|word| self.bits.get_mut(word));
        word.is_some_and(|word| {
            let bit = 1 << (leaf % 64);
            let before = *word & bit != 0;
            *word |= bit;
            before
        })
    }

    fn has(&self, leaf: u64) -> bool {
        let word = usize::try_from(leaf / 64).ok().and_then(|word| self.bits.get(word));
        word.is_some_and(|word| word & (1 << (leaf % 64)) != 0)
    }

    /// The leaves between the first and the last that were seen, or of the whole log, that were not.
    fn gaps(&self, whole: bool) -> impl Iterator<Item = u64> {
        let leaves = if whole {
            Some((0, self.size))
        } else {
            let first = (0..self.size).find(|leaf| self.has(*leaf));
            let last = (0..self.size).rev().find(|leaf| self.has(*leaf));
            first.zip(last).map(|(first, last)| (first, last + 1))
        };
        let (start, end) = leaves.unwrap_or((0, 0));
        (start..end).filter(|leaf| !self.has(*leaf))
    }
}

/// Takes the records of an export in their order.
pub(crate) struct Checker<'a> {
    header: &'a Header,
    proven: &'a Proven,
    seen: Seen,
    last_id: Option<String>,
    counts: Counts,
    findings: Vec<Finding>,
    /// Findings, with those that were not kept.
    found: u64,
    /// Lines that may have been records.
    damaged: bool,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(header: &'a Header, proven: &'a Proven) -> Self {
        let size = proven.log.as_ref().map_or(0, |log| log.checkpoint.size);
        Self {
            header,
            proven,
            seen: Seen::new(size),
            last_id: None,
            counts: Counts::default(),
            findings: Vec::new(),
            found: 0,
            damaged: false,
        }
    }

    fn find(&mut self, finding: Finding) {
        self.found += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
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
        self.seen.mark(missing.leaf_index);
        let finding = Finding::new(
            Problem::RecordMissing,
            "missing: it was sealed, and could not be found when the export was made",
        );
        self.find(finding.of_leaf(Some(missing.leaf_index)).of_record(missing.id).on_line(line));
    }

    /// A leaf out of range.
    pub(crate) fn outside(&mut self, line: u64, outside: OutsideLine) {
        self.counts.outside += 1;
        let before = self.seen.mark(outside.leaf_index);
        let wrong = if self.header.from.is_none() && self.header.to.is_none() {
            Some((
                Problem::RecordMissing,
                "missing: it is said to lie outside the range, but the export has no range",
            ))
        } else if outside.leaf_index >= self.seen.size {
            Some((Problem::RecordInserted, "the log has no such record"))
        } else if before {
            Some((Problem::RecordDuplicated, "is said to lie outside the range, and is there as well"))
        } else {
            None
        };
        if let Some((problem, message)) = wrong {
            let finding = Finding::new(problem, message);
            self.find(finding.of_leaf(Some(outside.leaf_index)).of_record(Some(outside.id)).on_line(line));
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
        let checked = self
            .place(record)
            .and_then(|()| self.order(id.as_deref()))
            .and_then(|()| self.owner(text("organization_id")))
            .and_then(|()| self.time(text("timestamp"), record.leaf_index.is_some()))
            .and_then(|()| hold(&entry, &record.personal).map_err(|error| Finding::personal(&error)));
        match checked {
            Ok(held) => self.counts.erased += held.erased as u64,
            Err(finding) => self.find(finding.of_leaf(record.leaf_index).of_record(id.clone()).on_line(line)),
        }
        if record.leaf_index.is_some() {
            self.counts.sealed += 1;
        }
        self.last_id = id.or(self.last_id.take());
    }

    /// A sealed record has the bytes that were sealed in its place. Whatever is wrong with it, it is not missing as well.
    fn place(&mut self, record: &RecordLine) -> Result<(), Finding> {
        let Some(leaf) = record.leaf_index else { return Ok(()) };
        let found = |problem, message: &str| Err(Finding::new(problem, message));
        let Some(log) = &self.proven.log else {
            let message = "has a place in the log, but the export has no signed checkpoint of a log";
            return found(Problem::RecordInserted, message);
        };
        let hash = leaf_hash(record.entry.get().as_bytes());
        if leaf >= log.checkpoint.size {
            let message = format!("inserted: the log has only {} records", log.checkpoint.size);
            return found(Problem::RecordInserted, &message);
        }
        match log.tiles.leaf(leaf) {
            Some(sealed) if sealed == hash => {
                if self.seen.mark(leaf) {
                    found(Problem::RecordDuplicated, "is in the file twice")
                } else {
                    Ok(())
                }
            }
            Some(_) => {
                // Looking through the log for each of very many records would take for ever.
                let elsewhere =
                    if self.findings.len() < MAX_FINDINGS { log.tiles.find_leaf(hash) } else { None };
                self.seen.mark(elsewhere.unwrap_or(leaf));
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
                self.seen.mark(leaf);
                found(Problem::ProofsChanged, "the file lacks the proof of this record")
            }
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

    fn time(&self, timestamp: Option<&str>, sealed: bool) -> Result<(), Finding> {
        let Some(at) = timestamp.and_then(Timestamp::parse) else {
            return Err(Finding::new(Problem::Unreadable, "has no time"));
        };
        if self.header.from.is_some_and(|from| at < from) || self.header.to.is_some_and(|to| at > to) {
            return Err(Finding::new(
                Problem::OutsideRange,
                format!("is of {at}, outside the range of the export"),
            ));
        }
        if !sealed && self.header.created_at.since(at) > SEALED_WITHIN {
            let message =
                "inserted: it is not sealed, though it is older than records that are not sealed yet can be";
            return Err(Finding::new(Problem::RecordInserted, message));
        }
        Ok(())
    }

    /// What only shows when all records are through. Returns the findings, the first in the log first, and how many there
    /// were.
    pub(crate) fn finish(mut self) -> (Counts, Vec<Finding>, u64) {
        // What could not be read may be what is missing.
        if !self.damaged {
            self.complete();
            self.count();
        }
        if self.proven.log.is_none() && self.counts.records == 0 {
            self.find(Finding::new(
                Problem::NotSigned,
                "there is no signed checkpoint, and no record: nothing can be verified",
            ));
        }
        self.findings.sort_by_key(Finding::rank);
        (self.counts, self.findings, self.found)
    }

    /// Nothing is missing between the first and the last record, or from the whole log.
    fn complete(&mut self) {
        if self.header.filtered {
            return;
        }
        let whole = self.header.from.is_none() && self.header.to.is_none();
        let gaps: (Vec<u64>, u64) =
            self.seen.gaps(whole).fold((Vec::new(), 0), |(mut first, count), leaf| {
                if first.len() < MAX_FINDINGS {
                    first.push(leaf);
                }
                (first, count + 1)
            });
        let (first, count) = gaps;
        self.found += count;
        let missing =
            Finding::new(Problem::RecordMissing, "missing: a record was sealed here, and is not in the file");
        self.findings.extend(first.into_iter().map(|leaf| missing.clone().of_leaf(Some(leaf))));
    }

    fn count(&mut self) {
        let (said, counted) = (self.proven.records, self.counts.records);
        if said != counted {
            let message = format!("the file says it has {said} records, and has {counted}");
            self.find(Finding::new(Problem::CountDiffers, message));
        }
    }
}
