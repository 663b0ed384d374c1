//! Long jobs: what takes longer than a request may, and is done by the `worker` function.
//!
//! A job is an item; the message in the queue only says "look at it". Whoever works on a job holds it by a lease and its
//! *fence*, a number that rises whenever the job changes hands, so of two who have it one can write. As long as a job is not
//! finished it stands in `by-attention`, from where the sweep queues it again when nobody has looked after it in time: its
//! message was lost, or who worked on it is gone. What was begun [`MOST_STARTS`] times is given up.
//!
//! One item of the organization for each kind names the jobs that are not finished. It is written with each that begins or
//! ends, so there are [`MOST_UNFINISHED`] of a kind at most, however many are asked for at once.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use ids::{ExportId, Ids, LeadId, OrganizationId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::{Expression, Table, Write};
use crate::item::{self, Item, number, primary, text};
use crate::spread::{Listed, Spread};
use crate::{
    AuditFilter, AuditRecord, Change, CommitError, FieldChange, PageRequest, Person, Refusal, Store,
    StoreError, Tenant, keys,
};

/// How often a job is begun.
pub const MOST_STARTS: u32 = 3;
/// How many jobs of a kind an organization may have that are not finished.
pub const MOST_UNFINISHED: usize = 2;
/// How many of them an erasure sees to at once: a transaction each, well within a lease.
const CLEARED_AT_ONCE: usize = 20;
/// How long a job is kept, from when it was asked for.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long its files are.
const FILES_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A queued job that nobody has begun after this time is queued again. Its message was sent right after it was made.
const QUEUED_FOR: Duration = Duration::from_secs(60);
/// The same for one that the sweep has queued: others may stand before it.
const QUEUED_AGAIN_FOR: Duration = Duration::from_secs(15 * 60);

/// What kind of job it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LongJobKind {
    /// An export of the audit log.
    AuditExport,
    /// An export of what is held about a person.
    PersonalExport,
    /// The erasure of a person.
    Erasure,
}

impl LongJobKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AuditExport, Self::PersonalExport, Self::Erasure];

    /// The name in keys and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuditExport => "audit_export",
            Self::PersonalExport => "personal_export",
            Self::Erasure => "erasure",
        }
    }
}

/// How an audit export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON object a line, proofs among them.
    Ndjson,
    /// A table, and its proofs in a second file.
    Csv,
}

/// Who is meant. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Whoever has this e-mail address.
    Email(String),
    /// This user.
    UserId(UserId),
    /// The person that this lead is.
    LeadId(LeadId),
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.named_by())
    }
}

