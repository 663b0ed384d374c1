//! Attacks on API keys: races, escalation, revival, floods, junk. What they found is mended; they stay to keep it so.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use access::api_key::{Peppers, PlainKey};
use artisan_local::engines::Strike;
use clock::Timestamp;
use futures::future::{join, join_all};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use store::{Admission, Change, Proof, RouteGroup, Visit};
use testkit::{Actor, Installation, Response, TestApp};

use crate::people::{self, organization, records, store};

const KEYS: &str = "/api/admin/api-keys";
const ORGANIZATION: &str = "/api/admin/organization";
const MINUTE: Duration = Duration::from_secs(60);
const BROKEN: &str =
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal"}"#;

fn path(key: &Actor) -> String {
    format!("{KEYS}/{}", key.text("/id"))
}

async fn rotate(by: &Actor, key: &Actor, body: Value) -> Response {
    by.post(&format!("{}/rotate", path(key)), body).await
}

async fn proof(app: &TestApp, token: &str) -> Proof {
    let services = app.platform().services_for("api-keys").unwrap();
    let peppers = Peppers::parse(&services.secret("API_KEY_PEPPER_ID").await.unwrap()).unwrap();
    PlainKey::parse(token).unwrap().proof(&peppers)
}

fn visit(now: Timestamp) -> Visit<'static> {
    Visit { now, address: IpAddr::V4(Ipv4Addr::LOCALHOST), user_agent: None, group: RouteGroup::Other }
}

async fn metadata(app: &TestApp, admin: &Actor, key: &Actor) -> store::ApiKey {
    let id = key.text("/id").parse().unwrap();
    store(app).tenant_of_job(organization(admin)).api_key(id).await.unwrap().unwrap()
}

/// What the organization says is given out: keys and requests an hour.
async fn given_out(admin: &Actor) -> (u64, u64) {
    let usage = admin.get(ORGANIZATION).await.expect(200).json["usage"].clone();
    let used = |what: &str| usage[what]["used"].as_u64().unwrap();
    (used("api_keys"), used("requests_per_hour"))
}

/// What the keys that are not over come to.
async fn sum_over_keys(admin: &Actor) -> (u64, u64) {
    let listed = admin.get(&format!("{KEYS}?limit=100")).await.expect(200);
    let keys = listed.json["data"].as_array().unwrap().clone();
    let holding = keys.iter().filter(|key| ["active", "expired"].contains(&key["status"].as_str().unwrap()));
    holding.fold((0, 0), |(count, sum), key| (count + 1, sum + key["rate_limit_per_hour"].as_u64().unwrap()))
}

async fn usage(admin: &Actor, key: &Actor) -> Value {
    admin.get(&format!("{}/usage", path(key))).await.expect(200).json["total"].clone()
}

// ---------------------------------------------------------------- 1: the tally of a revocation by a stale read

/// DELETE reads the key, PATCH changes its limit, DELETE commits: what is given back is what the key had when it was read.
#[tokio::test]
async fn a_revocation_gives_back_what_the_key_has_and_not_what_it_had() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 900_000})).await;
    let stale = metadata(&app, &admin, &key).await;
    let _ = admin.patch(&path(&key), json!({"rate_limit_per_hour": 1})).await.expect(200);
    // As the handler of DELETE goes on after its read; the same for a leak's revocation and the end of a workspace.
    let acme = organization(&admin);
    let change = Change::audited(people::record(&app, acme)).revoke_api_key(acme, &stale, None, app.now());
    let _ = store(&app).tenant_of_job(acme).commit(change, None).await;
    // The ceiling of the plan is 1,000,000, and the key still has one of them.
    let first = admin.post(KEYS, json!({"name": "a", "rate_limit_per_hour": 1_000_000})).await;
    let second = admin.post(KEYS, json!({"name": "b", "rate_limit_per_hour": 800_000})).await;
    assert_eq!(
        (first.status.as_u16(), second.status.as_u16()),
        (409, 201),
        "{:?}",
        sum_over_keys(&admin).await
    );
}

/// The same by rotation: the count of keys falls below what there is.
#[tokio::test]
async fn a_revocation_that_meets_a_rotation_does_not_count_the_key_twice() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let stale = metadata(&app, &admin, &key).await;
    let _ = rotate(&admin, &key, json!({"grace_seconds": 600})).await.expect(201);
    let acme = organization(&admin);
    let change = Change::audited(people::record(&app, acme)).revoke_api_key(acme, &stale, None, app.now());
    let _ = store(&app).tenant_of_job(acme).commit(change, None).await;
    assert_eq!(given_out(&admin).await, sum_over_keys(&admin).await);
}

/// The same by nothing but requests: the transaction of DELETE meets another one (of any key of the organization, or the
/// fold of this one's counts), waits, and commits what it made of a key that was changed meanwhile.
#[tokio::test]
async fn races_over_http_leave_the_counts_right() {
    let conflict = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message":"Transaction cancelled","CancellationReasons":[{"Code":"TransactionConflict"}]}"#;
    let mut wrong = Vec::new();
    for round in 0..3_usize {
        let app = TestApp::start().await;
        let admin = app.sign_up("Acme").await;
        // What is given back too much would not be seen where nothing else is given out.
        let _ = app.key(&admin, json!({"rate_limit_per_hour": 500_000})).await;
        let key = app.key(&admin, json!({"rate_limit_per_hour": 1_000})).await;
        app.engines().faults().order("TransactWriteItems", 0, 1, Strike::Before, 400, conflict);
        let other = async {
            tokio::time::sleep(Duration::from_millis(8)).await;
            match round {
                0 => admin.patch(&path(&key), json!({"rate_limit_per_hour": 2_000})).await,
                1 => admin.patch(&path(&key), json!({"rate_limit_per_hour": 1})).await,
                _ => rotate(&admin, &key, json!({"grace_seconds": 60})).await,
            }
        };
        let (deleted, changed) = join(admin.delete(&path(&key)), other).await;
        let (counted, summed) = (given_out(&admin).await, sum_over_keys(&admin).await);
        if counted != summed {
            wrong.push((round, changed.status.as_u16(), deleted.status.as_u16(), counted, summed));
        }
    }
    assert!(wrong.is_empty(), "round, other, deleted, counted, keys: {wrong:?}");
}

