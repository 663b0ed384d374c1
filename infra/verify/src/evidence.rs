//! The first reading of an export: what it is of, and what proves it.

use std::io::Read;

use audit_format::{CheckpointLine, FORMAT, Header, Line, Tile};
use tlog::{AuthenticTiles, Checkpoint, CheckpointError, TileError, TileSet, VerifierKey};

use crate::finding::{Finding, Problem};
use crate::lines::Lines;
use crate::{Trust, VerifyError};

/// Every record's line begins so. Those lines are read the second time.
const RECORD: &[u8] = br#"{"type":"record","#;

/// What an export brings with it besides records. Nothing of it is believed yet.
pub(crate) struct Evidence {
    pub(crate) header: Header,
    tiles: Vec<Tile>,
    last: Option<CheckpointLine>,
}

/// How far a reading has come. Lines come in this order.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Start,
    Records,
    Tiles,
    End,
}

impl Evidence {
    /// Reads all lines but those of records. Returns also what is wrong with them.
    pub(crate) fn read(export: impl Read) -> Result<(Self, Vec<Finding>), VerifyError> {
        let mut lines = Lines::new(export);
        let header =
            match lines.next().map_err(VerifyError::Read)?.and_then(|line| line.bytes).map(Line::parse) {
                Some(Ok(Line::Export(header))) => header,
                _ => return Err(VerifyError::NotAnExport),
            };
        if header.format != FORMAT {
            return Err(VerifyError::Format(header.format));
        }
        let mut evidence = Self { header, tiles: Vec::new(), last: None };
        let mut findings = Vec::new();
        let mut stage = Stage::Start;
        while let Some(line) = lines.next().map_err(VerifyError::Read)? {
            let reached = match line.bytes {
                Some(bytes) if bytes.starts_with(RECORD) => Some(Stage::Records),
                Some(bytes) => evidence.take(bytes),
                None => None,
            };
            // Nothing follows the last line; everything else may follow its like.
            match reached.filter(|reached| *reached >= stage && stage != Stage::End) {
                Some(reached) => stage = reached,
                None => findings.push(unreadable(line.number)),
            }
        }
        Ok((evidence, findings))
    }

    /// Takes what a line says. Returns where in the file it belongs.
    fn take(&mut self, bytes: &[u8]) -> Option<Stage> {
        match Line::parse(bytes).ok()? {
            Line::Export(_) => None,
            Line::Record(_) | Line::Missing(_) | Line::Expired(_) | Line::Outside(_) => Some(Stage::Records),
            Line::Tile(tile) => {
                self.tiles.push(tile);
                Some(Stage::Tiles)
            }
            Line::Checkpoint(last) => {
                self.last = Some(last);
                Some(Stage::End)
            }
        }
    }

    /// Follows the proof from the keys that are trusted to the hashes of records.
    pub(crate) fn judge(self, trust: &Trust) -> Result<Result<Proven, Finding>, VerifyError> {
        let kept = trust.kept.as_deref().map(|note| self.kept(note, &trust.keys)).transpose()?;
        Ok(match self.prove(&trust.keys) {
            Err(finding) => Err(finding),
            Ok(proven) => match kept {
                Some(kept) => proven.compare(&kept)?.map(|()| proven),
                None if proven.log.is_none() => return Err(VerifyError::NothingSealed),
                None => Ok(proven),
            },
        })
    }

