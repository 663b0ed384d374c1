//! The archive: what is sealed, in a bucket that lets nobody change or remove it.
//!
//! An object holds a stretch of the log, one entry a line as an export has it but without personal values, and ends with the
//! checkpoint that covers it. So whoever has the archive has the log, and no person in it.

use serde::Serialize;
use serde_json::value::RawValue;
use store::{LogHead, Tenant};

use crate::{Seal, SealError};

/// So many records go into one object, at most: four tiles.
const MOST: u64 = 1024;

#[derive(Serialize)]
struct Line<'a> {
    leaf_index: u64,
    entry: &'a RawValue,
}

#[derive(Serialize)]
struct LastLine<'a> {
    checkpoint: &'a str,
}

impl Seal {
    /// Brings to the archive what `head` signs and is not there yet. What was written and not noted is written again; the name
    /// says under which checkpoint, so that it is either the same or another object.
    pub(crate) async fn archive(&self, tenant: &Tenant, head: &LogHead) -> Result<(), SealError> {
        let organization = tenant.organization_id();
        let mut archived = head.archived;
        while archived < head.size {
            let end = head.size.min(archived + MOST);
            let entries = tenant.sealed_entries(archived..end).await?;
            let body = body(&entries, archived, &head.checkpoint);
            let name = format!("{organization}/log/{archived:016}-{end:016}-{:016}.ndjson", head.size);
            self.0.archive.put(&name, body, "application/x-ndjson").await?;
            tenant.note_archived(end).await?;
            archived = end;
        }
        Ok(())
    }
}

fn body(entries: &[Option<String>], first: u64, checkpoint: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (entry, leaf_index) in entries.iter().zip(first..) {
        // One that is gone already leaves a gap that shows.
        let Some(entry) = entry else { continue };
        let Ok(entry) = serde_json::from_str::<&RawValue>(entry) else { continue };
        write(&mut body, &Line { leaf_index, entry });
    }
    write(&mut body, &LastLine { checkpoint });
    body
}

fn write(body: &mut Vec<u8>, line: &impl Serialize) {
    // Neither a line nor a vector can fail to be written.
    if serde_json::to_writer(&mut *body, line).is_ok() {
        body.push(b'\n');
    }
}
