//! Confirming an e-mail address: `/api/auth/email`.

use access::{OneTimeKind, OneTimeToken};
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{Edge, Json, Person, Refused, Reply, Unproven};
use ids::{OrganizationId, UserId};
use mailing::{Letter, Token};
use problem::{Code, Problem};
use serde::Deserialize;
use store::{Change, CommitError, Errand, Identity, Refusal};
use utoipa::ToSchema;

use crate::app;
use crate::app::password::{change, confirmation, confirmed, proved};
use crate::app::sign_in::home;
use crate::wire::attempts::Attempt;
use crate::wire::password::Message;
use crate::wire::token::redeem;
use crate::wire::{account_of, mail, record};

/// A token that confirms an address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRequest {
    /// From the mail.
    token: String,
}

/// Mails a token that confirms the address of an identity, with `change`.
pub(crate) fn asking_to_confirm(
    change: Change,
    edge: &Edge,
    organization: OrganizationId,
    (user, name, email): (UserId, &str, &str),
    now: Timestamp,
) -> Result<Change, Refused> {
    let token = OneTimeToken::generate(OneTimeKind::ConfirmAddress)?;
    let letter = Letter::ConfirmAddress {
        to: email.to_owned(),
        name: name.to_owned(),
        token: Token::new(token.reveal()),
    };
    let single = confirmation(token.digest(), email, user, now);
    Ok(change.issue_single_use(&single)?.mailing(mail(edge, organization, letter, now)?))
}

/// Confirm the e-mail address
///
/// Shows with the token from the mail that the address is yours. It takes a session of the account itself: a link alone,
/// clicked by whoever the address belongs to, must not vouch for somebody else's account under that address.
#[utoipa::path(
    post, path = "/api/auth/email/confirm", operation_id = "confirm_address", tag = "auth",
    request_body = ConfirmRequest,
    responses((status = 204, description = "Confirmed")),
    extensions(("x-problem-codes" = json!([
        Code::TokenInvalid, Code::TokenSpent, Code::TokenExpired, Code::NoOrganization, Code::Conflict
    ])))
)]
pub(crate) async fn confirm(Unproven(person): Unproven, body: Json<ConfirmRequest>) -> Reply {
    let (edge, request) = (person.context.edge().clone(), person.context.request.clone());
    let token = redeem(&edge, &request, OneTimeKind::ConfirmAddress, &body.value.token).await?;
    let Errand::ConfirmAddress { user_id } = token.errand else {
        return Err(Refused(Problem::TokenInvalid));
    };
    if user_id != person.id {
        return Err(Refused(Problem::TokenInvalid));
    }
    let account = edge.unscoped_store().account(&token.email).await?;
    let account = account.filter(|it| it.identity.user_id == user_id).ok_or(Problem::TokenSpent)?;
    let organization = home(&account.identity, &account.memberships).ok_or(Problem::NoOrganization)?;
    let tenant = edge.unscoped_store().tenant_of_sign_in(organization);
    let member = tenant.member(user_id).await?;
    let after = confirmed(&account.identity, request.now);
    let actor = app::person(user_id, &account.identity.email);
    let about = ("user", user_id.to_string());
    let record = record(&edge, &request, "email.confirm", organization, actor, about);
    let mut change = change(record, &account.identity, &after)?.spend_single_use(&token.digest, request.now);
    if let Some(member) = &member
        && let Some(proved) = proved(member, request.now)
    {
        change = change.membership(organization, Some(member), Some(&proved))?;
    }
    tenant.commit(change, None).await.map_err(|error| match error {
        CommitError::Refused(Refusal::Raced) => Refused(Problem::TokenSpent),
        other => other.into(),
    })?;
    Ok(edge::no_content())
}

/// Send the mail again
///
/// Mails another token that confirms your address. Earlier ones stay good.
#[utoipa::path(
    post, path = "/api/auth/email/resend", operation_id = "resend_confirmation", tag = "auth",
    responses((status = 202, description = "On its way", body = Message)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::SignInThrottled])))
)]
pub(crate) async fn resend(person: Person) -> Reply {
    let context = &person.context;
    let (edge, request) = (context.edge(), &context.request);
    let account = account_of(&person).await?;
    let Identity { user_id, name, email, email_verified, .. } = &account.identity;
    if *email_verified {
        return Err(Refused(Problem::Conflict { detail: "The address is confirmed.".to_owned() }));
    }
    let _ = Attempt::count(edge, request, &[(&format!("confirm/{user_id}"), true)]).await?;
    let record = context.record("email.resend", "user", &user_id.to_string());
    let organization = context.tenant().organization_id();
    let who = (*user_id, name.as_str(), email.as_str());
    let change = asking_to_confirm(Change::audited(record), edge, organization, who, request.now)?;
    let reply = edge::answer(StatusCode::ACCEPTED, &Message { message: "A mail is on its way to you." })?;
    context.tenant().commit(change, None).await?;
    Ok(reply)
}
