//! `POST /api/auth/invitations/accept`.

use access::{OneTimeKind, policy};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use edge::{Edge, Json, Refused, Reply, RequestInfo};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::Errand;
use utoipa::ToSchema;

use crate::app::invitation::{Newcomer, admits, open, seat};
use crate::app::session::Proof;
use crate::wire::answer::{Me, MfaRequired, SignedIn};
use crate::wire::attempts::verify_password;
use crate::wire::entrance::{Entry, remembering_place};
use crate::wire::sign_in::half_way;
use crate::wire::token::redeem;
use crate::wire::{record, refuse};
use crate::{Auth, app, password};

/// An answer to an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptRequest {
    /// From the mail.
    token: String,
    /// 1 to 100 characters. Needed if you have no account yet, and ignored if you do.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    name: Option<String>,
    /// Your password. Needed if you have no account yet, to set it: at least 12 characters, and none that is easily
    /// guessed. If you have one, it signs you in.
    #[serde(default)]
    #[schema(format = Password)]
    password: Option<String>,
}

/// You have joined.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Joined<'a> {
    /// And are signed in.
    SignedIn(SignedIn<'a>),
    /// And are asked for your second factor.
    HalfWay(MfaRequired),
    /// And sign in as usual.
    AsUsual(&'a Me),
}

/// Accept an invitation
///
/// Takes the seat. Who has no account gets one (201), its address confirmed by the invitation itself, and is signed in. Who
/// has one joins (200): with `password` they are signed in as by `POST /api/auth/login`, without it they sign in as usual.
/// An account whose address was never confirmed may be somebody else's who used it first: its password is replaced, its
/// second factor removed, its sessions are over, and an organization that it was in before must be named to sign in to it. When no seat is left the invitation stays open. An `Idempotency-Key`
/// has no effect: a token is good once.
#[utoipa::path(
    post, path = "/api/auth/invitations/accept", operation_id = "accept_invitation", tag = "auth",
    request_body = AcceptRequest,
    responses((status = 200, description = "Joined", body = Joined<'static>), (status = 201, description = "Joined with a new account, and signed in", body = SignedIn<'static>)),
    extensions(("x-problem-codes" = json!([
        Code::TokenInvalid, Code::TokenSpent, Code::TokenExpired, Code::OrganizationDeleted,
        Code::DomainNotAllowed, Code::WorkspaceArchived, Code::Conflict, Code::InvalidCredentials,
        Code::SignInThrottled, Code::LimitReached, Code::AccountExists, Code::NotFound
    ])))
)]
pub(crate) async fn accept(
    State(edge): State<Edge>,
    Extension(auth): Extension<Auth>,
    request: RequestInfo,
    body: Json<AcceptRequest>,
) -> Reply {
    let AcceptRequest { token, name, password } = body.value;
    let token = redeem(&edge, &request, OneTimeKind::Invitation, &token).await?;
    let Errand::Invitation { organization_id, invitation_id } = token.errand else {
        return Err(Refused(Problem::TokenInvalid));
    };
    let store = edge.unscoped_store();
    let tenant = store.tenant_of_sign_in(organization_id);
    let (invitation, overview, account) =
        tokio::try_join!(tenant.invitation(invitation_id), tenant.overview(), store.account(&token.email))?;
    let invitation = open(invitation, &token.digest)?;
    let organization = overview.organization.ok_or(Problem::TokenSpent)?;
    admits(&organization, &invitation.email)?;
    seat(&invitation).check(&overview.workspaces)?;
    let belongs = account
        .as_ref()
        .is_some_and(|it| it.memberships.iter().any(|it| it.organization_id == organization.id));
    if belongs {
        let detail = "You belong to this organization, or did until you were deactivated.".to_owned();
        return Err(Refused(Problem::Conflict { detail }));
    }
    let before = account.as_ref().map(|account| &account.identity);
    let is_new = before.is_none_or(|identity| !identity.email_verified);
    let (identity, proved) = match (before, &account) {
        (Some(identity), Some(account)) if !is_new => {
            let proved = match password {
                None => false,
                Some(password) => {
                    let email = &identity.email;
                    if !verify_password(&edge, &request, email, Some(account), password).await? {
                        let who = (identity, account.memberships.as_slice());
                        let problem = Problem::InvalidCredentials;
                        return Err(refuse(&edge, &request, "session.create", who, problem).await);
                    }
                    true
                }
            };
            (identity.clone(), proved)
        }
        _ => {
            let newcomer = Newcomer::check(name, password, &invitation.email, &organization)?;
            let hash = password::set("/password", newcomer.password.clone(), newcomer.known.clone()).await?;
            let now = request.now;
            (newcomer.identity(before, &invitation.email, hash, edge.ids(), now), true)
        }
    };
    let member = seat(&invitation).taken_by(&identity, request.now);
    let me = Me::of(&member, &organization, &overview.workspaces);
    let actor = app::person(identity.user_id, &identity.email);
    let about = ("invitation", invitation.id.to_string());
    let record = record(&edge, &request, "invitation.accept", organization.id, actor, about);
    let written = (before, &identity);
    let mut change =
        app::invitation::accept(record, organization.id, &invitation, written, &member, request.now)?;
    let answer = match half_way(&auth, &request, &identity, organization.id)?.filter(|_| proved) {
        Some(question) => Joined::HalfWay(question),
        None if proved => {
            let proof = Proof::by(&[policy::PASSWORD], identity.epoch, request.now);
            let entry = Entry::new(&edge, &request, organization.id, &member, proof)?;
            change = app::session::begin(change, &entry.session)?;
            change = remembering_place(change, &edge, &request, &identity);
            Joined::SignedIn(SignedIn { tokens: entry.tokens, me: &me })
        }
        None => Joined::AsUsual(&me),
    };
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let reply = edge::answer(status, &answer)?;
    tenant.commit(change, None).await.map_err(|error| match Refused::from(error) {
        // It was there a moment ago.
        Refused(Problem::NotFound { what: "workspace" }) => Refused(Problem::WorkspaceArchived),
        other => other,
    })?;
    Ok(reply)
}
