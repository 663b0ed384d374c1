//! Makes logs and exports of them, as the platform does.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::Cursor;
use std::time::Duration;

use audit_format::{
    CheckpointKind, CheckpointLine, ExportKind, Header, Line, OutsideKind, OutsideLine, RecordKind,
    RecordLine, Salt, TableWriter, Tile, seal,
};
use clock::Timestamp;
use serde_json::json;
use tlog::{Checkpoint, Frontier, Hash, NoteSigner, TileId, VerifierKey, leaf_hash};

use crate::{Report, Trust, VerifyError, verify_export};

pub(super) const ORGANIZATION: &str = "org_01";
pub(super) const ORIGIN: &str = "localhost:8000/audit/org_01";

pub(super) fn signer() -> NoteSigner {
    NoteSigner::from_seed(ORIGIN, &[7; 32]).unwrap()
}

pub(super) fn key() -> VerifierKey {
    signer().verifier().clone()
}

pub(super) fn trust() -> Trust {
    Trust { keys: vec![key()], kept: None }
}

/// So many minutes beyond the ends of a range no record is in its order.
pub(super) const BEYOND: u64 = 3;

/// A record each minute from here on.
pub(super) fn minute(n: u64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000) + Duration::from_mins(n)
}

pub(super) fn id(n: u64) -> String {
    format!("aud_{n:08}")
}

/// Record number `n`, not yet sealed.
pub(super) fn record(n: u64) -> RecordLine {
    record_of(ORGANIZATION, n)
}

pub(super) fn record_of(organization: &str, n: u64) -> RecordLine {
    make(organization, &id(n), n)
}

/// Record number `n` with another id.
pub(super) fn record_with(id: &str, n: u64) -> RecordLine {
    make(ORGANIZATION, id, n)
}

/// The id that a record says.
pub(super) fn id_of(record: &RecordLine) -> String {
    let entry: serde_json::Value = serde_json::from_str(record.entry.get()).unwrap();
    entry["id"].as_str().unwrap().to_owned()
}

fn make(organization: &str, id: &str, n: u64) -> RecordLine {
    let fields = json!({
        "id": id,
        "action": "lead.updated",
        "actor": {"type": "user", "id": "usr_1", "email": "ada@example.com"},
        "organization_id": organization,
        "ip_address": "203.0.113.7",
        "timestamp": minute(n),
        "success": true,
        "changes": [{"field": "name", "before": "Ada", "after": n}],
    });
    let mut next = 0_u8;
    let salts = || {
        next += 1;
        Ok::<_, Infallible>(Salt::from_bytes([next; 16]))
    };
    let sealed = seal(&fields, &["/actor/email", "/ip_address"], salts).unwrap();
    let entry = serde_json::value::RawValue::from_string(sealed.entry).unwrap();
    RecordLine { kind: RecordKind::Record, leaf_index: None, entry, personal: sealed.personal }
}

/// A log, and all of its records.
pub(super) struct Log {
    pub(super) records: Vec<RecordLine>,
    pub(super) tiles: BTreeMap<TileId, Vec<Hash>>,
    pub(super) frontier: Frontier,
}

impl Log {
    pub(super) fn with(size: u64) -> Self {
        Self::of((0..size).map(record))
    }

    pub(super) fn of(records: impl IntoIterator<Item = RecordLine>) -> Self {
        let mut log = Self { records: Vec::new(), tiles: BTreeMap::new(), frontier: Frontier::new() };
        for mut record in records {
            let leaf = leaf_hash(record.entry.get().as_bytes());
            record.leaf_index = Some(log.frontier.size());
            log.tiles.entry(TileId::of_leaf(log.frontier.size())).or_default().push(leaf);
            for complete in log.frontier.push(leaf) {
                log.tiles.entry(complete.tile.parent().0).or_default().push(complete.root);
            }
            log.records.push(record);
        }
        log
    }

    pub(super) fn checkpoint(&self) -> String {
        Checkpoint { origin: ORIGIN.to_owned(), size: self.frontier.size(), root: self.frontier.root() }
            .sign(&[&signer()])
            .unwrap()
    }

    /// An export of everything.
    pub(super) fn export(&self) -> Export {
        self.export_of(None, None)
    }

