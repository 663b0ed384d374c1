//! The program itself: how it is asked, how it ends, and how it finds a deployment.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use artisan_cli::cli::{Cli, Target};
use artisan_cli::deployment::services;
use artisan_local::template::Template;
use artisan_local::{server, shutdown};
use clap::CommandFactory as _;
use tokio::net::TcpListener;

use crate::deployment::Deployment;

fn artisan(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_artisan"));
    command.args(arguments).env_remove("ARTISAN_CONFIG").output().unwrap()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn what_cannot_be_understood_ends_with_2_and_what_fails_with_1() {
    assert_eq!(artisan(&["tenants", "list", "--nonsense"]).status.code(), Some(2));
    assert_eq!(artisan(&["keys", "revoke", "org_x", "key_x"]).status.code(), Some(2));
    let nobody = artisan(&["--local=1", "doctor"]);
    assert_eq!(nobody.status.code(), Some(1));
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(said.contains("cargo run") && nobody.stdout.is_empty(), "{said}");
    assert_eq!(artisan(&["--config", "no/such/file", "doctor"]).status.code(), Some(1));
}

#[test]
fn who_asked_for_json_is_told_of_a_failure_by_json() {
    let failed = artisan(&["--json", "--config", "no/such/file", "doctor"]);
    assert_eq!(failed.status.code(), Some(1));
    let said: serde_json::Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert!(said["error"].as_str().unwrap().contains("no/such/file"), "{said}");
    assert!(String::from_utf8(failed.stderr).unwrap().starts_with("artisan: "), "and by words");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_found_by_a_file_of_its_variables() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = shutdown::channel();
    tokio::spawn(server::serve(listener, it.app.engines().endpoint(), stopped));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("artisan.env");
    let aws = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    let own = it.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let lines: String = aws.into_iter().chain(own).map(|(name, value)| format!("{name}={value}\n")).collect();
    std::fs::write(&path, lines).unwrap();
    let config = path.to_str().unwrap().to_owned();
    let (same, id) = (config.clone(), admin.text("/organization/id"));
    let listed = tokio::task::spawn_blocking(move || artisan(&["--config", &config, "tenants", "list"]))
        .await
        .unwrap();
    let said = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.status.code(), Some(0), "{said} {}", String::from_utf8_lossy(&listed.stderr));
    assert!(said.contains("Acme") && said.ends_with("1 organizations\n"), "{said}");

    // What is piped in is nobody's answer, even if it is the right one.
    let asked = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_artisan"));
        command.args(["--config", &same, "tenants", "delete", &id]).env_remove("ARTISAN_CONFIG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        // It may have ended without having read it.
        let _ = running.stdin.take().unwrap().write_all(b"Acme\n");
        running.wait_with_output().unwrap()
    });
    let asked = asked.await.unwrap();
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(asked.status.code() == Some(1) && said.contains("not confirmed"), "{said}");
    assert_eq!(admin.get("/api/admin/organization").await.expect(200).text("/status"), "active");

    // The clock of this deployment stands still, and the server says what time it is.
    let target = Target { local: None, config: Some(path) };
    let mut found = services(&target).await.unwrap();
    found.clock = it.app.platform().clock().clone();
    let report = artisan_cli::doctor::examine(&found).await.unwrap();
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["clock_skew"], "{report}");
    drop(stop);
}

/// What functions are told on AWS, `artisan` is told by the outputs of the stack.
#[test]
fn the_outputs_of_the_stack_say_all_that_names_something() {
    let text = std::fs::read_to_string(testkit::template()).unwrap();
    let (_, outputs) = text.split_once("\nOutputs:\n").unwrap();
    let is_key = |line: &&str| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
    let told: Vec<String> = outputs
        .lines()
        .filter(is_key)
        .map(|line| artisan_cli::deployment::variable(line.trim().trim_end_matches(':')))
        .collect();
    let template = Template::parse(&text).unwrap();
    let mut seen = 0;
    for (name, value) in template.functions.iter().flat_map(|function| &function.environment) {
        // Functions it calls none.
        if name.ends_with("_FUNCTION") {
            continue;
        }
        if value.contains("artisan-local-") || ["MAIL_FROM", "PUBLIC_URL"].contains(&name.as_str()) {
            assert!(told.contains(name), "no output says {name}");
            seen += 1;
        }
    }
    assert!(seen > 50);
}
