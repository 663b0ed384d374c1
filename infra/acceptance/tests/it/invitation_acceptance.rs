//! Accepting invitations: who joins, as whom, and how many.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use store::{Change, InvitationStatus, MemberStatus, Role, WorkspaceStatus};
use testkit::{PASSWORD, TestApp};

use crate::people::{
    accept, add, alter, invite, invite_to, newcomer, organization, record, records, sign_in, signed_in, store,
};

const GRACE: &str = "grace@example.com";

#[tokio::test]
async fn somebody_new_gets_an_account_a_seat_and_a_session() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let acme = organization(&admin);
    let (token, invitation) = invite_to(&app, acme, GRACE, Role::ReadOnly, None).await;
    for missing in [json!({}), json!({"name": "Grace"}), json!({"password": PASSWORD})] {
        let _ = accept(&app, &token, missing).await.expect_problem(422, "invalid");
    }
    app.advance(Duration::from_millis(1));
    let answer = accept(&app, &token, newcomer()).await.expect(201);
    assert_eq!(answer.text("/organization/id"), acme.to_string());
    assert_eq!(answer.text("/workspaces/0/role"), "read_only");
    let me = signed_in(&app, &answer).get("/api/auth/me").await.expect(200);
    assert_eq!(me.text("/user/email"), GRACE);
    let tenant = store(&app).tenant_of_job(acme);
    let closed = tenant.invitation(invitation.id).await.unwrap().unwrap();
    assert_eq!(closed.status, InvitationStatus::Accepted);
    assert_eq!(closed.accepted_by.unwrap().to_string(), answer.text("/user/id"));
    assert_eq!(tenant.organization().await.unwrap().unwrap().usage.seat_count, 2);
    let account = store(&app).account(GRACE).await.unwrap().unwrap();
    assert!(account.identity.email_verified);
    let accepted = records(&app, acme).await.into_iter().filter(|it| it["action"] == "invitation.accept");
    assert_eq!(accepted.count(), 1);
    let _ = accept(&app, &token, newcomer()).await.expect_problem(410, "token_spent");
    let _ = sign_in(&app, GRACE, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_token_is_ours_in_time_and_good_once() {
    let app = TestApp::start().await;
    let acme = organization(&app.sign_up("Acme").await);
    let forged = format!("it_{}", "A".repeat(43));
    for forged in ["", "nonsense", "pt_x", &forged] {
        let _ = accept(&app, forged, newcomer()).await.expect_problem(422, "token_invalid");
    }
    let token = invite(&app, acme, GRACE, Role::ReadOnly).await;
    app.advance(Duration::from_secs(7 * 24 * 3600));
    let _ = accept(&app, &token, newcomer()).await.expect_problem(410, "token_expired");
    // Withdrawn.
    let (token, invitation) = invite_to(&app, acme, GRACE, Role::ReadOnly, None).await;
    let mut revoked = invitation.clone();
    revoked.status = InvitationStatus::Revoked;
    revoked.updated_at = app.now();
    let change = Change::audited(record(&app, acme)).close_invitation(acme, &invitation, &revoked).unwrap();
    store(&app).tenant_of_job(acme).commit(change, None).await.unwrap();
    let _ = accept(&app, &token, newcomer()).await.expect_problem(410, "token_spent");
    // Of two who bring the same token at once, one joins.
    let token = invite(&app, acme, GRACE, Role::ReadOnly).await;
    let both = join_all([accept(&app, &token, newcomer()), accept(&app, &token, newcomer())]).await;
    let statuses: BTreeSet<_> = both.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, BTreeSet::from([201, 410]), "{both:#?}");
}

