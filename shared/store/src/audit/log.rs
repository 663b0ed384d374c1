//! The log: the order in which records were sealed, and the hashes that commit to it.
//!
//! Everything of it but its head is append only and lies with the records. A record is sealed in one transaction that gives
//! it its place (which exists once, beside the record), bundles its hash with those sealed with it, adds the hashes of tiles
//! that became complete, keeps the signed checkpoint and moves the head on; the head must be as it was read. So each
//! record has one place, each place one record, and whoever seals at the same moment begins again.

use std::ops::Range;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use ids::AuditId;
use serde::{Deserialize, Serialize};

use crate::change::{Table, Write};
use crate::error::is_passing;
use crate::item::{self, Item, number, primary};
use crate::{StoreError, Tenant, keys};

/// So many records fit into one sealing: beside them a transaction of a hundred writes has at most two bundles, two hashes of
/// tiles of which more become complete only where these do, the checkpoint and the head.
pub const MOST_SEALED: usize = 90;

const HASH: usize = 32;
/// How many hashes lie in a tile.
const WIDTH: u64 = 256;

/// How far the log of an organization has come. Signed by `checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// How many records are sealed.
    // "size" is a word that DynamoDB keeps for itself.
    #[serde(rename = "sealed")]
    pub size: u64,
    /// The roots of the perfect subtrees, as the tree's own crate writes them.
    #[serde(with = "base64")]
    pub frontier: Vec<u8>,
    /// The signed note; empty before the first.
    pub checkpoint: String,
    /// The public keys it is signed with, as `<name>+<id>+<key>`.
    #[serde(default)]
    pub keys: Vec<String>,
    /// How many of the records are in the archive.
    #[serde(default)]
    pub archived: u64,
    /// When the youngest record was made that is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// When it was last moved.
    pub updated_at: Timestamp,
}

impl LogHead {
    /// That of a log in which there is nothing.
    #[must_use]
    pub fn empty(now: Timestamp) -> Self {
        Self {
            size: 0,
            frontier: Vec::new(),
            checkpoint: String::new(),
            keys: Vec::new(),
            archived: 0,
            newest: None,
            updated_at: now,
        }
    }
}

/// Bytes as text: the item's own way to write them down would be a list of numbers.
mod base64 {
    use aws_smithy_types::base64;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        base64::decode(&text).map_err(de::Error::custom)
    }
}

/// A record to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The record.
    pub id: AuditId,
    /// The hash of its entry.
    pub hash: [u8; HASH],
}

/// A hash in a tile above the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileHash {
    /// The tile's level, from 1.
    pub level: u8,
    /// Which hash of that level, from 0: the tile has those of 256.
    pub index: u64,
    /// The hash.
    pub hash: [u8; HASH],
}

/// What sealing some records makes of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The records, in order; [`MOST_SEALED`] at most.
    pub leaves: Vec<Leaf>,
    /// The roots of the tiles that become whole.
    pub completed: Vec<TileHash>,
    /// The head after it.
    pub head: LogHead,
}

/// What became of a sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealingOutcome {
    /// It is done.
    Done,
    /// These are sealed already. Nothing was written.
    Sealed(Vec<AuditId>),
    /// The head was moved meanwhile. Nothing was written.
    Raced,
}

/// A leaf as it was sealed, with its record as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedLeaf {
    /// The hash that was sealed; `None` where that is not to be found.
    pub hash: Option<[u8; HASH]>,
    /// The text of the record; `None` where that is not to be found.
    pub entry: Option<String>,
}

/// A place as it is stored, beside the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealRecord {
    pub(crate) id: AuditId,
    pub(crate) leaf_index: u64,
}

