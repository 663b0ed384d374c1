//! Items in old formats: read as if they were new, brought up in bulk, by the operator and by the sweep.

use std::time::Duration;

use artisan_cli::Verdict;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testkit::Actor;

use crate::deployment::Deployment;

impl Deployment {
    /// Makes an organization as it was before there was a limit over all keys.
    async fn age(&self, admin: &Actor, version: i64) {
        let pk = format!("ORG#{}", admin.text("/organization/id"));
        let update = self.aws.dynamodb.update_item().table_name(self.table("CoreTable"));
        let update = update.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S("ORG".to_owned()));
        let update =
            update.update_expression("SET v = :v REMOVE requests_per_hour_limit, requests_per_hour_left");
        update
            .expression_attribute_values(":v", AttributeValue::N(version.to_string()))
            .send()
            .await
            .unwrap();
    }

    async fn version(&self, admin: &Actor) -> Option<AttributeValue> {
        let pk = format!("ORG#{}", admin.text("/organization/id"));
        self.item("CoreTable", &pk, "ORG").await.get("v").cloned()
    }
}

fn number(value: i64) -> Option<AttributeValue> {
    Some(AttributeValue::N(value.to_string()))
}

#[tokio::test]
async fn old_organizations_are_read_as_new_and_brought_up_in_bulk() {
    let it = Deployment::start().await;
    let mut admins = Vec::new();
    for number in 0..6 {
        admins.push(it.app.sign_up(&format!("Acme {number}")).await);
    }
    assert_eq!(it.version(&admins[0]).await, number(2), "new ones are written in the present format");
    for admin in &admins[..4] {
        it.age(admin, 1).await;
    }
    let old = admins[0].get("/api/admin/organization").await.expect(200);
    assert_eq!(old.json["limits"], admins[5].get("/api/admin/organization").await.expect(200).json["limits"]);
    let etag = old.header("etag").unwrap().to_owned();
    let key = json!({"name": "CRM"});
    let _ = admins[0].post("/api/admin/api-keys", key.clone()).await.expect_problem(409, "limit_reached");

    let before = it.run(&["migrate", "--status"], "").await;
    assert_eq!(before.outcome.as_ref().unwrap(), &Verdict::Faulty, "{}", before.text);
    let said = it.run(&["migrate", "--parallel", "3"], "").await.fine().json();
    assert_eq!((&said["upgraded"], &said["level_of_data"]), (&json!(4), &said["level"]));
    for admin in &admins {
        assert_eq!(it.version(admin).await, number(2));
    }
    let after = admins[0].get("/api/admin/organization").await.expect(200);
    assert_eq!(after.header("etag"), Some(etag.as_str()), "a format is no change");
    let _ = admins[0].post("/api/admin/api-keys", key).await.expect(201);

    it.age(&admins[1], 1).await;
    let said = it.run(&["migrate"], "").await.fine().json();
    assert_eq!(said["upgraded"], 4, "it is through, and is not begun again by itself");
    assert_eq!(it.version(&admins[1]).await, number(1));
    let said = it.run(&["migrate", "--again"], "").await.fine().json();
    assert_eq!((&said["upgraded"], it.version(&admins[1]).await), (&json!(1), number(2)));
    assert_eq!(it.run(&["migrate", "--status"], "").await.outcome.unwrap(), Verdict::Fine);
}

/// A change of plan sees in the table what reading has already added in memory.
#[tokio::test]
async fn an_old_organization_changes_its_plan_before_it_is_brought_up() {
    let it = Deployment::start().await;
    let (raised, lowered) = (it.app.sign_up("Raised").await, it.app.sign_up("Lowered").await);
    it.app.upgrade(&lowered, "business").await;
    for admin in [&raised, &lowered] {
        it.age(admin, 1).await;
    }
    it.app.upgrade(&raised, "growth").await;
    it.app.upgrade(&lowered, "starter").await;
    let _ = it.run(&["migrate"], "").await.fine();
    for (admin, limit) in [(&raised, 2_000_000), (&lowered, 1_000_000)] {
        let pk = format!("ORG#{}", admin.text("/organization/id"));
        let item = it.item("CoreTable", &pk, "ORG").await;
        for name in ["v", "requests_per_hour_limit", "requests_per_hour_left"] {
            let expected = if name == "v" { 2 } else { limit };
            assert_eq!(item.get(name).cloned(), number(expected), "{name}: nothing was given away");
        }
    }
}

#[tokio::test]
async fn a_run_that_was_stopped_goes_on_where_it_stopped() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    it.age(&admin, 1).await;
    let services = it.services();
    let store = store::Store::from_environment(&services.environment, services.aws.dynamodb).unwrap();
    let run = store.begin_migration(false, it.app.now()).await.unwrap();
    let parts = run.unfinished();
    for name in &parts[..5] {
        let segment = store.migrate(name, &run.segments[name], it.app.now()).await.unwrap();
        assert!(segment.done, "they are small");
    }
    it.app.advance(Duration::from_secs(60));
    let run = store.begin_migration(false, it.app.now()).await.unwrap();
    assert_eq!(run.unfinished(), parts[5..]);
    assert!(run.created_at < it.app.now(), "it is the same run");
    let looked_at = run.counts().0;
    let said = it.run(&["migrate"], "").await.fine().json();
    let all: u64 = {
        let scan = it.aws.dynamodb.scan().table_name(it.table("CoreTable")).send().await.unwrap();
        scan.scanned_count.try_into().unwrap()
    };
    assert!(looked_at <= all, "{looked_at} of {all}");
    assert_eq!((&said["looked_at"], &said["upgraded"]), (&json!(all), &json!(1)));
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_read_one_format_ahead_and_stops_a_run() {
    let it = Deployment::start().await;
    let (acme, initech) = (it.app.sign_up("Acme").await, it.app.sign_up("Initech").await);
    let write = async |admin: &Actor, version: &str| {
        let pk = format!("ORG#{}", admin.text("/organization/id"));
        let update = it.aws.dynamodb.update_item().table_name(it.table("CoreTable"));
        let update = update.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S("ORG".to_owned()));
        let update = update.update_expression("SET v = :v");
        update.expression_attribute_values(":v", AttributeValue::N(version.to_owned())).send().await.unwrap();
    };
    write(&acme, "3").await;
    let _ = acme.get("/api/admin/organization").await.expect(200);
    write(&acme, "4").await;
    let _ = acme.get("/api/admin/organization").await.expect(500);
    let _ = initech.get("/api/admin/organization").await.expect(200);
    let said = it.run(&["migrate"], "").await;
    assert!(said.error().contains("written by a newer version"), "{}", said.error());
}

#[tokio::test]
async fn the_sweep_brings_items_up_once_functions_of_the_version_before_are_gone() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    it.age(&admin, 1).await;
    it.app.sweep().await;
    it.app.advance(Duration::from_secs(59 * 60));
    it.app.sweep().await;
    assert_eq!(it.version(&admin).await, number(1), "others may still write as they did");
    it.app.advance(Duration::from_secs(60));
    it.app.sweep().await;
    assert_eq!(it.version(&admin).await, number(2));
    let status = it.run(&["migrate", "--status"], "").await.fine().json();
    assert_eq!(status["upgraded"], 1);
}