/// A workspace is deleted while a key of it is rotated.
#[tokio::test]
async fn no_key_of_a_deleted_workspace_survives_by_rotation() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut found = Vec::new();
    for round in 0..16_usize {
        let workspace =
            admin.post("/api/admin/workspaces", json!({"name": format!("w{round}")})).await.expect(201);
        let workspace = workspace.text("/id");
        let key = app.key(&admin, json!({"workspace_id": workspace})).await;
        let rotation = async {
            for _ in 0..round * 4 {
                tokio::task::yield_now().await;
            }
            rotate(&admin, &key, json!({"grace_seconds": 600})).await
        };
        let (rotated, deleted) =
            join(rotation, admin.delete(&format!("/api/admin/workspaces/{workspace}"))).await;
        let (counted, summed) = (given_out(&admin).await, sum_over_keys(&admin).await);
        if counted != (0, 0) || summed != (0, 0) {
            found.push((round, rotated.status.as_u16(), deleted.status.as_u16(), counted, summed));
            break;
        }
    }
    assert!(found.is_empty(), "round, rotated, deleted, counted, keys: {found:?}");
}

// ---------------------------------------------------------------- 2: escalation by PATCH

/// A key that lives an hour and works from one network gives its rights to a weak key that has neither bound.
#[tokio::test]
async fn a_confined_key_does_not_give_its_rights_to_an_unconfined_one() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let weak = app.key(&admin, json!({"scopes": ["leads:read"], "rate_limit_per_hour": 100_000})).await;
    let expires_at = (app.now() + Duration::from_secs(3600)).to_string();
    let confined = app
        .key(
            &admin,
            json!({
                "scopes": ["api_keys:write", "leads:read", "users:delete"], "expires_at": expires_at,
                "allowed_cidrs": ["127.0.0.0/8"], "rate_limit_per_hour": 20,
            }),
        )
        .await;
    let widened = confined
        .patch(&path(&weak), json!({"scopes": ["api_keys:write", "leads:read", "users:delete"]}))
        .await;
    let status = widened.status.as_u16();
    app.advance(Duration::from_secs(7200));
    let _ = confined.get("/v1/whoami").await.expect_problem(401, "key_expired");
    let who = weak.at("192.0.2.9").get("/v1/whoami").await.expect(200);
    assert!(
        !who.json["scopes"].as_array().unwrap().contains(&json!("users:delete")),
        "{status}: {}",
        who.body
    );
}

/// A rotated key in its grace widens its successor to what it had itself.
#[tokio::test]
async fn a_key_in_its_grace_does_not_widen_its_successor() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let old = app.key(&admin, json!({})).await;
    let narrow = json!({"grace_seconds": 600, "scopes": ["leads:read"]});
    let made = rotate(&admin, &old, narrow).await.expect(201);
    let successor = format!("{KEYS}/{}", made.text("/id"));
    let wide =
        old.patch(&successor, json!({"scopes": ["api_keys:write", "leads:read", "users:delete"]})).await;
    assert_ne!(wide.status, 200, "{}", wide.body);
}

/// Ending a key takes `api_keys:delete`; and whoever changes more than the name must hold the key's permissions.
#[tokio::test]
async fn a_weak_key_does_not_disable_a_strong_one() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let strong = app.key(&admin, json!({})).await;
    let weak = app.key(&admin, json!({"scopes": ["api_keys:write", "leads:read"]})).await;
    let soon = (app.now() + Duration::from_secs(1)).to_string();
    let _ = weak.delete(&path(&strong)).await.expect_problem(403, "forbidden");
    let _ = weak.patch(&path(&strong), json!({"expires_at": soon})).await.expect_problem(403, "forbidden");
    let ended = weak.patch(&path(&strong), json!({"expires_at": soon, "scopes": ["leads:read"]})).await;
    app.advance(Duration::from_secs(1));
    let then = strong.get("/v1/whoami").await;
    assert_eq!(ended.status, 403, "{}; then the strong key: {}", ended.body, then.body);
}

/// A key whose expiry has a fraction of a second can do with itself what others can.
#[tokio::test]
async fn a_fraction_of_a_second_does_not_bar_a_key_from_rotating_itself() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let expires_at = (app.now() + Duration::from_millis(86_400_500)).to_string();
    let key = app.key(&admin, json!({"expires_at": expires_at})).await;
    let made = rotate(&key, &key, json!({})).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

// ---------------------------------------------------------------- 3: leases

async fn hot(app: &TestApp, caller: &Actor, requests: usize) -> usize {
    app.advance(Duration::from_secs(60 - app.now().seconds().unsigned_abs() % 60));
    let mut admitted = 0;
    for _ in 0..requests {
        admitted += usize::from(caller.get("/v1/whoami").await.status == 200);
    }
    admitted
}

