//! Exports of the audit log: what is in them, that they prove it, and what becomes of them when something breaks.

use std::io::Cursor;
use std::time::Duration;

use artisan_local::engines::{ADDRESS, Strike};
use artisan_verify::{Problem, Report, Scope, Trust, verify_export, verify_table};
use audit_format::KEPT_FOR;
use axum::body::Body;
use clock::Timestamp;
use http::{Request, StatusCode};
use ids::ExportId;
use serde_json::{Value, json};
use store::{AuditRecord, FieldChange, LongClaim, Store, Tenant};
use testkit::{Actor, TestApp};
use tower::ServiceExt as _;

const EXPORTS: &str = "/api/admin/audit-logs/exports";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is behind a link, if anything is.
pub(crate) async fn follow(app: &TestApp, link: &str) -> Result<Vec<u8>, StatusCode> {
    let target = link.strip_prefix(ADDRESS).expect("it leads to the platform");
    let request = Request::get(target).header("host", "127.0.0.1:8001").body(Body::empty()).unwrap();
    let answer = app.engines().endpoint().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = axum::body::to_bytes(Body::new(answer.into_body()), usize::MAX).await.unwrap();
    if status == StatusCode::OK { Ok(body.to_vec()) } else { Err(status) }
}

pub(crate) fn tenant(app: &TestApp, admin: &Actor) -> Tenant {
    let services = app.platform().services_for("worker").unwrap();
    let store = Store::from_environment(&services.environment, services.aws.dynamodb).unwrap();
    store.tenant_of_job(admin.text("/organization/id").parse().unwrap())
}

pub(crate) async fn trust(admin: &Actor) -> Trust {
    let keys = admin.get("/api/admin/audit-logs/checkpoint/keys").await.expect(200).body;
    Trust { keys: keys.lines().map(|key| key.parse().unwrap()).collect(), kept: None }
}

async fn start(admin: &Actor, wanted: Value) -> String {
    let job = admin.post(EXPORTS, wanted).await.expect(202);
    assert_eq!(job.text("/status"), "queued");
    job.text("/id")
}

async fn show(admin: &Actor, id: &str) -> Value {
    admin.get(&format!("{EXPORTS}/{id}")).await.expect(200).json
}

/// An export that is done, with its files.
struct Exported {
    job: Value,
    file: Vec<u8>,
    proofs: Option<Vec<u8>>,
}

impl Exported {
    fn verify(&self, trust: &Trust) -> Report {
        match &self.proofs {
            None => verify_export(Cursor::new(&self.file), trust).unwrap(),
            Some(proofs) => verify_table(&*self.file, Cursor::new(proofs), trust).unwrap(),
        }
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.proofs.as_ref().unwrap_or(&self.file);
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.lines().iter().filter(|line| line["type"] == kind).count()
    }
}

async fn fetch(app: &TestApp, admin: &Actor, id: &str) -> Exported {
    let job = show(admin, id).await;
    assert_eq!(job["status"], "done", "{job}");
    let file = follow(app, job["links"]["file"].as_str().unwrap()).await.unwrap();
    let proofs = match job["links"]["proofs"].as_str() {
        Some(link) => Some(follow(app, link).await.unwrap()),
        None => None,
    };
    for (bytes, told) in [(Some(&file), &job), (proofs.as_ref(), &job["proofs"])] {
        let Some(bytes) = bytes else { continue };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let sha256: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&told["size"], &told["sha256"]), (&json!(bytes.len()), &json!(sha256)));
    }
    Exported { job, file, proofs }
}

async fn export(app: &TestApp, admin: &Actor, wanted: Value) -> Exported {
    let id = start(admin, wanted).await;
    app.drain().await;
    fetch(app, admin, &id).await
}

