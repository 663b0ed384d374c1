//! Nothing in one organization is visible to another, nor in one workspace to a key of another.

use serde_json::json;
use testkit::{Installation, Receiver};

/// Every route that names a thing, called by another organization's admin and all-powerful key, with every id.
#[tokio::test]
async fn everything_in_another_organization_is_not_found() {
    let app = Installation::start().await;
    let receiver = Receiver::start().await;
    let acme = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&acme, &receiver, json!({})).await;
    let key = app.key(&acme, json!({})).await;
    let campaign = key.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let lead = key.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let booking =
        json!({"lead_id": lead, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T11:00:00Z"});
    let meeting = key.post("/v1/meetings", booking.clone()).await.expect(201).text("/id");
    app.drain().await;
    let deliveries = acme.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    let delivery = deliveries.text("/data/0/id");
    let event = deliveries.text("/data/0/event_id");
    app.pass(std::time::Duration::from_millis(1)).await;
    let replay = format!("/api/admin/webhooks/{endpoint}/replay");
    let replay = acme.post(&replay, json!({"statuses": ["dead"]})).await.expect(202).text("/id");
    let key_id = key.text("/id");
    let workspace = acme.text("/workspaces/0/id");
    let user = acme.text("/user/id");
    let offer = json!({"email": "grace@example.com", "role": "admin"});
    let invitation = acme.post("/api/admin/invitations", offer).await.expect(201).text("/id");

    let other = app.sign_up("Initech").await;
    let other_key = app.key(&other, json!({})).await;
    for foreign in [&other, &other_key] {
        let reads = [
            format!("/v1/campaigns/{campaign}"),
            format!("/api/campaigns/{campaign}"),
            format!("/v1/leads/{lead}"),
            format!("/api/leads/{lead}"),
            format!("/v1/meetings/{meeting}"),
            format!("/api/meetings/{meeting}"),
            format!("/api/admin/api-keys/{key_id}"),
            format!("/api/admin/webhooks/{endpoint}"),
            format!("/api/admin/webhooks/{endpoint}/deliveries"),
            format!("/api/admin/webhooks/deliveries/{delivery}"),
            format!("/api/admin/webhooks/{endpoint}/replays"),
            format!("/api/admin/webhooks/replays/{replay}"),
            format!("/api/admin/events/{event}"),
            format!("/api/admin/workspaces/{workspace}"),
            format!("/api/admin/workspaces/{workspace}/members"),
            format!("/api/admin/users/{user}"),
        ];
        for path in reads {
            let _ = foreign.get(&path).await.expect_problem(404, "not_found");
        }
        let _ =
            foreign.delete(&format!("/api/admin/api-keys/{key_id}")).await.expect_problem(404, "not_found");
        let _ =
            foreign.delete(&format!("/api/admin/webhooks/{endpoint}")).await.expect_problem(404, "not_found");
        for path in [
            format!("/api/admin/workspaces/{workspace}"),
            format!("/api/admin/workspaces/{workspace}/members/{user}"),
            format!("/api/admin/users/{user}"),
            format!("/api/admin/invitations/{invitation}"),
            format!("/v1/campaigns/{campaign}"),
            format!("/v1/leads/{lead}"),
        ] {
            let _ = foreign.delete(&path).await.expect_problem(404, "not_found");
        }
        for (path, body) in [
            (format!("/api/admin/workspaces/{workspace}"), json!({"name": "x"})),
            (format!("/api/admin/users/{user}"), json!({"role": "read_only"})),
            (format!("/api/admin/webhooks/{endpoint}"), json!({"max_retries": 0})),
            (format!("/v1/campaigns/{campaign}"), json!({"name": "x"})),
            (format!("/v1/leads/{lead}"), json!({"title": "x"})),
        ] {
            let _ = foreign.patch(&path, body).await.expect_problem(404, "not_found");
        }
        let own = other.text("/workspaces/0/id");
        for path in [
            format!("/api/admin/workspaces/{workspace}/members/{user}"),
            format!("/api/admin/workspaces/{own}/members/{user}"),
        ] {
            let _ = foreign.put(&path, json!({"role": "manager"})).await.expect_problem(404, "not_found");
        }
        for path in [
            format!("/api/admin/users/{user}/deactivate"),
            format!("/api/admin/users/{user}/reactivate"),
            format!("/api/admin/invitations/{invitation}/resend"),
            format!("/v1/campaigns/{campaign}/start"),
            format!("/v1/campaigns/{campaign}/pause"),
            format!("/v1/campaigns/{campaign}/complete"),
            format!("/v1/leads/{lead}/qualify"),
            format!("/v1/meetings/{meeting}/cancel"),
            format!("/api/admin/webhooks/{endpoint}/enable"),
            format!("/api/admin/webhooks/{endpoint}/disable"),
            format!("/api/admin/webhooks/{endpoint}/rotate-secret"),
            format!("/api/admin/webhooks/{endpoint}/test"),
            format!("/api/admin/webhooks/{endpoint}/replay"),
            format!("/api/admin/webhooks/replays/{replay}/pause"),
            format!("/api/admin/webhooks/replays/{replay}/resume"),
            format!("/api/admin/webhooks/replays/{replay}/cancel"),
            format!("/api/admin/webhooks/deliveries/{delivery}/retry"),
        ] {
            let _ = foreign.post(&path, json!({})).await.expect_problem(404, "not_found");
        }
        let into = json!({"email": "x@example.com", "role": "member", "workspace_id": workspace});
        let _ = foreign.post("/api/admin/invitations", into).await.expect_problem(404, "not_found");
        let granted = json!({"workspace_roles": [{"workspace_id": workspace, "role": "manager"}]});
        let other_user = format!("/api/admin/users/{}", other.text("/user/id"));
        let _ = foreign.patch(&other_user, granted).await.expect_problem(404, "not_found");
        let reply = json!({"message": "x"});
        for prefix in ["/v1", "/api"] {
            let path = format!("{prefix}/leads/{lead}/replies");
            let _ = foreign.post(&path, reply.clone()).await.expect_problem(404, "not_found");
        }
        // Naming another organization's workspace or campaign is naming nothing.
        for path in ["/v1/campaigns", "/v1/leads", "/api/campaigns", "/api/leads"] {
            let trespasser = foreign.with("x-workspace-id", workspace.clone());
            let _ = trespasser.get(path).await.expect_problem(404, "not_found");
            let body = json!({"name": "x", "email": "x@example.com"});
            let body =
                if path.ends_with("leads") { json!({"email": body["email"]}) } else { json!({"name": "x"}) };
            let _ = trespasser.post(path, body).await.expect_problem(404, "not_found");
        }
        let _ = foreign.post("/v1/meetings", booking.clone()).await.expect_problem(404, "not_found");
        let sent = json!({"events": [{"type": "sent", "lead_id": lead}]});
        let _ = foreign.post("/v1/email-events", sent).await.expect_problem(422, "invalid");
        let into = json!({"email": "x@example.com", "campaign_id": campaign});
        let _ = foreign.post("/v1/leads", into).await.expect_problem(404, "not_found");
        let into = json!({"name": "x", "workspace_id": workspace});
        let _ = foreign.post("/api/admin/api-keys", into).await.expect_problem(404, "not_found");
        let into = json!({"url": receiver.url(), "events": ["*"], "workspace_id": workspace});
        let _ = foreign.post("/api/admin/webhooks", into).await.expect_problem(404, "not_found");
        let redrive = "/api/admin/webhooks/dead-letters/redrive";
        let _ =
            foreign.post(redrive, json!({"endpoint_id": endpoint})).await.expect_problem(404, "not_found");
        let redriven = foreign.post(redrive, json!({"delivery_ids": [delivery]})).await.expect(202);
        assert_eq!(redriven.json["delivery_ids"], json!([]));
        // Lists hold nothing of another organization's.
        for path in [
            "/v1/campaigns",
            "/v1/leads",
            "/v1/meetings",
            "/api/admin/api-keys",
            "/api/admin/webhooks",
            "/api/admin/webhooks/dead-letters",
            "/api/admin/webhooks/operational-events",
            "/api/admin/events",
            "/api/admin/workspaces",
            "/api/admin/users",
            "/api/admin/invitations",
        ] {
            let list = foreign.get(path).await.expect(200);
            for id in [
                &campaign,
                &lead,
                &meeting,
                &key_id,
                &endpoint,
                &delivery,
                &event,
                &workspace,
                &user,
                &invitation,
            ] {
                assert!(!list.body.contains(id.as_str()), "{path} shows {id}");
            }
        }
    }
    // And nothing of it was touched.
    let _ = key.get(&format!("/v1/leads/{lead}")).await.expect(200);
    assert_eq!(
        acme.get(&format!("/api/admin/webhooks/{endpoint}")).await.expect(200).text("/status"),
        "enabled"
    );
    app.drain().await;
    assert!(receiver.received().iter().all(|webhook| {
        webhook.json()["organization_id"].as_str() == Some(acme.text("/organization/id").as_str())
    }));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_tenant_and_list_only() {
    let app = Installation::start().await;
    let acme = app.sign_up("Acme").await;
    let initech = app.sign_up("Initech").await;
    for organization in [&acme, &initech] {
        for number in 0..3 {
            let _ =
                organization.post("/v1/campaigns", json!({"name": format!("c{number}")})).await.expect(201);
            let lead = json!({"email": format!("l{number}@example.com")});
            let _ = organization.post("/v1/leads", lead).await.expect(201);
        }
    }
    app.drain().await;
    let cursor = acme.get("/v1/campaigns?limit=1").await.expect(200).text("/next_cursor");
    let _ = acme.get(&format!("/v1/campaigns?limit=1&cursor={cursor}")).await.expect(200);
    let _ =
        initech.get(&format!("/v1/campaigns?cursor={cursor}")).await.expect_problem(422, "invalid_cursor");
    let _ = acme.get(&format!("/v1/leads?cursor={cursor}")).await.expect_problem(422, "invalid_cursor");
    let key = app.key(&acme, json!({"mode": "test"})).await;
    let _ = key.get(&format!("/v1/campaigns?cursor={cursor}")).await.expect_problem(422, "invalid_cursor");
    for bad in ["x", "", "AAAA", &cursor[1..], &format!("{cursor}A")] {
        let _ = acme.get(&format!("/v1/campaigns?cursor={bad}")).await.expect_problem(422, "invalid_cursor");
    }
}

#[tokio::test]
async fn a_key_for_one_workspace_sees_that_workspace_only() {
    let app = Installation::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let key = app.key(&admin, json!({"workspace_id": workspace})).await;
    let (everywhere, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let (here, _) = app.endpoint(&admin, &receiver, json!({"workspace_id": workspace})).await;
    let _ = key.get(&format!("/api/admin/webhooks/{everywhere}")).await.expect_problem(404, "not_found");
    let _ = key.delete(&format!("/api/admin/webhooks/{everywhere}")).await.expect_problem(404, "not_found");
    let _ = key.get(&format!("/api/admin/webhooks/{here}")).await.expect(200);
    // A key it makes is confined like itself, and it can't name another workspace.
    let made = key.post("/api/admin/api-keys", json!({"name": "child"})).await.expect(201);
    assert_eq!(made.text("/workspace_id"), workspace);
    let elsewhere = json!({"name": "x", "workspace_id": "ws_01kaq8zr3yfe2r4m8n5p6q7s8t"});
    let refused = key.post("/api/admin/api-keys", elsewhere).await;
    assert!(matches!(refused.status.as_u16(), 404 | 422), "{}", refused.body);
}
