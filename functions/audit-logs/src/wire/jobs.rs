//! What exports and erasures have in common on the wire.

use std::time::Duration;

use clock::Timestamp;
use edge::{Committed, Context, IdempotencyKey, Refused, Reply};
use http::StatusCode;
use objects::{Link, ObjectError};
use problem::Problem;
use serde::Serialize;
use store::{Change, ExportedFile, LongJob, LongJobKind, LongJobStatus};
use utoipa::ToSchema;

use crate::Shared;

/// How long a link leads to its file.
const LINKED_FOR: Duration = Duration::from_secs(60 * 60);

/// How far a job has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = JobProgress)]
pub(super) struct Progress {
    /// How many records it is through with.
    pub(super) records: u64,
    /// How many there are in all, where that is known beforehand.
    pub(super) total: Option<u64>,
}

impl Progress {
    pub(super) fn of(job: &LongJob) -> Self {
        Self { records: job.records, total: job.records_in_all }
    }
}

/// Where the files of a job are, for an hour. Whoever has a link has the file: ask for the job again for new ones.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ExportLinks)]
pub(super) struct Links {
    #[schema(value_type = String, format = "uri")]
    pub(super) file: Link,
    /// What proves a table; an NDJSON export has it in itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uri")]
    pub(super) proofs: Option<Link>,
    /// When the links end.
    pub(super) expires_at: Timestamp,
}

/// Size and checksum of a second file.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ExportFile)]
pub(super) struct FileBody {
    /// In bytes.
    pub(super) size: u64,
    /// In hex.
    pub(super) sha256: String,
}

impl FileBody {
    pub(super) fn of(file: &ExportedFile) -> Self {
        Self { size: file.size, sha256: file.sha256.clone() }
    }
}

/// The file of a job that is done, as long as it is there.
pub(super) fn file_of(job: &LongJob, now: Timestamp) -> Option<&ExportedFile> {
    job.file.as_ref().filter(|_| job.status_at(now) == LongJobStatus::Done)
}

/// A file that is linked to: the name that it is downloaded under, and its type.
pub(super) struct Named<'a> {
    pub(super) file: &'a ExportedFile,
    pub(super) name: String,
    pub(super) content_type: &'static str,
}

/// Links to the files of a job.
pub(super) async fn links(
    shared: &Shared,
    file: Named<'_>,
    proofs: Option<Named<'_>>,
    now: Timestamp,
) -> Result<Links, Refused> {
    let link = async |named: Named<'_>| {
        shared
            .exports
            .link(&named.file.key, LINKED_FOR, &named.name, named.content_type)
            .await
            .map_err(unlinked)
    };
    let file = link(file).await?;
    let proofs = match proofs {
        Some(proofs) => Some(link(proofs).await?),
        None => None,
    };
    Ok(Links { file, proofs, expires_at: now + LINKED_FOR })
}

fn unlinked(error: ObjectError) -> Refused {
    tracing::error!(error = telemetry::chain(&error), "a link could not be signed");
    Refused(Problem::Internal)
}

/// Puts on record that links to the files of a job are given out: who has one has all that is in its file. To be called
/// before anybody has them.
pub(super) async fn record_links(
    context: &Context,
    job: &LongJob,
    action: &'static str,
) -> Result<(), Refused> {
    let mut record = context.record(action, job.kind().as_str(), &job.id.to_string());
    (record.pii_accessed, record.sensitive, record.compliance_relevant) = (true, true, true);
    Ok(context.tenant().record(&record).await?)
}

/// A job of that kind, or 404.
pub(super) async fn find(
    context: &Context,
    id: ids::ExportId,
    kind: LongJobKind,
    what: &'static str,
) -> Result<LongJob, Refused> {
    let found = context.tenant().long_job(id).await?.filter(|job| job.kind() == kind);
    found.ok_or(Refused(Problem::NotFound { what }))
}

/// Commits that a job was asked for, has it looked at, and answers 202 with `shown`. Should the queue fail, the sweep sees to it
/// within a minute.
pub(super) async fn start<B: Serialize>(
    shared: &Shared,
    context: &Context,
    job: &LongJob,
    change: Change,
    shown: &B,
    key: &IdempotencyKey,
    body: &[u8],
) -> Reply {
    let committed = Committed { status: StatusCode::ACCEPTED, body: shown, replayed: shown };
    let answer = context.commit(change, None, key, body, committed).await?;
    let is_first = !answer.headers().contains_key("idempotency-replayed");
    if is_first && let Err(error) = shared.queue.send(context.tenant().organization_id(), job.id).await {
        tracing::warn!(error = telemetry::chain(&error), "a job was not queued; it will be");
    }
    Ok(answer)
}
