//! Members: what they hold, whether they may come in, how they go; and the matrix of roles.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Actor, Installation, TestApp};

use crate::people;

fn path(who: &Actor) -> String {
    format!("/api/admin/users/{}", who.text("/user/id"))
}

async fn post(caller: &Actor, path: &str) -> testkit::Response {
    caller.post(path, json!({})).await
}

/// The active admins, as `caller` sees them.
async fn admins(caller: &Actor) -> usize {
    let list = caller.get("/api/admin/users?limit=100").await.expect(200);
    let users = list.json["data"].as_array().unwrap();
    users.iter().filter(|user| user["role"] == "admin" && user["status"] == "active").count()
}

/// What exactly one more audit record says.
async fn one_more_record(app: &TestApp, admin: &Actor, seen: &mut usize) -> Value {
    let records = people::records(app, people::organization(admin)).await;
    assert_eq!(records.len(), *seen + 1, "{records:#?}");
    *seen += 1;
    app.advance(Duration::from_millis(1));
    records.into_iter().max_by_key(|record| record["id"].as_str().map(str::to_owned)).unwrap()
}

#[tokio::test]
async fn members_are_listed_and_read() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    app.advance(Duration::from_millis(1));
    let grace = app.invite_and_join(&admin, json!({"role": "manager", "workspace_id": workspace})).await;
    let read = admin.get(&path(&grace)).await.expect(200);
    assert!(read.header("etag").is_some());
    let now = app.now().to_string();
    assert_eq!(
        read.json,
        json!({"id": grace.text("/user/id"), "email": grace.text("/user/email"), "name": "Grace", "role": null,
            "workspace_roles": [{"workspace_id": workspace, "role": "manager"}], "status": "active",
            "created_at": now, "updated_at": now})
    );
    let first = admin.get("/api/admin/users?limit=1").await.expect(200);
    assert_eq!(first.json["data"][0], read.json);
    let second = format!("/api/admin/users?limit=1&cursor={}", first.text("/next_cursor"));
    let second = admin.get(&second).await.expect(200);
    assert_eq!(
        (second.text("/data/0/role"), second.json["next_cursor"].clone()),
        ("admin".into(), Value::Null)
    );
    // A manager sees who shares the workspace, and nobody without a role there that allows it sees anybody.
    let seen = grace.get("/api/admin/users").await.expect(200);
    assert_eq!(seen.json["data"].as_array().unwrap().len(), 2);
    let member = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": workspace})).await;
    let refused = member.get("/api/admin/users").await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "users:read");
    let _ = member.get(&path(&member)).await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn people_are_found_by_name_and_address_by_those_who_see_them() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let grace = app.invite_and_join(&admin, json!({"role": "manager", "workspace_id": workspace})).await;
    let elsewhere = admin.post("/api/admin/workspaces", json!({"name": "Elsewhere"})).await.expect(201);
    let there = json!({"role": "member", "workspace_id": elsewhere.text("/id")});
    let unseen = [app.invite_and_join(&admin, there.clone()).await, app.invite_and_join(&admin, there).await];
    for (who, name) in unseen.iter().zip(["Katherine", "Dorothy"]) {
        let path = format!("/api/admin/users/{}", who.text("/user/id"));
        let _ = admin.patch(&path, json!({"name": format!("{name} of Langley")})).await.expect(200);
    }
    let found = async |who: &Actor, query: &str| {
        let page = who.get(&format!("/api/admin/users?{query}")).await.expect(200);
        let ids: Vec<String> =
            page.json["data"].as_array().unwrap().iter().map(|it| it["id"].to_string()).collect();
        (ids.len(), page.json["next_cursor"].is_null())
    };
    assert_eq!(found(&admin, "search=LANGLEY").await, (2, true));
    assert_eq!(found(&admin, "search=langley&limit=1").await, (1, false));
    assert_eq!(found(&admin, &format!("search={}", grace.text("/user/email"))).await, (1, true));
    // Nothing tells a manager of another workspace of them, not even that there would be more.
    assert_eq!(found(&grace, "search=langley&limit=1").await, (0, true));
    assert_eq!(found(&grace, &format!("search={}", grace.text("/user/email"))).await, (1, true));
}

