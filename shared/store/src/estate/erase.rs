//! The erasure: what an organization owns is removed, batch by batch. Nothing of the audit log is
//! ever touched, but what it says of people, which lies apart from it, goes.
//!
//! It can stop anywhere and begin again. What is found only by something else goes before that: replies before their lead,
//! deliveries before the state of their endpoint, a credential before the key, the link from an address before the member. The
//! organization's own item goes last, with the admins who are to have the receipt, in a transaction of the caller's
//! ([`Change::erase_organization`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, ReturnValue, TransactWriteItem, WriteRequest};
use clock::Timestamp;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ids::{LeadId, UserId, WorkspaceId};

use super::{
    Looks, Part, Position, Stretch, Wanted, of_activity, of_mails, of_personal_values, of_workspace,
};
use crate::change::{Expression, Table, Write};
use crate::item::{self, Item, get_text, number, primary, text};
use crate::keys::{self, Key, OfOrganization};
use crate::tally::Tally;
use crate::{
    ApiKey, Change, DomainClaim, Due, Endpoint, Invitation, Member, Organization, OrganizationStatus,
    Refusal, StoreError, Task, Tenant, Workspace, WorkspaceScope, WorkspaceStatus, WorkspaceStore,
};

/// Items of a batch.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;
/// Items read at once, and batches and leads worked on side by side.
const STRETCH: usize = 100;
const AT_ONCE: usize = 8;
/// How often DynamoDB is asked again to take what it left of a batch, and the first wait before that.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// What the attributes that count erased items begin with, on the organization's item.
const COUNTED: &str = "erased_count_";

/// How far an erasure has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Whether nothing is left to be erased.
    pub done: bool,
    /// Where to go on, if there is more. Going on from the front is right too, and looks at more.
    pub next: Option<Position>,
    /// How many of each kind were erased: of an organization in all its calls so far, of a workspace in this one.
    pub counts: BTreeMap<String, u64>,
}

/// An erasure in progress.
struct Work {
    budget: usize,
    erased: usize,
    counts: BTreeMap<&'static str, u64>,
    /// Only what belongs to this workspace.
    workspace: Option<WorkspaceId>,
}

impl Work {
    fn count(&mut self, kind: &'static str, items: usize) {
        if items > 0 {
            self.erased += items;
            *self.counts.entry(kind).or_default() += u64::try_from(items).unwrap_or(u64::MAX);
        }
    }

    fn is_spent(&self) -> bool {
        self.erased >= self.budget
    }

    fn count_kinds<'i>(&mut self, items: impl IntoIterator<Item = &'i Item>) {
        for item in items {
            self.count(keys::kind_of(get_text(item, keys::SK).unwrap_or_default()), 1);
        }
    }
}

pub(super) fn keys_of(items: &[Item]) -> Vec<Key> {
    items.iter().filter_map(item::key).collect()
}

impl Tenant {
    /// Erases what a deleted organization owns, or what one deleted workspace of it holds, until about `budget` items are
    /// gone. What is not deleted is left alone, and told as done with nothing counted: it was brought back.
    ///
    /// Of an organization, its own item and its [notified admins](Tenant::notified_admins) remain; a change with
    /// [`Change::erase_organization`] ends them. Of a workspace nothing remains.
    ///
    /// # Errors
    /// [`StoreError`]; part of it is then gone, and the call can be repeated.
    pub async fn erase(
        &self,
        workspace: Option<WorkspaceId>,
        now: Timestamp,
        budget: usize,
        from: Option<Position>,
    ) -> Result<Erased, StoreError> {
        let mut work = Work { budget: budget.max(1), erased: 0, counts: BTreeMap::new(), workspace };
        let Some(organization) = self.organization().await? else { return Ok(work.done()) };
        let next = match workspace {
            None if organization.status != OrganizationStatus::Deleted => return Ok(work.done()),
            None => self.erase_organization(&organization, now, from, &mut work).await?,
            Some(id) => match self.workspace_record(id).await? {
                Some(record) if record.status == WorkspaceStatus::Deleted => {
                    self.erase_workspace(&record, now, from, &mut work).await?
                }
                _ => return Ok(work.done()),
            },
        };
        let counts = match workspace {
            None => self.add_up(&work.counts).await?,
            Some(_) => work.counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
        };
        Ok(Erased { done: next.is_none(), next, counts })
    }