#[tokio::test]
async fn somebody_known_joins_and_is_signed_in_with_their_password_only() {
    let app = TestApp::start().await;
    let (acme, initech) =
        (organization(&app.sign_up("Acme").await), organization(&app.sign_up("Initech").await));
    let first = invite(&app, acme, GRACE, Role::ReadOnly).await;
    let id = accept(&app, &first, newcomer()).await.expect(201).text("/user/id");
    let token = invite(&app, initech, GRACE, Role::Admin).await;
    // A wrong password joins nothing.
    let wrong = accept(&app, &token, json!({"password": "not the password"})).await;
    let _ = wrong.expect_problem(401, "invalid_credentials");
    let joined = accept(&app, &token, json!({})).await.expect(200);
    assert!(joined.json.get("access_token").is_none());
    assert_eq!((joined.text("/organization/id"), joined.text("/user/id")), (initech.to_string(), id.clone()));
    let third = organization(&app.sign_up("Hooli").await);
    let token = invite(&app, third, GRACE, Role::ReadOnly).await;
    let joined = accept(&app, &token, json!({"password": PASSWORD})).await.expect(200);
    let me = signed_in(&app, &joined).get("/api/auth/me").await.expect(200);
    assert_eq!((me.text("/organization/id"), me.text("/user/id")), (third.to_string(), id));
    // Who has come to belong in another way does not join once more, nor does who was deactivated since.
    let fourth = organization(&app.sign_up("Globex").await);
    let again = invite(&app, fourth, GRACE, Role::Admin).await;
    let grace = store(&app).account(GRACE).await.unwrap().unwrap().identity;
    add(&app, fourth, &grace, Role::ReadOnly).await;
    let _ = accept(&app, &again, json!({})).await.expect_problem(409, "conflict");
    let tenant = store(&app).tenant_of_job(fourth);
    let user = grace.user_id;
    let before = tenant.member(user).await.unwrap().unwrap();
    let mut after = before.clone();
    after.status = MemberStatus::Deactivated;
    after.updated_at = store::touched(before.updated_at, app.now());
    let change =
        Change::audited(record(&app, fourth)).membership(fourth, Some(&before), Some(&after)).unwrap();
    tenant.commit(change, None).await.unwrap();
    let _ = accept(&app, &again, json!({})).await.expect_problem(409, "conflict");
}

/// Somebody signs up with an address that isn't theirs and waits for its owner to be invited.
#[tokio::test]
async fn an_account_made_before_its_address_was_proved_is_made_over() {
    let app = TestApp::start().await;
    let hijacker = app.sign_up("Trap").await;
    let address = hijacker.text("/user/email");
    let acme = organization(&app.sign_up("Acme").await);
    let token = invite(&app, acme, &address, Role::Admin).await;
    // The hijacker's password does not count, and can't be left as it is.
    let _ = accept(&app, &token, json!({})).await.expect_problem(422, "invalid");
    let owned = json!({"name": "Owner", "password": "an orchard under four moons"});
    let owner = accept(&app, &token, owned).await.expect(201);
    assert_eq!(owner.text("/user/id"), hijacker.text("/user/id"));
    let _ = hijacker.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let refresh = json!({"refresh_token": hijacker.text("/refresh_token")});
    let _ = app.stranger().post("/api/auth/refresh", refresh).await.expect_problem(401, "session_expired");
    let _ = sign_in(&app, &address, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let home = sign_in(&app, &address, "an orchard under four moons").await.expect(200);
    // Not where the hijacker waits, nor does that organization hear of them.
    assert_eq!(home.text("/organization/name"), "Acme");
    let trap = organization(&hijacker);
    let heard = |records: Vec<serde_json::Value>| {
        records.iter().filter(|it| it["action"] == "session.create" && it["success"] == false).count()
    };
    assert_eq!((heard(records(&app, trap).await), heard(records(&app, acme).await)), (0, 1));
    let named = json!({"email": address, "password": "an orchard under four moons",
        "organization_id": trap.to_string()});
    let _ = app.stranger().post("/api/auth/login", named).await.expect(200);
    let _ = signed_in(&app, &owner).get("/api/auth/me").await.expect(200);
}

#[tokio::test]
async fn an_organization_can_refuse_whom_it_invited() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let acme = organization(&admin);
    let token = invite(&app, acme, GRACE, Role::ReadOnly).await;
    alter(&app, acme, |it| it.settings.allowed_domains = vec!["acme.example".to_owned()]).await;
    let _ = accept(&app, &token, newcomer()).await.expect_problem(403, "domain_not_allowed");
    alter(&app, acme, |it| it.settings.allowed_domains.clear()).await;
    alter(&app, acme, |it| it.limits.seat_limit = 1).await;
    let _ = accept(&app, &token, newcomer()).await.expect_problem(409, "limit_reached");
    alter(&app, acme, |it| it.limits.seat_limit = 2).await;
    let _ = accept(&app, &token, newcomer()).await.expect(201);
    // Into a workspace that is not in use any more.
    let tenant = store(&app).tenant_of_job(acme);
    let workspace = admin.text("/workspaces/0/id").parse().unwrap();
    let (token, _) = invite_to(&app, acme, "b@example.com", Role::Member, Some(workspace)).await;
    for (status, code) in
        [(WorkspaceStatus::Archived, "workspace_archived"), (WorkspaceStatus::Deleted, "conflict")]
    {
        let before = tenant.workspace_record(workspace).await.unwrap().unwrap();
        let mut after = before.clone();
        after.status = status;
        after.updated_at = store::touched(before.updated_at, app.now());
        let change = Change::audited(record(&app, acme)).change_workspace(acme, &before, &after).unwrap();
        tenant.commit(change, None).await.unwrap();
        let _ = accept(&app, &token, newcomer()).await.expect_problem(409, code);
    }
}

