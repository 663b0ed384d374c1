//! The admin console, as a browser without scripts uses it. What people see of it is tested in infra/browser.

use std::time::Duration;

use artisan_local::engines::Strike;
use http::header;
use serde_json::json;
use testkit::{Actor, Installation, PASSWORD, Response, TestApp};

/// A browser: what it was given to keep comes along with the next request.
struct Browser {
    stranger: Actor,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(stranger: Actor) -> Self {
        Self { stranger, cookies: Vec::new() }
    }

    fn actor(&self) -> Actor {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.stranger.with("cookie", cookies.join("; "))
    }

    fn keep(&mut self, response: Response) -> Response {
        for set in response.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(set.contains("; HttpOnly; SameSite=Lax"), "{set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(kept, _)| kept != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        response
    }

    async fn look(&mut self, path: &str) -> Response {
        let response = self.actor().get(path).await;
        self.keep(response)
    }

    async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let response = self.actor().form(path, fields).await;
        self.keep(response)
    }

    /// Signs in by the form.
    async fn sign_in(&mut self, email: &str) -> Response {
        let page = self.look("/console/sign-in").await.expect(200);
        let token = token(&page);
        self.send("/console/sign-in", &[("_form", &token), ("email", email), ("password", PASSWORD)]).await
    }
}

/// The token in a page's forms.
fn token(page: &Response) -> String {
    hidden(page, "_form")
}

/// What the first hidden field of a name holds.
fn hidden(page: &Response, name: &str) -> String {
    let start = format!(r#"name="{name}" value=""#);
    let (_, rest) = page.body.split_once(&start).unwrap_or_else(|| panic!("the page has a field {name}"));
    rest.split_once('"').unwrap().0.replace("&quot;", "\"")
}

#[tokio::test]
async fn an_admin_signs_in_and_makes_a_key_that_works() {
    let app = Installation::start().await;
    let admin = app.sign_up("Analytical Engines").await;
    let email = admin.text("/user/email");
    let mut browser = Browser::new(app.stranger());
    let turned_away = browser.look("/console/keys").await.expect(303);
    assert_eq!(turned_away.header("location"), Some("/console/sign-in?next=%2Fconsole%2Fkeys"));
    let signed_in = browser.sign_in(&email).await.expect(303);
    assert_eq!(signed_in.header("location"), Some("/console"));
    let page = browser.look("/console/keys/new").await.expect(200);
    assert!(page.body.contains("Analytical Engines"), "{}", page.body);
    let form = token(&page);
    let fields =
        [("_form", form.as_str()), ("_once", "once"), ("name", "CRM sync"), ("scopes", "leads:read")];
    let made = browser.send("/console/keys/new", &fields).await.expect(201);
    let (_, rest) = made.body.split_once("value=\"sk_live_").expect("the key is shown");
    let key = format!("sk_live_{}", rest.split_once('"').unwrap().0);
    let whoami = app.stranger().with_token(&key).get("/v1/whoami").await.expect(200);
    assert_eq!(whoami.json["scopes"], json!(["leads:read"]));
    // The same form once more is the same key, which is not shown again.
    let again = browser.send("/console/keys/new", &fields).await.expect(201);
    assert!(!again.body.contains("sk_live_") || !again.body.contains(&key));
    let out = browser.send("/console/sign-out", &[("_form", &form)]).await.expect(303);
    assert_eq!(out.header("location"), Some("/console/sign-in?notice=signed-out"));
    let _ = browser.look("/console/keys").await.expect(303);
    app.drain().await;
}

#[tokio::test]
async fn a_form_that_no_page_of_the_console_sent_does_nothing() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let form = token(&browser.look("/console/keys/new").await.expect(200));
    let fields = |token| [("_form", token), ("name", "forged"), ("scopes", "leads:read")];
    for token in ["", "guessed"] {
        let _ = browser.send("/console/keys/new", &fields(token)).await.expect(403);
    }
    let elsewhere = browser.actor().with("origin", "https://evil.example");
    let _ = elsewhere.form("/console/keys/new", &fields(&form)).await.expect(403);
    let cross_site = browser.actor().with("sec-fetch-site", "cross-site");
    let _ = cross_site.form("/console/keys/new", &fields(&form)).await.expect(403);
    let keys = admin.get("/api/admin/api-keys").await.expect(200);
    assert_eq!(keys.json["data"], json!([]));
    app.drain().await;
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_not_made_again() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut browser = Browser::new(app.stranger());
    app.engines().faults().order("Invoke", 0, 1, Strike::After, 500, "{}");
    let failed = browser.sign_in(&admin.text("/user/email")).await.expect(503);
    assert!(failed.body.contains("A part of Artisan did not answer"), "{}", failed.body);
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let records = admin.get("/api/admin/audit-logs?action=session.create").await.expect(200);
    assert_eq!(records.json["data"].as_array().unwrap().len(), 2, "{:#}", records.json);
    // A look is repeated, and goes well.
    app.engines().faults().order("Invoke", 0, 1, Strike::Before, 500, "{}");
    let _ = browser.look("/console/keys").await.expect(200);
}

