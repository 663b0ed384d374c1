//! Several organizations, one person: which one they sign in to, switching, and joining by domain.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use store::{AutoJoin, Change, Identity, MemberStatus, OrganizationStatus, Role};
use testkit::{Actor, PASSWORD, Response, TestApp};

use crate::people::{
    add, alter, ids, known, organization, own_domain, record, records, sign_in, signed_in, store,
};

async fn switch(person: &Actor, to: ids::OrganizationId) -> Response {
    person.post("/api/auth/switch", json!({"organization_id": to.to_string()})).await
}

async fn identity(app: &TestApp, email: &str) -> Identity {
    store(app).account(email).await.unwrap().unwrap().identity
}

async fn sign_in_to(app: &TestApp, email: &str, organization: ids::OrganizationId) -> Response {
    let body = json!({"email": email, "password": PASSWORD, "organization_id": organization.to_string()});
    app.stranger().post("/api/auth/login", body).await
}

#[tokio::test]
async fn a_person_signs_in_where_they_belong_and_switches_between() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Acme").await;
    let (email, acme) = (ada.text("/user/email"), organization(&ada));
    app.advance(Duration::from_secs(1));
    let initech = organization(&app.sign_up("Initech").await);
    let _ = switch(&ada, initech).await.expect_problem(404, "not_found");
    add(&app, initech, &identity(&app, &email).await, Role::ReadOnly).await;
    let me = ada.get("/api/auth/me").await.expect(200);
    let named: Vec<_> =
        me.json["organizations"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(named, ["Acme", "Initech"]);
    let _ = switch(&ada, acme).await.expect_problem(409, "conflict");
    let _ = ada.get("/api/auth/me").await.expect(200);
    app.advance(Duration::from_secs(60));
    let switched = switch(&ada, initech).await.expect(200);
    assert_eq!(switched.text("/organization/name"), "Initech");
    let there = signed_in(&app, &switched);
    let session = there.get("/api/auth/me").await.expect(200).json["session"].clone();
    assert_eq!(session, me.json["session"], "the same sign-in");
    // The session it came from is over.
    let _ = ada.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let _ = there.get("/api/admin/api-keys").await.expect(200);
    let _ = there.post("/api/admin/api-keys", json!({"name": "x"})).await.expect_problem(403, "forbidden");
    // The one joined first, unless one is named; never one they don't belong to.
    assert_eq!(sign_in(&app, &email, PASSWORD).await.expect(200).text("/organization/name"), "Acme");
    assert_eq!(sign_in_to(&app, &email, initech).await.expect(200).text("/organization/name"), "Initech");
    let foreign = organization(&app.sign_up("Hooli").await);
    let _ = sign_in_to(&app, &email, foreign).await.expect_problem(401, "invalid_credentials");
    let _ = sign_in_to(&app, &email, ids(&app).next()).await.expect_problem(401, "invalid_credentials");
    // A deleted organization is passed over, but may be named: it can be brought back.
    alter(&app, acme, |it| it.status = OrganizationStatus::Deleted).await;
    assert_eq!(sign_in(&app, &email, PASSWORD).await.expect(200).text("/organization/name"), "Initech");
    let _ = sign_in_to(&app, &email, acme).await.expect(200);
    // So is one where they were deactivated, and that one can't be named.
    let (tenant, user) = (store(&app).tenant_of_job(initech), ada.text("/user/id").parse().unwrap());
    let before = tenant.member(user).await.unwrap().unwrap();
    let mut after = before.clone();
    after.status = MemberStatus::Deactivated;
    after.updated_at = store::touched(before.updated_at, app.now());
    let change =
        Change::audited(record(&app, initech)).membership(initech, Some(&before), Some(&after)).unwrap();
    tenant.commit(change, None).await.unwrap();
    let _ = sign_in(&app, &email, PASSWORD).await.expect_problem(403, "no_organization");
    let _ = sign_in_to(&app, &email, initech).await.expect_problem(401, "invalid_credentials");
    // Nor is their session there refreshed.
    let refresh = json!({"refresh_token": switched.text("/refresh_token")});
    let _ = app.stranger().post("/api/auth/refresh", refresh).await.expect_problem(401, "session_expired");
}

/// Of several who take one session along at once, one does; to the others it is over, and not missing.
#[tokio::test]
async fn a_session_is_taken_along_once() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Acme").await;
    let initech = organization(&app.sign_up("Initech").await);
    add(&app, initech, &identity(&app, &ada.text("/user/email")).await, Role::ReadOnly).await;
    let answers = join_all((0..5).map(|_| switch(&ada, initech))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for refused in lost {
        let _ = refused.expect_problem(401, "session_expired");
    }
    let there = signed_in(&app, &won[0]);
    let leaving = (0..5).map(|_| there.raw(http::Method::POST, "/api/auth/logout", ""));
    let mut statuses: Vec<_> = join_all(leaving).await.iter().map(|it| it.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 401, 401, 401, 401]);
}

