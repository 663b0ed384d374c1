//! The audit log: what is found in it, and what it proves.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use artisan_local::engines::Strike;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use objects::Bucket;
use serde_json::{Value, json};
use testkit::{Actor, TestApp};
use tlog::{Checkpoint, Frontier, Proof, VerifierKey, leaf_hash, verify_consistency};

use crate::exports::{record, tenant};

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

fn audit_table(app: &TestApp) -> &str {
    app.platform().table_name("AuditTable").unwrap()
}

/// The key of a record's item.
fn key_of(admin: &Actor, id: &Value) -> Value {
    let id: ids::AuditId = id.as_str().unwrap().parse().unwrap();
    let organization = admin.text("/organization/id");
    let pk = format!("ORG#{organization}#AUD#{}#{}", id.time().month(), id.as_bytes()[15] % 4);
    json!({"pk": {"S": pk}, "sk": {"S": format!("AUD#{id}")}})
}

/// Writes another text in the place of a record's own, behind the API's back.
async fn alter(app: &TestApp, admin: &Actor, id: &Value, entry: &str) {
    let update = json!({
        "TableName": audit_table(app), "Key": key_of(admin, id), "UpdateExpression": "SET entry = :entry",
        "ExpressionAttributeValues": {":entry": {"S": entry}},
    });
    app.dynamodb("UpdateItem", &update).await;
}

type Item = HashMap<String, AttributeValue>;

/// An item of a table, past the API.
async fn item(app: &TestApp, table: &str, pk: &str, sk: &str) -> Item {
    let key =
        [("pk", pk), ("sk", sk)].map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
    let client = app.platform().services_for("worker").unwrap().aws.dynamodb;
    let call = client.get_item().table_name(app.platform().table_name(table).unwrap());
    call.set_key(Some(HashMap::from(key))).send().await.unwrap().item.unwrap()
}

/// The items of a partition whose sort keys begin so, past the API.
async fn items(app: &TestApp, table: &str, pk: &str, sk: &str) -> Vec<Item> {
    let client = app.platform().services_for("worker").unwrap().aws.dynamodb;
    let call = client.query().table_name(app.platform().table_name(table).unwrap());
    let call = call.key_condition_expression("pk = :pk AND begins_with(sk, :sk)");
    let [pk, sk] = [pk, sk].map(|text| AttributeValue::S(text.to_owned()));
    let page =
        call.expression_attribute_values(":pk", pk).expression_attribute_values(":sk", sk).send().await;
    page.unwrap().items.unwrap()
}

/// Takes an item away, past the API.
async fn remove(app: &TestApp, table: &str, item: &Item) {
    let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone()));
    let client = app.platform().services_for("worker").unwrap().aws.dynamodb;
    let call = client.delete_item().table_name(app.platform().table_name(table).unwrap());
    call.set_key(Some(HashMap::from(key))).send().await.unwrap();
}

/// Puts an item into a table, past the API.
async fn put(app: &TestApp, table: &str, item: &Item) {
    let client = app.platform().services_for("worker").unwrap().aws.dynamodb;
    let call = client.put_item().table_name(app.platform().table_name(table).unwrap());
    call.set_item(Some(item.clone())).send().await.unwrap();
}

