//! The export of the audit log: records, and what proves them.
//!
//! The head of the log is read first, so whatever it commits to can be found; what is written after that is in the export
//! without a place. Records come in the order of their ids. A range is one of the records' own times.
//!
//! The last lines are about leaves that have no record in the file: those whose record lies outside the range, those whose
//! record has expired, and those whose record can't be found or is not what was sealed. Of a range, the leaves reach so
//! far beyond its ends that none of its records can be before or after them.

use std::ops::Range;
use std::time::Duration;

use audit_format::{
    CheckpointKind, CheckpointLine, ExpiredKind, ExpiredLine, ExportKind, FORMAT, Header, KEPT_FOR, Line,
    MissingKind, MissingLine, OUT_OF_ORDER_BY, OutsideKind, OutsideLine, RecordKind, RecordLine,
    SEALED_WITHIN, TableWriter, Tile,
};
use clock::Timestamp;
use ids::AuditId;
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{AuditEntry, AuditFilter, ExportFormat, LogHead, MOST_STARTS, PageRequest, Tenant, audit_at};
use tlog::{Hash, LeafSet, TILE_WIDTH, TileId, leaf_hash};

use crate::output::{Output, Shared};
use crate::{Hold, JobError, Outcome, Worker};

/// No log is larger, or it is not what it says: a bit for each leaf fits into the function's memory.
const MOST_LEAVES: u64 = 500_000_000;
/// Records read at once.
const PAGE: usize = 1_000;
/// Other clocks are ahead by no more than this.
const SKEW: Duration = Duration::from_secs(60);
/// An export is to have what there was when it was asked for: so often it looks whether that is sealed.
const LOOKS: u32 = 40;
/// The wait between two looks.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv; charset=utf-8";

/// What an export is of.
struct Scope<'a> {
    filter: &'a AuditFilter,
    head: LogHead,
    begun: Timestamp,
}

impl Scope<'_> {
    fn size(&self) -> u64 {
        self.head.size
    }

    fn is_whole(&self) -> bool {
        self.filter.from.is_none() && self.filter.to.is_none()
    }

    /// Whether a record lies in the range. One that says no time is for the verifier to name.
    fn covers(&self, at: Option<Timestamp>) -> bool {
        let Some(at) = at else { return true };
        self.filter.from.is_none_or(|from| at >= from) && self.filter.to.is_none_or(|to| at < to)
    }

    fn header(&self, tenant: &Tenant, host: &str) -> Header {
        let organization = tenant.organization_id();
        let origin = self.head.checkpoint.lines().next().map(str::to_owned);
        Header {
            kind: ExportKind::Export,
            format: FORMAT,
            organization_id: organization.to_string(),
            origin: origin.unwrap_or_else(|| format!("{host}/audit/{organization}")),
            created_at: self.begun,
            from: self.filter.from,
            // The filter ends before its end; the header names the last instant that is included.
            to: self.filter.to.map(|to| to - Duration::from_millis(1)),
            filtered: self.filter.is_narrow(),
        }
    }
}

/// Where records go.
enum Sink {
    Lines(Output),
    Table { output: Output, rows: Box<TableWriter<Shared>>, written: Shared },
}

impl Sink {
    fn table(output: Output) -> Result<Self, JobError> {
        let written = Shared::default();
        let rows = Box::new(TableWriter::new(written.clone()).map_err(JobError::write)?);
        Ok(Self::Table { output, rows, written })
    }

    async fn record(&mut self, line: RecordLine, hold: &mut Hold<'_>) -> Result<(), JobError> {
        match self {
            Self::Lines(output) => {
                Line::Record(line).write(output.buffer()).map_err(JobError::write)?;
                output.send(hold).await
            }
            Self::Table { output, rows, written } => {
                rows.write(&line).and_then(|()| rows.flush()).map_err(JobError::write)?;
                written.drain_into(output.buffer());
                output.send(hold).await
            }
        }
    }
}

async fn write(output: &mut Output, line: Line, hold: &mut Hold<'_>) -> Result<(), JobError> {
    line.write(output.buffer()).map_err(JobError::write)?;
    output.send(hold).await
}

#[derive(Deserialize)]
struct Timed {
    timestamp: Timestamp,
}

fn time_of(entry: &str) -> Option<Timestamp> {
    serde_json::from_str(entry).ok().map(|Timed { timestamp }| timestamp)
}

