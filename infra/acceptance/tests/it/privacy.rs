//! What is held about a person can be had, and forgotten: nothing of it is left, and every proof still holds.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use artisan_local::engines::Strike;
use artisan_verify::verify_export;
use aws_sdk_dynamodb::types::AttributeValue;
use mailing::MailSeal;
use objects::{Bucket, Client};
use runtime::Environment;
use serde_json::{Value, json};
use store::{AuditRecord, FieldChange};
use testkit::{Actor, PASSWORD, Receiver, TestApp};

use crate::exports::{failures, follow, tenant, trust};

const EXPORTS: &str = "/api/admin/privacy/exports";
const ERASURES: &str = "/api/admin/privacy/erasures";

const EMAIL: &str = "zelda.planted@example.com";
/// All that tells of her.
const HERS: [&str; 9] = [
    EMAIL,
    "Zeldaphine",
    "Plantagenet",
    "Quuxworks",
    "198.51.100.77",
    "ZeldaBrowser",
    "call me on 555-0177",
    "room with the green door",
    "zelda-custom-value",
];

/// The types of events that tell of a lead.
const ABOUT_LEADS: [&str; 5] =
    ["lead.created", "lead.updated", "lead.replied", "lead.qualified", "meeting.booked"];

/// Every item of every table and every object, as text, by where it is.
pub(crate) async fn everything(app: &TestApp) -> BTreeMap<String, String> {
    let services = app.platform().services_for("worker").unwrap();
    let mut all = BTreeMap::new();
    for table in ["DirectoryTable", "CoreTable", "ActivityTable", "AuditTable"] {
        let name = app.platform().table_name(table).unwrap();
        let mut items = services.aws.dynamodb.scan().table_name(name).into_paginator().items().send();
        while let Some(item) = items.next().await {
            let item = item.unwrap();
            let text = |name: &str| match item.get(name) {
                Some(AttributeValue::S(text)) => text.clone(),
                _ => String::new(),
            };
            all.insert(format!("{table} {} {}", text("pk"), text("sk")), format!("{item:?}"));
        }
    }
    let client = Client::from_services(&services);
    for bucket in ["ExportsBucket", "ArchiveBucket"] {
        let bucket_name = services_bucket(app, bucket);
        let environment = Environment::from_iter([("BUCKET".to_owned(), bucket_name)]);
        let objects = Bucket::from_environment(&environment, "BUCKET", &client).unwrap();
        let mut after: Option<String> = None;
        loop {
            let page = objects.list("", after.as_deref()).await.unwrap();
            for object in page.objects {
                let content = objects.get(&object.key).await.unwrap().unwrap();
                let text = String::from_utf8_lossy(&content).into_owned();
                all.insert(format!("{bucket} {}", object.key), text);
            }
            after = page.next_after;
            if after.is_none() {
                break;
            }
        }
    }
    all
}

fn services_bucket(app: &TestApp, logical: &str) -> String {
    let (function, variable) = match logical {
        "ExportsBucket" => ("worker", "EXPORTS_BUCKET"),
        _ => ("seal", "ARCHIVE_BUCKET"),
    };
    app.platform().services_for(function).unwrap().environment.required(variable).unwrap()
}

/// Where something of hers stands.
fn traces(everything: &BTreeMap<String, String>) -> Vec<String> {
    let found = everything.iter().flat_map(|(place, text)| {
        let hers = HERS.iter().filter(move |hers| text.contains(**hers) || place.contains(**hers));
        hers.map(move |hers| format!("{hers} in {place}"))
    });
    found.collect()
}

struct Planted {
    admin: Actor,
    user: String,
    lead: String,
}

