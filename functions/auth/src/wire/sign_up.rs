//! `POST /api/auth/signup`.

use access::policy;
use axum::extract::State;
use axum::http::StatusCode;
use edge::{
    Committed, Edge, Idempotency, IdempotencyKey, IdempotencyParameter, Json, Problems, Reply, RequestInfo,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::session::Proof;
use crate::app::sign_up::SignUp;
use crate::wire::address::asking_to_confirm;
use crate::wire::answer::{Me, SignedIn};
use crate::wire::entrance::Entry;
use crate::wire::record;
use crate::{app, password};

/// A new organization and its first admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUpRequest {
    /// 1 to 100 characters.
    organization_name: String,
    /// 1 to 100 characters.
    name: String,
    #[schema(example = "ada@example.com")]
    email: String,
    /// At least 12 characters, and none that is easily guessed.
    #[schema(format = Password)]
    password: String,
}

/// Sign up
///
/// Makes an organization, its first workspace and its first admin, and signs the admin in. A mail asks to confirm the address. Repeated with the same
/// `Idempotency-Key` the answer holds no tokens: sign in instead.
#[utoipa::path(
    post, path = "/api/auth/signup", operation_id = "sign_up", tag = "auth",
    params(IdempotencyParameter), request_body = SignUpRequest,
    responses((status = 201, description = "Signed up and signed in", body = SignedIn<'static>), Problems)
)]
pub(crate) async fn sign_up(
    State(edge): State<Edge>,
    request: RequestInfo,
    key: IdempotencyKey,
    body: Json<SignUpRequest>,
) -> Reply {
    let SignUpRequest { organization_name, name, email, password } = body.value;
    let checked = SignUp::check(&organization_name, &name, &email, &password)?;
    let hash = password::hash(password).await?;
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
    let idempotency = Idempotency { key: &key, owner: "sign-up", workspace: "", body: &body.bytes };
    edge.commit_sign_up(&request, change, idempotency, committed).await
}