/// A limit that is lowered holds from the next request on, also where budget was taken beforehand.
#[tokio::test]
async fn a_lowered_limit_holds_at_once_under_a_lease() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 12_000})).await;
    assert_eq!(hot(&app, &key, 4_010).await, 4_010);
    let _ = admin.patch(&path(&key), json!({"rate_limit_per_hour": 10})).await.expect(200);
    let mut admitted = 0;
    for _ in 0..300 {
        admitted += usize::from(key.get("/v1/whoami").await.status == 200);
    }
    assert_eq!(admitted, 0, "after the limit was lowered below what was used");
}

/// What was admitted on a lease waits to be counted; if the key ends before, a block at most is not.
#[tokio::test]
async fn no_more_than_a_block_of_requests_goes_uncounted_when_a_key_in_heavy_use_ends() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 12_000})).await;
    let admitted = hot(&app, &key, 4_060).await;
    let _ = admin.delete(&path(&key)).await.expect(204);
    let _ = key.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    app.advance(MINUTE);
    let _ = key.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    let after = usage(&admin, &key).await;
    let counted = usize::try_from(after["requests"].as_u64().unwrap()).unwrap();
    assert!((admitted - 100..=admitted).contains(&counted), "{counted} of {admitted}");
}

/// A session has no leases to draw on, so none may be taken for it.
#[tokio::test]
async fn a_session_is_not_charged_for_blocks() {
    if testkit::embedded_only(testkit::THOUSANDS) {
        return;
    }
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let admitted = hot(&app, &admin, 4_100).await;
    let left = admin.get("/v1/whoami").await;
    let left: i64 = left.header("x-ratelimit-remaining").unwrap().parse().unwrap();
    assert_eq!((admitted, left), (4_100, 5_000 - 4_101));
}

// ---------------------------------------------------------------- 4: records

/// The first refusal of a minute cannot be put on record; the second one must be.
#[tokio::test]
async fn a_refusal_whose_record_failed_is_not_taken_to_be_on_record() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let _ = admin.delete(&path(&key)).await.expect(204);
    app.engines().faults().order("PutItem", 0, 3, Strike::Before, 500, BROKEN);
    let _ = key.get("/v1/whoami").await.expect_problem(503, "unavailable");
    app.engines().faults().clear();
    for _ in 0..3 {
        let _ = key.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    }
    let on_record = records(&app, organization(&admin))
        .await
        .iter()
        .filter(|it| it["error_code"] == "key_revoked")
        .count();
    assert_eq!(on_record, 1);
}

/// One customer of an IPv6 provider has more addresses than can be counted: a /64.
#[tokio::test]
async fn one_network_does_not_fill_the_audit_log_through_a_dead_key() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let _ = admin.delete(&path(&key)).await.expect(204);
    for address in 0..300 {
        let _ = key.at(&format!("2001:db8:1:2::{address:x}")).get("/v1/whoami").await.expect(401);
    }
    let on_record = records(&app, organization(&admin))
        .await
        .iter()
        .filter(|it| it["error_code"] == "key_revoked")
        .count();
    assert!(on_record <= 10, "{on_record} records by one host in one minute");
}

/// Who is on record is who was refused.
#[tokio::test]
async fn a_refusal_of_a_key_in_its_grace_is_on_its_own_record() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let old = app.key(&admin, json!({})).await;
    let made = rotate(&admin, &old, json!({"grace_seconds": 6000})).await.expect(201);
    let soon = (app.now() + MINUTE).to_string();
    let _ =
        admin.patch(&format!("{KEYS}/{}", made.text("/id")), json!({"expires_at": soon})).await.expect(200);
    app.advance(MINUTE);
    let _ = old.get("/v1/whoami").await;
    let on_record = records(&app, organization(&admin)).await;
    let on_record = on_record.iter().find(|it| it["success"] == false).unwrap();
    assert_eq!(on_record["actor"]["id"], old.text("/id"));
}

/// During the grace an admin must see whether the old key is still in use.
#[tokio::test]
async fn the_last_use_of_a_key_in_its_grace_is_its_own() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let old = app.key(&admin, json!({})).await;
    let made = rotate(&admin, &old, json!({"grace_seconds": 6000})).await.expect(201);
    app.advance(MINUTE);
    let _ = old.get("/v1/whoami").await.expect(200);
    let shown = admin.get(&path(&old)).await.expect(200);
    let new = admin.get(&format!("{KEYS}/{}", made.text("/id"))).await.expect(200);
    assert_eq!(
        (&shown.json["last_used_at"], &new.json["last_used_at"]),
        (&json!(app.now().to_string()), &Value::Null)
    );
}

// ---------------------------------------------------------------- 5: counts

/// The store did the write and the answer was lost: the SDK does it again, and one request is two. Never none.
#[tokio::test]
async fn an_answer_that_was_lost_counts_a_request_twice_at_worst() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10})).await;
    app.engines().faults().order("UpdateItem", 0, 1, Strike::After, 500, BROKEN);
    let answer = key.get("/v1/whoami").await.expect(200);
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("8"));
    assert_eq!(usage(&admin, &key).await["requests"], 2);
}

/// What waits to be counted is not lost when the store fails once.
#[tokio::test]
async fn what_waits_to_be_counted_survives_an_admission_that_fails() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    for _ in 0..6 {
        let _ = key.get("/v1/leads/nope").await.expect(404);
    }
    app.engines().faults().order("UpdateItem", 0, 3, Strike::Before, 500, BROKEN);
    let _ = key.get("/v1/leads").await.expect(503);
    app.engines().faults().clear();
    for _ in 0..3 {
        app.advance(MINUTE);
        let _ = key.get("/v1/leads").await.expect(200);
    }
    let seen = usage(&admin, &key).await;
    assert_eq!(seen["by_status"]["4xx"], 6, "{seen}");
}

