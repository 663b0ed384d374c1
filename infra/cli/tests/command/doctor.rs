//! `doctor` finds what is wrong, and nothing where nothing is.

use std::time::Duration;

use artisan_cli::Verdict;
use artisan_cli::doctor::Report;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate, StreamSpecification,
    StreamViewType, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use testkit::Receiver;

use crate::deployment::Deployment;

fn codes(report: &Report) -> Vec<&'static str> {
    let mut codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

impl Deployment {
    /// What is wrong, and nothing else may be.
    async fn found(&self, code: &str) {
        let report = self.examined().await;
        assert_eq!(codes(&report), [code], "{report}");
        let finding = &report.findings[0];
        assert!(!finding.problem.is_empty() && !finding.remedy.is_empty() && !finding.subject.is_empty());
    }

    async fn queue_attribute(&self, queue: &str, name: QueueAttributeName, value: &str) {
        let set = self.aws.sqs.set_queue_attributes().queue_url(&self.variables[queue]);
        set.attributes(name, value).send().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_wrong_with_a_good_deployment() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    let receiver = Receiver::start().await;
    let _ = it.app.endpoint(&admin, &receiver, json!({})).await;
    it.app.sweep().await;
    let report = it.examined().await;
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.passed > 50, "{report}");
    let not_checked: Vec<_> = report.not_checked.iter().map(|it| it.what.as_str()).collect();
    assert!(not_checked.iter().any(|what| what.starts_with("point-in-time recovery")), "{report}");
    assert!(report.not_checked.iter().all(|it| !it.why.is_empty()));
    let said = it.run(&["doctor", "--strict"], "").await.fine();
    assert_eq!(said.json()["findings"], json!([]));
}

#[tokio::test]
async fn a_variable_that_is_missing_malformed_or_shared_is_found() {
    let mut it = Deployment::start().await;
    let good = it.variables.clone();
    it.variables.remove("SESSION_SECRET_ID");
    it.found("variable_missing").await;
    let said = it.run(&["doctor"], "").await;
    assert_eq!(said.outcome.unwrap(), Verdict::Faulty);
    for (name, value) in
        [("PUBLIC_URL", "artisan.example.com"), ("MAIL_FROM", "Artisan"), ("DNS_RESOLVER", "::1")]
    {
        it.variables = good.clone();
        it.variables.insert(name.to_owned(), value.to_owned());
        it.found("variable_malformed").await;
    }
    it.variables = good.clone();
    it.variables.insert("EXPORTS_BUCKET".to_owned(), good["ARCHIVE_BUCKET"].clone());
    it.found("variables_shared").await;
}

#[tokio::test]
async fn a_table_a_queue_a_bucket_or_a_secret_that_is_not_there_is_found() {
    let mut it = Deployment::start().await;
    let good = it.variables.clone();
    for (name, value, code) in [
        ("AUDIT_TABLE", "gone", "table_missing"),
        ("MAIL_QUEUE_URL", "http://sqs.eu-central-1.localhost/000000000000/gone", "queue_missing"),
        ("EXPORTS_BUCKET", "gone", "bucket_missing"),
        ("WEBHOOK_SECRET_ID", "gone", "secret_missing"),
    ] {
        it.variables = good.clone();
        it.variables.insert(name.to_owned(), value.to_owned());
        it.found(code).await;
    }
}

#[tokio::test]
async fn an_index_that_is_missing_is_found() {
    let it = Deployment::start().await;
    let delete = DeleteGlobalSecondaryIndexAction::builder().index_name("by-actor").build().unwrap();
    let update = GlobalSecondaryIndexUpdate::builder().delete(delete).build();
    let call = it.aws.dynamodb.update_table().table_name(it.table("AuditTable"));
    call.global_secondary_index_updates(update).send().await.unwrap();
    it.found("index_missing").await;
}

#[tokio::test]
async fn a_stream_that_is_off_or_shows_too_little_is_found() {
    let it = Deployment::start().await;
    let stream = |enabled, view: Option<StreamViewType>| {
        let stream = StreamSpecification::builder().stream_enabled(enabled).set_stream_view_type(view);
        let call = it.aws.dynamodb.update_table().table_name(it.table("ActivityTable"));
        call.stream_specification(stream.build().unwrap()).send()
    };
    stream(false, None).await.unwrap();
    it.found("stream_off").await;
    stream(true, Some(StreamViewType::KeysOnly)).await.unwrap();
    it.found("stream_view").await;
}

