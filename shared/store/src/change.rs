//! Changes: everything a request alters, in one `TransactWriteItems`.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};

use clock::Timestamp;
use ids::{EndpointId, OrganizationId, ReplayId};
use serde::Serialize;
use telemetry::metrics::Metrics;

use crate::audit::AuditRecord;
use crate::error::is_passing;
use crate::idempotency::{Answer, Idempotent, Realm, Remembered};
use crate::item::{self, Item, text};
use crate::keys::{self, Key};
use crate::tally::Tally;
use crate::{Event, OutgoingMail, Store, StoreError, Tenant, replays, workspaces};

/// How often a transaction that met another one on the same item is tried in all: a few dozen people who join one
/// organization at the same moment all get their answer.
const CONFLICT_TRIES: u32 = 9;
/// The wait before the first further try; doubled each time up to [`LONGEST_WAIT`], and spread at random.
const FIRST_WAIT: Duration = Duration::from_millis(15);
const LONGEST_WAIT: Duration = Duration::from_millis(400);

/// Why a change was refused by the state of things. Nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Something it refers to does not exist in this tenant.
    Missing(&'static str),
    /// Something it creates exists.
    Exists(&'static str),
    /// A rule about the present state stands in the way.
    Rule(&'static str),
    /// What it alters is no longer as the caller knows it.
    Stale,
    /// What it alters was altered by somebody else at the same moment.
    Raced,
    /// The plan has no room for another one.
    Full {
        /// Of what, in words.
        what: &'static str,
        /// How many it allows.
        limit: u64,
    },
    /// The workspace it refers to is archived.
    Archived,
    /// No admin would be left.
    LastAdmin,
    /// The single-use token was used or withdrawn.
    Spent,
    /// Another organization has it.
    Taken,
    /// This replay to the endpoint runs, or is paused.
    Replaying(ReplayId),
}

/// What it means when a step's condition fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    /// The idempotency key was used before.
    Repeated,
    /// Always the same.
    Fixed(Refusal),
    /// The organization's item as it stands tells.
    Counts(Tally),
    /// The workspace's item as it stands tells.
    Unusable,
    /// What replays there are tells, one to this endpoint perhaps.
    Replays(EndpointId),
}

/// Why a change was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The same request was answered before; this is that answer.
    #[error("the request was answered before")]
    Replayed(Answer),
    /// The idempotency key belongs to another request.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The first request with this idempotency key is committing at this moment.
    #[error("the first request with this idempotency key is still running")]
    InProgress,
    /// A condition of the change does not hold.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A change under construction. It begins with its audit record and can't be made without one.
#[derive(Debug)]
#[must_use = "a change does nothing until it is committed"]
pub struct Change {
    operation: &'static str,
    audit: Vec<AuditRecord>,
    steps: Vec<Step>,
    tally: Option<(OrganizationId, Tally)>,
    events: Vec<Event>,
    pub(crate) mails: Vec<OutgoingMail>,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) table: Table,
    pub(crate) write: Write,
    /// What it means when the step's condition fails.
    pub(crate) meaning: Meaning,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    Directory,
    Core,
    Activity,
    Audit,
}

#[derive(Debug)]
pub(crate) enum Write {
    /// Put an item that must not exist.
    Create(Item),
    Put {
        item: Item,
        condition: String,
        values: Vec<(&'static str, aws_sdk_dynamodb::types::AttributeValue)>,
    },
    Update(Expression),
    Delete(Expression),
    Check(Expression),
}

/// Key, condition and update of one step, with their placeholders. An empty condition always holds.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    pub(crate) key: Item,
    pub(crate) update: String,
    pub(crate) condition: String,
    pub(crate) names: Vec<(&'static str, &'static str)>,
    pub(crate) values: Vec<(&'static str, aws_sdk_dynamodb::types::AttributeValue)>,
}

impl Change {
    /// A change of which `record` is the audit record.
    pub fn audited(record: AuditRecord) -> Self {
        Self {
            operation: record.action,
            audit: vec![record],
            steps: Vec::new(),
            tally: None,
            events: Vec::new(),
            mails: Vec::new(),
        }
    }