#[tokio::test]
async fn what_a_role_may_not_see_is_not_asked_for() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let member = json!({"role": "member", "workspace_id": admin.text("/workspaces/0/id")});
    let member = app.invite_and_join(&admin, member).await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&member.text("/user/email")).await.expect(303);
    let _ = browser.look("/console").await.expect(200);
    let refused = admin.get("/api/admin/audit-logs?outcome=failure").await.expect(200);
    assert_eq!(refused.json["data"], json!([]));
}

#[tokio::test]
async fn each_part_of_the_api_has_a_page_that_asks_it() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let sales = ["campaigns", "leads", "meetings"].map(|part| format!("/console/w/{workspace}/{part}"));
    let others = ["", "/people", "/workspaces", "/settings", "/keys", "/webhooks", "/audit"];
    let others = others.map(|part| format!("/console{part}"));
    let slash = browser.look("/console/").await.expect(308);
    assert_eq!(slash.header("location"), Some("/console"));
    for page in others.iter().chain(&sales) {
        let page = browser.look(page).await.expect(200);
        assert!(!page.body.contains("did not answer"), "{}", page.body);
    }
}

#[tokio::test]
async fn what_somebody_else_has_changed_is_not_replaced_unawares() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let path = format!("/workspaces/{}", admin.text("/workspaces/0/id"));
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let page = browser.look(&format!("/console{path}")).await.expect(200);
    let (form, etag) = (token(&page), hidden(&page, "etag"));
    let theirs = json!({"name": "Theirs"});
    let _ = admin.patch(&format!("/api/admin{path}"), theirs).await.expect(200);
    let fields =
        |etag: &str| [("_form", form.clone()), ("etag", etag.to_owned()), ("name", "Ours".to_owned())];
    let send = async |browser: &mut Browser, etag: &str| {
        let fields = fields(etag);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.send(&format!("/console{path}"), &fields).await
    };
    let refused = send(&mut browser, &etag).await.expect(412);
    for said in ["Somebody else has changed this", "What is sent from here replaces it", r#"value="Ours""#] {
        assert!(refused.body.contains(said), "{said}: {}", refused.body);
    }
    let name = async || admin.get(&format!("/api/admin{path}")).await.expect(200).text("/name");
    assert_eq!(name().await, "Theirs");
    let _ = send(&mut browser, &hidden(&refused, "etag")).await.expect(303);
    assert_eq!(name().await, "Ours");
    app.drain().await;
}

#[tokio::test]
async fn lists_are_searched_from_their_pages() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let field = r#"<input type="search""#;
    for (page, found) in [("keys", "CRM sync"), ("people", "Grace"), ("webhooks", "example.com/hooks")] {
        let few = browser.look(&format!("/console/{page}")).await.expect(200);
        assert!(!few.body.contains(field), "{page}: there is nothing to look through");
        match page {
            "keys" => drop(app.key(&admin, json!({"name": found})).await),
            "people" => drop(app.invite_and_join(&admin, json!({"role": "read_only"})).await),
            _ => {
                let endpoint = json!({"url": format!("https://{found}"), "events": ["*"]});
                let _ = admin.post("/api/admin/webhooks", endpoint).await.expect(201);
            }
        }
        let one =
            browser.look(&format!("/console/{page}?search={}", found[..3].to_lowercase())).await.expect(200);
        assert!(one.body.contains(field) && one.body.contains(&format!("{found}</a>")), "{}", one.body);
        let none = browser.look(&format!("/console/{page}?search=%22%3E%3Cb")).await.expect(200);
        assert!(none.body.contains("Nothing found") && !none.body.contains(found), "{}", none.body);
        assert!(none.body.contains(r#"value="&quot;&gt;&lt;b""#), "{}", none.body);
        let long = browser.look(&format!("/console/{page}?search={}", "x".repeat(101))).await.expect(422);
        assert!(
            long.body.contains(field) && long.body.contains("must have 1 to 100 characters"),
            "{}",
            long.body
        );
    }
    app.drain().await;
}

#[tokio::test]
async fn before_a_second_factor_is_asked_for_it_is_said_who_has_none() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let member = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let page = browser.look("/console/settings/security").await.expect(200);
    let (form, etag) = (token(&page), hidden(&page, "etag"));
    let fields = [("_form", form.as_str()), ("etag", &etag), ("require_mfa", "1")];
    let told = browser.send("/console/settings/security", &fields).await.expect(200);
    let (_, kept_out) = told.body.split_once("Kept out until they have enrolled one").unwrap();
    for person in [&admin, &member] {
        assert!(kept_out.contains(&person.text("/user/email")), "{kept_out}");
    }
    let settings = admin.get("/api/admin/organization").await.expect(200);
    assert_eq!(settings.json["settings"]["require_mfa"], false, "nothing is changed yet");
    app.drain().await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_said_at_its_field() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let page = "/console/dead-letters?since=2026-11-22T00:00&until=2026-11-21T00:00";
    let page = browser.look(page).await.expect(422);
    assert!(
        page.body.contains("must be after `since`") && page.body.contains("2026-11-21T00:00"),
        "{}",
        page.body
    );
}

