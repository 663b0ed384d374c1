//! Walls: whatever anybody does, in whatever order, nobody is shown an id of another organization, and nobody who belongs
//! to one workspace is shown an id of another one.

use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Actor, Installation, TestApp};

/// Who calls: everything of one organization, or one workspace of it.
struct Caller {
    actor: Actor,
    organization: usize,
    workspace: Option<usize>,
}

/// Something with an id, and whose it is.
struct Owned {
    id: String,
    organization: usize,
    /// `None` for what belongs to the organization as a whole.
    workspace: Option<usize>,
    /// Where it is read by its id, if anywhere.
    path: Option<String>,
}

impl Caller {
    /// Whether an id may be shown to the caller.
    fn may_see(&self, owned: &Owned) -> bool {
        owned.organization == self.organization
            && (self.workspace.is_none() || owned.workspace.is_none() || owned.workspace == self.workspace)
    }
}

struct World {
    app: TestApp,
    callers: Vec<Caller>,
    workspaces: Vec<[String; 2]>,
    owned: Vec<Owned>,
}

impl World {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let (mut callers, mut workspaces, mut owned) = (Vec::new(), Vec::new(), Vec::new());
        for organization in 0..2 {
            let admin = app.sign_up(&format!("Organization {organization}")).await;
            app.upgrade(&admin, "business").await;
            owned.push(Owned {
                id: admin.text("/organization/id"),
                organization,
                workspace: None,
                path: None,
            });
            let first = admin.text("/workspaces/0/id");
            let second = admin.post("/api/admin/workspaces", json!({"name": "Second"})).await.expect(201);
            let pair = [first, second.text("/id")];
            for (index, id) in pair.iter().enumerate() {
                owned.push(Owned {
                    id: id.clone(),
                    organization,
                    workspace: Some(index),
                    path: Some(format!("/api/admin/workspaces/{id}")),
                });
                for role in ["manager", "member"] {
                    let actor = app.invite_and_join(&admin, json!({"role": role, "workspace_id": id})).await;
                    owned.push(Owned {
                        id: actor.text("/user/id"),
                        organization,
                        workspace: Some(index),
                        path: Some(format!("/api/admin/users/{}", actor.text("/user/id"))),
                    });
                    callers.push(Caller { actor, organization, workspace: Some(index) });
                }
                let key = app.key(&admin, json!({"workspace_id": id, "rate_limit_per_hour": 100_000})).await;
                owned.push(Owned {
                    id: key.text("/id"),
                    organization,
                    workspace: Some(index),
                    path: Some(format!("/api/admin/api-keys/{}", key.text("/id"))),
                });
                callers.push(Caller { actor: key, organization, workspace: Some(index) });
            }
            callers.push(Caller { actor: admin, organization, workspace: None });
            workspaces.push(pair);
        }
        Self { app, callers, workspaces, owned }
    }

    /// Asserts that an answer shows the caller nothing it may not see. What the caller itself wrote in the path or the
    /// body comes back in `instance` and proves nothing.
    fn inspect(&self, caller: &Caller, sent: &str, answer: &testkit::Response) {
        for foreign in self.owned.iter().filter(|owned| !caller.may_see(owned)) {
            assert!(
                sent.contains(&foreign.id) || !answer.body.contains(&foreign.id),
                "{sent} shows organization {} workspace {:?} what is {} of organization {}: {}",
                caller.organization,
                caller.workspace,
                foreign.id,
                foreign.organization,
                answer.body
            );
        }
    }

    /// One step: who, what, and which of the things there are.
    async fn step(&mut self, who: usize, what: usize, which: usize) {
        let caller = &self.callers[who % self.callers.len()];
        let thing = &self.owned[which % self.owned.len()];
        let own = caller.workspace.unwrap_or(which % 2);
        let workspace = self.workspaces[caller.organization][own].clone();
        // Everybody but a key has to say which workspace when they reach several.
        let actor = caller.actor.with("x-workspace-id", workspace.clone());
        let mut made = None;
        let (sent, answer) = match what % 22 {
            0 => {
                made = Some("/v1/campaigns");
                post(&actor, "/v1/campaigns", json!({"name": "c"})).await
            }
            1 => {
                made = Some("/v1/leads");
                post(&actor, "/v1/leads", json!({"email": format!("l{which}@example.com")})).await
            }
            2 => post(&actor, "/v1/leads", json!({"email": "x@example.com", "campaign_id": thing.id})).await,
            3 => post(&actor, &format!("/v1/leads/{}/replies", thing.id), json!({"message": "hi"})).await,
            4 => {
                let endpoint =
                    json!({"url": "https://example.com/", "events": ["*"], "workspace_id": workspace});
                made = Some("/api/admin/webhooks");
                post(&actor, "/api/admin/webhooks", endpoint).await
            }
            5 => {
                let endpoint =
                    json!({"url": "https://example.com/", "events": ["*"], "workspace_id": thing.id});
                post(&actor, "/api/admin/webhooks", endpoint).await
            }
            6 => {
                let key = json!({"name": "k", "workspace_id": thing.id, "scopes": ["leads:read"]});
                post(&actor, "/api/admin/api-keys", key).await
            }
            7 => get(&caller.actor.with("x-workspace-id", thing.id.clone()), "/v1/leads", &thing.id).await,
            8 => {
                let path = thing.path.clone().unwrap_or_else(|| format!("/v1/leads/{}", thing.id));
                let (sent, answer) = get(&actor, &path, "").await;
                if !caller.may_see(thing) {
                    let refused = matches!(answer.status.as_u16(), 403 | 404);
                    assert!(refused, "{sent}: {}", answer.body);
                }
                (sent, answer)
            }
            9 | 10 => {
                let path = thing.path.clone().unwrap_or_else(|| format!("/api/admin/users/{}", thing.id));
                let (method, body) = if what % 22 == 9 {
                    let body = if path.contains("/leads/") {
                        r#"{"title":"Changed"}"#
                    } else if path.contains("/webhooks/") {
                        r#"{"description":"Changed"}"#
                    } else {
                        r#"{"name":"Changed"}"#
                    };
                    (http::Method::PATCH, body)
                } else {
                    (http::Method::DELETE, "{}")
                };
                if caller.may_see(thing) {
                    // Ends or changes things of one's own; they are looked at by others all the same.
                    (format!("{method} {path}"), actor.get(&path).await)
                } else {
                    let answer = actor.raw(method.clone(), &path, body).await;
                    let refused = matches!(answer.status.as_u16(), 403..=405);
                    assert!(refused, "{method} {path}: {}", answer.body);
                    (format!("{method} {path}"), answer)
                }
            }
            11 => {
                let invitation = json!({
                    "email": format!("guest{who}-{what}-{which}@example.com"), "role": "member", "workspace_id": thing.id,
                });
                let (sent, answer) = post(&actor, "/api/admin/invitations", invitation).await;
                assert!(caller.may_see(thing) || answer.status != 201, "{sent}: {}", answer.body);
                (sent, answer)
            }
            12 => {
                let path = format!("/api/admin/workspaces/{}/members", thing.id);
                let (sent, answer) = get(&actor, &path, "").await;
                assert!(caller.may_see(thing) || answer.status != 200, "{sent}: {}", answer.body);
                (sent, answer)
            }
            13 => {
                let path = format!("/api/admin/workspaces/{workspace}/members/{}", thing.id);
                // Somebody of one's own would have two workspaces afterwards, and be shown both.
                if caller.may_see(thing) {
                    get(&actor, &path, "").await
                } else {
                    let answer = actor.put(&path, json!({"role": "manager"})).await;
                    assert!(answer.status != 200, "{path}: {}", answer.body);
                    (format!("PUT {path}"), answer)
                }
            }
            14 => {
                let path = format!("/api/admin/webhooks/{}/deliveries", thing.id);
                get(&actor, &path, "").await
            }
            15 => get(&actor, "/api/admin/users?limit=100", "").await,
            16 => get(&actor, "/api/admin/invitations?limit=100", "").await,
            list => {
                const LISTS: [&str; 5] = [
                    "/v1/campaigns",
                    "/v1/leads",
                    "/api/admin/webhooks",
                    "/api/admin/api-keys",
                    "/api/admin/workspaces",
                ];
                get(&actor, &format!("{}?limit=100", LISTS[list % 5]), "").await
            }
        };
        self.inspect(caller, &sent, &answer);
        if let (Some(collection), 201) = (made, answer.status.as_u16()) {
            let id = answer.text("/id");
            let (organization, workspace) = (caller.organization, Some(own));
            self.owned.push(Owned { path: Some(format!("{collection}/{id}")), id, organization, workspace });
        }
    }

    /// At the end everybody looks at everything.
    async fn everybody_looks_around(&mut self) {
        self.app.drain().await;
        for caller in &self.callers {
            for list in [
                "/api/admin/organization",
                "/api/admin/users",
                "/api/admin/invitations",
                "/api/admin/workspaces",
                "/api/admin/api-keys",
                "/api/admin/webhooks",
                "/api/admin/webhooks/dead-letters",
                "/api/admin/domains",
                "/api/auth/me",
                "/v1/whoami",
            ] {
                let (sent, answer) = get(&caller.actor, list, "").await;
                self.inspect(caller, &sent, &answer);
            }
            for endpoint in self.owned.iter().filter(|owned| owned.id.starts_with("ep_")) {
                let path = format!("/api/admin/webhooks/{}/deliveries", endpoint.id);
                let (sent, answer) = get(&caller.actor, &path, "").await;
                self.inspect(caller, &sent, &answer);
                if !caller.may_see(endpoint) {
                    assert!(matches!(answer.status.as_u16(), 403 | 404), "{sent}: {}", answer.body);
                }
            }
        }
    }
}

