//! What an operator asks of an audit log from the command line: by the rules of the routes, and on record as they are.

use ::jobs::LongJobs;
use ids::Ids;
use store::{AuditFilter, AuditRecord, CommitError, ExportFormat, LongJob, LongTask, Tenant};

use crate::app::exports;

/// Asks for an export of the whole log, as `POST /api/admin/audit-logs/exports` does; the `worker` function makes it. `record`
/// is the record of it, but for the export's id.
///
/// # Errors
/// [`CommitError`]: two exports are not finished, or the store failed.
pub async fn export(
    tenant: &Tenant,
    record: AuditRecord,
    queue: &LongJobs,
    ids: &Ids,
) -> Result<LongJob, CommitError> {
    let task = LongTask::AuditExport { format: ExportFormat::Ndjson, filter: AuditFilter::default() };
    let job = LongJob::new(ids.next(), task, record.actor.id.clone(), record.timestamp);
    tenant.commit(exports::start(&job, tenant.organization_id(), record)?, None).await?;
    if let Err(error) = queue.send(tenant.organization_id(), job.id).await {
        // The sweep sees to it.
        tracing::warn!(error = telemetry::chain(&error), "an export is left to the sweep");
    }
    Ok(job)
}
