//! The audit log has one record for each mutation that is carried out, one for each request that is refused, and none for
//! plain reads: for every operation of the OpenAPI document, so that a new one is tested before it is finished.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Actor, Authenticator, DnsServer, PASSWORD, Receiver, Response, TestApp};

/// Operations whose success is nobody's act in an organization, each with why. This list may only become shorter.
const WITHOUT_RECORD: [(&str, &str); 4] = [
    ("POST /api/auth/switch", "is on record in the organization that is entered: tested with switching"),
    ("POST /api/auth/password/forgot", "asks for a mail, whoever asks; using it is on record"),
    (
        "POST /api/auth/invitations/accept",
        "told by the one who joined, who is made by it: tested with invitations",
    ),
    ("POST /api/secret-scanning/github", "is signed by a third party: tested with leaked keys"),
];

/// Operations that only read, and are on record all the same, with what the record says: whoever has a link has the file.
/// This list may only become shorter.
const READS_ON_RECORD: [(&str, &str); 2] = [
    ("GET /api/admin/audit-logs/exports/{id}", "audit_log.export_link"),
    ("GET /api/admin/privacy/exports/{id}", "privacy.export_link"),
];

fn is_mutation(method: &str) -> bool {
    matches!(method, "post" | "put" | "patch" | "delete")
}

/// Every operation: its name, and the permission it needs.
async fn operations(app: &TestApp) -> Vec<(String, String, Option<String>)> {
    let document = app.stranger().get("/openapi.json").await.expect(200).json;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let permission = operation["x-permission"].as_str().map(str::to_owned);
            found.push((method.clone(), path.clone(), permission));
        }
    }
    found
}

/// What has been called so far, and how.
struct Course<'a> {
    app: &'a TestApp,
    organization: String,
    done: BTreeSet<String>,
    calls: usize,
}

impl Course<'_> {
    /// Every record of the organization.
    async fn records(&self) -> Vec<Value> {
        let services = self.app.platform().services_for("leads").unwrap();
        let store = store::Store::from_environment(&services.environment, services.aws.dynamodb).unwrap();
        let tenant = store.tenant_of_job(self.organization.parse().unwrap());
        tenant.every_audit_record(self.app.now()).await.unwrap()
    }

    /// The records that a request left.
    async fn records_of(&self, request: &str) -> Vec<Value> {
        let mut all = self.records().await;
        all.retain(|record| record["request_id"] == json!(request));
        all
    }

    /// The name of the next request, which comes later than all before.
    fn next_request(&mut self) -> String {
        self.app.advance(Duration::from_millis(1));
        self.calls += 1;
        format!("coverage-{}", self.calls)
    }

    /// Calls an operation that succeeds; the answer. `path` is the document's, with `{}` in the place of names.
    async fn call(&mut self, by: &Actor, operation: &str, names: &[&str], body: Value) -> Response {
        let request = self.next_request();
        let (method, template) = operation.split_once(' ').unwrap();
        let mut path = template.to_owned();
        for name in names {
            let (from, to) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(from..=to, name);
        }
        let method: Method = method.parse().unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = by.with("x-request-id", &*request).raw(method, &path, body).await;
        assert!(answer.status.is_success(), "{operation}: {} {}", answer.status, answer.body);
        let records = self.records_of(&request).await;
        let expected = usize::from(!WITHOUT_RECORD.iter().any(|(name, _)| *name == operation));
        assert_eq!(records.len(), expected, "{operation}: {records:#?}");
        if let Some(record) = records.first() {
            assert_eq!(record["success"], true, "{operation}: {record}");
        }
        self.done.insert(operation.to_owned());
        answer
    }
}

