//! Sessions: refreshed, ended, looked at.

use access::policy::{self, Obstacle};
use axum::extract::State;
use edge::{Edge, Json, Refused, Reply, RequestInfo, Unproven};
use problem::{Code, Problem};
use serde::Deserialize;
use store::{CommitError, Refusal};
use utoipa::ToSchema;

use crate::app;
use crate::app::session::Refresh;
use crate::wire::answer::Tokens;
use crate::wire::{commit_of_session, record};

/// How often a session is looked at whose refresh token others replace meanwhile. Once it was replaced, a token is not valid
/// again.
const LOOKS: usize = 2;

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    refresh_token: String,
}

/// Refresh a session
///
/// Gives a new access token and a new refresh token. A refresh token is good once: used again, it ends the session, because
/// somebody has a copy of it. Within ten seconds of its first use it gives the same refresh token again, with another access
/// token, so that two requests at the same moment and an answer that was lost do no harm. Refused as soon as the session no
/// longer holds: when its person was deactivated or removed, has had all their sessions ended, or signed in longer ago than the
/// organization lets sessions last.
#[utoipa::path(
    post, path = "/api/auth/refresh", operation_id = "refresh_session", tag = "auth",
    request_body = RefreshRequest,
    responses((status = 200, description = "Refreshed", body = Tokens)),
    extensions(("x-problem-codes" = json!([Code::SessionExpired])))
)]
pub(crate) async fn refresh(
    State(edge): State<Edge>,
    request: RequestInfo,
    body: Json<RefreshRequest>,
) -> Reply {
    let over = || Refused(Problem::SessionExpired);
    let old = edge.tokens().read_refresh_token(&body.value.refresh_token).map_err(|_| over())?;
    let new = edge.tokens().successor(&old);
    for _ in 0..LOOKS {
        let session = edge.unscoped_store().session(old.session()).await?.ok_or_else(over)?;
        let credential = &session.credential;
        let (id, organization) = (credential.session_id, credential.organization_id);
        let tenant = edge.unscoped_store().tenant_of_sign_in(organization);
        let actor = app::person(credential.user_id, &credential.email);
        let record =
            |action| record(&edge, &request, action, organization, actor, ("session", id.to_string()));
        let judged = app::session::judge_refresh(&session, &old, &new, request.now);
        match judged {
            Refresh::Over => return Err(over()),
            Refresh::Reused => {
                let mut record = record("session.reuse");
                record.success = false;
                record.error_code = Some(Problem::SessionExpired.code().as_str().to_owned());
                let ending = app::session::end(id, record, request.now);
                return match tenant.commit(ending, None).await {
                    Err(CommitError::Store(error)) => Err(error.into()),
                    Ok(()) | Err(_) => Err(over()),
                };
            }
            Refresh::Valid | Refresh::JustReplaced => {}
        }
        let standing = edge.unscoped_store().standing(organization, credential.user_id).await?;
        // What else a policy may have against the session is told with each request, and may be made up for.
        if policy::judge(credential, &standing, request.now) == Some(Obstacle::Over) {
            return Err(over());
        }
        let reply = edge::ok(&Tokens::of(&edge, credential, &new, &request)?, None)?;
        let record = record("session.refresh");
        if judged == Refresh::JustReplaced {
            tenant.record(&record).await?;
            return Ok(reply);
        }
        let change = app::session::rotate(id, &old, &new, record, request.now);
        match tenant.commit(change, None).await {
            Ok(()) => return Ok(reply),
            // Somebody was faster: with the same token, most likely, which gave them what it gives now.
            Err(CommitError::Refused(Refusal::Missing("session"))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refused(Problem::Unavailable))
}

/// Sign out
///
/// Ends the session at once.
#[utoipa::path(
    post, path = "/api/auth/logout", operation_id = "sign_out", tag = "auth",
    responses((status = 204, description = "Signed out"))
)]
pub(crate) async fn sign_out(Unproven(person): Unproven) -> Reply {
    let record = person.context.record("session.end", "session", &person.session.to_string());
    let change = app::session::end(person.session, record, person.context.request.now);
    commit_of_session(person.context.tenant(), change).await?;
    Ok(edge::no_content())
}
