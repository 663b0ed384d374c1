//! Workspaces: made, renamed, archived, deleted; who works in them; and that they are walls.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use store::{Change, KeyStatus, Task};
use testkit::{Actor, Installation, Receiver, TestApp};

use crate::organizations::tasks;
use crate::people;

/// How long the developer API may take a workspace for what it was.
const REMEMBERED: Duration = Duration::from_secs(10);

async fn workspace(admin: &Actor, name: &str) -> String {
    admin.post("/api/admin/workspaces", json!({"name": name})).await.expect(201).text("/id")
}

fn path(id: &str) -> String {
    format!("/api/admin/workspaces/{id}")
}

/// The values of one field in a list.
fn column(list: &Value, field: &str) -> Vec<String> {
    let data = list["data"].as_array().unwrap();
    data.iter().map(|it| it[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_workspace_is_made_renamed_and_archived() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let first = admin.text("/workspaces/0/id");
    app.advance(Duration::from_millis(1));
    let made = admin.post("/api/admin/workspaces", json!({"name": " Support "})).await.expect(201);
    assert_eq!((made.text("/name"), made.text("/status")), ("Support".to_owned(), "active".to_owned()));
    let id = made.text("/id");
    let list = admin.get("/api/admin/workspaces").await.expect(200);
    assert_eq!(column(&list.json, "id"), [id.clone(), first.clone()]);
    let page = admin.get("/api/admin/workspaces?limit=1").await.expect(200);
    let rest = format!("/api/admin/workspaces?limit=1&cursor={}", page.text("/next_cursor"));
    assert_eq!(column(&admin.get(&rest).await.expect(200).json, "id"), [first]);

    let read = admin.get(&path(&id)).await.expect(200);
    let tag = read.header("etag").unwrap().to_owned();
    let renamed = admin.with("if-match", tag.clone()).patch(&path(&id), json!({"name": "Success"})).await;
    let renamed = renamed.expect(200);
    assert_eq!(renamed.text("/name"), "Success");
    assert_ne!(renamed.header("etag"), Some(tag.as_str()));
    let stale = admin.with("if-match", tag.clone());
    let _ = stale.patch(&path(&id), json!({"name": "x"})).await.expect_problem(412, "precondition_failed");
    let _ = stale.delete(&path(&id)).await.expect_problem(412, "precondition_failed");

    // Nothing in an archived workspace can be used, and all of it is there when it is active again.
    let here = admin.with("x-workspace-id", id.clone());
    let lead = here.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let archived = admin.patch(&path(&id), json!({"status": "archived"})).await.expect(200);
    assert_eq!((archived.text("/status"), archived.text("/name")), ("archived".into(), "Success".into()));
    app.advance(REMEMBERED);
    let _ = here.get("/v1/leads").await.expect_problem(409, "workspace_archived");
    let _ = here.post("/v1/campaigns", json!({"name": "x"})).await.expect_problem(409, "workspace_archived");
    for (path, body) in [
        ("/api/admin/api-keys", json!({"name": "x", "workspace_id": id})),
        ("/api/admin/webhooks", json!({"url": "https://example.com", "events": ["*"], "workspace_id": id})),
        ("/api/admin/invitations", json!({"email": "g@example.com", "role": "member", "workspace_id": id})),
    ] {
        let _ = admin.post(path, body).await.expect_problem(409, "workspace_archived");
    }
    let _ = admin.patch(&path(&id), json!({"status": "active"})).await.expect(200);
    app.advance(REMEMBERED);
    let _ = here.get(&format!("/v1/leads/{lead}")).await.expect(200);
    app.drain().await;
}

#[tokio::test]
async fn what_cannot_be_a_workspace_is_pointed_at() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let id = admin.text("/workspaces/0/id");
    for (body, pointer, code) in [
        (json!({}), "/name", "required"),
        (json!({"name": 5}), "/name", "type"),
        (json!({"name": null}), "/name", "type"),
        (json!({"name": " "}), "/name", "length"),
        (json!({"name": "x".repeat(101)}), "/name", "length"),
        (json!({"name": "a\u{0}b"}), "/name", "characters"),
        (json!({"name": "x", "status": "active"}), "/status", "unknown_field"),
    ] {
        let answer = admin.post("/api/admin/workspaces", body).await.expect_problem(422, "invalid");
        assert_eq!(
            (answer.text("/errors/0/pointer"), answer.text("/errors/0/code")),
            (pointer.into(), code.into())
        );
    }
    for (body, pointer, code) in [
        (json!({"name": ""}), "/name", "length"),
        (json!({"name": []}), "/name", "type"),
        (json!({"name": null}), "/name", "required"),
        (json!({"status": null}), "/status", "required"),
        (json!({"status": "deleted"}), "/status", "value"),
        (json!({"status": "gone"}), "/status", "type"),
        (json!({"id": "x"}), "/id", "unknown_field"),
    ] {
        let answer = admin.patch(&path(&id), body).await.expect_problem(422, "invalid");
        assert_eq!(
            (answer.text("/errors/0/pointer"), answer.text("/errors/0/code")),
            (pointer.into(), code.into())
        );
    }
    for bad in ["x", "ws_", "ws_01kaq8zr3yfe2r4m8n5p6q7s8t", "usr_01kaq8zr3yfe2r4m8n5p6q7s8t", "%00"] {
        let _ = admin.get(&path(bad)).await.expect_problem(404, "not_found");
        let _ = admin.get(&format!("{}/members", path(bad))).await.expect_problem(404, "not_found");
        let _ = admin.patch(&path(bad), json!({"name": "x"})).await.expect_problem(404, "not_found");
        let _ = admin.delete(&path(bad)).await.expect_problem(404, "not_found");
    }
    let _ = admin.raw(Method::PATCH, &path(&id), "{").await.expect_problem(400, "malformed_request");
    let member = format!("{}/members/{}", path(&id), admin.text("/user/id"));
    for (body, pointer, code) in [
        (json!({}), "/role", "required"),
        (json!({"role": "admin"}), "/role", "value"),
        (json!({"role": "owner"}), "/role", "type"),
        (json!({"role": null}), "/role", "type"),
    ] {
        let answer = admin.put(&member, body).await.expect_problem(422, "invalid");
        assert_eq!(
            (answer.text("/errors/0/pointer"), answer.text("/errors/0/code")),
            (pointer.into(), code.into())
        );
    }
    for bad in ["x", "usr_01kaq8zr3yfe2r4m8n5p6q7s8t"] {
        let member = format!("{}/members/{bad}", path(&id));
        let _ = admin.put(&member, json!({"role": "member"})).await.expect_problem(404, "not_found");
        let _ = admin.delete(&member).await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_plan_says_how_many_there_are_and_archived_ones_count() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let second = workspace(&admin, "Second").await;
    let third = admin.with("idempotency-key", "third");
    let made = third.post("/api/admin/workspaces", json!({"name": "Third"})).await.expect(201);
    let _ = admin.patch(&path(&second), json!({"status": "archived"})).await.expect(200);
    let full = admin.post("/api/admin/workspaces", json!({"name": "Fourth"})).await;
    assert!(full.expect_problem(409, "limit_reached").text("/detail").contains("3 workspaces"));
    // The third was made before; that it is full now is no answer to the same request.
    let again = third.post("/api/admin/workspaces", json!({"name": "Third"})).await.expect(201);
    assert_eq!((again.text("/id"), again.header("idempotency-replayed")), (made.text("/id"), Some("true")));
    let _ = admin.delete(&path(&second)).await.expect(204);
    let _ = workspace(&admin, "Fourth").await;
    // However many are made at the same moment.
    let other = app.sign_up("Initech").await;
    let body = json!({"name": "x"});
    let together = (0..12).map(|_| other.post("/api/admin/workspaces", body.clone()));
    let answers = futures::future::join_all(together).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2);
}

#[tokio::test]
async fn an_organization_keeps_a_workspace_that_can_be_used() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let first = admin.text("/workspaces/0/id");
    for _ in 0..2 {
        let _ =
            admin.patch(&path(&first), json!({"status": "archived"})).await.expect_problem(409, "conflict");
        let _ = admin.delete(&path(&first)).await.expect_problem(409, "conflict");
        // One that is archived is no other that can be used.
        let spare = workspace(&admin, "Spare").await;
        let _ = admin.patch(&path(&spare), json!({"status": "archived"})).await.expect(200);
    }
    let organization = app.sign_up("Initech").await;
    let (one, two) = (organization.text("/workspaces/0/id"), workspace(&organization, "Two").await);
    let archive = json!({"status": "archived"});
    for round in 0..20 {
        let (left, right) = (path(&one), path(&two));
        let both = tokio::join!(
            organization.patch(&left, archive.clone()),
            organization.patch(&right, archive.clone())
        );
        let done = [&both.0, &both.1].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(done, 1, "round {round}: {} {}", both.0.body, both.1.body);
        for id in [&one, &two] {
            let _ = organization.patch(&path(id), json!({"status": "active"})).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_workspace_with_data_is_archived_before_it_is_deleted_and_takes_along_what_is_for_it_alone() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let organization = people::organization(&admin);
    let id = workspace(&admin, "Support").await;
    let key = app.key(&admin, json!({"workspace_id": id})).await;
    let _ = key.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"workspace_id": id})).await;
    let (elsewhere, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let offer = json!({"email": "grace@example.com", "role": "member", "workspace_id": id});
    let invitation = admin.post("/api/admin/invitations", offer.clone()).await.expect(201).text("/id");
    let token = app.token_mailed_to("grace@example.com").await;

    let refused = admin.delete(&path(&id)).await.expect_problem(409, "conflict");
    assert!(refused.text("/detail").contains("Archive it first"));
    let _ = admin.patch(&path(&id), json!({"status": "archived"})).await.expect(200);
    app.advance(Duration::from_millis(1));
    let before = people::records(&app, organization).await.len();
    let deleted_at = app.now();
    let _ = admin.delete(&path(&id)).await.expect(204);
    let mut records = people::records(&app, organization).await.split_off(before);
    records.sort_by_key(|record| record["action"].as_str().unwrap().to_owned());
    let actions: Vec<_> = records.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["api_key.revoke", "endpoint.delete", "invitation.revoke", "workspace.delete"]);
    assert_eq!(records[3]["changes"], json!([{"field": "status", "before": "archived", "after": "deleted"}]));
    assert!(records.iter().all(|record| record["workspace_id"] == id.as_str()));

    let _ = key.get("/v1/leads").await.expect_problem(401, "key_revoked");
    let _ = admin.get(&format!("/api/admin/webhooks/{endpoint}")).await.expect_problem(404, "not_found");
    let _ = admin.get(&format!("/api/admin/webhooks/{elsewhere}")).await.expect(200);
    let listed = admin.get("/api/admin/invitations").await.expect(200);
    assert_eq!(column(&listed.json, "id"), [invitation]);
    assert_eq!(column(&listed.json, "status"), ["revoked"]);
    let _ = people::accept(&app, &token, people::newcomer()).await.expect_problem(410, "token_spent");
    let _ = admin.post("/api/admin/invitations", offer).await.expect_problem(404, "not_found");
    app.advance(REMEMBERED);
    let _ = admin.with("x-workspace-id", id.clone()).get("/v1/leads").await.expect_problem(404, "not_found");
    for answer in [
        admin.get(&path(&id)).await,
        admin.get(&format!("{}/members", path(&id))).await,
        admin.patch(&path(&id), json!({"status": "active"})).await,
        admin.delete(&path(&id)).await,
    ] {
        let _ = answer.expect_problem(404, "not_found");
    }
    assert!(!admin.get("/api/admin/workspaces").await.expect(200).body.contains(&id));

    // What it held is erased 30 days later.
    let due = |days: u64| {
        let at = deleted_at + Duration::from_secs(days * 24 * 3600 + 1);
        let store = people::store(&app);
        async move { tasks(&store, at).await }
    };
    assert!(due(29).await.is_empty());
    let task = Task::EraseWorkspace { organization_id: organization, workspace_id: id.parse().unwrap() };
    assert_eq!(due(30).await.into_iter().map(|due| due.task).collect::<Vec<_>>(), [task]);

    // A deletion that was cut off is taken up by the same request.
    let mut left =
        people::store(&app).tenant_of_job(organization).api_key(key.text("/id").parse().unwrap()).await;
    let left = left.as_mut().unwrap().as_mut().unwrap();
    left.id = people::ids(&app).next();
    left.locator = "00ff".repeat(5);
    left.status = KeyStatus::Active;
    let secret = store::Secret { mac: [0; 32], grants: 0, kept_days: 90 };
    let change = Change::audited(people::record(&app, organization));
    let change = change.create_api_key(organization, left, &secret).unwrap();
    people::store(&app).tenant_of_job(organization).commit(change, None).await.unwrap();
    let _ = admin.delete(&path(&id)).await.expect(204);
    let left = admin.get(&format!("/api/admin/api-keys/{}", left.id)).await.expect(200);
    assert_eq!(left.text("/status"), "revoked");
    let _ = admin.delete(&path(&id)).await.expect_problem(404, "not_found");
    app.drain().await;
}