/// Writes a record of that time now, which takes up about so many bytes.
pub(crate) async fn record(app: &TestApp, tenant: &Tenant, timestamp: Timestamp, bytes: usize) {
    app.advance(Duration::from_millis(1));
    let record = AuditRecord {
        id: ids::Ids::new(app.platform().clock().clone()).next(),
        action: "campaign.update",
        actor: store::Actor { r#type: "api_key".to_owned(), id: "key_1".to_owned(), email: None },
        resource_type: "campaign".to_owned(),
        resource_id: None,
        organization_id: tenant.organization_id(),
        workspace_id: None,
        ip_address: "203.0.113.7".to_owned(),
        user_agent: None,
        request_id: "req_1".to_owned(),
        timestamp,
        success: true,
        error_code: None,
        changes: vec![FieldChange {
            field: "description".to_owned(),
            before: Value::Null,
            after: "=cmd() ".repeat(bytes / 7).into(),
        }],
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: false,
    };
    tenant.record(&record).await.unwrap();
}

/// Records that take up so many bytes each.
async fn fill(app: &TestApp, admin: &Actor, count: u64, bytes: usize) {
    let tenant = tenant(app, admin);
    for _ in 0..count {
        record(app, &tenant, app.now(), bytes).await;
    }
}

#[tokio::test]
async fn an_export_of_every_kind_proves_itself() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    // Several tiles, the last of them in part.
    fill(&app, &admin, 300, 100).await;
    app.advance(Duration::from_secs(3600));
    let admin = app.sign_in_again(&admin).await;
    app.advance(Duration::from_secs(1));
    let from = app.now();
    for name in ["Autumn", "Winter"] {
        let _ = admin.post("/v1/campaigns", json!({"name": name})).await.expect(201);
        app.advance(Duration::from_secs(10));
        // Of a request that took its time, and began before the range.
        record(&app, &tenant(&app, &admin), from - Duration::from_secs(1), 100).await;
        app.advance(Duration::from_secs(50));
    }
    let to = app.now();
    app.advance(Duration::from_secs(180));
    fill(&app, &admin, 290, 100).await;
    app.drain().await;
    let trust = trust(&admin).await;

    for format in ["ndjson", "csv"] {
        let whole = export(&app, &admin, json!({"format": format})).await;
        let report = whole.verify(&trust);
        assert!(report.intact, "{report}");
        assert_eq!(report.scope, Scope::WholeLog);
        assert_eq!(report.records, report.sealed);
        assert!(report.records > 593, "{report}");
        assert_eq!(whole.job["progress"]["records"], report.records);
        assert_eq!(whole.job["progress"]["total"], report.records);
        assert_eq!((whole.count("missing"), whole.count("outside")), (0, 0));
        assert_eq!(whole.count("tile"), 3 + 1);

        let range = json!({"format": format, "from": from, "to": to});
        let range = export(&app, &admin, range).await;
        let report = range.verify(&trust);
        assert!(report.intact, "{report}");
        assert!(matches!(report.scope, Scope::Range { from: Some(_), to: Some(_) }));
        // One lies between records of the range, in the log; others show where it begins and ends.
        assert_eq!((report.records, report.outside, range.count("outside")), (2, 6, 6));
        assert_eq!(range.job["progress"]["total"], Value::Null);
        // The leaves' own, the last one, and all above.
        assert_eq!(range.count("tile"), 3);

        let some = export(&app, &admin, json!({"format": format, "action": "campaign.create"})).await;
        let report = some.verify(&trust);
        assert!(report.intact, "{report}");
        assert_eq!((report.records, report.scope), (2, Scope::Selection));
        let none = json!({"format": format, "actor": "usr_nobody"});
        let none = export(&app, &admin, none).await;
        let report = none.verify(&trust);
        assert!(report.intact && report.records == 0, "{report}");
    }
    // Each is on record, with what was asked for.
    let records = admin.get("/api/admin/audit-logs?action=audit_log.export").await.expect(200).json;
    assert_eq!(records["data"].as_array().unwrap().len(), 8);
    let of_nobody = records["data"].as_array().unwrap().iter();
    let of_nobody = of_nobody.filter(|record| record["changes"].to_string().contains("usr_nobody"));
    for record in of_nobody.clone() {
        assert_eq!((&record["resource_type"], &record["sensitive"]), (&json!("audit_export"), &json!(true)));
    }
    assert_eq!(of_nobody.count(), 2);
}

