//! Single sign-on through an organization's own identity provider.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use standins::{IdentityProvider, Person, Quirk};
use store::{Change, MemberStatus, Role};
use testkit::{Actor, PASSWORD, Response, TestApp};

use crate::people::{
    add, alter, known, organization, own_domain, record, records, sign_in, signed_in, store,
};

const GRACE: &str = "grace@acme.example.com";

struct World {
    app: TestApp,
    idp: IdentityProvider,
    admin: Actor,
    acme: ids::OrganizationId,
}

impl World {
    /// An organization that owns `acme.example.com` and signs its people in at a provider.
    async fn new() -> Self {
        let app = TestApp::start().await;
        let idp = IdentityProvider::start(app.platform().clock().clone()).await;
        let admin = app.sign_up("Acme").await;
        let acme = organization(&admin);
        own_domain(&app, acme, "acme.example.com", None).await;
        connect(&admin, &idp).await;
        Self { app, idp, admin, acme }
    }

    /// Sets out: the provider's address and the browser's cookie.
    async fn start(&self, named: &str) -> (String, String) {
        let answer =
            self.app.stranger().get(&format!("/api/auth/sso/{named}/start?login_hint={GRACE}")).await;
        let answer = answer.expect(302);
        let cookie = answer.header("set-cookie").unwrap().to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        let url = answer.header("location").unwrap().to_owned();
        assert!(url.contains("login_hint="), "{url}");
        (url, cookie.split(';').next().unwrap().to_owned())
    }

    async fn back(&self, url: &str, cookie: &str) -> Response {
        let (_, query) = url.split_once("/api/auth/sso/callback?").unwrap();
        let browser = self.app.stranger().with("cookie", cookie);
        browser.get(&format!("/api/auth/sso/callback?{query}")).await
    }

    /// The whole way.
    async fn sign_on(&self, person: &Person) -> Response {
        let (url, cookie) = self.start(&self.acme.to_string()).await;
        self.back(&self.idp.authorize(&url, person), &cookie).await
    }

    async fn seats(&self) -> u64 {
        let tenant = store(&self.app).tenant_of_job(self.acme);
        tenant.organization().await.unwrap().unwrap().usage.seat_count
    }
}

/// Sets the provider up as an admin does.
async fn connect(admin: &Actor, idp: &IdentityProvider) {
    let connection = json!({
        "issuer": idp.issuer(),
        "client_id": IdentityProvider::CLIENT_ID,
        "client_secret": IdentityProvider::CLIENT_SECRET,
        "default_role": "read_only",
    });
    let shown = admin.put("/api/admin/sso", connection).await.expect(200);
    assert!(!shown.body.contains(IdentityProvider::CLIENT_SECRET));
}