#[tokio::test]
async fn every_mutation_that_is_carried_out_has_one_record() {
    let dns = DnsServer::start().await;
    let app = TestApp::with(BTreeMap::from([("DNS_RESOLVER".to_owned(), dns.address())])).await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
    let admin = app.sign_up("Acme").await;
    let organization = admin.text("/organization/id");
    let mut course = Course { app: &app, organization, done: BTreeSet::new(), calls: 0 };
    let c = &mut course;
    assert_eq!(c.records().await.len(), 1, "the sign-up itself");
    c.done.insert("POST /api/auth/signup".to_owned());
    app.upgrade(&admin, "business").await;

    c.call(&admin, "POST /api/auth/email/resend", &[], Value::Null).await;
    let token = app.token_mailed_to(&admin.text("/user/email")).await;
    c.call(&admin, "POST /api/auth/email/confirm", &[], json!({"token": token})).await;

    let name = json!({"name": "Acme Ltd"});
    c.call(&admin, "PATCH /api/admin/organization", &[], name).await;
    c.call(&admin, "POST /api/admin/organization/export", &[], json!({})).await;
    let claim = c.call(&admin, "POST /api/admin/domains", &[], json!({"domain": "acme.example.com"})).await;
    dns.add_txt(&claim.text("/challenge/name"), &claim.text("/challenge/value"));
    let domain = ["acme.example.com"];
    c.call(&admin, "POST /api/admin/domains/{domain}/verify", &domain, Value::Null).await;
    let joining = json!({"auto_join": {"role": "read_only"}});
    c.call(&admin, "PATCH /api/admin/domains/{domain}", &domain, joining).await;
    let sso = json!({"issuer": "https://login.example.com", "client_id": "artisan", "client_secret": "secret", "default_role": "read_only"});
    c.call(&admin, "PUT /api/admin/sso", &[], sso).await;
    c.call(&admin, "DELETE /api/admin/sso", &[], Value::Null).await;
    c.call(&admin, "DELETE /api/admin/domains/{domain}", &domain, Value::Null).await;

    let key = c.call(&admin, "POST /api/admin/api-keys", &[], json!({"name": "One"})).await.text("/id");
    c.call(&admin, "PATCH /api/admin/api-keys/{id}", &[&key], json!({"name": "Two"})).await;
    let successor = c.call(&admin, "POST /api/admin/api-keys/{id}/rotate", &[&key], json!({})).await;
    c.call(&admin, "DELETE /api/admin/api-keys/{id}", &[&successor.text("/id")], Value::Null).await;

    let invitation = json!({"email": "grace@example.com", "role": "read_only"});
    let invitation = c.call(&admin, "POST /api/admin/invitations", &[], invitation).await.text("/id");
    app.advance(Duration::from_secs(300));
    c.call(&admin, "POST /api/admin/invitations/{id}/resend", &[&invitation], Value::Null).await;
    c.call(&admin, "DELETE /api/admin/invitations/{id}", &[&invitation], Value::Null).await;
    let member = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let user = member.text("/user/id");
    let workspace =
        c.call(&admin, "POST /api/admin/workspaces", &[], json!({"name": "North"})).await.text("/id");
    c.call(&admin, "PATCH /api/admin/workspaces/{id}", &[&workspace], json!({"name": "South"})).await;
    let seat = [&*workspace, &*user];
    let role = json!({"role": "member"});
    c.call(&admin, "PUT /api/admin/workspaces/{id}/members/{user_id}", &seat, role).await;
    c.call(&admin, "DELETE /api/admin/workspaces/{id}/members/{user_id}", &seat, Value::Null).await;
    c.call(&admin, "DELETE /api/admin/workspaces/{id}", &[&workspace], Value::Null).await;
    c.call(&admin, "PATCH /api/admin/users/{id}", &[&user], json!({"role": "admin"})).await;
    c.call(&admin, "POST /api/admin/users/{id}/deactivate", &[&user], Value::Null).await;
    c.call(&admin, "POST /api/admin/users/{id}/reactivate", &[&user], Value::Null).await;
    c.call(&admin, "DELETE /api/admin/users/{id}", &[&user], Value::Null).await;

    let endpoint = json!({"url": receiver.url(), "events": ["*"], "max_retries": 0});
    let endpoint = c.call(&admin, "POST /api/admin/webhooks", &[], endpoint).await.text("/id");
    let e = [&*endpoint];
    c.call(&admin, "PATCH /api/admin/webhooks/{id}", &e, json!({"description": "CRM"})).await;
    c.call(&admin, "POST /api/admin/webhooks/{id}/rotate-secret", &e, json!({})).await;
    c.call(&admin, "POST /api/admin/webhooks/{id}/test", &e, json!({})).await;
    app.drain().await;
    let dead = admin.get("/api/admin/webhooks/dead-letters").await.expect(200).text("/data/0/id");
    let redrive = json!({"delivery_ids": [dead]});
    c.call(&admin, "POST /api/admin/webhooks/dead-letters/redrive", &[], redrive).await;
    app.drain().await;
    c.call(&admin, "POST /api/admin/webhooks/deliveries/{id}/retry", &[&dead], Value::Null).await;
    app.drain().await;
    let replay = c.call(&admin, "POST /api/admin/webhooks/{id}/replay", &e, json!({})).await.text("/id");
    for step in ["pause", "resume", "cancel"] {
        let operation = format!("POST /api/admin/webhooks/replays/{{id}}/{step}");
        c.call(&admin, &operation, &[&replay], Value::Null).await;
    }
    c.call(&admin, "POST /api/admin/webhooks/{id}/disable", &e, json!({})).await;
    c.call(&admin, "POST /api/admin/webhooks/{id}/enable", &e, Value::Null).await;
    c.call(&admin, "DELETE /api/admin/webhooks/{id}", &e, Value::Null).await;

    let campaign = c.call(&admin, "POST /v1/campaigns", &[], json!({"name": "Autumn"})).await.text("/id");
    c.call(&admin, "PATCH /v1/campaigns/{id}", &[&campaign], json!({"goal": "20 meetings"})).await;
    for step in ["start", "pause", "complete"] {
        c.call(&admin, &format!("POST /v1/campaigns/{{id}}/{step}"), &[&campaign], Value::Null).await;
    }
    let second = c.call(&admin, "POST /v1/campaigns", &[], json!({"name": "Winter"})).await.text("/id");
    c.call(&admin, "DELETE /v1/campaigns/{id}", &[&second], Value::Null).await;
    let lead = c.call(&admin, "POST /v1/leads", &[], json!({"email": "lead@example.com"})).await.text("/id");
    c.call(&admin, "PATCH /v1/leads/{id}", &[&lead], json!({"company": "Initech"})).await;
    c.call(&admin, "POST /v1/leads/{id}/replies", &[&lead], json!({"message": "Hi"})).await;
    c.call(&admin, "POST /v1/leads/{id}/qualify", &[&lead], Value::Null).await;
    let sent = json!({"events": [{"type": "sent", "lead_id": lead, "message_id": "m-1"}]});
    c.call(&admin, "POST /v1/email-events", &[], sent).await;
    let meeting =
        json!({"lead_id": lead, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T11:00:00Z"});
    let meeting = c.call(&admin, "POST /v1/meetings", &[], meeting).await.text("/id");
    c.call(&admin, "POST /v1/meetings/{id}/cancel", &[&meeting], Value::Null).await;
    c.call(&admin, "DELETE /v1/leads/{id}", &[&lead], Value::Null).await;

    let wanted = json!({"format": "ndjson"});
    let log = c.call(&admin, "POST /api/admin/audit-logs/exports", &[], wanted).await.text("/id");
    let nobody = json!({"email": "nobody@example.com"});
    let person = c.call(&admin, "POST /api/admin/privacy/exports", &[], nobody.clone()).await.text("/id");
    app.drain().await;
    for ((read, _), id) in READS_ON_RECORD.iter().zip([&log, &person]) {
        let _ = c.call(&admin, read, &[id.as_str()], Value::Null).await.text("/links/file");
    }
    c.call(&admin, "POST /api/admin/privacy/erasures", &[], nobody).await;
    let end = json!({"confirm": "Acme Ltd"});
    c.call(&admin, "DELETE /api/admin/organization", &[], end).await;
    c.call(&admin, "POST /api/admin/organization/restore", &[], json!({})).await;
    authenticate(c, &admin).await;

    let all = operations(&app).await;
    let name = |method: &str, path: &str| format!("{} {path}", method.to_uppercase());
    let on_record = |method: &str, path: &str| {
        is_mutation(method) || READS_ON_RECORD.iter().any(|(read, _)| *read == name(method, path))
    };
    let recorded = all.iter().filter(|(method, path, _)| on_record(method, path));
    let named: BTreeSet<String> = recorded.map(|(method, path, _)| name(method, path)).collect();
    let elsewhere = WITHOUT_RECORD.iter().map(|(name, _)| (*name).to_owned());
    let covered: BTreeSet<String> = course.done.iter().cloned().chain(elsewhere).collect();
    let missing: Vec<_> = named.difference(&covered).collect();
    assert!(missing.is_empty(), "not called: {missing:?}");
    let gone: Vec<_> = covered.difference(&named).collect();
    assert!(gone.is_empty(), "there is no such operation: {gone:?}");
}

/// What a person does with their own identity, recorded in the organization they are in.
async fn authenticate(c: &mut Course<'_>, admin: &Actor) {
    let app = c.app;
    let email = admin.text("/user/email");
    let stranger = app.stranger();
    let sign_in = json!({"email": email, "password": PASSWORD});
    let session = c.call(&stranger, "POST /api/auth/login", &[], sign_in.clone()).await;
    let person = admin.with_token(&session.text("/access_token"));
    let refresh = json!({"refresh_token": session.text("/refresh_token")});
    let session = c.call(&stranger, "POST /api/auth/refresh", &[], refresh).await;
    let person = person.with_token(&session.text("/access_token"));
    c.call(&person, "PATCH /api/auth/me", &[], json!({"name": "Ada"})).await;

    let enrolled = c.call(&person, "POST /api/auth/mfa/enroll", &[], json!({"password": PASSWORD})).await;
    let authenticator = Authenticator::new(&enrolled.text("/secret"));
    let code = |app: &TestApp| json!({"code": authenticator.code(app.now())});
    c.call(&person, "POST /api/auth/mfa/activate", &[], code(app)).await;
    app.advance(Duration::from_secs(30));
    let half = stranger.post("/api/auth/login", sign_in.clone()).await.expect(200).text("/mfa_token");
    let mut body = code(app);
    body["mfa_token"] = json!(half);
    c.call(&stranger, "POST /api/auth/mfa/verify", &[], body).await;
    app.advance(Duration::from_secs(30));
    c.call(&person, "POST /api/auth/mfa/recovery-codes", &[], code(app)).await;
    app.advance(Duration::from_secs(30));
    c.call(&person, "DELETE /api/auth/mfa", &[], code(app)).await;
    let change = json!({"current_password": PASSWORD, "new_password": "seven kettles of red herrings"});
    c.call(&person, "POST /api/auth/password/change", &[], change).await;
    c.call(&stranger, "POST /api/auth/password/forgot", &[], json!({"email": email})).await;
    app.drain().await;
    let token = app.token_mailed_to(&email).await;
    let reset = json!({"token": token, "password": PASSWORD});
    c.call(&stranger, "POST /api/auth/password/reset", &[], reset).await;
    let session = stranger.post("/api/auth/login", sign_in).await.expect(200).text("/access_token");
    c.call(&admin.with_token(&session), "POST /api/auth/logout", &[], Value::Null).await;
}

/// Makes one of everything that a read can name; their names, by how the path begins in front of them.
async fn furnish(app: &TestApp, dns: &DnsServer, admin: &Actor) -> BTreeMap<&'static str, String> {
    app.upgrade(admin, "business").await;
    let domain = "acme.example.com".to_owned();
    let claim = admin.post("/api/admin/domains", json!({"domain": domain})).await.expect(201);
    dns.add_txt(&claim.text("/challenge/name"), &claim.text("/challenge/value"));
    let _ = admin.post_nothing(&format!("/api/admin/domains/{domain}/verify")).await.expect(200);
    let sso = json!({"issuer": "https://login.example.com", "client_id": "artisan", "client_secret": "secret", "default_role": "read_only"});
    let _ = admin.put("/api/admin/sso", sso).await.expect(200);

    let receiver = Receiver::start().await;
    let (endpoint, _) = app.endpoint(admin, &receiver, json!({})).await;
    let campaign = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let lead = admin.post("/v1/leads", json!({"email": "lead@example.com"})).await.expect(201).text("/id");
    let meeting =
        json!({"lead_id": lead, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T11:00:00Z"});
    let meeting = admin.post("/v1/meetings", meeting).await.expect(201).text("/id");
    app.drain().await;
    let first = async |path: &str| admin.get(path).await.expect(200).text("/data/0/id");
    let event = first("/api/admin/events").await;
    let delivery = first(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await;
    let replay = admin.post(&format!("/api/admin/webhooks/{endpoint}/replay"), json!({})).await.expect(202);

    // An erasure deletes exports; so it comes first.
    let nobody = json!({"email": "nobody@example.com"});
    let erasure = admin.post("/api/admin/privacy/erasures", nobody.clone()).await.expect(202).text("/id");
    app.drain().await;
    let export = admin.post("/api/admin/audit-logs/exports", json!({"format": "ndjson"})).await;
    let personal = admin.post("/api/admin/privacy/exports", nobody).await.expect(202).text("/id");
    app.drain().await;
    let sealed = first("/api/admin/audit-logs").await;
    let user = admin.text("/user/id");
    let key = first("/api/admin/api-keys").await;
    BTreeMap::from([
        ("/api/admin/api-keys/", key),
        ("/api/admin/audit-logs/", sealed),
        ("/api/admin/audit-logs/exports/", export.expect(202).text("/id")),
        ("/api/admin/domains/", domain),
        ("/api/admin/events/", event),
        ("/api/admin/privacy/erasures/", erasure),
        ("/api/admin/privacy/exports/", personal),
        ("/api/admin/users/", user),
        ("/api/admin/webhooks/", endpoint),
        ("/api/admin/webhooks/deliveries/", delivery),
        ("/api/admin/webhooks/replays/", replay.text("/id")),
        ("/api/admin/workspaces/", admin.text("/workspaces/0/id")),
        ("/v1/campaigns/", campaign),
        ("/v1/leads/", lead),
        ("/v1/meetings/", meeting),
    ])
}

/// What a read of the document is called with: its path with a name that there is, and what it asks for.
fn called(template: &str, names: &BTreeMap<&str, String>) -> String {
    let asked = if template.ends_with("/consistency") { "?from=1" } else { "" };
    let Some((begin, rest)) = template.split_once('{') else { return format!("{template}{asked}") };
    let name = names.get(begin).unwrap_or_else(|| panic!("{template}: nothing was made that it could name"));
    let (_, end) = rest.split_once('}').unwrap();
    format!("{begin}{name}{end}{asked}")
}

#[tokio::test]
async fn every_request_that_is_refused_has_one_record_and_no_plain_read_has_any() {
    let dns = DnsServer::start().await;
    let app = TestApp::with(BTreeMap::from([("DNS_RESOLVER".to_owned(), dns.address())])).await;
    let admin = app.sign_up("Acme").await;
    let reader = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    // Nothing asks for what this one may.
    let stinted = app.key(&admin, json!({"scopes": ["analytics:read"]})).await;
    let names = furnish(&app, &dns, &admin).await;
    let organization = admin.text("/organization/id");
    let mut course = Course { app: &app, organization, done: BTreeSet::new(), calls: 0 };
    let (mut refused, mut read) = (0, BTreeSet::new());
    for (method, path, permission) in operations(&app).await {
        let Some(permission) = permission else { continue };
        let operation = format!("{} {path}", method.to_uppercase());
        let verb: Method = method.to_uppercase().parse().unwrap();
        let (by, named, body) = if is_mutation(&method) {
            let named = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            (&reader, named.collect::<Vec<_>>().join("/"), "{}")
        } else {
            (&stinted, called(&path, &names), "")
        };
        if permission.contains(':') {
            let request = course.next_request();
            let answer = by.with("x-request-id", &*request).raw(verb.clone(), &named, body).await;
            let _ = answer.expect_problem(403, "forbidden");
            let records = course.records_of(&request).await;
            assert_eq!(records.len(), 1, "{operation}, refused: {records:#?}");
            assert_eq!(
                (&records[0]["success"], &records[0]["action"]),
                (&json!(false), &json!("access.refuse"))
            );
            refused += 1;
        }
        if !is_mutation(&method) {
            let request = course.next_request();
            let answer = admin.with("x-request-id", &*request).raw(verb, &named, "").await;
            assert!(answer.status.is_success(), "{operation}: {} {}", answer.status, answer.body);
            let records = course.records_of(&request).await;
            let said: Vec<&str> = records.iter().map(|it| it["action"].as_str().unwrap()).collect();
            let on_record = READS_ON_RECORD.iter().filter(|(name, _)| *name == operation);
            let expected: Vec<&str> = on_record.map(|(_, action)| *action).collect();
            assert_eq!(said, expected, "{operation}: {records:#?}");
            // Without a link, there would be nothing to put on record.
            assert_eq!(
                answer.json.get("links").is_some(),
                !expected.is_empty(),
                "{operation}: {}",
                answer.body
            );
            read.insert(operation);
        }
    }
    assert!(refused > 80 && read.len() > 40, "{refused} refused, {} read", read.len());
    assert!(READS_ON_RECORD.iter().all(|(name, _)| read.contains(*name)), "there is no such operation");
}