/// What the archive holds of an organization's log: the names of the objects, in their order, and the lines of each.
async fn archive(app: &TestApp, admin: &Actor) -> Vec<(String, Vec<String>)> {
    let services = app.platform().services_for("seal").unwrap();
    let client = objects::Client::from_services(&services);
    let bucket = Bucket::from_environment(&services.environment, "ARCHIVE_BUCKET", &client).unwrap();
    let page = bucket.list(&format!("{}/log/", admin.text("/organization/id")), None).await.unwrap();
    assert!(page.next_after.is_none());
    let mut found = Vec::new();
    for object in page.objects {
        let content = bucket.get(&object.key).await.unwrap().unwrap();
        let text = std::str::from_utf8(&content).unwrap();
        found.push((object.key, text.lines().map(str::to_owned).collect()));
    }
    found
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
async fn what_a_request_did_is_found_by_its_id() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let made = admin.post("/v1/leads", json!({"email": "grace@example.com"})).await.expect(201);
    let request = made.header("x-request-id").unwrap().to_owned();
    let own = admin.with("x-request-id", "batch:7");
    for name in ["Spring", "Summer"] {
        let _ = own.post("/v1/campaigns", json!({"name": name})).await.expect(201);
    }
    for number in 0..20 {
        let _ = admin.post("/v1/leads", json!({"email": format!("l{number}@example.com")})).await.expect(201);
    }
    app.advance(Duration::from_secs(40 * 24 * 3600));
    let admin = app.sign_in_again(&admin).await;
    let of = async |query: &str| search(&admin, query).await;
    app.engines().meter().reset();
    let found = of(&format!("request_id={request}")).await;
    assert_eq!(found.len(), 1);
    // Whatever else is on record, and since when: what a request did is in a list of its own, of four parts.
    let table = app.platform().table_name("AuditTable").unwrap();
    let measured = app.engines().meter().snapshot().measured().to_vec();
    let queries = measured.iter().filter(|it| it.resource == table && it.operation == "Query");
    assert_eq!(queries.map(|it| it.calls).sum::<u64>(), 4);
    assert_eq!(
        (&found[0]["action"], &found[0]["resource_id"]),
        (&json!("lead.create"), &json!(made.text("/id")))
    );
    assert_eq!(found[0]["request_id"], json!(request));
    assert_eq!(of("request_id=batch:7").await.len(), 2);
    assert_eq!(of("request_id=batch:7&to=2026-12-01T00:00:00Z").await.len(), 2);
    assert_eq!(of("request_id=batch:7&from=2026-12-01T00:00:00Z").await.len(), 0);
    assert_eq!(of(&format!("request_id={request}&from=2026-12-01T00:00:00Z")).await.len(), 0);
    assert_eq!(of(&format!("request_id={request}&action=campaign.create")).await.len(), 0);
    let refused = admin.get(&format!("{LOG}?request_id=a%20b")).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "query:request_id");
    // An export has what the search shows, and says what it was asked for.
    let asked = json!({"format": "ndjson", "request_id": "batch:7"});
    let export = admin.post(&format!("{LOG}/exports"), asked).await.expect(202);
    app.drain().await;
    let done = admin.get(&format!("{LOG}/exports/{}", export.text("/id"))).await.expect(200);
    assert_eq!(
        (done.text("/status"), done.text("/filter/request_id")),
        ("done".to_owned(), "batch:7".to_owned())
    );
}

