//! Verifying one record by the proof that the API gives of it (C2SP `tlog-proof`).

use audit_format::{Personal, hold};
use serde_json::Value;
use tlog::{Proof, ProofError, VerifierKey};

use crate::VerifyError;
use crate::finding::{Finding, Problem};
use crate::report::{Report, Scope, Sealed};

/// Verifies that `entry` is in the log at the place that the proof names, and that the personal values in the proof are
/// the entry's. A line feed that an editor added at the end of the entry is overlooked.
///
/// # Errors
/// [`VerifyError::NotAProof`] if the proof cannot be read. What is wrong with the record is in the report.
pub fn verify_proof(proof: &str, entry: &[u8], keys: &[VerifierKey]) -> Result<Report, VerifyError> {
    let proof: Proof = proof.parse().map_err(VerifyError::NotAProof)?;
    let entry = entry.strip_suffix(b"\n").unwrap_or(entry);
    let value = serde_json::from_slice::<Value>(entry).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let organization = text("organization_id");
    let mut report = Report {
        intact: false,
        organization_id: organization.clone().unwrap_or_default(),
        origin: proof.checkpoint.lines().next().unwrap_or_default().to_owned(),
        scope: Scope::SingleRecord,
        created_at: None,
        records: 1,
        sealed: 1,
        outside: 0,
        expired: 0,
        ends_at: None,
        erased_values: 0,
        checkpoint: None,
        findings: Vec::new(),
        found: 0,
    };
    let checked = inclusion(&proof, entry, keys).and_then(|checkpoint| {
        let owner = organization.map(|id| format!("/audit/{id}"));
        if !owner.is_some_and(|owner| checkpoint.origin.ends_with(&owner)) {
            let message =
                format!("is not a record of the organization that has the log {}", checkpoint.origin);
            return Err(Finding::new(Problem::WrongOrganization, message));
        }
        report.checkpoint = Some(Sealed::new(&checkpoint, proof.checkpoint.clone()));
        personal(&proof, &value)
    });
    match checked {
        Ok(erased) => {
            report.erased_values = erased;
            report.intact = true;
        }
        Err(finding) => {
            report.findings = vec![finding.of_leaf(Some(proof.index)).of_record(text("id"))];
            report.found = 1;
        }
    }
    Ok(report)
}

fn inclusion(proof: &Proof, entry: &[u8], keys: &[VerifierKey]) -> Result<tlog::Checkpoint, Finding> {
    proof.verify(entry, keys).map_err(|error| match &error {
        ProofError::Checkpoint(_) => Finding::new(Problem::NotSigned, error.to_string()),
        ProofError::Inclusion(_) => Finding::new(
            Problem::RecordChanged,
            "changed: this is not the record that was sealed in its place, or not its proof",
        ),
    })
}

/// How many personal values were erased, if those that are left fit.
fn personal(proof: &Proof, entry: &Value) -> Result<u64, Finding> {
    let personal = match &proof.extra {
        None => Personal::default(),
        Some(extra) => {
            std::str::from_utf8(extra).ok().and_then(|json| Personal::from_json(json).ok()).ok_or_else(
                || Finding::new(Problem::Unreadable, "the personal values in the proof cannot be read"),
            )?
        }
    };
    hold(entry, &personal).map(|held| held.erased as u64).map_err(|error| Finding::personal(&error))
}