impl Tenant {
    /// The head of the log, as it is now.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn log_head(&self) -> Result<Option<LogHead>, StoreError> {
        const OPERATION: &str = "log_head";
        let key = keys::log_head(self.organization);
        let call = self.store.client.get_item().table_name(self.store.core_table());
        let answer = call.set_key(Some(primary(&key))).consistent_read(true).send().await;
        let item = answer.map_err(|e| StoreError::from_sdk(OPERATION, e))?.item;
        item.map(|item| item::read(OPERATION, item)).transpose()
    }

    /// Seals records on top of the head that was `read`.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn seal(&self, read: &LogHead, sealing: &Sealing) -> Result<SealingOutcome, StoreError> {
        const OPERATION: &str = "seal";
        let organization = self.organization;
        let now = sealing.head.updated_at;
        let mut writes = Vec::with_capacity(sealing.leaves.len() + 6);
        for (leaf, leaf_index) in sealing.leaves.iter().zip(read.size..) {
            let seal = SealRecord { id: leaf.id, leaf_index };
            let item = item::write(OPERATION, &keys::seal(organization, leaf.id), &seal)?;
            writes.push((Table::Audit, Write::Create(with(item, now))));
        }
        for bundle in bundles(read.size, &sealing.leaves) {
            let item = primary(&keys::leaves(organization, bundle.first));
            let hashes = bundle.leaves.iter().flat_map(|leaf| leaf.hash).collect();
            let ids = bundle.leaves.iter().flat_map(|leaf| *leaf.id.as_bytes()).collect();
            let item = with(with_bytes(with_bytes(item, "hashes", hashes), "ids", ids), now);
            writes.push((Table::Audit, Write::Create(item)));
        }
        for TileHash { level, index, hash } in &sealing.completed {
            let item = primary(&keys::node(organization, *level, *index));
            writes.push((Table::Audit, Write::Create(with(with_bytes(item, "hashes", hash.to_vec()), now))));
        }
        let checkpoint = Checkpoint { size: sealing.head.size, note: &sealing.head.checkpoint };
        let item = item::write(OPERATION, &keys::checkpoint(organization, sealing.head.size), &checkpoint)?;
        writes.push((Table::Audit, Write::Create(with(item, now))));
        let head = item::write(OPERATION, &keys::log_head(organization), &sealing.head)?;
        writes.push((
            Table::Core,
            Write::Put {
                item: head,
                condition: if read.size == 0 { "attribute_not_exists(pk)" } else { "sealed = :read" }
                    .to_owned(),
                values: if read.size == 0 { Vec::new() } else { vec![(":read", count(read.size))] },
            },
        ));
        let writes = writes
            .into_iter()
            .map(|(table, write)| self.store.write(table, write))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| StoreError::Refused { operation: OPERATION, source: Box::new(e) })?;
        let call = self.store.client.transact_write_items().set_transact_items(Some(writes));
        let error = match call.send().await {
            Ok(_) => return Ok(SealingOutcome::Done),
            Err(error) => error,
        };
        let reasons = match &error {
            SdkError::ServiceError(context) => match context.err() {
                TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                    cancelled.cancellation_reasons()
                }
                _ => return Err(StoreError::from_sdk(OPERATION, error)),
            },
            _ => return Err(StoreError::from_sdk(OPERATION, error)),
        };
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
        let failed = |code: &str| code == "ConditionalCheckFailed";
        let sealed = sealing.leaves.iter().zip(&codes).filter(|(_, code)| failed(code));
        let sealed: Vec<AuditId> = sealed.map(|(leaf, _)| leaf.id).collect();
        if !sealed.is_empty() {
            return Ok(SealingOutcome::Sealed(sealed));
        }
        if codes.iter().any(|code| failed(code) || *code == "TransactionConflict") {
            return Ok(SealingOutcome::Raced);
        }
        if codes.iter().any(|code| is_passing(code)) {
            return Err(StoreError::Unavailable { operation: OPERATION, source: Box::new(error) });
        }
        Err(StoreError::Refused { operation: OPERATION, source: Box::new(error) })
    }

    /// Notes that the archive holds the first `archived` records.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn note_archived(&self, archived: u64) -> Result<(), StoreError> {
        let update = crate::change::Expression {
            key: primary(&keys::log_head(self.organization)),
            update: "SET archived = :archived".to_owned(),
            condition: "archived < :archived AND sealed >= :archived".to_owned(),
            names: Vec::new(),
            values: vec![(":archived", count(archived))],
        };
        self.store.update("note_archived", Table::Core, update).await.map(drop)
    }

    /// The signed note of the log as it was at `size`, if that was ever signed.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn checkpoint(&self, size: u64) -> Result<Option<String>, StoreError> {
        const OPERATION: &str = "checkpoint";
        let key = [keys::checkpoint(self.organization, size)];
        let item = self.in_order(OPERATION, Table::Audit, &key).await?.pop();
        Ok(item.and_then(|item| item::get_text(&item, "note").map(str::to_owned)))
    }

    /// Puts a head in the place of the one that was `found`, if that is still there.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn restore_log_head(&self, found: Option<&LogHead>, head: &LogHead) -> Result<(), StoreError> {
        const OPERATION: &str = "restore_log_head";
        let item = item::write(OPERATION, &keys::log_head(self.organization), head)?;
        let call = self.store.client.put_item().table_name(self.store.core_table()).set_item(Some(item));
        let call = match found {
            None => call.condition_expression("attribute_not_exists(pk)"),
            Some(found) => call
                .condition_expression("sealed = :found")
                .expression_attribute_values(":found", count(found.size)),
        };
        call.send().await.map(drop).map_err(|e| StoreError::from_sdk(OPERATION, e))
    }

    /// The newest of the signed notes.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn last_checkpoint(&self) -> Result<Option<String>, StoreError> {
        const OPERATION: &str = "last_checkpoint";
        let call = self.store.client.query().table_name(self.store.audit_table());
        let answer = call
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", item::text(keys::checkpoint(self.organization, 0).pk))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await;
        let item = answer.map_err(|e| StoreError::from_sdk(OPERATION, e))?.items.unwrap_or_default().pop();
        Ok(item.and_then(|item| item::get_text(&item, "note").map(str::to_owned)))
    }

    /// The hashes of a tile, up to the first that is not there: leaves at level 0, roots of complete tiles below it above that.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn tile(&self, level: u8, tile: u64) -> Result<Vec<[u8; HASH]>, StoreError> {
        let items = self.tile_items(level, tile).await?;
        Ok(placed(&items, tile, "hashes").into_iter().map_while(|hash| hash).collect())
    }

    /// The records whose leaves are in a tile of level 0, in order, up to the first that is not there.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn tile_records(&self, tile: u64) -> Result<Vec<AuditId>, StoreError> {
        let items = self.tile_items(0, tile).await?;
        let ids = placed(&items, tile, "ids").into_iter().map_while(|id| id);
        Ok(ids.map(AuditId::from_bytes).collect())
    }

    /// What was sealed in a stretch of the log, and the texts of those records as they are now.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn sealed_leaves(&self, range: Range<u64>) -> Result<Vec<SealedLeaf>, StoreError> {
        let (mut hashes, mut ids) = (Vec::new(), Vec::new());
        for tile in range.start / WIDTH..range.end.div_ceil(WIDTH) {
            let items = self.tile_items(0, tile).await?;
            let (sealed, records) = (placed(&items, tile, "hashes"), placed(&items, tile, "ids"));
            for leaf in range.start.max(tile * WIDTH)..range.end.min((tile + 1) * WIDTH) {
                hashes.push(sealed.get(place(leaf)).copied().flatten());
                ids.push(records.get(place(leaf)).copied().flatten().map(AuditId::from_bytes));
            }
        }
        let known: Vec<AuditId> = ids.iter().flatten().copied().collect();
        let mut entries = self.entries(&known).await?.into_iter();
        let leaf = |(hash, id): (_, Option<AuditId>)| {
            let entry = id.and_then(|_| entries.next().flatten());
            SealedLeaf { hash, entry }
        };
        Ok(hashes.into_iter().zip(ids).map(leaf).collect())
    }

    /// The texts of the records that stand in a stretch of the log; `None` where one is not to be found.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn sealed_entries(&self, range: Range<u64>) -> Result<Vec<Option<String>>, StoreError> {
        Ok(self.sealed_leaves(range).await?.into_iter().map(|leaf| leaf.entry).collect())
    }

    async fn tile_items(&self, level: u8, tile: u64) -> Result<Vec<Item>, StoreError> {
        const OPERATION: &str = "tile";
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.audit_table())
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", item::text(keys::tile(self.organization, level, tile)))
            .consistent_read(true);
        item::all(OPERATION, query).await
    }
}