// ---------------------------------------------------------------- 6: answers that are too large

/// Lambda answers with 6 MB at most; more than that is an error of ours.
#[tokio::test]
async fn a_request_of_256_kib_is_not_answered_with_megabytes() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let junk = format!(r#"{{"scopes":[{}""]}}"#, r#""","#.repeat(86_000));
    for (method, to) in [(Method::PATCH, path(&key)), (Method::POST, format!("{}/rotate", path(&key)))] {
        let answer = admin.raw(method, &to, junk.clone()).await.expect(422);
        assert!(answer.body.len() < 1_000_000, "{} bytes for {}", answer.body.len(), junk.len());
    }
}

#[tokio::test]
async fn many_unknown_parameters_are_not_all_told() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    // 8 KB, as much as the gateway takes.
    let answer = admin.get(&format!("{}/usage?{}", path(&key), "a&".repeat(4_000))).await.expect(422);
    assert!(answer.body.len() < 100_000, "{} bytes", answer.body.len());
}

// ---------------------------------------------------------------- 7: leaks

struct Reporter {
    app: TestApp,
    scanner: testkit::SecretScanner,
    admin: Actor,
}

impl Reporter {
    async fn new() -> Self {
        let scanner = testkit::SecretScanner::start().await;
        let url = ("SECRET_SCANNING_KEYS_URL".to_owned(), scanner.keys_url());
        let app = TestApp::with([url].into_iter().collect()).await;
        let admin = app.sign_up("Acme").await;
        app.prove(&admin).await;
        Self { app, scanner, admin }
    }

    async fn report(&self, found: Value) -> Response {
        let report = self.scanner.sign(&found);
        let github = self.app.stranger().with("github-public-key-identifier", report.identifier);
        let github = github.with("github-public-key-signature", report.signature);
        let answer = github.raw(Method::POST, "/api/secret-scanning/github", report.body).await;
        self.app.drain().await;
        answer
    }

    fn told(&self) -> usize {
        let mails = self.app.mails_to(&self.admin.text("/user/email"));
        mails.iter().filter(|mail| mail.subject.contains("leaked")).count()
    }
}

/// Whoever finds a key in public is faster than the report, and puts another one in its place that nobody else knows.
#[tokio::test]
async fn a_leak_of_a_key_that_rotated_itself_is_told() {
    let world = Reporter::new().await;
    let key = world.app.key(&world.admin, json!({})).await;
    let made = rotate(&key, &key, json!({})).await.expect(201);
    let thief = key.with_token(&made.text("/key"));
    let answer =
        world.report(json!([{"token": key.token(), "type": "a", "url": "https://github.com/x"}])).await;
    assert_eq!(answer.expect(200).json[0]["label"], "true_positive");
    assert_eq!(
        world.told(),
        1,
        "nobody is told, and the thief works on: {}",
        thief.get("/v1/leads").await.status
    );
}

/// The place of a leak may hold the key, and be written in another way.
#[tokio::test]
async fn the_place_of_a_leak_does_not_hold_the_key() {
    let world = Reporter::new().await;
    let _ = world.admin.patch(ORGANIZATION, json!({"settings": {"leaked_keys": "flag"}})).await.expect(200);
    let key = world.app.key(&world.admin, json!({})).await;
    let hidden = key.token().replace('_', "%5F");
    let place = format!("https://github.com/search?q={hidden}");
    let _ = world.report(json!([{"token": key.token(), "type": "a", "url": place}])).await.expect(200);
    let shown = world.admin.get(&path(&key)).await.expect(200);
    assert!(!shown.body.contains(&key.token()[8..]), "{}", shown.body);
}