    /// Adds an event that the change causes. It goes out exactly if the change is committed.
    pub fn causing(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    pub(crate) fn step(self, table: Table, write: Write, refusal: Refusal) -> Self {
        self.judged_step(table, write, Meaning::Fixed(refusal))
    }

    /// A step the failure of whose condition has several meanings.
    pub(crate) fn judged_step(mut self, table: Table, write: Write, meaning: Meaning) -> Self {
        self.steps.push(Step { table, write, meaning });
        self
    }

    /// With `given`, whoever asked for the change means it for the version that was read alone (`If-Match`): where that
    /// was altered at the same moment, it is stale.
    pub fn only_as_read(mut self, given: bool) -> Self {
        for step in self.steps.iter_mut().filter(|_| given) {
            if let Meaning::Fixed(refusal @ Refusal::Raced) = &mut step.meaning {
                *refusal = Refusal::Stale;
            }
        }
        self
    }

    /// Refused for certain, for a reason that a read has found; but not before the same request has met its remembered
    /// answer. For the second of two equal requests, whose rule the first one broke.
    pub fn ruled_out(self, organization: OrganizationId, rule: &'static str) -> Self {
        let check = Expression {
            key: item::primary(&keys::organization(organization)),
            condition: "attribute_not_exists(pk)".to_owned(),
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Rule(rule))
    }

    /// Puts a whole record in the place of one that is still as it was read.
    pub(crate) fn replace<T: Serialize>(
        self,
        table: Table,
        key: &Key,
        record: &T,
        read_at_version: Timestamp,
    ) -> Result<Self, StoreError> {
        let put = Write::Put {
            item: item::write(self.operation, key, record)?,
            condition: "updated_at = :read".to_owned(),
            values: vec![(":read", text(read_at_version.to_string()))],
        };
        Ok(self.step(table, put, Refusal::Raced))
    }

    /// Moves the organization's counts; all moves of a change are one write.
    pub(crate) fn tally(mut self, organization: OrganizationId, tally: Tally) -> Self {
        let (_, so_far) = self.tally.unwrap_or((organization, Tally::default()));
        self.tally = Some((organization, so_far.and(tally)));
        self
    }

    /// Keeps the events it causes for so many days instead of the default 90.
    pub fn kept_for_days(mut self, days: u64) -> Self {
        for event in &mut self.events {
            event.keep_for_days(days);
        }
        self
    }

    /// When it is made, as its audit record says.
    pub(crate) fn at(&self) -> Timestamp {
        self.audit.first().map_or(Timestamp::EPOCH, |record| record.timestamp)
    }

    pub(crate) fn operation(&self) -> &'static str {
        self.operation
    }
}

impl Tenant {
    /// Commits a change of this tenant's data, remembering its answer if that is asked for.
    ///
    /// # Errors
    /// [`CommitError`]. Nothing was written, unless the store did not answer: then it may have been.
    pub async fn commit(&self, change: Change, idempotent: Option<&Idempotent>) -> Result<(), CommitError> {
        self.store.commit(change, idempotent.map(|i| (Realm::Tenant(self.organization), i))).await
    }
}

impl Store {
    /// Commits a sign-up, the one change that no tenant makes.
    ///
    /// # Errors
    /// [`CommitError`]. Nothing was written, unless the store did not answer: then it may have been.
    pub async fn commit_sign_up(
        &self,
        change: Change,
        idempotent: Option<&Idempotent>,
    ) -> Result<(), CommitError> {
        self.commit(change, idempotent.map(|i| (Realm::SignUp, i))).await
    }

