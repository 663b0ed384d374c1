//! Second factors: enrolled, activated, asked for, used once, taken off.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use store::{ATTEMPT_WINDOW, Role};
use testkit::{Actor, Authenticator, PASSWORD, Response, TestApp};

use crate::people::{add, alter, known, organization, records, session, sign_in, signed_in};

async fn enroll(person: &Actor, body: Value) -> Response {
    person.post("/api/auth/mfa/enroll", body).await
}

async fn enrolled(person: &Actor) -> Authenticator {
    let enrolled = enroll(person, json!({"password": PASSWORD})).await.expect(200);
    assert!(enrolled.text("/otpauth_url").contains(&enrolled.text("/secret")));
    Authenticator::new(&enrolled.text("/secret"))
}

/// Enrolls and activates: the authenticator and the recovery codes.
async fn activated(app: &TestApp, person: &Actor) -> (Authenticator, Vec<String>) {
    let authenticator = enrolled(person).await;
    let code = json!({"code": authenticator.code(app.now())});
    let answer = person.post("/api/auth/mfa/activate", code).await.expect(200);
    let codes = answer.json["recovery_codes"].as_array().unwrap();
    assert_eq!(codes.len(), 10);
    app.advance(Duration::from_secs(30));
    (authenticator, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn verify(app: &TestApp, body: Value) -> Response {
    app.stranger().post("/api/auth/mfa/verify", body).await
}

/// The token of a sign-in that asks for the second factor.
async fn half_way(app: &TestApp, email: &str) -> String {
    let answer = sign_in(app, email, PASSWORD).await.expect(200);
    assert_eq!(answer.json["mfa_required"], true);
    assert!(answer.json.get("access_token").is_none());
    answer.text("/mfa_token")
}

#[tokio::test]
async fn once_active_a_sign_in_asks_for_a_code_that_is_good_once() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let (email, acme) = (admin.text("/user/email"), organization(&admin));
    let _ = enrolled(&admin).await;
    // Not yet active: nothing is asked for, and enrolling again replaces it.
    let _ = sign_in(&app, &email, PASSWORD).await.expect(200).text("/access_token");
    let (authenticator, _) = activated(&app, &admin).await;
    assert_eq!(admin.get("/api/auth/me").await.expect(200).json["session"]["amr"], json!(["pwd", "otp"]));
    assert_eq!(admin.get("/api/auth/me").await.expect(200).json["mfa_enabled"], true);
    let again = enroll(&admin, json!({"password": PASSWORD})).await;
    let _ = again.expect_problem(409, "conflict");
    let token = half_way(&app, &email).await;
    for wrong in [json!({"code": "000000"}), json!({"recovery_code": "0000-0000-0000-0000"})] {
        let mut body = wrong;
        body["mfa_token"] = json!(token);
        let _ = verify(&app, body).await.expect_problem(401, "invalid_code");
    }
    let code = authenticator.code(app.now());
    let body = json!({"mfa_token": token, "code": code});
    let answer = verify(&app, body.clone()).await.expect(200);
    let me = signed_in(&app, &answer).get("/api/auth/me").await.expect(200);
    assert_eq!(me.json["session"]["amr"], json!(["pwd", "otp"]));
    // The same code again, with the same token and with another one.
    let _ = verify(&app, body).await.expect_problem(401, "invalid_code");
    let other = json!({"mfa_token": half_way(&app, &email).await, "code": code});
    let _ = verify(&app, other).await.expect_problem(401, "invalid_code");
    // Nor one that is older than the last that was accepted.
    let older = authenticator.code(app.now() - Duration::from_secs(30));
    let older = json!({"mfa_token": half_way(&app, &email).await, "code": older});
    let _ = verify(&app, older).await.expect_problem(401, "invalid_code");
    app.drain().await;
    assert!(app.mails_to(&email).iter().any(|mail| mail.subject.contains("second factor")));
    let actions: Vec<_> = records(&app, acme).await.into_iter().map(|it| it["action"].clone()).collect();
    for (action, count) in [("mfa.enroll", 2), ("mfa.activate", 1)] {
        assert_eq!(actions.iter().filter(|it| *it == action).count(), count, "{action}");
    }
}

/// Somebody who holds an access token and nothing else would lock its owner out.
#[tokio::test]
async fn an_access_token_alone_enrolls_nothing() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = enroll(&admin, json!({})).await.expect_problem(422, "invalid");
    for _ in 0..10 {
        let wrong = enroll(&admin, json!({"password": "not the password"})).await;
        let _ = wrong.expect_problem(401, "invalid_credentials");
    }
    let _ = enroll(&admin, json!({"password": PASSWORD})).await.expect_problem(429, "sign_in_throttled");
    app.advance(ATTEMPT_WINDOW);
    let _ = enroll(&admin, json!({"password": PASSWORD})).await.expect(200);
    // Who has no password shows by a recent sign-in that it is them.
    let known = known(&app, "known@example.com").await;
    add(&app, organization(&admin), &known, Role::ReadOnly).await;
    let person = session(&app, organization(&admin), &known).await;
    let _ = enroll(&person, json!({})).await.expect(200);
    app.advance(Duration::from_secs(601));
    let _ = enroll(&person, json!({})).await.expect_problem(401, "session_expired");
}