impl Subject {
    /// By what the person is named.
    #[must_use]
    pub fn named_by(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::UserId(_) => "user_id",
            Self::LeadId(_) => "lead_id",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LongTask {
    /// Export the audit log.
    AuditExport {
        /// How.
        format: ExportFormat,
        /// Which records.
        filter: AuditFilter,
    },
    /// Export what is held about a person.
    PersonalExport {
        /// Who; forgotten once the job is finished.
        about: Option<Subject>,
        /// By what they were named.
        named_by: String,
    },
    /// Erase a person.
    Erasure {
        /// Who; forgotten once the job is finished.
        about: Option<Subject>,
        /// By what they were named.
        named_by: String,
    },
}

impl LongTask {
    /// What kind of job it is.
    #[must_use]
    pub fn kind(&self) -> LongJobKind {
        match self {
            Self::AuditExport { .. } => LongJobKind::AuditExport,
            Self::PersonalExport { .. } => LongJobKind::PersonalExport,
            Self::Erasure { .. } => LongJobKind::Erasure,
        }
    }

    /// Who is meant, until the job is finished.
    #[must_use]
    pub fn about(&self) -> Option<&Subject> {
        match self {
            Self::AuditExport { .. } => None,
            Self::PersonalExport { about, .. } | Self::Erasure { about, .. } => about.as_ref(),
        }
    }

    fn forget(&mut self) {
        match self {
            Self::AuditExport { .. } => {}
            Self::PersonalExport { about, .. } | Self::Erasure { about, .. } => *about = None,
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum LongJobStatus {
    /// Nobody works on it.
    Queued,
    /// Somebody does.
    Running,
    /// It is done.
    Done,
    /// It was given up.
    Failed,
    /// It was done, and its files are gone.
    Expired,
}

/// A file that a job made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Its key in the bucket of exports.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongJob {
    /// Its id.
    pub id: ExportId,
    /// What is to be done.
    pub task: LongTask,
    /// Where it stands.
    pub status: LongJobStatus,
    /// Who asked: the id of a person or a key.
    pub requested_by: String,
    /// How many records it is through with.
    #[serde(default)]
    pub records: u64,
    /// How many there are in all, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_in_all: Option<u64>,
    /// What it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ExportedFile>,
    /// The proofs that belong to a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proofs: Option<ExportedFile>,
    /// An upload that is under way, as who works on the job knows it: for who takes it over, to give it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// Who is being erased, as far as that was found out. Forgotten once the job is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// How far an erasure has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// What an erasure has erased, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub erased: BTreeMap<String, u64>,
    /// Why it was given up, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it was begun.
    #[serde(default)]
    pub starts: u32,
    /// Rises whenever the job changes hands.
    #[serde(default)]
    pub fence: u64,
    /// When the sweep is to see to it: the end of a lease, or of a wait in the queue.
    pub look_at: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl LongJob {
    /// A job that is asked for now.
    #[must_use]
    pub fn new(id: ExportId, task: LongTask, requested_by: String, now: Timestamp) -> Self {
        Self {
            id,
            task,
            status: LongJobStatus::Queued,
            requested_by,
            records: 0,
            records_in_all: None,
            file: None,
            proofs: None,
            upload: None,
            person: None,
            position: None,
            erased: BTreeMap::new(),
            reason: None,
            starts: 0,
            fence: 0,
            look_at: now + QUEUED_FOR,
            created_at: now,
            updated_at: now,
            finished_at: None,
        }
    }

    /// What kind of job it is.
    #[must_use]
    pub fn kind(&self) -> LongJobKind {
        self.task.kind()
    }

    /// Whether nobody has to do anything about it any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !matches!(self.status, LongJobStatus::Queued | LongJobStatus::Running)
    }

    /// When its files go, if it has any.
    #[must_use]
    pub fn files_expire_at(&self) -> Option<Timestamp> {
        self.file.as_ref()?;
        Some(self.finished_at? + FILES_KEPT)
    }

    /// Where it stands at a time: what is done expires with its files.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> LongJobStatus {
        match self.files_expire_at() {
            Some(end) if self.status == LongJobStatus::Done && end <= now => LongJobStatus::Expired,
            _ => self.status,
        }
    }

    fn item(&self, operation: &'static str, organization: OrganizationId) -> Result<Item, StoreError> {
        let key = keys::long_job(organization, self.id);
        let mut item = item::write(operation, &key, self)?;
        item.insert("expires_at".to_owned(), number((self.created_at + KEPT).seconds()));
        if !self.is_finished() {
            item.insert("attention_pk".to_owned(), text(keys::attention(organization)));
            item.insert("attention_sk".to_owned(), text(key.sk));
        }
        Ok(item)
    }

    /// The change that names it among the unfinished jobs of its kind, or takes it from them.
    fn unfinished(&self, organization: OrganizationId, begins: bool, now: Timestamp) -> Expression {
        let mut change = Expression {
            key: primary(&keys::unfinished_jobs(organization, self.kind().as_str())),
            update: format!(
                "SET v = :v, created_at = if_not_exists(created_at, :now), updated_at = :now {} jobs :job",
                if begins { "ADD" } else { "DELETE" }
            ),
            values: vec![
                (":v", number(1)),
                (":now", text(now.to_string())),
                (":job", AttributeValue::Ss(vec![self.id.to_string()])),
            ],
            ..Expression::default()
        };
        if begins {
            change.condition = "attribute_not_exists(jobs) OR size(jobs) < :most".to_owned();
            change.values.push((":most", number(i64::try_from(MOST_UNFINISHED).unwrap_or(i64::MAX))));
        }
        change
    }

    /// The job in the hands of the next one.
    fn handed_on(&self, now: Timestamp) -> Self {
        Self { fence: self.fence + 1, updated_at: now, ..self.clone() }
    }

    /// How many of each kind it has erased, as an audit record tells it.
    #[must_use]
    pub fn erased_changes(&self) -> Vec<FieldChange> {
        let change = |(kind, count): (&String, &u64)| FieldChange {
            field: kind.clone(),
            before: (*count).into(),
            after: 0.into(),
        };
        self.erased.iter().map(change).collect()
    }

    /// The record of its being given up by a part of the system. A reason names nobody but by an id.
    fn failure(
        &self,
        organization: OrganizationId,
        reason: &str,
        by: &str,
        ids: &Ids,
        now: Timestamp,
    ) -> AuditRecord {
        let action = match self.kind() {
            LongJobKind::AuditExport => "audit_log.export_failed",
            LongJobKind::PersonalExport => "privacy.export_failed",
            LongJobKind::Erasure => "privacy.erase_failed",
        };
        let mut changes = self.erased_changes();
        changes.push(FieldChange { field: "reason".to_owned(), before: Value::Null, after: reason.into() });
        AuditRecord {
            success: false,
            error_code: Some("job_failed".to_owned()),
            changes,
            pii_accessed: true,
            ..AuditRecord::by_system(
                by,
                action,
                (self.kind().as_str(), Some(self.id.to_string())),
                organization,
                ids,
                now,
            )
        }
    }

    /// The job as it ends, without what it needs to know of a person.
    fn ended(&self, status: LongJobStatus, now: Timestamp) -> Self {
        let mut ended = self.handed_on(now);
        ended.task.forget();
        Self { status, upload: None, person: None, position: None, finished_at: Some(now), ..ended }
    }
}

/// How a job that was to be worked on stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LongClaim {
    /// It is held.
    Held(Box<LongJob>),
    /// Somebody else holds it, or has just taken it.
    Busy,
    /// It was begun too often.
    Spent(Box<LongJob>),
    /// There is nothing to do, or no such job.
    Finished,
}

/// Some jobs that an erasure has seen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// Uploads that were under way for them.
    pub uploads: Vec<String>,
    /// After which job to go on, if there may be more.
    pub next: Option<ExportId>,
}

impl Change {
    /// Asks for a job, unless [`MOST_UNFINISHED`] of its kind are not finished.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn start_long_job(self, organization: OrganizationId, job: &LongJob) -> Result<Self, StoreError> {
        let item = job.item(self.operation(), organization)?;
        let unfinished = Write::Update(job.unfinished(organization, true, job.created_at));
        let full = Refusal::Rule("two jobs of this kind are not finished; wait for one of them");
        Ok(self.step(Table::Activity, Write::Create(item), Refusal::Exists("job")).step(
            Table::Activity,
            unfinished,
            full,
        ))
    }