#[tokio::test]
async fn what_was_tampered_with_shows_in_an_export() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    fill(&app, &admin, 20, 100).await;
    app.drain().await;
    let trust = trust(&admin).await;
    let records = admin.get("/api/admin/audit-logs?limit=20").await.expect(200).json;
    let victim = records["data"][7].clone();
    let id: ids::AuditId = victim["id"].as_str().unwrap().parse().unwrap();
    let organization = admin.text("/organization/id");
    let pk = format!("ORG#{organization}#AUD#{}#{}", id.time().month(), id.as_bytes()[15] % 4);
    let update = async |sk: &str, entry: &str| {
        let update = json!({
            "TableName": app.platform().template().table("AuditTable").unwrap().name,
            "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
            "UpdateExpression": "SET entry = :entry",
            "ExpressionAttributeValues": {":entry": {"S": entry}},
        });
        app.dynamodb("UpdateItem", &update).await;
    };
    let sk = format!("AUD#{id}");
    let original = admin.get(&format!("/api/admin/audit-logs/{id}/entry")).await.expect(200).body;
    update(&sk, &original.replace("key_1", "key_2")).await;
    let report = export(&app, &admin, json!({"format": "ndjson"})).await.verify(&trust);
    assert_eq!(report.findings[0].problem, Problem::RecordChanged, "{report}");
    assert_eq!(report.findings[0].id.as_deref(), Some(id.to_string().as_str()));
    // A text that is no record any more can't be shown, and is missed; it is in nobody's way, nor is what somebody put in.
    update(&sk, "nonsense").await;
    update("AUD#stray", "stray").await;
    let mut listed = Vec::new();
    let mut path = "/api/admin/audit-logs?limit=1".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200).json;
        listed.extend(page["data"].as_array().unwrap().iter().map(|record| record["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/admin/audit-logs?limit=1&cursor={cursor}");
    }
    assert!(!listed.contains(&victim["id"]));
    assert!(records["data"].as_array().unwrap().iter().all(|it| it == &victim || listed.contains(&it["id"])));
    let _ = admin.get(&format!("/api/admin/audit-logs/{id}")).await.expect_problem(404, "not_found");
    for format in ["ndjson", "csv"] {
        let broken = export(&app, &admin, json!({"format": format})).await;
        assert_eq!(broken.count("missing"), 1);
        let report = broken.verify(&trust);
        assert_eq!(report.findings[0].problem, Problem::RecordMissing, "{report}");
        assert_eq!(report.findings[0].id.as_deref(), Some(id.to_string().as_str()));
    }
}

#[tokio::test]
async fn what_has_expired_leaves_the_rest_provable() {
    if testkit::embedded_only(testkit::EXPIRES) {
        return;
    }
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    fill(&app, &admin, 5, 100).await;
    app.drain().await;
    app.advance(DAY);
    let admin = app.sign_in_again(&admin).await;
    fill(&app, &admin, 3, 100).await;
    app.drain().await;
    // Seven years after the first day, and not yet after the second.
    app.advance(KEPT_FOR - DAY / 2);
    assert!(app.engines().dynamodb().sweep().unwrap() >= 6, "the database has removed the first day");
    let admin = app.sign_in_again(&admin).await;
    app.drain().await;
    let trust = trust(&admin).await;

    for format in ["ndjson", "csv"] {
        let whole = export(&app, &admin, json!({"format": format})).await;
        let report = whole.verify(&trust);
        assert!(report.intact, "{report}");
        assert_eq!((report.scope, report.expired), (Scope::WholeLog, 6), "{report}");
        assert_eq!((whole.count("expired"), whole.count("missing")), (6, 0));
        assert!(report.sealed >= 5, "the second day, and what came seven years later: {report}");
    }
    // One by one, too; and nobody took it for a deed.
    app.drain().await;
    let records = admin.get("/api/admin/audit-logs?limit=100").await.expect(200).json;
    for record in records["data"].as_array().unwrap() {
        assert_ne!(record["action"], "audit_log.tamper");
        let path = format!("/api/admin/audit-logs/{}", record["id"].as_str().unwrap());
        let entry = admin.get(&format!("{path}/entry")).await.expect(200).body;
        let proof: tlog::Proof = admin.get(&format!("{path}/proof")).await.expect(200).body.parse().unwrap();
        proof.verify(entry.as_bytes(), &trust.keys).unwrap();
    }
}

