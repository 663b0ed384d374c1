//! The program as it is called.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_artisan-verify")).args(arguments).output().unwrap()
}

const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

#[test]
fn what_cannot_be_verified_ends_with_two() {
    for arguments in [
        &[][..],
        &["export.ndjson"],
        &["--key", KEY],
        &["--proof", "a.tlog-proof", "--key", KEY],
        &["no/such/export.ndjson", "--key", KEY],
        &["Cargo.toml", "--key", "no key"],
        &["Cargo.toml", "--key", KEY],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    let no_export = run(&["Cargo.toml", "--key", KEY]);
    assert!(String::from_utf8_lossy(&no_export.stderr).contains("this is not an export of an audit log"));
}

#[test]
fn what_is_not_intact_ends_with_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("export.ndjson");
    let header = r#"{"type":"export","format":1,"organization_id":"org_1","origin":"example.com/audit/org_1","created_at":"2026-11-22T15:04:05.123Z","from":null,"to":null,"filtered":false}"#;
    std::fs::write(&file, header).unwrap();
    let words = run(&[file.to_str().unwrap(), "--key", KEY]);
    assert_eq!(words.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&words.stdout).starts_with("NOT INTACT\n"));
    let json = run(&[file.to_str().unwrap(), "--key", KEY, "--json"]);
    assert_eq!(json.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["findings"][0]["problem"], "cut_off");
}

#[test]
fn help_has_examples() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for expected in ["Examples:", "--checkpoint", "Exit codes: 0 intact"] {
        assert!(text.contains(expected), "{expected}");
    }
}
