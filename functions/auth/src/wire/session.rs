//! Sessions: refreshed, ended, looked at.

use access::policy::{self, Obstacle};
use axum::extract::State;
use edge::{Edge, Json, Refused, Reply, RequestInfo, Unproven};
use problem::{Code, Problem};
use serde::Deserialize;
use store::CommitError;
use utoipa::ToSchema;

use crate::app;
use crate::app::session::Refresh;
use crate::wire::answer::Tokens;
use crate::wire::{commit_of_session, record};

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    refresh_token: String,
}

/// Refresh a session
///
/// Gives a new access token and a new refresh token. A refresh token is good once: used again, it ends the session,
/// because somebody has a copy of it. Refused as soon as the session no longer holds: when its person was deactivated or
/// removed, has had all their sessions ended, or signed in longer ago than the organization lets sessions last.
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
    let session = edge.unscoped_store().session(old.session()).await?.ok_or_else(over)?;
    let credential = &session.credential;
    let tenant = edge.unscoped_store().tenant_of_sign_in(credential.organization_id);
    let about = || ("session", credential.session_id.to_string());
    let actor = app::person(credential.user_id, &credential.email);
    let record = |action| record(&edge, &request, action, credential.organization_id, actor, about());
    match app::session::judge_refresh(&session, &old, request.now) {
        Refresh::Over => Err(over()),
        Refresh::Reused => {
            let mut record = record("session.reuse");
            record.success = false;
            record.error_code = Some(Problem::SessionExpired.code().as_str().to_owned());
            let ending = app::session::end(credential.session_id, record, request.now);
            match tenant.commit(ending, None).await {
                Err(CommitError::Store(error)) => Err(error.into()),
                Ok(()) | Err(_) => Err(over()),
            }
        }
        Refresh::Valid => {
            let standing =
                edge.unscoped_store().standing(credential.organization_id, credential.user_id).await?;
            // What else a policy may have against the session is told with each request, and may be made up for.
            if policy::judge(credential, &standing, request.now) == Some(Obstacle::Over) {
                return Err(over());
            }
            let new = edge.tokens().refresh_token(credential.session_id)?;
            let reply = edge::ok(&Tokens::of(&edge, credential, &new, &request)?, None)?;
            let record = record("session.refresh");
            let change = app::session::rotate(credential.session_id, &old, &new, record, request.now);
            // Lost a race for the same token.
            tenant.commit(change, None).await.map_err(|error| match Refused::from(error) {
                Refused(Problem::NotFound { .. }) => over(),
                other => other,
            })?;
            Ok(reply)
        }
    }
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