/// An organization that holds something of her wherever anything can be held.
async fn plant(app: &TestApp) -> Planted {
    let echo = Receiver::replying(|number| async move {
        let long = "x".repeat(if number % 2 == 0 { 0 } else { 1_000 });
        (http::StatusCode::OK, format!("thank you for {EMAIL} {long}"))
    })
    .await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let (endpoint, _) = app.endpoint(&admin, &echo, json!({"events": ABOUT_LEADS})).await;
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let (_, _) = app.endpoint(&admin, &echo, json!({"events": ["lead.created"]})).await;

    // As a lead, in live and test mode, and one that is deleted.
    let lead = json!({
        "email": EMAIL, "first_name": "Zeldaphine", "last_name": "Plantagenet", "company": "Quuxworks",
        "custom": {"note": "zelda-custom-value", "deep": [{"of": "zelda-custom-value"}]},
    });
    let mut leads = Vec::new();
    for (number, actor) in [&admin, &test, &admin].into_iter().enumerate() {
        let created = actor.with("idempotency-key", format!("lead-{number}"));
        let id = created.post("/v1/leads", lead.clone()).await.expect(201).text("/id");
        // What comes later has a later id.
        app.advance(Duration::from_millis(1));
        let path = format!("/v1/leads/{id}");
        let reply = json!({"message": "call me on 555-0177", "channel": "phone"});
        let replying = actor.with("idempotency-key", format!("reply-{number}"));
        let _ = replying.post(&format!("{path}/replies"), reply).await.expect(201);
        let meeting = json!({
            "lead_id": id, "starts_at": "2026-12-01T10:00:00Z", "ends_at": "2026-12-01T11:00:00Z",
            "location": "room with the green door",
        });
        let booking = actor.with("idempotency-key", format!("meeting-{number}"));
        let _ = booking.post("/v1/meetings", meeting).await.expect(201);
        let _ = actor.patch(&path, json!({"title": "Quuxworks"})).await.expect(200);
        let _ = actor.post(&format!("{path}/qualify"), json!({})).await.expect(200);
        leads.push(id);
    }
    let _ = admin.delete(&format!("/v1/leads/{}", leads[2])).await.expect(204);
    app.drain().await;
    let deliveries = admin.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    assert!(!deliveries.json["data"].as_array().unwrap().is_empty());

    // As a user, who comes and goes.
    let invitation = json!({"email": EMAIL, "role": "admin"});
    let inviting = admin.with("idempotency-key", "invite");
    let _ = inviting.post("/api/admin/invitations", invitation).await.expect(201);
    let token = app.token_mailed_to(EMAIL).await;
    let herself = app.stranger().at("198.51.100.77").with("user-agent", "ZeldaBrowser/1");
    let joining = json!({"token": token, "name": "Zeldaphine Plantagenet", "password": PASSWORD});
    let joined = herself.with("idempotency-key", "join").post("/api/auth/invitations/accept", joining).await;
    assert!(joined.status.is_success(), "{}", joined.body);
    let user = joined.text("/user/id");
    let signed_in = herself.with_token(&joined.text("/access_token"));
    let _ = signed_in.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    let _ = signed_in.patch("/api/auth/me", json!({"name": "Zeldaphine P. Plantagenet"})).await.expect(200);
    let wrong = json!({"email": EMAIL, "password": "not her password"});
    let _ = herself.post("/api/auth/login", wrong).await.expect_problem(401, "invalid_credentials");
    let right = json!({"email": EMAIL, "password": PASSWORD});
    let _ = herself.post("/api/auth/login", right).await.expect(200);
    let _ = herself.post("/api/auth/password/forgot", json!({"email": EMAIL})).await.expect(202);
    let _ = signed_in.get("/v1/leads/lead_x").await;
    app.drain().await;
    // Exports that hold her.
    for (path, wanted) in
        [("/api/admin/audit-logs/exports", json!({"format": "ndjson"})), (EXPORTS, json!({"email": EMAIL}))]
    {
        let _ = admin.with("idempotency-key", path).post(path, wanted).await.expect(202);
    }
    app.drain().await;
    let _ = admin.delete(&format!("/api/admin/users/{user}")).await.expect(204);
    // Invited once more, and not there yet.
    let again = json!({"email": EMAIL, "role": "read_only"});
    let _ = admin.post("/api/admin/invitations", again).await.expect(201);
    app.drain().await;
    Planted { admin, user, lead: leads[0].clone() }
}

async fn erase(app: &TestApp, admin: &Actor, about: Value) -> Value {
    let job = admin.with("idempotency-key", "erase").post(ERASURES, about).await.expect(202);
    app.drain().await;
    admin.get(&format!("{ERASURES}/{}", job.text("/id"))).await.expect(200).json
}

