//! Every mutation, sign-in and refusal leaves exactly one audit record.

use serde_json::{Value, json};
use store::Store;
use testkit::{Actor, PASSWORD, Receiver, TestApp};

pub(crate) async fn records(app: &TestApp, admin: &Actor) -> Vec<Value> {
    let services = app.platform().services_for("leads").unwrap();
    let store = Store::from_environment(&services.environment, services.aws.dynamodb).unwrap();
    let organization = admin.text("/organization/id").parse().unwrap();
    store.tenant_of_job(organization).every_audit_record(app.now()).await.unwrap()
}

#[tokio::test]
async fn every_change_and_refusal_leaves_one_record_and_reads_leave_none() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let mut seen = records(&app, &admin).await.len();
    assert_eq!(seen, 1, "the sign-up");
    app.advance(std::time::Duration::from_millis(1));
    let mut expect = async |what: &str, more: usize| {
        let all = records(&app, &admin).await;
        assert_eq!(all.len(), seen + more, "{what}: {all:#?}");
        seen += more;
        // Records of the same millisecond would sort at random.
        app.advance(std::time::Duration::from_millis(1));
        all.into_iter().max_by_key(|record| record["id"].as_str().map(str::to_owned)).unwrap()
    };

    let key = app.key(&admin, json!({"scopes": ["leads:write", "leads:read"]})).await;
    let record = expect("an API key", 1).await;
    assert_eq!(record["action"], "api_key.create");
    assert_eq!(record["actor"]["type"], "user");
    assert_eq!(record["actor"]["email"], "admin0@example.com");
    assert_eq!(record["sensitive"], true);
    let campaign = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let record = expect("a campaign", 1).await;
    assert_eq!(
        (record["action"].as_str(), record["resource_id"].as_str()),
        (Some("campaign.create"), Some(&*campaign))
    );
    assert_eq!(record["changes"][0], json!({"field": "name", "before": null, "after": "Autumn"}));
    let agent = key.with("user-agent", "curl/8").with("x-request-id", "trace-1");
    let lead = agent.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let record = expect("a lead", 1).await;
    assert_eq!(record["actor"], json!({"type": "api_key", "id": key.text("/id")}));
    assert_eq!(record["user_agent"], "curl/8");
    assert_eq!(record["request_id"], "trace-1");
    assert_eq!(record["pii_accessed"], true);
    assert_eq!(record["workspace_id"].as_str(), Some(&*admin.text("/workspaces/0/id")));
    assert!(!record.to_string().contains("a@example.com"), "personal data of a lead is not copied");
    let _ = key.post(&format!("/v1/leads/{lead}/replies"), json!({"message": "Hi"})).await.expect(201);
    let record = expect("a reply", 1).await;
    assert_eq!(record["changes"][0], json!({"field": "status", "before": "new", "after": "replied"}));
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    expect("an endpoint", 1).await;
    let path = format!("/api/admin/webhooks/{endpoint}");
    let _ = admin.patch(&path, json!({"max_retries": 1})).await.expect(200);
    let record = expect("its change", 1).await;
    assert_eq!(record["action"], "endpoint.update");
    assert_eq!(record["changes"], json!([{"field": "max_retries", "before": 4, "after": 1}]));
    let _ = admin.patch(&path, json!({"max_retries": 1})).await.expect(200);
    expect("a change that changes nothing", 0).await;
    for (action, body, recorded) in [
        ("rotate-secret", json!({}), "endpoint.rotate_secret"),
        ("test", json!({}), "endpoint.test"),
        ("replay", json!({}), "endpoint.replay"),
        ("disable", json!({}), "endpoint.disable"),
        ("enable", json!({}), "endpoint.enable"),
    ] {
        let answer = admin.post(&format!("{path}/{action}"), body).await;
        assert!(answer.status.is_success(), "{action}: {}", answer.body);
        assert_eq!(expect(action, 1).await["action"], recorded);
    }
    let _ = admin.post(&format!("{path}/replay"), json!({"dry_run": true})).await.expect(200);
    expect("a dry run", 0).await;
    let running = admin.get(&format!("{path}/replays")).await.expect(200).text("/data/0/id");
    let _ = admin.post(&format!("/api/admin/webhooks/replays/{running}/cancel"), json!({})).await.expect(200);
    assert_eq!(expect("giving a replay up", 1).await["action"], "replay.cancel");
    let redrive = "/api/admin/webhooks/dead-letters/redrive";
    let _ = admin.post(redrive, json!({"endpoint_id": endpoint})).await.expect(202);
    assert_eq!(expect("a redrive", 1).await["action"], "dead_letters.redrive");
    let _ = admin.delete(&format!("/api/admin/webhooks/{endpoint}")).await.expect(204);
    expect("its deletion", 1).await;

    let _ = admin.get("/v1/campaigns").await.expect(200);
    let _ = admin.get(&format!("/v1/leads/{lead}")).await.expect(200);
    expect("reads", 0).await;
    let _ = admin.post("/v1/campaigns", json!({"name": ""})).await.expect_problem(422, "invalid");
    expect("an invalid request", 0).await;
    let once = admin.with("idempotency-key", "one");
    for _ in 0..3 {
        let _ = once.post("/v1/campaigns", json!({"name": "Once"})).await.expect(201);
    }
    expect("a request and its replays", 1).await;

    let _ = key.get("/v1/campaigns").await.expect_problem(403, "forbidden");
    let record = expect("a refusal", 1).await;
    assert_eq!((&record["success"], &record["error_code"]), (&json!(false), &json!("forbidden")));
    assert_eq!(record["resource_id"], "GET /v1/campaigns");
    let _ = admin.delete(&format!("/api/admin/api-keys/{}", key.text("/id"))).await.expect(204);
    expect("a revocation", 1).await;
    let _ = key.get("/v1/leads").await.expect_problem(401, "key_revoked");
    let record = expect("a 401 with a known key", 1).await;
    assert_eq!(record["error_code"], "key_revoked");
    let _ = app.stranger().get("/v1/leads").await.expect_problem(401, "unauthenticated");
    expect("a stranger", 0).await;

    let sign_in = async |password: &str| {
        let body = json!({"email": "admin0@example.com", "password": password});
        app.stranger().post("/api/auth/login", body).await
    };
    let _ = sign_in(PASSWORD).await.expect(200);
    expect("a sign-in", 1).await;
    let _ = sign_in("not the password").await.expect_problem(401, "invalid_credentials");
    let record = expect("a sign-in that failed", 1).await;
    assert_eq!((&record["action"], &record["success"]), (&json!("session.create"), &json!(false)));
    let body = json!({"refresh_token": admin.text("/refresh_token")});
    let _ = app.stranger().post("/api/auth/refresh", body).await.expect(200);
    expect("a refresh", 1).await;
    let _ = admin.raw(http::Method::POST, "/api/auth/logout", "").await.expect(204);
    expect("a sign-out", 1).await;
    app.drain().await;
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_neither_change_nor_record() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let campaign = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let path = format!("/v1/campaigns/{campaign}");
    let before = records(&app, &admin).await;

    // A change loses against a deletion that comes between its read and its write.
    let changing = app.engines().faults().hold("TransactWriteItems", "campaign.update");
    let (changed, ()) = tokio::join!(admin.patch(&path, json!({"name": "Winter"})), async {
        changing.arrived().await;
        let _ = admin.delete(&path).await.expect(204);
        drop(changing);
    });
    let _ = changed.expect_problem(409, "conflict");
    let after = records(&app, &admin).await;
    let new: Vec<_> = after.iter().filter(|record| !before.contains(record)).collect();
    let said: Vec<_> = new.iter().map(|it| (it["action"].as_str().unwrap(), &it["success"])).collect();
    assert_eq!(said, [("campaign.delete", &json!(true))]);
    let _ = admin.get(&path).await.expect_problem(404, "not_found");

    // The other way round: what can't be put on record is not done either.
    let tenant = crate::exports::tenant(&app, &admin);
    let scope = store::WorkspaceScope {
        organization: tenant.organization_id(),
        workspace: admin.text("/workspaces/0/id").parse().unwrap(),
        mode: store::Mode::Live,
    };
    let ids = ids::Ids::new(app.platform().clock().clone());
    let create = |record: ids::AuditId, name: &str| {
        let campaign = store::Campaign {
            id: ids.next(),
            workspace_id: scope.workspace,
            name: name.to_owned(),
            description: None,
            goal: None,
            status: store::CampaignStatus::Draft,
            created_at: app.now(),
            updated_at: app.now(),
        };
        let record = store::AuditRecord {
            id: record,
            action: "campaign.create",
            actor: store::Actor { r#type: "system".to_owned(), id: "system".to_owned(), email: None },
            resource_type: "campaign".to_owned(),
            resource_id: Some(campaign.id.to_string()),
            organization_id: scope.organization,
            workspace_id: Some(scope.workspace),
            ip_address: "203.0.113.7".to_owned(),
            user_agent: None,
            request_id: name.to_owned(),
            timestamp: app.now(),
            success: true,
            error_code: None,
            changes: Vec::new(),
            pii_accessed: false,
            sensitive: false,
            compliance_relevant: false,
        };
        store::Change::audited(record).create_campaign(scope, &campaign).unwrap()
    };
    let taken = ids.next();
    tenant.commit(create(taken, "First"), None).await.unwrap();
    let refused = tenant.commit(create(taken, "Second"), None).await;
    assert!(refused.is_err(), "a record's place is taken");
    let names = admin.get("/v1/campaigns").await.expect(200).json["data"].clone();
    assert_eq!((names[0]["name"].as_str(), names.as_array().unwrap().len()), (Some("First"), 1), "{names}");
    let record = tenant.audit_record(taken).await.unwrap().unwrap().record().unwrap();
    assert_eq!(record["request_id"], "First", "and what stands there stays");
    app.drain().await;
}
