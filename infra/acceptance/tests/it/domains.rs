//! Domains: claimed, proved, kept and lost.

use std::collections::BTreeMap;
use std::time::Duration;

use dns::Resolver;
use domains::{Checked, GRACE, NEXT_CHECK, Recheck};
use http::Method;
use ids::Ids;
use mailing::MailSeal;
use sealing::MasterSecret;
use serde_json::{Value, json};
use store::{Due, Role};
use testkit::{Actor, DnsServer, Response, TestApp};

use crate::organizations::{add_member, store, tasks};

const DOMAINS: &str = "/api/admin/domains";
const ORGANIZATION: &str = "/api/admin/organization";

async fn app_with(dns: &DnsServer) -> TestApp {
    TestApp::with(BTreeMap::from([("DNS_RESOLVER".to_owned(), dns.address())])).await
}

async fn claim(admin: &Actor, domain: &str) -> Response {
    admin.post(DOMAINS, json!({"domain": domain})).await.expect(201)
}

async fn verify(admin: &Actor, domain: &str) -> Response {
    admin.raw(Method::POST, &format!("{DOMAINS}/{domain}/verify"), "").await
}

async fn claim_and_verify(admin: &Actor, dns: &DnsServer, domain: &str) -> Response {
    let claim = claim(admin, domain).await;
    dns.add_txt(&claim.text("/challenge/name"), &claim.text("/challenge/value"));
    verify(admin, domain).await.expect(200)
}

#[tokio::test]
async fn a_domain_is_claimed_proved_and_given_up() {
    let dns = DnsServer::start().await;
    let app = app_with(&dns).await;
    let admin = app.sign_up("Acme").await;
    let claim = claim(&admin, "Example.COM").await;
    assert_eq!((claim.text("/domain"), claim.text("/status")), ("example.com".into(), "pending".into()));
    assert_eq!(claim.text("/challenge/type"), "TXT");
    let (name, value) = (claim.text("/challenge/name"), claim.text("/challenge/value"));
    assert_eq!(name, "_artisan-challenge.example.com");
    assert!(value.starts_with("artisan-domain-verification="));
    let _ = admin.post(DOMAINS, json!({"domain": "example.com"})).await.expect_problem(409, "conflict");

    let missing = verify(&admin, "example.com").await.expect_problem(409, "domain_challenge_failed");
    assert!(missing.text("/detail").contains(&name) && missing.text("/detail").contains(&value));
    dns.add_txt(&name, "artisan-domain-verification=00");
    dns.add_txt(&name, &format!("{value}0"));
    let _ = verify(&admin, "example.com").await.expect_problem(409, "domain_challenge_failed");
    dns.add_txt(&name, &value);
    dns.fail();
    let _ = verify(&admin, "example.com").await.expect_problem(503, "unavailable");
    dns.recover();
    let verified = verify(&admin, "EXAMPLE.com").await.expect(200);
    assert_eq!(verified.text("/status"), "verified");
    assert_eq!(verified.text("/verified_at"), app.now().to_string());
    assert_eq!(verified.text("/next_check_at"), (app.now() + NEXT_CHECK).to_string());
    let _ = verify(&admin, "example.com").await.expect(200);
    let due = tasks(&store(&app), app.now() + NEXT_CHECK).await;
    assert_eq!(due.len(), 1, "one look is due, however often it was verified");

    let path = format!("{DOMAINS}/example.com");
    let shown = admin.get(&path).await.expect(200);
    let stale = admin.with("if-match", "\"1\"");
    let _ = stale.delete(&path).await.expect_problem(412, "precondition_failed");
    let known = admin.with("if-match", shown.header("etag").unwrap().to_owned());
    let _ = known.delete(&path).await.expect(204);
    let _ = admin.get(&path).await.expect_problem(404, "not_found");
    let _ = verify(&admin, "example.com").await.expect_problem(404, "not_found");
    assert!(tasks(&store(&app), app.now() + NEXT_CHECK).await.is_empty());
    assert!(store(&app).domain_owner("example.com").await.unwrap().is_none());
}