#[derive(Serialize)]
struct Checkpoint<'a> {
    size: u64,
    note: &'a str,
}

/// Leaves that lie in one tile.
struct Bundle<'a> {
    first: u64,
    leaves: &'a [Leaf],
}

/// The leaves from index `first` on, by tile.
fn bundles(first: u64, leaves: &[Leaf]) -> Vec<Bundle<'_>> {
    let room = usize::try_from(WIDTH - first % WIDTH).unwrap_or(256);
    let (here, beyond) = leaves.split_at(room.min(leaves.len()));
    let mut bundles = vec![Bundle { first, leaves: here }];
    // As many as are sealed at once do not reach into a third tile.
    if !beyond.is_empty() {
        bundles.push(Bundle { first: first + room as u64, leaves: beyond });
    }
    bundles
}

/// The place of a hash in its tile.
fn place(index: u64) -> usize {
    usize::try_from(index % WIDTH).unwrap_or(0)
}

/// What lies in each place of a tile, `N` bytes each. The sort keys say which place that is: where a bundle is gone its places
/// are empty, and all others keep theirs.
fn placed<const N: usize>(items: &[Item], tile: u64, name: &str) -> Vec<Option<[u8; N]>> {
    let mut places = vec![None; WIDTH as usize];
    for item in items {
        let first = item::get_text(item, keys::SK).and_then(keys::parse_place);
        let Some(first) = first.filter(|first| first / WIDTH == tile) else { continue };
        let (values, _) = bytes(item, name).as_chunks::<N>();
        for (empty, value) in places.iter_mut().skip(place(first)).zip(values) {
            empty.get_or_insert(*value);
        }
    }
    places
}

