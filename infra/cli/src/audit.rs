//! Audit logs: exported and verified.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use artisan_verify::{Trust, read_keys, verify_export};
use ids::OrganizationId;
use jobs::LongJobs;
use objects::Bucket;
use runtime::Services;
use store::{LongJob, LongJobStatus};

use crate::Verdict;
use crate::draft::Draft;
use crate::error::Error;
use crate::operator::Operator;
use crate::terminal::Terminal;

/// Between two looks at how far an export has come.
const LOOK: Duration = Duration::from_millis(250);

/// What is to be verified, and by what.
pub(crate) struct Wanted<'a> {
    pub(crate) keys: &'a [String],
    pub(crate) checkpoint: Option<&'a Path>,
    pub(crate) output: Option<&'a Path>,
    pub(crate) patience: Duration,
}

/// Verifies an organization's audit log.
pub(crate) async fn verify(
    services: &Services,
    organization: OrganizationId,
    wanted: Wanted<'_>,
    terminal: &mut Terminal,
) -> Result<Verdict, Error> {
    // No `present`: the log of an erased organization is kept, and can be verified.
    let operator = Operator::at(services, organization)?;
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })
    };
    let kept = wanted.checkpoint.map(read).transpose()?;
    let mut keys = Vec::new();
    for key in wanted.keys {
        keys.extend(read_keys(key)?);
    }
    // Of an id that is nobody's nothing is asked for: it would be the only thing there is of it.
    let head = operator.tenant.log_head().await?.ok_or(Error::NotSealed)?;
    if keys.is_empty() {
        for key in &head.keys {
            keys.extend(read_keys(key)?);
        }
    }
    let output = wanted.output.map(Draft::begin).transpose()?;
    let client = objects::Client::from_services(services);
    let exports = Bucket::from_environment(&services.environment, "EXPORTS_BUCKET", &client)?;
    let queue = LongJobs::from_services(services)?;
    let record = operator.record("audit_log.export", ("audit_export", None));
    let asked = fn_audit_logs::operator::export(&operator.tenant, record, &queue, &services.ids).await?;
    let done = wait(&operator, asked, wanted.patience, terminal).await?;
    let failed = |how: &str| Error::Export { id: done.id.to_string(), how: how.to_owned() };
    let file = done.file.as_ref().ok_or_else(|| failed("has no file"))?;
    let content = exports.get(&file.key).await?.ok_or_else(|| failed("has lost its file"))?;
    if let Some(mut file) = output {
        file.write_all(&content)?;
        file.finish()?;
    }
    let report = verify_export(Cursor::new(content), &Trust { keys, kept })?.of_whole_log();
    terminal.say(&report, &report.to_string())?;
    Ok(if report.intact { Verdict::Fine } else { Verdict::Faulty })
}

/// Waits for an export to be done.
async fn wait(
    operator: &Operator<'_>,
    asked: LongJob,
    patience: Duration,
    terminal: &Terminal,
) -> Result<LongJob, Error> {
    let started = Instant::now();
    let bar = terminal.progress(None, "records exported");
    loop {
        let found = operator.tenant.long_job(asked.id).await?;
        let failed = |how: String| Error::Export { id: asked.id.to_string(), how };
        let job = found.ok_or_else(|| failed("is not there any more".to_owned()))?;
        bar.set_position(job.records);
        match job.status_at(operator.now()) {
            LongJobStatus::Done => {
                bar.finish_and_clear();
                return Ok(job);
            }
            LongJobStatus::Queued | LongJobStatus::Running if started.elapsed() < patience => {}
            LongJobStatus::Queued | LongJobStatus::Running => {
                let how = "is not done yet; look at the log of `worker`, or wait longer (--patience)";
                return Err(failed(how.to_owned()));
            }
            _ => {
                let reason = job.reason.unwrap_or_else(|| "its files are gone".to_owned());
                return Err(failed(format!("failed: {reason}")));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