#[tokio::test]
async fn time_to_live_that_is_off_is_found_and_a_table_that_can_be_deleted() {
    let it = Deployment::start().await;
    let off = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(false).build().unwrap();
    let call = it.aws.dynamodb.update_time_to_live().table_name(it.table("ActivityTable"));
    call.time_to_live_specification(off).send().await.unwrap();
    it.found("ttl_off").await;
    let call = it.aws.dynamodb.update_table().table_name(it.table("CoreTable"));
    call.deletion_protection_enabled(false).send().await.unwrap();
    assert_eq!(codes(&it.examined().await), ["deletion_unprotected", "ttl_off"]);
}

#[tokio::test]
async fn a_queue_without_a_place_for_faults_or_too_impatient_is_found() {
    let it = Deployment::start().await;
    it.queue_attribute("WEBHOOK_JOBS_QUEUE_URL", QueueAttributeName::VisibilityTimeout, "30").await;
    it.found("visibility_short").await;
    it.queue_attribute("WEBHOOK_JOBS_QUEUE_URL", QueueAttributeName::VisibilityTimeout, "360").await;
    let nowhere =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:gone","maxReceiveCount":5}"#;
    it.queue_attribute("MAIL_QUEUE_URL", QueueAttributeName::RedrivePolicy, nowhere).await;
    it.found("redrive_target_missing").await;
    it.queue_attribute("MAIL_QUEUE_URL", QueueAttributeName::RedrivePolicy, "").await;
    it.found("redrive_missing").await;
}

#[tokio::test]
async fn a_secret_that_is_too_short_is_found() {
    let it = Deployment::start().await;
    for variable in ["API_KEY_PEPPER_ID", "AUDIT_SIGNING_SECRET_ID"] {
        let put = it.aws.secrets.put_secret_value().secret_id(&it.variables[variable]);
        put.secret_string("short").send().await.unwrap();
    }
    let report = it.examined().await;
    assert_eq!((codes(&report), report.findings.len()), (vec!["secret_malformed"], 2), "{report}");
    assert!(!report.to_string().contains("short\""), "no secret is shown");
}

#[tokio::test]
async fn an_archive_that_is_not_locked_is_found() {
    let it = Deployment::start().await;
    it.app.engines().objects().create(&it.variables["ARCHIVE_BUCKET"], false);
    assert_eq!(codes(&it.examined().await), ["object_lock_off", "versioning_off"]);
}

#[tokio::test]
async fn a_webhook_secret_that_opens_nothing_is_found() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    let receiver = Receiver::start().await;
    let _ = it.app.endpoint(&admin, &receiver, json!({})).await;
    let put = it.aws.secrets.put_secret_value().secret_id(&it.variables["WEBHOOK_SECRET_ID"]);
    put.secret_string("another-secret-of-forty-characters-00000").send().await.unwrap();
    it.found("envelope_unreadable").await;
}

#[tokio::test]
async fn data_of_a_newer_version_are_found() {
    let it = Deployment::start().await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let put = it.aws.dynamodb.put_item().table_name(it.table("DirectoryTable"));
    let put = put.item("pk", text("MIGRATION")).item("sk", text("MIGRATION"));
    let put =
        put.item("v", AttributeValue::N("1".to_owned())).item("level", AttributeValue::N("99".to_owned()));
    let put = put.item("segments", AttributeValue::M(std::collections::HashMap::new()));
    let now = it.app.now().to_string();
    put.item("created_at", text(&now)).item("updated_at", text(&now)).send().await.unwrap();
    it.found("format_newer").await;
}

#[tokio::test]
async fn a_permission_that_is_missing_is_found() {
    let it = Deployment::start().await;
    let refused = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}"#;
    it.app.engines().faults().order(
        "DescribeTable",
        1,
        1,
        artisan_local::engines::Strike::Before,
        400,
        refused,
    );
    it.found("permission_missing").await;
}

#[tokio::test]
async fn a_sweep_that_does_not_run_is_found() {
    let it = Deployment::start().await;
    let _ = it.app.sign_up("Acme").await;
    it.app.drain().await;
    it.app.advance(Duration::from_secs(2 * 24 * 3600));
    it.found("sweep_behind").await;
    it.app.sweep().await;
    assert!(it.examined().await.findings.is_empty());
}

#[tokio::test]
async fn messages_that_failed_are_found() {
    let it = Deployment::start().await;
    let send = it.aws.sqs.send_message().queue_url(&it.variables["FANOUT_FAULTS_QUEUE_URL"]);
    send.message_body("{}").send().await.unwrap();
    it.found("faults_waiting").await;
    assert_eq!(it.run(&["doctor"], "").await.outcome.unwrap(), Verdict::Fine, "a warning");
    assert_eq!(it.run(&["doctor", "--strict"], "").await.outcome.unwrap(), Verdict::Faulty);
    it.app.leaves_jobs();
}