#[tokio::test]
async fn nothing_of_a_person_is_left_and_every_proof_holds() {
    let app = TestApp::start().await;
    let other = app.sign_up("Other").await;
    let theirs = other.post("/v1/leads", json!({"email": "zelda@elsewhere.example.com"})).await.expect(201);
    let Planted { admin, user, .. } = plant(&app).await;
    let before = everything(&app).await;
    let planted = traces(&before);
    for hers in HERS {
        assert!(planted.iter().any(|trace| trace.starts_with(hers)), "{hers} was not planted");
    }
    for place in ["DirectoryTable", "CoreTable", "ActivityTable", "ExportsBucket"] {
        assert!(planted.iter().any(|trace| trace.contains(place)), "nothing was planted in {place}");
    }
    let audit = |everything: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let records = everything.iter().filter(|(place, _)| place.starts_with("AuditTable"));
        records.map(|(place, text)| (place.clone(), text.clone())).collect()
    };
    let keys_before: Vec<String> = audit(&before).into_keys().collect();

    let job = erase(&app, &admin, json!({"email": EMAIL})).await;
    assert_eq!(job["status"], "done", "{job}");
    let after = everything(&app).await;
    assert_eq!(traces(&after), Vec::<String>::new());
    for kind in [
        "leads",
        "replies",
        "meetings",
        "invitations",
        "directory",
        "events",
        "deliveries",
        "answers",
        "personal_values",
    ] {
        assert!(job["erased"][kind].as_u64().is_some_and(|count| count > 0), "no {kind}: {job}");
    }
    let now = audit(&after);
    assert!(keys_before.iter().all(|key| now.contains_key(key)), "no record is gone");

    // The log is what it was.
    let started = admin.post("/api/admin/audit-logs/exports", json!({"format": "ndjson"})).await.expect(202);
    app.drain().await;
    let path = format!("/api/admin/audit-logs/exports/{}", started.text("/id"));
    let export = admin.get(&path).await.expect(200);
    let file = follow(&app, &export.text("/links/file")).await.unwrap();
    let report = verify_export(Cursor::new(&file), &trust(&admin).await).unwrap();
    assert!(report.intact && report.erased_values > 10, "{report}");
    assert!(!String::from_utf8(file).unwrap().contains(EMAIL));
    let records = admin.get(&format!("/api/admin/audit-logs?actor={user}&limit=100")).await.expect(200).json;
    let records = records["data"].as_array().unwrap().clone();
    assert!(records.len() > 4);
    for record in &records {
        assert_eq!(
            (&record["actor"]["email"], &record["ip_address"]),
            (&json!("[erased]"), &json!("[erased]"))
        );
        let proof =
            admin.get(&format!("/api/admin/audit-logs/{}/proof", record["id"].as_str().unwrap())).await;
        let entry =
            admin.get(&format!("/api/admin/audit-logs/{}/entry", record["id"].as_str().unwrap())).await;
        let proof: tlog::Proof = proof.expect(200).body.parse().unwrap();
        proof.verify(entry.expect(200).body.as_bytes(), &trust(&admin).await.keys).unwrap();
    }
    // Others are who they were.
    let mine = admin.get("/api/admin/audit-logs?action=privacy.erase").await.expect(200).json;
    assert_eq!(mine["data"][0]["actor"]["email"], admin.text("/user/email"));
    assert_eq!(mine["data"][0]["changes"][0]["after"], "[erased]");
    let done = admin.get("/api/admin/audit-logs?action=privacy.erased").await.expect(200).json;
    assert_eq!(done["data"].as_array().unwrap().len(), 1);
    let kept = other.get(&format!("/v1/leads/{}", theirs.text("/id"))).await.expect(200);
    assert_eq!(kept.text("/email"), "zelda@elsewhere.example.com");
    // Once more finds nothing, and is no error.
    let again = admin.post(ERASURES, json!({"email": EMAIL})).await.expect(202).text("/id");
    app.drain().await;
    let again = admin.get(&format!("{ERASURES}/{again}")).await.expect(200);
    assert_eq!(again.text("/status"), "done");
    assert_eq!(traces(&everything(&app).await), Vec::<String>::new());
    // Her own address is free again.
    let _ = app
        .stranger()
        .post("/api/auth/login", json!({"email": EMAIL, "password": PASSWORD}))
        .await
        .expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn an_erasure_that_breaks_off_goes_on_where_it_stopped() {
    let app = TestApp::start().await;
    let Planted { admin, lead, .. } = plant(&app).await;
    let job = admin.post(ERASURES, json!({"lead_id": lead})).await.expect(202).text("/id");
    // Somewhere on the way, again and again.
    let mut tries = 0;
    loop {
        app.engines().faults().order("BatchWriteItem", 2, 3, Strike::Before, 500, "");
        app.drain().await;
        let found = admin.get(&format!("{ERASURES}/{job}")).await.expect(200);
        if found.text("/status") == "done" {
            break;
        }
        assert_eq!(found.text("/status"), "queued", "{}", found.body);
        app.engines().faults().clear();
        tries += 1;
        if tries == 2 {
            app.advance(Duration::from_secs(91));
            app.drain().await;
            break;
        }
        app.advance(Duration::from_secs(91));
    }
    app.engines().faults().clear();
    assert!(tries > 0, "nothing broke");
    let found = admin.get(&format!("{ERASURES}/{job}")).await.expect(200);
    assert_eq!(found.text("/status"), "done", "{}", found.body);
    assert_eq!(traces(&everything(&app).await), Vec::<String>::new());
    let records = admin.get("/api/admin/audit-logs?action=privacy.erased").await.expect(200).json;
    assert_eq!(records["data"].as_array().unwrap().len(), 1);
}

const LOG_EXPORTS: &str = "/api/admin/audit-logs/exports";

/// The keys of the files of exports.
async fn files(app: &TestApp) -> Vec<String> {
    let all = everything(app).await;
    all.into_keys().filter_map(|place| place.strip_prefix("ExportsBucket ").map(str::to_owned)).collect()
}

