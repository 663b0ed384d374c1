//! `POST /api/auth/signup`.

use access::policy;
use axum::extract::State;
use axum::http::StatusCode;
use edge::{Committed, Edge, Idempotency, IdempotencyKey, Json, Reply, RequestInfo};
use problem::Code;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::session::Proof;
use crate::app::sign_in::origin;
use crate::app::sign_up::{MOST_SIGN_UPS, SignUp};
use crate::wire::address::asking_to_confirm;
use crate::wire::answer::{Me, SignedIn};
use crate::wire::attempts::Attempt;
use crate::wire::entrance::Entry;
use crate::wire::record;
use crate::{app, password};

/// A new organization and its first admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUpRequest {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    organization_name: String,
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    name: String,
    #[schema(format = "email", example = "ada@example.com")]
    email: String,
    /// At least 12 characters, and none that is easily guessed.
    #[schema(format = Password, min_length = 12)]
    password: String,
}

/// A session has begun. An answer that is repeated holds no tokens.
#[derive(ToSchema)]
#[schema(as = SignedUp)]
#[allow(dead_code, reason = "describes an answer in the document; each of the two is written by itself")]
#[serde(untagged)]
pub(crate) enum SignedUp<'a> {
    SignedIn(SignedIn<'a>),
    Repeated(Me),
}

/// Sign up
///
/// Makes an organization, its first workspace and its first admin, and signs the admin in. A mail asks to confirm the
/// address. Repeated with the same `Idempotency-Key` the answer holds no tokens: sign in instead. Of twenty from one address
/// within ten minutes, the next ones are not heard until those are over.
#[utoipa::path(
    post, path = "/api/auth/signup", operation_id = "sign_up", tag = "auth",
    request_body = SignUpRequest,
    responses((status = 201, description = "Signed up and signed in", body = SignedUp<'static>)),
    extensions(("x-problem-codes" = json!([Code::SignInThrottled, Code::AccountExists, Code::Conflict])))
)]
pub(crate) async fn sign_up(
    State(edge): State<Edge>,
    request: RequestInfo,
    key: IdempotencyKey,
    body: Json<SignUpRequest>,
) -> Reply {
    let SignUpRequest { organization_name, name, email, password } = body.value;
    // Never forgiven: what is bounded is how many organizations come from one place.
    let place = format!("sign-up-from/{}", origin(request.ip));
    let _ = Attempt::within(MOST_SIGN_UPS, &edge, &request, &[(&place, true)]).await?;
    let checked = SignUp::check(&organization_name, &name, &email, &password)?;
    let hash = password::set("/password", password, checked.known()).await?;
    let founding = checked.found(hash, edge.ids(), request.now);
    let organization = founding.organization.id;
    let proof = Proof::by(&[policy::PASSWORD], 0, request.now);
    let Entry { session, tokens } = Entry::new(&edge, &request, organization, &founding.admin, proof)?;
    let actor = app::person(founding.admin.user_id, &founding.admin.email);
    let about = ("organization", organization.to_string());
    let admin = (founding.admin.user_id, founding.admin.name.as_str(), founding.admin.email.as_str());
    let change = founding
        .change(&session, record(&edge, &request, "organization.create", organization, actor, about))?;
    let change = asking_to_confirm(change, &edge, organization, admin, request.now)?;
    let me = Me::of(&founding.admin, &founding.organization, std::slice::from_ref(&founding.workspace));
    let signed_in = SignedIn { tokens, me: &me };
    let committed = Committed { status: StatusCode::CREATED, body: &signed_in, replayed: &me };
    // Nobody is known yet: the keys of two people are told apart by their addresses.
    let owner = format!("sign-up/{}", edge.fingerprint(&founding.admin.email));
    let idempotency = Idempotency { key: &key, owner: &owner, workspace: "", body: &body.bytes };
    edge.commit_sign_up(&request, change, idempotency, committed).await
}