#[tokio::test]
async fn what_cannot_be_a_change_is_pointed_at() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let grace = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let held = |role: &str| json!({"workspace_id": workspace, "role": role});
    for (body, pointer, code) in [
        (json!({"role": "manager"}), "/role", "value"),
        (json!({"role": "member"}), "/role", "value"),
        (json!({"role": "owner"}), "/role", "type"),
        (json!({"role": 5}), "/role", "type"),
        (json!({"role": null}), "/role", "required"),
        (json!({"name": " "}), "/name", "length"),
        (json!({"name": null}), "/name", "required"),
        (json!({"workspace_roles": null}), "/workspace_roles", "required"),
        (json!({"name": "x".repeat(101)}), "/name", "length"),
        (json!({"email": "x@example.com"}), "/email", "unknown_field"),
        (json!({"status": "active"}), "/status", "unknown_field"),
        (json!({"workspace_roles": {}}), "/workspace_roles", "type"),
        (json!({"workspace_roles": [held("admin")]}), "/workspace_roles/0/role", "value"),
        (
            json!({"workspace_roles": [held("member"), held("manager")]}),
            "/workspace_roles/1/workspace_id",
            "value",
        ),
        (
            json!({"workspace_roles": [{"workspace_id": "ws_1", "role": "member"}]}),
            "/workspace_roles/0/workspace_id",
            "format",
        ),
        (json!({"workspace_roles": [{"role": "member"}]}), "/workspace_roles/0/workspace_id", "required"),
    ] {
        let answer = admin.patch(&path(&grace), body.clone()).await.expect_problem(422, "invalid");
        let fault = (answer.text("/errors/0/pointer"), answer.text("/errors/0/code"));
        assert_eq!(fault, (pointer.to_owned(), code.to_owned()), "{body}");
    }
    let unknown =
        json!({"workspace_roles": [{"workspace_id": "ws_01kaq8zr3yfe2r4m8n5p6q7s8t", "role": "member"}]});
    let unknown = admin.patch(&path(&grace), unknown).await;
    assert!(matches!(unknown.status.as_u16(), 404 | 422), "{}", unknown.body);
    let _ =
        admin.raw(Method::PATCH, &path(&grace), "nonsense").await.expect_problem(400, "malformed_request");
    for bad in ["x", "usr_", "usr_01kaq8zr3yfe2r4m8n5p6q7s8t", "%F0%28"] {
        let path = format!("/api/admin/users/{bad}");
        let _ = admin.get(&path).await.expect_problem(404, "not_found");
        let _ = admin.patch(&path, json!({})).await.expect_problem(404, "not_found");
        let _ = admin.delete(&path).await.expect_problem(404, "not_found");
        let _ = post(&admin, &format!("{path}/deactivate")).await.expect_problem(404, "not_found");
        let _ = post(&admin, &format!("{path}/reactivate")).await.expect_problem(404, "not_found");
    }
    // Nothing of this was done.
    assert_eq!(admin.get(&path(&grace)).await.expect(200).json["role"], "read_only");
}

#[tokio::test]
async fn a_change_counts_from_the_next_request_on() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let grace = app.invite_and_join(&admin, json!({"role": "admin"})).await;
    let _ = post(&grace, "/api/admin/workspaces").await.expect_problem(422, "invalid");
    let tag = admin.get(&path(&grace)).await.expect(200).header("etag").unwrap().to_owned();
    let tagged = admin.with("if-match", tag);
    let demoted = tagged.patch(&path(&grace), json!({"role": "read_only"})).await.expect(200);
    assert_eq!(demoted.text("/role"), "read_only");
    let refused = post(&grace, "/api/admin/workspaces").await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "workspaces:write");
    for stale in
        [tagged.patch(&path(&grace), json!({"role": "admin"})).await, tagged.delete(&path(&grace)).await]
    {
        let _ = stale.expect_problem(412, "precondition_failed");
    }
    let moved = json!({"role": null, "workspace_roles": [{"workspace_id": workspace, "role": "member"}]});
    let _ = admin.patch(&path(&grace), moved).await.expect(200);
    let _ = grace.get("/api/admin/users").await.expect_problem(403, "forbidden");
    let _ = grace.get("/v1/leads").await.expect(200);

    let _ = post(&admin, &format!("{}/deactivate", path(&grace))).await.expect(200);
    for route in ["/v1/leads", "/api/auth/me", "/api/admin/roles"] {
        let _ = grace.get(route).await.expect_problem(401, "session_expired");
    }
    let back = post(&admin, &format!("{}/reactivate", path(&grace))).await.expect(200);
    assert_eq!(
        (back.text("/status"), back.text("/workspace_roles/0/role")),
        ("active".into(), "member".into())
    );
    let answer = people::sign_in(&app, &grace.text("/user/email"), testkit::PASSWORD).await.expect(200);
    let grace = grace.with_token(&answer.text("/access_token"));
    let _ = grace.get("/v1/leads").await.expect(200);
    let _ = admin.delete(&path(&grace)).await.expect(204);
    let _ = grace.get("/v1/leads").await.expect_problem(401, "session_expired");
    let _ = admin.get(&path(&grace)).await.expect_problem(404, "not_found");
    // Whoever was removed may be invited again.
    let again =
        app.invite_and_join(&admin, json!({"email": grace.text("/user/email"), "role": "read_only"})).await;
    assert_eq!(again.text("/user/id"), grace.text("/user/id"), "one identity for one address");
}

