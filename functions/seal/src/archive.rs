//! The archive: what is sealed, in a bucket that lets nobody change or remove it.
//!
//! An object holds a stretch of the log, one entry a line as an export has it but without personal values, and ends with the
//! checkpoint that covers it. So whoever has the archive has the log, and no person in it. What is locked there for years is
//! what was sealed: a record that was altered meanwhile is left out, and the gap shows.

use serde::Serialize;
use serde_json::value::RawValue;
use store::{LogHead, SealedLeaf, Tenant};
use tlog::leaf_hash;

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
            let leaves = tenant.sealed_leaves(archived..end).await?;
            let (body, left_out) = body(&leaves, archived, &head.checkpoint);
            for leaf_index in left_out {
                tracing::error!(%organization, leaf_index, "a record is not what was sealed, and is not archived");
            }
            let name = format!("{organization}/log/{archived:016}-{end:016}-{:016}.ndjson", head.size);
            self.0.archive.put(&name, body, "application/x-ndjson").await?;
            tenant.note_archived(end).await?;
            archived = end;
        }
        Ok(())
    }
}

/// The object, and the leaves that are left out of it.
fn body(leaves: &[SealedLeaf], first: u64, checkpoint: &str) -> (Vec<u8>, Vec<u64>) {
    let (mut body, mut left_out) = (Vec::new(), Vec::new());
    for (leaf, leaf_index) in leaves.iter().zip(first..) {
        match sealed(leaf) {
            Some(entry) => write(&mut body, &Line { leaf_index, entry }),
            None => left_out.push(leaf_index),
        }
    }
    write(&mut body, &LastLine { checkpoint });
    (body, left_out)
}

/// The record's text, if it is there and what was sealed.
fn sealed(leaf: &SealedLeaf) -> Option<&RawValue> {
    let entry = leaf.entry.as_deref()?;
    if leaf.hash.as_ref() != Some(leaf_hash(entry.as_bytes()).as_bytes()) {
        return None;
    }
    serde_json::from_str(entry).ok()
}

fn write(body: &mut Vec<u8>, line: &impl Serialize) {
    // Neither a line nor a vector can fail to be written.
    if serde_json::to_writer(&mut *body, line).is_ok() {
        body.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_is_archived() {
        let leaf = |sealed: &str, entry: Option<&str>| SealedLeaf {
            hash: Some(*leaf_hash(sealed.as_bytes()).as_bytes()),
            entry: entry.map(str::to_owned),
        };
        let (one, two) = (r#"{"b":1.50}"#, r#"{"b":2}"#);
        let unknown = SealedLeaf { hash: None, entry: Some(one.to_owned()) };
        let leaves =
            [leaf(one, Some(one)), leaf(one, Some(two)), leaf(one, None), unknown, leaf(two, Some(two))];
        let (body, left_out) = body(&leaves, 7, "note\n");
        assert_eq!(left_out, [8, 9, 10]);
        let expected = concat!(
            r#"{"leaf_index":7,"entry":{"b":1.50}}"#,
            "\n",
            r#"{"leaf_index":11,"entry":{"b":2}}"#,
            "\n",
            r#"{"checkpoint":"note\n"}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
