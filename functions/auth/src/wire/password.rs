//! Forgotten and changed passwords: `/api/auth/password`.

use access::{OneTimeKind, policy};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use edge::{Edge, Json, Person, Refused, Reply, RequestInfo};
use mailing::{Letter, MailJob};
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{CommitError, Errand, Identity, Refusal};
use utoipa::ToSchema;

use crate::app::password::{change as changing, changed, known, reset as resetting};
use crate::app::session::Proof;
use crate::app::sign_in::{home, origin};
use crate::wire::answer::{Me, SignedIn};
use crate::wire::attempts::{Attempt, verify_password};
use crate::wire::entrance::{Entry, remembering_place};
use crate::wire::token::redeem;
use crate::wire::{account_of, commit_of_session, mail, record};
use crate::{Auth, app, password};

/// Whose password was forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgotRequest {
    #[schema(format = "email", example = "ada@example.com")]
    email: String,
}

/// What happens next.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    pub(crate) message: &'static str,
}

/// A new password, and what allows it to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    /// From the mail.
    token: String,
    /// At least 12 characters, and none that is easily guessed.
    #[schema(format = Password, min_length = 12)]
    password: String,
}

/// The old password and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    #[schema(format = Password)]
    current_password: String,
    /// At least 12 characters, and none that is easily guessed.
    #[schema(format = Password, min_length = 12)]
    new_password: String,
}

/// Forgot the password
///
/// Mails a link that sets a new one, good for an hour, if somebody has the address. The answer is the same if nobody has
/// it, and takes as long.
#[utoipa::path(
    post, path = "/api/auth/password/forgot", operation_id = "forgot_password", tag = "auth",
    request_body = ForgotRequest,
    responses((status = 202, description = "Looked into", body = Message)),
    extensions(("x-problem-codes" = json!([Code::SignInThrottled])))
)]
pub(crate) async fn forgot(
    State(edge): State<Edge>,
    Extension(auth): Extension<Auth>,
    request: RequestInfo,
    body: Json<ForgotRequest>,
) -> Reply {
    let email = input::account_email(&body.value.email)
        .map_err(|fault| Problem::invalid("/email", fault.code, fault.message))?;
    let (account, place) = (format!("forgot/{email}"), format!("forgot-from/{}", origin(request.ip)));
    // Never forgiven: what is bounded is how often it is asked for. Nothing else is looked up here, so that neither the
    // answer nor its timing can tell.
    let _ = Attempt::count(&edge, &request, &[(&account, true), (&place, true)]).await?;
    let job =
        MailJob::PasswordForgotten { email, request_id: request.id.clone(), ip: request.ip.to_string() };
    auth.mails().send(edge.mail_seal(), &job).await.map_err(|error| {
        tracing::warn!(error = %error, "a forgotten password could not be put on the queue of mails");
        Refused(Problem::Unavailable)
    })?;
    let message = "If somebody has this address, a mail is on its way to them.";
    edge::answer(StatusCode::ACCEPTED, &Message { message })
}