#[tokio::test]
async fn each_change_leaves_one_record_that_tells_it() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let grace = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    app.advance(Duration::from_millis(1));
    let mut seen = people::records(&app, people::organization(&admin)).await.len();
    let held = json!([{"workspace_id": workspace, "role": "member"}]);
    let change = json!({"name": "Rear Admiral", "role": null, "workspace_roles": held});
    let _ = admin.patch(&path(&grace), change).await.expect(200);
    let record = one_more_record(&app, &admin, &mut seen).await;
    assert_eq!((&record["action"], &record["resource_type"]), (&json!("user.update"), &json!("user")));
    assert_eq!(record["resource_id"].as_str(), Some(&*grace.text("/user/id")));
    assert_eq!(
        record["changes"],
        json!([
            {"field": "role", "before": "read_only", "after": null},
            {"field": "workspace_roles", "before": [], "after": held},
            {"field": "name", "before": null, "after": null},
        ])
    );
    for flag in ["sensitive", "compliance_relevant", "pii_accessed"] {
        assert_eq!(record[flag], true, "{flag}");
    }
    for (action, before, after) in
        [("deactivate", "active", "deactivated"), ("reactivate", "deactivated", "active")]
    {
        let once = admin.with("idempotency-key", action);
        for _ in 0..2 {
            let _ = post(&once, &format!("{}/{action}", path(&grace))).await.expect(200);
        }
        let record = one_more_record(&app, &admin, &mut seen).await;
        assert_eq!(record["action"], format!("user.{action}"));
        assert_eq!(record["changes"], json!([{"field": "status", "before": before, "after": after}]));
        // Said anew it is no repetition, and refused.
        let again = post(&admin, &format!("{}/{action}", path(&grace))).await.expect_problem(409, "conflict");
        assert!(again.text("/detail").contains("already"), "{}", again.body);
    }
    let _ = admin.delete(&path(&grace)).await.expect(204);
    let record = one_more_record(&app, &admin, &mut seen).await;
    assert_eq!(record["action"], "user.remove");
    assert_eq!(record["changes"][0], json!({"field": "workspace_roles", "before": held, "after": []}));
    assert_eq!(record["changes"][1], json!({"field": "status", "before": "active", "after": null}));
    assert!(!record["changes"].to_string().contains("Admiral"), "a name is not copied");
}