#[tokio::test]
async fn wrong_wishes_are_refused_and_nobody_sees_another_tenants_exports() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let stranger = app.sign_up("Other").await;
    for (wanted, pointer) in [
        (json!({}), "/format"),
        (json!({"format": "xml"}), "/format"),
        (json!({"format": "csv", "from": "yesterday"}), "/from"),
        (json!({"format": "csv", "from": "2026-11-22T00:00:00Z", "to": "2026-11-22T00:00:00Z"}), "/to"),
        (json!({"format": "csv", "outcome": "perhaps"}), "/outcome"),
        (json!({"format": "csv", "sensitive": "true"}), "/sensitive"),
        (json!({"format": "csv", "workspace_id": "ws_1"}), "/workspace_id"),
        (json!({"format": "csv", "color": "red"}), "/color"),
    ] {
        let refused = admin.post(EXPORTS, wanted.clone()).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer, "{wanted}");
    }
    let once = admin.with("idempotency-key", "one");
    let first = once.post(EXPORTS, json!({"format": "csv"})).await.expect(202);
    let again = once.post(EXPORTS, json!({"format": "csv"})).await.expect(202);
    assert_eq!(first.json, again.json);
    app.advance(Duration::from_millis(1));
    let second = start(&admin, json!({"format": "csv"})).await;
    let full = admin.post(EXPORTS, json!({"format": "csv"})).await;
    let _ = full.expect_problem(409, "conflict");
    let _ = once.post(EXPORTS, json!({"format": "csv"})).await.expect(202);
    let _ = stranger.post(EXPORTS, json!({"format": "csv"})).await.expect(202);
    let _ = stranger.get(&format!("{EXPORTS}/{second}")).await.expect_problem(404, "not_found");
    let path = format!("/api/admin/privacy/exports/{second}");
    let _ = admin.get(&path).await.expect_problem(404, "not_found");
    let _ = admin.get(&format!("{EXPORTS}/exp_x")).await.expect_problem(404, "not_found");
    app.drain().await;
    let listed = admin.get(&format!("{EXPORTS}?limit=1")).await.expect(200).json;
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["status"]), (&json!(second), &json!("done")));
    assert!(listed["data"][0].get("links").is_none());
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = admin.get(&format!("{EXPORTS}?cursor={cursor}")).await.expect(200).json;
    assert_eq!((&rest["data"][0]["id"], rest["data"].as_array().unwrap().len()), (&first.json["id"], 1));
    assert_eq!(rest["data"][0]["requested_by"], admin.text("/user/id"));
    // Finished ones make room.
    let _ = start(&admin, json!({"format": "csv"})).await;
    app.drain().await;
}

#[tokio::test]
async fn who_is_given_links_is_on_record() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let nobody = json!({"email": "nobody@example.com"});
    for (path, wanted, action, kind) in [
        (EXPORTS, json!({"format": "csv"}), "audit_log.export_link", "audit_export"),
        ("/api/admin/privacy/exports", nobody, "privacy.export_link", "personal_export"),
    ] {
        app.drain().await;
        let records = async || {
            let found = admin.get(&format!("/api/admin/audit-logs?action={action}")).await.expect(200).json;
            found["data"].as_array().unwrap().clone()
        };
        let id = admin.post(path, wanted).await.expect(202).text("/id");
        let path = format!("{path}/{id}");
        // There is nothing to be had yet.
        assert!(admin.get(&path).await.expect(200).json.get("links").is_none());
        assert_eq!(records().await, Vec::<Value>::new());
        app.drain().await;
        // What can't be put on record is not given out.
        strike(&app, "TransactWriteItems", 0, 3);
        let refused = admin.get(&path).await.expect_problem(503, "unavailable");
        assert!(refused.json.get("links").is_none(), "{}", refused.body);
        assert_eq!(records().await, Vec::<Value>::new());
        for given in 1..=2 {
            let _ = admin.get(&path).await.expect(200).text("/links/file");
            let records = records().await;
            assert_eq!(records.len(), given, "{records:?}");
            for record in records {
                assert_eq!((&record["resource_type"], &record["resource_id"]), (&json!(kind), &json!(id)));
                assert_eq!(record["actor"]["id"], admin.text("/user/id"));
                for flag in ["success", "pii_accessed", "sensitive", "compliance_relevant"] {
                    assert_eq!(record[flag], true, "{flag}: {record}");
                }
            }
        }
    }
    app.drain().await;
}