/// Reset the password
///
/// Sets a new password with the token from the mail, and ends every session. Whatever was tried with the old password no
/// longer counts, and the place this comes from is known from then on. The second factor stays. Sign in with the new
/// password afterwards. An account whose address was never confirmed may be somebody else's who used it first: its second
/// factor is removed, and an organization that it is in already must be named to sign in to it.
#[utoipa::path(
    post, path = "/api/auth/password/reset", operation_id = "reset_password", tag = "auth",
    request_body = ResetRequest,
    responses((status = 204, description = "Reset")),
    extensions(("x-problem-codes" = json!([
        Code::TokenInvalid, Code::TokenSpent, Code::TokenExpired, Code::NoOrganization, Code::Conflict
    ])))
)]
pub(crate) async fn reset(State(edge): State<Edge>, request: RequestInfo, body: Json<ResetRequest>) -> Reply {
    let ResetRequest { token, password } = body.value;
    let token = redeem(&edge, &request, OneTimeKind::PasswordReset, &token).await?;
    let Errand::PasswordReset { user_id, epoch } = token.errand else {
        return Err(Refused(Problem::TokenInvalid));
    };
    let account = edge.unscoped_store().account(&token.email).await?;
    // What was asked for before the last reset or change is worth nothing.
    let account = account.filter(|it| (it.identity.user_id, it.identity.epoch) == (user_id, epoch));
    let account = account.ok_or(Problem::TokenSpent)?;
    let identity = &account.identity;
    let organization = home(identity, &account.memberships).ok_or(Problem::NoOrganization)?;
    let hash = password::set("/password", password, known(identity)).await?;
    let after = resetting(identity, hash, request.now);
    let actor = app::person(user_id, &identity.email);
    let about = ("user", user_id.to_string());
    let record = record(&edge, &request, "password.reset", organization, actor, about);
    let change = changing(record, identity, &after)?
        .spend_single_use(&token.digest, request.now)
        .mailing(mail(&edge, organization, told(identity, &request), request.now)?);
    let change = remembering_place(change, &edge, &request, identity);
    let tenant = edge.unscoped_store().tenant_of_sign_in(organization);
    tenant.commit(change, None).await.map_err(|error| match error {
        // The same token at the same moment got there first.
        CommitError::Refused(Refusal::Raced) => Refused(Problem::TokenSpent),
        other => other.into(),
    })?;
    Ok(edge::no_content())
}

fn told(identity: &Identity, request: &RequestInfo) -> Letter {
    Letter::PasswordChanged { to: identity.email.clone(), name: identity.name.clone(), at: request.now }
}

/// Change the password
///
/// Ends every session, this one too; the answer holds the tokens of one that follows from it and has proved as much.
#[utoipa::path(
    post, path = "/api/auth/password/change", operation_id = "change_password", tag = "auth",
    request_body = ChangeRequest,
    responses((status = 200, description = "Changed", body = SignedIn<'static>)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::InvalidCredentials, Code::SignInThrottled])))
)]
pub(crate) async fn change(person: Person, body: Json<ChangeRequest>) -> Reply {
    let ChangeRequest { current_password, new_password } = body.value;
    let context = &person.context;
    let (edge, request) = (context.edge(), &context.request);
    let account = account_of(&person).await?;
    let identity = &account.identity;
    if identity.password_hash.is_none() {
        let detail = "You have no password. Set one with POST /api/auth/password/forgot.".to_owned();
        return Err(Refused(Problem::Conflict { detail }));
    }
    if !verify_password(edge, request, &identity.email, Some(&account), current_password).await? {
        return Err(context.refuse(None, Problem::InvalidCredentials).await);
    }
    let hash = password::set("/new_password", new_password, known(identity)).await?;
    let after = changed(identity, hash, request.now);
    let standing = person.standing()?;
    let mut amr = standing.session.amr.clone();
    if !amr.iter().any(|method| method == policy::PASSWORD) {
        amr.push(policy::PASSWORD.to_owned());
    }
    let proof = Proof { amr, authenticated_at: standing.session.authenticated_at, epoch: after.epoch };
    let organization = standing.organization.id;
    let Entry { session, tokens } = Entry::new(edge, request, organization, &standing.member, proof)?;
    let record = context.record("password.change", "user", &person.id.to_string());
    let change = changing(record, identity, &after)?.end_session(person.session, request.now).mailing(mail(
        edge,
        organization,
        told(identity, request),
        request.now,
    )?);
    let change = app::session::begin(change, &session)?;
    let workspaces = context.tenant().workspaces().await?;
    let me = Me::of(&standing.member, &standing.organization, &workspaces);
    let reply = edge::ok(&SignedIn { tokens, me: &me }, None)?;
    commit_of_session(context.tenant(), change).await?;
    Ok(reply)
}