#[tokio::test]
async fn who_signs_on_joins_once_and_has_proved_as_much_as_the_provider_says() {
    let world = World::new().await;
    let World { app, acme, .. } = &world;
    let first = world.sign_on(&Person::new(GRACE)).await.expect(200);
    assert_eq!(
        (first.text("/user/name"), first.text("/workspaces/0/role")),
        ("Grace Hopper".into(), "read_only".into())
    );
    let me = signed_in(app, &first).get("/api/auth/me").await.expect(200);
    assert_eq!(me.json["session"]["amr"], json!(["sso"]));
    assert_eq!((me.json["email_verified"].clone(), world.seats().await), (json!(true), 2));
    let several = Person { amr: vec!["pwd".to_owned(), "otp".to_owned()], ..Person::new(GRACE) };
    let second = world.sign_on(&several).await.expect(200);
    assert_eq!((second.text("/user/id"), world.seats().await), (first.text("/user/id"), 2));
    let me = signed_in(app, &second).get("/api/auth/me").await.expect(200);
    assert_eq!(me.json["session"]["amr"], json!(["sso", "mfa"]));
    // By domain as well as by id; there is no password.
    let (url, cookie) = world.start("acme.example.com").await;
    let _ = world.back(&world.idp.authorize(&url, &Person::new(GRACE)), &cookie).await.expect(200);
    let _ = sign_in(app, GRACE, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let actions: Vec<_> = records(app, *acme).await.into_iter().map(|it| it["action"].clone()).collect();
    assert_eq!(actions.iter().filter(|it| **it == "member.join").count(), 1);
    for nowhere in ["org_nobody", "initech.example.com", "not-a-domain"] {
        let answer = app.stranger().get(&format!("/api/auth/sso/{nowhere}/start")).await;
        let _ = answer.expect_problem(404, "not_found");
    }
}

/// Who joins writes their identity anew, so that nobody deletes it who has not seen them join.
#[tokio::test]
async fn an_identity_is_written_anew_by_joining_and_not_by_signing_on() {
    let world = World::new().await;
    let before = known(&world.app, GRACE).await;
    let identity = async || store(&world.app).account(GRACE).await.unwrap().unwrap().identity;
    let _ = world.sign_on(&Person::new(GRACE)).await.expect(200);
    let joined = identity().await;
    assert!(joined.updated_at > before.updated_at);
    assert_eq!(store::Identity { updated_at: before.updated_at, ..joined.clone() }, before);
    let _ = world.sign_on(&Person::new(GRACE)).await.expect(200);
    assert_eq!(identity().await, joined);
}

#[tokio::test]
async fn a_sign_on_comes_back_once_in_time_and_to_the_browser_that_set_out() {
    let world = World::new().await;
    let (url, cookie) = world.start("acme.example.com").await;
    let back = world.idp.authorize(&url, &Person::new(GRACE));
    for other in ["artisan-sign-on=", &format!("artisan-sign-on={}", "A".repeat(43)), "x=y"] {
        let _ = world.back(&back, other).await.expect_problem(401, "sso_failed");
    }
    let _ =
        world.back("http://x/api/auth/sso/callback?code=x", &cookie).await.expect_problem(401, "sso_failed");
    let invented = "http://x/api/auth/sso/callback?code=x&state=AAAA";
    let _ = world.back(invented, &cookie).await.expect_problem(401, "sso_failed");
    let answers = join_all((0..5).map(|_| world.back(&back, &cookie))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let _ = world.back(&back, &cookie).await.expect_problem(410, "token_spent");
    let (url, cookie) = world.start("acme.example.com").await;
    world.app.advance(Duration::from_secs(600));
    let late = world.idp.authorize(&url, &Person::new(GRACE));
    let _ = world.back(&late, &cookie).await.expect_problem(410, "token_expired");
}

/// What the console does: it sets out, keeps the cookie, and is sent the browser that comes back.
#[tokio::test]
async fn a_sign_on_for_the_console_ends_there_and_spends_nothing_on_the_way() {
    let world = World::new().await;
    let stranger = world.app.stranger();
    let start = stranger.get("/api/auth/sso/acme.example.com/start?for=console").await.expect(302);
    let cookie = start.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let back = world.idp.authorize(start.header("location").unwrap(), &Person::new(GRACE));
    let (_, query) = back.split_once("/api/auth/sso/callback?").unwrap();
    // The browser has no cookie of ours, or another site's; the redirect can be followed again.
    for other in ["", "x=y", "artisan-sign-on="] {
        let sent_on = world.back(&back, other).await.expect(303);
        assert_eq!(sent_on.header("location"), Some(&*format!("/console/sign-in/sso?{query}")));
        assert_eq!((sent_on.header("set-cookie"), &*sent_on.body), (None, ""));
    }
    // Somebody else's cookie is refused, as ever, and is not sent round in circles.
    let other = format!("artisan-sign-on={}", "A".repeat(43));
    let _ = world.back(&back, &other).await.expect_problem(401, "sso_failed");
    let session = world.back(&back, &cookie).await.expect(200);
    assert_eq!(session.text("/user/email"), GRACE);
    let me = signed_in(&world.app, &session).get("/api/auth/me").await.expect(200);
    assert_eq!(me.json["session"]["amr"], json!(["sso"]));
    let _ = world.back(&back, &cookie).await.expect_problem(410, "token_spent");
    // Any other sign-on, or none, goes nowhere else, whatever the query says.
    let (url, _) = world.start("acme.example.com").await;
    let back = world.idp.authorize(&url, &Person::new(GRACE));
    let _ = world.back(&format!("{back}&for=console"), "x=y").await.expect_problem(401, "sso_failed");
    let invented = "http://x/api/auth/sso/callback?code=x&state=AAAA&for=console";
    let _ = world.back(invented, "x=y").await.expect_problem(401, "sso_failed");
    for elsewhere in ["https://evil.example", "/console", "", "CONSOLE"] {
        let path = format!("/api/auth/sso/acme.example.com/start?for={elsewhere}");
        let _ = stranger.get(&path).await.expect_problem(422, "invalid");
    }
    // What the provider says against it reaches the console, too.
    let start = stranger.get("/api/auth/sso/acme.example.com/start?for=console").await.expect(302);
    let (_, asked) = start.header("location").unwrap().split_once("state=").unwrap();
    let state = asked.split('&').next().unwrap();
    let refused = format!("http://x/api/auth/sso/callback?error=access_denied&state={state}");
    let sent_on = world.back(&refused, "x=y").await.expect(303);
    let expected = format!("/console/sign-in/sso?error=access_denied&state={state}");
    assert_eq!(sent_on.header("location"), Some(&*expected));
}

#[tokio::test]
async fn a_provider_that_does_not_keep_to_the_protocol_is_not_believed() {
    let world = World::new().await;
    for quirk in [
        Quirk::OtherIssuer,
        Quirk::OtherIssuerInRedirect,
        Quirk::OtherAudience,
        Quirk::Expired,
        Quirk::NotYetValid,
        Quirk::OtherNonce,
        Quirk::NoNonce,
        Quirk::TamperedSignature,
        Quirk::TamperedClaims,
        Quirk::AlgNone,
        Quirk::Hs256WithPublicKey,
        Quirk::UnpublishedKey,
        Quirk::TokenError { error: "invalid_client", description: "<b>secret words</b>".to_owned() },
    ] {
        world.app.advance(Duration::from_secs(3600));
        world.idp.behave();
        world.idp.add(quirk.clone());
        let answer = world.sign_on(&Person::new(GRACE)).await;
        let answer = answer.expect_problem(401, "sso_failed");
        assert!(!answer.body.contains("secret words"), "{quirk:?}");
    }
    world.idp.behave();
    let (url, cookie) = world.start("acme.example.com").await;
    let refused = world.idp.refuse(&url, "access_denied", "no");
    let refused = world.back(&refused, &cookie).await.expect_problem(401, "sso_failed");
    assert!(refused.text("/detail").contains("turned you back"));
    assert_eq!(world.seats().await, 1, "nobody joined");
    // Keys may change at any time.
    world.app.advance(Duration::from_secs(3600));
    let _ = world.sign_on(&Person::new(GRACE)).await.expect(200);
    world.app.advance(Duration::from_secs(120));
    world.idp.rotate_keys();
    let _ = world.sign_on(&Person::new(GRACE)).await.expect(200);
    // Down while the browser is away, and before it sets out.
    let (url, cookie) = world.start("acme.example.com").await;
    let back = world.idp.authorize(&url, &Person::new(GRACE));
    world.idp.add(Quirk::Down);
    let _ = world.back(&back, &cookie).await.expect_problem(503, "unavailable");
    world.app.advance(Duration::from_secs(3600));
    let _ = world
        .app
        .stranger()
        .get("/api/auth/sso/acme.example.com/start")
        .await
        .expect_problem(503, "unavailable");
}

#[tokio::test]
async fn a_provider_speaks_for_its_own_organizations_people_only() {
    let world = World::new().await;
    let stranger = world.app.sign_up("Initech").await;
    for address in ["ceo@initech.example.com", &stranger.text("/user/email"), "x@sub.acme.example.com"] {
        let refused = world.sign_on(&Person::new(address)).await;
        let _ = refused.expect_problem(403, "domain_not_allowed");
    }
    let unproved = Person { email_verified: Some(false), ..Person::new(GRACE) };
    let _ = world.sign_on(&unproved).await.expect_problem(401, "sso_failed");
    let nameless = Person { email: None, ..Person::new(GRACE) };
    let _ = world.sign_on(&nameless).await.expect_problem(401, "sso_failed");
    assert_eq!(world.seats().await, 1);
    let _ = stranger.get("/api/auth/me").await.expect(200);
    // What it vouches for is worth nothing in another organization of the same person.
    let initech = organization(&stranger);
    let grace = known(&world.app, GRACE).await;
    add(&world.app, initech, &grace, Role::Admin).await;
    let session = signed_in(&world.app, &world.sign_on(&Person::new(GRACE)).await.expect(200));
    // Nor can it tie a second factor to somebody who has a password of their own.
    let own = "own@acme.example.com";
    let body = json!({"organization_name": "Own", "name": "Own", "email": own, "password": PASSWORD});
    let owner = world.app.stranger().post("/api/auth/signup", body).await.expect(201);
    let token = json!({"token": world.app.token_mailed_to(own).await});
    let owner = signed_in(&world.app, &owner);
    let _ = owner.post("/api/auth/email/confirm", token).await.expect(204);
    let signed_on = signed_in(&world.app, &world.sign_on(&Person::new(own)).await.expect(200));
    let enroll = signed_on.post("/api/auth/mfa/enroll", json!({"password": PASSWORD})).await;
    let _ = enroll.expect_problem(403, "sign_in_elsewhere");
    let switch = json!({"organization_id": initech.to_string()});
    let _ = session.post("/api/auth/switch", switch).await.expect_problem(403, "sign_in_elsewhere");
}

#[tokio::test]
async fn who_was_deactivated_or_finds_no_seat_stays_out() {
    let world = World::new().await;
    let World { app, acme, .. } = &world;
    alter(app, *acme, |it| it.limits.seat_limit = 1).await;
    let _ = world.sign_on(&Person::new(GRACE)).await.expect_problem(409, "limit_reached");
    alter(app, *acme, |it| it.limits.seat_limit = 2).await;
    let user = world.sign_on(&Person::new(GRACE)).await.expect(200).text("/user/id").parse().unwrap();
    let tenant = store(app).tenant_of_job(*acme);
    let before = tenant.member(user).await.unwrap().unwrap();
    let mut after = before.clone();
    after.status = MemberStatus::Deactivated;
    after.updated_at = store::touched(before.updated_at, app.now());
    let change = Change::audited(record(app, *acme)).membership(*acme, Some(&before), Some(&after)).unwrap();
    tenant.commit(change, None).await.unwrap();
    let _ = world.sign_on(&Person::new(GRACE)).await.expect_problem(403, "deactivated");
}

/// Somebody signs up with an address of the organization's before its owner signs on.
#[tokio::test]
async fn an_account_made_before_its_address_was_proved_is_made_over() {
    let world = World::new().await;
    let body = json!({"organization_name": "Trap", "name": "Mallory", "email": GRACE, "password": PASSWORD});
    let hijacker = world.app.stranger().post("/api/auth/signup", body).await.expect(201);
    let answer = world.sign_on(&Person::new(GRACE)).await.expect(200);
    assert_eq!(answer.text("/user/id"), hijacker.text("/user/id"));
    let hijacker = signed_in(&world.app, &hijacker);
    let _ = hijacker.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let _ = sign_in(&world.app, GRACE, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let _ = signed_in(&world.app, &answer).get("/api/auth/me").await.expect(200);
}

#[tokio::test]
async fn where_single_sign_on_is_required_only_the_break_glass_admin_has_a_password() {
    let world = World::new().await;
    let World { app, admin, acme, .. } = &world;
    let email = admin.text("/user/email");
    app.prove(admin).await;
    alter(app, *acme, |it| it.settings.require_sso = true).await;
    let _ = admin.get("/api/auth/me").await.expect_problem(403, "sso_required");
    let session = signed_in(app, &sign_in(app, &email, PASSWORD).await.expect(200));
    let _ = session.get("/api/auth/me").await.expect_problem(403, "sso_required");
    let _ = session.raw(http::Method::POST, "/api/auth/logout", "").await.expect(204);
    let user = admin.text("/user/id").parse().unwrap();
    alter(app, *acme, |it| it.settings.break_glass_user_id = Some(user)).await;
    app.drain().await;
    let session = signed_in(app, &sign_in(app, &email, PASSWORD).await.expect(200));
    let _ = session.get("/api/auth/me").await.expect(200);
    let all = records(app, *acme).await;
    let broken: Vec<_> = all.iter().filter(|it| it["action"] == "session.break_glass").collect();
    assert_eq!(broken.len(), 1);
    assert_eq!((&broken[0]["sensitive"], &broken[0]["compliance_relevant"]), (&json!(true), &json!(true)));
    app.drain().await;
    assert!(app.mails_to(&email)[0].text.contains("break"), "{:?}", app.mails_to(&email)[0]);
    // Who comes from another organization breaks it just as well, and so does who is of no admitted domain.
    alter(app, *acme, |it| {
        it.settings.require_sso = false;
        it.settings.allowed_domains = vec!["elsewhere.example".to_owned()];
    })
    .await;
    let identity = store(app).account(&email).await.unwrap().unwrap().identity;
    let initech = organization(&app.sign_up("Initech").await);
    add(app, initech, &identity, Role::ReadOnly).await;
    let there = crate::people::session(app, initech, &identity).await;
    let before = app.mails_to(&email).len();
    let body = json!({"organization_id": acme.to_string()});
    let _ = there.post("/api/auth/switch", body).await.expect(200);
    let all = records(app, *acme).await;
    let broken = all.iter().filter(|it| it["action"] == "session.break_glass");
    assert_eq!(broken.count(), 2);
    app.drain().await;
    assert_eq!(app.mails_to(&email).len(), before + 1);
}