#[tokio::test]
async fn an_erasure_that_breaks_off_after_the_walk_does_not_walk_again() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.post("/v1/leads", json!({"email": EMAIL})).await.expect(201);
    let old = admin.post(LOG_EXPORTS, json!({"format": "csv"})).await.expect(202).text("/id");
    app.drain().await;
    assert_eq!(files(&app).await.len(), 2);
    let job = admin.post(ERASURES, json!({"email": EMAIL})).await.expect(202).text("/id");
    // The files can't be found, as often as the client tries.
    app.engines().faults().order("ListObjectsV2", 0, 3, Strike::Before, 500, "");
    app.drain().await;
    let found = admin.get(&format!("{ERASURES}/{job}")).await.expect(200);
    assert_eq!((found.text("/status"), &found.json["erased"]["leads"]), ("queued".to_owned(), &json!(1)));
    // What is exported from now on has nothing of her.
    let fresh = admin.post(LOG_EXPORTS, json!({"format": "csv"})).await.expect(202).text("/id");
    app.drain().await;
    app.engines().meter().reset();
    app.advance(Duration::from_secs(31));
    app.drain().await;
    let asked = app.engines().meter().snapshot();
    assert_eq!(asked.calls_of("Scan"), 0, "the directory was looked through again");
    let found = admin.get(&format!("{ERASURES}/{job}")).await.expect(200);
    assert_eq!((found.text("/status"), &found.json["erased"]["leads"]), ("done".to_owned(), &json!(1)));
    let left = files(&app).await;
    assert!(left.len() == 2 && left.iter().all(|key| key.contains(&fresh)), "{left:?}");
    let status = async |id: &str| admin.get(&format!("{LOG_EXPORTS}/{id}")).await.expect(200).text("/status");
    assert_eq!(
        (status(old.as_str()).await, status(fresh.as_str()).await),
        ("expired".to_owned(), "done".to_owned())
    );
}

#[tokio::test]
async fn who_has_lost_an_erasure_deletes_nothing_any_more() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.post(LOG_EXPORTS, json!({"format": "ndjson"})).await.expect(202);
    app.drain().await;
    let job = admin.post(ERASURES, json!({"email": EMAIL})).await.expect(202).text("/id");
    let (held, lease) = (tenant(&app, &admin), Duration::from_secs(120));
    let listing = app.engines().faults().hold("Query", "#JOB\"");
    let ((), claim) = tokio::join!(app.drain(), async {
        listing.arrived().await;
        // It hangs for as long as it holds the job.
        app.advance(lease);
        let claim = held.claim_long_job(job.parse().unwrap(), lease, app.now()).await.unwrap();
        drop(listing);
        claim
    });
    let store::LongClaim::Held(other) = claim else { panic!("not held") };
    assert_eq!(files(&app).await.len(), 1);
    assert!(held.release_long_job(&other, Duration::ZERO, app.now()).await.unwrap());
    app.sweep().await;
    assert_eq!(admin.get(&format!("{ERASURES}/{job}")).await.expect(200).text("/status"), "done");
    assert_eq!(files(&app).await, Vec::<String>::new());
}

/// However many exports there are, a lease lasts for the few of them that are seen to at once.
#[tokio::test]
async fn exports_are_cleared_a_page_at_a_time() {
    const MANY: usize = 45;
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let (held, ids) = (tenant(&app, &admin), crate::people::ids(&app));
    let mut jobs = Vec::new();
    for _ in 0..MANY {
        app.advance(Duration::from_millis(1));
        let job = store::LongJob::new(
            ids.next(),
            store::LongTask::AuditExport {
                format: store::ExportFormat::Csv,
                filter: store::AuditFilter::default(),
            },
            "usr_1".to_owned(),
            app.now(),
        );
        let record = crate::people::record(&app, held.organization_id());
        let asked = store::Change::audited(record).start_long_job(held.organization_id(), &job).unwrap();
        held.commit(asked, None).await.unwrap();
        let claim = held.claim_long_job(job.id, Duration::from_secs(120), app.now()).await.unwrap();
        let store::LongClaim::Held(claim) = claim else { panic!("not held") };
        assert!(held.finish_long_job(&claim, app.now()).await.unwrap());
        jobs.push(job.id);
    }
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let person = store::Person::default();
        let cleared = held.clear_exports(&person, after, "worker", &ids, app.now()).await.unwrap();
        let mut expired = 0;
        for id in &jobs {
            let job = held.long_job(*id).await.unwrap().unwrap();
            expired += usize::from(job.status == store::LongJobStatus::Expired);
        }
        pages.push(expired);
        match cleared.next {
            None => break,
            next => after = next,
        }
    }
    assert_eq!(pages, [20, 40, MANY]);
    app.drain().await;
}

#[tokio::test]
async fn an_erasure_that_fails_is_on_record_with_what_it_has_erased() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.post("/v1/leads", json!({"email": EMAIL})).await.expect(201);
    app.drain().await;
    let job = admin.post(ERASURES, json!({"email": EMAIL})).await.expect(202).text("/id");
    // The lead goes; what stands under its address in the directory can't be deleted. The client tries three times, and
    // the job is begun three times.
    app.engines().faults().order("BatchWriteItem", 1, 9, Strike::Before, 500, "");
    for _ in 0..3 {
        app.drain().await;
        app.advance(Duration::from_secs(91));
    }
    app.drain().await;
    app.leaves_jobs();
    let found = admin.get(&format!("{ERASURES}/{job}")).await.expect(200);
    assert_eq!((found.text("/status"), &found.json["erased"]["leads"]), ("failed".to_owned(), &json!(1)));
    let records = failures(&admin, "privacy.erase_failed").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((&records[0]["resource_type"], &records[0]["resource_id"]), (&json!("erasure"), &json!(job)));
    let expected = json!([
        {"field": "leads", "before": 1, "after": 0},
        {"field": "reason", "before": null, "after": found.json["reason"]},
    ]);
    assert_eq!(records[0]["changes"], expected);
    assert!(failures(&admin, "privacy.erased").await.is_empty());
}