    /// An export of the records of these minutes, with as many on both sides as show that the range begins and ends there,
    /// and the last one.
    pub(super) fn export_of(&self, from: Option<u64>, to: Option<u64>) -> Export {
        let inside = |record: &&RecordLine| {
            let n = record.leaf_index.unwrap();
            from.is_none_or(|from| n >= from) && to.is_none_or(|to| n <= to)
        };
        let records: Vec<_> = self.records.iter().filter(inside).cloned().collect();
        let before = from.into_iter().flat_map(|from| from.saturating_sub(BEYOND)..from);
        let after = to.into_iter().flat_map(|to| to + 1..(to + 1 + BEYOND).min(self.frontier.size()));
        let last =
            self.frontier.size().checked_sub(1).filter(|last| to.is_some_and(|to| to + BEYOND < *last));
        let outside: Vec<u64> =
            before.chain(after).chain(last).filter(|n| *n < self.frontier.size()).collect();
        let proved = records.iter().filter_map(|record| record.leaf_index).chain(outside.iter().copied());
        let needed = TileId::proving(self.frontier.size(), proved.collect::<BTreeSet<_>>());
        Export {
            header: Header {
                kind: ExportKind::Export,
                format: 1,
                organization_id: ORGANIZATION.to_owned(),
                origin: ORIGIN.to_owned(),
                created_at: minute(self.frontier.size() + 5),
                from: from.map(minute),
                to: to.map(minute),
                filtered: false,
            },
            tiles: needed.into_iter().map(|id| Tile::new(id, self.tiles[&id].clone())).collect(),
            last: Some(CheckpointLine {
                kind: CheckpointKind::Checkpoint,
                note: Some(self.checkpoint()),
                records: records.len() as u64,
            }),
            records,
            others: outside.into_iter().map(|n| self.outside(n)).collect(),
        }
    }
}

impl Log {
    /// The line that says of a record that it lies outside the range.
    pub(super) fn outside(&self, n: u64) -> Line {
        let entry = self.records[usize::try_from(n).unwrap()].entry.clone();
        Line::Outside(OutsideLine { kind: OutsideKind::Outside, leaf_index: n, entry })
    }
}

/// An export that can be changed.
#[derive(Clone)]
pub(super) struct Export {
    pub(super) header: Header,
    pub(super) records: Vec<RecordLine>,
    /// `missing` and `outside`.
    pub(super) others: Vec<Line>,
    pub(super) tiles: Vec<Tile>,
    pub(super) last: Option<CheckpointLine>,
}

impl Export {
    fn write(&self, records: &[RecordLine]) -> Vec<u8> {
        let lines = [Line::Export(self.header.clone())]
            .into_iter()
            .chain(records.iter().cloned().map(Line::Record))
            .chain(self.others.iter().cloned())
            .chain(self.tiles.iter().cloned().map(Line::Tile))
            .chain(self.last.clone().map(Line::Checkpoint));
        let mut bytes = Vec::new();
        for line in lines {
            line.write(&mut bytes).unwrap();
        }
        bytes
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.write(&self.records)
    }

    pub(super) fn proofs(&self) -> Vec<u8> {
        self.write(&[])
    }

    pub(super) fn table(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = TableWriter::new(&mut bytes).unwrap();
        for record in &self.records {
            writer.write(record).unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        bytes
    }

    pub(super) fn verify(&self) -> Report {
        self.verify_with(&trust()).unwrap()
    }

    pub(super) fn verify_with(&self, trust: &Trust) -> Result<Report, VerifyError> {
        verify_export(Cursor::new(self.bytes()), trust)
    }

    pub(super) fn last(&mut self) -> &mut CheckpointLine {
        self.last.as_mut().unwrap()
    }

    /// Says as many records as there are: what who tampers does not forget.
    pub(super) fn recount(&mut self) {
        self.last().records = self.records.len() as u64;
    }

    /// Leaves out the line about a leaf that lies outside the range.
    pub(super) fn without(&mut self, leaf: u64) {
        self.others.retain(|line| !matches!(line, Line::Outside(it) if it.leaf_index == leaf));
    }
}

/// The entry with another text in it.
pub(super) fn replace(record: &mut RecordLine, from: &str, to: &str) {
    let changed = record.entry.get().replacen(from, to, 1);
    assert_ne!(changed, record.entry.get(), "{from}");
    record.entry = serde_json::value::RawValue::from_string(changed).unwrap();
}