#[tokio::test]
async fn test_data_is_data() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let id = workspace(&admin, "Sandbox").await;
    let key = app.key(&admin, json!({"workspace_id": id, "mode": "test"})).await;
    let _ = key.post("/v1/campaigns", json!({"name": "x"})).await.expect(201);
    let _ = admin.delete(&path(&id)).await.expect_problem(409, "conflict");
    app.drain().await;
}

#[tokio::test]
async fn roles_are_given_and_taken_in_a_workspace() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let organization = people::organization(&admin);
    let (first, second) = (admin.text("/workspaces/0/id"), workspace(&admin, "Second").await);
    let grace = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": first})).await;
    let user = grace.text("/user/id");
    let members = |id: &str| format!("{}/members", path(id));
    let member = |id: &str| format!("{}/members/{user}", path(id));

    let list = admin.get(&members(&first)).await.expect(200);
    let row =
        list.json["data"].as_array().unwrap().iter().find(|row| row["user_id"] == user.as_str()).unwrap();
    assert_eq!(
        *row,
        json!({"user_id": user, "email": grace.text("/user/email"), "name": "Grace", "role": "member",
            "source": "workspace", "status": "active"})
    );
    let list = admin.get(&members(&second)).await.expect(200);
    assert_eq!(column(&list.json, "source"), ["organization"], "the admin, everywhere");

    // With the next request of somebody who is signed in.
    let _ = grace.get(&path(&first)).await.expect_problem(403, "forbidden");
    app.advance(Duration::from_millis(1));
    let before = people::records(&app, organization).await.len();
    let put = admin.put(&member(&first), json!({"role": "manager"})).await.expect(200);
    assert_eq!((put.text("/role"), put.text("/source")), ("manager".to_owned(), "workspace".to_owned()));
    let records = people::records(&app, organization).await.split_off(before);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0]["changes"], json!([{"field": "role", "before": "member", "after": "manager"}]));
    assert_eq!((&records[0]["sensitive"], &records[0]["compliance_relevant"]), (&json!(true), &json!(true)));
    let _ = grace.get(&path(&first)).await.expect(200);
    let there = grace.with("x-workspace-id", second.clone());
    let _ = there.get("/v1/leads").await.expect_problem(404, "not_found");
    let _ = admin.put(&member(&second), json!({"role": "read_only"})).await.expect(200);
    let _ = there.get("/v1/leads").await.expect(200);
    let _ = there.post("/v1/leads", json!({"email": "a@example.com"})).await.expect_problem(403, "forbidden");
    let _ = admin.delete(&member(&second)).await.expect(204);
    let _ = there.get("/v1/leads").await.expect_problem(404, "not_found");
    let _ = admin.delete(&member(&second)).await.expect_problem(404, "not_found");
    // Nobody is left without a role.
    let last = admin.delete(&member(&first)).await.expect_problem(409, "conflict");
    assert!(last.text("/detail").contains("only role"));

    let _ = admin.post(&format!("/api/admin/users/{user}/deactivate"), json!({})).await.expect(200);
    let _ = admin.put(&member(&first), json!({"role": "member"})).await.expect_problem(409, "conflict");
    let _ = admin.delete(&member(&first)).await.expect_problem(409, "conflict");
    let _ = admin.post(&format!("/api/admin/users/{user}/reactivate"), json!({})).await.expect(200);
    let _ = admin.patch(&path(&second), json!({"status": "archived"})).await.expect(200);
    let archived = admin.put(&member(&second), json!({"role": "member"})).await;
    let _ = archived.expect_problem(409, "workspace_archived");
}