/// A job says that it failed in the transaction that puts it on record: neither is there without the other.
#[tokio::test]
async fn a_job_that_cannot_be_put_on_record_has_not_failed_yet() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    let late = "late@example.com";
    let job = admin.post(ERASURES, json!({"email": late})).await.expect(202).text("/id");
    let user = crate::organizations::add_member(&app, &admin, late, store::Role::ReadOnly).await;
    // After it was begun, and who is meant was noted.
    app.engines().faults().order("TransactWriteItems", 2, 3, Strike::Before, 500, "");
    app.drain().await;
    let status = async || admin.get(&format!("{ERASURES}/{job}")).await.expect(200).text("/status");
    assert_eq!(status().await, "running");
    assert!(failures(&admin, "privacy.erase_failed").await.is_empty());
    app.advance(Duration::from_secs(120));
    app.sweep().await;
    assert_eq!(status().await, "failed");
    let records = failures(&admin, "privacy.erase_failed").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(records[0]["changes"][0]["after"].as_str().unwrap().contains(&user.to_string()), "{records:?}");
    // What was asked for about somebody who is erased meanwhile ends on record, too.
    let export = admin.post(EXPORTS, json!({"email": EMAIL})).await.expect(202).text("/id");
    let held = tenant(&app, &admin);
    let claim = held.claim_long_job(export.parse().unwrap(), Duration::from_secs(120), app.now()).await;
    assert!(matches!(claim.unwrap(), store::LongClaim::Held(_)));
    let _ = erase(&app, &admin, json!({"email": EMAIL})).await;
    let records = failures(&admin, "privacy.export_failed").await;
    assert_eq!((records.len(), &records[0]["resource_id"]), (1, &json!(export)));
    app.drain().await;
}

/// The mails that are kept of an organization: whom each is to.
async fn mails_kept(app: &TestApp) -> Vec<String> {
    let services = app.platform().services_for("worker").unwrap();
    let secret = services.secret("SESSION_SECRET_ID").await.unwrap();
    let seal = MailSeal::new(&sealing::MasterSecret::new(secret)).unwrap();
    let table = app.platform().table_name("ActivityTable").unwrap();
    let items = services.aws.dynamodb.scan().table_name(table).send().await.unwrap().items.unwrap();
    let mails = items.iter().filter(|item| item["sk"].as_s().unwrap().starts_with("MAIL#"));
    let mut to: Vec<String> = mails
        .map(|item| {
            let job = seal.open(item["sealed"].as_s().unwrap()).unwrap();
            serde_json::to_value(&job).unwrap()["about"]["to"].as_str().unwrap().to_owned()
        })
        .collect();
    to.sort();
    to
}

#[tokio::test]
async fn a_mail_to_somebody_with_a_longer_address_stays() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for email in ["ada@example.com", "maria.ada@example.com", "ada@example.com.au"] {
        let invitation = json!({"email": email, "role": "read_only"});
        let _ = admin.post("/api/admin/invitations", invitation).await.expect(201);
    }
    app.drain().await;
    let registered = admin.text("/user/email");
    let others = ["ada@example.com.au", registered.as_str(), "maria.ada@example.com"].map(str::to_owned);
    let mut before = others.to_vec();
    before.push("ada@example.com".to_owned());
    before.sort();
    assert_eq!(mails_kept(&app).await, before);
    let job = erase(&app, &admin, json!({"email": "ada@example.com"})).await;
    assert_eq!((&job["status"], &job["erased"]["mails"]), (&json!("done"), &json!(1)), "{job}");
    assert_eq!(mails_kept(&app).await, others);
}

