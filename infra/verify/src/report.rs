//! What the verifier says in the end, in words and as JSON.

use std::fmt;

use audit_format::Header;
use clock::Timestamp;
use serde::Serialize;
use tlog::Checkpoint;

use crate::evidence::Proven;
use crate::finding::{Finding, Problem};

/// How many findings are spelled out in words.
const SHOWN: usize = 10;

/// The verdict on an export or a single record, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything holds that the export's scope promises.
    pub intact: bool,
    /// Whose log it is.
    pub organization_id: String,
    /// The name of the log.
    pub origin: String,
    /// What was verified.
    pub scope: Scope,
    /// When the export says it was made.
    pub created_at: Option<Timestamp>,
    /// Records in the file.
    pub records: u64,
    /// Those of them that have a place in the log.
    pub sealed: u64,
    /// Records that lie outside the range, and show where it begins and ends.
    pub outside: u64,
    /// Leaves whose records were kept for as long as records are, and are gone.
    pub expired: u64,
    /// When the last record of the log happened, if the file shows that record. Nothing is known about later ones.
    pub ends_at: Option<Timestamp>,
    /// Personal values that were erased.
    pub erased_values: u64,
    /// The checkpoint that everything was held against.
    pub checkpoint: Option<Sealed>,
    /// What is wrong, the first in the log first. Not more than a few thousand.
    pub findings: Vec<Finding>,
    /// How many things are wrong in all.
    pub found: u64,
}

/// What an export covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Scope {
    /// Every record of the log.
    WholeLog,
    /// Every record between the first and the last.
    Range {
        /// From this time on.
        from: Option<Timestamp>,
        /// Up to this time.
        to: Option<Timestamp>,
    },
    /// Some records; nothing is said about others.
    Selection,
    /// One record.
    SingleRecord,
}

/// A checkpoint that the log signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// How many records the log had.
    pub size: u64,
    /// Its root, in base64.
    pub root: String,
    /// The signed note. Whoever keeps it can tell later whether the log still begins so.
    pub note: String,
}

/// What a reading counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) sealed: u64,
    pub(crate) outside: u64,
    pub(crate) expired: u64,
    pub(crate) ends_at: Option<Timestamp>,
    pub(crate) erased: u64,
}

impl Sealed {
    pub(crate) fn new(checkpoint: &Checkpoint, note: String) -> Self {
        Self { size: checkpoint.size, root: checkpoint.root.to_string(), note }
    }
}

impl Scope {
    fn of(header: &Header) -> Self {
        match (header.filtered, header.from, header.to) {
            (true, ..) => Self::Selection,
            (false, None, None) => Self::WholeLog,
            (false, from, to) => Self::Range { from, to },
        }
    }
}

impl Report {
    /// An export that could not be held against anything.
    pub(crate) fn without_proof(header: &Header, findings: Vec<Finding>) -> Self {
        let found = findings.len() as u64;
        let proven = Proven { records: 0, log: None };
        Self::of_export(header, proven, Counts::default(), findings, found)
    }

    pub(crate) fn of_export(
        header: &Header,
        proven: Proven,
        counts: Counts,
        findings: Vec<Finding>,
        found: u64,
    ) -> Self {
        Self {
            intact: found == 0,
            organization_id: header.organization_id.clone(),
            origin: header.origin.clone(),
            scope: Scope::of(header),
            created_at: Some(header.created_at),
            records: counts.records,
            sealed: counts.sealed,
            outside: counts.outside,
            expired: counts.expired,
            ends_at: counts.ends_at,
            erased_values: counts.erased,
            checkpoint: proven.log.map(|log| Sealed::new(&log.checkpoint, log.note)),
            findings,
            found,
        }
    }

    /// The same verdict if the export is one of the whole log; else it is not intact.
    #[must_use]
    pub fn of_whole_log(mut self) -> Self {
        if self.scope != Scope::WholeLog {
            let message = format!("the whole log is wanted, and the file covers {}", self.scope());
            self.findings.insert(0, Finding::new(Problem::NotWhole, message));
            self.found += 1;
            self.intact = false;
        }
        self
    }

    fn scope(&self) -> String {
        let time =
            |time: Option<Timestamp>, none: &str| time.map_or_else(|| none.to_owned(), |t| t.to_string());
        match self.scope {
            Scope::WholeLog => "the whole log, from its first record to the checkpoint".to_owned(),
            Scope::Range { from, to } => {
                format!("a time range, from {} to {}", time(from, "the beginning"), time(to, "the end"))
            }
            Scope::Selection => "selected records; whether others are missing is not known".to_owned(),
            Scope::SingleRecord => "one record".to_owned(),
        }
    }

    fn details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  Organization  {}", self.organization_id)?;
        writeln!(f, "  Log           {}", self.origin)?;
        writeln!(f, "  Covers        {}", self.scope())?;
        if let Some(created_at) = self.created_at {
            writeln!(f, "  Exported      {created_at}")?;
        }
        if let Some(Sealed { size, root, .. }) = &self.checkpoint {
            writeln!(f, "  Checkpoint    {size} records, root {root}")?;
            writeln!(f, "  Records       {}, sealed: {}", self.records, self.sealed)?;
        }
        if let Some(ends_at) = self.ends_at {
            writeln!(f, "  Log ends      {ends_at}, as far as this file knows")?;
        }
        Ok(())
    }

    fn intact(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sealed > 0 {
            let complete = match self.scope {
                Scope::WholeLog => " No record is missing.",
                Scope::Range { .. } => " No record of the range is missing.",
                Scope::Selection | Scope::SingleRecord => "",
            };
            writeln!(f, "\nEvery sealed record is, to the byte, what was sealed in its place.{complete}")?;
        }
        if self.sealed == 0 && matches!(self.scope, Scope::Range { .. }) {
            writeln!(f, "\nNo record of the log is of the range.")?;
        }
        if self.outside > 0 {
            writeln!(
                f,
                "Records in the file that are not of the range, and show where it begins and ends: {}.",
                self.outside
            )?;
        }
        if self.expired > 0 {
            writeln!(
                f,
                "Records that were kept for seven years and are gone: {}. What they were cannot be shown any more.",
                self.expired
            )?;
        }
        if self.erased_values > 0 {
            writeln!(
                f,
                "Personal values that were erased: {}. Nothing else of their records changed.",
                self.erased_values
            )?;
        }
        if let Some(sealed) = &self.checkpoint {
            // As it is, to be copied.
            writeln!(
                f,
                "\nKeep this checkpoint in a file. Given with --checkpoint, it shows whether a later export still \
                 has all of this log:\n\n{}",
                sealed.note
            )?;
        }
        Ok(())
    }

    fn broken(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut findings = self.findings.iter().take(SHOWN);
        if let Some(first) = findings.next() {
            writeln!(f, "\n{first}")?;
        }
        let more = self.found.saturating_sub(1);
        if more > 0 {
            writeln!(f, "\n{more} more:")?;
        }
        for finding in findings {
            writeln!(f, "  - {finding}")?;
        }
        if self.found > SHOWN as u64 {
            writeln!(f, "  …  (--json lists more)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.intact { "INTACT" } else { "NOT INTACT" };
        writeln!(f, "{verdict}\n")?;
        self.details(f)?;
        if self.intact { self.intact(f) } else { self.broken(f) }
    }
}