    async fn erase_organization(
        &self,
        organization: &Organization,
        now: Timestamp,
        from: Option<Position>,
        work: &mut Work,
    ) -> Result<Option<Position>, StoreError> {
        let mut parts = Vec::new();
        for workspace in self.every_workspace().await? {
            parts.extend(of_workspace(self.organization, workspace.id));
        }
        let tags = self.endpoint_tags().await?;
        parts.extend(of_activity(self.organization, &tags, organization.created_at, now));
        parts.extend([Part::Replays, Part::EndpointStates, Part::Sent, Part::LongJobs]);
        parts.extend(of_mails(organization.created_at, now));
        parts.extend(of_personal_values(self.organization, organization.created_at, now));
        let next = self.erase_parts(parts, now, from, work).await?;
        if next.is_some() {
            return Ok(next);
        }
        // The workspaces' own items say where the rest is, so they go when that is gone.
        self.erase_own(organization, work).await?;
        let left = work.is_spent().then(|| Position::at(Part::Own, None, now));
        Ok(left)
    }

    async fn erase_workspace(
        &self,
        workspace: &Workspace,
        now: Timestamp,
        from: Option<Position>,
        work: &mut Work,
    ) -> Result<Option<Position>, StoreError> {
        let mut parts = of_workspace(self.organization, workspace.id);
        let tags = self.endpoint_tags().await?;
        parts.extend(of_activity(self.organization, &tags, workspace.created_at, now));
        parts.push(Part::Sent);
        let next = self.erase_parts(parts, now, from, work).await?;
        if next.is_some() {
            return Ok(next);
        }
        self.erase_bound(workspace.id, work).await?;
        if work.is_spent() {
            return Ok(Some(Position::at(Part::Own, None, now)));
        }
        self.delete(Table::Core, vec![keys::workspace(self.organization, workspace.id)]).await?;
        work.count("workspace", 1);
        Ok(None)
    }

    /// Erases `parts` in their order; tells where the budget ended.
    async fn erase_parts(
        &self,
        mut parts: Vec<Part>,
        now: Timestamp,
        from: Option<Position>,
        work: &mut Work,
    ) -> Result<Option<Position>, StoreError> {
        parts.sort_unstable();
        let mut position = from.filter(|from| from.part != Part::Own);
        let mut index = position.as_ref().map_or(0, |from| parts.partition_point(|part| *part < from.part));
        let mut looks = Looks::default();
        while let Some(part) = parts.get(index).copied() {
            let after = position.take().filter(|from| from.part == part).and_then(|from| from.after);
            if looks.at(index).is_none() {
                looks = Looks {
                    first: index,
                    filled: self.filled(parts.get(index..).unwrap_or_default()).await?,
                };
            }
            if looks.at(index) == Some(true)
                && let Some(after) = self.erase_part(part, after, work).await?
            {
                return Ok(Some(Position::at(part, after, now)));
            }
            index += 1;
        }
        Ok(None)
    }

