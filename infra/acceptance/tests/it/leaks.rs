//! Keys that were found in public, reported in the form of GitHub's secret scanning partner program.

use std::collections::BTreeMap;
use std::time::Duration;

use artisan_local::engines::Strike;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use testkit::{Actor, Response, SecretScanner, SignedReport, TestApp};

use crate::people::{organization, records};

const REPORTS: &str = "/api/secret-scanning/github";
const KEYS: &str = "/api/admin/api-keys";
const ORGANIZATION: &str = "/api/admin/organization";
const PLACE: &str = "https://github.com/acme/site/blob/12345600b9cbe38a219f39a9941c9319b600c002/.env";
/// Has the form of a key, checksum included, and is nobody's.
const NOBODYS: &str = "sk_live_000000000000000000000000003CdOEy";

struct World {
    app: TestApp,
    scanner: SecretScanner,
    admin: Actor,
}

impl World {
    async fn new() -> Self {
        let scanner = SecretScanner::start().await;
        let url = ("SECRET_SCANNING_KEYS_URL".to_owned(), scanner.keys_url());
        let app = TestApp::with(BTreeMap::from([url])).await;
        let admin = app.sign_up("Harbor & Pine").await;
        app.prove(&admin).await;
        Self { app, scanner, admin }
    }

    async fn send(&self, report: &SignedReport) -> Response {
        let github = self.app.stranger().with("github-public-key-identifier", report.identifier.clone());
        let github = github.with("github-public-key-signature", report.signature.clone());
        let answer = github.raw(Method::POST, REPORTS, report.body.clone()).await;
        self.app.drain().await;
        answer
    }

    /// Reports these tokens: their labels.
    async fn report(&self, tokens: &[&str]) -> Vec<String> {
        let answer = self.send(&self.scanner.sign(&matches(tokens))).await.expect(200);
        labels(&answer, tokens)
    }

    fn told(&self, admin: &Actor) -> usize {
        let mails = self.app.mails_to(&admin.text("/user/email"));
        mails.iter().filter(|mail| mail.subject.contains("has leaked")).count()
    }

    async fn on_record(&self, admin: &Actor) -> Vec<Value> {
        let mut all = records(&self.app, organization(admin)).await;
        all.retain(|record| record["action"] == "api_key.leaked");
        all
    }

    async fn shown(&self, admin: &Actor, key: &Actor) -> Value {
        admin.get(&format!("{KEYS}/{}", key.text("/id"))).await.expect(200).json
    }

    async fn flag_only(&self, admin: &Actor) {
        let _ = admin.patch(ORGANIZATION, json!({"settings": {"leaked_keys": "flag"}})).await.expect(200);
    }
}

fn matches(tokens: &[&str]) -> Value {
    let found = |token: &&str| json!({"token": token, "type": "artisan", "url": PLACE, "source": "content"});
    tokens.iter().map(found).collect()
}

