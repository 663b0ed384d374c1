//! Invitations: made one by one and in bulk, sent again, withdrawn.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Actor, Installation, Response, TestApp};

use crate::people;

const ALL: &str = "/api/admin/invitations";
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn offer(email: &str) -> Value {
    json!({"email": email, "role": "read_only"})
}

async fn invite(admin: &Actor, body: Value) -> Response {
    admin.post(ALL, body).await
}

/// The admin of another session, as sessions do not outlast what these tests wait for.
async fn anew(app: &TestApp, admin: &Actor) -> Actor {
    let answer = people::sign_in(app, &admin.text("/user/email"), testkit::PASSWORD).await.expect(200);
    admin.with_token(&answer.text("/access_token"))
}

#[tokio::test]
async fn an_invitation_is_mailed_shown_and_accepted_once() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    app.advance(Duration::from_millis(1));
    let before = people::records(&app, people::organization(&admin)).await.len();
    let body = json!({"email": " Grace@Example.com", "role": "manager", "workspace_id": workspace});
    let made = invite(&admin, body).await.expect(201);
    let records = people::records(&app, people::organization(&admin)).await.split_off(before);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0]["action"], "invitation.create");
    assert_eq!(records[0]["changes"][0], json!({"field": "role", "before": null, "after": "manager"}));
    for flag in ["sensitive", "compliance_relevant", "pii_accessed"] {
        assert_eq!(records[0][flag], true, "{flag}");
    }
    assert!(!records[0].to_string().contains("grace@example.com"), "an address is not copied");
    let now = app.now();
    assert_eq!(
        made.json,
        json!({"id": made.text("/id"), "email": "grace@example.com", "role": "manager", "workspace_id": workspace,
            "status": "pending", "invited_by": admin.text("/user/id"), "expires_at": (now + WEEK).to_string(),
            "created_at": now.to_string(), "updated_at": now.to_string()})
    );
    let token = app.token_mailed_to("grace@example.com").await;
    let mail = &app.mails_to("grace@example.com")[0];
    assert!(mail.subject.contains("Acme") && mail.text.contains("Ada"), "{mail:?}");
    let list = admin.get(ALL).await.expect(200);
    assert_eq!(list.json["data"], json!([made.json]));
    assert!(!list.body.contains(&token) && !made.body.contains(&token));
    let grace = people::accept(&app, &token, people::newcomer()).await.expect(201);
    let _ = people::accept(&app, &token, people::newcomer()).await.expect_problem(410, "token_spent");
    assert_eq!(admin.get(ALL).await.expect(200).text("/data/0/status"), "accepted");
    let grace = people::signed_in(&app, &grace);
    assert_eq!(grace.get("/api/auth/me").await.expect(200).text("/workspaces/0/role"), "manager");
    let accepted = format!("{ALL}/{}", made.text("/id"));
    let _ = admin.delete(&accepted).await.expect_problem(409, "conflict");
    let _ = admin.post(&format!("{accepted}/resend"), json!({})).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn what_cannot_be_an_invitation_is_pointed_at() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let with = |role: &str| json!({"email": "g@example.com", "role": role});
    let here = |role: &str| json!({"email": "g@example.com", "role": role, "workspace_id": workspace});
    for (body, pointer, code) in [
        (json!({}), "/email", "required"),
        (json!({"email": "g@example.com"}), "/role", "required"),
        (json!({"role": "admin"}), "/email", "required"),
        (json!({"email": "nobody", "role": "admin"}), "/email", "format"),
        (json!({"email": 5, "role": "admin"}), "/email", "type"),
        (with("owner"), "/role", "type"),
        (with("manager"), "/role", "value"),
        (with("member"), "/role", "value"),
        (here("admin"), "/role", "value"),
        (
            json!({"email": "g@example.com", "role": "member", "workspace_id": "ws_1"}),
            "/workspace_id",
            "format",
        ),
        (json!({"email": "g@example.com", "role": "admin", "name": "x"}), "/name", "unknown_field"),
        (json!({"invitations": []}), "/invitations", "length"),
        (json!({"invitations": vec![offer("g@example.com"); 101]}), "/invitations", "length"),
        (json!({"invitations": {}}), "/invitations", "type"),
        (json!({"invitations": [offer("g@example.com")], "role": "admin"}), "/role", "value"),
        (json!({"invitations": [{"role": "admin"}]}), "/invitations/0/email", "required"),
        (json!({"invitations": [with("owner")]}), "/invitations/0/role", "type"),
        (
            json!({"invitations": [{"email": "g@example.com", "role": "admin", "x": 1}]}),
            "/invitations/0/x",
            "unknown_field",
        ),
    ] {
        let answer = invite(&admin, body.clone()).await.expect_problem(422, "invalid");
        let fault = (answer.text("/errors/0/pointer"), answer.text("/errors/0/code"));
        assert_eq!(fault, (pointer.to_owned(), code.to_owned()), "{body}");
    }
    for bad in ["x", "inv_", "inv_01kaq8zr3yfe2r4m8n5p6q7s8t"] {
        let _ = admin.delete(&format!("{ALL}/{bad}")).await.expect_problem(404, "not_found");
        let _ = admin.post(&format!("{ALL}/{bad}/resend"), json!({})).await.expect_problem(404, "not_found");
    }
    assert_eq!(admin.get(ALL).await.expect(200).json["data"], json!([]));
}