#[tokio::test]
async fn a_search_goes_by_the_time_that_records_say() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let tenant = tenant(&app, &admin);
    app.advance(Duration::from_secs(3600));
    let noon = app.now();
    // Some of requests that were begun before, and on record only after; others of what began after.
    for second in 1..=10 {
        app.advance(Duration::from_secs(1));
        record(&app, &tenant, noon - Duration::from_secs(second), 10).await;
        record(&app, &tenant, app.now(), 10).await;
    }
    let admin = app.sign_in_again(&admin).await;
    let times = async |query: &str| -> Vec<String> {
        let found = search(&admin, query).await;
        let updates = found.iter().filter(|record| record["action"] == "campaign.update");
        updates.map(|record| record["timestamp"].as_str().unwrap().to_owned()).collect()
    };
    let earlier = noon - Duration::from_secs(5);
    // By the months, by an index, and by what is held against each record.
    for by in ["", "&action=campaign.update", "&actor=key_1", "&sensitive=false"] {
        let (before, after) =
            (times(&format!("to={noon}{by}")).await, times(&format!("from={noon}{by}")).await);
        assert!(before.len() == 10 && before.iter().all(|at| *at < noon.to_string()), "{by}: {before:?}");
        assert!(after.len() == 10 && after.iter().all(|at| *at > noon.to_string()), "{by}: {after:?}");
        let between = times(&format!("from={earlier}&to={noon}{by}")).await;
        assert!(between.len() == 5 && between.iter().all(|at| before.contains(at)), "{by}: {between:?}");
        assert_eq!(times(by.trim_start_matches('&')).await.len(), 20, "{by}");
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
    let records = search(&admin, "").await;
    alter(&app, &admin, &records[0]["id"], "{}").await;
    let delete = json!({"TableName": audit_table(&app), "Key": key_of(&admin, &records[1]["id"])});
    app.dynamodb("DeleteItem", &delete).await;
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
    let put = async |at: clock::Timestamp, seed: u8, alter: &dyn Fn(&mut Value)| {
        let id = ids::AuditId::derived(at, [seed; 16]);
        let mut entry: Value = serde_json::from_str(&model).unwrap();
        (entry["id"], entry["timestamp"]) = (json!(id), json!(at));
        alter(&mut entry);
        let pk = format!("ORG#{organization}#AUD#{}#{}", at.month(), id.as_bytes()[15] % 4);
        let update = json!({
            "TableName": audit_table(&app),
            "Key": {"pk": {"S": pk}, "sk": {"S": format!("AUD#{id}")}},
            "UpdateExpression": "SET entry = :entry, created_at = :at, actor_pk = :x, action_pk = :x, expires_at = :n",
            "ExpressionAttributeValues": {
                ":entry": {"S": entry.to_string()}, ":at": {"S": at.to_string()}, ":x": {"S": "x"}, ":n": {"N": "1"},
            },
        });
        app.dynamodb("UpdateItem", &update).await;
        id.to_string()
    };
    let now = app.now();
    // Whoever may write to the table may write a record of now: that is what functions do.
    let honest = put(now, 1, &|_| ()).await;
    let invented = [
        put(now - Duration::from_hours(26), 2, &|_| ()).await,
        put(now + Duration::from_hours(1), 3, &|_| ()).await,
        put(now, 4, &|entry| entry["timestamp"] = json!(now - Duration::from_hours(2))).await,
        put(now, 5, &|entry| entry["id"] = json!(ids::AuditId::derived(now, [9; 16]))).await,
        put(now, 6, &|entry| entry["organization_id"] = json!(ids::OrganizationId::derived(now, [9; 16])))
            .await,
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

#[tokio::test]
async fn whoever_has_the_archive_has_the_log_as_it_was_signed() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    // More than a tile, in several stretches.
    for round in 0..3 {
        for number in 0..100 {
            let lead = json!({"email": format!("lead{round}-{number}@example.com")});
            let _ = admin.post("/v1/leads", lead).await.expect(201);
        }
        app.drain().await;
    }
    let (last, trusted) = (checkpoint(&admin).await, keys(&admin).await);
    assert_eq!(last.size, 301);

    let mut log = Frontier::new();
    for (name, mut lines) in archive(&app, &admin).await {
        let end: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
        let covering = Checkpoint::open(end["checkpoint"].as_str().unwrap(), &trusted).unwrap();
        for line in lines {
            // The very bytes, not what they are read into.
            let begin = format!(r#"{{"leaf_index":{},"entry":"#, log.size());
            let entry = line.strip_prefix(&begin).and_then(|rest| rest.strip_suffix('}'));
            let entry = entry.unwrap_or_else(|| panic!("{name}: not the next entry: {line}"));
            assert!(!entry.contains("admin0@example.com"), "{name}: a person is in it");
            log.push(leaf_hash(entry.as_bytes()));
        }
        assert_eq!((log.size(), log.root()), (covering.size, covering.root), "{name}");
    }
    assert_eq!((log.size(), log.root()), (last.size, last.root), "all of it is there");
}

#[tokio::test]
async fn what_was_altered_before_it_was_archived_is_not_locked_away_as_if_it_were_true() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    // The archive is out of reach for as long as it takes to alter what is sealed and not archived.
    app.engines().faults().order("PutObject", 0, 100, Strike::Before, 500, "");
    let _ = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    app.drain().await;
    assert_eq!(checkpoint(&admin).await.size, 2);
    let victim = search(&admin, "action=campaign.create").await.remove(0);
    let path = format!("{LOG}/{}/entry", victim["id"].as_str().unwrap());
    let altered = admin.get(&path).await.expect(200).body.replace("campaign.create", "campaign.delete");
    alter(&app, &admin, &victim["id"], &altered).await;
    app.engines().faults().clear();
    app.advance(Duration::from_secs(60));
    app.drain().await;

    let objects = archive(&app, &admin).await;
    let lines: Vec<&String> = objects.iter().flat_map(|(_, lines)| lines).collect();
    assert!(!lines.iter().any(|line| line.contains("campaign.delete")), "{lines:?}");
    let places =
        lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["leaf_index"].as_u64());
    // The sign-up, and the alarm; what is missing between them shows.
    assert_eq!(places.collect::<Vec<_>>(), [0, 2], "{lines:?}");
}

