//! The estate: everything an organization owns, found without a scan.
//!
//! Every key follows from the organization, its workspaces and the days of its life, so the partitions that can hold
//! something of it can be listed. The export walks them page by page; the erasure empties them, and the directory's
//! entries that point to them. Both can stop anywhere and go on later.
//!
//! Never touched: `audit`, which outlives the organization, and identities, which belong to people.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use clock::Timestamp;
use futures::future::try_join_all;
use ids::WorkspaceId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::item::{self, Item, get_text, primary, text};
use crate::keys::{self, Key, OfOrganization};
use crate::{Invitation, Member, Mode, Organization, Store, StoreError, Tenant, Workspace};

/// Calls to the store that one page of an export costs at most.
const CALLS_PER_PAGE: usize = 150;
/// A page ends once it holds this much, roughly in bytes: an answer of Lambda is limited to 6 MB.
const BYTES_PER_PAGE: usize = 2 * 1024 * 1024;
/// Items per `BatchWriteItem`.
const BATCH: usize = 25;
/// Partitions that are looked at side by side while erasing.
const SIDE_BY_SIDE: usize = 16;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Events and deliveries are kept at most this long, whatever the plan; older days are not looked at.
const LONGEST_RETENTION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// What a partition belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Core,
    Activity,
    Audit,
}

#[derive(Debug, Clone)]
struct Partition {
    table: In,
    pk: String,
    /// The workspace and mode, where leads of it have replies in partitions of their own.
    leads_of: Option<crate::WorkspaceScope>,
}

/// A record of the estate, without keys and secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Belonging {
    /// What it is: `lead`, `event`…
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// As it is stored, but for keys and secrets.
    pub record: Value,
}

/// How far an export has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EstatePosition {
    pk: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sk: Option<String>,
}

impl std::fmt::Display for EstatePosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Two texts are always JSON.
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl std::str::FromStr for EstatePosition {
    type Err = serde_json::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// A page of an export.
#[derive(Debug, Clone, PartialEq)]
pub struct EstatePage {
    /// What it holds.
    pub belongings: Vec<Belonging>,
    /// Where to go on; nothing when this was all.
    pub next: Option<EstatePosition>,
}

/// What an erasure did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// Whether nothing is left.
    pub done: bool,
    /// How many of each kind were erased this time.
    pub counts: BTreeMap<&'static str, u64>,
}

/// What an item is, by its keys.
fn kind(pk: &str, sk: &str) -> &'static str {
    let child = pk.rsplit_once('#').map_or("", |(parent, _)| parent);
    match sk.split_once('#').map_or(sk, |(prefix, _)| prefix) {
        "ORG" => "organization",
        "WS" => "workspace",
        "MEMBER" => "member",
        "INV" => "invitation",
        "DOM" => "domain",
        "IDP" => "sso",
        "KEY" => "api_key",
        "EP" => "endpoint",
        "EVT" => "event",
        "MAIL" => "mail",
        "DLV" if sk.contains("#ATT#") => "attempt",
        "DLV" => "delivery",
        "AUD" => "audit_record",
        _ if sk.starts_with("camp_") => "campaign",
        _ if sk.starts_with("lead_") => "lead",
        _ if sk.starts_with("rep_") && child.ends_with("#REPLY") => "reply",
        _ => "other",
    }
}

/// The record in an item, without what only the store needs and without anything secret.
fn belonging(mut item: Item) -> Result<Belonging, StoreError> {
    const OPERATION: &str = "estate";
    let (pk, sk) =
        (get_text(&item, keys::PK).unwrap_or_default(), get_text(&item, keys::SK).unwrap_or_default());
    let kind = kind(pk, sk);
    for name in
        ["pk", "sk", "v", "state_pk", "state_sk", "endpoint_pk", "endpoint_sk", "hash", "token_digest"]
    {
        item.remove(name);
    }
    item.retain(|name, _| !name.starts_with("sealed"));
    // A number is DynamoDB's time to live; a text is a field of that name.
    if item.get("expires_at").is_some_and(|value| value.is_n()) {
        item.remove("expires_at");
    }
    let mut record: Value = item::read(OPERATION, item)?;
    // The values of an endpoint's headers are credentials, as often as not.
    if let Some(headers) = record.get_mut("headers").and_then(Value::as_object_mut) {
        headers.values_mut().for_each(|value| *value = Value::Null);
    }
    Ok(Belonging { kind, record })
}