#[tokio::test]
async fn what_nobody_can_speak_for_is_not_claimed() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for domain in
        ["gmail.com", "mail.yahoo.com", "com", "co.uk", "localhost", "127.0.0.1", "", "a b.com", "x.com."]
    {
        let refused = admin.post(DOMAINS, json!({"domain": domain})).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), "/domain", "{domain}");
    }
    for path in ["x", "gmail", "%FF", "127.0.0.1", "other.example.com"] {
        let _ = admin.get(&format!("{DOMAINS}/{path}")).await.expect_problem(404, "not_found");
    }
    for number in 0..50 {
        let _ = claim(&admin, &format!("d{number:02}.example.com")).await;
    }
    let _ =
        admin.post(DOMAINS, json!({"domain": "one-more.example.com"})).await.expect_problem(409, "conflict");
    let first = admin.get(&format!("{DOMAINS}?limit=30")).await.expect(200);
    assert_eq!(first.text("/data/0/domain"), "d00.example.com");
    let rest =
        admin.get(&format!("{DOMAINS}?limit=30&cursor={}", first.text("/next_cursor"))).await.expect(200);
    assert_eq!((rest.json["data"].as_array().unwrap().len(), &rest.json["next_cursor"]), (20, &Value::Null));
    assert_eq!(rest.text("/data/0/domain"), "d30.example.com");
}

#[tokio::test]
async fn a_domain_is_verified_by_one_organization() {
    let dns = DnsServer::start().await;
    let app = app_with(&dns).await;
    let (acme, initech) = (app.sign_up("Acme").await, app.sign_up("Initech").await);
    let foreign = claim(&initech, "example.com").await;
    let _ = claim_and_verify(&acme, &dns, "example.com").await;
    dns.add_txt(&foreign.text("/challenge/name"), &foreign.text("/challenge/value"));
    let _ = verify(&initech, "example.com").await.expect_problem(409, "domain_taken");
    assert_eq!(initech.get(&format!("{DOMAINS}/example.com")).await.expect(200).text("/status"), "pending");
    let _ = initech.delete(&format!("{DOMAINS}/example.com")).await.expect(204);
    let owner = store(&app).domain_owner("example.com").await.unwrap().unwrap();
    assert_eq!(owner.organization_id.to_string(), acme.text("/organization/id"));
    let again = claim(&initech, "example.com").await;
    dns.add_txt(&again.text("/challenge/name"), &again.text("/challenge/value"));
    let _ = acme.delete(&format!("{DOMAINS}/example.com")).await.expect(204);
    let _ = verify(&initech, "example.com").await.expect(200);
}

#[tokio::test]
async fn allowed_domains_are_verified_ones_and_hold_their_claims() {
    let dns = DnsServer::start().await;
    let app = app_with(&dns).await;
    let admin = app.sign_up("Acme").await;
    let _ = claim(&admin, "pending.org").await;
    let _ = claim_and_verify(&admin, &dns, "example.org").await;
    let allow = async |domains: Value| {
        admin.patch(ORGANIZATION, json!({"settings": {"allowed_domains": domains}})).await
    };
    for domains in [json!(["pending.org", "example.com"]), json!(["nobody.org"])] {
        let _ = allow(domains).await.expect_problem(422, "invalid");
    }
    let own = allow(json!(["example.org"])).await.expect_problem(422, "invalid");
    assert!(own.text("/detail").contains("your own address"));
    let _ = claim_and_verify(&admin, &dns, "example.com").await;
    let _ = allow(json!(["example.org", "EXAMPLE.com"])).await.expect(200);
    let held = admin.delete(&format!("{DOMAINS}/example.org")).await.expect_problem(409, "conflict");
    assert!(held.text("/detail").contains("allowed_domains"));
    let _ = allow(json!(["example.com"])).await.expect(200);
    let _ = admin.delete(&format!("{DOMAINS}/example.org")).await.expect(204);
    // Somebody else can come in when the caller can't.
    let me = admin.text("/user/id");
    let _ = claim_and_verify(&admin, &dns, "example.net").await;
    let both = json!({"settings": {"allowed_domains": ["example.net"], "break_glass_user_id": me}});
    let _ = admin.patch(ORGANIZATION, both).await.expect(200);
    let _ = admin.get(ORGANIZATION).await.expect(200);
}