/// Who left two organizations has no account any more once the first of them has forgotten them; the second one still knows who
/// it was that bore the address.
#[tokio::test]
async fn an_organization_forgets_somebody_whose_account_is_gone() {
    const ADA: &str = "ada.planted@example.com";
    const NAME: &str = "Adaline Plantagenet";
    let app = TestApp::start().await;
    let (acme, initech) = (app.sign_up("Acme").await, app.sign_up("Initech").await);
    let mut user = String::new();
    for admin in [&acme, &initech] {
        let _ =
            admin.post("/api/admin/invitations", json!({"email": ADA, "role": "admin"})).await.expect(201);
        let token = app.token_mailed_to(ADA).await;
        let joining = json!({"token": token, "name": NAME, "password": PASSWORD});
        let joined = crate::people::accept(&app, &token, joining).await;
        assert!(joined.status.is_success(), "{}", joined.body);
        user = joined.text("/user/id");
        // A record that has her name among its personal values, and her address nowhere.
        let tenant = tenant(&app, admin);
        let (before, after) = (json!("Ada"), json!(NAME));
        let record = AuditRecord {
            action: "user.update",
            resource_type: "user".to_owned(),
            resource_id: Some(user.clone()),
            changes: vec![FieldChange { field: "name".to_owned(), before, after }],
            pii_accessed: true,
            ..crate::people::record(&app, tenant.organization_id())
        };
        tenant.record(&record).await.unwrap();
    }
    for admin in [&acme, &initech] {
        let _ = admin.delete(&format!("/api/admin/users/{user}")).await.expect(204);
    }
    app.drain().await;
    let named = async |admin: &Actor| {
        let path = format!("/api/admin/audit-logs?resource_id={user}&limit=100");
        let records = admin.get(&path).await.expect(200).json["data"].clone();
        let after = records.as_array().unwrap().iter().map(|record| record["changes"][0]["after"].clone());
        let after: Vec<_> = after.filter(|after| *after == NAME || *after == "[erased]").collect();
        assert_eq!(after.len(), 1, "{records}");
        after[0].clone()
    };
    let store = crate::people::store(&app);
    assert!(store.account(ADA).await.unwrap().is_some());

    let job = erase(&app, &acme, json!({"email": ADA})).await;
    assert_eq!(job["status"], "done", "{job}");
    assert!(store.account(ADA).await.unwrap().is_none(), "she belongs nowhere");
    assert_eq!((named(&acme).await, named(&initech).await), (json!("[erased]"), json!(NAME)));

    let job = erase(&app, &initech, json!({"email": ADA})).await;
    assert_eq!(job["status"], "done", "{job}");
    assert_eq!(named(&initech).await, "[erased]");
    for (place, text) in everything(&app).await {
        assert!(![ADA, NAME].iter().any(|hers| place.contains(*hers) || text.contains(*hers)), "{place}");
    }
}

const GRACE: &str = "grace@example.com";

/// Grace has left Acme, where she is to be erased, and is invited to Initech: the admins of both, and her token.
async fn between_two(app: &TestApp) -> (Actor, Actor, String) {
    let (acme, initech) = (app.sign_up("Acme").await, app.sign_up("Initech").await);
    let invite = async |admin: &Actor| {
        let organization = crate::people::organization(admin);
        crate::people::invite(app, organization, GRACE, store::Role::ReadOnly).await
    };
    let token = invite(&acme).await;
    let joined = crate::people::accept(app, &token, crate::people::newcomer()).await.expect(201);
    let _ = acme.delete(&format!("/api/admin/users/{}", joined.text("/user/id"))).await.expect(204);
    let token = invite(&initech).await;
    app.drain().await;
    (acme, initech, token)
}

/// She joins after it was read that she belongs nowhere, and before her identity is deleted.
#[tokio::test]
async fn who_joins_elsewhere_while_they_are_erased_keeps_their_account() {
    let app = TestApp::start().await;
    let (acme, _, token) = between_two(&app).await;
    let job = acme.post(ERASURES, json!({"email": GRACE})).await.expect(202).text("/id");
    let deleting = app.engines().faults().hold("DeleteItem", "IDENTITY");
    tokio::join!(app.drain(), async {
        deleting.arrived().await;
        let _ = crate::people::accept(&app, &token, json!({})).await.expect(200);
        drop(deleting);
    });
    assert_eq!(acme.get(&format!("{ERASURES}/{job}")).await.expect(200).text("/status"), "done");
    let signed_in = crate::people::sign_in(&app, GRACE, PASSWORD).await.expect(200);
    assert_eq!(signed_in.text("/organization/name"), "Initech");
    app.drain().await;
}

/// The other way round: it was deleted after it was read for joining, and before she has.
#[tokio::test]
async fn nobody_joins_with_an_account_that_is_erased_meanwhile() {
    let app = TestApp::start().await;
    let (_, initech, token) = between_two(&app).await;
    let joining = app.engines().faults().hold("TransactWriteItems", "invitation.accept");
    let (refused, ()) = tokio::join!(crate::people::accept(&app, &token, json!({})), async {
        joining.arrived().await;
        let client = app.platform().services_for("worker").unwrap().aws.dynamodb;
        let delete = client.delete_item().table_name(app.platform().table_name("DirectoryTable").unwrap());
        let delete = delete.key("pk", AttributeValue::S(format!("EMAIL#{GRACE}")));
        let _ = delete.key("sk", AttributeValue::S("IDENTITY".to_owned())).send().await.unwrap();
        drop(joining);
    });
    let _ = refused.expect_problem(409, "conflict");
    let members = tenant(&app, &initech).all_members().await.unwrap();
    assert!(members.iter().all(|member| member.email != GRACE), "a member without an account");
    // The invitation waits for who has the address now.
    let _ = crate::people::accept(&app, &token, crate::people::newcomer()).await.expect(201);
    app.drain().await;
}