/// Every day from `first` to `last`, whole.
fn days(first: Timestamp, last: Timestamp) -> impl Iterator<Item = Timestamp> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let day = next.filter(|day| day.day() <= last.day())?;
        next = Some(day + DAY);
        Some(day)
    })
}

impl Tenant {
    fn data_of(&self, workspaces: &[Workspace]) -> Vec<Partition> {
        let mut partitions = Vec::new();
        for workspace in workspaces {
            for mode in [Mode::Live, Mode::Test] {
                let scope = self.workspace(workspace.id, mode).scope();
                let plain = |pk| Partition { table: In::Core, pk, leads_of: None };
                partitions.push(plain(keys::campaigns(&scope)));
                for pk in keys::lead_shards(&scope) {
                    partitions.push(Partition { table: In::Core, pk, leads_of: Some(scope) });
                }
            }
        }
        partitions
    }

    fn activity_since(&self, founded: Timestamp, now: Timestamp) -> impl Iterator<Item = Partition> {
        let organization = self.organization;
        let partition = |pk| Partition { table: In::Activity, pk, leads_of: None };
        days(founded.max(now - LONGEST_RETENTION), now)
            .flat_map(move |day| keys::activity_of_day(organization, day))
            .map(partition)
    }

    /// Every workspace there ever was, as long as its item is there.
    async fn every_workspace(&self) -> Result<Vec<Workspace>, StoreError> {
        self.store.all_of_organization("estate", self.organization, OfOrganization::Workspaces).await
    }