/// What came of a lead is what tells of it, whoever else has called a request the same.
#[tokio::test]
async fn what_came_of_a_lead_is_its_own() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let alike = admin.with("x-request-id", "sync");
    let mut leads = Vec::new();
    for email in ["ada@example.com", "grace@example.com"] {
        leads.push(alike.post("/v1/leads", json!({"email": email})).await.expect(201).text("/id"));
    }
    let meeting = json!({
        "lead_id": leads[0], "starts_at": "2026-12-01T10:00:00Z", "ends_at": "2026-12-01T11:00:00Z",
    });
    let _ = alike.post("/v1/meetings", meeting).await.expect(201);
    app.drain().await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let page = browser.look(&format!("/console/w/{workspace}/leads/{}", leads[0])).await.expect(200);
    let (_, came) = page.body.split_once("What came of it").unwrap();
    for (event, times) in [(">lead.created<", 1), (">meeting.booked<", 1)] {
        assert_eq!(came.matches(event).count(), times, "{event}: {came}");
    }
}

#[tokio::test]
async fn a_key_keeps_its_end_when_its_name_is_changed() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let ends = (app.now() + Duration::from_secs(36 * 3600)).to_string();
    let key = json!({"name": "CRM sync", "scopes": ["leads:read"], "expires_at": ends});
    let key = admin.post("/api/admin/api-keys", key).await.expect(201);
    let path = format!("/keys/{}", key.text("/id"));
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let page = browser.look(&format!("/console{path}")).await.expect(200);
    let (form, etag, expires) = (token(&page), hidden(&page, "etag"), hidden(&page, "expires"));
    let day = expires.get(..10).unwrap();
    let fields = [
        ("_form", form.as_str()),
        ("etag", &etag),
        ("expires", &expires),
        ("expires_at", day),
        ("name", "Renamed"),
        ("scopes", "leads:read"),
        ("rate_limit_per_hour", "1000"),
    ];
    let _ = browser.send(&format!("/console{path}"), &fields).await.expect(303);
    let changed = admin.get(&format!("/api/admin/api-keys/{}", key.text("/id"))).await.expect(200);
    assert_eq!((changed.text("/name").as_str(), changed.text("/expires_at")), ("Renamed", ends));
}

#[tokio::test]
async fn a_token_that_ended_early_is_renewed_and_the_same_is_sent_again() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    // Longer than an access token lives; the browser's clock has stood still.
    app.advance(Duration::from_secs(20 * 60));
    let again = browser.look("/console/keys?by=day").await.expect(307);
    assert_eq!(again.header("location"), Some("/console/keys?by=day"));
    let _ = browser.look("/console/keys?by=day").await.expect(200);
    // A session that is over is not renewed.
    let _ = admin
        .post(
            "/api/auth/password/change",
            json!({"current_password": PASSWORD, "password": "another engine of brass"}),
        )
        .await;
    app.advance(Duration::from_secs(20 * 60));
    let over = browser.look("/console/keys").await.expect(303);
    assert_eq!(over.header("location"), Some("/console/sign-in?next=%2Fconsole%2Fkeys"));
}

#[tokio::test]
async fn a_link_from_elsewhere_sets_nobody_out_to_an_identity_provider() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(app.stranger());
    let form = token(&browser.look("/console/sign-in/sso").await.expect(200));
    let _ = browser.look("/console/sign-in/sso/start?organization=acme.example").await.expect(404);
    let fields = |token| [("_form", token), ("organization", "acme.example")];
    let _ = browser.send("/console/sign-in/sso/start", &fields("guessed")).await.expect(403);
    let unknown = browser.send("/console/sign-in/sso/start", &fields(&form)).await;
    assert!(unknown.body.contains("No organization of that name"), "{}", unknown.body);
}

#[tokio::test]
async fn a_condition_that_cannot_be_sent_is_not_left_out() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut browser = Browser::new(app.stranger());
    let _ = browser.sign_in(&admin.text("/user/email")).await.expect(303);
    let page = browser.look("/console/settings/origins").await.expect(200);
    let (form, once) = (token(&page), hidden(&page, "_once"));
    let fields = [
        ("_form", form.as_str()),
        ("_once", &once),
        ("etag", "\0"),
        ("cors_origins", "https://app.example.com"),
    ];
    let _ = browser.send("/console/settings/origins", &fields).await.expect(400);
    let organization = admin.get("/api/admin/organization").await.expect(200);
    assert_eq!(organization.json["settings"]["cors_origins"], json!([]));
}