#[tokio::test]
async fn nobody_gives_or_takes_more_than_they_hold() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let reader = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let member = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": workspace})).await;
    for (answer, permission) in [
        (reader.patch(&path(&member), json!({"name": "x"})).await, "users:write"),
        (reader.delete(&path(&member)).await, "users:delete"),
        (post(&reader, &format!("{}/deactivate", path(&member))).await, "users:write"),
        (post(&reader, &format!("{}/reactivate", path(&member))).await, "users:write"),
        (
            reader.post("/api/admin/invitations", json!({"email": "x@example.com", "role": "admin"})).await,
            "users:write",
        ),
    ] {
        assert_eq!(answer.expect_problem(403, "forbidden").text("/permission"), permission);
    }
    let work =
        ["campaigns:read", "campaigns:write", "leads:read", "leads:write", "meetings:read", "meetings:write"];
    let mut scopes = vec!["users:read", "users:write", "users:delete"];
    scopes.extend(work);
    let key = app.key(&admin, json!({"scopes": scopes})).await;
    // As much as it holds itself.
    let held = |role: &str| json!({"workspace_roles": [{"workspace_id": workspace, "role": role}]});
    let _ = key.patch(&path(&member), held("member")).await.expect(200);
    let refused = key.patch(&path(&member), held("manager")).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "organization:read");
    let refused = key.patch(&path(&member), json!({"role": "admin"})).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "organization:read");
    // Nothing of those who hold more.
    for target in [&admin, &reader] {
        for answer in [
            key.patch(&path(target), json!({"name": "x"})).await,
            key.delete(&path(target)).await,
            post(&key, &format!("{}/deactivate", path(target))).await,
            post(&key, &format!("{}/reactivate", path(target))).await,
        ] {
            assert_eq!(answer.expect_problem(403, "forbidden").text("/permission"), "organization:read");
        }
    }
    let _ = post(&key, &format!("{}/deactivate", path(&member))).await.expect(200);
    let _ = key.delete(&path(&member)).await.expect(204);
    // A key of one workspace has no say in the organization's people.
    let bound = app.key(&admin, json!({"workspace_id": workspace})).await;
    let _ = bound.patch(&path(&reader), json!({"name": "x"})).await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn everybody_may_leave_but_the_last_admin() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let member = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": workspace})).await;
    let other = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": workspace})).await;
    let refused = member.delete(&path(&other)).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "users:delete");
    let _ = member.delete(&path(&member)).await.expect(204);
    let _ = member.get("/api/auth/me").await.expect_problem(401, "session_expired");
    for answer in [
        admin.delete(&path(&admin)).await,
        admin.patch(&path(&admin), json!({"role": "read_only"})).await,
        post(&admin, &format!("{}/deactivate", path(&admin))).await,
    ] {
        let _ = answer.expect_problem(409, "last_admin");
    }
    // Round and round: whoever it is, one is left.
    let second = app.invite_and_join(&admin, json!({"role": "admin"})).await;
    let _ = admin.patch(&path(&admin), json!({"role": "read_only"})).await.expect(200);
    let alone = second.patch(&path(&second), json!({"role": "read_only"})).await;
    let _ = alone.expect_problem(409, "last_admin");
    let _ = second.patch(&path(&admin), json!({"role": "admin"})).await.expect(200);
    let _ = post(&admin, &format!("{}/deactivate", path(&second))).await.expect(200);
    // Who is deactivated is no admin to be counted on.
    let _ = admin.delete(&path(&admin)).await.expect_problem(409, "last_admin");
    let _ = admin.patch(&path(&second), json!({"role": "read_only"})).await.expect(200);
    let _ = post(&admin, &format!("{}/reactivate", path(&second))).await.expect(200);
    let _ = admin.patch(&path(&admin), json!({"role": "read_only"})).await.expect_problem(409, "last_admin");
    assert_eq!(admins(&admin).await, 1);
}

#[tokio::test]
async fn two_admins_who_put_each_other_down_leave_one() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut pair = [admin.clone(), app.invite_and_join(&admin, json!({"role": "admin"})).await];
    let down = json!({"role": "read_only"});
    for round in 0..40 {
        let [one, two] = &pair;
        let (to_two, to_one) = (path(two), path(one));
        let (left, right) = tokio::join!(one.patch(&to_two, down.clone()), two.patch(&to_one, down.clone()));
        let done = [&left, &right].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(done, 1, "round {round}: {} {}", left.body, right.body);
        if left.status != 200 {
            pair.reverse();
        }
        let [standing, fallen] = &pair;
        assert_eq!(admins(standing).await, 1, "round {round}");
        let _ = standing.patch(&path(fallen), json!({"role": "admin"})).await.expect(200);
    }
    // And so do two who walk out at the same moment.
    let [one, two] = &pair;
    let (out, also) = (path(one), path(two));
    let (left, right) = tokio::join!(one.delete(&out), two.delete(&also));
    assert_eq!([&left, &right].iter().filter(|answer| answer.status == 204).count(), 1);
}

#[tokio::test]
async fn the_break_glass_admin_stays_one_until_the_settings_say_otherwise() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let organization = people::organization(&admin);
    let keeper = app.invite_and_join(&admin, json!({"role": "admin"})).await;
    let id = keeper.text("/user/id").parse().unwrap();
    people::alter(&app, organization, |it| it.settings.break_glass_user_id = Some(id)).await;
    for answer in [
        admin.delete(&path(&keeper)).await,
        keeper.delete(&path(&keeper)).await,
        admin.patch(&path(&keeper), json!({"role": "read_only"})).await,
        post(&admin, &format!("{}/deactivate", path(&keeper))).await,
    ] {
        let detail = answer.expect_problem(409, "conflict").text("/detail");
        assert!(detail.contains("break-glass"), "{detail}");
    }
    let _ = admin.patch(&path(&keeper), json!({"name": "Keeper"})).await.expect(200);
    people::alter(&app, organization, |it| it.settings.break_glass_user_id = None).await;
    let _ = admin.delete(&path(&keeper)).await.expect(204);
}