#[tokio::test]
async fn of_ten_who_bring_one_code_at_once_one_gets_in() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let email = admin.text("/user/email");
    let (authenticator, recovery) = activated(&app, &admin).await;
    for answer in
        [json!({"code": authenticator.code(app.now())}), json!({"recovery_code": recovery[0].to_uppercase()})]
    {
        app.advance(ATTEMPT_WINDOW);
        let mut body = answer;
        if body.get("code").is_some() {
            body["code"] = json!(authenticator.code(app.now()));
        }
        body["mfa_token"] = json!(half_way(&app, &email).await);
        let answers = join_all((0..10).map(|_| verify(&app, body.clone()))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1);
        for refused in lost {
            let _ = refused.expect_problem(401, "invalid_code");
        }
    }
}

#[tokio::test]
async fn a_half_way_token_lasts_five_minutes_and_not_past_a_new_password() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let email = admin.text("/user/email");
    let (authenticator, recovery) = activated(&app, &admin).await;
    let token = half_way(&app, &email).await;
    app.advance(Duration::from_secs(300));
    let late = json!({"mfa_token": token, "code": authenticator.code(app.now())});
    let _ = verify(&app, late).await.expect_problem(401, "session_expired");
    let token = half_way(&app, &email).await;
    let change = json!({"current_password": PASSWORD, "new_password": "an orchard under four moons"});
    let _ = admin.post("/api/auth/password/change", change).await.expect(200);
    let stale = json!({"mfa_token": token, "recovery_code": recovery[0]});
    let _ = verify(&app, stale).await.expect_problem(401, "session_expired");
    let _ = verify(&app, json!({"code": "000000"})).await.expect_problem(422, "invalid");
    let _ = verify(&app, json!({"mfa_token": "mt_x"})).await.expect_problem(422, "invalid");
}

#[tokio::test]
async fn ten_wrong_codes_and_no_more_are_heard_for_a_while() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let email = admin.text("/user/email");
    let (authenticator, _) = activated(&app, &admin).await;
    app.advance(ATTEMPT_WINDOW);
    let token = half_way(&app, &email).await;
    for _ in 0..10 {
        let wrong = json!({"mfa_token": token, "code": "000000"});
        let _ = verify(&app, wrong).await.expect_problem(401, "invalid_code");
    }
    let right = json!({"mfa_token": token, "code": authenticator.code(app.now())});
    let _ = verify(&app, right).await.expect_problem(429, "sign_in_throttled");
    app.advance(ATTEMPT_WINDOW);
    let token = half_way(&app, &email).await;
    let right = json!({"mfa_token": token, "code": authenticator.code(app.now())});
    let _ = verify(&app, right).await.expect(200);
}

