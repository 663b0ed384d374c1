//! Identity on the wire.

mod address;
mod answer;
mod attempts;
mod entrance;
mod invitation;
mod joining;
mod mfa;
mod password;
mod profile;
mod session;
mod sign_in;
mod sign_up;
mod sso;
mod switch;
mod token;

use clock::Timestamp;
use edge::{Edge, Person, Refused, RequestInfo, routes};
use ids::OrganizationId;
use mailing::Letter;
use problem::Problem;
use store::{
    Account, Actor, AuditRecord, Change, CommitError, Identity, IdentityMembership, OutgoingMail, Refusal,
    StoreError, Tenant,
};
use utoipa_axum::router::OpenApiRouter;

use crate::app;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(sign_up::sign_up))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(session::refresh))
        .routes(routes!(session::sign_out))
        .routes(routes!(profile::me, profile::change))
        .routes(routes!(switch::switch))
        .routes(routes!(address::confirm))
        .routes(routes!(address::resend))
        .routes(routes!(password::forgot))
        .routes(routes!(password::reset))
        .routes(routes!(password::change))
        .routes(routes!(mfa::enroll))
        .routes(routes!(mfa::activate))
        .routes(routes!(mfa::verify))
        .routes(routes!(mfa::renew))
        .routes(routes!(mfa::remove))
        .routes(routes!(sso::start))
        .routes(routes!(sso::callback))
        .routes(routes!(invitation::accept))
}

/// The account of who is signed in.
async fn account_of(person: &Person) -> Result<Account, Refused> {
    let email = &person.standing()?.session.email;
    let found = person.context.edge().unscoped_store().account(email).await?;
    found.filter(|account| account.identity.user_id == person.id).ok_or(Refused(Problem::SessionExpired))
}

/// A record of success about `(resource_type, resource_id)`.
fn record(
    edge: &Edge,
    request: &RequestInfo,
    action: &'static str,
    organization: OrganizationId,
    actor: Actor,
    (resource_type, resource_id): (&str, String),
) -> AuditRecord {
    AuditRecord {
        id: edge.ids().next(),
        action,
        actor,
        resource_type: resource_type.to_owned(),
        resource_id: Some(resource_id),
        organization_id: organization,
        workspace_id: None,
        ip_address: request.ip.to_string(),
        user_agent: request.user_agent.clone(),
        request_id: request.id.clone(),
        timestamp: request.now,
        success: true,
        error_code: None,
        changes: Vec::new(),
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: true,
    }
}

/// A letter that a change of `organization` causes.
fn mail(
    edge: &Edge,
    organization: OrganizationId,
    letter: Letter,
    now: Timestamp,
) -> Result<OutgoingMail, StoreError> {
    edge.mail_seal().outgoing(edge.ids().next(), organization, letter, now)
}

/// Commits what ends or alters the caller's session. It may have ended since the request was let in.
async fn commit_of_session(tenant: &Tenant, change: Change) -> Result<(), Refused> {
    tenant.commit(change, None).await.map_err(|error| match error {
        CommitError::Refused(Refusal::Missing("session")) => Refused(Problem::SessionExpired),
        other => other.into(),
    })
}

/// Refuses somebody whom the directory knows, on record with the organization they have been in longest.
async fn refuse(
    edge: &Edge,
    request: &RequestInfo,
    action: &'static str,
    (identity, memberships): (&Identity, &[IdentityMembership]),
    problem: Problem,
) -> Refused {
    let Some(organization) = app::sign_in::home(identity, memberships) else {
        // Nobody's log tells of them. The note takes as long as a record would.
        return refuse_unknown(edge, request, &identity.email, problem).await;
    };
    let actor = app::person(identity.user_id, &identity.email);
    let about = ("user", identity.user_id.to_string());
    let mut record = record(edge, request, action, organization, actor, about);
    record.success = false;
    record.sensitive = true;
    record.error_code = Some(problem.code().as_str().to_owned());
    match edge.unscoped_store().tenant_of_sign_in(organization).record(&record).await {
        Ok(()) => Refused(problem),
        Err(error) => error.into(),
    }
}

/// Refuses somebody with an address that nobody has, or who belongs nowhere.
async fn refuse_unknown(edge: &Edge, request: &RequestInfo, email: &str, problem: Problem) -> Refused {
    let digest = edge.fingerprint(email);
    let noted =
        edge.unscoped_store().note_unknown_sign_in(&digest, request.now, &request.ip.to_string()).await;
    match noted {
        Ok(()) => Refused(problem),
        Err(error) => error.into(),
    }
}