#[tokio::test]
async fn who_is_in_or_invited_is_not_invited_again() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let own = invite(&admin, offer("ADMIN0@example.com")).await.expect_problem(409, "conflict");
    assert!(own.text("/detail").contains("member"), "{}", own.body);
    let grace = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let user = format!("/api/admin/users/{}", grace.text("/user/id"));
    let _ = admin.post(&format!("{user}/deactivate"), json!({})).await.expect(200);
    let out = invite(&admin, offer(&grace.text("/user/email"))).await.expect_problem(409, "conflict");
    assert!(out.text("/detail").contains("member"), "reactivate them instead: {}", out.body);

    let once = admin.with("idempotency-key", "one");
    let first = invite(&once, offer("new@example.com")).await.expect(201);
    let same = invite(&once, offer("new@example.com")).await.expect(201);
    assert_eq!((same.text("/id"), same.header("idempotency-replayed")), (first.text("/id"), Some("true")));
    let _ = invite(&once, offer("other@example.com")).await.expect_problem(422, "idempotency_key_reused");
    let open = invite(&admin, offer("New@example.com")).await.expect_problem(409, "conflict");
    assert!(open.text("/detail").contains("open invitation"), "{}", open.body);
    // Of many at the same moment one.
    let together = (0..10).map(|_| invite(&admin, offer("crowd@example.com")));
    let answers = futures::future::join_all(together).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    // Another organization's invitations and members are its own affair.
    let other = app.sign_up("Initech").await;
    for email in ["new@example.com", "admin0@example.com"] {
        let _ = invite(&other, offer(email)).await.expect(201);
    }
    app.drain().await;
    assert_eq!(app.mails_to("crowd@example.com").len(), 1);
    assert_eq!(app.mails_to("new@example.com").len(), 2);
}

#[tokio::test]
async fn an_invitation_is_good_for_seven_days_and_can_be_sent_again() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let made = invite(&admin, offer("grace@example.com")).await.expect(201);
    let resend = format!("{ALL}/{}/resend", made.text("/id"));
    let first = app.token_mailed_to("grace@example.com").await;
    app.advance(Duration::from_millis(1));
    let before = people::records(&app, people::organization(&admin)).await.len();
    let again = admin.with("idempotency-key", "again").post(&resend, json!({})).await.expect(200);
    let replay = admin.with("idempotency-key", "again").post(&resend, json!({})).await.expect(200);
    assert_eq!((replay.header("idempotency-replayed"), &replay.json), (Some("true"), &again.json));
    assert_eq!(again.text("/expires_at"), (app.now() + WEEK).to_string());
    let records = people::records(&app, people::organization(&admin)).await.split_off(before);
    assert_eq!(records.iter().map(|it| it["action"].clone()).collect::<Vec<_>>(), ["invitation.resend"]);
    let second = app.token_mailed_to("grace@example.com").await;
    assert_eq!(app.mails_to("grace@example.com").len(), 2);
    assert_ne!(first, second);
    let _ = people::accept(&app, &first, people::newcomer()).await.expect_problem(410, "token_spent");

    app.advance(WEEK);
    let admin = anew(&app, &admin).await;
    assert_eq!(admin.get(ALL).await.expect(200).text("/data/0/status"), "expired");
    let _ = people::accept(&app, &second, people::newcomer()).await.expect_problem(410, "token_expired");
    let renewed = admin.post(&resend, json!({})).await.expect(200);
    assert_eq!(renewed.text("/status"), "pending");
    let third = app.token_mailed_to("grace@example.com").await;
    let _ = people::accept(&app, &third, people::newcomer()).await.expect(201);
}