#[tokio::test]
async fn a_role_in_a_workspace_that_is_gone_is_no_role() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let first = admin.text("/workspaces/0/id");
    let made = admin.post("/api/admin/workspaces", json!({"name": "Second"})).await.expect(201);
    let second = made.text("/id");
    let roles = json!({"role": "member", "workspace_id": second});
    let grace = app.invite_and_join(&admin, roles).await;
    let both = json!({"workspace_roles": [
        {"workspace_id": first, "role": "member"}, {"workspace_id": second, "role": "member"},
    ]});
    let _ = admin.patch(&path(&grace), both).await.expect(200);
    let _ = admin.delete(&format!("/api/admin/workspaces/{second}")).await.expect(204);
    let seen = admin.get(&path(&grace)).await.expect(200);
    assert_eq!(seen.json["workspace_roles"], json!([{"workspace_id": first, "role": "member"}]));
    let last = format!("/api/admin/workspaces/{first}/members/{}", grace.text("/user/id"));
    let _ = admin.delete(&last).await.expect_problem(409, "conflict");
    let none = json!({"workspace_roles": []});
    let _ = admin.patch(&path(&grace), none).await.expect_problem(422, "invalid");
}

#[tokio::test]
async fn a_seat_is_free_when_its_member_is_out() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut members = Vec::new();
    for _ in 0..4 {
        members.push(app.invite_and_join(&admin, json!({"role": "read_only"})).await);
    }
    // Inviting is free; joining takes a seat.
    let late = json!({"email": "late@example.com", "role": "read_only"});
    let _ = admin.post("/api/admin/invitations", late).await.expect(201);
    let token = app.token_mailed_to("late@example.com").await;
    let full = people::accept(&app, &token, people::newcomer()).await.expect_problem(409, "limit_reached");
    assert!(full.text("/detail").contains("5 seats"), "{}", full.body);
    let _ = post(&admin, &format!("{}/deactivate", path(&members[0]))).await.expect(200);
    let _ = people::accept(&app, &token, people::newcomer()).await.expect(201);
    let full = post(&admin, &format!("{}/reactivate", path(&members[0]))).await;
    assert!(full.expect_problem(409, "limit_reached").text("/detail").contains("5 seats"));
    let _ = admin.delete(&path(&members[1])).await.expect(204);
    let _ = post(&admin, &format!("{}/reactivate", path(&members[0]))).await.expect(200);
}

/// Fifty who want one of the last three seats, again and again: three get one, each time.
#[tokio::test]
async fn the_last_seats_are_given_to_as_many_as_there_are() {
    const CROWD: usize = 50;
    const ROUNDS: usize = 100;
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 1_000_000})).await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let member = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
        let _ = post(&key, &format!("{}/deactivate", path(&member))).await.expect(200);
        crowd.push(path(&member));
    }
    let _ = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    for round in 0..ROUNDS {
        let wishes = crowd.iter().map(async |member| {
            let answer = post(&key, &format!("{member}/reactivate")).await;
            match answer.status.as_u16() {
                200 => Some(member),
                _ => {
                    let _ = answer.expect_problem(409, "limit_reached");
                    None
                }
            }
        });
        let seated: Vec<_> = futures::future::join_all(wishes).await.into_iter().flatten().collect();
        assert_eq!(seated.len(), 3, "round {round}");
        for member in seated {
            let _ = post(&key, &format!("{member}/deactivate")).await.expect(200);
        }
    }
}

#[tokio::test]
async fn the_matrix_of_roles_is_served_as_it_is_judged_by() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let weak = app.key(&admin, json!({"scopes": ["analytics:read"]})).await;
    let matrix = weak.get("/api/admin/roles").await.expect(200);
    let rows = matrix.json["data"].as_array().unwrap();
    let held_on: Vec<_> =
        rows.iter().map(|row| (row["role"].as_str().unwrap(), row["held_on"].clone())).collect();
    assert_eq!(
        held_on,
        [
            ("admin", json!(["organization"])),
            ("manager", json!(["workspace"])),
            ("member", json!(["workspace"])),
            ("read_only", json!(["organization", "workspace"])),
        ]
    );
    assert_eq!(rows[0]["permissions"], matrix.json["permissions"], "an admin may do everything");
    let members =
        ["campaigns:read", "campaigns:write", "leads:read", "leads:write", "meetings:read", "meetings:write"];
    assert_eq!(rows[2]["permissions"], json!(members));
    // What a key can be scoped to is the same set of names.
    let all: Vec<&str> =
        matrix.json["permissions"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let key = app.key(&admin, json!({"scopes": all})).await;
    assert_eq!(key.json()["scopes"].as_array().unwrap().len(), all.len());
    let whoami = admin.get("/v1/whoami").await.expect(200);
    assert_eq!(whoami.json["scopes"], matrix.json["permissions"]);
}