    /// Ends a job that is held, as done.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn finish_long_job(
        self,
        organization: OrganizationId,
        held: &LongJob,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        self.end_long_job(organization, held, &held.ended(LongJobStatus::Done, now), now)
    }

    /// Ends a job as `ended`, as long as it is in the hands it was read in.
    fn end_long_job(
        self,
        organization: OrganizationId,
        read: &LongJob,
        ended: &LongJob,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let put = put(self.operation(), organization, read.fence, ended)?;
        let finished = Write::Update(read.unfinished(organization, false, now));
        Ok(self.step(Table::Activity, put, Refusal::Raced).step(Table::Activity, finished, Refusal::Raced))
    }
}

/// A job in the place of itself, as long as it is in the hands it was read in.
fn put(
    operation: &'static str,
    organization: OrganizationId,
    fence: u64,
    job: &LongJob,
) -> Result<Write, StoreError> {
    Ok(Write::Put {
        item: job.item(operation, organization)?,
        condition: "fence = :fence".to_owned(),
        values: vec![(":fence", AttributeValue::N(fence.to_string()))],
    })
}

impl Tenant {
    /// A job.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn long_job(&self, id: ExportId) -> Result<Option<LongJob>, StoreError> {
        self.store.get(Store::activity_table, "long_job", &keys::long_job(self.organization, id)).await
    }

    /// The jobs of a kind, latest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn long_jobs(
        &self,
        kind: LongJobKind,
        page: &PageRequest<ExportId>,
    ) -> Result<Listed<LongJob>, StoreError> {
        self.jobs_of("long_jobs", &[kind], page).await
    }

    /// The jobs of some kinds, latest first.
    async fn jobs_of(
        &self,
        operation: &'static str,
        kinds: &[LongJobKind],
        page: &PageRequest<ExportId>,
    ) -> Result<Listed<LongJob>, StoreError> {
        let (start, end) = keys::long_job_bounds();
        let list = Spread {
            table: self.store.activity_table(),
            index: None,
            forward: false,
            levels: vec![vec![keys::long_jobs(self.organization)]],
            between: (start, page.after.map_or(end, |id| keys::long_job(self.organization, id).sk)),
        };
        let keep = |item: &Item| {
            let task = item.get("task").and_then(|task| task.as_m().ok());
            let kind = task.and_then(|task| item::get_text(task, "kind"));
            kinds.iter().any(|wanted| kind == Some(wanted.as_str()))
        };
        let listed = self.store.spread(operation, list, page.limit, keep).await?;
        listed.map(|items| item::read_all(operation, items))
    }

    /// Takes a job in hand for `lease`.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; the job may then be held by nobody until the lease is over.
    pub async fn claim_long_job(
        &self,
        id: ExportId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<LongClaim, StoreError> {
        let Some(read) = self.long_job(id).await?.filter(|job| !job.is_finished()) else {
            return Ok(LongClaim::Finished);
        };
        if read.status == LongJobStatus::Running && read.look_at > now {
            return Ok(LongClaim::Busy);
        }
        if read.starts >= MOST_STARTS {
            return Ok(LongClaim::Spent(Box::new(read)));
        }
        let held = LongJob {
            status: LongJobStatus::Running,
            starts: read.starts + 1,
            look_at: now + lease,
            ..read.handed_on(now)
        };
        Ok(if self.put_job("claim_long_job", read.fence, &held).await? {
            LongClaim::Held(Box::new(held))
        } else {
            LongClaim::Busy
        })
    }

    /// Writes down how far a job that is held has come, and renews the lease. Whether it still is.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn note_long_job(
        &self,
        held: &mut LongJob,
        lease: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        (held.look_at, held.updated_at) = (now + lease, now);
        self.put_job("note_long_job", held.fence, held).await
    }

    /// Lets go of a job that is held: it is begun again after `wait`, at the latest.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it is then let go of when its lease is over.
    pub async fn release_long_job(
        &self,
        held: &LongJob,
        wait: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let released = LongJob { status: LongJobStatus::Queued, look_at: now + wait, ..held.handed_on(now) };
        self.put_job("release_long_job", held.fence, &released).await
    }

    /// Ends a job that is held, as done. Whether it still was held.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it may then be done all the same.
    pub async fn finish_long_job(&self, held: &LongJob, now: Timestamp) -> Result<bool, StoreError> {
        self.end_job("finish_long_job", held, held.ended(LongJobStatus::Done, now), now).await
    }

    /// Gives a job up, in the hands it was read in; `by` is the part of the system that does. That is on record, with what an
    /// erasure has erased until then, or it is not done. Whether the job was still in those hands.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it may then be done all the same.
    pub async fn fail_long_job(
        &self,
        read: &LongJob,
        reason: &str,
        by: &str,
        ids: &Ids,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let record = read.failure(self.organization, reason, by, ids, now);
        let reason = Some(reason.to_owned());
        let failed = LongJob { reason, file: None, proofs: None, ..read.ended(LongJobStatus::Failed, now) };
        let change = Change::audited(record).end_long_job(self.organization, read, &failed, now)?;
        let operation = change.operation();
        match self.commit(change, None).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(Refusal::Raced)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error),
            // Nothing else is asked of it.
            Err(error) => Err(StoreError::Refused { operation, source: Box::new(error) }),
        }
    }

    /// Has a job that nobody looks after begun again; its message is to be sent then. Whether nobody else did so.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn requeue_long_job(&self, read: &LongJob, now: Timestamp) -> Result<bool, StoreError> {
        let queued =
            LongJob { status: LongJobStatus::Queued, look_at: now + QUEUED_AGAIN_FOR, ..read.handed_on(now) };
        self.put_job("requeue_long_job", read.fence, &queued).await
    }

    /// Sees to some of the other jobs when a person is erased, the latest first, those after `after`: whoever works on an export
    /// loses it and it is begun anew, files that are done expire, and what is asked for about this very person ends, put on
    /// record by `by`. The files themselves are the caller's, and so is its lease.
    ///
    /// # Errors
    /// [`StoreError`]; part of it is then done, and it can be repeated.
    pub async fn clear_exports(
        &self,
        person: &Person,
        after: Option<ExportId>,
        by: &str,
        ids: &Ids,
        now: Timestamp,
    ) -> Result<Cleared, StoreError> {
        const OPERATION: &str = "clear_exports";
        let kinds = [LongJobKind::AuditExport, LongJobKind::PersonalExport];
        let page = PageRequest { limit: CLEARED_AT_ONCE, after };
        let listed = self.jobs_of(OPERATION, &kinds, &page).await?;
        let mut uploads = Vec::new();
        for job in &listed.items {
            uploads.extend(job.upload.clone());
            let bare = LongJob { file: None, proofs: None, upload: None, ..job.handed_on(now) };
            let done = if job.task.about().is_some_and(|about| person.is(about)) {
                self.fail_long_job(job, "The person was erased.", by, ids, now).await?
            } else if job.status == LongJobStatus::Running {
                let queued = LongJob { status: LongJobStatus::Queued, look_at: now, starts: 0, ..bare };
                self.put_job(OPERATION, job.fence, &queued).await?
            } else if job.status == LongJobStatus::Done {
                let expired = LongJob { status: LongJobStatus::Expired, ..bare };
                self.put_job(OPERATION, job.fence, &expired).await?
            } else {
                true
            };
            if !done {
                let source = "an export moved at the same moment".into();
                return Err(StoreError::Unavailable { operation: OPERATION, source });
            }
        }
        let next = listed.next.as_deref().and_then(keys::parse_long_job);
        Ok(Cleared { uploads, next })
    }

    /// Whether a file is one that an export has made, or is making, since the jobs were seen to: nothing of the person is in
    /// it. `fence` is that of the start that made it.
    ///
    /// # Errors
    /// [`StoreError`] when the job cannot be read.
    pub async fn made_since(&self, job: ExportId, fence: u64, key: &str) -> Result<bool, StoreError> {
        let Some(job) = self.long_job(job).await? else { return Ok(false) };
        Ok(match job.status {
            LongJobStatus::Queued | LongJobStatus::Running => fence >= job.fence,
            LongJobStatus::Done => [&job.file, &job.proofs].into_iter().flatten().any(|file| file.key == key),
            LongJobStatus::Failed | LongJobStatus::Expired => false,
        })
    }

    async fn put_job(&self, operation: &'static str, fence: u64, job: &LongJob) -> Result<bool, StoreError> {
        let put = put(operation, self.organization, fence, job)?;
        self.store.all_or_none(operation, vec![(Table::Activity, put)]).await
    }

    async fn end_job(
        &self,
        operation: &'static str,
        read: &LongJob,
        ended: LongJob,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let put = put(operation, self.organization, read.fence, &ended)?;
        let finished = Write::Update(read.unfinished(self.organization, false, now));
        self.store.all_or_none(operation, vec![(Table::Activity, put), (Table::Activity, finished)]).await
    }
}