#[tokio::test]
async fn a_person_can_have_what_is_held_about_them() {
    let app = TestApp::start().await;
    let Planted { admin, user, lead } = plant(&app).await;
    for (about, named_by) in [
        (json!({"email": EMAIL}), "email"),
        (json!({"user_id": user}), "user_id"),
        (json!({"lead_id": lead}), "lead_id"),
    ] {
        let job = admin.post(EXPORTS, about).await.expect(202);
        assert_eq!(job.text("/named_by"), named_by);
        app.drain().await;
        let job = admin.get(&format!("{EXPORTS}/{}", job.text("/id"))).await.expect(200);
        assert_eq!(job.text("/status"), "done");
        let file = follow(&app, &job.text("/links/file")).await.unwrap();
        assert_eq!(job.json["size"], file.len());
        let held: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(held["person"], json!({"email": EMAIL, "user_id": user}), "{named_by}");
        let count = |name: &str| held[name].as_array().map_or(0, Vec::len);
        // The meeting with the lead that is deleted is still there.
        assert_eq!((count("leads"), count("meetings"), count("invitations")), (2, 3, 2), "{named_by}");
        // She was removed, and her account is there as long as she is not erased.
        let account = &held["account"];
        assert_eq!((&account["email"], &account["user_id"]), (&json!(EMAIL), &json!(user)), "{named_by}");
        assert_eq!(account["name"], "Zeldaphine P. Plantagenet");
        for (field, is) in [("email_verified", true), ("has_password", true), ("mfa_enabled", false)] {
            assert_eq!(account[field], is, "{field}");
        }
        // One from when she joined, which she used, and one from when she signed in.
        assert_eq!(count("sessions"), 2, "{}", held["sessions"]);
        let sessions = held["sessions"].as_array().unwrap();
        assert!(sessions.iter().all(|session| session["amr"] == json!(["pwd"])));
        let used: Vec<_> = sessions.iter().filter(|session| !session["last_used_at"].is_null()).collect();
        assert_eq!(used.len(), 1, "{sessions:?}");
        assert_eq!(
            (&used[0]["last_used_from"], &used[0]["last_used_by"]),
            (&json!("198.51.100.77"), &json!("ZeldaBrowser/1"))
        );
        assert_eq!(held["leads"][0]["replies"][0]["message"], "call me on 555-0177");
        // Three leads, one of them deleted: created, replied, booked, updated, qualified.
        assert_eq!(count("events"), 15, "{named_by}");
        assert!(count("audit_records_by_them") >= 5 && count("audit_records_about_them") >= 8);
        // What others did to them does not tell where those are.
        for record in held["audit_records_about_them"].as_array().unwrap() {
            assert!(record.get("ip_address").is_none() && record["actor"].get("email").is_none(), "{record}");
        }
        assert!(!held.to_string().contains(&admin.text("/user/email")));
        for secret in ["password_hash", "token_digest", "refresh_digest", "sealed", "$argon2"] {
            assert!(!held.to_string().contains(secret), "{secret}");
        }
    }
    let record = admin.get("/api/admin/audit-logs?action=privacy.export&limit=1").await.expect(200).json;
    assert_eq!(record["data"][0]["pii_accessed"], true);
    // A member's export says so.
    let me = json!({"user_id": admin.text("/user/id")});
    let job = admin.post(EXPORTS, me).await.expect(202).text("/id");
    app.drain().await;
    let link = admin.get(&format!("{EXPORTS}/{job}")).await.expect(200).text("/links/file");
    let held: Value = serde_json::from_slice(&follow(&app, &link).await.unwrap()).unwrap();
    assert_eq!(held["membership"]["role"], "admin");
}

