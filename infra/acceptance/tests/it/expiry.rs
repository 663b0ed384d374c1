//! Warnings that a key is about to expire.

use std::time::Duration;

use artisan_local::engines::Strike;
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use http::Method;
use serde_json::{Value, json};
use store::{ApiKey, Change, Due, Organization, OrganizationStatus, Task};
use testkit::{Actor, TestApp};

use crate::organizations;
use crate::people::{self, organization, records, store};

const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);
const KEYS: &str = "/api/admin/api-keys";
const ORGANIZATION: &str = "/api/admin/organization";

async fn sweep(app: &TestApp) {
    let failed = app.platform().run_schedules().await;
    assert!(failed.is_empty(), "{failed:?}");
    app.drain().await;
}

/// A key named `CRM` that expires after `life`.
async fn expiring(app: &TestApp, admin: &Actor, life: Duration) -> Actor {
    app.key(admin, json!({"name": "CRM", "expires_at": (app.now() + life).to_string()})).await
}

/// How often somebody was warned.
fn warnings(app: &TestApp, person: &Actor) -> usize {
    let mails = app.mails_to(&person.text("/user/email"));
    mails.iter().filter(|mail| mail.subject.contains(" expires on ")).count()
}

async fn warned_today(app: &TestApp, admin: &Actor) -> Vec<Value> {
    let mut all = records(app, organization(admin)).await;
    let today = app.now().day();
    all.retain(|record| record["timestamp"].as_str().unwrap().starts_with(&today));
    all.retain(|record| record["action"] == "api_key.expiring");
    all
}

/// All tasks, due or not.
async fn tasks(app: &TestApp) -> Vec<Due> {
    organizations::tasks(&store(app), Timestamp::MAX).await
}

async fn read(app: &TestApp, admin: &Actor, key: &Actor) -> ApiKey {
    let id = key.text("/id").parse().unwrap();
    store(app).tenant_of_job(organization(admin)).api_key(id).await.unwrap().unwrap()
}

/// Moves the expiry of a key in the table, and nothing else.
async fn move_expiry(app: &TestApp, admin: &Actor, key: &Actor, expires_at: Timestamp) {
    let text = |value: String| AttributeValue::S(value);
    let dynamodb = app.platform().services_for("api-keys").unwrap().aws.dynamodb;
    let update = dynamodb
        .update_item()
        .table_name(app.platform().table_name("CoreTable").unwrap())
        .key("pk", text(format!("ORG#{}", organization(admin))))
        .key("sk", text(format!("KEY#{}", key.text("/id"))))
        .update_expression("SET expires_at = :at")
        .expression_attribute_values(":at", text(expires_at.to_string()));
    update.send().await.unwrap();
}

#[tokio::test]
async fn admins_are_warned_a_week_and_a_day_before_once_each() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Harbor & Pine").await;
    app.prove(&admin).await;
    let second = app.invite_and_join(&admin, json!({"role": "admin"})).await;
    let reader = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let key = expiring(&app, &admin, 10 * DAY).await;
    let before = admin.get(&format!("{KEYS}/{}", key.text("/id"))).await.expect(200);
    let expires_at = app.now() + 10 * DAY;

    app.advance(3 * DAY - SECOND);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 0, "it is not time yet");
    app.advance(SECOND);
    sweep(&app).await;
    sweep(&app).await;
    let told = || [&admin, &second, &reader].map(|person| warnings(&app, person));
    assert_eq!(told(), [1, 1, 0]);
    let on_record = warned_today(&app, &admin).await;
    assert_eq!(on_record.len(), 1);
    assert_eq!(on_record[0]["actor"], json!({"type": "system", "id": "sweep"}));
    assert_eq!(
        (&on_record[0]["resource_type"], on_record[0]["resource_id"].as_str()),
        (&json!("api_key"), Some(&*key.text("/id")))
    );
    let expiry = expires_at.to_string();
    assert_eq!(
        on_record[0]["changes"],
        json!([
            {"field": "expires_at", "before": expiry, "after": expiry},
            {"field": "expiry_warning", "before": null, "after": "seven_days"},
        ])
    );
    let mail = app.mails_to(&admin.text("/user/email")).remove(0);
    assert_eq!(mail.subject, "The API key CRM expires on 2026-12-02");
    let label =
        format!("CRM (sk_live_…{}) of Harbor & Pine expires at 2026-12-02 12:00 UTC", &key.token()[36..]);
    assert!(mail.text.contains(&label) && mail.text.contains("rotate it"), "{}", mail.text);

    app.advance(6 * DAY - SECOND);
    sweep(&app).await;
    assert_eq!(told(), [1, 1, 0]);
    app.advance(SECOND);
    sweep(&app).await;
    sweep(&app).await;
    assert_eq!(told(), [2, 2, 0]);
    let on_record = warned_today(&app, &admin).await;
    assert_eq!(on_record.len(), 1);
    assert_eq!(on_record[0]["changes"][1]["before"], "seven_days");
    assert_eq!(on_record[0]["changes"][1]["after"], "one_day");
    let _ = key.get("/v1/whoami").await.expect(200);
    let after = app.sign_in_again(&admin).await.get(&format!("{KEYS}/{}", key.text("/id"))).await.expect(200);
    assert_eq!(after.header("etag"), before.header("etag"), "a warning does not change the key");
    app.advance(2 * DAY);
    sweep(&app).await;
    assert_eq!(told(), [2, 2, 0]);
    assert!(tasks(&app).await.is_empty());
}