async fn post(actor: &Actor, path: &str, body: Value) -> (String, testkit::Response) {
    (format!("POST {path} {body}"), actor.post(path, body).await)
}

/// GET; `header` is what was sent besides the path.
async fn get(actor: &Actor, path: &str, header: &str) -> (String, testkit::Response) {
    (format!("GET {path} {header}"), actor.get(path).await)
}

/// A key for trying things out has no live people, however it asks for them.
#[tokio::test]
async fn a_test_key_is_shown_and_erases_nobody_who_is_held() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.post("/v1/leads", json!({"email": "live@example.com"})).await.expect(201);
    let scopes = json!(["privacy:read", "privacy:write"]);
    let test = app.key(&admin, json!({"mode": "test", "scopes": scopes})).await;
    let live = app.key(&admin, json!({"scopes": scopes})).await;
    let person = json!({"email": "live@example.com"});
    for jobs in ["/api/admin/privacy/exports", "/api/admin/privacy/erasures"] {
        let _ = test.post(jobs, person.clone()).await.expect_problem(403, "test_key");
        let id = live.post(jobs, person.clone()).await.expect(202).text("/id");
        app.drain().await;
        let job = format!("{jobs}/{id}");
        let _ = test.get(&job).await.expect_problem(403, "test_key");
        assert_eq!(live.get(&job).await.expect(200).text("/status"), "done");
    }
    let refused = admin.get("/api/admin/audit-logs?outcome=failure").await.expect(200).json;
    let refused = refused["data"].as_array().unwrap();
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert!(refused.iter().all(|record| record["error_code"] == "test_key"), "{refused:?}");
    app.drain().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: testkit::cases(6), max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_shown_an_id_from_behind_a_wall(
        steps in prop::collection::vec((0_usize..1000, 0_usize..1000, 0_usize..1000), 80..160),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::start().await;
            world.app.leaves_jobs();
            for (who, what, which) in steps {
                world.step(who, what, which).await;
            }
            world.everybody_looks_around().await;
        });
    }
}