/// A report is no oracle and no burden: forged in every header, and giant.
#[tokio::test]
async fn forged_reports_do_nothing() {
    let world = Reporter::new().await;
    let key = world.app.key(&world.admin, json!({})).await;
    let body = json!([{"token": key.token(), "type": "a", "url": ""}]).to_string();
    let report = world.scanner.sign_raw(&body);
    for (identifier, signature) in [
        ("x", "AAAA"),
        ("x", "MAYCAQECAQE="),
        ("x", "MAYCAQACAQA="),
        ("", ""),
        ("\u{e4}", "AA=="),
        (&*"f".repeat(200), "AA=="),
    ] {
        for identifier in [identifier, &report.identifier] {
            let stranger = world.app.stranger().with("github-public-key-identifier", identifier);
            let stranger = stranger.with("github-public-key-signature", signature);
            let answer = stranger.raw(Method::POST, "/api/secret-scanning/github", body.clone()).await;
            let _ = answer.expect_problem(401, "unauthenticated");
        }
    }
    let genuine = world.app.stranger().with("github-public-key-identifier", report.identifier.clone());
    let genuine = genuine.with("github-public-key-signature", report.signature.clone());
    let giant = format!("{body}{}", " ".repeat(300 * 1024));
    let answer = genuine.raw(Method::POST, "/api/secret-scanning/github", giant).await;
    assert!([401, 413].contains(&answer.status.as_u16()), "{}", answer.status);
    for deep in ["[".repeat(200_000), format!(r#"[{{"token":"a","type":"b","x":{}"#, "[".repeat(100_000))] {
        let report = world.scanner.sign_raw(&deep);
        let github = world.app.stranger().with("github-public-key-identifier", report.identifier.clone());
        let github = github.with("github-public-key-signature", report.signature.clone());
        let answer = github.raw(Method::POST, "/api/secret-scanning/github", deep).await;
        let _ = answer.expect_problem(422, "invalid");
    }
    let _ = key.get("/v1/whoami").await.expect(200);
    assert_eq!(world.told(), 0);
}

// ---------------------------------------------------------------- what held

/// Nothing that can be sent to the new routes is an error of ours.
#[tokio::test]
async fn no_malformed_input_is_a_fault_of_ours() {
    if testkit::embedded_only(testkit::THOUSANDS) {
        return;
    }
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let far = "9999-12-31T23:59:59.999Z";
    let values = [
        "null",
        "0",
        "-1",
        "1e400",
        "1e308",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807",
        "1.5",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""NaN""#,
        r#""\u0000""#,
        r#""\ud800""#,
        r#"["leads:read","leads:read"]"#,
        r#"["LEADS:READ"]"#,
        r#"[null]"#,
        r#"[1]"#,
        r#""9999-12-31T23:59:59.999Z""#,
        r#""10000-01-01T00:00:00Z""#,
        r#""-0001-01-01T00:00:00Z""#,
        r#""1970-01-01T00:00:00Z""#,
        r#""2026-11-22T12:00:00.0000000001+23:59""#,
        r#""2027-02-30T00:00:00Z""#,
        r#""2026-12-31T23:59:60Z""#,
        r#"["0.0.0.0/0","0.0.0.0/0","::/0"]"#,
        r#"["::ffff:0:0/96"]"#,
        r#"["::ffff:127.0.0.1/128"]"#,
        r#"["10.0.0.0/33"]"#,
        r#"["010.0.0.0/8"]"#,
        r#"["127.0.0.1"]"#,
        r#"["127.1/8"]"#,
        r#"["fe80::1%eth0/64"]"#,
        r#"[" 10.0.0.0/8"]"#,
        r#"["10.0.0.0/-1"]"#,
    ];
    for field in
        ["name", "scopes", "expires_at", "rate_limit_per_hour", "allowed_cidrs", "grace_seconds", "mode", "x"]
    {
        for value in values {
            let admin = app.sign_in_again(&admin).await;
            let key = app.key(&admin, json!({})).await;
            let body = format!(r#"{{"{field}":{value}}}"#);
            let patched = admin.raw(Method::PATCH, &path(&key), body.clone()).await;
            let rotated = admin.raw(Method::POST, &format!("{}/rotate", path(&key)), body.clone()).await;
            for answer in [&patched, &rotated] {
                assert!(answer.status.as_u16() < 500, "{}: {body}: {}", answer.request, answer.body);
            }
            let _ = admin.delete(&path(&key)).await;
            if let Some(id) = rotated.json["id"].as_str() {
                let _ = admin.delete(&format!("{KEYS}/{id}")).await;
            }
        }
    }
    let admin = app.sign_in_again(&admin).await;
    assert_eq!(given_out(&admin).await, (0, 0));
    let key = app.key(&admin, json!({"expires_at": far})).await;
    let made = rotate(&admin, &key, json!({"grace_seconds": 604_800})).await.expect(201);
    assert_eq!(made.text("/expires_at"), far);
    for query in [
        "from=9999-12-31T23:59:59.999Z",
        "to=9999-12-31T23:59:59.999Z",
        "to=1970-01-01T00:00:00Z",
        "to=-0001-01-01T00:00:00Z",
        "from=1970-01-01T00:00:00Z&granularity=day",
        "from=1970-01-01T00:00:00Z&to=1970-01-02T00:00:00Z",
        "from=NaN",
        "from=1e9",
        "from=",
        "to=",
        "granularity=",
        "granularity=hour&granularity=day",
        "from=%00",
        "from=%ff",
        "%",
        "&&&",
        "=",
        "a=%zz",
        "from=2026-11-22T12:00:00Z&from=1970-01-01T00:00:00Z",
        "from=18446744073709551615",
        "to=+275760-09-13T00:00:00Z",
        "from=2026-11-22T11:00:00%2B14:00",
        "granularity=DAY",
        "from=2026-11-22T11:00:00Z&to=2026-11-22T10:00:00Z",
        "to=9999-12-31T23:59:59.999Z&from=9999-12-31T00:00:00Z",
        "from[]=1",
    ] {
        app.engines().meter().reset();
        let answer = admin.get(&format!("{}/usage?{query}", path(&key))).await;
        let calls = app.engines().meter().snapshot().calls();
        assert!([200, 422].contains(&answer.status.as_u16()), "{query}: {}", answer.body);
        assert!(
            answer.body.len() < 250_000 && calls <= 12,
            "{query}: {} bytes, {calls} calls",
            answer.body.len()
        );
    }
    for id in
        ["nope", "key_", "key_00000000000000000000000000", "%00", "..", "key_01m81j18g0f4mas8gfxqb11r5j%2Fx"]
    {
        for suffix in ["/usage", "/rotate", ""] {
            let to = format!("{KEYS}/{id}{suffix}");
            for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
                let answer = admin.raw(method, &to, "{}").await;
                assert!(answer.status.as_u16() < 500, "{}: {}", answer.request, answer.body);
            }
        }
    }
}

#[tokio::test]
async fn junk_in_the_authorization_header_costs_nothing() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    app.engines().meter().reset();
    let long = "A".repeat(60_000);
    for junk in [
        format!("sk_live_{long}"),
        format!("{}, Bearer {}", key.token(), key.token()),
        "sk_live_\u{e4}\u{f6}".to_owned(),
        format!("{}\t", &key.token()[..39]),
        key.token().replace("sk_live", "SK_LIVE"),
        format!("\u{feff}{}", key.token()),
        long.clone(),
    ] {
        let answer = key.with_token(&junk).get("/v1/whoami").await;
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert!(!answer.body.contains(&key.token()[8..]) && answer.body.len() < 2_000);
    }
    let twice = key.with("authorization", format!("Bearer {}", key.token()));
    assert!(twice.get("/v1/whoami").await.status.is_client_error());
    let calls = app.engines().meter().snapshot();
    assert_eq!(calls.calls_of("UpdateItem"), 0, "{calls:?}");
}