/// The filter of an export is on record in clear, where nothing can be erased.
#[tokio::test]
async fn no_address_gets_into_the_log_by_being_looked_for() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for name in ["actor", "action", "resource_type", "resource_id"] {
        for (text, encoded) in [
            ("grace.hopper@navy.example", "grace.hopper%40navy.example"),
            ("Grace Hopper", "Grace%20Hopper"),
            ("grüße", "gr%C3%BC%C3%9Fe"),
        ] {
            let mut wanted = json!({"format": "ndjson"});
            wanted[name] = json!(text);
            let refused = admin.post(EXPORTS, wanted).await.expect_problem(422, "invalid");
            let fault = (refused.text("/errors/0/pointer"), refused.text("/errors/0/code"));
            assert_eq!(fault, (format!("/{name}"), "format".to_owned()), "{text}");
            let query = format!("/api/admin/audit-logs?{name}={encoded}");
            let refused = admin.get(&query).await.expect_problem(422, "invalid");
            let fault = (refused.text("/errors/0/pointer"), refused.text("/errors/0/code"));
            assert_eq!(fault, (format!("query:{name}"), "format".to_owned()), "{text}");
        }
    }
    // What things are called is taken as ever.
    let wanted = json!({
        "format": "ndjson", "actor": admin.text("/user/id"), "action": "api_key.create",
        "resource_type": "api_key", "resource_id": "acme-sales.example.com",
    });
    let _ = start(&admin, wanted).await;
    app.drain().await;
    let all = crate::privacy::everything(&app).await;
    let records = all.iter().filter(|(place, _)| place.starts_with("AuditTable"));
    let (named, told): (Vec<_>, Vec<_>) = records.partition(|(_, text)| text.contains("acme-sales"));
    assert!(!named.is_empty(), "what was asked for is on record");
    assert!(told.iter().all(|(_, text)| !text.to_lowercase().contains("hopper")), "{told:?}");
}

#[tokio::test]
async fn files_expire_and_so_do_links() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    let id = start(&admin, json!({"format": "ndjson"})).await;
    app.drain().await;
    let link = show(&admin, &id).await["links"]["file"].as_str().unwrap().to_owned();
    assert!(follow(&app, &link).await.is_ok());
    app.advance(Duration::from_secs(3601));
    assert_eq!(follow(&app, &link).await, Err(StatusCode::FORBIDDEN));
    let admin = app.sign_in_again(&admin).await;
    let link = show(&admin, &id).await["links"]["file"].as_str().unwrap().to_owned();
    assert!(follow(&app, &link).await.is_ok());
    app.advance(7 * DAY);
    let admin = app.sign_in_again(&admin).await;
    let job = show(&admin, &id).await;
    assert_eq!(job["status"], "expired");
    assert!(job.get("links").is_none() && job["size"].is_null(), "{job}");
    app.drain().await;
}

/// Everything that S3 is asked fails, as long as `times` says.
fn strike(app: &TestApp, operation: &str, passes: usize, times: usize) {
    app.engines().faults().order(operation, passes, times, Strike::Before, 500, "");
}

/// What is on record of jobs that failed, as nobody's act and with nobody's data in it.
pub(crate) async fn failures(admin: &Actor, action: &str) -> Vec<Value> {
    let found = admin.get(&format!("/api/admin/audit-logs?action={action}")).await.expect(200).json;
    let records = found["data"].as_array().unwrap().clone();
    for record in &records {
        assert_eq!((&record["success"], &record["error_code"]), (&json!(false), &json!("job_failed")));
        assert_eq!(record["actor"]["type"], "system");
        for flag in ["pii_accessed", "sensitive", "compliance_relevant"] {
            assert_eq!(record[flag], true, "{flag}: {record}");
        }
    }
    records
}

