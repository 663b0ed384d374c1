//! The rules of exports of the audit log.

use ids::{Ids, OrganizationId};
use problem::{FieldError, Problem};
use store::{AuditFilter, AuditRecord, Change, ExportFormat, FieldChange, LongJob, LongTask, StoreError};

/// The format of that name. Where there is none, that is one of the faults, and it does not matter what is given.
pub(crate) fn format(name: &str, faults: &mut Vec<FieldError>) -> ExportFormat {
    match name {
        "ndjson" => ExportFormat::Ndjson,
        "csv" => ExportFormat::Csv,
        _ => {
            faults.push(FieldError::new("/format", "value", "must be `ndjson` or `csv`"));
            ExportFormat::Ndjson
        }
    }
}

/// The job, if all of it is in order.
///
/// # Errors
/// 422 with every fault.
pub(crate) fn job(
    format: ExportFormat,
    filter: AuditFilter,
    faults: Vec<FieldError>,
    ids: &Ids,
    record: &AuditRecord,
) -> Result<LongJob, Problem> {
    if !faults.is_empty() {
        return Err(Problem::Invalid { errors: faults });
    }
    let task = LongTask::AuditExport { format, filter };
    Ok(LongJob::new(ids.next(), task, record.actor.id.clone(), record.timestamp))
}

/// The change that asks for the job. Which records are wanted is on record with it.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn start(
    job: &LongJob,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.resource_id = Some(job.id.to_string());
    (record.pii_accessed, record.sensitive, record.compliance_relevant) = (true, true, true);
    if let LongTask::AuditExport { format, filter } = &job.task {
        let malformed = |source: serde_json::Error| StoreError::Malformed {
            operation: "audit_log.export",
            source: source.into(),
        };
        let wanted = serde_json::to_value(filter).map_err(malformed)?;
        let change = |field: &str, after| FieldChange {
            field: field.to_owned(),
            before: serde_json::Value::Null,
            after,
        };
        record.changes.push(change("format", serde_json::to_value(format).map_err(malformed)?));
        let wanted = wanted.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        record.changes.extend(wanted.map(|(name, value)| change(name, value.clone())));
    }
    Change::audited(record).start_long_job(organization, job)
}