#[tokio::test]
async fn another_tenants_key_is_not_there_on_any_route() {
    let app = TestApp::start().await;
    let (admin, other) = (app.sign_up("Acme").await, app.sign_up("Initech").await);
    let key = app.key(&admin, json!({})).await;
    let theirs = app.key(&other, json!({})).await;
    for caller in [&other, &theirs] {
        let _ = caller.get(&path(&key)).await.expect_problem(404, "not_found");
        let _ = caller.get(&format!("{}/usage", path(&key))).await.expect_problem(404, "not_found");
        let _ = caller.patch(&path(&key), json!({"name": "x"})).await.expect_problem(404, "not_found");
        let _ = rotate(caller, &key, json!({})).await.expect_problem(404, "not_found");
        let _ = caller.delete(&path(&key)).await.expect_problem(404, "not_found");
    }
    // Nor within the organization: another workspace, another mode.
    let second = admin.post("/api/admin/workspaces", json!({"name": "two"})).await.expect(201).text("/id");
    let here = app.key(&admin, json!({"workspace_id": admin.text("/workspaces/0/id")})).await;
    let there = app.key(&admin, json!({"workspace_id": second})).await;
    let test = app.key(&admin, json!({"mode": "test"})).await;
    for (caller, to) in [(&here, &there), (&here, &key), (&test, &key), (&key, &test), (&here, &test)] {
        let _ = caller.get(&format!("{}/usage", path(to))).await.expect_problem(404, "not_found");
        let _ = caller.patch(&path(to), json!({"name": "x"})).await.expect_problem(404, "not_found");
        let _ = rotate(caller, to, json!({})).await.expect_problem(404, "not_found");
        let _ = caller.delete(&path(to)).await.expect_problem(404, "not_found");
    }
    for role in ["manager", "member", "read_only"] {
        let workspace = admin.text("/workspaces/0/id");
        let person = app.invite_and_join(&admin, json!({"role": role, "workspace_id": workspace})).await;
        for to in [&here, &there, &key] {
            let patched = person.patch(&path(to), json!({"name": "x"})).await;
            let rotated = rotate(&person, to, json!({})).await;
            let deleted = person.delete(&path(to)).await;
            for answer in [patched, rotated, deleted] {
                assert!([403, 404].contains(&answer.status.as_u16()), "{role}: {}", answer.body);
            }
        }
    }
}

/// What is dead stays dead.
#[tokio::test]
async fn no_way_leads_back_from_the_dead() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let soon = (app.now() + MINUTE).to_string();
    let (revoked, expired) =
        (app.key(&admin, json!({})).await, app.key(&admin, json!({"expires_at": soon})).await);
    let (rotated, graced) = (app.key(&admin, json!({})).await, app.key(&admin, json!({})).await);
    let _ = admin.delete(&path(&revoked)).await.expect(204);
    let _ = rotate(&admin, &rotated, json!({})).await.expect(201);
    let _ = rotate(&admin, &graced, json!({"grace_seconds": 60})).await.expect(201);
    app.advance(MINUTE);
    let all = [&revoked, &expired, &rotated, &graced];
    for key in all {
        for change in
            [json!({"expires_at": null}), json!({"name": "x"}), json!({"scopes": ["leads:read"]}), json!({})]
        {
            let _ = admin.patch(&path(key), change).await.expect_problem(409, "conflict");
        }
        let _ = rotate(&admin, key, json!({"grace_seconds": 60})).await.expect_problem(409, "conflict");
    }
    let _ = admin.raw(Method::DELETE, ORGANIZATION, r#"{"confirm":"Acme"}"#).await.expect(202);
    let _ = admin.raw(Method::POST, &format!("{ORGANIZATION}/restore"), "{}").await.expect(200);
    for key in all {
        assert_eq!(key.get("/v1/whoami").await.status, 401);
    }
    assert_eq!(given_out(&admin).await, sum_over_keys(&admin).await);
    app.drain().await;
}