#[tokio::test]
async fn what_was_altered_has_no_proof_rather_than_a_false_one() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    for name in ["Autumn", "Winter", "Spring"] {
        let _ = admin.post("/v1/campaigns", json!({"name": name})).await.expect(201);
    }
    app.drain().await;
    let records = search(&admin, "").await;
    let proof =
        async |record: &Value| admin.get(&format!("{LOG}/{}/proof", record["id"].as_str().unwrap())).await;
    let growth = async || admin.get(&format!("{LOG}/checkpoint/consistency?from=1&to=4")).await;
    let all_is_proved = async || {
        for record in &records {
            let _ = proof(record).await.expect(200);
        }
        let _ = growth().await.expect(200);
    };
    all_is_proved().await;

    // A record.
    let (campaigns, others): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record["action"] == "campaign.create");
    let (victim, other) = (campaigns[0], others[0]);
    let path = format!("{LOG}/{}/entry", victim["id"].as_str().unwrap());
    let original = admin.get(&path).await.expect(200).body;
    alter(&app, &admin, &victim["id"], &original.replace("campaign.create", "campaign.delete")).await;
    let _ = proof(victim).await.expect_problem(500, "internal");
    let _ = proof(other).await.expect(200);
    alter(&app, &admin, &victim["id"], &original).await;
    all_is_proved().await;

    // The hashes of three of the four leaves, beside or below which every way to the root leads.
    let organization = admin.text("/organization/id");
    let tile = format!("ORG#{organization}#TILE#0#{:012}", 0);
    let bundles = items(&app, "AuditTable", &tile, "LEAF#").await;
    for bundle in &bundles[1..] {
        let forged = vec![7; bundle["hashes"].as_b().unwrap().as_ref().len()];
        let mut bundle = bundle.clone();
        bundle.insert("hashes".to_owned(), AttributeValue::B(Blob::new(forged)));
        put(&app, "AuditTable", &bundle).await;
    }
    for record in &records {
        let _ = proof(record).await.expect_problem(500, "internal");
    }
    let _ = growth().await.expect_problem(500, "internal");
    for bundle in &bundles {
        put(&app, "AuditTable", bundle).await;
    }
    all_is_proved().await;

    // What was signed when the log was smaller.
    let checkpoints = format!("ORG#{organization}#CHK");
    let first = item(&app, "AuditTable", &checkpoints, &format!("CHK#{:016}", 1)).await;
    let last = item(&app, "AuditTable", &checkpoints, &format!("CHK#{:016}", 4)).await;
    let mut forged = first.clone();
    forged.insert("note".to_owned(), last["note"].clone());
    put(&app, "AuditTable", &forged).await;
    let _ = growth().await.expect_problem(500, "internal");
    put(&app, "AuditTable", &first).await;
    all_is_proved().await;
}

#[tokio::test]
async fn a_log_whose_head_is_lost_goes_on_from_what_was_signed_last() {
    let app = TestApp::start().await;
    let (acme, other) = (app.sign_up("Acme").await, app.sign_up("Other").await);
    app.drain().await;
    let log = format!("ORG#{}#LOG", acme.text("/organization/id"));
    let older = item(&app, "CoreTable", &log, "HEAD").await;
    let _ = acme.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    app.drain().await;
    let go_on = async || {
        for admin in [&acme, &other] {
            let _ = admin.post("/v1/campaigns", json!({"name": "Winter"})).await.expect(201);
        }
        app.drain().await;
        app.advance(Duration::from_secs(60));
        app.drain().await;
        let theirs = search(&other, "").await;
        assert!(theirs.iter().all(|record| record["leaf_index"].is_u64()), "others go on: {theirs:#?}");
    };

    for what in ["moved back", "removed", "altered"] {
        let before = checkpoint(&acme).await;
        match what {
            "moved back" => put(&app, "CoreTable", &older).await,
            "removed" => remove(&app, "CoreTable", &older).await,
            _ => {
                let mut altered = item(&app, "CoreTable", &log, "HEAD").await;
                altered.insert("sealed".to_owned(), AttributeValue::N("1000".to_owned()));
                put(&app, "CoreTable", &altered).await;
            }
        }
        go_on().await;
        let records = search(&acme, "").await;
        assert!(records.iter().all(|record| record["leaf_index"].is_u64()), "{what}: {records:#?}");
        let after = checkpoint(&acme).await;
        assert_eq!(after.size, before.size + 1, "{what}");
        let growth = format!("{LOG}/checkpoint/consistency?from={}&to={}", before.size, after.size);
        let _ = acme.get(&growth).await.expect(200);
    }

    // What was signed last is gone as well: nothing is sealed on top of anything else, and others go on.
    let last = checkpoint(&acme).await.size;
    let checkpoints = format!("ORG#{}#CHK", acme.text("/organization/id"));
    remove(&app, "AuditTable", &item(&app, "AuditTable", &checkpoints, &format!("CHK#{last:016}")).await)
        .await;
    put(&app, "CoreTable", &older).await;
    go_on().await;
    let unsealed = search(&acme, "").await.remove(0);
    assert_eq!(unsealed["leaf_index"], Value::Null);
    let _ = acme.get(&format!("{LOG}/checkpoint?size={}", last + 1)).await.expect_problem(404, "not_found");
}
