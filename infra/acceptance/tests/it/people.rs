//! What tests about people and their ways in have in common.

use std::time::Duration;

use access::{OneTimeKind, OneTimeToken};
use ids::{Ids, OrganizationId};
use serde_json::{Value, json};
use store::{
    AuditRecord, Change, Errand, Invitation, InvitationStatus, Organization, Role, SingleUse, Store,
};
use testkit::{Actor, PASSWORD, Response, TestApp};

/// The store, as the `auth` function has it.
pub(crate) fn store(app: &TestApp) -> Store {
    let services = app.platform().services_for("auth").unwrap();
    Store::from_environment(&services.environment, services.aws.dynamodb).unwrap()
}

pub(crate) fn ids(app: &TestApp) -> Ids {
    Ids::new(app.platform().clock().clone())
}

pub(crate) fn organization(admin: &Actor) -> OrganizationId {
    admin.text("/organization/id").parse().unwrap()
}

/// A record for a change that a test makes without the API.
pub(crate) fn record(app: &TestApp, organization: OrganizationId) -> AuditRecord {
    AuditRecord {
        id: ids(app).next(),
        action: "test.arrange",
        actor: store::Actor { r#type: "system".to_owned(), id: "test".to_owned(), email: None },
        resource_type: "test".to_owned(),
        resource_id: None,
        organization_id: organization,
        workspace_id: None,
        ip_address: "127.0.0.1".to_owned(),
        user_agent: None,
        request_id: "test".to_owned(),
        timestamp: app.now(),
        success: true,
        error_code: None,
        changes: Vec::new(),
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: false,
    }
}

/// All audit records of an organization today.
pub(crate) async fn records(app: &TestApp, organization: OrganizationId) -> Vec<Value> {
    store(app).tenant_of_job(organization).every_audit_record(app.now()).await.unwrap()
}

/// Invites somebody to the organization and gives the token.
pub(crate) async fn invite(app: &TestApp, organization: OrganizationId, email: &str, role: Role) -> String {
    invite_to(app, organization, email, role, None).await.0
}

/// The same into a workspace, with the invitation.
pub(crate) async fn invite_to(
    app: &TestApp,
    organization: OrganizationId,
    email: &str,
    role: Role,
    workspace: Option<ids::WorkspaceId>,
) -> (String, Invitation) {
    let (now, token) = (app.now(), OneTimeToken::generate(OneTimeKind::Invitation).unwrap());
    let invitation = Invitation {
        id: ids(app).next(),
        email: email.to_owned(),
        role,
        workspace_id: workspace,
        status: InvitationStatus::Pending,
        invited_by: "test".to_owned(),
        token_digest: token.digest(),
        accepted_by: None,
        expires_at: now + Duration::from_secs(7 * 24 * 3600),
        created_at: now,
        updated_at: now,
    };
    let single = SingleUse {
        digest: token.digest(),
        errand: Errand::Invitation { organization_id: organization, invitation_id: invitation.id },
        email: email.to_owned(),
        valid_until: invitation.expires_at,
        spent: false,
        created_at: now,
        updated_at: now,
    };
    let change =
        Change::audited(record(app, organization)).invite(organization, &invitation, &single).unwrap();
    store(app).tenant_of_job(organization).commit(change, None).await.unwrap();
    (token.reveal().to_owned(), invitation)
}

/// Changes the organization as `alter` says.
pub(crate) async fn alter(
    app: &TestApp,
    organization: OrganizationId,
    alter: impl FnOnce(&mut Organization),
) {
    let tenant = store(app).tenant_of_job(organization);
    let before = tenant.organization().await.unwrap().unwrap();
    let mut after = before.clone();
    alter(&mut after);
    after.updated_at = store::touched(before.updated_at, app.now());
    let change = Change::audited(record(app, organization)).change_organization(&before, &after).unwrap();
    tenant.commit(change, None).await.unwrap();
}

/// Accepts an invitation with what `more` adds to its token.
pub(crate) async fn accept(app: &TestApp, token: &str, more: Value) -> Response {
    let mut body = json!({"token": token});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.stranger().post("/api/auth/invitations/accept", body).await
}

/// What somebody new says when they accept.
pub(crate) fn newcomer() -> Value {
    json!({"name": "Grace", "password": PASSWORD})
}

/// Signs in.
pub(crate) async fn sign_in(app: &TestApp, email: &str, password: &str) -> Response {
    app.stranger().post("/api/auth/login", json!({"email": email, "password": password})).await
}

/// A session that an answer began.
pub(crate) fn signed_in(app: &TestApp, answer: &Response) -> Actor {
    app.stranger().with_token(&answer.text("/access_token"))
}

/// Somebody with a confirmed address and no password, who belongs nowhere.
pub(crate) async fn known(app: &TestApp, email: &str) -> store::Identity {
    let identity = store::Identity {
        user_id: ids(app).next(),
        email: email.to_owned(),
        name: "Known".to_owned(),
        password_hash: None,
        email_verified: true,
        made_over_at: None,
        second_factor: None,
        epoch: 0,
        created_at: app.now(),
        updated_at: app.now(),
    };
    let nowhere: OrganizationId = ids(app).next();
    let change = Change::audited(record(app, nowhere)).create_identity(&identity).unwrap();
    store(app).tenant_of_job(nowhere).commit(change, None).await.unwrap();
    identity
}

/// Makes a domain the organization's own, and lets its people join as `auto_join` says.
pub(crate) async fn own_domain(
    app: &TestApp,
    organization: OrganizationId,
    domain: &str,
    auto_join: Option<store::AutoJoin>,
) {
    let claimed = store::DomainClaim {
        domain: domain.to_owned(),
        status: store::DomainStatus::Pending,
        challenge: "test".to_owned(),
        auto_join,
        verified_at: None,
        checked_at: None,
        failing_since: None,
        next_check_at: None,
        created_at: app.now(),
        updated_at: app.now(),
    };
    let mut verified = claimed.clone();
    verified.status = store::DomainStatus::Verified;
    verified.updated_at = store::touched(claimed.updated_at, app.now());
    let tenant = store(app).tenant_of_job(organization);
    let change = Change::audited(record(app, organization)).claim_domain(organization, &claimed).unwrap();
    tenant.commit(change, None).await.unwrap();
    let change =
        Change::audited(record(app, organization)).change_domain(organization, &claimed, &verified).unwrap();
    tenant.commit(change, None).await.unwrap();
}

/// Adds somebody to an organization.
pub(crate) async fn add(app: &TestApp, organization: OrganizationId, identity: &store::Identity, role: Role) {
    let member = store::Member {
        user_id: identity.user_id,
        email: identity.email.clone(),
        name: identity.name.clone(),
        role: Some(role),
        workspace_roles: Vec::new(),
        status: store::MemberStatus::Active,
        address_proved: true,
        generation: 7,
        created_at: app.now(),
        updated_at: app.now(),
    };
    let change =
        Change::audited(record(app, organization)).membership(organization, None, Some(&member)).unwrap();
    store(app).tenant_of_job(organization).commit(change, None).await.unwrap();
}

/// A session of somebody in an organization, as a password begins it.
pub(crate) async fn session(
    app: &TestApp,
    organization: OrganizationId,
    identity: &store::Identity,
) -> Actor {
    let services = app.platform().services_for("auth").unwrap();
    let master = sealing::MasterSecret::new(services.secret("SESSION_SECRET_ID").await.unwrap());
    let tokens = access::session::Tokens::new(&master).unwrap();
    let member = store(app).tenant_of_job(organization).member(identity.user_id).await.unwrap();
    let (now, refresh) = (app.now(), tokens.refresh_token(ids(app).next()).unwrap());
    let session = store::Session {
        credential: store::SessionCredential {
            session_id: refresh.session(),
            organization_id: organization,
            user_id: identity.user_id,
            email: identity.email.clone(),
            epoch: identity.epoch,
            generation: member.map_or(0, |member| member.generation),
            authenticated_at: now,
            amr: vec!["pwd".to_owned()],
        },
        refresh_digest: refresh.digest(),
        replaced_digest: None,
        replaced_at: None,
        created_at: now,
        updated_at: now,
        ends_at: now + Duration::from_secs(3600),
        status: "active".to_owned(),
    };
    let change = Change::audited(record(app, organization)).begin_session(&session, 5000).unwrap();
    store(app).tenant_of_job(organization).commit(change, None).await.unwrap();
    let bearer = access::session::Bearer { session: refresh.session(), organization, user: identity.user_id };
    app.stranger().with_token(&tokens.access_token(bearer, now).unwrap())
}