    /// Erases one partition; tells after what it stopped if the budget ended there.
    async fn erase_part(
        &self,
        part: Part,
        mut after: Option<String>,
        work: &mut Work,
    ) -> Result<Option<Option<String>>, StoreError> {
        let table = match part {
            Part::Events { .. }
            | Part::Deliveries { .. }
            | Part::Notices { .. }
            | Part::Replays
            | Part::EndpointStates
            | Part::Sent
            | Part::LongJobs
            | Part::Mails { .. }
            | Part::PersonalValues { .. } => Table::Activity,
            Part::Own | Part::Campaigns { .. } | Part::Leads { .. } | Part::Meetings { .. } => Table::Core,
            Part::Audit { .. } => return Ok(None),
        };
        // Partitions of a workspace belong to it as a whole.
        let workspace = work.workspace.filter(|_| matches!(table, Table::Activity));
        loop {
            if work.is_spent() {
                return Ok(Some(after));
            }
            let wanted = Wanted { after: after.as_deref(), workspace, ..Wanted::default() };
            let partition = part.partition(self.organization);
            let Stretch { items, next } =
                self.stretch(self.store.table_name(table), partition, wanted, STRETCH).await?;
            match part {
                Part::Campaigns { .. } => work.count("campaign", items.len()),
                Part::Meetings { .. } => work.count("meeting", items.len()),
                Part::Leads { workspace, mode, .. } => {
                    let scope = WorkspaceScope { organization: self.organization, workspace, mode };
                    let replies = self.erase_replies(&scope, &items).await?;
                    work.count("reply", replies);
                    work.count("lead", items.len());
                }
                _ => work.count_kinds(&items),
            }
            self.delete(table, keys_of(&items)).await?;
            match next {
                None => return Ok(None),
                next => after = next,
            }
        }
    }

    /// Erases the replies to leads.
    async fn erase_replies(&self, scope: &WorkspaceScope, leads: &[Item]) -> Result<usize, StoreError> {
        let ids = leads.iter().filter_map(|lead| get_text(lead, keys::SK)?.parse::<LeadId>().ok());
        // Collected first: a stream that holds the closure itself is not known to be `Send` by who spawns this.
        let erasures: Vec<_> =
            ids.map(|lead| self.erase_all(Table::Core, keys::replies(scope, lead), None)).collect();
        let erased: Vec<usize> = stream::iter(erasures).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(erased.into_iter().sum())
    }

    /// Erases a partition, or what in it has a sort key that begins with `prefix`.
    pub(super) async fn erase_all(
        &self,
        table: Table,
        partition: String,
        prefix: Option<String>,
    ) -> Result<usize, StoreError> {
        let mut erased = 0;
        loop {
            let wanted = Wanted { prefix: prefix.as_deref(), ..Wanted::default() };
            let name = self.store.table_name(table);
            let stretch = self.stretch(name, partition.clone(), wanted, STRETCH).await?;
            erased += stretch.items.len();
            self.delete(table, keys_of(&stretch.items)).await?;
            if stretch.next.is_none() {
                return Ok(erased);
            }
        }
    }

    /// Erases the organization's own items and what stands in the directory for them, all but its profile and the admins
    /// who are told of the end.
    async fn erase_own(&self, organization: &Organization, work: &mut Work) -> Result<(), StoreError> {
        let listed = &organization.settings.cors_origins;
        let origins = listed.iter().map(|origin| keys::origin(origin, self.organization)).collect();
        self.delete(Table::Directory, origins).await?;
        let told: BTreeSet<UserId> =
            self.notified_admins().await?.into_iter().map(|admin| admin.user_id).collect();
        let profile = keys::organization(self.organization).sk;
        let kept: BTreeSet<String> = told
            .into_iter()
            .map(|id| keys::member(self.organization, id).sk)
            .chain(std::iter::once(profile))
            .collect();
        let mut after = None;
        while !work.is_spent() {
            let wanted = Wanted { after: after.as_deref(), ..Wanted::default() };
            let partition = Part::Own.partition(self.organization);
            let Stretch { mut items, next } =
                self.stretch(self.store.core_table(), partition, wanted, STRETCH).await?;
            items.retain(|item| get_text(item, keys::SK).is_some_and(|sk| !kept.contains(sk)));
            let mut named = Vec::new();
            for item in &items {
                named.extend(self.named_by(item.clone()).await?);
                self.erase_usage(item).await?;
            }
            self.delete(Table::Directory, named).await?;
            work.count_kinds(&items);
            self.delete(Table::Core, keys_of(&items)).await?;
            match next {
                None => break,
                next => after = next,
            }
        }
        Ok(())
    }