#[tokio::test]
async fn an_expired_invitation_stands_in_nobodys_way() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let old = invite(&admin, offer("grace@example.com")).await.expect(201).text("/id");
    app.advance(WEEK);
    let admin = anew(&app, &admin).await;
    let new = invite(&admin, offer("grace@example.com")).await.expect(201).text("/id");
    // The old one is not sent again beside the new one, and its withdrawal does not touch it.
    let resend = admin.post(&format!("{ALL}/{old}/resend"), json!({})).await.expect_problem(409, "conflict");
    assert!(resend.text("/detail").contains("newer"), "{}", resend.body);
    let _ = admin.delete(&format!("{ALL}/{old}")).await.expect(204);
    let _ = invite(&admin, offer("grace@example.com")).await.expect_problem(409, "conflict");
    let token = app.token_mailed_to("grace@example.com").await;
    let _ = people::accept(&app, &token, people::newcomer()).await.expect(201);
    let list = admin.get(ALL).await.expect(200);
    let shown: Vec<_> =
        list.json["data"].as_array().unwrap().iter().map(|it| (&it["id"], &it["status"])).collect();
    assert_eq!(shown, [(&json!(new), &json!("accepted")), (&json!(old), &json!("revoked"))]);
}

#[tokio::test]
async fn a_revoked_invitation_is_good_for_nothing_and_the_address_free_again() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let id = invite(&admin, offer("grace@example.com")).await.expect(201).text("/id");
    let token = app.token_mailed_to("grace@example.com").await;
    app.advance(Duration::from_millis(1));
    let before = people::records(&app, people::organization(&admin)).await.len();
    let _ = admin.delete(&format!("{ALL}/{id}")).await.expect(204);
    let records = people::records(&app, people::organization(&admin)).await.split_off(before);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0]["changes"], json!([{"field": "status", "before": "pending", "after": "revoked"}]));
    let _ = people::accept(&app, &token, people::newcomer()).await.expect_problem(410, "token_spent");
    let _ = admin.delete(&format!("{ALL}/{id}")).await.expect_problem(409, "conflict");
    let _ = admin.post(&format!("{ALL}/{id}/resend"), json!({})).await.expect_problem(409, "conflict");
    let _ = invite(&admin, offer("grace@example.com")).await.expect(201);
    // Revoked or accepted, never both.
    for round in 0..10 {
        let email = format!("racer{round}@example.com");
        let id = invite(&admin, offer(&email)).await.expect(201).text("/id");
        let token = app.token_mailed_to(&email).await;
        let path = format!("{ALL}/{id}");
        let (revoked, accepted) =
            tokio::join!(admin.delete(&path), people::accept(&app, &token, people::newcomer()));
        assert!((revoked.status == 204) != (accepted.status == 201), "{} {}", revoked.body, accepted.body);
        if accepted.status == 201 {
            let user = format!("/api/admin/users/{}", accepted.text("/user/id"));
            let _ = admin.delete(&user).await.expect(204);
        }
    }
    app.drain().await;
}

#[tokio::test]
async fn only_those_are_invited_whom_the_organization_admits() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let early = invite(&admin, offer("early@else.example")).await.expect(201).text("/id");
    people::alter(&app, people::organization(&admin), |it| {
        it.settings.allowed_domains = vec!["example.com".to_owned()];
    })
    .await;
    let _ = invite(&admin, offer("grace@else.example")).await.expect_problem(403, "domain_not_allowed");
    let resend = admin.post(&format!("{ALL}/{early}/resend"), json!({})).await;
    let _ = resend.expect_problem(403, "domain_not_allowed");
    let _ = invite(&admin, offer("grace@example.com")).await.expect(201);
    app.drain().await;
}

#[tokio::test]
async fn nobody_offers_more_than_they_hold() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let second = admin.post("/api/admin/workspaces", json!({"name": "Second"})).await.expect(201).text("/id");
    let mut scopes = vec!["users:read", "users:write"];
    scopes.extend([
        "campaigns:read",
        "campaigns:write",
        "leads:read",
        "leads:write",
        "meetings:read",
        "meetings:write",
    ]);
    let key = app.key(&admin, json!({"name": "HR", "scopes": scopes})).await;
    let bound = app.key(&admin, json!({"scopes": scopes, "workspace_id": workspace})).await;
    let to = |role: &str, workspace: Option<&str>| json!({"email": "g@example.com", "role": role, "workspace_id": workspace});
    for (caller, body, permission) in [
        (&key, to("admin", None), "organization:read"),
        (&key, to("read_only", None), "organization:read"),
        (&key, to("manager", Some(&workspace)), "organization:read"),
        (&bound, to("read_only", None), "organization:read"),
        (&bound, to("manager", Some(&workspace)), "organization:read"),
    ] {
        let refused = invite(caller, body.clone()).await.expect_problem(403, "forbidden");
        assert_eq!(refused.text("/permission"), permission, "{body}");
    }
    let _ = invite(&bound, to("member", Some(&second))).await.expect_problem(404, "not_found");
    let _ = invite(&bound, to("member", Some(&workspace))).await.expect(201);
    app.drain().await;
    assert!(app.mails_to("g@example.com")[0].text.contains("An administrator"));
    let admins =
        invite(&admin, json!({"email": "a@example.com", "role": "admin"})).await.expect(201).text("/id");
    let refused =
        key.post(&format!("{ALL}/{admins}/resend"), json!({})).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "organization:read");
    // A key of one workspace sees what is offered there.
    let seen = bound.get(ALL).await.expect(200);
    assert_eq!(seen.json["data"].as_array().unwrap().len(), 1);
    let _ = bound.delete(&format!("{ALL}/{admins}")).await.expect_problem(404, "not_found");
    app.drain().await;
}