/// Fifty people, three seats, all at once: three join, whoever they are, and the invitations of the others stay open.
#[tokio::test]
async fn of_fifty_who_join_for_the_last_three_seats_exactly_three_do() {
    const PEOPLE: usize = 50;
    const ROUNDS: u64 = 100;
    let app = TestApp::start().await;
    let (home, acme) = (organization(&app.sign_up("Home").await), organization(&app.sign_up("Acme").await));
    alter(&app, home, |it| it.limits.seat_limit = 1000).await;
    let addresses: Vec<String> = (0..PEOPLE).map(|number| format!("person{number}@example.com")).collect();
    let identities: Vec<_> = addresses.iter().map(|address| crate::people::known(&app, address)).collect();
    let identities = join_all(identities).await;
    let mut tokens: Vec<Option<String>> = vec![None; PEOPLE];
    let tenant = store(&app).tenant_of_job(acme);
    for round in 0..ROUNDS {
        for (token, address) in tokens.iter_mut().zip(&addresses) {
            if token.is_none() {
                *token = Some(invite(&app, acme, address, Role::ReadOnly).await);
            }
        }
        let taken = tenant.organization().await.unwrap().unwrap().usage.seat_count;
        alter(&app, acme, |it| it.limits.seat_limit = taken + 3).await;
        let answers =
            join_all(tokens.iter().map(|token| accept(&app, token.as_deref().unwrap(), json!({})))).await;
        let joined: Vec<usize> =
            answers.iter().enumerate().filter(|(_, it)| it.status == 200).map(|(index, _)| index).collect();
        assert_eq!(joined.len(), 3, "round {round}");
        for refused in answers.into_iter().filter(|it| it.status != 200) {
            let _ = refused.expect_problem(409, "limit_reached");
        }
        let now = tenant.organization().await.unwrap().unwrap().usage;
        assert_eq!(now.seat_count, taken + 3, "round {round}");
        assert_eq!(tenant.all_members().await.unwrap().len() as u64, taken + 3, "round {round}");
        // They leave again, for the next round.
        for index in joined {
            let member = tenant.member(identities[index].user_id).await.unwrap().unwrap();
            let change = Change::audited(record(&app, acme)).membership(acme, Some(&member), None).unwrap();
            tenant.commit(change, None).await.unwrap();
            tokens[index] = None;
        }
    }
}