    /// Erases what an API key was used for, if the item is one.
    async fn erase_usage(&self, item: &Item) -> Result<(), StoreError> {
        let id = get_text(item, keys::SK).and_then(keys::parse_api_key);
        if let Some(id) = id {
            self.erase_all(Table::Activity, keys::usage_of_key(self.organization, id), None).await?;
        }
        Ok(())
    }

    /// What stands in the directory for one of the organization's own items.
    async fn named_by(&self, item: Item) -> Result<Vec<Key>, StoreError> {
        const OPERATION: &str = "erase";
        let kind = keys::kind_of(get_text(&item, keys::SK).unwrap_or_default());
        Ok(match kind {
            "api_key" => {
                let key: ApiKey = item::read(OPERATION, item)?;
                self.named_by_key(&key)
            }
            "member" => {
                let member: Member = item::read(OPERATION, item)?;
                vec![keys::identity_organization(&member.email, self.organization)]
            }
            "invitation" => {
                let invitation: Invitation = item::read(OPERATION, item)?;
                vec![
                    keys::open_invitation(&invitation.email, self.organization),
                    keys::single_use(&invitation.token_digest),
                ]
            }
            "domain" => {
                let claim: DomainClaim = item::read(OPERATION, item)?;
                self.disown(&claim.domain).await?;
                claim.check_due(self.organization).iter().map(Due::key).collect()
            }
            _ => Vec::new(),
        })
    }

    /// A key's credential, and the warnings of its expiry.
    fn named_by_key(&self, key: &ApiKey) -> Vec<Key> {
        let warnings = key.expiry_warnings(self.organization);
        warnings.iter().map(Due::key).chain([keys::api_key_at(&key.locator)]).collect()
    }

