//! Real trigger payloads drive the functions. Every file in `events/` is used here, and a file that nobody uses
//! fails the last test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aws_lambda_events::event::{dynamodb, sqs};
use runtime::{Environment, Services};
use testkit::TestApp;
use tower::ServiceExt as _;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

fn files(function: &str) -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(folder().join(function))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Hands an API Gateway payload to the function it is for, as the Lambda runtime would.
async fn invoke(app: &TestApp, function: &str, payload: &str) -> (u16, String) {
    let services = app.platform().services_for(function).unwrap();
    let router = match function {
        "auth" => fn_auth::router(&services).await,
        "api-keys" => fn_api_keys::router(&services).await,
        "audit-logs" => fn_audit_logs::router(&services).await,
        "campaigns" => fn_campaigns::router(&services).await,
        "leads" => fn_leads::router(&services).await,
        "meetings" => fn_meetings::router(&services).await,
        "organizations" => fn_organizations::router(&services).await,
        "users" => fn_users::router(&services).await,
        "webhooks" => fn_webhooks::router(&services).await,
        "workspaces" => fn_workspaces::router(&services).await,
        "console" => fn_console::router(&services).await,
        "docs" => fn_docs::router(&services).await,
        other => panic!("{other} takes no HTTP requests"),
    };
    let request = lambda_http::request::from_str(payload).unwrap();
    let response = router.unwrap().oneshot(request.map(axum::body::Body::new)).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn http_payloads_are_understood_by_their_functions() {
    let app = TestApp::start().await;
    for function in [
        "auth",
        "api-keys",
        "audit-logs",
        "campaigns",
        "leads",
        "meetings",
        "organizations",
        "users",
        "webhooks",
        "workspaces",
        "console",
        "docs",
    ] {
        for (name, payload) in files(function) {
            let (status, body) = invoke(&app, function, &payload).await;
            let expected = match (function, name.as_str()) {
                ("auth", "signup") => 201,
                ("auth", "accept-invitation") => 422,
                // No reports are taken unless it is said who signs them.
                ("api-keys", "report-leaked") => 404,
                // Who is not signed in is led to where they can.
                ("console", _) => 303,
                ("docs", "unknown-route") => 404,
                // From an origin that nobody has listed.
                ("docs", "preflight") => 405,
                ("docs", _) => 200,
                // The credentials in the files are nobody's: who you are comes before what you want.
                _ => 401,
            };
            assert_eq!(status, expected, "{function}/{name}: {body}");
            let body = serde_json::from_str(&body).unwrap_or(serde_json::Value::Null);
            let unknown = body["code"] == "route_not_found";
            assert_eq!(unknown, name == "unknown-route", "{function}/{name}: {body}");
        }
    }
}

/// What a deployment sends to each new version before it is given traffic (`infra/pre-traffic`): a request for `/health` and a
/// batch of no records in one.
#[tokio::test]
async fn every_function_answers_the_check_before_traffic() {
    const PROBE: &str = include_str!("../../../pre-traffic/probe.json");
    let app = TestApp::start().await;
    let template = artisan_local::template::Template::read(&testkit::template()).unwrap();
    for function in &template.functions {
        let binary = function.binary.as_str();
        let services = app.platform().services_for(binary).unwrap();
        let failures = match binary {
            "fanout" | "seal" => {
                let batch: dynamodb::Event = serde_json::from_str(PROBE).unwrap();
                let answer = match binary {
                    "fanout" => fn_fanout::handler(&services).await.unwrap().handle(batch).await,
                    _ => fn_seal::handler(&services).await.unwrap().handle(batch).await,
                };
                answer.batch_item_failures.len()
            }
            "deliver" | "mail" | "worker" => {
                let batch: sqs::SqsEvent = serde_json::from_str(PROBE).unwrap();
                let answer = match binary {
                    "deliver" => fn_deliver::handler(&services).await.unwrap().handle(batch).await,
                    "mail" => fn_mail::handler(&services).await.unwrap().handle(batch).await,
                    _ => fn_worker::handler(&services).await.unwrap().handle(batch).await,
                };
                answer.batch_item_failures.len()
            }
            "sweep" => usize::from(fn_sweep::handler(&services).await.unwrap().run().await.is_err()),
            _ => {
                let (status, body) = invoke(&app, binary, PROBE).await;
                assert_eq!(status, if binary == "docs" { 200 } else { 404 }, "{binary}: {body}");
                0
            }
        };
        assert_eq!(failures, 0, "{binary}");
    }
}

#[tokio::test]
async fn a_stream_batch_is_fanned_out_and_a_malformed_record_is_parked() {
    let app = TestApp::start().await;
    let services = app.platform().services_for("fanout").unwrap();
    let fanout = fn_fanout::handler(&services).await.unwrap();
    for (name, payload) in files("fanout") {
        let batch: dynamodb::Event = serde_json::from_str(&payload).unwrap();
        let answer = fanout.handle(batch).await;
        assert!(answer.batch_item_failures.is_empty(), "{name}: nothing holds up the stream");
        let parked = app.platform().messages("FanoutFaultsQueue").len();
        assert_eq!(parked, usize::from(name == "malformed-record"), "{name}");
        let mails = app.platform().messages("MailQueue").len();
        assert_eq!(mails, usize::from(name == "mail"), "{name}");
        let services = app.platform().services_for("fanout").unwrap();
        for queue in ["FANOUT_FAULTS_QUEUE_URL", "MAIL_QUEUE_URL"] {
            let queue = services.environment.required(queue).unwrap();
            services.aws.sqs.purge_queue().queue_url(queue).send().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_record_is_sealed_once_and_what_is_done_to_it_is_put_on_record() {
    let app = TestApp::start().await;
    // The samples are of that afternoon, and what is of the future is not sealed.
    app.advance(std::time::Duration::from_hours(4));
    let services = app.platform().services_for("seal").unwrap();
    let seal = fn_seal::handler(&services).await.unwrap();
    let store = store::Store::from_environment(&services.environment, services.aws.dynamodb.clone()).unwrap();
    let tenant = store.tenant_of_job("org_01m81wjar3f7g82fx6abtjv4fw".parse().unwrap());
    for (name, payload) in files("seal") {
        // Twice, as Lambda may.
        for _ in 0..2 {
            let batch: dynamodb::Event = serde_json::from_str(&payload).unwrap();
            let answer = seal.handle(batch).await;
            assert!(answer.batch_item_failures.is_empty(), "{name}");
        }
        let records = tenant.every_audit_record(app.now()).await.unwrap();
        let sealed = tenant.log_head().await.unwrap().map(|head| head.size);
        match name.as_str() {
            "expired" => assert_eq!((records.len(), sealed), (0, None)),
            "record" => assert_eq!((records.len(), sealed), (0, Some(1))),
            _ => assert_eq!((records.len(), sealed), (1, Some(1)), "an alarm, sealed in its turn"),
        }
    }
}

#[tokio::test]
async fn a_job_for_a_delivery_that_is_gone_is_done_and_a_poisonous_one_stays() {
    let app = TestApp::start().await;
    let services = app.platform().services_for("deliver").unwrap();
    let deliver = fn_deliver::handler(&services).await.unwrap();
    for (name, payload) in files("deliver") {
        let batch: sqs::SqsEvent = serde_json::from_str(&payload).unwrap();
        let ids: Vec<_> = batch.records.iter().map(|record| record.message_id.clone().unwrap()).collect();
        let failures: Vec<_> =
            deliver.handle(batch).await.batch_item_failures.into_iter().map(|f| f.item_identifier).collect();
        match name.as_str() {
            "poison" => {
                assert!(!failures.is_empty(), "{name}");
                assert!(failures.iter().all(|id| ids.contains(id)), "{name}");
            }
            _ => assert!(failures.is_empty(), "{name}: {failures:?}"),
        }
    }
}

#[tokio::test]
async fn a_long_job_that_is_gone_is_done_and_a_poisonous_message_stays() {
    let app = TestApp::start().await;
    let services = app.platform().services_for("worker").unwrap();
    let worker = fn_worker::handler(&services).await.unwrap();
    for (name, payload) in files("worker") {
        let batch: sqs::SqsEvent = serde_json::from_str(&payload).unwrap();
        let failed = worker.handle(batch).await.batch_item_failures.len();
        assert_eq!(failed, usize::from(name == "poison"), "{name}");
    }
}

/// The session secret of the deployment that `events/mail` comes from.
const SAMPLE_SECRET: &str = "the session secret of the samples";

#[tokio::test]
async fn mails_are_sent_and_a_poisonous_one_stays() {
    let app = TestApp::start().await;
    let services = app.platform().services_for("mail").unwrap();
    services.aws.secrets.create_secret().name("sample").secret_string(SAMPLE_SECRET).send().await.unwrap();
    let mut variables = app.platform().variables();
    variables.insert("SESSION_SECRET_ID".to_owned(), "sample".to_owned());
    let services = Services::new(Environment::from_iter(variables), services.aws, services.clock);
    let courier = fn_mail::handler(&services).await.unwrap();
    for (name, payload) in files("mail") {
        let batch: sqs::SqsEvent = serde_json::from_str(&payload).unwrap();
        let answer = courier.handle(batch).await;
        let failed = answer.batch_item_failures.len();
        match name.as_str() {
            "poison" => assert_eq!(failed, 1, "{name}"),
            _ => assert_eq!(failed, 0, "{name}"),
        }
    }
    // Each batch holds one mail that can be sent.
    assert_eq!(app.token_mailed_to("grace@example.com").await, "c2FtcGxl");
    assert_eq!(app.mails().len(), files("mail").len());
}

#[test]
fn every_file_belongs_to_a_function_that_is_tested_here() {
    let tested = BTreeSet::from(
        [
            "api-keys",
            "audit-logs",
            "auth",
            "campaigns",
            "console",
            "deliver",
            "docs",
            "fanout",
            "leads",
            "mail",
            "meetings",
            "organizations",
            "seal",
            "users",
            "webhooks",
            "worker",
            "workspaces",
        ]
        .map(str::to_owned),
    );
    let folders: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, tested);
    for function in tested {
        assert!(!files(&function).is_empty(), "{function}");
    }
}