#[tokio::test]
async fn people_join_by_a_domain_in_a_role_that_who_says_so_holds() {
    let dns = DnsServer::start().await;
    let app = app_with(&dns).await;
    let admin = app.sign_up("Acme").await;
    let _ = claim(&admin, "example.com").await;
    let path = format!("{DOMAINS}/example.com");
    let workspace = admin.text("/workspaces/0/id");
    for (auto_join, pointer) in [
        (json!({"role": "admin"}), "/auto_join/role"),
        (json!({"role": "member"}), "/auto_join/workspace_id"),
        (json!({"role": "boss"}), "/auto_join/role"),
        (json!({"role": "read_only", "since": 1}), "/auto_join/since"),
        (json!({}), "/auto_join/role"),
    ] {
        let refused =
            admin.patch(&path, json!({"auto_join": auto_join})).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let foreign = app.sign_up("Initech").await.text("/workspaces/0/id");
    let nowhere = json!({"auto_join": {"role": "member", "workspace_id": foreign}});
    let _ = admin.patch(&path, nowhere).await.expect_problem(404, "not_found");
    let here = json!({"auto_join": {"role": "member", "workspace_id": workspace}});
    let weak = app.key(&admin, json!({"scopes": ["domains:write", "leads:read", "leads:write"]})).await;
    let refused = weak.patch(&path, here.clone()).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "campaigns:read");
    let set = admin.patch(&path, here.clone()).await.expect(200);
    assert_eq!(set.json["auto_join"], here["auto_join"]);
    assert_eq!(admin.patch(&path, json!({})).await.expect(200).json["auto_join"], here["auto_join"]);
    let stale = admin.with("if-match", "\"1\"");
    let _ = stale.patch(&path, here).await.expect_problem(412, "precondition_failed");
    let off = admin.patch(&path, json!({"auto_join": null})).await.expect(200);
    assert_eq!(off.json["auto_join"], Value::Null);
}

/// What a sweep has at hand, and what it does at `at`.
struct Sweep {
    store: store::Store,
    resolver: Resolver,
    seal: MailSeal,
    ids: Ids,
}

impl Sweep {
    async fn of(app: &TestApp, dns: &DnsServer) -> Self {
        let services = app.platform().services_for("organizations").unwrap();
        let secret = services.secret("SESSION_SECRET_ID").await.unwrap();
        Self {
            store: store(app),
            resolver: Resolver::new(Some(&dns.address())).unwrap(),
            seal: MailSeal::new(&MasterSecret::new(secret)).unwrap(),
            ids: services.ids,
        }
    }

    async fn check(&self, due: &Due, at: clock::Timestamp) -> Checked {
        let with = Recheck {
            store: &self.store,
            resolver: &self.resolver,
            seal: &self.seal,
            ids: &self.ids,
            actor: "sweep",
        };
        domains::recheck(&with, due, at).await.unwrap()
    }

    /// Moves the clock to when the only look is due, and looks.
    async fn next(&self, app: &TestApp) -> Checked {
        let due = tasks(&self.store, clock::Timestamp::MAX).await;
        assert_eq!(due.len(), 1, "{due:?}");
        app.advance(due[0].due_at.since(app.now()));
        let checked = self.check(&due[0], app.now()).await;
        app.drain().await;
        checked
    }
}