#[tokio::test]
async fn a_shorter_life_has_fewer_warnings_and_the_revoked_have_none() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let _ = app.key(&admin, json!({})).await;
    let _ = expiring(&app, &admin, DAY).await;
    let _ = expiring(&app, &admin, Duration::from_secs(3600)).await;
    assert!(tasks(&app).await.is_empty());
    let _ = expiring(&app, &admin, 3 * DAY).await;
    let revoked = expiring(&app, &admin, 8 * DAY).await;
    assert_eq!(tasks(&app).await.len(), 2);
    let _ = admin.delete(&format!("{KEYS}/{}", revoked.text("/id"))).await.expect(204);
    app.advance(DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 0);
    app.advance(DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 1);
    assert!(app.mails_to(&admin.text("/user/email"))[0].text.contains("2026-11-25 12:00"));
    assert!(tasks(&app).await.is_empty());
}

#[tokio::test]
async fn a_key_whose_expiry_was_moved_is_warned_of_at_its_new_time() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let key = expiring(&app, &admin, 10 * DAY).await;
    let start = app.now();
    move_expiry(&app, &admin, &key, start + 20 * DAY).await;
    app.advance(3 * DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 0, "the old time is over");
    let due = tasks(&app).await;
    assert_eq!(due.iter().map(|due| due.due_at).collect::<Vec<_>>(), [start + 13 * DAY]);

    // Whoever moves it schedules its warning: that of the former expiry is left on the list and tells nobody.
    move_expiry(&app, &admin, &key, start + 12 * DAY).await;
    let (moved, acme) = (read(&app, &admin, &key).await, organization(&admin));
    for _ in 0..2 {
        let change = Change::audited(people::record(&app, acme));
        let change = change.schedule_expiry_warning(acme, &moved, app.now()).unwrap();
        store(&app).tenant_of_job(acme).commit(change, None).await.unwrap();
    }
    assert_eq!(tasks(&app).await.len(), 2);
    app.advance(2 * DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 1);
    app.advance(6 * DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 2);
    app.advance(9 * DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 2);
    assert!(tasks(&app).await.is_empty());
}

#[tokio::test]
async fn a_task_that_comes_up_twice_or_late_tells_once() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let _ = expiring(&app, &admin, 10 * DAY).await;
    let due = tasks(&app).await.remove(0);
    assert!(matches!(due.task, Task::WarnOfExpiry { .. }));
    for late in [SECOND, 60 * SECOND] {
        store(&app).keep_task(&Due { due_at: due.due_at + late, ..due.clone() }).await.unwrap();
    }
    app.advance(3 * DAY);
    sweep(&app).await;
    app.advance(60 * SECOND);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 1);
    store(&app).keep_task(&due).await.unwrap();
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 1);
    // After an outage of the sweep that lasted over both times there is one warning.
    let other = app.sign_in_again(&admin).await;
    let _ = expiring(&app, &other, 10 * DAY).await;
    app.advance(9 * DAY + Duration::from_secs(3600));
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 2);
    assert!(tasks(&app).await.is_empty());
}

#[tokio::test]
async fn a_warning_that_fails_is_put_off_and_given_later() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let _ = expiring(&app, &admin, 10 * DAY).await;
    app.advance(3 * DAY);
    let broken = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal"}"#;
    // Of this task, and of the look at the log that comes before it.
    app.engines().faults().order("TransactWriteItems", 0, 6, Strike::Before, 500, broken);
    assert_eq!(app.platform().run_schedules().await.len(), 1);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 0);
    app.advance(Duration::from_secs(15 * 60));
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 1);
    app.advance(6 * DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 2);
}

#[tokio::test]
async fn nobody_of_a_deleted_organization_is_told_unless_it_comes_back() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let _ = expiring(&app, &admin, 10 * DAY).await;
    let _ = admin.raw(Method::DELETE, ORGANIZATION, r#"{"confirm":"Acme"}"#).await.expect(202);
    app.advance(4 * DAY);
    sweep(&app).await;
    assert_eq!((warnings(&app, &admin), warned_today(&app, &admin).await.len()), (0, 0));
    let back = |it: &mut Organization| (it.status, it.erased_after) = (OrganizationStatus::Active, None);
    people::alter(&app, organization(&admin), back).await;
    app.advance(5 * DAY);
    sweep(&app).await;
    assert_eq!(warnings(&app, &admin), 1, "the second one is still given");

    // What is erased leaves no warning behind.
    let admin = app.sign_in_again(&admin).await;
    let gone = expiring(&app, &admin, 300 * DAY).await;
    let _ = expiring(&app, &admin, 300 * DAY).await;
    let _ = admin.delete(&format!("{KEYS}/{}", gone.text("/id"))).await.expect(204);
    let _ = admin.raw(Method::DELETE, ORGANIZATION, r#"{"confirm":"Acme"}"#).await.expect(202);
    app.advance(31 * DAY);
    sweep(&app).await;
    assert!(tasks(&app).await.is_empty(), "{:?}", tasks(&app).await);
}