/// The labels, of the very tokens that were sent and in their order.
fn labels(answer: &Response, tokens: &[&str]) -> Vec<String> {
    let labelled = answer.json.as_array().unwrap();
    let sent: Vec<&str> = labelled.iter().map(|it| it["token_raw"].as_str().unwrap()).collect();
    assert_eq!(sent, tokens);
    for it in labelled {
        assert_eq!((it.as_object().unwrap().len(), &it["token_type"]), (3, &json!("artisan")));
    }
    labelled.iter().map(|it| it["label"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_leaked_key_is_revoked_at_once_and_the_admins_are_told() {
    let world = World::new().await;
    let World { app, admin, .. } = &world;
    let reader = app.invite_and_join(admin, json!({"role": "read_only"})).await;
    let second = app.invite_and_join(admin, json!({"role": "admin"})).await;
    let key = app.key(admin, json!({"name": "CRM"})).await;
    let _ = key.get("/v1/whoami").await.expect(200);
    assert_eq!(world.report(&[key.token()]).await, ["true_positive"]);
    let _ = key.get("/v1/whoami").await.expect_problem(401, "key_revoked");

    let shown = world.shown(admin, &key).await;
    assert_eq!((&shown["status"], &shown["leaked_url"]), (&json!("revoked"), &json!(PLACE)));
    assert_eq!(shown["leaked_at"], app.now().to_string());
    let profile = admin.get(ORGANIZATION).await.expect(200);
    assert_eq!(profile.json["usage"]["api_keys"]["used"], 0, "it makes room");

    let record = world.on_record(admin).await;
    assert_eq!(record.len(), 1);
    let record = &record[0];
    assert_eq!(record["actor"], json!({"type": "system", "id": "github-secret-scanning"}));
    assert_eq!((&record["sensitive"], &record["compliance_relevant"]), (&json!(true), &json!(true)));
    assert_eq!(record["resource_id"], key.text("/id"));
    let fields: Vec<_> = record["changes"].as_array().unwrap().iter().map(|it| &it["field"]).collect();
    assert_eq!(fields, ["status", "leaked_at", "leaked_url"]);
    assert_eq!(record["changes"][2]["after"], PLACE);
    assert!(!record.to_string().contains(key.token()));

    assert_eq!([admin, &second, &reader].map(|person| world.told(person)), [1, 1, 0]);
    let mail = app.mails_to(&admin.text("/user/email")).remove(0);
    assert_eq!(mail.subject, "The API key CRM has leaked and was revoked");
    let label = format!("CRM (sk_live_…{}) of Harbor & Pine", &key.token()[36..]);
    for words in [&*label, "https: github.com/acme/site", "It was revoked at once", "Create a new key"] {
        assert!(mail.text.contains(words), "{words}: {}", mail.text);
    }
    assert!(!mail.text.contains(key.token()) && !mail.text.contains("://"), "{}", mail.text);
}

#[tokio::test]
async fn a_report_that_is_sent_again_does_nothing_again() {
    let world = World::new().await;
    let World { app, admin, scanner } = &world;
    let key = app.key(admin, json!({"mode": "test"})).await;
    let report = scanner.sign(&matches(&[key.token(), key.token()]));
    let first = world.send(&report).await.expect(200);
    for _ in 0..2 {
        assert_eq!(world.send(&report).await.expect(200).body, first.body);
    }
    assert_eq!(labels(&first, &[key.token(); 2]), ["true_positive"; 2]);
    assert_eq!((world.told(admin), world.on_record(admin).await.len()), (1, 1));
    // Nor do two at the same moment.
    let other = app.key(admin, json!({})).await;
    let report = scanner.sign(&matches(&[other.token()]));
    for answer in join_all([(); 4].map(|()| world.send(&report))).await {
        assert_eq!(labels(&answer.expect(200), &[other.token()]), ["true_positive"]);
    }
    assert_eq!((world.told(admin), world.on_record(admin).await.len()), (2, 2));
    // What was revoked or has expired before is still a key, and nobody is told.
    let revoked = app.key(admin, json!({})).await;
    let _ = admin.delete(&format!("{KEYS}/{}", revoked.text("/id"))).await.expect(204);
    let expires_at = (app.now() + Duration::from_secs(60)).to_string();
    let expired = app.key(admin, json!({"expires_at": expires_at})).await;
    app.advance(Duration::from_secs(60));
    assert_eq!(world.report(&[revoked.token(), expired.token()]).await, ["true_positive"; 2]);
    assert_eq!((world.told(admin), world.on_record(admin).await.len()), (2, 2));
    assert_eq!(world.shown(admin, &expired).await["leaked_at"], Value::Null);
}

#[tokio::test]
async fn an_organization_may_decide_itself() {
    let world = World::new().await;
    let World { app, admin, .. } = &world;
    let profile = admin.get(ORGANIZATION).await.expect(200);
    assert_eq!(profile.text("/settings/leaked_keys"), "revoke");
    let bad = json!({"settings": {"leaked_keys": "ignore"}});
    let refused = admin.patch(ORGANIZATION, bad).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/settings/leaked_keys");
    world.flag_only(admin).await;
    let changed = records(app, organization(admin)).await;
    let changed = changed.iter().find(|it| it["action"] == "organization.update").unwrap();
    let expected = json!([{"field": "settings.leaked_keys", "before": "revoke", "after": "flag"}]);
    assert_eq!((&changed["changes"], &changed["sensitive"]), (&expected, &json!(true)));

    let key = app.key(admin, json!({"name": "CRM"})).await;
    for _ in 0..2 {
        assert_eq!(world.report(&[key.token()]).await, ["true_positive"]);
    }
    let shown = world.shown(admin, &key).await;
    assert_eq!((&shown["status"], &shown["leaked_url"]), (&json!("active"), &json!(PLACE)));
    assert_eq!(shown["last_used_at"], Value::Null, "a report is no use of the key");
    let record = world.on_record(admin).await;
    assert_eq!((record.len(), world.told(admin)), (1, 1));
    let fields: Vec<_> = record[0]["changes"].as_array().unwrap().iter().map(|it| &it["field"]).collect();
    assert_eq!(fields, ["leaked_at", "leaked_url"]);
    let mail = app.mails_to(&admin.text("/user/email")).remove(0);
    assert_eq!(mail.subject, "The API key CRM has leaked");
    assert!(mail.text.contains("It still works") && mail.text.contains("rotate or revoke"), "{}", mail.text);
    let _ = key.get("/v1/whoami").await.expect(200);
    // The setting goes back to its default, and the key that was flagged is reported once more.
    let _ = admin.patch(ORGANIZATION, json!({"settings": {"leaked_keys": null}})).await.expect(200);
    assert_eq!(world.report(&[key.token()]).await, ["true_positive"]);
    let _ = key.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    assert_eq!(world.told(admin), 2);
}

#[tokio::test]
async fn what_is_not_signed_by_the_reporter_is_not_looked_at() {
    let world = World::new().await;
    let World { app, admin, scanner } = &world;
    let key = app.key(admin, json!({})).await;
    let genuine = scanner.sign(&matches(&[key.token()]));
    let stranger = SecretScanner::start().await.sign(&matches(&[key.token()]));
    let altered = matches(&[key.token(), NOBODYS]).to_string();
    let swapped = scanner.sign(&matches(&[NOBODYS]));
    let forgeries = [
        SignedReport { signature: stranger.signature.clone(), ..genuine.clone() },
        stranger,
        SignedReport { body: altered, ..genuine.clone() },
        SignedReport { body: format!("{} ", genuine.body), ..genuine.clone() },
        SignedReport { body: genuine.body.clone(), ..swapped },
        SignedReport { signature: "AAAA".to_owned(), ..genuine.clone() },
        SignedReport { signature: "not base64".to_owned(), ..genuine.clone() },
        SignedReport { signature: String::new(), ..genuine.clone() },
        SignedReport { identifier: "0".repeat(64), ..genuine.clone() },
        SignedReport { body: "not even JSON".to_owned(), ..genuine.clone() },
    ];
    // What was done before is sealed by now.
    app.drain().await;
    app.engines().meter().reset();
    for forgery in forgeries {
        let _ = world.send(&forgery).await.expect_problem(401, "unauthenticated");
    }
    let unsigned = app.stranger().raw(Method::POST, REPORTS, genuine.body.clone()).await;
    let _ = unsigned.expect_problem(401, "unauthenticated");
    let calls = app.engines().meter().snapshot();
    let of_tables = ["GetItem", "PutItem", "UpdateItem", "Query", "BatchGetItem", "TransactWriteItems"];
    assert_eq!(of_tables.map(|operation| calls.calls_of(operation)), [0; 6], "{calls:?}");
    assert_eq!(scanner.requests(), 1, "the keys are looked up once a minute at most");
    let _ = key.get("/v1/whoami").await.expect(200);
    assert_eq!((world.told(admin), world.on_record(admin).await.len()), (0, 0));
    let _ = world.send(&genuine).await.expect(200);
    let _ = key.get("/v1/whoami").await.expect_problem(401, "key_revoked");
}

#[tokio::test]
async fn keys_of_the_reporter_may_change_and_be_out_of_reach() {
    let world = World::new().await;
    let World { app, scanner, .. } = &world;
    scanner.answer_instead(503, "");
    let report = scanner.sign(&json!([]));
    let _ = world.send(&report).await.expect_problem(503, "unavailable");
    scanner.behave();
    let _ = world.send(&report).await.expect_problem(503, "unavailable");
    app.advance(Duration::from_secs(60));
    let _ = world.send(&report).await.expect(200);
    scanner.rotate_key();
    let report = scanner.sign(&json!([]));
    let _ = world.send(&report).await.expect_problem(401, "unauthenticated");
    app.advance(Duration::from_secs(60));
    let _ = world.send(&report).await.expect(200);
}

#[tokio::test]
async fn junk_is_no_key_and_costs_nothing() {
    let world = World::new().await;
    let World { app, scanner, .. } = &world;
    let _ = world.report(&[]).await;
    let mistyped = NOBODYS.replace('3', "4");
    let junk = [
        "",
        "sk_live_",
        "sk_live_short",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        &*mistyped,
        "ü",
        "\u{0}",
    ];
    app.engines().meter().reset();
    assert_eq!(world.report(&junk).await, ["false_positive"; 7]);
    assert_eq!(app.engines().meter().snapshot().calls_of("GetItem"), 0);
    assert_eq!(world.report(&[NOBODYS]).await, ["false_positive"]);
    assert_eq!(app.engines().meter().snapshot().calls_of("GetItem"), 1);
    for (body, code) in [
        ("", "format"),
        ("{}", "format"),
        ("null", "format"),
        ("[1]", "format"),
        (r#"[{"token":"a"}]"#, "format"),
        (r#"[{"token":1,"type":"a","url":""}]"#, "format"),
        (r#"[{"token":"a","type":"b"}"#, "format"),
    ] {
        let refused = world.send(&scanner.sign_raw(body)).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/code"), code, "{body}");
    }
    let most = vec![NOBODYS; 100];
    assert_eq!(world.report(&most).await.len(), 100);
    let many = scanner.sign(&matches(&vec![NOBODYS; 101]));
    let refused = world.send(&many).await.expect_problem(422, "invalid");
    assert!(refused.text("/detail").contains("100") && !refused.body.contains(NOBODYS));
    // Fields that are not known yet, and a place that is not said or is none.
    let key = app.key(&world.admin, json!({})).await;
    let odd = json!([
        {"token": NOBODYS, "type": "artisan", "extra": {"more": 1}},
        {"token": key.token(), "type": "artisan", "url": "javascript:alert(1)"},
        {"token": key.token(), "type": "artisan", "url": "", "source": null},
    ]);
    let answer = world.send(&scanner.sign(&odd)).await.expect(200);
    let expected = ["false_positive", "true_positive", "true_positive"];
    assert_eq!(labels(&answer, &[NOBODYS, key.token(), key.token()]), expected);
    let shown = world.shown(&world.admin, &key).await;
    assert_eq!((&shown["status"], &shown["leaked_url"]), (&json!("revoked"), &Value::Null));
    let mail = app.mails_to(&world.admin.text("/user/email")).remove(0);
    assert!(mail.text.contains("in a place that was not named"), "{}", mail.text);
}

#[tokio::test]
async fn one_report_reaches_the_keys_of_several_tenants_and_each_is_told_of_its_own() {
    let world = World::new().await;
    let World { app, admin, .. } = &world;
    let other = app.sign_up("Initech").await;
    app.prove(&other).await;
    world.flag_only(&other).await;
    let (live, test) = (app.key(admin, json!({})).await, app.key(admin, json!({"mode": "test"})).await);
    let theirs = app.key(&other, json!({"name": "Theirs"})).await;
    let untouched = app.key(admin, json!({})).await;
    let tokens = [live.token(), "junk", theirs.token(), NOBODYS, test.token()];
    let expected = ["true_positive", "false_positive", "true_positive", "false_positive", "true_positive"];
    assert_eq!(world.report(&tokens).await, expected);
    for revoked in [&live, &test] {
        let _ = revoked.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    }
    for working in [&theirs, &untouched] {
        let _ = working.get("/v1/whoami").await.expect(200);
    }
    assert_eq!((world.told(admin), world.told(&other)), (2, 1));
    assert_eq!((world.on_record(admin).await.len(), world.on_record(&other).await.len()), (2, 1));
    assert!(app.mails_to(&admin.text("/user/email")).iter().all(|mail| !mail.text.contains("Theirs")));
}

#[tokio::test]
async fn a_large_leak_of_one_organization_is_dealt_with_in_one_report() {
    let world = World::new().await;
    let World { app, admin, .. } = &world;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(app.key(admin, json!({})).await);
    }
    let tokens: Vec<&str> = keys.iter().map(Actor::token).collect();
    assert_eq!(world.report(&tokens).await, vec!["true_positive"; 20]);
    for key in &keys {
        let _ = key.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    }
    assert_eq!((world.told(admin), world.on_record(admin).await.len()), (20, 20));
    assert_eq!(admin.get(ORGANIZATION).await.expect(200).json["usage"]["api_keys"]["used"], 0);
}

#[tokio::test]
async fn a_key_that_leaks_while_its_organization_is_deleted_does_not_come_back_with_it() {
    let world = World::new().await;
    let World { app, admin, .. } = &world;
    let (leaked, kept) = (app.key(admin, json!({})).await, app.key(admin, json!({})).await);
    let _ = admin.raw(Method::DELETE, ORGANIZATION, r#"{"confirm":"Harbor & Pine"}"#).await.expect(202);
    assert_eq!(world.report(&[leaked.token()]).await, ["true_positive"]);
    assert_eq!((world.told(admin), world.on_record(admin).await.len()), (0, 1));
    let _ = admin.raw(Method::POST, &format!("{ORGANIZATION}/restore"), "{}").await.expect(200);
    let _ = leaked.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    let _ = kept.get("/v1/whoami").await.expect(200);
    app.drain().await;
}

#[tokio::test]
async fn a_key_that_could_not_be_dealt_with_holds_up_no_other_and_is_done_when_the_report_comes_again() {
    let world = World::new().await;
    let World { app, admin, scanner } = &world;
    let mut keys = Vec::new();
    for _ in 0..12 {
        keys.push(app.key(admin, json!({})).await);
    }
    let tokens: Vec<&str> = keys.iter().map(Actor::token).collect();
    let report = scanner.sign(&matches(&tokens));
    let throttled = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message":"Transaction cancelled","CancellationReasons":[{"Code":"ThrottlingError"}]}"#;
    app.engines().faults().order("TransactWriteItems", 0, 1, Strike::Before, 400, throttled);
    let _ = world.send(&report).await.expect_problem(503, "unavailable");
    assert_eq!(world.on_record(admin).await.len(), 11);
    let answer = world.send(&report).await.expect(200);
    assert_eq!(labels(&answer, &tokens), vec!["true_positive"; 12]);
    assert_eq!((world.told(admin), world.on_record(admin).await.len()), (12, 12));
}

#[tokio::test]
async fn where_no_reports_are_taken_there_is_no_such_route() {
    let app = TestApp::start().await;
    let scanner = SecretScanner::start().await;
    let report = scanner.sign(&json!([]));
    let github = app.stranger().with("github-public-key-identifier", report.identifier.clone());
    let github = github.with("github-public-key-signature", report.signature);
    for actor in [&app.stranger(), &github] {
        let _ = actor.raw(Method::POST, REPORTS, report.body.clone()).await.expect_problem(404, "not_found");
    }
    assert_eq!(scanner.requests(), 0);
}