    /// Frees a domain if it is this organization's.
    async fn disown(&self, domain: &str) -> Result<(), StoreError> {
        let delete = self
            .store
            .client
            .delete_item()
            .table_name(self.store.directory_table())
            .set_key(Some(primary(&keys::domain(domain))))
            .condition_expression("organization_id = :organization")
            .expression_attribute_values(":organization", text(self.organization.to_string()));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(StoreError::from_sdk("disown", error)),
        }
    }

    /// Erases what is the organization's but bound to one workspace: keys, endpoints, invitations. Their counts move with
    /// them, as the organization lives on.
    async fn erase_bound(&self, workspace: WorkspaceId, work: &mut Work) -> Result<(), StoreError> {
        const OPERATION: &str = "erase";
        let here = |id: Option<WorkspaceId>| id == Some(workspace);
        let of = self.organization;
        let all: Vec<ApiKey> = self.store.all_of_organization(OPERATION, of, OfOrganization::ApiKeys).await?;
        for key in all.into_iter().filter(|key| here(key.workspace_id)) {
            self.erase_all(Table::Activity, keys::usage_of_key(of, key.id), None).await?;
            let tally = Tally::default().less(key.weight());
            let own = unchanged(&keys::api_key(of, key.id), key.updated_at);
            self.end_bound(own, self.named_by_key(&key), tally).await?;
            work.count("api_key", 1);
        }
        let all: Vec<Endpoint> =
            self.store.all_of_organization(OPERATION, of, OfOrganization::Endpoints).await?;
        for endpoint in all.into_iter().filter(|endpoint| here(endpoint.workspace_id)) {
            let own = unchanged(&keys::endpoint(of, endpoint.id), endpoint.updated_at);
            self.end_bound(own, Vec::new(), Tally { endpoints: -1, ..Tally::default() }).await?;
            work.count("endpoint", 1);
        }
        let all: Vec<Invitation> =
            self.store.all_of_organization(OPERATION, of, OfOrganization::Invitations).await?;
        for invitation in all.into_iter().filter(|invitation| here(invitation.workspace_id)) {
            let own = unchanged(&keys::invitation(of, invitation.id), invitation.updated_at);
            // The mark may be another invitation's by now; then it stays.
            let mark = Expression {
                key: primary(&keys::open_invitation(&invitation.email, of)),
                condition: "attribute_not_exists(pk) OR invitation_id = :id".to_owned(),
                values: vec![(":id", text(invitation.id.to_string()))],
                ..Expression::default()
            };
            self.end_mark(mark).await?;
            let named = vec![keys::single_use(&invitation.token_digest)];
            self.end_bound(own, named, Tally::default()).await?;
            work.count("invitation", 1);
        }
        Ok(())
    }

    /// Removes the mark of an invitation, unless it is another one's.
    async fn end_mark(&self, mark: Expression) -> Result<(), StoreError> {
        const OPERATION: &str = "erase";
        let delete = self.store.client.delete_item().table_name(self.store.directory_table());
        let delete = delete.set_key(Some(mark.key)).condition_expression(mark.condition);
        let delete = mark
            .values
            .into_iter()
            .fold(delete, |delete, (name, value)| delete.expression_attribute_values(name, value));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_conditional_check_failed_exception() => Ok(()),
                _ => Err(StoreError::from_sdk(OPERATION, error)),
            },
        }
    }

    /// One transaction: an item, what the directory has of it, and its count.
    pub(super) async fn end_bound(
        &self,
        own: Expression,
        named: Vec<Key>,
        tally: Tally,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "erase";
        let fault = |source| StoreError::Refused { operation: OPERATION, source: Box::new(source) };
        let mut writes = vec![self.store.write(Table::Core, Write::Delete(own)).map_err(fault)?];
        for key in named {
            let delete = Expression { key: primary(&key), ..Expression::default() };
            writes.push(self.store.write(Table::Directory, Write::Delete(delete)).map_err(fault)?);
        }
        if !tally.is_still() {
            writes.push(self.store.write(Table::Core, tally.write(self.organization)).map_err(fault)?);
        }
        self.transact(OPERATION, writes).await
    }

    async fn transact(
        &self,
        operation: &'static str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<(), StoreError> {
        let call = self.store.client.transact_write_items().set_transact_items(Some(writes));
        // Whatever cancels it, a change at the same moment above all, is gone when it is tried again.
        call.send()
            .await
            .map_err(|source| StoreError::Unavailable { operation, source: Box::new(source) })?;
        Ok(())
    }

    /// Deletes items, batch by batch, until DynamoDB has taken all of them.
    pub(super) async fn delete(&self, table: Table, keys: Vec<Key>) -> Result<(), StoreError> {
        // One batch may not name an item twice.
        let mut keys: Vec<Key> = keys;
        keys.sort_unstable_by(|a, b| (&a.pk, &a.sk).cmp(&(&b.pk, &b.sk)));
        keys.dedup();
        let batches: Vec<_> = keys.chunks(BATCH).map(|batch| self.delete_batch(table, batch)).collect();
        stream::iter(batches).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn delete_batch(&self, table: Table, keys: &[Key]) -> Result<(), StoreError> {
        const OPERATION: &str = "erase";
        let fault = |source| StoreError::Refused { operation: OPERATION, source: Box::new(source) };
        let mut requests = keys
            .iter()
            .map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(primary(key))).build().map_err(fault)?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let mut wait = FIRST_WAIT;
        for _ in 0..TRIES {
            let call = self.store.client.batch_write_item();
            let call = call.request_items(self.store.table_name(table), requests);
            let answer = call.send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
            requests = answer.unprocessed_items.unwrap_or_default().into_values().flatten().collect();
            if requests.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(StoreError::Unavailable {
            operation: OPERATION,
            source: "DynamoDB left deletions unprocessed".into(),
        })
    }

    /// Adds to the counts on the organization's item; gives what they have come to.
    async fn add_up(
        &self,
        counts: &BTreeMap<&'static str, u64>,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut update = self
            .store
            .client
            .update_item()
            .table_name(self.store.core_table())
            .set_key(Some(primary(&keys::organization(self.organization))))
            .condition_expression("attribute_exists(pk)")
            .return_values(ReturnValue::AllNew);
        let mut additions = Vec::new();
        for (kind, count) in counts {
            additions.push(format!("{COUNTED}{kind} :{kind}"));
            let count = number(i64::try_from(*count).unwrap_or(i64::MAX));
            update = update.expression_attribute_values(format!(":{kind}"), count);
        }
        if additions.is_empty() {
            additions.push(format!("{COUNTED}other :other"));
            update = update.expression_attribute_values(":other", number(0));
        }
        let update = update.update_expression(format!("ADD {}", additions.join(", ")));
        let answer = update.send().await.map_err(|e| StoreError::from_sdk("add_up", e))?;
        let totals = answer.attributes.unwrap_or_default();
        let counted = totals.iter().filter_map(|(name, value)| {
            let kind = name.strip_prefix(COUNTED)?;
            let count = as_count(value)?;
            (count > 0).then(|| (kind.to_owned(), count))
        });
        Ok(counted.collect())
    }
}

