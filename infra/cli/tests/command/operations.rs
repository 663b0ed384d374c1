//! What operators do to tenants' data: by the product's rules, on record, and not without being asked.

use std::time::Duration;

use artisan_cli::Verdict;
use artisan_cli::error::Error;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testkit::{Actor, Receiver};

use crate::deployment::Deployment;

fn is_operators(record: &serde_json::Value) {
    assert_eq!(
        (&record["actor"]["type"], &record["actor"]["id"]),
        (&json!("system"), &json!("operator")),
        "{record}"
    );
}

async fn lead(actor: &Actor, number: usize) -> String {
    let lead = json!({"email": format!("l{number}@example.com")});
    actor.post("/v1/leads", lead).await.expect(201).text("/id")
}

#[tokio::test]
async fn tenants_are_listed() {
    let it = Deployment::start().await;
    for name in ["Acme", "Initech", "Hooli"] {
        let _ = it.app.sign_up(name).await;
        it.app.advance(Duration::from_millis(5));
    }
    let said = it.run(&["tenants", "list"], "").await.fine().json();
    let names: Vec<_> =
        said["tenants"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!((names, &said["complete"]), (vec!["Acme", "Initech", "Hooli"], &json!(true)));
    let said = it.run(&["tenants", "list", "--limit", "2"], "").await.fine().json();
    assert_eq!((said["tenants"].as_array().unwrap().len(), &said["complete"]), (2, &json!(false)));
}

#[tokio::test]
async fn a_tenant_is_deleted_as_its_admins_would_delete_it() {
    let it = Deployment::start().await;
    let (acme, initech) = (it.app.sign_up("Acme").await, it.app.sign_up("Initech").await);
    it.app.prove(&acme).await;
    let key = it.app.key(&acme, json!({})).await;
    let id = acme.text("/organization/id");
    let line = ["tenants", "delete", &id];
    for answer in ["", "acme", "yes"] {
        let said = it.run(&line, answer).await;
        assert!(matches!(said.outcome, Err(Error::NotConfirmed)), "{answer}: {}", said.error());
    }
    let _ = key.get("/v1/whoami").await.expect(200);
    let said = it.run(&line, "Acme\n").await.fine().json();
    assert_eq!(said["status"], "deleted");
    let _ = key.get("/v1/whoami").await.expect_problem(403, "organization_deleted");
    let _ = initech.get("/api/admin/organization").await.expect(200);
    it.app.drain().await;
    let told = it.app.mails_to(&acme.text("/user/email"));
    assert!(
        told.iter().any(|mail| mail.text.contains("Acme") && mail.subject.to_lowercase().contains("delete")),
        "{told:?}"
    );

    // Once more is no error and no second record; and an admin may have it back.
    let _ = it.run(&["tenants", "delete", &id, "--yes"], "").await.fine();
    let _ = acme.post_nothing("/api/admin/organization/restore").await.expect(200);
    let records = it.records(&acme, "organization.delete").await;
    assert_eq!(records.len(), 1);
    is_operators(&records[0]);
    let _ = key.get("/v1/whoami").await.expect(200);

    let gone = it.run(&["tenants", "delete", "org_01kaq8zr3yfe2r4m8n5p6q7s8t", "--yes"], "").await;
    assert!(gone.error().contains("there is no such organization"), "{}", gone.error());
}

#[tokio::test]
async fn a_tenant_is_exported_whole_and_on_record() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    let key = it.app.key(&admin, json!({})).await;
    for number in 0..5 {
        lead(&key, number).await;
    }
    it.app.drain().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.ndjson");
    let (id, file) = (admin.text("/organization/id"), path.to_str().unwrap());
    let said = it.run(&["tenants", "export", &id, "-o", file], "").await.fine().json();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(said["records"], text.lines().count());
    let count =
        |kind: &str| text.lines().filter(|line| line.starts_with(&format!("{{\"type\":\"{kind}\""))).count();
    assert_eq!((count("organization"), count("lead"), count("api_key"), count("member")), (1, 5, 1, 1));
    let again = it.run(&["tenants", "export", &id, "-o", file], "").await;
    assert!(matches!(again.outcome, Err(Error::Create { .. })), "nothing is written over");
    let records = it.records(&admin, "organization.export").await;
    assert!(!records.is_empty());
    records.iter().for_each(is_operators);
    assert_eq!(records[0]["pii_accessed"], true);
}

/// Half of an export would be taken for one.
#[tokio::test]
async fn of_an_export_that_fails_nothing_remains_and_of_one_that_does_not_only_its_owner_reads() {
    let it = Deployment::start().await;
    let id = it.app.sign_up("Acme").await.text("/organization/id");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.ndjson");
    let line = ["tenants", "export", &id, "-o", path.to_str().unwrap()];
    let refused = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}"#;
    it.app.engines().faults().order("Query", 1, 1, artisan_local::engines::Strike::Before, 400, refused);
    let said = it.run(&line, "").await;
    assert!(said.error().contains("AccessDeniedException"), "{}", said.error());
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left(), 0);

    // One that was killed leaves its draft, and what it has under way nobody takes over.
    let draft = folder.path().join("acme.ndjson.part");
    std::fs::write(&draft, "").unwrap();
    let said = it.run(&line, "").await;
    assert!(said.error().contains("acme.ndjson.part"), "{}", said.error());
    std::fs::remove_file(&draft).unwrap();
    let _ = it.run(&line, "").await.fine();
    assert_eq!(left(), 1);
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_key_is_revoked_at_once() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    let (key, other) = (it.app.key(&admin, json!({})).await, it.app.key(&admin, json!({})).await);
    let (organization, id) = (admin.text("/organization/id"), key.text("/id"));
    let line = ["keys", "revoke", &organization, &id];
    assert!(matches!(it.run(&line, "no\n").await.outcome, Err(Error::NotConfirmed)));
    let _ = key.get("/v1/whoami").await.expect(200);
    let said = it.run(&["keys", "revoke", &organization, &id, "--yes"], "").await.fine().json();
    assert_eq!(said["key_id"], id);
    let _ = key.get("/v1/whoami").await.expect(401);
    let _ = other.get("/v1/whoami").await.expect(200);
    let records = it.records(&admin, "api_key.revoke").await;
    assert_eq!(records.len(), 1);
    is_operators(&records[0]);
    let again = it.run(&["keys", "revoke", &organization, &id, "--yes"], "").await;
    assert!(again.error().contains("revoked already"), "{}", again.error());
}