    /// A page of everything the organization owns, its audit records included: at most `limit` records or a few more, from
    /// `from` on. `None` when there is no such position in its estate.
    ///
    /// # Errors
    /// [`StoreError`] when something cannot be read.
    pub async fn estate(
        &self,
        founded: Timestamp,
        from: Option<&EstatePosition>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Option<EstatePage>, StoreError> {
        let own = Partition { table: In::Core, pk: keys::organization(self.organization).pk, leads_of: None };
        let audit = days(founded, now)
            .flat_map(|day| keys::audit_shards(self.organization, day).collect::<Vec<_>>())
            .map(|pk| Partition { table: In::Audit, pk, leads_of: None });
        let all: Vec<Partition> = std::iter::once(own)
            .chain(self.data_of(&self.every_workspace().await?))
            .chain(self.activity_since(founded, now))
            .chain(audit)
            .collect();
        let (mut at, mut after) = match from {
            None => (0, None),
            Some(position) => match all.iter().position(|partition| partition.pk == position.pk) {
                None => return Ok(None),
                Some(at) => (at, position.sk.clone()),
            },
        };
        let mut page = EstatePage { belongings: Vec::new(), next: None };
        let (mut calls, mut bytes) = (1, 0);
        while let Some(partition) = all.get(at) {
            let room = limit.saturating_sub(page.belongings.len());
            if room == 0 || calls >= CALLS_PER_PAGE || bytes >= BYTES_PER_PAGE {
                page.next = Some(EstatePosition { pk: partition.pk.clone(), sk: after });
                break;
            }
            // Each lead costs one more call, for its replies.
            let wanted = if partition.leads_of.is_some() { room.min(CALLS_PER_PAGE - calls) } else { room };
            let (items, more) = self.store.some_of(partition, after.as_deref(), wanted).await?;
            calls += 1;
            let last = items.last().and_then(|item| get_text(item, keys::SK)).map(str::to_owned);
            for item in items {
                let lead = partition.leads_of.zip(get_text(&item, keys::SK).map(str::to_owned));
                page.belongings.push(belonging(item)?);
                if let Some((scope, lead)) = lead {
                    calls += 1;
                    for reply in self.store.all_of(In::Core, keys::replies(&scope, &lead)).await? {
                        page.belongings.push(belonging(reply)?);
                    }
                }
            }
            bytes = page.belongings.iter().map(|it| it.record.to_string().len()).sum();
            (at, after) = if more { (at, last) } else { (at + 1, None) };
        }
        Ok(Some(page))
    }

    /// Erases what a workspace holds: campaigns, leads and replies of both modes. Its events and deliveries leave with
    /// their retention. Stops when `budget` is spent; asked again, it goes on.
    ///
    /// # Errors
    /// [`StoreError`] when something cannot be erased.
    pub async fn erase_workspace(
        &self,
        workspace: WorkspaceId,
        budget: Duration,
    ) -> Result<Erased, StoreError> {
        let started = Instant::now();
        let mut erased = Erased::default();
        let found: Option<Workspace> = self.workspace_record(workspace).await?;
        let partitions = self.data_of(found.as_slice());
        erased.done = self.empty(partitions, &mut erased.counts, started, budget).await?;
        Ok(erased)
    }

    /// Erases everything the organization owns but its audit records: first the data of its workspaces, then events and
    /// deliveries, then, with the directory's entries that point to them, the organization's own items, itself last. Stops
    /// when `budget` is spent; asked again, it goes on.
    ///
    /// # Errors
    /// [`StoreError`] when something cannot be erased.
    pub async fn erase(
        &self,
        organization: &Organization,
        now: Timestamp,
        budget: Duration,
    ) -> Result<Erased, StoreError> {
        let started = Instant::now();
        let mut erased = Erased::default();
        let mut partitions = self.data_of(&self.every_workspace().await?);
        partitions.extend(self.activity_since(organization.created_at, now));
        if !self.empty(partitions, &mut erased.counts, started, budget).await? {
            return Ok(erased);
        }
        for origin in &organization.settings.cors_origins {
            self.store.delete_from_directory(&keys::origin(origin, self.organization)).await?;
        }
        let own = keys::organization(self.organization);
        let items = self.store.all_of(In::Core, own.pk.clone()).await?;
        for batch in items.chunks(BATCH) {
            if started.elapsed() >= budget {
                return Ok(erased);
            }
            let children: Vec<&Item> =
                batch.iter().filter(|item| get_text(item, keys::SK) != Some(&own.sk)).collect();
            try_join_all(children.iter().map(|item| self.unlist(item))).await?;
            self.store.delete_all(In::Core, &children, &mut erased.counts).await?;
        }
        let itself: Vec<&Item> =
            items.iter().filter(|item| get_text(item, keys::SK) == Some(&own.sk)).collect();
        self.store.delete_all(In::Core, &itself, &mut erased.counts).await?;
        erased.done = true;
        Ok(erased)
    }

    /// Removes what the directory says of one of the organization's own items.
    async fn unlist(&self, item: &Item) -> Result<(), StoreError> {
        const OPERATION: &str = "erase";
        #[derive(Deserialize)]
        struct Hashed {
            hash: String,
        }
        #[derive(Deserialize)]
        struct Claimed {
            domain: String,
        }
        let (pk, sk) =
            (get_text(item, keys::PK).unwrap_or_default(), get_text(item, keys::SK).unwrap_or_default());
        match kind(pk, sk) {
            "member" => {
                let member: Member = item::read(OPERATION, item.clone())?;
                let link = keys::identity_organization(&member.email, self.organization);
                self.store.delete_from_directory(&link).await
            }
            "invitation" => {
                let invitation: Invitation = item::read(OPERATION, item.clone())?;
                let mark = keys::open_invitation(&invitation.email, self.organization);
                self.store.delete_from_directory(&mark).await?;
                self.store.delete_from_directory(&keys::single_use(&invitation.token_digest)).await
            }
            "api_key" => {
                let key: Hashed = item::read(OPERATION, item.clone())?;
                self.store.delete_from_directory(&keys::api_key_by_hash(&key.hash)).await
            }
            "domain" => {
                let claim: Claimed = item::read(OPERATION, item.clone())?;
                let owner = self.store.domain_owner(&claim.domain).await?;
                if owner.is_some_and(|owner| owner.organization_id == self.organization) {
                    self.store.delete_from_directory(&keys::domain(&claim.domain)).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Empties partitions, several side by side; whether it got through before `budget` was spent.
    async fn empty(
        &self,
        partitions: Vec<Partition>,
        counts: &mut BTreeMap<&'static str, u64>,
        started: Instant,
        budget: Duration,
    ) -> Result<bool, StoreError> {
        for some in partitions.chunks(SIDE_BY_SIDE) {
            loop {
                if started.elapsed() >= budget {
                    return Ok(false);
                }
                let found =
                    try_join_all(some.iter().map(|partition| self.store.some_of(partition, None, 200)))
                        .await?;
                let mut any = false;
                for (partition, (items, _)) in some.iter().zip(&found) {
                    any |= !items.is_empty();
                    if let Some(scope) = &partition.leads_of {
                        for lead in items.iter().filter_map(|item| get_text(item, keys::SK)) {
                            let replies = self.store.all_of(In::Core, keys::replies(scope, lead)).await?;
                            self.store
                                .delete_all(In::Core, &replies.iter().collect::<Vec<_>>(), counts)
                                .await?;
                        }
                    }
                    self.store.delete_all(partition.table, &items.iter().collect::<Vec<_>>(), counts).await?;
                }
                if !any {
                    break;
                }
            }
        }
        Ok(true)
    }
}

impl Store {
    fn table_in(&self, table: In) -> &str {
        match table {
            In::Core => self.core_table(),
            In::Activity => self.activity_table(),
            In::Audit => self.audit_table(),
        }
    }

    /// Items of one partition after `after`, at most `limit`, and whether there are more.
    async fn some_of(
        &self,
        partition: &Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let start = after.map(|sk| primary(&Key { pk: partition.pk.clone(), sk: sk.to_owned() }));
        let answer = self
            .client
            .query()
            .table_name(self.table_in(partition.table))
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(&partition.pk))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("estate", e))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key.is_some()))
    }

    async fn all_of(&self, table: In, pk: String) -> Result<Vec<Item>, StoreError> {
        self.client
            .query()
            .table_name(self.table_in(table))
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|e| StoreError::from_sdk("estate", e))
    }