/// What is held about somebody by others is not shown, and of who never was here not even that there is an account.
#[tokio::test]
async fn an_export_has_the_sessions_of_its_own_organization_and_accounts_of_members_alone() {
    let app = TestApp::start().await;
    let (acme, initech) = (app.sign_up("Acme").await, app.sign_up("Initech").await);
    let mut sessions = Vec::new();
    for (admin, joins) in [(&acme, 1), (&initech, 2)] {
        let organization = tenant(&app, admin).organization_id();
        for nth in 0..joins {
            let answer = match nth {
                0 => {
                    let token = crate::people::invite(&app, organization, GRACE, store::Role::ReadOnly).await;
                    crate::people::accept(&app, &token, crate::people::newcomer()).await
                }
                _ => {
                    let body = json!({"email": GRACE, "password": PASSWORD, "organization_id": organization});
                    app.stranger().post("/api/auth/login", body).await
                }
            };
            assert!(answer.status.is_success(), "{}", answer.body);
            sessions.push(crate::people::signed_in(&app, &answer));
        }
    }
    // One of them with a second factor, and none that is over is left out.
    let enrolled = sessions[0].post("/api/auth/mfa/enroll", json!({"password": PASSWORD})).await.expect(200);
    let authenticator = testkit::Authenticator::new(&enrolled.text("/secret"));
    let code = json!({"code": authenticator.code(app.now())});
    let _ = sessions[0].post("/api/auth/mfa/activate", code).await.expect(200);
    let _ = sessions[2].raw(http::Method::POST, "/api/auth/logout", "").await.expect(204);
    let export = async |admin: &Actor, about: Value| -> Value {
        let job = admin.post(EXPORTS, about).await.expect(202).text("/id");
        app.drain().await;
        let link = admin.get(&format!("{EXPORTS}/{job}")).await.expect(200).text("/links/file");
        serde_json::from_slice(&follow(&app, &link).await.unwrap()).unwrap()
    };
    let statuses = |held: &Value| {
        let sessions = held["sessions"].as_array().unwrap().iter();
        let mut statuses: Vec<_> =
            sessions.map(|session| session["status"].as_str().unwrap().to_owned()).collect();
        statuses.sort();
        statuses
    };
    let held = export(&acme, json!({"email": GRACE})).await;
    assert_eq!(statuses(&held), ["active"]);
    assert_eq!((&held["account"]["mfa_enabled"], &held["account"]["name"]), (&json!(true), &json!("Grace")));
    assert_eq!(held["account"]["mfa_enrolled_at"], app.now().to_string());
    assert!(!held.to_string().contains(&enrolled.text("/secret")));
    let held = export(&initech, json!({"email": GRACE})).await;
    assert_eq!(statuses(&held), ["active", "ended"]);
    // A lead of hers is all that a third one has.
    let hooli = app.sign_up("Hooli").await;
    let _ = hooli.post("/v1/leads", json!({"email": GRACE})).await.expect(201);
    let user = held["account"]["user_id"].clone();
    for about in [json!({"email": GRACE}), json!({"user_id": user})] {
        let held = export(&hooli, about).await;
        assert_eq!(
            (&held["account"], &held["membership"], statuses(&held)),
            (&Value::Null, &Value::Null, vec![])
        );
    }
}

#[tokio::test]
async fn members_are_removed_first_and_persons_are_named_in_one_way() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let stranger = app.sign_up("Other").await;
    let member = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let (id, email) = (member.text("/user/id"), member.text("/user/email"));
    let lead = admin.post("/v1/leads", json!({"email": email})).await.expect(201).text("/id");
    for about in [json!({"email": email}), json!({"user_id": id}), json!({"lead_id": lead})] {
        let refused = admin.post(ERASURES, about).await.expect_problem(409, "conflict");
        assert!(refused.text("/detail").contains(&id), "{}", refused.body);
    }
    for (about, pointer) in [
        (json!({}), ""),
        (json!({"email": email, "user_id": id}), ""),
        (json!({"email": "nobody"}), "/email"),
        (json!({"user_id": "usr_1"}), "/user_id"),
        (json!({"lead_id": 1}), "/lead_id"),
        (json!({"name": "Ada"}), "/name"),
    ] {
        for path in [EXPORTS, ERASURES] {
            let refused = admin.post(path, about.clone()).await.expect_problem(422, "invalid");
            assert_eq!(refused.text("/errors/0/pointer"), pointer, "{about}");
        }
    }
    let _ = stranger.post(ERASURES, json!({"lead_id": lead})).await.expect_problem(404, "not_found");
    let _ = stranger.post(EXPORTS, json!({"lead_id": lead})).await.expect_problem(404, "not_found");
    let _ = member.post(EXPORTS, json!({"user_id": id})).await.expect_problem(403, "forbidden");
    // Who joins after it was asked for is a member as well.
    let job = admin.post(ERASURES, json!({"email": "late@example.com"})).await.expect(202).text("/id");
    let _ = stranger.get(&format!("{ERASURES}/{job}")).await.expect_problem(404, "not_found");
    let late =
        crate::organizations::add_member(&app, &admin, "late@example.com", store::Role::ReadOnly).await;
    app.drain().await;
    let found = admin.get(&format!("{ERASURES}/{job}")).await.expect(200);
    assert_eq!(found.text("/status"), "failed");
    assert!(found.text("/reason").contains(&late.to_string()), "{}", found.body);
    // Exports that are being made meanwhile are begun anew.
    let running = admin.post(EXPORTS, json!({"user_id": id})).await.expect(202).text("/id");
    let held = tenant(&app, &admin);
    let claim = held.claim_long_job(running.parse().unwrap(), Duration::from_secs(120), app.now()).await;
    let store::LongClaim::Held(mut claim) = claim.unwrap() else { panic!("not held") };
    let _ = admin.post(ERASURES, json!({"email": "nobody@example.com"})).await.expect(202);
    app.drain().await;
    assert!(!held.note_long_job(&mut claim, Duration::from_secs(120), app.now()).await.unwrap());
    app.sweep().await;
    let export = admin.get(&format!("{EXPORTS}/{running}")).await.expect(200);
    assert_eq!(export.text("/status"), "done");
}