/// A deletion of the organization in the middle of rotations leaves no key at work.
#[tokio::test]
async fn no_key_works_on_when_an_organization_is_deleted_amid_rotations() {
    for round in 0..10_usize {
        let app = TestApp::start().await;
        let admin = app.sign_up("Acme").await;
        let key = app.key(&admin, json!({})).await;
        let rotation = async {
            for _ in 0..round * 3 {
                tokio::task::yield_now().await;
            }
            rotate(&admin, &key, json!({"grace_seconds": 600})).await
        };
        let deletion = admin.raw(Method::DELETE, ORGANIZATION, r#"{"confirm":"Acme"}"#);
        let (rotated, deleted) = join(rotation, deletion).await;
        let _ = deleted.expect(202);
        let mut tokens = vec![key.token().to_owned()];
        tokens.extend(rotated.json["key"].as_str().map(str::to_owned));
        for token in tokens {
            let answer = key.with_token(&token).get("/v1/whoami").await;
            assert_ne!(answer.status, 200, "round {round}, rotated {}", rotated.status);
        }
        app.drain().await;
    }
}

/// The deletion has seen which keys there are, and is about to suspend them, when one takes another's place.
#[tokio::test]
async fn no_key_is_made_behind_a_deletion_that_suspends_those_it_found() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let rotating = app.engines().faults().hold("TransactWriteItems", "api_key.rotate");
    let suspending = app.engines().faults().hold("UpdateItem", "suspended");
    let (by, old) = (admin.clone(), key.clone());
    let rotation = tokio::spawn(async move { rotate(&by, &old, json!({"grace_seconds": 600})).await });
    rotating.arrived().await;
    let by = admin.clone();
    let deletion = async move { by.raw(Method::DELETE, ORGANIZATION, r#"{"confirm":"Acme"}"#).await };
    let deletion = tokio::spawn(deletion);
    suspending.arrived().await;
    drop(rotating);
    let _ = rotation.await.unwrap().expect_problem(409, "conflict");
    drop(suspending);
    let _ = deletion.await.unwrap().expect(202);
    let _ = key.get("/v1/whoami").await.expect_problem(403, "organization_deleted");
    app.drain().await;
}

/// Nothing that is told of a key holds it.
#[tokio::test]
async fn a_rotated_key_is_shown_once() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let once = admin.with("idempotency-key", "k");
    let made = rotate(&once, &key, json!({"grace_seconds": 60})).await.expect(201);
    let token = made.text("/key");
    let mut told = vec![rotate(&once, &key, json!({"grace_seconds": 60})).await.expect(201).body];
    told.push(admin.get(KEYS).await.body);
    told.push(admin.get(&format!("{KEYS}/{}", made.text("/id"))).await.body);
    told.push(json!(records(&app, organization(&admin)).await).to_string());
    for secret in [&*token, key.token()] {
        assert!(told.iter().all(|text| !text.contains(secret) && !text.contains(&secret[8..34])));
    }
    // The same idempotency key, for another key or by another caller.
    let other = app.key(&admin, json!({})).await;
    let _ = rotate(&once, &other, json!({"grace_seconds": 60}))
        .await
        .expect_problem(422, "idempotency_key_reused");
    let second = app.invite_and_join(&admin, json!({"role": "admin"})).await.with("idempotency-key", "k");
    let _ = rotate(&second, &key, json!({"grace_seconds": 60})).await.expect_problem(409, "conflict");
}

/// Folds and rotations whose answers are lost, at every step.
#[tokio::test]
async fn lost_answers_of_folds_lose_and_double_nothing() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 100})).await;
    let mut made = 0;
    for step in 0..200_u64 {
        app.advance(Duration::from_secs(60 * (1 + step % 19)));
        if step % 3 == 0 {
            let strike = if step % 2 == 0 { Strike::After } else { Strike::Before };
            app.engines().faults().order(
                "TransactWriteItems",
                0,
                1 + usize::try_from(step % 4).unwrap(),
                strike,
                500,
                BROKEN,
            );
        }
        for _ in 0..1 + step % 3 {
            made += i64::from(key.get("/v1/whoami").await.status == 200);
        }
        app.engines().faults().clear();
    }
    let admin = app.sign_in_again(&admin).await;
    let seen = admin.get(&format!("{}/usage?granularity=day", path(&key))).await.expect(200);
    assert_eq!(seen.json["total"]["requests"], made);
}

/// The answer to a rotation is lost: whatever is told, there is one key, and one budget.
#[tokio::test]
async fn a_rotation_whose_answer_is_lost_leaves_one_key() {
    for times in 1..4 {
        let app = TestApp::start().await;
        let admin = app.sign_up("Acme").await;
        let key = app.key(&admin, json!({})).await;
        app.engines().faults().order("TransactWriteItems", 0, times, Strike::After, 500, BROKEN);
        let _ = rotate(&admin.with("idempotency-key", "k"), &key, json!({})).await;
        app.engines().faults().clear();
        assert_eq!((given_out(&admin).await, sum_over_keys(&admin).await), ((1, 1000), (1, 1000)));
    }
}