    fn kept(&self, note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, VerifyError> {
        // Who copies a note easily loses its end.
        let note = format!("{}\n", note.trim_end());
        let kept = Checkpoint::open(&note, keys).map_err(VerifyError::Kept)?;
        if kept.origin == self.header.origin {
            Ok(kept)
        } else {
            Err(VerifyError::KeptElsewhere(kept.origin))
        }
    }

    fn prove(self, keys: &[VerifierKey]) -> Result<Proven, Finding> {
        let Self { header, tiles, last } = self;
        let last = last.ok_or_else(|| {
            Finding::new(
                Problem::CutOff,
                "the file ends before its last line, which has the signed checkpoint",
            )
        })?;
        let expected_end = format!("/audit/{}", header.organization_id);
        if !header.origin.ends_with(&expected_end) {
            let message = format!("the log {} is not that of {}", header.origin, header.organization_id);
            return Err(Finding::new(Problem::WrongOrganization, message));
        }
        let Some(note) = last.note else {
            return if tiles.is_empty() {
                Ok(Proven { records: last.records, log: None })
            } else {
                Err(Finding::new(Problem::NotSigned, "the export has proofs but no signed checkpoint"))
            };
        };
        let checkpoint = Checkpoint::open(&note, keys).map_err(|error| not_signed(&error, &header, keys))?;
        if checkpoint.origin != header.origin {
            let message = format!(
                "the checkpoint is of the log {}, the export of {}",
                checkpoint.origin, header.origin
            );
            return Err(Finding::new(Problem::NotSigned, message));
        }
        let tiles = authenticate(tiles, &checkpoint).map_err(|error| tiles_changed(&error))?;
        Ok(Proven { records: last.records, log: Some(Log { checkpoint, note, tiles }) })
    }
}

fn authenticate(tiles: Vec<Tile>, checkpoint: &Checkpoint) -> Result<AuthenticTiles, TileError> {
    let mut set = TileSet::new(checkpoint.size);
    for tile in tiles {
        set.insert(tile.id(), tile.hashes)?;
    }
    set.authenticate(checkpoint.root)
}

pub(crate) fn unreadable(line: u64) -> Finding {
    let message = "this line cannot be read, or does not belong there; the file was changed or damaged";
    Finding::new(Problem::Unreadable, message).on_line(line)
}

fn not_signed(error: &CheckpointError, header: &Header, keys: &[VerifierKey]) -> Finding {
    let mut message = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        message = format!("{message}: {source}");
    }
    if !keys.iter().any(|key| key.name() == header.origin) {
        let names: Vec<_> = keys.iter().map(VerifierKey::name).collect();
        message =
            format!("{message}. The key given is of {}; this log is {}", names.join(", "), header.origin);
    }
    Finding::new(Problem::NotSigned, message)
}

fn tiles_changed(error: &TileError) -> Finding {
    let mut message = format!("the proofs in the file do not fit the signed checkpoint: {error}");
    if let TileError::Changed(id) = error
        && id.level == 0
    {
        let first = id.index * tlog::TILE_WIDTH;
        message = format!(
            "{message}. It is about the records with the numbers {first} to {}",
            first + tlog::TILE_WIDTH - 1
        );
    }
    Finding::new(Problem::ProofsChanged, message)
}

/// What the log signed, followed down to the hashes of records.
pub(crate) struct Proven {
    /// How many records the file says it has.
    pub(crate) records: u64,
    /// `None` if nothing was sealed yet.
    pub(crate) log: Option<Log>,
}

pub(crate) struct Log {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: String,
    pub(crate) tiles: AuthenticTiles,
}

impl Proven {
    /// Whether the log still has all that it had when `kept` was signed.
    fn compare(&self, kept: &Checkpoint) -> Result<Result<(), Finding>, VerifyError> {
        let size = self.log.as_ref().map_or(0, |log| log.checkpoint.size);
        if kept.size > size {
            let lost = kept.size - size;
            let message = format!(
                "the log was cut off: it had {} records when the checkpoint you kept was signed, and now shows {size}; \
                 {lost} at the end are gone",
                kept.size
            );
            return Ok(Err(Finding::new(Problem::CutOff, message).of_leaf(Some(size))));
        }
        let root = match &self.log {
            Some(log) => log.tiles.root(kept.size).map_err(VerifyError::KeptBeyondReach)?,
            None => tlog::Hash::empty_root(),
        };
        Ok(if root == kept.root {
            Ok(())
        } else {
            let message = format!(
                "the log was rewritten: its first {} records are not those that the checkpoint you kept was signed for",
                kept.size
            );
            Err(Finding::new(Problem::HistoryChanged, message))
        })
    }
}