#[tokio::test]
async fn nobody_gives_or_takes_more_than_they_hold_in_a_workspace() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let (first, second) = (admin.text("/workspaces/0/id"), workspace(&admin, "Second").await);
    let manager = app.invite_and_join(&admin, json!({"role": "manager", "workspace_id": first})).await;
    let member = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": first})).await;
    let stranger = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": second})).await;
    let at = |workspace: &str, who: &Actor| format!("{}/members/{}", path(workspace), who.text("/user/id"));
    let refused = manager.put(&at(&first, &member), json!({"role": "manager"})).await;
    assert_eq!(refused.expect_problem(403, "forbidden").text("/permission"), "workspaces:write");

    let scopes = [
        "workspaces:write",
        "campaigns:read",
        "campaigns:write",
        "leads:read",
        "leads:write",
        "meetings:read",
        "meetings:write",
    ];
    let key = app.key(&admin, json!({"workspace_id": first, "scopes": scopes})).await;
    let _ = key.put(&at(&first, &member), json!({"role": "member"})).await.expect(200);
    let refused = key.put(&at(&first, &member), json!({"role": "manager"})).await;
    assert_eq!(refused.expect_problem(403, "forbidden").text("/permission"), "organization:read");
    // Nor does it lower or remove who holds more, nor does it reach over the wall.
    for answer in [
        key.put(&at(&first, &manager), json!({"role": "member"})).await,
        key.delete(&at(&first, &manager)).await,
        key.put(&at(&first, &admin), json!({"role": "member"})).await,
    ] {
        let _ = answer.expect_problem(403, "forbidden");
    }
    for answer in [
        key.put(&at(&second, &stranger), json!({"role": "member"})).await,
        key.delete(&at(&second, &stranger)).await,
        key.put(&at(&first, &stranger), json!({"role": "member"})).await,
        key.patch(&path(&second), json!({"name": "x"})).await,
    ] {
        let _ = answer.expect_problem(404, "not_found");
    }
    let make = key.post("/api/admin/workspaces", json!({"name": "x"})).await;
    assert_eq!(make.expect_problem(403, "forbidden").text("/permission"), "workspaces:write");
}