#[derive(Debug, Clone)]
enum Act {
    Requests(usize, usize),
    Wait(u64),
    Limit(u64),
    Rotate(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0_usize..3, 1_usize..6).prop_map(|(function, many)| Act::Requests(function, many)),
        4 => prop_oneof![4 => 1_u64..90, 2 => 300_u64..900, 2 => 3_300_u64..3_800].prop_map(Act::Wait),
        1 => (1_u64..12).prop_map(Act::Limit),
        1 => any::<bool>().prop_map(Act::Rotate),
    ];
    prop::collection::vec(act, 10..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: testkit::cases(24), ..ProptestConfig::default() })]

    /// Through changes of the limit, rotations with and without grace, and functions whose clocks are a minute apart: never
    /// more in sixty minutes than the largest limit that held in them, over all keys of the chain together.
    #[test]
    fn no_chain_of_keys_sees_more_than_its_limit(skews in prop::array::uniform3(-30_i64..=30), acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = TestApp::start().await;
            let mut admin = app.sign_up("Acme").await;
            let key = app.key(&admin, json!({"rate_limit_per_hour": 6})).await;
            let functions = [store(&app), store(&app), store(&app)];
            let mut chain = vec![(key.text("/id"), proof(&app, key.token()).await)];
            let (mut let_in, mut limits) = (Vec::<i64>::new(), vec![(app.now().seconds(), 6_u64)]);
            for act in acts {
                admin = app.sign_in_again(&admin).await;
                let seconds = app.now().seconds();
                let newest = format!("{KEYS}/{}", chain.last().unwrap().0);
                match act {
                    Act::Wait(by) => app.advance(Duration::from_secs(by)),
                    Act::Limit(limit) => {
                        let _ = admin.patch(&newest, json!({"rate_limit_per_hour": limit})).await.expect(200);
                        limits.push((seconds, limit));
                    }
                    Act::Rotate(grace) => {
                        let body = json!({"grace_seconds": if grace { 7_200 } else { 0 }});
                        let made = admin.post(&format!("{newest}/rotate"), body).await;
                        if made.status == 201 {
                            chain.push((made.text("/id"), proof(&app, &made.text("/key")).await));
                        }
                    }
                    Act::Requests(first, many) => {
                        let requests = (0..many * chain.len().min(3)).map(|at| {
                            let function = &functions[(first + at) % 3];
                            let now = Timestamp::from_seconds(seconds + skews[(first + at) % 3]);
                            let (_, proof) = &chain[chain.len() - 1 - at % chain.len().min(3)];
                            async move {
                                matches!(function.admit_key(proof, &visit(now)).await.unwrap(), Admission::Admitted { .. })
                            }
                        });
                        let admitted = join_all(requests).await.into_iter().filter(|it| *it).count();
                        let_in.extend(std::iter::repeat_n(seconds, admitted));
                        let within = let_in.iter().filter(|at| **at > seconds - 3_600).count();
                        // The limit in force at the beginning of the window holds in it, too.
                        let before = limits.iter().rfind(|(at, _)| *at <= seconds - 3_600);
                        let since = limits.iter().filter(|(at, _)| *at > seconds - 3_600);
                        let largest = since.chain(before).map(|(_, limit)| *limit).max().unwrap();
                        prop_assert!(within <= usize::try_from(largest).unwrap(), "{within} of {largest}");
                    }
                }
            }
            Ok(())
        })?;
    }
}

/// The clock of the function that rotates is behind, within the minute that is allowed for, and its request takes a while:
/// what was admitted meanwhile is debited to a minute that is over sooner.
#[tokio::test]
async fn what_a_rotation_debits_up_front_stays_for_an_hour() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 20})).await;
    let old = metadata(&app, &admin, &key).await;
    let (acme, function, old_proof) = (organization(&admin), store(&app), proof(&app, key.token()).await);
    let tenant = function.tenant_of_job(acme);
    let admits = async |proof: &Proof, seconds: i64| {
        let now = Timestamp::from_seconds(seconds);
        matches!(function.admit_key(proof, &visit(now)).await.unwrap(), Admission::Admitted { .. })
    };
    // True time: seconds after noon. The clock of the rotating function is 59 seconds behind, that of the admitting one right.
    let noon = app.now().seconds() + 3_600;
    assert!(admits(&old_proof, noon - 30).await);
    let rotates_at = Timestamp::from_seconds(noon + 58 - 59);
    let succession = tenant.succession(&old, 8, rotates_at).await.unwrap().unwrap();
    // Its commit takes five seconds (it may wait for other transactions); eight more are let in.
    let mut last = Vec::new();
    for _ in 0..8 {
        last.push(admits(&old_proof, noon + 62).await);
    }
    assert_eq!(last, [true; 8]);
    let plain = PlainKey::generate(store::Mode::Live).unwrap();
    let services = app.platform().services_for("api-keys").unwrap();
    let peppers = Peppers::parse(&services.secret("API_KEY_PEPPER_ID").await.unwrap()).unwrap();
    let new = store::ApiKey {
        id: people::ids(&app).next(),
        locator: plain.locator(),
        created_at: rotates_at,
        updated_at: rotates_at,
        rotated_from: Some(old.id),
        ..old.clone()
    };
    let retired = store::ApiKey {
        status: store::KeyStatus::Revoked,
        updated_at: store::touched(old.updated_at, rotates_at),
        ..old.clone()
    };
    let secret = plain.secret(&peppers, [].into_iter().collect(), 90);
    let change = Change::audited(people::record(&app, acme));
    let change = change.rotate_api_key(acme, (&old, &retired), None, (&new, &secret), &succession).unwrap();
    tenant.commit(change, None).await.unwrap();
    // 59 minutes and 59 seconds after the eight, by a right clock.
    let new_proof = plain.proof(&peppers);
    for (true_time, skew) in [(noon + 62 + 3_599, 0)] {
        let mut admitted = 0;
        for _ in 0..30 {
            admitted += usize::from(admits(&new_proof, true_time + skew).await);
        }
        assert!(admitted + 8 <= 20, "{admitted} and 8 within an hour, skew {skew}");
    }
}

/// What a client mistook for the name of a field or a parameter may be its key.
#[tokio::test]
async fn a_key_that_is_sent_as_a_name_is_not_echoed() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let token = key.token();
    let answers = [
        admin.patch(&path(&key), json!({token: 1})).await,
        admin.patch(&path(&key), json!({"expires_at": token})).await,
        admin.patch(&path(&key), json!({"name": {"x": token}})).await,
        rotate(&admin, &key, json!({token: 1})).await,
        rotate(&admin, &key, json!({"grace_seconds": token})).await,
        rotate(&admin, &key, json!({"scopes": [token]})).await,
        admin.get(&format!("{}/usage?{token}=1", path(&key))).await,
        admin.get(&format!("{}/usage?granularity={token}", path(&key))).await,
        admin.get(&format!("{KEYS}/{token}/usage")).await,
    ];
    let echoing: Vec<_> = answers
        .iter()
        .filter(|it| it.body.contains(&token[8..]))
        .map(|it| it.request.clone() + &it.body)
        .collect();
    assert!(echoing.is_empty(), "{echoing:#?}");
}
