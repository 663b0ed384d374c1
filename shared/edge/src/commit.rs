//! Committing a change and answering for it.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use problem::Problem;
use serde::Serialize;
use store::{Answer, Change, CommitError, StoreError, Tenant};

use crate::idempotency::Idempotency;
use crate::reply::{json, of_commit};
use crate::{Edge, Refused, Reply, RequestInfo};

/// What a committed change is answered with.
#[derive(Debug, Clone, Copy)]
pub struct Committed<'a, Body, Replayed = Body> {
    /// The status of the first answer and of every replay.
    pub status: StatusCode,
    /// The body of the first answer.
    pub body: &'a Body,
    /// The body of a replay; the same, but for secrets that are shown once.
    pub replayed: &'a Replayed,
}

impl<'a, B: Serialize> Committed<'a, B> {
    /// 201, with the same body on replay.
    pub fn created(body: &'a B) -> Self {
        Self { status: StatusCode::CREATED, body, replayed: body }
    }

    /// 200, with the same body on replay.
    pub fn ok(body: &'a B) -> Self {
        Self { status: StatusCode::OK, body, replayed: body }
    }
}

impl Edge {
    /// Commits `change` for `tenant` and answers, or replays the answer of the same request before it.
    ///
    /// # Errors
    /// The problem for whatever stood in the way.
    pub(crate) async fn commit<B: Serialize, R: Serialize>(
        &self,
        tenant: Option<&Tenant>,
        request: &RequestInfo,
        change: Change,
        idempotency: Option<Idempotency<'_>>,
        committed: Committed<'_, B, R>,
    ) -> Reply {
        let body = serde_json::to_string(committed.body).map_err(|error| {
            tracing::error!(error = %error, "an answer cannot be written as JSON");
            Problem::Internal
        })?;
        match self.carry_out(tenant, request, change, idempotency, &committed).await {
            Ok(()) => Ok(json(committed.status, body.into_bytes())),
            Err(error) => of_commit(error).and_then(replay),
        }
    }

    /// Commits `change` for `tenant`, with what is to be remembered of its answer.
    ///
    /// # Errors
    /// [`CommitError`]; a remembered answer is one.
    pub(crate) async fn carry_out<B: Serialize, R: Serialize>(
        &self,
        tenant: Option<&Tenant>,
        request: &RequestInfo,
        change: Change,
        idempotency: Option<Idempotency<'_>>,
        committed: &Committed<'_, B, R>,
    ) -> Result<(), CommitError> {
        let idempotent = match idempotency {
            None => None,
            Some(idempotency) => {
                let body = serde_json::to_string(committed.replayed)
                    .map_err(|error| StoreError::Malformed { operation: "remember", source: error.into() })?;
                idempotency.remember(self, request, Answer { status: committed.status.as_u16(), body })
            }
        };
        match tenant {
            Some(tenant) => tenant.commit(change, idempotent.as_ref()).await,
            None => self.0.store.commit_sign_up(change, idempotent.as_ref()).await,
        }
    }

    /// Commits a sign-up, which no tenant makes yet.
    ///
    /// # Errors
    /// The problem for whatever stood in the way.
    pub async fn commit_sign_up<B: Serialize, R: Serialize>(
        &self,
        request: &RequestInfo,
        change: Change,
        idempotency: Idempotency<'_>,
        committed: Committed<'_, B, R>,
    ) -> Reply {
        self.commit(None, request, change, Some(idempotency), committed).await
    }
}

/// A remembered answer, marked as such.
///
/// # Errors
/// A 500 when it has no status that there is.
pub fn replay(answer: Answer) -> Reply {
    let status = StatusCode::from_u16(answer.status).map_err(|_| Refused(Problem::Internal))?;
    let mut response: Response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(response)
}