    /// Deletes items, batch by batch; what DynamoDB leaves unprocessed makes it an outage, and comes up again.
    async fn delete_all(
        &self,
        table: In,
        items: &[&Item],
        counts: &mut BTreeMap<&'static str, u64>,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "erase";
        for batch in items.chunks(BATCH) {
            let requests = batch.iter().map(|item| {
                let key: Item = [keys::PK, keys::SK]
                    .into_iter()
                    .filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())))
                    .collect();
                let delete = DeleteRequest::builder().set_key(Some(key)).build();
                delete.map(|delete| WriteRequest::builder().delete_request(delete).build())
            });
            let requests: Vec<_> = requests
                .collect::<Result<_, _>>()
                .map_err(|e| StoreError::Refused { operation: OPERATION, source: Box::new(e) })?;
            let call = self.client.batch_write_item().request_items(self.table_in(table), requests);
            let answer = call.send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
            if answer.unprocessed_items.is_some_and(|left| !left.is_empty()) {
                return Err(StoreError::Unavailable {
                    operation: OPERATION,
                    source: "DynamoDB left items unprocessed".into(),
                });
            }
            for item in batch {
                let (pk, sk) = (
                    get_text(item, keys::PK).unwrap_or_default(),
                    get_text(item, keys::SK).unwrap_or_default(),
                );
                *counts.entry(kind(pk, sk)).or_default() += 1;
            }
        }
        Ok(())
    }

    async fn delete_from_directory(&self, key: &Key) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(self.directory_table());
        let delete = delete.set_key(Some(primary(key)));
        delete.send().await.map_err(|e| StoreError::from_sdk("erase", e))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_none_is_left_out() {
        let all = |first, last| days(first, last).map(|day| day.day()).collect::<Vec<_>>();
        let late = clock::utc(2026, 11, 20, 23, 59);
        assert_eq!(all(late, clock::utc(2026, 11, 22, 0, 1)), ["2026-11-20", "2026-11-21", "2026-11-22"]);
        assert_eq!(all(late, late), ["2026-11-20"]);
    }

    #[test]
    fn a_record_shows_no_key_and_no_secret() {
        let ids = ids::Ids::new(clock::Clock::system());
        let key = keys::endpoint(ids.next(), ids.next());
        let item = Item::from([
            ("pk".to_owned(), text(key.pk)),
            ("sk".to_owned(), text(key.sk)),
            ("sealed_secret".to_owned(), text("x")),
            ("hash".to_owned(), text("x")),
            ("url".to_owned(), text("https://example.com/")),
            (
                "headers".to_owned(),
                aws_sdk_dynamodb::types::AttributeValue::M(Item::from([("a".to_owned(), text("b"))])),
            ),
            ("expires_at".to_owned(), item::number(1)),
        ]);
        let shown = belonging(item).unwrap();
        assert_eq!(shown.kind, "endpoint");
        assert_eq!(shown.record, serde_json::json!({"url": "https://example.com/", "headers": {"a": null}}));
    }
}
