//! Proofs of single records, and keys in files.

use std::io::Write as _;

use tlog::{Plan, Proof};

use super::fixture::*;
use crate::{KeyError, Problem, Report, Scope, VerifyError, read_keys, verify_proof};

/// Record 17 of a log of 300, and its proof.
fn proof() -> (Proof, Vec<u8>) {
    let log = Log::with(300);
    let plan = Plan::inclusion(17, 300).unwrap();
    let record = &log.records[17];
    let proof = Proof {
        extra: Some(record.personal.to_json().unwrap().into_bytes()),
        index: 17,
        hashes: plan.compute(|id| log.tiles.get(&id).map(Vec::as_slice)).unwrap(),
        checkpoint: log.checkpoint(),
    };
    (proof, record.entry.get().as_bytes().to_vec())
}

fn verify(proof: &Proof, entry: &[u8]) -> Report {
    verify_proof(&proof.to_string(), entry, &[key()]).unwrap()
}

#[test]
fn a_record_with_its_proof() {
    let (proof, entry) = proof();
    let report = verify(&proof, &entry);
    assert!(report.intact, "{report}");
    assert_eq!(
        (report.scope, report.organization_id.as_str(), report.erased_values),
        (Scope::SingleRecord, ORGANIZATION, 0)
    );
    assert!(verify(&proof, &[entry.as_slice(), b"\n"].concat()).intact);
    assert_eq!(verify(&Proof { extra: None, ..proof }, &entry).erased_values, 2);
}

#[test]
fn anything_else_with_that_proof() {
    let (proof, entry) = proof();
    let problem = |proof: &Proof, entry: &[u8]| {
        let report = verify(proof, entry);
        assert!(!report.intact && report.found == 1);
        report.findings[0].problem
    };
    assert_eq!(problem(&proof, &entry[1..]), Problem::RecordChanged);
    assert_eq!(problem(&Proof { index: 18, ..proof.clone() }, &entry), Problem::RecordChanged);
    let extra = String::from_utf8(proof.extra.clone().unwrap()).unwrap().replace("ada", "eve").into_bytes();
    assert_eq!(
        problem(&Proof { extra: Some(extra), ..proof.clone() }, &entry),
        Problem::PersonalValueChanged
    );
    assert_eq!(problem(&Proof { extra: Some(b"x".to_vec()), ..proof.clone() }, &entry), Problem::Unreadable);
    let grown = proof.checkpoint.replace("\n300\n", "\n301\n");
    assert_eq!(problem(&Proof { checkpoint: grown, ..proof }, &entry), Problem::NotSigned);
    assert!(matches!(verify_proof("text", &entry, &[key()]), Err(VerifyError::NotAProof(_))));
}

#[test]
fn keys_are_arguments_or_files() {
    assert_eq!(read_keys(&key().to_string()).unwrap(), [key()]);
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_keys(file.path().to_str().unwrap())
    };
    assert_eq!(file(&format!("# since 2026\n{}\n\n{0}\r\n", key())).unwrap(), [key(), key()]);
    assert!(matches!(file("# none\n"), Err(KeyError::Empty(_))));
    assert!(matches!(file(&format!("{}\nx\n", key())), Err(KeyError::Line { line: 2, .. })));
    assert!(matches!(read_keys("no/such/file"), Err(KeyError::Argument { .. })));
}
