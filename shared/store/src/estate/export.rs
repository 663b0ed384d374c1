//! The export: what an organization owns, page by page, without the keys of its items and without secrets.

use std::time::Duration;

use clock::Timestamp;
use serde_json::Value;

use super::{Looks, Part, Position, Stretch, Wanted, of_activity, of_audit, of_workspace};
use crate::format::{self, STEPS};
use crate::item::{self, Item, get_text};
use crate::{Organization, PageRequest, StoreError, Tenant, WorkspaceScope, keys};

/// How many bytes of JSON a page has at most, the last record aside; Lambda's answers end at 6 MB.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How many queries a page takes, give or take the last few.
const MOST_QUERIES: usize = 768;
/// How many leads are read at once: each may have replies to be looked for.
const LEADS_AT_ONCE: usize = 25;
/// Activity is looked for no further back than this or what the plan keeps, whichever is longer; DynamoDB has removed the
/// rest.
const ACTIVITY_REACH: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Something an organization owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Holding {
    /// What it is: `lead`, `api_key`, `audit_record`…
    pub kind: &'static str,
    /// It, as it is stored, without keys and secrets.
    pub record: Value,
}

/// A page of an export.
#[derive(Debug, Clone, PartialEq)]
pub struct Holdings {
    /// Its records. May be empty although there are more.
    pub items: Vec<Holding>,
    /// Where to go on, if there is more.
    pub next: Option<Position>,
}

/// A walk over the estate, as far as one page goes.
struct Walk {
    position: Position,
    items: Vec<Holding>,
    limit: usize,
    bytes: usize,
    queries: usize,
}

/// Whether a walk goes on.
#[derive(PartialEq, Eq)]
enum Pace {
    On,
    /// The page is full, or has cost enough.
    Enough,
}

impl Walk {
    fn has_room(&self) -> bool {
        self.items.len() < self.limit && self.bytes < MOST_BYTES && self.queries < MOST_QUERIES
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.items.len()).max(1)
    }

    /// Adds what may be shown of an item.
    fn take(&mut self, item: Item) -> Result<(), StoreError> {
        let kind = match self.position.part {
            Part::Campaigns { .. } => "campaign",
            Part::Leads { .. } if self.position.replies_after.is_some() => "reply",
            Part::Leads { .. } => "lead",
            Part::Meetings { .. } => "meeting",
            _ => keys::kind_of(get_text(&item, keys::SK).unwrap_or_default()),
        };
        let record = match kind {
            "audit_record" => audit_entry(&item)?,
            "audit_seal" => return Ok(()),
            _ => shown(kind, item)?,
        };
        if kind == "audit_record" && came_too_late(&record, self.position.until) {
            return Ok(());
        }
        self.bytes += record.to_string().len();
        self.items.push(Holding { kind, record });
        Ok(())
    }
}

/// Whether an audit record was made after the export began, or by it: an export that showed its own records would never
/// come to an end.
fn came_too_late(record: &Value, until: Timestamp) -> bool {
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let (at, until) = (text("timestamp"), until.to_string());
    let own = text("action") == "organization.export";
    at > until.as_str() || (own && at == until.as_str())
}

/// What the log commits to of an audit record. Its personal values are filled in once the page is complete.
fn audit_entry(item: &Item) -> Result<Value, StoreError> {
    let entry = get_text(item, "entry").unwrap_or_default();
    serde_json::from_str(entry).map_err(|e| StoreError::malformed("export", e))
}

