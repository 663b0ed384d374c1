//! The audit log: what is found in it, and what it proves.

use std::collections::BTreeSet;
use std::time::Duration;

use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use serde_json::{Value, json};
use testkit::{Actor, TestApp};
use tlog::{Checkpoint, Proof, VerifierKey, verify_consistency};

const LOG: &str = "/api/admin/audit-logs";

async fn search(actor: &Actor, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = actor.get(&format!("{LOG}?{query}&limit=7{cursor}")).await.expect(200).json;
        found.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn actions(records: &[Value]) -> BTreeSet<&str> {
    records.iter().map(|record| record["action"].as_str().unwrap()).collect()
}

async fn keys(actor: &Actor) -> Vec<VerifierKey> {
    let keys = actor.get(&format!("{LOG}/checkpoint/keys")).await.expect(200).body;
    keys.lines().map(|key| key.parse().unwrap()).collect()
}

async fn checkpoint(actor: &Actor) -> Checkpoint {
    let note = actor.get(&format!("{LOG}/checkpoint")).await.expect(200).body;
    Checkpoint::open(&note, &keys(actor).await).unwrap()
}

#[tokio::test]
async fn records_are_found_by_who_what_where_when_and_how() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let stranger = app.sign_up("Other").await;
    let key = app.key(&admin, json!({"scopes": ["leads:read", "leads:write"]})).await;
    for number in 0..20 {
        app.advance(Duration::from_millis(1));
        let lead = json!({"email": format!("lead{number}@example.com")});
        let _ = key.post("/v1/leads", lead).await.expect(201);
    }
    app.advance(Duration::from_secs(60));
    let noon = app.now().to_string();
    let _ = key.get("/v1/campaigns").await.expect_problem(403, "forbidden");
    let campaign = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let _ = admin.post_nothing(&format!("/v1/campaigns/{campaign}/start")).await.expect(200);
    let workspace = admin.text("/workspaces/0/id");

    let all = search(&admin, "").await;
    let ids: Vec<_> = all.iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once: {ids:?}");
    assert_eq!(all.len(), 25);
    assert_eq!(search(&admin, &format!("actor={}", key.text("/id"))).await.len(), 21);
    let created = search(&admin, "action=lead.create").await;
    assert_eq!((created.len(), actions(&created)), (20, BTreeSet::from(["lead.create"])));
    let failed = search(&admin, "outcome=failure").await;
    assert_eq!((failed.len(), &failed[0]["error_code"]), (1, &json!("forbidden")));
    let of_campaign = search(&admin, &format!("resource_id={campaign}")).await;
    assert_eq!(actions(&of_campaign), BTreeSet::from(["campaign.create", "campaign.start"]));
    let here = search(&admin, &format!("workspace_id={workspace}")).await;
    assert!(here.len() >= 22 && here.iter().all(|record| record["workspace_id"] == json!(workspace)));
    let since = search(&admin, &format!("from={noon}")).await;
    assert_eq!(since.len(), 3);
    assert_eq!(search(&admin, &format!("to={noon}")).await.len(), 22);
    let personal = search(&admin, "pii_accessed=true&outcome=success").await;
    assert!(personal.len() >= 20 && personal.iter().all(|record| record["pii_accessed"] == json!(true)));
    let sensitive = search(&admin, "sensitive=true").await;
    assert!(actions(&sensitive).contains("api_key.create") && !actions(&sensitive).contains("lead.create"));
    let both = format!("actor={}&action=lead.create&from={noon}", key.text("/id"));
    assert!(search(&admin, &both).await.is_empty());
    let both = format!("resource_type=campaign&actor={}&outcome=success", admin.text("/user/id"));
    assert_eq!(search(&admin, &both).await.len(), 2);
    // Each of them shows what the record itself says.
    for record in &all {
        let one = admin.get(&format!("{LOG}/{}", record["id"].as_str().unwrap())).await.expect(200).json;
        assert_eq!(&one, record);
    }
    // What others did is not there for them.
    let theirs = search(&stranger, "").await;
    assert_eq!(theirs.len(), 1);
    for path in ["", "/proof", "/entry"] {
        let path = format!("{LOG}/{}{path}", all[0]["id"].as_str().unwrap());
        let _ = stranger.get(&path).await.expect_problem(404, "not_found");
        let _ = key.get(&path).await.expect_problem(403, "forbidden");
    }
    for wrong in
        ["from=x", "outcome=perhaps", "sensitive=2", "actor=", "workspace_id=w", "colour=red", "limit=0"]
    {
        let _ = admin.get(&format!("{LOG}?{wrong}")).await.expect_problem(422, "invalid");
    }
    app.drain().await;
}