    pub(crate) async fn commit(
        &self,
        change: Change,
        idempotent: Option<(Realm, &Idempotent)>,
    ) -> Result<(), CommitError> {
        let operation = change.operation;
        let published = change.events.len() + change.mails.len();
        let (writes, meanings) = self.writes(change, idempotent)?;
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let call = self.client.transact_write_items().set_transact_items(Some(writes.clone()));
            let error = match call.send().await {
                Ok(_) => {
                    // What is written and not read afterwards is noticed by it.
                    if published > 0 {
                        Metrics::new().count("Published", published).publish();
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            let reasons = match &error {
                SdkError::ServiceError(context) => match context.err() {
                    TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                        cancelled.cancellation_reasons()
                    }
                    _ => return Err(StoreError::from_sdk(operation, error).into()),
                },
                _ => return Err(StoreError::from_sdk(operation, error).into()),
            };
            match judge(operation, reasons, &meanings, idempotent.map(|(_, i)| i))? {
                Verdict::Contended { on_idempotency_key } if attempt >= CONFLICT_TRIES => {
                    return Err(if on_idempotency_key {
                        CommitError::InProgress
                    } else {
                        StoreError::Unavailable { operation, source: Box::new(error) }.into()
                    });
                }
                Verdict::Contended { .. } => {
                    tokio::time::sleep(spread(wait)).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Verdict::Passing => {
                    return Err(StoreError::Unavailable { operation, source: Box::new(error) }.into());
                }
                Verdict::Fault => {
                    return Err(StoreError::Refused { operation, source: Box::new(error) }.into());
                }
            }
        }
        Ok(())
    }

    /// The steps in DynamoDB's terms, beside what each one's failure means. The idempotency record comes first.
    fn writes(
        &self,
        change: Change,
        idempotent: Option<(Realm, &Idempotent)>,
    ) -> Result<(Vec<TransactWriteItem>, Vec<Meaning>), StoreError> {
        let operation = change.operation;
        let caused = change.events.len() + change.mails.len() + 2 * change.audit.len();
        let mut steps = Vec::with_capacity(change.steps.len() + caused + 1);
        let mut meanings = Vec::with_capacity(steps.capacity());
        if let Some((realm, idempotent)) = idempotent {
            let table = match realm {
                Realm::Tenant(_) => Table::Activity,
                Realm::SignUp => Table::Directory,
            };
            let write = Write::Put {
                item: idempotent.item(realm)?,
                condition: Idempotent::CONDITION.to_owned(),
                values: vec![(":now", idempotent.condition_value())],
            };
            steps.push((table, write));
            meanings.push(Meaning::Repeated);
        }
        if let Some((organization, tally)) = change.tally.filter(|(_, tally)| !tally.is_still()) {
            steps.push((Table::Core, tally.write(organization)));
            meanings.push(Meaning::Counts(tally));
        }
        for step in change.steps {
            steps.push((step.table, step.write));
            meanings.push(step.meaning);
        }
        let request_id = change.audit.first().map(|record| record.request_id.clone());
        for mut event in change.events {
            if let Some(request_id) = &request_id {
                event.caused_by(request_id);
            }
            steps.push((Table::Activity, Write::Create(event.item()?)));
            meanings.push(Meaning::Fixed(Refusal::Exists("event")));
        }
        for mail in change.mails {
            steps.push((Table::Activity, Write::Create(mail.item()?)));
            meanings.push(Meaning::Fixed(Refusal::Exists("mail")));
        }
        for record in change.audit {
            let (item, personal) = record.items()?;
            steps.push((Table::Audit, Write::Create(item)));
            meanings.push(Meaning::Fixed(Refusal::Exists("audit record")));
            if let Some(personal) = personal {
                steps.push((Table::Activity, Write::Create(personal)));
                meanings.push(Meaning::Fixed(Refusal::Exists("audit record")));
            }
        }
        let writes = steps
            .into_iter()
            .map(|(table, write)| self.write(table, write))
            .collect::<Result<_, _>>()
            .map_err(|source| StoreError::Refused { operation, source: Box::new(source) })?;
        Ok((writes, meanings))
    }

    pub(crate) fn table_name(&self, table: Table) -> &str {
        match table {
            Table::Directory => self.directory_table(),
            Table::Core => self.core_table(),
            Table::Activity => self.activity_table(),
            Table::Audit => self.audit_table(),
        }
    }

    pub(crate) fn write(
        &self,
        table: Table,
        write: Write,
    ) -> Result<TransactWriteItem, aws_sdk_dynamodb::error::BuildError> {
        let table = self.table_name(table);
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let given = |condition: String| (!condition.is_empty()).then_some(condition);
        let owned = |pairs: Vec<(&'static str, _)>| {
            (!pairs.is_empty())
                .then(|| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let names = |pairs: Vec<(&'static str, &'static str)>| {
            (!pairs.is_empty())
                .then(|| pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        };
        let write_item = TransactWriteItem::builder();
        Ok(match write {
            Write::Create(item) => write_item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item))
                    .condition_expression("attribute_not_exists(pk)")
                    .build()?,
            ),
            Write::Put { item, condition, values } => write_item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(given(condition))
                    .set_expression_attribute_values(owned(values))
                    .return_values_on_condition_check_failure(old)
                    .build()?,
            ),
            Write::Update(e) => write_item.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(e.key))
                    .update_expression(e.update)
                    .set_condition_expression(given(e.condition))
                    .set_expression_attribute_names(names(e.names))
                    .set_expression_attribute_values(owned(e.values))
                    .return_values_on_condition_check_failure(old)
                    .build()?,
            ),
            Write::Delete(e) => write_item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(e.key))
                    .set_condition_expression(given(e.condition))
                    .set_expression_attribute_names(names(e.names))
                    .set_expression_attribute_values(owned(e.values))
                    .build()?,
            ),
            Write::Check(e) => write_item.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(e.key))
                    .condition_expression(e.condition)
                    .set_expression_attribute_names(names(e.names))
                    .set_expression_attribute_values(owned(e.values))
                    .return_values_on_condition_check_failure(old)
                    .build()?,
            ),
        }
        .build())
    }
}