/// An item without its keys and secrets.
pub(super) fn shown(kind: &str, item: Item) -> Result<Value, StoreError> {
    let mut item = format::upgraded(STEPS, item).map_err(|e| StoreError::malformed("export", e))?;
    let delivery = get_text(&item, keys::SK).and_then(keys::delivery_of_attempt);
    item.retain(|name, _| !is_hidden(name));
    let mut record: Value = item::read("export", item)?;
    if let Some(delivery) = delivery {
        put(&mut record, "delivery_id", delivery.to_string().into());
    }
    // What customers have us add to deliveries may be their receivers' credentials.
    if kind == "endpoint" {
        let headers = record.get("headers").and_then(Value::as_object);
        let names = headers.map(|headers| headers.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        put(&mut record, "headers", names.into());
        let public_key = record.pointer("/signing_key/public_key").cloned().unwrap_or_default();
        if let Some(fields) = record.as_object_mut() {
            fields.remove("replaced");
            fields.remove("signing_key");
        }
        put(&mut record, "public_key", public_key);
    }
    Ok(record)
}

fn put(record: &mut Value, name: &str, value: Value) {
    if let Some(fields) = record.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Keys, and whatever a credential could be made of. By what a name says rather than by a list of names: an attribute that
/// is added later is hidden before anybody thinks of it.
fn is_hidden(name: &str) -> bool {
    let keys = matches!(name, "pk" | "sk" | "v") || name.ends_with("_pk") || name.ends_with("_sk");
    keys || ["secret", "sealed", "digest", "hash", "token", "password"].iter().any(|word| name.contains(word))
}

impl Tenant {
    /// A page of everything the organization owns. Its audit records end where the export began.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn holdings(
        &self,
        page: &PageRequest<Position>,
        now: Timestamp,
    ) -> Result<Holdings, StoreError> {
        let mut holdings = self.walk_estate(page, now).await?;
        self.fill_in(&mut holdings.items).await?;
        Ok(holdings)
    }

    /// Puts the personal values of audit records into their places.
    async fn fill_in(&self, items: &mut [Holding]) -> Result<(), StoreError> {
        let records: Vec<&mut Holding> = items.iter_mut().filter(|it| it.kind == "audit_record").collect();
        let id = |it: &Holding| it.record.get("id")?.as_str()?.parse().ok();
        let ids = records.iter().filter_map(|it| Some((id(it)?, it.record.to_string())));
        let entries = self.with_rest(ids.collect()).await?;
        for (holding, entry) in records.into_iter().zip(entries) {
            holding.record = entry.record()?;
        }
        Ok(())
    }

    async fn walk_estate(
        &self,
        page: &PageRequest<Position>,
        now: Timestamp,
    ) -> Result<Holdings, StoreError> {
        let begin = || Position { part: Part::Own, after: None, replies_after: None, until: now };
        let position = page.after.clone().unwrap_or_else(begin);
        let Some(organization) = self.organization().await? else {
            return Ok(Holdings { items: Vec::new(), next: None });
        };
        let parts = self.parts_to_show(&organization, position.until).await?;
        let mut walk = Walk { position, items: Vec::new(), limit: page.limit, bytes: 0, queries: 0 };
        let mut looks = Looks::default();
        let mut index = parts.partition_point(|part| *part < walk.position.part);
        while let Some(part) = parts.get(index).copied() {
            if part != walk.position.part {
                walk.position = Position { part, after: None, replies_after: None, ..walk.position };
            }
            if !walk.has_room() {
                return Ok(Holdings { items: walk.items, next: Some(walk.position) });
            }
            if walk.position.after.is_none() && looks.at(index).is_none() {
                looks = Looks {
                    first: index,
                    filled: self.filled(parts.get(index..).unwrap_or_default()).await?,
                };
                walk.queries += looks.filled.len();
            }
            let is_filled = walk.position.after.is_some() || looks.at(index) == Some(true);
            if is_filled && self.show_part(&mut walk).await? == Pace::Enough {
                return Ok(Holdings { items: walk.items, next: Some(walk.position) });
            }
            index += 1;
        }
        Ok(Holdings { items: walk.items, next: None })
    }

    async fn parts_to_show(
        &self,
        organization: &Organization,
        until: Timestamp,
    ) -> Result<Vec<Part>, StoreError> {
        let kept = Duration::from_secs(organization.limits.retention_days.saturating_mul(24 * 60 * 60));
        let founded = organization.created_at;
        let active_since = founded.max(until - kept.max(ACTIVITY_REACH));
        let mut parts = vec![Part::Own];
        for workspace in self.every_workspace().await? {
            parts.extend(of_workspace(self.organization, workspace.id));
        }
        let tags = self.endpoint_tags().await?;
        parts.extend(of_activity(self.organization, &tags, active_since, until));
        parts.extend([Part::Replays, Part::EndpointStates, Part::Sent, Part::LongJobs]);
        parts.extend(of_audit(self.organization, founded, until));
        parts.sort_unstable();
        Ok(parts)
    }

    /// Shows what is left of the part that the walk is in.
    async fn show_part(&self, walk: &mut Walk) -> Result<Pace, StoreError> {
        let part = walk.position.part;
        if walk.position.replies_after.is_some() && self.show_replies(walk).await? == Pace::Enough {
            return Ok(Pace::Enough);
        }
        let most = if matches!(part, Part::Leads { .. }) { LEADS_AT_ONCE } else { usize::MAX };
        loop {
            if !walk.has_room() {
                return Ok(Pace::Enough);
            }
            let wanted = Wanted { after: walk.position.after.as_deref(), ..Wanted::default() };
            let (table, partition) = (part.table(&self.store), part.partition(self.organization));
            let Stretch { items, next } =
                self.stretch(table, partition, wanted, walk.room().min(most)).await?;
            walk.queries += 1;
            for item in items {
                if !walk.has_room() {
                    return Ok(Pace::Enough);
                }
                walk.position.after = get_text(&item, keys::SK).map(str::to_owned);
                let replies = matches!(part, Part::Leads { .. }) && may_have_replies(&item);
                walk.take(item)?;
                if replies {
                    walk.position.replies_after = Some(String::new());
                    if self.show_replies(walk).await? == Pace::Enough {
                        return Ok(Pace::Enough);
                    }
                }
            }
            if next.is_none() {
                return Ok(Pace::On);
            }
        }
    }

    /// Shows what is left of the replies to the lead that the walk stands at.
    async fn show_replies(&self, walk: &mut Walk) -> Result<Pace, StoreError> {
        let Part::Leads { workspace, mode, .. } = walk.position.part else { return Ok(Pace::On) };
        let Some(Ok(lead)) = walk.position.after.as_deref().map(str::parse) else { return Ok(Pace::On) };
        let scope = WorkspaceScope { organization: self.organization, workspace, mode };
        loop {
            if !walk.has_room() {
                return Ok(Pace::Enough);
            }
            let after = walk.position.replies_after.as_deref().filter(|after| !after.is_empty());
            let wanted = Wanted { after, ..Wanted::default() };
            let table = self.store.core_table();
            let stretch = self.stretch(table, keys::replies(&scope, lead), wanted, walk.room()).await?;
            walk.queries += 1;
            for item in stretch.items {
                if !walk.has_room() {
                    return Ok(Pace::Enough);
                }
                walk.position.replies_after = get_text(&item, keys::SK).map(str::to_owned);
                walk.take(item)?;
            }
            if stretch.next.is_none() {
                walk.position.replies_after = None;
                return Ok(Pace::On);
            }
        }
    }
}

/// A reply moves its lead on in the same transaction, and nothing moves it back.
fn may_have_replies(lead: &Item) -> bool {
    !matches!(get_text(lead, "status"), Some("new" | "contacted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{number, text};

    #[test]
    fn keys_and_secrets_are_left_out_by_what_their_names_say() {
        for hidden in [
            "pk",
            "sk",
            "v",
            "state_pk",
            "endpoint_sk",
            "hash",
            "sealed_secret",
            "sealed_client_secret",
            "token_digest",
            "previous_secret",
            "password_hash",
        ] {
            assert!(is_hidden(hidden), "{hidden}");
        }
        for shown in ["id", "email", "prefix", "last_four", "challenge", "custom", "value", "risk"] {
            assert!(!is_hidden(shown), "{shown}");
        }
    }

    #[test]
    fn an_endpoint_shows_the_names_of_its_headers_only() {
        let headers = Item::from([("authorization".to_owned(), text("Bearer t"))]);
        let headers = aws_sdk_dynamodb::types::AttributeValue::M(headers);
        let endpoint =
            Item::from([("headers".to_owned(), headers), ("timeout_seconds".to_owned(), number(30))]);
        let record = shown("endpoint", endpoint).unwrap();
        let expected =
            serde_json::json!({"headers": ["authorization"], "timeout_seconds": 30, "public_key": null});
        assert_eq!(record, expected);
    }
}