#[tokio::test]
async fn dead_letters_are_redriven_by_id_and_by_endpoint() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    let receiver = Receiver::answering(|number| if number < 3 { 500 } else { 200 }).await;
    let (endpoint, _) = it.app.endpoint(&admin, &receiver, json!({"max_retries": 0})).await;
    let key = it.app.key(&admin, json!({})).await;
    for number in 0..3 {
        lead(&key, number).await;
    }
    it.app.drain().await;
    let dead = async || {
        let listed = admin.get("/api/admin/webhooks/dead-letters").await.expect(200);
        let ids: Vec<String> = listed.json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        ids
    };
    let first = dead().await;
    assert_eq!(first.len(), 3);
    let organization = admin.text("/organization/id");
    let line = ["deliveries", "redrive", &organization, "--delivery", &first[0]];
    let said = it.run(&line, "").await.fine().json();
    assert_eq!(said["delivery_ids"], json!([first[0]]));
    it.app.drain().await;
    assert_eq!(dead().await.len(), 2);
    let none = it.run(&line, "").await;
    assert!(none.error().contains("none of these"), "{}", none.error());

    let said =
        it.run(&["deliveries", "redrive", &organization, "--endpoint", &endpoint], "").await.fine().json();
    assert!(said["replay_id"].as_str().unwrap().starts_with("rpl_"), "{said}");
    let twice = it.run(&["deliveries", "redrive", &organization, "--endpoint", &endpoint], "").await;
    assert!(twice.error().contains("runs or is paused"), "{}", twice.error());
    for _ in 0..5 {
        it.app.advance(Duration::from_secs(60));
        it.app.sweep().await;
    }
    assert_eq!((dead().await.len(), receiver.received().len()), (0, 6));
    let records = it.records(&admin, "dead_letters.redrive").await;
    assert_eq!(records.len(), 2);
    records.iter().for_each(is_operators);
}

/// An export takes minutes, and is on record.
#[tokio::test]
async fn what_cannot_be_verified_is_not_exported_first() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    it.app.drain().await;
    let key = admin.get("/api/admin/audit-logs/checkpoint/keys").await.expect(200).body;
    let key = key.lines().next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.ndjson");
    std::fs::write(&path, "").unwrap();
    let organization = admin.text("/organization/id");
    let said = it.run(&["audit", "verify", &organization, "-o", path.to_str().unwrap()], "").await;
    assert!(matches!(said.outcome, Err(Error::Create { .. })), "{}", said.error());
    let nobody = "org_01kaq8zr3yfe2r4m8n5p6q7s8t";
    let said = it.run(&["audit", "verify", nobody, "--key", key], "").await;
    assert!(matches!(said.outcome, Err(Error::NotSealed)), "{}", said.error());
    assert!(it.records(&admin, "audit_log.export").await.is_empty());
    let scan = it.aws.dynamodb.scan().table_name(it.table("ActivityTable"));
    let scan = scan.filter_expression("begins_with(pk, :it)");
    let scan = scan.expression_attribute_values(":it", AttributeValue::S(format!("ORG#{nobody}")));
    assert_eq!(scan.send().await.unwrap().count, 0, "nothing is made for who is not there");
}

#[tokio::test]
async fn an_audit_log_is_verified_and_what_was_altered_in_it_found() {
    let it = Deployment::start().await;
    let admin = it.app.sign_up("Acme").await;
    for number in 0..5 {
        lead(&it.app.key(&admin, json!({})).await, number).await;
    }
    it.app.drain().await;
    let organization = admin.text("/organization/id");
    let line = ["audit", "verify", &organization, "--patience", "60"];
    let verify = async || {
        let working = async {
            loop {
                it.app.drain().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            said = it.run(&line, "") => said,
            () = working => unreachable!("it never ends"),
        }
    };
    let said = verify().await.fine().json();
    assert_eq!((&said["intact"], &said["scope"]["kind"]), (&json!(true), &json!("whole_log")));
    assert!(said["sealed"].as_u64().unwrap() >= 11, "{said}");
    let records = it.records(&admin, "audit_log.export").await;
    is_operators(&records[0]);

    let scan = it.aws.dynamodb.scan().table_name(it.table("AuditTable"));
    let scan = scan.filter_expression("contains(entry, :it)");
    let scan = scan.expression_attribute_values(":it", AttributeValue::S("\"lead.create\"".to_owned()));
    let found = scan.send().await.unwrap().items.unwrap().remove(0);
    let altered = found["entry"].as_s().unwrap().replace("lead.create", "lead.delete");
    let update = it.aws.dynamodb.update_item().table_name(it.table("AuditTable"));
    let update = update.key("pk", found["pk"].clone()).key("sk", found["sk"].clone());
    let update = update.update_expression("SET entry = :entry");
    update.expression_attribute_values(":entry", AttributeValue::S(altered)).send().await.unwrap();
    let said = verify().await;
    assert_eq!(said.outcome.as_ref().unwrap(), &Verdict::Faulty, "{}", said.text);
    assert_eq!(said.json()["intact"], false);
}