#[tokio::test]
async fn many_are_invited_each_for_themselves() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let second = admin.post("/api/admin/workspaces", json!({"name": "Second"})).await.expect(201).text("/id");
    let _ = admin
        .patch(&format!("/api/admin/workspaces/{second}"), json!({"status": "archived"}))
        .await
        .expect(200);
    let _ = invite(&admin, offer("open@example.com")).await.expect(201);
    people::alter(&app, people::organization(&admin), |it| {
        it.settings.allowed_domains = vec!["example.com".to_owned()];
    })
    .await;
    let to = |email: &str, role: &str, workspace: &str| json!({"email": email, "role": role, "workspace_id": workspace});
    let rows = json!({"invitations": [
        offer("one@example.com"),
        to("two@example.com", "manager", &workspace),
        offer("ONE@example.com"),
        offer("admin0@example.com"),
        offer("open@example.com"),
        offer("three@else.example"),
        offer("nobody"),
        to("four@example.com", "admin", &workspace),
        to("five@example.com", "member", &second),
        to("six@example.com", "member", "ws_01m81wjar3e5t8k5m7m9k23x72"),
        offer("seven@example.com"),
    ]});
    let answer = invite(&admin, rows.clone()).await.expect(200);
    let data = answer.json["data"].as_array().unwrap();
    let outcomes: Vec<_> = data
        .iter()
        .map(|row| (row["email"].as_str().unwrap(), row["problem"]["code"].as_str().unwrap_or("invited")))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("one@example.com", "invited"),
            ("two@example.com", "invited"),
            ("one@example.com", "conflict"),
            ("admin0@example.com", "conflict"),
            ("open@example.com", "conflict"),
            ("three@else.example", "domain_not_allowed"),
            ("nobody", "invalid"),
            ("four@example.com", "invalid"),
            ("five@example.com", "workspace_archived"),
            ("six@example.com", "not_found"),
            ("seven@example.com", "invited"),
        ]
    );
    for row in data {
        let invited = row["status"] == "invited";
        assert_eq!(
            (row.get("invitation").is_some(), row.get("problem").is_some()),
            (invited, !invited),
            "{row}"
        );
        assert!(invited || !row["problem"]["detail"].as_str().unwrap().is_empty(), "{row}");
    }
    assert_eq!(data[1]["invitation"]["role"], "manager");
    // The same request again invites nobody twice.
    let again = invite(&admin, rows).await.expect(200);
    assert!(again.json["data"].as_array().unwrap().iter().all(|row| row["status"] == "refused"));
    app.drain().await;
    for email in ["one@example.com", "two@example.com", "seven@example.com"] {
        assert_eq!(app.mails_to(email).len(), 1, "{email}");
    }
    // One hundred at once.
    let rows: Vec<_> = (0..100).map(|number| offer(&format!("crowd{number}@example.com"))).collect();
    let answer = invite(&admin, json!({"invitations": rows})).await.expect(200);
    let data = answer.json["data"].as_array().unwrap();
    assert!(data.iter().all(|row| row["status"] == "invited"), "{}", answer.body);
    assert!(
        data.iter().zip(&rows).all(|(row, sent)| row["email"] == sent["email"]),
        "in the order of the request"
    );
    // What the caller does not hold is refused row by row as well.
    let key = app.key(&admin, json!({"scopes": ["users:write"]})).await;
    let refused = invite(&key, json!({"invitations": [offer("x@example.com")]})).await.expect(200);
    assert_eq!(refused.text("/data/0/problem/code"), "forbidden");
    app.drain().await;
}