#[tokio::test]
async fn sessions_grow_no_older_than_the_organization_lets_them() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Acme").await;
    let acme = organization(&ada);
    alter(&app, acme, |it| it.settings.session_max_age_seconds = Some(3600)).await;
    app.advance(Duration::from_secs(3599));
    let refresh = json!({"refresh_token": ada.text("/refresh_token")});
    let fresh = app.stranger().post("/api/auth/refresh", refresh).await.expect(200);
    app.advance(Duration::from_secs(1));
    let refresh = json!({"refresh_token": fresh.text("/refresh_token")});
    let _ = app.stranger().post("/api/auth/refresh", refresh).await.expect_problem(401, "session_expired");
}

fn open() -> Option<AutoJoin> {
    Some(AutoJoin { role: Role::ReadOnly, workspace_id: None })
}

#[tokio::test]
async fn who_has_confirmed_an_address_joins_the_organization_that_lets_its_domain_in() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Own").await;
    let email = ada.text("/user/email");
    let acme = organization(&app.sign_up("Acme").await);
    own_domain(&app, acme, "example.com", open()).await;
    // An address that is not confirmed opens nothing.
    assert_eq!(ada.get("/api/auth/me").await.expect(200).json["joinable"], json!([]));
    let _ = switch(&ada, acme).await.expect_problem(404, "not_found");
    let token = app.token_mailed_to(&email).await;
    let _ = ada.post("/api/auth/email/confirm", json!({"token": token})).await.expect(204);
    let joinable = ada.get("/api/auth/me").await.expect(200).json["joinable"].clone();
    assert_eq!(joinable, json!([{"id": acme.to_string(), "name": "Acme"}]));
    let before = identity(&app, &email).await;
    let joined = switch(&ada, acme).await.expect(200);
    assert_eq!(joined.text("/workspaces/0/role"), "read_only");
    let after = identity(&app, &email).await;
    assert!(
        after.updated_at > before.updated_at,
        "who deletes it as it was read is to see that they have joined"
    );
    assert_eq!(Identity { updated_at: before.updated_at, ..after }, before);
    let there = signed_in(&app, &joined);
    assert_eq!(there.get("/api/auth/me").await.expect(200).json["joinable"], json!([]));
    let joins = records(&app, acme).await.into_iter().filter(|it| it["action"] == "member.join");
    assert_eq!(joins.count(), 1);
    // Another organization's door is not opened by that.
    let hooli = organization(&app.sign_up("Hooli").await);
    own_domain(&app, hooli, "hooli.example.org", open()).await;
    let _ = switch(&there, hooli).await.expect_problem(404, "not_found");
}

/// Fifty people switch to an organization with three seats, all at once: three join.
#[tokio::test]
async fn of_fifty_who_join_by_domain_for_the_last_three_seats_exactly_three_do() {
    const PEOPLE: usize = 50;
    const ROUNDS: usize = 100;
    let app = TestApp::start().await;
    let (home, acme) = (organization(&app.sign_up("Home").await), organization(&app.sign_up("Acme").await));
    own_domain(&app, acme, "people.example.org", open()).await;
    alter(&app, home, |it| it.limits.seat_limit = 1000).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let identity = known(&app, &format!("p{number}@people.example.org")).await;
        add(&app, home, &identity, Role::ReadOnly).await;
        people.push(identity);
    }
    let tenant = store(&app).tenant_of_job(acme);
    let mut sessions: Vec<Option<Actor>> = vec![None; PEOPLE];
    for round in 0..ROUNDS {
        for (session, identity) in sessions.iter_mut().zip(&people) {
            if session.is_none() {
                *session = Some(crate::people::session(&app, home, identity).await);
            }
        }
        let taken = tenant.organization().await.unwrap().unwrap().usage.seat_count;
        alter(&app, acme, |it| it.limits.seat_limit = taken + 3).await;
        let answers = join_all(sessions.iter().map(|it| switch(it.as_ref().unwrap(), acme))).await;
        let joined: Vec<usize> =
            answers.iter().enumerate().filter(|(_, it)| it.status == 200).map(|(index, _)| index).collect();
        assert_eq!(joined.len(), 3, "round {round}");
        for refused in answers.into_iter().filter(|it| it.status != 200) {
            let _ = refused.expect_problem(409, "limit_reached");
        }
        assert_eq!(tenant.organization().await.unwrap().unwrap().usage.seat_count, taken + 3);
        for index in joined {
            let member = tenant.member(people[index].user_id).await.unwrap().unwrap();
            let change = Change::audited(record(&app, acme)).membership(acme, Some(&member), None).unwrap();
            tenant.commit(change, None).await.unwrap();
            // Who was removed does not come back by themselves: somebody else tries in the next round.
            let identity = known(&app, &format!("p{round}-{index}@people.example.org")).await;
            add(&app, home, &identity, Role::ReadOnly).await;
            let back = switch(sessions[index].as_ref().unwrap(), acme).await;
            assert!(matches!(back.status.as_u16(), 401 | 404), "{}", back.body);
            people[index] = identity;
            sessions[index] = None;
        }
    }
}