#[tokio::test]
async fn an_export_that_breaks_off_is_begun_again_and_given_up_after_three_times() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    // Two parts and the beginning of a third.
    fill(&app, &admin, 220, 50_000).await;
    app.drain().await;
    let trust = trust(&admin).await;
    let id = start(&admin, json!({"format": "ndjson"})).await;
    // As often as the client tries.
    strike(&app, "UploadPart", 1, 3);
    app.drain().await;
    let job = show(&admin, &id).await;
    assert_eq!(job["status"], "queued");
    assert!(job["progress"]["records"].as_u64().unwrap() > 100, "{job}");
    app.advance(Duration::from_secs(31));
    app.drain().await;
    let exported = fetch(&app, &admin, &id).await;
    assert!(exported.file.len() > 10 * 1024 * 1024);
    let report = exported.verify(&trust);
    assert!(report.intact && report.records >= 222, "{report}");

    let id = start(&admin, json!({"format": "csv"})).await;
    strike(&app, "CreateMultipartUpload", 0, 9);
    for _ in 0..3 {
        app.drain().await;
        app.advance(Duration::from_secs(91));
    }
    app.drain().await;
    let job = show(&admin, &id).await;
    assert_eq!(job["status"], "failed");
    assert!(job["reason"].as_str().unwrap().contains("three times"), "{job}");
    let records = failures(&admin, "audit_log.export_failed").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((&records[0]["resource_id"], &records[0]["actor"]["id"]), (&json!(id), &json!("worker")));
    let reason = json!([{"field": "reason", "before": null, "after": job["reason"]}]);
    assert_eq!(records[0]["changes"], reason);
    // Ours to see, and nobody else's: it is on no queue that is worked on.
    assert_eq!(app.platform().messages("LongJobsFaultsQueue").len(), 1);
    app.leaves_jobs();
    app.sweep().await;
    assert_eq!(show(&admin, &id).await["status"], "failed");
}

#[tokio::test]
async fn a_job_whose_worker_is_gone_is_found_by_the_sweep() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    let purge = async || {
        let services = app.platform().services_for("worker").unwrap();
        let url = services.environment.required("LONG_JOBS_QUEUE_URL").unwrap();
        services.aws.sqs.purge_queue().queue_url(url).send().await.unwrap();
    };
    // Its message is lost.
    let lost = start(&admin, json!({"format": "ndjson"})).await;
    purge().await;
    app.drain().await;
    assert_eq!(show(&admin, &lost).await["status"], "queued");
    app.advance(Duration::from_secs(61));
    app.sweep().await;
    assert_eq!(show(&admin, &lost).await["status"], "done");

    // Its worker dies, three times over.
    let id = start(&admin, json!({"format": "ndjson"})).await;
    let job: ExportId = id.parse().unwrap();
    purge().await;
    let lease = Duration::from_secs(120);
    for _ in 0..3 {
        let claim = tenant(&app, &admin).claim_long_job(job, lease, app.now()).await.unwrap();
        assert!(matches!(claim, LongClaim::Held(_)), "{claim:?}");
        let again = tenant(&app, &admin).claim_long_job(job, lease, app.now()).await.unwrap();
        assert_eq!(again, LongClaim::Busy);
        app.advance(lease);
    }
    let errors = app.platform().run_schedules().await;
    assert_eq!(errors.len(), 1, "somebody is told: {errors:?}");
    let job = show(&admin, &id).await;
    assert_eq!(job["status"], "failed");
    assert!(job["reason"].as_str().unwrap().contains("three times"));
    let records = failures(&admin, "audit_log.export_failed").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((&records[0]["resource_id"], &records[0]["actor"]["id"]), (&json!(id), &json!("sweep")));
    app.sweep().await;
}

#[tokio::test]
async fn who_lost_a_job_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    let id = start(&admin, json!({"format": "ndjson"})).await;
    let job: ExportId = id.parse().unwrap();
    let tenant = tenant(&app, &admin);
    let lease = Duration::from_secs(120);
    let LongClaim::Held(mut held) = tenant.claim_long_job(job, lease, app.now()).await.unwrap() else {
        panic!("not held")
    };
    app.advance(lease);
    app.drain().await;
    let done = show(&admin, &id).await;
    assert_eq!(done["status"], "done");
    assert!(!tenant.note_long_job(&mut held, lease, app.now()).await.unwrap());
    assert!(!tenant.finish_long_job(&held, app.now()).await.unwrap());
    let ids = crate::people::ids(&app);
    assert!(!tenant.fail_long_job(&held, "late", "worker", &ids, app.now()).await.unwrap());
    assert_eq!(failures(&admin, "audit_log.export_failed").await, Vec::<Value>::new());
    assert_eq!(show(&admin, &id).await["sha256"], done["sha256"]);
}
