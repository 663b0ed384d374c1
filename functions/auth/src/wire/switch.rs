//! `POST /api/auth/switch`.

use edge::{Json, Refused, Reply, Unproven};
use ids::OrganizationId;
use problem::{Code, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::joining::joined;
use crate::app::session::elsewhere;
use crate::wire::answer::SignedIn;
use crate::wire::entrance::{Place, Way, beginning};
use crate::wire::joining::{Open, open_to};
use crate::wire::{account_of, commit_of_session};

/// Where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchRequest {
    organization_id: OrganizationId,
}

/// Switch to another organization
///
/// Ends this session and begins one in another organization of the same person, from the same sign-in on; to the one it is
/// in already it can't be switched. What an
/// identity provider has vouched for is worth nothing elsewhere: without a password this session can't be taken along, and
/// with one its `sso` and `mfa` stay behind. An organization that owns the domain of your confirmed address and lets its
/// people in is joined by this: see `joinable` in `GET /api/auth/me`. An `Idempotency-Key` has no effect.
#[utoipa::path(
    post, path = "/api/auth/switch", operation_id = "switch_organization", tag = "auth",
    request_body = SwitchRequest,
    responses((status = 200, description = "Switched", body = SignedIn<'static>)),
    extensions(("x-problem-codes" = json!([
        Code::Conflict, Code::SignInElsewhere, Code::NotFound, Code::LimitReached, Code::WorkspaceArchived
    ])))
)]
pub(crate) async fn switch(Unproven(person): Unproven, body: Json<SwitchRequest>) -> Reply {
    let context = &person.context;
    let (edge, request) = (context.edge(), &context.request);
    let from = &person.standing()?.session;
    let there = body.value.organization_id;
    if there == from.organization_id {
        let detail = "The session is in this organization already.".to_owned();
        return Err(Refused(Problem::Conflict { detail }));
    }
    let Some(proof) = elsewhere(from) else {
        return Err(context.refuse(None, Problem::SignInElsewhere).await);
    };
    let missing = || Refused(Problem::NotFound { what: "organization" });
    if let Some(place) = Place::of(edge, there, person.id).await? {
        let (change, reply) = beginning(edge, request, &place, proof, Way::Switching).await?;
        commit_of_session(&place.tenant, change.end_session(from.session_id, request.now)).await?;
        return Ok(reply);
    }
    let account = account_of(&person).await?;
    let belongs = account.memberships.iter().any(|it| it.organization_id == there);
    let open = if belongs { None } else { open_to(edge, &account).await? };
    let Some(open) = open.filter(|open| open.organization.id == there) else { return Err(missing()) };
    let Open { tenant, organization, workspaces, claim, seat } = open;
    let member = seat.taken_by(&account.identity, request.now);
    let place = Place { tenant, organization, member, workspaces };
    let (change, reply) = beginning(edge, request, &place, proof, Way::Joining).await?;
    let mut change = change
        .end_session(from.session_id, request.now)
        .membership(there, None, Some(&place.member))?
        .change_identity(&account.identity, &joined(&account.identity, request.now))?
        .requires_claim(there, &claim);
    if let Some(workspace) = seat.workspace {
        change = change.requires_workspace(there, workspace);
    }
    commit_of_session(&place.tenant, change).await?;
    Ok(reply)
}