/// The job at a position of a list.
#[must_use]
pub fn long_job_at(position: &str) -> Option<ExportId> {
    keys::parse_long_job(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> LongJob {
        let now = clock::utc(2026, 11, 22, 15, 4);
        let about = Some(Subject::Email("ada@example.com".to_owned()));
        let task = LongTask::Erasure { about, named_by: "email".to_owned() };
        LongJob::new(ids::Id::derived(now, [1; 16]), task, "usr_1".to_owned(), now)
    }

    #[test]
    fn a_job_reads_back_and_leaves_attention_when_it_ends() {
        let organization = ids::Id::derived(clock::utc(2026, 11, 22, 15, 4), [2; 16]);
        let now = clock::utc(2026, 11, 22, 16, 0);
        let item = job().item("test", organization).unwrap();
        assert!(item.contains_key("attention_pk"));
        assert_eq!(item::read::<LongJob>("test", item).unwrap(), job());
        let ended = job().ended(LongJobStatus::Done, now);
        let item = ended.item("test", organization).unwrap();
        assert!(!item.contains_key("attention_pk"));
        assert!(!format!("{item:?}").contains("ada@"), "a finished job knows nobody");
        assert!(!format!("{:?}", job()).contains("ada@"));
        let filter =
            AuditFilter { actor: Some("usr_1".to_owned()), from: Some(now), ..AuditFilter::default() };
        let task = LongTask::AuditExport { format: ExportFormat::Csv, filter };
        let job = LongJob { task, ..job() };
        let item = job.item("test", organization).unwrap();
        assert_eq!(item::read::<LongJob>("test", item).unwrap(), job);
    }

    #[test]
    fn what_is_done_expires_with_its_files() {
        let now = clock::utc(2026, 11, 22, 16, 0);
        let file = Some(ExportedFile { key: "a".to_owned(), size: 1, sha256: String::new() });
        let done = LongJob { file, ..job().ended(LongJobStatus::Done, now) };
        assert_eq!(done.status_at(now), LongJobStatus::Done);
        assert_eq!(done.status_at(now + FILES_KEPT), LongJobStatus::Expired);
        let erased = job().ended(LongJobStatus::Done, now);
        assert_eq!(erased.status_at(now + FILES_KEPT), LongJobStatus::Done, "it has no file");
    }
}