#[tokio::test]
async fn a_session_proves_more_where_the_organization_asks_for_it() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let (email, acme) = (admin.text("/user/email"), organization(&admin));
    let second = signed_in(&app, &sign_in(&app, &email, PASSWORD).await.expect(200));
    alter(&app, acme, |it| it.settings.require_mfa = true).await;
    let _ = admin.get("/api/auth/me").await.expect_problem(403, "mfa_required");
    // What leads to the proof is open.
    let (authenticator, recovery) = activated(&app, &admin).await;
    let _ = admin.get("/api/auth/me").await.expect(200);
    // The other session has not proved it, whatever its person has configured.
    let _ = second.get("/api/auth/me").await.expect_problem(403, "mfa_required");
    let code = json!({"code": authenticator.code(app.now())});
    let proved = second.post("/api/auth/mfa/verify", code).await.expect(200);
    assert_eq!(proved.json, json!({"amr": ["pwd", "otp"]}));
    let _ = second.get("/api/auth/me").await.expect(200);
    // It can't be taken off meanwhile.
    let refused = admin.delete_with("/api/auth/mfa", json!({"recovery_code": recovery[0]})).await;
    let _ = refused.expect_problem(409, "conflict");
    alter(&app, acme, |it| it.settings.require_mfa = false).await;
    app.advance(Duration::from_secs(30));
    let code = json!({"code": authenticator.code(app.now())});
    let renewed = admin.post("/api/auth/mfa/recovery-codes", code).await.expect(200);
    let void = admin.delete_with("/api/auth/mfa", json!({"recovery_code": recovery[0]})).await;
    let _ = void.expect_problem(401, "invalid_code");
    let good = json!({"recovery_code": renewed.text("/recovery_codes/9")});
    let _ = admin.delete_with("/api/auth/mfa", good).await.expect(204);
    let _ = sign_in(&app, &email, PASSWORD).await.expect(200).text("/access_token");
}

#[tokio::test]
async fn who_reaches_the_organization_sees_who_has_a_second_factor() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let manager = json!({"role": "manager", "workspace_id": workspace});
    let manager = app.invite_and_join(&admin, manager).await;
    let path = "/api/admin/users";
    let told = async |caller: &Actor| -> Vec<(Value, Option<Value>)> {
        let listed = caller.get(&format!("{path}?include=mfa")).await.expect(200);
        let users = listed.json["data"].as_array().unwrap().clone();
        users.iter().map(|user| (user["email"].clone(), user.get("mfa_enabled").cloned())).collect()
    };
    let of = |told: &[(Value, Option<Value>)], who: &Actor| {
        told.iter().find(|(email, _)| *email == who.text("/user/email")).unwrap().1.clone()
    };
    // Enrolled is not yet active.
    let _ = enrolled(&admin).await;
    assert_eq!(of(&told(&admin).await, &admin), Some(json!(false)));
    let (authenticator, _) = activated(&app, &admin).await;
    let after = told(&admin).await;
    assert_eq!((of(&after, &admin), of(&after, &manager)), (Some(json!(true)), Some(json!(false))));
    // It is nothing for those who reach a workspace, and not told unless it is asked for.
    assert!(told(&manager).await.iter().all(|(_, mfa)| mfa.is_none()));
    let plain = admin.get(path).await.expect(200);
    assert!(plain.json["data"].as_array().unwrap().iter().all(|user| user.get("mfa_enabled").is_none()));
    let _ = admin.get(&format!("{path}?include=all")).await.expect_problem(422, "invalid");
    // Signing in by it changes nothing of that, taking it off does.
    let token = half_way(&app, &admin.text("/user/email")).await;
    let code = json!({"mfa_token": token, "code": authenticator.code(app.now())});
    let admin = signed_in(&app, &verify(&app, code).await.expect(200));
    assert!(told(&admin).await.iter().any(|(_, mfa)| *mfa == Some(json!(true))));
    app.advance(Duration::from_secs(30));
    let off = json!({"code": authenticator.code(app.now())});
    let _ = admin.delete_with("/api/auth/mfa", off).await.expect(204);
    let enabled = admin.get("/api/auth/me").await.expect(200).json["mfa_enabled"].clone();
    assert_eq!(enabled, json!(false));
    assert!(told(&admin).await.iter().all(|(_, mfa)| *mfa == Some(json!(false))));
}