#[tokio::test]
async fn every_record_is_sealed_and_proved_and_the_log_only_grows() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.get(&format!("{LOG}/checkpoint")).await.expect_problem(404, "not_found");
    let fresh = search(&admin, "").await.remove(0);
    assert_eq!(fresh["leaf_index"], Value::Null);
    let path = format!("{LOG}/{}/proof", fresh["id"].as_str().unwrap());
    let _ = admin.get(&path).await.expect_problem(409, "conflict");
    app.drain().await;
    let first = checkpoint(&admin).await;
    assert_eq!((first.size, first.origin.starts_with("localhost:8000/audit/org_")), (1, true));

    // Three tiles, the last of them in part.
    let leads = 560;
    for number in 0..leads {
        let lead = json!({"email": format!("lead{number}@example.com")});
        let _ = admin.post("/v1/leads", lead).await.expect(201);
    }
    app.drain().await;
    let last = checkpoint(&admin).await;
    assert_eq!(last.size, 1 + leads);
    let records = search(&admin, "").await;
    let places: BTreeSet<u64> = records.iter().map(|record| record["leaf_index"].as_u64().unwrap()).collect();
    assert_eq!(places, (0..=leads).collect(), "each has a place, and each place one");
    let trusted = keys(&admin).await;
    for record in records.iter().step_by(37).chain(records.last()) {
        let path = format!("{LOG}/{}", record["id"].as_str().unwrap());
        let entry = admin.get(&format!("{path}/entry")).await.expect(200).body;
        let proof: Proof = admin.get(&format!("{path}/proof")).await.expect(200).body.parse().unwrap();
        assert_eq!(proof.verify(entry.as_bytes(), &trusted).unwrap(), last);
        assert_eq!(Some(proof.index), record["leaf_index"].as_u64());
        let edited = entry.replace("lead.create", "lead.delete");
        assert!(edited == entry || proof.verify(edited.as_bytes(), &trusted).is_err());
        // The personal values are proved with it, and are not in it.
        assert!(!entry.contains("admin0@example.com"));
        assert!(String::from_utf8(proof.extra.unwrap()).unwrap().contains("admin0@example.com"));
    }
    for (from, to) in [(1, last.size), (last.size, last.size)] {
        let path = format!("{LOG}/checkpoint/consistency?from={from}&to={to}");
        let answer = admin.get(&path).await.expect(200).json;
        let hashes = answer["hashes"].as_array().unwrap().iter();
        let hashes: Vec<_> = hashes.map(|hash| hash.as_str().unwrap().parse().unwrap()).collect();
        let note = answer["checkpoint"].as_str().unwrap();
        let newer = Checkpoint::open(note, &trusted).unwrap();
        let older = if from == to { newer.root } else { first.root };
        verify_consistency(from, older, to, newer.root, &hashes).unwrap();
    }
    for wrong in ["from=0", "from=2&to=1", "from=1&to=9999", "from=x", ""] {
        let answer = admin.get(&format!("{LOG}/checkpoint/consistency?{wrong}")).await;
        let _ = answer.expect_problem(422, "invalid");
    }
    let again = admin.get(&format!("{LOG}/checkpoint?size=1")).await.expect(200).body;
    assert_eq!(Checkpoint::open(&again, &trusted).unwrap(), first);
    let _ = admin.get(&format!("{LOG}/checkpoint?size=700")).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_done_to_the_table_behind_our_back_is_on_record() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    app.drain().await;
    let table = app.platform().template().table("AuditTable").unwrap().name.clone();
    let database = app.engines().dynamodb().database();
    let records = search(&admin, "").await;
    let organization = admin.text("/organization/id");
    let key = |record: &Value| {
        let id: ids::AuditId = record["id"].as_str().unwrap().parse().unwrap();
        let shard = id.as_bytes()[15] % 4;
        let pk = format!("ORG#{organization}#AUD#{}#{shard}", id.time().month());
        json!({"pk": {"S": pk}, "sk": {"S": format!("AUD#{id}")}})
    };
    let update: UpdateItemRequest = serde_json::from_value(json!({
        "TableName": table, "Key": key(&records[0]), "UpdateExpression": "SET entry = :entry",
        "ExpressionAttributeValues": {":entry": {"S": "{}"}},
    }))
    .unwrap();
    database.update_item(update).unwrap();
    let delete: DeleteItemRequest =
        serde_json::from_value(json!({"TableName": table, "Key": key(&records[1])})).unwrap();
    database.delete_item(delete).unwrap();
    app.drain().await;

    let raised = search(&admin, "action=audit_log.tamper").await;
    let items: BTreeSet<_> = raised.iter().map(|record| record["resource_id"].clone().to_string()).collect();
    assert_eq!(items, records.iter().map(|record| record["id"].to_string()).collect());
    for record in &raised {
        assert_eq!((&record["success"], &record["actor"]["id"]), (&json!(false), &json!("seal")));
        assert!(record["leaf_index"].is_u64(), "the alarm is in the log itself");
    }
    // The log goes on, and still commits to what was there.
    assert_eq!(checkpoint(&admin).await.size, 4);
}