fn count(count: u64) -> AttributeValue {
    AttributeValue::N(count.to_string())
}

fn with(mut item: Item, now: Timestamp) -> Item {
    item.insert("v".to_owned(), number(1));
    item.insert("created_at".to_owned(), item::text(now.to_string()));
    item
}

fn with_bytes(mut item: Item, name: &str, bytes: Vec<u8>) -> Item {
    item.insert(name.to_owned(), AttributeValue::B(Blob::new(bytes)));
    item
}

fn bytes<'a>(item: &'a Item, name: &str) -> &'a [u8] {
    item.get(name).and_then(|value| value.as_b().ok()).map_or(&[], |blob| blob.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_end_where_tiles_do() {
        let leaf = Leaf { id: AuditId::derived(clock::utc(2026, 11, 22, 15, 4), [7; 16]), hash: [0; HASH] };
        let shape = |first, count| -> Vec<(u64, usize)> {
            bundles(first, &vec![leaf; count]).iter().map(|it| (it.first, it.leaves.len())).collect()
        };
        assert_eq!(shape(0, 90), [(0, 90)]);
        assert_eq!(shape(200, 56), [(200, 56)]);
        assert_eq!(shape(200, 57), [(200, 56), (256, 1)]);
        assert_eq!(shape(511, 90), [(511, 1), (512, 89)]);
    }

    #[test]
    fn what_is_gone_from_a_tile_leaves_the_rest_in_its_place() {
        let organization = ids::Id::derived(clock::utc(2026, 11, 22, 15, 4), [1; 16]);
        let bundle = |first: u64, count: u8| {
            let hashes = (0..count).flat_map(|number| [number; HASH]).collect();
            with_bytes(primary(&keys::leaves(organization, first)), "hashes", hashes)
        };
        let items = [bundle(256, 2), bundle(258, 1), bundle(259, 2)];
        let numbers = |items: &[Item]| -> Vec<Option<u8>> {
            let hashes = placed::<HASH>(items, 1, "hashes");
            assert_eq!(hashes.len(), 256);
            let end = hashes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            hashes[..end].iter().map(|hash| hash.map(|hash| hash[0])).collect()
        };
        assert_eq!(numbers(&items), [Some(0), Some(1), Some(0), Some(0), Some(1)]);
        let [first, _, last] = &items;
        assert_eq!(numbers(&[first.clone(), last.clone()]), [Some(0), Some(1), None, Some(0), Some(1)]);
        assert_eq!(numbers(std::slice::from_ref(last)), [None, None, None, Some(0), Some(1)]);
        // What claims to be of another tile, or a place that is taken, is of no effect.
        let forged = [first.clone(), bundle(256, 3), bundle(512, 9), bundle(u64::MAX, 2)];
        assert_eq!(numbers(&forged), [Some(0), Some(1), Some(2)]);
        assert_eq!(numbers(&[bundle(511, 2)]).len(), 256);
        let root = with_bytes(primary(&keys::node(organization, 1, 257)), "hashes", vec![7; HASH]);
        assert_eq!(numbers(&[root]), [None, Some(7)]);
        assert!(numbers(&[]).is_empty());
    }
}
