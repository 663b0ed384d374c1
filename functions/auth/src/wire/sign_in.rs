//! `POST /api/auth/login`.

use access::policy;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use edge::{Edge, Json, Refused, Reply, RequestInfo};
use ids::OrganizationId;
use problem::{Code, Problem};
use serde::Deserialize;
use store::Identity;
use utoipa::ToSchema;

use crate::Auth;
use crate::app::session::Proof;
use crate::app::sign_in::candidates;
use crate::wire::answer::{MfaRequired, SignInAnswer};
use crate::wire::attempts::verify_password;
use crate::wire::entrance::{Place, enter};
use crate::wire::{refuse, refuse_unknown};

/// Credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInRequest {
    #[schema(format = "email", example = "ada@example.com")]
    email: String,
    #[schema(format = Password)]
    password: String,
    /// Which organization; if not given, the one joined first since the address was proved to be yours.
    #[serde(default)]
    organization_id: Option<OrganizationId>,
}

/// Sign in
///
/// The answer to a wrong password and to an unknown address is the same, and takes as long. Of ten failed attempts within
/// ten minutes, at an account or from an address, the next ones are not heard until the ten minutes are over; from an
/// address you signed in from in the last 30 days, only your own attempts count. Where a second factor is active the
/// answer is `{mfa_required, mfa_token}`: see `POST /api/auth/mfa/verify`. An `Idempotency-Key` has no effect: every
/// sign-in begins a session of its own.
#[utoipa::path(
    post, path = "/api/auth/login", operation_id = "sign_in", tag = "auth",
    request_body = SignInRequest,
    responses((status = 200, description = "Signed in, or half way", body = SignInAnswer<'static>)),
    extensions(("x-problem-codes" = json!([
        Code::InvalidCredentials, Code::SignInThrottled, Code::NoOrganization, Code::Conflict
    ])))
)]
pub(crate) async fn sign_in(
    State(edge): State<Edge>,
    Extension(auth): Extension<Auth>,
    request: RequestInfo,
    body: Json<SignInRequest>,
) -> Reply {
    let SignInRequest { email, password, organization_id } = body.value;
    // An address that can't be one is nobody's; it is answered, and takes as long, like any other.
    let email = input::account_email(&email).unwrap_or_default();
    let found = edge.unscoped_store().account(&email).await?;
    let verified = verify_password(&edge, &request, &email, found.as_ref(), password).await?;
    let Some(account) = found else {
        return Err(refuse_unknown(&edge, &request, &email, Problem::InvalidCredentials).await);
    };
    let (identity, memberships) = (&account.identity, account.memberships.as_slice());
    let chosen = candidates(identity, memberships, organization_id);
    let (true, Ok(chosen)) = (verified, chosen) else {
        let who = (identity, memberships);
        return Err(refuse(&edge, &request, "session.create", who, Problem::InvalidCredentials).await);
    };
    let place = match (organization_id, chosen.as_slice()) {
        // A deleted one may be named: its admins can bring it back.
        (Some(_), [named]) => Place::of(&edge, *named, identity.user_id).await?,
        _ => Place::first_of(&edge, chosen, identity.user_id).await?,
    };
    let Some(place) = place else {
        let named = organization_id.is_some();
        let problem = if named { Problem::InvalidCredentials } else { Problem::NoOrganization };
        return Err(refuse(&edge, &request, "session.create", (identity, memberships), problem).await);
    };
    with_password(&edge, &auth, &request, identity, &place).await
}

/// What a right password leads to: a session, or the question for the second factor.
pub(crate) async fn with_password(
    edge: &Edge,
    auth: &Auth,
    request: &RequestInfo,
    identity: &Identity,
    place: &Place,
) -> Reply {
    match half_way(auth, request, identity, place.organization.id)? {
        Some(answer) => edge::answer(StatusCode::OK, &answer),
        None => {
            let proof = Proof::by(&[policy::PASSWORD], identity.epoch, request.now);
            enter(edge, request, identity, place, proof).await
        }
    }
}

/// The question for the second factor, if there is one.
pub(crate) fn half_way(
    auth: &Auth,
    request: &RequestInfo,
    identity: &Identity,
    organization: OrganizationId,
) -> Result<Option<MfaRequired>, Refused> {
    if !identity.second_factor.as_ref().is_some_and(|factor| factor.active) {
        return Ok(None);
    }
    let mfa_token = auth.half_way().token(identity, organization, request.now)?;
    Ok(Some(MfaRequired { mfa_required: true, mfa_token }))
}