#[tokio::test]
async fn nothing_is_written_into_the_past() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    app.advance(Duration::from_hours(48));
    let admin = app.sign_in_again(&admin).await;
    app.drain().await;
    let sealed = checkpoint(&admin).await.size;
    let model = search(&admin, "action=campaign.create").await.remove(0);
    let model = admin.get(&format!("{LOG}/{}/entry", model["id"].as_str().unwrap())).await.expect(200).body;
    let organization = admin.text("/organization/id");
    let put = |at: clock::Timestamp, seed: u8, alter: &dyn Fn(&mut Value)| {
        let id = ids::AuditId::derived(at, [seed; 16]);
        let mut entry: Value = serde_json::from_str(&model).unwrap();
        (entry["id"], entry["timestamp"]) = (json!(id), json!(at));
        alter(&mut entry);
        let pk = format!("ORG#{organization}#AUD#{}#{}", at.month(), id.as_bytes()[15] % 4);
        let update: UpdateItemRequest = serde_json::from_value(json!({
            "TableName": app.platform().template().table("AuditTable").unwrap().name,
            "Key": {"pk": {"S": pk}, "sk": {"S": format!("AUD#{id}")}},
            "UpdateExpression": "SET entry = :entry, created_at = :at, actor_pk = :x, action_pk = :x, expires_at = :n",
            "ExpressionAttributeValues": {
                ":entry": {"S": entry.to_string()}, ":at": {"S": at.to_string()}, ":x": {"S": "x"}, ":n": {"N": "1"},
            },
        }))
        .unwrap();
        app.engines().dynamodb().database().update_item(update).unwrap();
        id.to_string()
    };
    let now = app.now();
    // Whoever may write to the table may write a record of now: that is what functions do.
    let honest = put(now, 1, &|_| ());
    let invented = [
        put(now - Duration::from_hours(26), 2, &|_| ()),
        put(now + Duration::from_hours(1), 3, &|_| ()),
        put(now, 4, &|entry| entry["timestamp"] = json!(now - Duration::from_hours(2))),
        put(now, 5, &|entry| entry["id"] = json!(ids::AuditId::derived(now, [9; 16]))),
        put(now, 6, &|entry| entry["organization_id"] = json!(ids::OrganizationId::derived(now, [9; 16]))),
    ];
    app.drain().await;
    let raised = search(&admin, "action=audit_log.tamper").await;
    let items: BTreeSet<_> = raised.iter().map(|record| record["resource_id"].as_str().unwrap()).collect();
    assert_eq!(items, invented.iter().map(String::as_str).collect());
    for record in &raised {
        assert_eq!(record["changes"][0]["after"], "inserted");
        assert!(record["leaf_index"].is_u64(), "the alarm is in the log itself");
    }
    assert_eq!(checkpoint(&admin).await.size, sealed + 1 + 5, "the honest one, and the alarms");
    let honest = admin.get(&format!("{LOG}/{honest}")).await.expect(200).json;
    assert_eq!(honest["leaf_index"], sealed);
}