fn as_count(value: &AttributeValue) -> Option<u64> {
    value.as_n().ok()?.parse().ok()
}

impl WorkspaceStore {
    /// Deletes the replies to a lead, `most` of them at most; tells whether none is left. The lead itself goes after, so
    /// that what was cut off is found when it is tried again.
    ///
    /// # Errors
    /// [`StoreError`]; part of it is then done, and the call can be repeated.
    pub async fn delete_replies(&self, lead: LeadId, most: usize) -> Result<bool, StoreError> {
        let tenant = Tenant { store: self.store.clone(), organization: self.scope.organization };
        let (table, mut deleted) = (Table::Core, 0);
        while deleted < most {
            let (name, partition) = (self.store.table_name(table), keys::replies(&self.scope, lead));
            let limit = STRETCH.min(most - deleted);
            let Stretch { items, next } = tenant.stretch(name, partition, Wanted::default(), limit).await?;
            deleted += items.len();
            tenant.delete(table, keys_of(&items)).await?;
            if next.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The deletion of an item that is as it was read.
pub(super) fn unchanged(key: &Key, read: Timestamp) -> Expression {
    Expression {
        key: primary(key),
        condition: "updated_at = :read".to_owned(),
        values: vec![(":read", text(read.to_string()))],
        ..Expression::default()
    }
}

impl Work {
    fn done(self) -> Erased {
        Erased { done: true, next: None, counts: BTreeMap::new() }
    }
}

impl Position {
    fn at(part: Part, after: Option<String>, until: Timestamp) -> Self {
        Self { part, after, replies_after: None, until }
    }
}

impl DomainClaim {
    /// The task of looking the challenge up again, while there is one.
    #[must_use]
    pub fn check_due(&self, organization: ids::OrganizationId) -> Option<Due> {
        let task = Task::CheckDomain { organization_id: organization, domain: self.domain.clone() };
        self.next_check_at.map(|due_at| Due { task, due_at })
    }
}

impl Change {
    /// Ends a deleted organization of which nothing else is left: its own item, and the admins who are told of it, with the
    /// links from their addresses.
    pub fn erase_organization(self, organization: &Organization, admins: &[Member]) -> Self {
        let id = organization.id;
        let own = Expression {
            key: primary(&keys::organization(id)),
            condition: "updated_at = :read AND #status = :deleted".to_owned(),
            names: vec![("#status", "status")],
            values: vec![(":read", text(organization.updated_at.to_string())), (":deleted", text("deleted"))],
            ..Expression::default()
        };
        let change = self.step(Table::Core, Write::Delete(own), Refusal::Raced);
        admins.iter().fold(change, |change, admin| {
            let whole = |key: Key| Write::Delete(Expression { key: primary(&key), ..Expression::default() });
            change.step(Table::Core, whole(keys::member(id, admin.user_id)), Refusal::Raced).step(
                Table::Directory,
                whole(keys::identity_organization(&admin.email, id)),
                Refusal::Raced,
            )
        })
    }
}
