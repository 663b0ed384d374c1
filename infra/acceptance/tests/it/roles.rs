//! The matrix of roles and permissions, as the running platform has it: every operation of the OpenAPI document, called by
//! each role and by nobody, as a person and with a key, answers as the contract's table says.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Actor, Installation, TestApp};

/// The matrix of roles, written down a second time, cell by cell: what each role may do with each group of resources.
fn holds(role: &str, permission: &str) -> bool {
    let (resource, action) = permission.split_once(':').unwrap();
    let cell = match (role, resource) {
        ("admin", "analytics") => "read",
        ("admin", "audit_logs") => "read export",
        ("admin", "privacy") => "read write",
        (_, "privacy") => "",
        ("admin", _) => "read write delete",
        ("manager", "campaigns" | "leads" | "meetings") => "read write delete",
        ("manager", "audit_logs") => "",
        ("manager", _) => "read",
        ("member", "campaigns" | "leads" | "meetings") => "read write",
        ("member", _) => "",
        ("read_only", _) => "read",
        _ => panic!("no such role: {role}"),
    };
    cell.split(' ').any(|held| held == action)
}

const ROLES: [&str; 4] = ["admin", "manager", "member", "read_only"];

struct Operation {
    method: Method,
    path: String,
    /// `resource:action`, `authenticated`, `signed-in`; none for who is not known.
    needs: Option<String>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let needs = operation["x-permission"].as_str().map(str::to_owned);
            let secured = operation["security"] == json!([{"bearer": []}]);
            assert!(!secured || needs.is_some(), "{method} {path} is secured and does not say what it needs");
            // Anything in braces becomes a name that nothing has.
            let path = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            all.push(Operation { method: method.to_uppercase().parse().unwrap(), path, needs });
        }
    }
    all
}

fn code(answer: &testkit::Response) -> &str {
    answer.json["code"].as_str().unwrap_or_default()
}

/// Whether the answer is that to somebody who may: whatever it says, it does not turn them away.
fn lets_in(answer: &testkit::Response) -> bool {
    !matches!(
        code(answer),
        "unauthenticated" | "forbidden" | "mfa_required" | "sso_required" | "session_expired"
    )
}

/// Asserts that an operation answers `actor`, in `role`, as the table says.
async fn check(operation: &Operation, role: &str, is_person: bool, actor: &Actor) {
    let answer = actor.raw(operation.method.clone(), &operation.path, "{}").await;
    let named =
        format!("{} {} as {role}, person: {is_person}: {}", operation.method, operation.path, answer.body);
    let (may, missing) = match operation.needs.as_deref() {
        None | Some("authenticated") => (true, ""),
        Some("signed-in") => (is_person, "signed-in"),
        Some(permission) => (holds(role, permission), permission),
    };
    if may {
        assert!(lets_in(&answer), "{named}");
    } else {
        assert_eq!((answer.status.as_u16(), code(&answer)), (403, "forbidden"), "{named}");
        assert_eq!(answer.json["permission"], missing, "{named}");
    }
}

async fn person_in(app: &TestApp, admin: &Actor, role: &str) -> Actor {
    let workspace = admin.text("/workspaces/0/id");
    match role {
        "admin" | "read_only" => app.invite_and_join(admin, json!({"role": role})).await,
        _ => app.invite_and_join(admin, json!({"role": role, "workspace_id": workspace})).await,
    }
}

#[tokio::test]
async fn every_operation_answers_each_role_as_the_matrix_says() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let document = app.stranger().get("/openapi.json").await.expect(200).json;
    let operations = operations(&document);
    assert!(operations.len() > 60, "only {} operations were found", operations.len());
    for role in ROLES {
        let mut person = person_in(&app, &admin, role).await;
        for operation in &operations {
            check(operation, role, true, &person).await;
            // Some operations end the session that calls them, as they should.
            if person.get("/api/auth/me").await.status == 401 {
                person = app.sign_in_again(&person).await;
            }
        }
    }
}