/// Between half of `wait` and all of it, so that those who met do not meet again.
pub(crate) fn spread(wait: Duration) -> Duration {
    let random = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    wait / 2 + wait * random / 510
}

enum Verdict {
    /// Another transaction was at work on the same item; trying again helps.
    Contended { on_idempotency_key: bool },
    /// Throttled; the caller is told to come back.
    Passing,
    /// Our request was wrong.
    Fault,
}

/// What the cancellation of a transaction means. The idempotency record is looked at first: if the request was
/// answered before, it does not matter that the change would no longer be possible.
fn judge(
    operation: &'static str,
    reasons: &[CancellationReason],
    meanings: &[Meaning],
    idempotent: Option<&Idempotent>,
) -> Result<Verdict, CommitError> {
    let mut verdict = Verdict::Fault;
    for (index, (reason, meaning)) in reasons.iter().zip(meanings).enumerate() {
        match reason.code() {
            None | Some("None") => {}
            Some("ConditionalCheckFailed") => match (meaning, idempotent) {
                (Meaning::Fixed(refusal), _) => return Err(CommitError::Refused(*refusal)),
                (Meaning::Counts(tally), _) => {
                    return Err(CommitError::Refused(tally.refusal(reason.item())));
                }
                (Meaning::Unusable, _) => {
                    return Err(CommitError::Refused(workspaces::unusable(reason.item())));
                }
                (Meaning::Replays(endpoint), _) => {
                    return Err(CommitError::Refused(replays::refusal(reason.item(), *endpoint)));
                }
                (Meaning::Repeated, Some(idempotent)) => {
                    let item = reason.item().cloned().unwrap_or_default();
                    let remembered: Remembered = item::read(operation, item)?;
                    return Err(if remembered.request_digest == idempotent.request_digest {
                        CommitError::Replayed(remembered.into_answer())
                    } else {
                        CommitError::KeyReused
                    });
                }
                (Meaning::Repeated, None) => {}
            },
            Some("TransactionConflict") => {
                let already = matches!(verdict, Verdict::Contended { on_idempotency_key: true });
                verdict = Verdict::Contended {
                    on_idempotency_key: already || (index == 0 && idempotent.is_some()),
                };
            }
            Some(code) if is_passing(code) => verdict = Verdict::Passing,
            Some(_) => {}
        }
    }
    Ok(verdict)
}