/// A manager and a key of one workspace, and everything of another one.
#[tokio::test]
async fn nothing_of_one_workspace_is_seen_from_another() {
    let app = Installation::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let (ours, theirs) = (admin.text("/workspaces/0/id"), workspace(&admin, "Theirs").await);
    let inside = admin.with("x-workspace-id", theirs.clone());
    let campaign = inside.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let lead = inside.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"workspace_id": theirs})).await;
    let _ = inside.post("/v1/leads", json!({"email": "b@example.com"})).await.expect(201);
    app.drain().await;
    let deliveries = admin.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    let delivery = deliveries.text("/data/0/id");
    let their_key = app.key(&admin, json!({"workspace_id": theirs})).await;
    let member = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": theirs})).await;
    let offer = json!({"email": "grace@example.com", "role": "member", "workspace_id": theirs});
    let invitation = admin.post("/api/admin/invitations", offer.clone()).await.expect(201).text("/id");
    let (key, user) = (their_key.text("/id"), member.text("/user/id"));

    let manager = app.invite_and_join(&admin, json!({"role": "manager", "workspace_id": ours})).await;
    let our_key = app.key(&admin, json!({"workspace_id": ours})).await;
    for caller in [&manager, &our_key] {
        for route in [
            "/api/admin/workspaces",
            "/api/admin/users",
            "/api/admin/invitations",
            "/api/admin/api-keys",
            "/api/admin/webhooks",
            "/api/admin/webhooks/dead-letters",
            "/v1/campaigns",
            "/v1/leads",
            &format!("{}/members", path(&ours)),
        ] {
            let list = caller.get(route).await.expect(200);
            for id in [&theirs, &campaign, &lead, &endpoint, &delivery, &key, &user, &invitation] {
                assert!(!list.body.contains(id.as_str()), "{route} shows {id}: {}", list.body);
            }
        }
        for route in [
            path(&theirs),
            format!("{}/members", path(&theirs)),
            format!("/api/admin/users/{user}"),
            format!("/api/admin/api-keys/{key}"),
            format!("/api/admin/webhooks/{endpoint}"),
            format!("/api/admin/webhooks/{endpoint}/deliveries"),
            format!("/api/admin/webhooks/deliveries/{delivery}"),
            format!("/v1/campaigns/{campaign}"),
            format!("/v1/leads/{lead}"),
        ] {
            let _ = caller.get(&route).await.expect_problem(404, "not_found");
        }
        let trespasser = caller.with("x-workspace-id", theirs.clone());
        for route in ["/v1/campaigns", "/v1/leads"] {
            let _ = trespasser.get(route).await.expect_problem(404, "not_found");
        }
        let into = json!({"email": "x@example.com", "campaign_id": campaign});
        let _ = caller.post("/v1/leads", into).await.expect_problem(404, "not_found");
    }
    // A key that may do everything in its own workspace may do nothing in another one.
    for answer in [
        our_key.delete(&path(&theirs)).await,
        our_key.patch(&path(&theirs), json!({"name": "x"})).await,
        our_key.delete(&format!("/api/admin/webhooks/{endpoint}")).await,
        our_key.delete(&format!("/api/admin/api-keys/{key}")).await,
        our_key.delete(&format!("/api/admin/invitations/{invitation}")).await,
        our_key.post(&format!("/api/admin/invitations/{invitation}/resend"), json!({})).await,
        our_key.post("/api/admin/invitations", offer).await,
        our_key.post("/api/admin/api-keys", json!({"name": "x", "workspace_id": theirs})).await,
    ] {
        let _ = answer.expect_problem(404, "not_found");
    }
    // Of somebody who works on both sides of the wall, only what is on this side shows.
    let both = json!({"workspace_roles": [
        {"workspace_id": theirs, "role": "member"}, {"workspace_id": ours, "role": "read_only"},
    ]});
    let _ = admin.patch(&format!("/api/admin/users/{user}"), both.clone()).await.expect(200);
    let seen = manager.get(&format!("/api/admin/users/{user}")).await.expect(200);
    assert_eq!(seen.json["workspace_roles"], json!([{"workspace_id": ours, "role": "read_only"}]));
    let seen = admin.get(&format!("/api/admin/users/{user}")).await.expect(200);
    assert_eq!(seen.json["workspace_roles"], both["workspace_roles"]);
    app.drain().await;
}
