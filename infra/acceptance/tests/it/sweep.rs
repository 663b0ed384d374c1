//! What time alone brings about.

use std::time::Duration;

use http::Method;
use serde_json::json;
use store::{AuditEntry, AuditFilter, PageRequest};
use testkit::{Actor, TestApp};

use crate::exports::tenant;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn sweep(app: &TestApp) {
    let failed = app.platform().run_schedules().await;
    assert!(failed.is_empty(), "{failed:?}");
    app.drain().await;
}

async fn fill(actor: &Actor) {
    for number in 0..3 {
        let _ = actor.post("/v1/campaigns", json!({"name": format!("c{number}")})).await.expect(201);
        let lead = json!({"email": format!("l{number}@example.com")});
        let lead = actor.post("/v1/leads", lead).await.expect(201).text("/id");
        let reply = json!({"message": "hello"});
        let _ = actor.post(&format!("/v1/leads/{lead}/replies"), reply).await.expect(201);
    }
}

/// Everything in the tables, as text, but the heads of audit logs, which stay with the logs.
async fn tables(app: &TestApp) -> String {
    let mut all = String::new();
    for table in ["DirectoryTable", "CoreTable", "ActivityTable"] {
        let scan = json!({"TableName": app.platform().table_name(table).unwrap()}).to_string();
        let answer = app.engines().dispatch("DynamoDB_20120810.Scan", scan.into()).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(answer.status == 200 && !text.contains("LastEvaluatedKey"), "{text}");
        let items: serde_json::Value = serde_json::from_str(&text).unwrap();
        let items = items["Items"].as_array().unwrap().iter();
        let is_head = |item: &&serde_json::Value| item["pk"]["S"].as_str().unwrap().ends_with("#LOG");
        items.filter(|item| !is_head(item)).for_each(|item| all.push_str(&item.to_string()));
    }
    all
}

#[tokio::test]
async fn a_deleted_organization_is_erased_after_thirty_days_and_its_admins_get_a_receipt() {
    if testkit::embedded_only(testkit::EXPIRES) {
        return;
    }
    let app = TestApp::start().await;
    let (acme, initech) = (app.sign_up("Acme").await, app.sign_up("Initech").await);
    app.prove(&acme).await;
    let _ = app.invite_and_join(&acme, json!({"role": "read_only"})).await;
    let key = app.key(&acme, json!({})).await;
    fill(&acme).await;
    fill(&initech).await;
    app.drain().await;
    let before = initech.get("/v1/leads").await.expect(200).body;
    let id = acme.text("/organization/id");
    let _ = acme.raw(Method::DELETE, "/api/admin/organization", r#"{"confirm":"Acme"}"#).await.expect(202);

    app.advance(DAY * 29);
    sweep(&app).await;
    assert!(tables(&app).await.contains(&id), "it can still be brought back");
    app.advance(DAY + Duration::from_secs(60));
    sweep(&app).await;
    let mails = app.mails_to(&acme.text("/user/email"));
    let receipt = mails.iter().find(|mail| mail.text.contains(&id)).expect("a receipt was mailed");
    for kind in ["lead", "campaign", "reply", "member", "api_key"] {
        assert!(receipt.text.contains(kind), "{}", receipt.text);
    }
    // What is left of it ends by itself: sessions, mails that were sent, remembered answers.
    app.advance(DAY * 400);
    let _ = app.engines().dynamodb().sweep().unwrap();
    // The next look at its log finds nobody and is the last.
    sweep(&app).await;
    assert!(!tables(&app).await.contains(&id), "{}", tables(&app).await);
    let _ = key.get("/v1/whoami").await.expect_problem(401, "key_unknown");
    let initech = app.sign_in_again(&initech).await;
    assert_eq!(initech.get("/v1/leads").await.expect(200).body, before);
    // The person is still a person, and the audit log still tells.
    let body = json!({"email": acme.text("/user/email"), "password": testkit::PASSWORD});
    let _ = app.stranger().post("/api/auth/login", body).await.expect_problem(403, "no_organization");
}

#[tokio::test]
async fn one_that_was_brought_back_is_left_alone() {
    let app = TestApp::start().await;
    let acme = app.sign_up("Acme").await;
    fill(&acme).await;
    let _ = acme.raw(Method::DELETE, "/api/admin/organization", r#"{"confirm":"Acme"}"#).await.expect(202);
    app.advance(Duration::from_secs(600));
    let _ = acme.raw(Method::POST, "/api/admin/organization/restore", "{}").await.expect(200);
    app.advance(DAY * 31);
    sweep(&app).await;
    let acme = app.sign_in_again(&acme).await;
    assert_eq!(acme.get("/v1/leads").await.expect(200).json["data"].as_array().unwrap().len(), 3);
    app.drain().await;
}

#[tokio::test]
async fn a_deleted_workspace_is_emptied() {
    let app = TestApp::start().await;
    let acme = app.sign_up("Acme").await;
    let workspace =
        acme.post("/api/admin/workspaces", json!({"name": "Second"})).await.expect(201).text("/id");
    let there = acme.with("x-workspace-id", workspace.clone());
    fill(&there).await;
    app.drain().await;
    let path = format!("/api/admin/workspaces/{workspace}");
    let _ = acme.delete(&path).await.expect_problem(409, "conflict");
    let _ = acme.patch(&path, json!({"status": "archived"})).await.expect(200);
    let _ = acme.delete(&path).await.expect(204);
    app.advance(DAY * 30 + Duration::from_secs(60));
    sweep(&app).await;
    assert!(!tables(&app).await.contains(&format!("WS#{workspace}#live#LEAD")));
    assert!(!tables(&app).await.contains(&format!("WS#{workspace}#live#CAMP")));
}

/// The records by which the sweep says that there was nothing to record.
async fn witnessed(app: &TestApp, admin: &Actor) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some("audit_log.witness".to_owned()), ..AuditFilter::default() };
    let page = PageRequest { limit: 100, after: None };
    tenant(app, admin).audit_records(&filter, &page, true, app.now()).await.unwrap().items
}

#[tokio::test]
async fn a_log_in_which_nothing_happens_says_so_once_a_day() {
    let app = TestApp::start().await;
    let (silent, busy) = (app.sign_up("Silent").await, app.sign_up("Busy").await);
    app.drain().await;
    for day in 1..=3 {
        app.advance(DAY / 2);
        let _ = app.sign_in_again(&busy).await;
        app.drain().await;
        sweep(&app).await;
        app.advance(DAY / 2);
        // Once, however often it is looked at.
        for _ in 0..3 {
            sweep(&app).await;
            app.advance(Duration::from_secs(1));
        }
        let found = witnessed(&app, &silent).await;
        assert_eq!(found.len(), day, "of the silent one, after {day} days");
        assert!(found.iter().all(|record| record.leaf_index.is_some()), "they are in the log: {found:?}");
        assert!(witnessed(&app, &busy).await.is_empty(), "of the busy one, after {day} days");
    }
    let record = witnessed(&app, &silent).await.remove(0).record().unwrap();
    assert_eq!(
        (&record["actor"], &record["success"]),
        (&json!({"type": "system", "id": "sweep"}), &json!(true))
    );
}