#[tokio::test]
async fn a_key_with_the_permissions_of_a_role_may_what_the_role_may() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let document = app.stranger().get("/openapi.json").await.expect(200).json;
    let roles = admin.get("/api/admin/roles").await.expect(200).json;
    for role in ROLES {
        let listed = roles["data"].as_array().unwrap().iter().find(|it| it["role"] == role).unwrap();
        let scopes = listed["permissions"].clone();
        for permission in scopes.as_array().unwrap() {
            assert!(holds(role, permission.as_str().unwrap()), "{role} {permission}");
        }
        let key = app.key(&admin, json!({"scopes": scopes, "rate_limit_per_hour": 10_000})).await;
        for operation in operations(&document) {
            check(&operation, role, false, &key).await;
            if key.get("/v1/whoami").await.status == 403 {
                // It deleted its organization, as it may; the next one needs it.
                let _ = admin.post("/api/admin/organization/restore", json!({})).await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn everybody_is_told_what_they_may_do_and_where() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let second = admin.post("/api/admin/workspaces", json!({"name": "Second"})).await.expect(201).text("/id");
    let all = admin.get("/api/admin/roles").await.expect(200).json["permissions"].clone();
    let held = |roles: &[&str]| {
        let all = all.as_array().unwrap().iter();
        let held = |name: &&Value| roles.iter().any(|role| holds(role, name.as_str().unwrap()));
        json!(all.filter(held).collect::<Vec<_>>())
    };
    let me = async |person: &Actor| person.get("/api/auth/me").await.expect(200).json;
    for role in ROLES {
        let told = me(&person_in(&app, &admin, role).await).await;
        let everywhere = ["admin", "read_only"].contains(&role);
        let on_organization = if everywhere { held(&[role]) } else { json!([]) };
        assert_eq!(told["role"], if everywhere { json!(role) } else { Value::Null });
        assert_eq!(told["permissions"], on_organization, "{role}");
        assert_eq!(told["permissions_somewhere"], held(&[role]), "{role}");
        let workspaces = told["workspaces"].as_array().unwrap();
        assert_eq!(workspaces.len(), if everywhere { 2 } else { 1 }, "{role}");
        for workspace in workspaces {
            assert_eq!(workspace["permissions"], held(&[role]), "{role}");
        }
    }
    // Roles add up, where they are held.
    let both = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let seat = format!("/api/admin/workspaces/{second}/members/{}", both.text("/user/id"));
    let _ = admin.put(&seat, json!({"role": "manager"})).await.expect(200);
    let told = me(&both).await;
    assert_eq!((&told["role"], &told["permissions"]), (&json!("read_only"), &held(&["read_only"])));
    assert_eq!(told["permissions_somewhere"], held(&["read_only", "manager"]));
    for workspace in told["workspaces"].as_array().unwrap() {
        let here: &[&str] =
            if workspace["id"] == *second { &["read_only", "manager"] } else { &["read_only"] };
        assert_eq!(workspace["permissions"], held(here));
        let there = both.with("x-workspace-id", workspace["id"].as_str().unwrap());
        let made = there.post("/v1/campaigns", json!({"name": "Spring"})).await;
        assert_eq!(made.status == 201, here.contains(&"manager"), "{}", made.body);
    }
    // What was held in a workspace that is gone is held no longer.
    let third = admin.post("/api/admin/workspaces", json!({"name": "Third"})).await.expect(201).text("/id");
    let manager = app.invite_and_join(&admin, json!({"role": "manager", "workspace_id": third})).await;
    let _ = manager.get("/api/admin/api-keys").await.expect(200);
    let _ = admin.delete(&format!("/api/admin/workspaces/{third}")).await.expect(204);
    app.advance(Duration::from_secs(10));
    let told = me(&manager).await;
    assert_eq!((&told["permissions_somewhere"], &told["workspaces"]), (&json!([]), &json!([])));
    let _ = manager.get("/api/admin/api-keys").await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn nobody_is_let_in_nowhere_but_where_it_is_open() {
    let app = TestApp::start().await;
    let document = app.stranger().get("/openapi.json").await.expect(200).json;
    for operation in operations(&document) {
        let answer = app.stranger().raw(operation.method.clone(), &operation.path, "{}").await;
        let turned_away = code(&answer) == "unauthenticated";
        assert_eq!(turned_away, operation.needs.is_some(), "{} {}", operation.method, answer.body);
    }
}

/// The matrix that is served is the one that is enforced.
#[tokio::test]
async fn the_served_matrix_is_the_contracts() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let roles = admin.get("/api/admin/roles").await.expect(200).json;
    let all: Vec<&str> =
        roles["permissions"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(all.len(), 10 * 3 + 1 + 2 + 2);
    for role in ROLES {
        let listed = roles["data"].as_array().unwrap().iter().find(|it| it["role"] == role).unwrap();
        let held: Vec<&str> =
            listed["permissions"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        for permission in &all {
            assert_eq!(held.contains(permission), holds(role, permission), "{role} {permission}");
        }
    }
}