#[tokio::test]
async fn a_verified_domain_is_looked_at_every_day_and_lapses_after_a_week_without_its_record() {
    let dns = DnsServer::start().await;
    let app = app_with(&dns).await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let _ = add_member(&app, &admin, "reader@example.com", Role::ReadOnly).await;
    let to = admin.text("/user/email");
    let key = app.key(&admin, json!({})).await;
    let verified = claim_and_verify(&admin, &dns, "example.com").await;
    let (name, value) = (verified.text("/challenge/name"), verified.text("/challenge/value"));
    let _ = admin
        .patch(ORGANIZATION, json!({"settings": {"allowed_domains": ["example.com"]}}))
        .await
        .expect(200);
    let sweep = Sweep::of(&app, &dns).await;
    let shown = async || key.get(&format!("{DOMAINS}/example.com")).await.expect(200);

    assert_eq!(sweep.next(&app).await, Checked::Found);
    assert_eq!(shown().await.text("/checked_at"), app.now().to_string());
    // Whoever keeps DNS from answering ends nothing.
    for outage in [DnsServer::fail, DnsServer::be_silent] {
        outage(&dns);
        assert_eq!(sweep.next(&app).await, Checked::Unknown);
        assert_eq!(shown().await.text("/status"), "verified");
    }
    dns.recover();
    let told = || app.mails_to(&to).iter().filter(|mail| mail.subject.contains("example.com")).count();
    assert_eq!(told(), 0);

    dns.remove_txt(&name);
    assert_eq!(sweep.next(&app).await, Checked::Failing);
    let failing = shown().await;
    assert_eq!(
        (failing.text("/status"), failing.text("/failing_since")),
        ("failing".into(), app.now().to_string())
    );
    assert_eq!(failing.text("/grace_until"), (app.now() + GRACE).to_string());
    assert_eq!(told(), 1);
    assert!(app.mails_to("reader@example.com").is_empty());
    // It comes back, and goes again: the grace begins anew.
    dns.add_txt(&name, &value);
    assert_eq!(sweep.next(&app).await, Checked::Found);
    assert_eq!(shown().await.json["failing_since"], Value::Null);
    dns.remove_txt(&name);
    let began = app.now() + NEXT_CHECK;
    for day in 0..7 {
        assert_eq!(sweep.next(&app).await, Checked::Failing, "{day}");
    }
    // Silence does not end the grace, however long it lasts.
    dns.fail();
    for _ in 0..30 {
        assert_eq!(sweep.next(&app).await, Checked::Unknown);
    }
    assert!(app.now() > began + GRACE);
    assert_eq!(shown().await.text("/status"), "failing");
    assert!(store(&app).domain_owner("example.com").await.unwrap().is_some());
    dns.recover();
    assert_eq!(sweep.next(&app).await, Checked::Lapsed);
    assert_eq!(shown().await.text("/status"), "lapsed");
    assert_eq!(told(), 3, "twice failing, once lapsed");
    assert!(store(&app).domain_owner("example.com").await.unwrap().is_none());
    assert!(tasks(&store(&app), clock::Timestamp::MAX).await.is_empty());
    // People stay: what is allowed is changed by people alone.
    let settings = key.get(ORGANIZATION).await.expect(200).json["settings"].clone();
    assert_eq!(settings["allowed_domains"], json!(["example.com"]));
    // Put back, it is verified again.
    dns.add_txt(&name, &value);
    assert_eq!(verify(&key, "example.com").await.expect(200).text("/status"), "verified");
}

#[tokio::test]
async fn a_look_that_is_no_longer_wanted_is_taken_off_the_list() {
    let dns = DnsServer::start().await;
    let app = app_with(&dns).await;
    let admin = app.sign_up("Acme").await;
    let _ = claim_and_verify(&admin, &dns, "example.com").await;
    let sweep = Sweep::of(&app, &dns).await;
    let due = tasks(&sweep.store, clock::Timestamp::MAX).await;
    assert_eq!(sweep.check(&due[0], app.now() + NEXT_CHECK).await, Checked::Found);
    assert_eq!(sweep.check(&due[0], app.now() + NEXT_CHECK).await, Checked::Idle, "the same task again");
    let next = tasks(&sweep.store, clock::Timestamp::MAX).await;
    assert_eq!(next.len(), 1);
    let _ = admin.delete(&format!("{DOMAINS}/example.com")).await.expect(204);
    assert_eq!(sweep.check(&next[0], app.now() + NEXT_CHECK * 2).await, Checked::Idle);
    assert!(tasks(&sweep.store, clock::Timestamp::MAX).await.is_empty());
}

#[tokio::test]
async fn a_look_that_was_put_off_is_made_all_the_same() {
    let dns = DnsServer::start().await;
    let app = app_with(&dns).await;
    let admin = app.sign_up("Acme").await;
    let verified = claim_and_verify(&admin, &dns, "example.com").await;
    let sweep = Sweep::of(&app, &dns).await;
    // The store failed in the midst of it, and the sweep put it off.
    let later = app.now() + NEXT_CHECK + Duration::from_secs(900);
    let due = tasks(&sweep.store, clock::Timestamp::MAX).await;
    sweep.store.postpone(&due[0], later).await.unwrap();
    let due = tasks(&sweep.store, clock::Timestamp::MAX).await;
    assert_eq!((due.len(), due[0].due_at), (1, later));
    dns.remove_txt(&verified.text("/challenge/name"));
    assert_eq!(sweep.check(&due[0], later).await, Checked::Failing);
    let next = tasks(&sweep.store, clock::Timestamp::MAX).await;
    assert_eq!((next.len(), next[0].due_at), (1, later + NEXT_CHECK));
    // It was verified anew before a task that was put off came up: there is a later one for it.
    dns.add_txt(&verified.text("/challenge/name"), &verified.text("/challenge/value"));
    sweep.store.keep_task(&due[0]).await.unwrap();
    assert_eq!(sweep.check(&due[0], later).await, Checked::Idle);
    assert_eq!(tasks(&sweep.store, clock::Timestamp::MAX).await, next);
    app.drain().await;
}
