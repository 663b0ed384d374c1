//! What a look over a deployment finds.

use std::fmt;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use serde::Serialize;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, or is not safe.
    Error,
    /// It works, and is not as it should stay.
    Warning,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of fault it is; stable.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotChecked {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many things were looked at and are as they should be.
    pub passed: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub not_checked: Vec<NotChecked>,
}

impl Report {
    pub(super) fn pass(&mut self) {
        self.passed += 1;
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        subject: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.find(code, Severity::Error, subject, problem, remedy);
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        subject: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.find(code, Severity::Warning, subject, problem, remedy);
    }

    fn find(
        &mut self,
        code: &'static str,
        severity: Severity,
        subject: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (subject, problem, remedy) = (subject.into(), problem.into(), remedy.into());
        self.findings.push(Finding { code, severity, subject, problem, remedy });
    }

    pub(super) fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.not_checked.push(NotChecked { what: what.into(), why: why.into() });
    }

    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { code, severity, subject, problem, remedy } in &self.findings {
            let severity = match severity {
                Severity::Error => "ERROR",
                Severity::Warning => "WARNING",
            };
            writeln!(f, "{severity} {code}: {subject}\n    {problem}\n    To do: {remedy}")?;
        }
        for NotChecked { what, why } in &self.not_checked {
            writeln!(f, "not checked: {what}: {why}")?;
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        writeln!(
            f,
            "{} checks passed, {errors} errors, {warnings} warnings, {} not checked",
            self.passed,
            self.not_checked.len()
        )
    }
}

/// Why a call that only looks did not show anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no such thing.
    Missing,
    /// These credentials may not look.
    Denied,
    /// Whoever answers does not know the call.
    Unsupported,
    /// Anything else, in words.
    Other(String),
}

/// Sorts the error of a call that only looks.
pub(super) fn trouble<E>(error: SdkError<E>) -> Trouble
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    match code {
        "ResourceNotFoundException"
        | "TableNotFoundException"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "NoSuchBucket"
        | "NotFoundException" => Trouble::Missing,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "KMS.AccessDeniedException" => Trouble::Denied,
        "UnknownOperationException" | "NotImplemented" => Trouble::Unsupported,
        _ => Trouble::Other(telemetry::chain(&error)),
    }
}