impl Worker {
    /// Writes an export of the audit log.
    pub(crate) async fn export_audit_log(
        &self,
        hold: &mut Hold<'_>,
        format: ExportFormat,
        filter: &AuditFilter,
    ) -> Result<Outcome, JobError> {
        let head = self.settled_head(hold).await?;
        let begun = self.0.clock.now();
        let head = head.unwrap_or_else(|| LogHead::empty(begun));
        if head.size > MOST_LEAVES {
            return Err(JobError::GivenUp(
                "The head of the log says that it is larger than it can be.".to_owned(),
            ));
        }
        let scope = Scope { filter, head, begun };
        hold.job.records = 0;
        hold.job.records_in_all = Some(scope.size()).filter(|_| scope.is_whole() && !filter.is_narrow());
        hold.note().await?;

        let output = |hold: &Hold<'_>, name, content_type| {
            Output::new(&self.0.exports, self.key_of(hold.job, &hold.tenant, name), content_type)
        };
        let header = Line::Export(scope.header(&hold.tenant, &self.0.host));
        let mut sink = match format {
            ExportFormat::Ndjson => {
                let mut output = output(hold, "audit-log.ndjson", NDJSON);
                write(&mut output, header.clone(), hold).await?;
                Sink::Lines(output)
            }
            ExportFormat::Csv => Sink::table(output(hold, "audit-log.csv", CSV))?,
        };
        let written = self.write_records(&scope, &mut sink, hold).await?;
        let mut proofs = match sink {
            Sink::Lines(output) => output,
            Sink::Table { output: mut table, written: rest, rows } => {
                drop(rows);
                // The names of the columns, where there is no record.
                rest.drain_into(table.buffer());
                hold.job.file = Some(table.finish().await?);
                hold.job.upload = None;
                hold.note().await?;
                let mut proofs = output(hold, "audit-log.proofs.ndjson", NDJSON);
                write(&mut proofs, header, hold).await?;
                proofs
            }
        };
        let written = match filter.is_narrow() {
            true => written,
            false => self.write_gaps(&scope, written, &mut proofs, hold).await?,
        };
        write_tiles(&scope, &written, &mut proofs, hold).await?;
        let note = Some(scope.head.checkpoint.clone()).filter(|_| scope.size() > 0);
        let last = CheckpointLine { kind: CheckpointKind::Checkpoint, note, records: hold.job.records };
        write(&mut proofs, Line::Checkpoint(last), hold).await?;
        let proofs = proofs.finish().await?;
        match format {
            ExportFormat::Ndjson => hold.job.file = Some(proofs),
            ExportFormat::Csv => hold.job.proofs = Some(proofs),
        }
        self.finish(hold).await
    }

    /// The head of the log, if possible one that is younger than the job.
    async fn settled_head(&self, hold: &mut Hold<'_>) -> Result<Option<LogHead>, JobError> {
        for _ in 0..LOOKS {
            let head = hold.tenant.log_head().await?;
            if head.as_ref().is_some_and(|head| head.updated_at >= hold.job.created_at) {
                return Ok(head);
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
        tracing::warn!(job.id = %hold.job.id, "an export does not wait any longer for the log");
        Ok(hold.tenant.log_head().await?)
    }

    /// Writes the records; which leaves they are.
    async fn write_records(
        &self,
        scope: &Scope<'_>,
        sink: &mut Sink,
        hold: &mut Hold<'_>,
    ) -> Result<LeafSet, JobError> {
        let mut written = LeafSet::of(scope.size());
        let mut page = PageRequest { limit: PAGE, after: None };
        loop {
            hold.in_time()?;
            let listed =
                hold.tenant.audit_records(scope.filter, &page, true, self.0.clock.now() + SKEW).await?;
            for AuditEntry { id, entry, personal, leaf_index } in listed.items {
                let leaf_index = leaf_index.filter(|index| *index < scope.size());
                // What is too young to be sealed is for a later export. What is not, and isn't, the verifier names.
                if leaf_index.is_none() && id.time() + SEALED_WITHIN > scope.begun {
                    if id.time() > scope.begun + SKEW {
                        return Ok(written);
                    }
                    continue;
                }
                // What is no JSON was not sealed so; its leaf is told of at the end.
                let Ok(entry) = RawValue::from_string(entry) else { continue };
                let line = RecordLine { kind: RecordKind::Record, leaf_index, entry, personal };
                hold.job.records += 1;
                sink.record(line, hold).await?;
                if let Some(leaf) = leaf_index {
                    written.insert(leaf);
                }
            }
            hold.note_now_and_then().await?;
            match listed.next.as_deref().and_then(audit_at) {
                Some(next) => page.after = Some(next),
                None => return Ok(written),
            }
        }
    }

    /// Tells of the leaves without a record in the file; which ones are then told of, one way or the other.
    async fn write_gaps(
        &self,
        scope: &Scope<'_>,
        mut written: LeafSet,
        proofs: &mut Output,
        hold: &mut Hold<'_>,
    ) -> Result<LeafSet, JobError> {
        let mut tiles = SealedTiles::of(scope.size());
        let stretch = tiles.stretch(&hold.tenant, scope, written.bounds_below(u64::MAX)).await?;
        // The last leaf shows how far the log reached when the export was made, whatever it is an export of.
        let last = (stretch.end..scope.size()).next_back();
        for leaf in stretch.chain(last) {
            if written.contains(leaf) {
                continue;
            }
            hold.in_time()?;
            hold.note_now_and_then().await?;
            let sealed = tiles.leaf(&hold.tenant, leaf).await?;
            let line = match (sealed.id, sealed.intact) {
                (_, Some(entry)) if !scope.covers(time_of(entry.get())) => {
                    Line::Outside(OutsideLine { kind: OutsideKind::Outside, leaf_index: leaf, entry })
                }
                // It is there and was not listed: an index that lags, or somebody's doing.
                (_, Some(_)) if hold.job.starts < MOST_STARTS => return Err(JobError::Unsettled),
                (Some(id), None) if !sealed.found && scope.begun.since(id.time()) > KEPT_FOR => {
                    Line::Expired(ExpiredLine {
                        kind: ExpiredKind::Expired,
                        leaf_index: leaf,
                        id: id.to_string(),
                    })
                }
                (id, _) => {
                    let id = id.map(|id| id.to_string());
                    Line::Missing(MissingLine { kind: MissingKind::Missing, leaf_index: leaf, id })
                }
            };
            write(proofs, line, hold).await?;
            written.insert(leaf);
        }
        Ok(written)
    }
}

/// What was sealed as a leaf, and what there is of it.
struct SealedLeaf {
    id: Option<AuditId>,
    /// Whether there is a record of that id.
    found: bool,
    /// The record's text, if it is what was sealed.
    intact: Option<Box<RawValue>>,
}

impl SealedLeaf {
    /// The time that its record says; that of its id, where there is no record.
    fn time(&self) -> Option<Timestamp> {
        let said = self.intact.as_ref().and_then(|entry| time_of(entry.get()));
        said.or(self.id.map(|id| id.time()))
    }
}

/// The leaves of a log, read a tile at a time.
struct SealedTiles {
    size: u64,
    tile: Option<SealedTile>,
}

struct SealedTile {
    index: u64,
    ids: Vec<AuditId>,
    hashes: Vec<[u8; 32]>,
    entries: Vec<Option<String>>,
}

impl SealedTiles {
    fn of(size: u64) -> Self {
        Self { size, tile: None }
    }

    async fn leaf(&mut self, tenant: &Tenant, leaf: u64) -> Result<SealedLeaf, JobError> {
        let index = leaf / TILE_WIDTH;
        let tile = match self.tile.take() {
            Some(tile) if tile.index == index => tile,
            _ => {
                let first = index * TILE_WIDTH;
                let range = first..self.size.min(first + TILE_WIDTH);
                let (ids, hashes, entries) = tokio::try_join!(
                    tenant.tile_records(index),
                    tenant.tile(0, index),
                    tenant.sealed_entries(range)
                )?;
                SealedTile { index, ids, hashes, entries }
            }
        };
        let place = usize::try_from(leaf % TILE_WIDTH).unwrap_or(usize::MAX);
        let entry = tile.entries.get(place).cloned().flatten();
        let found = entry.is_some();
        let sealed = tile.hashes.get(place);
        let intact = entry
            .filter(|entry| Some(leaf_hash(entry.as_bytes()).as_bytes()) == sealed)
            .and_then(|entry| RawValue::from_string(entry).ok());
        let id = tile.ids.get(place).copied();
        self.tile = Some(tile);
        Ok(SealedLeaf { id, found, intact })
    }

    /// The leaves that an export tells of: all of the log, or those of the range and the next ones beyond its ends that are
    /// too old and too young for any of their neighbors to be of it. `written` are the first and the last in the file.
    async fn stretch(
        &mut self,
        tenant: &Tenant,
        scope: &Scope<'_>,
        written: Option<(u64, u64)>,
    ) -> Result<Range<u64>, JobError> {
        let begin = match scope.filter.from {
            None => 0,
            Some(from) => {
                let before = |at: Timestamp| at + OUT_OF_ORDER_BY < from;
                self.first_not(tenant, before).await?.saturating_sub(1)
            }
        };
        let end = match scope.filter.to {
            None => self.size,
            Some(to) => {
                let not_after = |at: Timestamp| at <= to + OUT_OF_ORDER_BY;
                self.size.min(self.first_not(tenant, not_after).await? + 1)
            }
        };
        let (first, last) = written.unwrap_or((begin, begin));
        Ok(begin.min(first)..end.max(last + 1).min(self.size))
    }

    /// The first leaf that is not what those before it are, found by halving. Leaves are nearly in the order of their times:
    /// what is given is such a leaf, next to one that is.
    async fn first_not(&mut self, tenant: &Tenant, is: impl Fn(Timestamp) -> bool) -> Result<u64, JobError> {
        let (mut low, mut high) = (0, self.size);
        while low < high {
            let middle = low + (high - low) / 2;
            let at = self.leaf(tenant, middle).await?.time();
            if at.is_some_and(&is) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

/// The tiles that prove the records.
async fn write_tiles(
    scope: &Scope<'_>,
    written: &LeafSet,
    proofs: &mut Output,
    hold: &mut Hold<'_>,
) -> Result<(), JobError> {
    for id in TileId::proving(scope.size(), written.iter()) {
        hold.in_time()?;
        hold.note_now_and_then().await?;
        let hashes = hold.tenant.tile(id.level, id.index).await?;
        // More may have been sealed since.
        let hashes = hashes.into_iter().take(id.width(scope.size())).map(Hash::from_bytes).collect();
        write(proofs, Line::Tile(Tile::new(id, hashes)), hold).await?;
    }
    Ok(())
}
