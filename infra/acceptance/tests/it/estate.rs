//! What an organization owns: exported whole, erased whole, and nobody else's touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use store::{Change, Due, Role, Task};
use testkit::{Actor, DnsServer, Installation, Receiver, TestApp};

use crate::organizations::{add_member, delete, record, store, tenant};

const EXPORT: &str = "/api/admin/organization/export";
const SECRET: &str = "a-client-secret-nobody-sees";

async fn app_with(dns: &DnsServer) -> TestApp {
    TestApp::with(BTreeMap::from([("DNS_RESOLVER".to_owned(), dns.address())])).await
}

/// An organization with something of everything; what it owns by type and id.
struct Furnished {
    admin: Actor,
    key: Actor,
    owned: BTreeSet<(String, String)>,
    endpoint_secret: String,
}

async fn furnish(app: &TestApp, dns: &DnsServer, receiver: &Receiver, name: &str) -> Furnished {
    let admin = app.sign_up(name).await;
    app.prove(&admin).await;
    app.upgrade(&admin, "business").await;
    let domain = format!("{}.example.com", name.to_lowercase());
    let claim = admin.post("/api/admin/domains", json!({"domain": domain})).await.expect(201);
    dns.add_txt(&claim.text("/challenge/name"), &claim.text("/challenge/value"));
    let _ =
        admin.raw(http::Method::POST, &format!("/api/admin/domains/{domain}/verify"), "").await.expect(200);
    let sso = json!({"issuer": "https://login.example.com", "client_id": "artisan", "client_secret": SECRET, "default_role": "read_only"});
    let _ = admin.put("/api/admin/sso", sso).await.expect(200);
    let origins =
        json!({"settings": {"cors_origins": ["https://shared.example.com", format!("https://{domain}")]}});
    let _ = admin.patch("/api/admin/organization", origins).await.expect(200);
    let key = app.key(&admin, json!({})).await;
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let mut owned = BTreeSet::new();
    let mut own = |kind: &str, id: String| owned.insert((kind.to_owned(), id));
    own("organization", admin.text("/organization/id"));
    own("workspace", admin.text("/workspaces/0/id"));
    own("api_key", key.text("/id"));
    own("api_key", test.text("/id"));
    let headers = json!({"headers": {"authorization": "Bearer receiver-credential"}});
    let (endpoint, endpoint_secret) = app.endpoint(&admin, receiver, headers).await;
    own("endpoint", endpoint);
    own("member", admin.text("/user/id"));
    own("member", add_member(app, &admin, &format!("reader@{domain}"), Role::ReadOnly).await.to_string());
    for (actor, leads) in [(&key, 7), (&test, 2)] {
        let campaign = actor.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
        own("campaign", campaign.text("/id"));
        for number in 0..leads {
            let lead = json!({"email": format!("l{number}@{domain}")});
            let lead = actor.post("/v1/leads", lead).await.expect(201).text("/id");
            for _ in 0..number % 3 {
                let path = format!("/v1/leads/{lead}/replies");
                let reply = actor.post(&path, json!({"message": "Hi"})).await.expect(201);
                own("reply", reply.text("/id"));
            }
            own("lead", lead);
            app.advance(Duration::from_millis(7));
        }
        let lead = actor.get("/v1/leads?limit=1").await.expect(200).text("/data/0/id");
        let meeting =
            json!({"lead_id": lead, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T11:00:00Z"});
        own("meeting", actor.post("/v1/meetings", meeting).await.expect(201).text("/id"));
    }
    app.drain().await;
    Furnished { admin, key, owned, endpoint_secret }
}

/// The whole export, page by page.
async fn exported(caller: &Actor, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), Value::Null);
    for page in 0.. {
        assert!(page < 2000, "an export ends");
        let mut body = json!({"limit": limit});
        if !cursor.is_null() {
            body["cursor"] = cursor;
        }
        let answer = caller.post(EXPORT, body).await.expect(200);
        let data = answer.json["data"].as_array().unwrap().clone();
        assert!(data.len() <= limit);
        all.extend(data);
        cursor = answer.json["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    all
}

fn by_type(all: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for holding in all {
        *counts.entry(holding["type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn an_export_holds_everything_of_its_organization_and_nothing_of_another_and_no_secret() {
    let dns = DnsServer::start().await;
    // An answer of some length has an item of its own.
    let receiver = Receiver::replying(|_| async { "taken ".repeat(50) }).await;
    let app = app_with(&dns).await;
    let acme = furnish(&app, &dns, &receiver, "Acme").await;
    let initech = furnish(&app, &dns, &receiver, "Initech").await;
    app.advance(Duration::from_secs(1));
    let all = exported(&acme.admin, 1000).await;
    let shown: BTreeSet<(String, String)> = all
        .iter()
        .filter_map(|it| {
            let id = it["record"].get("id").or_else(|| it["record"].get("user_id"))?.as_str()?;
            Some((it["type"].as_str()?.to_owned(), id.to_owned()))
        })
        .collect();
    for owned in &acme.owned {
        assert!(shown.contains(owned), "{owned:?} is missing");
    }
    let text = serde_json::to_string(&all).unwrap();
    for (kind, foreign) in &initech.owned {
        assert!(!text.contains(foreign.as_str()), "{kind} {foreign} is another's");
    }
    let counts = by_type(&all);
    for (kind, count) in
        [("domain", 1), ("sso", 1), ("reply", 7), ("lead", 9), ("meeting", 2), ("campaign", 2), ("member", 2)]
    {
        assert_eq!(counts.get(kind), Some(&count), "{kind}: {counts:?}");
    }
    assert!(counts["event"] > 9 && counts["delivery"] > 7 && counts["endpoint_state"] > 0, "{counts:?}");
    assert!(counts["audit_record"] > 20, "{counts:?}");
    assert!(!counts.contains_key("other") && !counts.contains_key("mail"), "{counts:?}");
    for secret in [acme.key.token(), SECRET, &acme.endpoint_secret, "receiver-credential"] {
        assert!(!text.contains(secret), "{secret}");
    }
    for name in ["\"pk\"", "\"sk\"", "hash", "sealed", "digest", "_pk", "_sk"] {
        assert!(!text.contains(name), "{name}");
    }
    let attempt = all.iter().find(|it| it["type"] == "attempt").unwrap();
    assert!(attempt["record"]["delivery_id"].as_str().unwrap().starts_with("dlv_"));
    // However it is cut, it is the same; the audit log goes on growing and ends where each export began.
    let whole = |all: &[Value]| -> BTreeSet<String> {
        all.iter().filter(|it| it["type"] != "audit_record").map(ToString::to_string).collect()
    };
    for limit in [1, 7] {
        app.advance(Duration::from_millis(1));
        let cut = exported(&acme.key, limit).await;
        assert_eq!(whole(&cut), whole(&all), "{limit}");
        assert_eq!(cut.len() - by_type(&cut)["audit_record"], all.len() - counts["audit_record"]);
    }
    // Each page is on record.
    let exports = tenant(&app, &acme.admin).every_audit_record(app.now()).await.unwrap();
    let exports: Vec<_> = exports.iter().filter(|it| it["action"] == "organization.export").collect();
    assert!(exports.len() > 3);
    assert!(exports.iter().all(|it| it["pii_accessed"] == true && it["sensitive"] == true));
}

#[tokio::test]
async fn an_export_is_asked_for_as_it_must_be() {
    let app = Installation::start().await;
    let acme = app.sign_up("Acme").await;
    let initech = app.sign_up("Initech").await;
    for (body, pointer) in [
        (json!({"limit": 0}), "/limit"),
        (json!({"limit": 1001}), "/limit"),
        (json!({"limit": "x"}), "/limit"),
        (json!({"cursor": 5}), "/cursor"),
        (json!({"type": "lead"}), "/type"),
    ] {
        let refused = acme.post(EXPORT, body).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let cursor = acme.post(EXPORT, json!({"limit": 1})).await.expect(200).text("/next_cursor");
    let foreign = initech.post(EXPORT, json!({"cursor": cursor})).await;
    let _ = foreign.expect_problem(422, "invalid_cursor");
    let _ = acme.post(EXPORT, json!({"cursor": "x"})).await.expect_problem(422, "invalid_cursor");
    let reader = app.key(&acme, json!({"scopes": ["organization:read"]})).await;
    let refused = reader.post(EXPORT, json!({})).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "organization:write");
    let test = app.key(&acme, json!({"mode": "test"})).await;
    let _ = test.post(EXPORT, json!({})).await.expect_problem(403, "test_key");
    // It shows everything, so it asks for everything.
    let narrow =
        app.key(&acme, json!({"scopes": ["organization:write", "organization:read", "leads:read"]})).await;
    let refused = narrow.post(EXPORT, json!({})).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "domains:read");
}

/// An attribute as text, the same for the same value.
fn text_of(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, text_of(value))).collect();
            format!("{fields:?}")
        }
        AttributeValue::L(values) => format!("{:?}", values.iter().map(text_of).collect::<Vec<_>>()),
        AttributeValue::S(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// Every item of the tables but the audit log, as text.
async fn everything(app: &TestApp) -> Vec<String> {
    let services = app.platform().services_for("organizations").unwrap();
    let mut all = Vec::new();
    for table in ["DIRECTORY_TABLE", "CORE_TABLE", "ACTIVITY_TABLE"] {
        let name = services.environment.required(table).unwrap();
        let mut pages = services.aws.dynamodb.scan().table_name(name).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            all.push(text_of(&AttributeValue::M(item.unwrap())));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn an_erased_organization_leaves_nothing_and_its_neighbour_everything() {
    let (dns, receiver) = (DnsServer::start().await, Receiver::start().await);
    let app = app_with(&dns).await;
    let acme = furnish(&app, &dns, &receiver, "Acme").await;
    let initech = furnish(&app, &dns, &receiver, "Initech").await;
    let organization = tenant(&app, &acme.admin);
    let counted = by_type(&exported(&acme.admin, 1000).await);
    // What is not deleted is left alone.
    let before = everything(&app).await;
    let idle = organization.erase(None, app.now(), 10, None).await.unwrap();
    assert!(idle.done && idle.counts.is_empty());
    assert_eq!(everything(&app).await, before);

    let _ = delete(&acme.admin, "Acme").await.expect(202);
    app.drain().await;
    let audit = organization.every_audit_record(app.now()).await.unwrap();
    let others = exported(&initech.admin, 1000).await;
    // People are nobody's, and sessions end by themselves.
    let personal =
        |item: &String| ["\"SES#", "\"IDENTITY\"", "confirm_address"].iter().any(|it| item.contains(it));
    let of_initech = |all: Vec<String>| -> Vec<String> {
        let id = initech.admin.text("/organization/id");
        all.into_iter().filter(|item| item.contains(&id)).collect()
    };
    let kept = of_initech(everything(&app).await);
    let now = app.now() + store::GRACE_BEFORE_ERASURE;
    // A budget of a few at a time, now and then from the front again, as a sweep that is interrupted would.
    let (mut from, mut calls) = (None, 0);
    let erased = loop {
        calls += 1;
        assert!(calls < 500, "an erasure ends");
        let erased = organization.erase(None, now, 5, from).await.unwrap();
        if erased.done {
            break erased;
        }
        from = erased.next.filter(|_| calls % 3 != 0);
    };
    assert!(calls > 3);
    for (kind, count) in &counted {
        let expected = match kind.as_str() {
            "audit_record" | "organization" => continue,
            // The admin is told first.
            "member" => count - 1,
            _ => *count,
        };
        assert_eq!(erased.counts.get(kind), Some(&(expected as u64)), "{kind}: {:?}", erased.counts);
    }
    let profile = organization.organization().await.unwrap().unwrap();
    let admins = organization.notified_admins().await.unwrap();
    assert_eq!(admins.len(), 1);
    let task = Task::EraseOrganization { organization_id: profile.id };
    let due = Due { task, due_at: profile.erased_after.unwrap() };
    let end = Change::audited(record(&app, &organization, "organization.erase"));
    let end = end.erase_organization(&profile, &admins).unschedule(&due);
    organization.commit(end, None).await.unwrap();

    let left = everything(&app).await;
    let mut names: Vec<String> = acme.owned.iter().map(|(_, id)| id.clone()).collect();
    names.push("acme.example.com".to_owned());
    // The head of the log stays with the log, and is nobody's; the next look at it finds nobody and is the last.
    let log = format!("{}#LOG", organization.organization_id());
    let of_log = |item: &String| item.contains(&log) || item.contains("witness_log");
    for item in left.iter().filter(|item| !personal(item) && !of_log(item)) {
        for name in &names {
            assert!(!item.contains(name.as_str()), "{name} is left in {item}");
        }
    }
    assert_eq!(of_initech(left), kept);
    app.advance(Duration::from_millis(1));
    assert_eq!(
        exported(&initech.admin, 1000).await.len(),
        others.len() + 1,
        "but for the record of the export"
    );
    let _ = initech.key.get("/v1/leads").await.expect(200);
    let _ = acme.key.get("/v1/leads").await.expect_problem(401, "key_unknown");
    assert_eq!(
        organization.every_audit_record(app.now()).await.unwrap().len(),
        audit.len() + 1,
        "the audit log is whole"
    );
    let again = organization.erase(None, now, 5, None).await.unwrap();
    assert!(again.done && again.counts.is_empty());
    assert!(store(&app).domain_owner("acme.example.com").await.unwrap().is_none());
    assert!(
        store(&app).is_listed_origin("https://shared.example.com").await.unwrap(),
        "the other lists it, too"
    );
}

#[tokio::test]
async fn an_erased_workspace_takes_only_its_own_along() {
    let (dns, receiver) = (DnsServer::start().await, Receiver::start().await);
    let app = app_with(&dns).await;
    let acme = furnish(&app, &dns, &receiver, "Acme").await;
    let organization = tenant(&app, &acme.admin);
    let first: ids::WorkspaceId = acme.admin.text("/workspaces/0/id").parse().unwrap();
    let second = store::Workspace {
        id: ids::Ids::new(app.platform().clock().clone()).next(),
        name: "Second".to_owned(),
        status: store::WorkspaceStatus::Active,
        created_at: app.now(),
        updated_at: app.now(),
    };
    let change = Change::audited(record(&app, &organization, "workspace.create"));
    let change = change.create_workspace(organization.organization_id(), &second).unwrap();
    organization.commit(change, None).await.unwrap();
    // Other functions remember for a moment how many workspaces there are.
    app.advance(Duration::from_secs(11));
    let bound = app.key(&acme.admin, json!({"workspace_id": second.id.to_string()})).await;
    let _ = app.endpoint(&acme.admin, &receiver, json!({"workspace_id": second.id.to_string()})).await;
    for number in 0..5 {
        let lead = json!({"email": format!("s{number}@example.com")});
        let lead = bound.post("/v1/leads", lead).await.expect(201).text("/id");
        let _ = bound.post(&format!("/v1/leads/{lead}/replies"), json!({"message": "Hi"})).await.expect(201);
        let meeting =
            json!({"lead_id": lead, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T11:00:00Z"});
        let _ = bound.post("/v1/meetings", meeting).await.expect(201);
    }
    app.drain().await;
    app.advance(Duration::from_millis(1));
    let before = exported(&acme.key, 1000).await;
    let is_seconds =
        |it: &&Value| it["type"] != "audit_record" && it.to_string().contains(&second.id.to_string());
    assert!(before.iter().filter(is_seconds).count() > 20);

    let workspace = organization.workspace_record(second.id).await.unwrap().unwrap();
    let untouched = organization.erase(Some(second.id), app.now(), 1000, None).await.unwrap();
    assert!(untouched.done && untouched.counts.is_empty(), "it is not deleted");
    let gone = store::Workspace {
        status: store::WorkspaceStatus::Deleted,
        updated_at: store::touched(workspace.updated_at, app.now()),
        ..workspace.clone()
    };
    let change = Change::audited(record(&app, &organization, "workspace.delete"));
    let change = change.change_workspace(organization.organization_id(), &workspace, &gone).unwrap();
    organization.commit(change, None).await.unwrap();
    let mut from = None;
    for call in 0.. {
        assert!(call < 100, "an erasure ends");
        let erased = organization.erase(Some(second.id), app.now(), 4, from).await.unwrap();
        if erased.done {
            break;
        }
        from = erased.next.filter(|_| call % 2 == 0);
    }
    app.advance(Duration::from_millis(1));
    let after = exported(&acme.key, 1000).await;
    assert_eq!(after.iter().filter(is_seconds).count(), 0);
    let rest = |all: &[Value]| -> BTreeMap<String, usize> {
        let mut counts = by_type(&all.iter().filter(|it| !is_seconds(it)).cloned().collect::<Vec<_>>());
        counts.remove("audit_record");
        // These do not say which workspace they belong to.
        counts.remove("attempt");
        counts.remove("reply");
        counts
    };
    assert_eq!(rest(&after), rest(&before));
    let gone = |kind: &str| by_type(&before)[kind] - by_type(&after)[kind];
    assert_eq!((gone("reply"), gone("lead"), gone("meeting")), (5, 5, 5));
    assert!(gone("delivery") > 0);
    let _ = bound.get("/v1/leads").await.expect_problem(401, "key_unknown");
    let usage = acme.key.get("/api/admin/organization").await.expect(200).json["usage"].clone();
    assert_eq!(
        (
            usage["api_keys"]["used"].as_u64(),
            usage["endpoints"]["used"].as_u64(),
            usage["workspaces"]["used"].as_u64()
        ),
        (Some(2), Some(1), Some(1))
    );
    assert!(organization.workspace_record(second.id).await.unwrap().is_none());
    assert!(organization.workspace_record(first).await.unwrap().is_some());
}
