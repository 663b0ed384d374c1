//! Answers: JSON, or a problem.

use axum::response::{IntoResponse, Response};
use clock::Timestamp;
use http::{HeaderValue, StatusCode, header};
use problem::Problem;
use serde::Serialize;
use store::{CommitError, Refusal, StoreError};

/// What a handler gives back.
pub type Reply = Result<Response, Refused>;

/// A problem on its way out. The edge completes it with the path and the request's id.
#[derive(Debug, Clone)]
pub struct Refused(pub Problem);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

/// Logs an error with its causes, once, and gives what the caller may know of it.
fn report(error: &StoreError) -> Problem {
    let problem = match error {
        StoreError::Unavailable { .. } => Problem::Unavailable,
        StoreError::TooLarge { .. } => Problem::PayloadTooLarge,
        StoreError::Malformed { .. } | StoreError::Refused { .. } => Problem::Internal,
    };
    let chain = telemetry::chain(error);
    match problem {
        Problem::Unavailable => tracing::warn!(error = chain, "store unavailable"),
        Problem::PayloadTooLarge => tracing::info!(error = chain, "more than there is room for"),
        _ => tracing::error!(error = chain, "store operation failed"),
    }
    problem
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self(report(&error))
    }
}

/// For changes that need no remembered answer.
impl From<CommitError> for Refused {
    fn from(error: CommitError) -> Self {
        match of_commit(error) {
            Err(refused) => refused,
            // Nothing is replayed that wasn't asked to be remembered.
            Ok(_) => Self(Problem::Internal),
        }
    }
}

impl From<sealing::SealError> for Refused {
    fn from(error: sealing::SealError) -> Self {
        tracing::error!(error = %error, "cryptography failed");
        Self(Problem::Internal)
    }
}

/// The problem for a change that was not committed, replays aside.
pub(crate) fn of_commit(error: CommitError) -> Result<store::Answer, Refused> {
    Err(Refused(match error {
        CommitError::Replayed(answer) => return Ok(answer),
        CommitError::KeyReused => Problem::IdempotencyKeyReused,
        CommitError::InProgress => Problem::IdempotencyInProgress,
        CommitError::Refused(Refusal::Missing(what)) => Problem::NotFound { what },
        CommitError::Refused(Refusal::Exists("identity")) => Problem::AccountExists,
        CommitError::Refused(Refusal::Exists(what)) => {
            Problem::Conflict { detail: format!("The {what} exists.") }
        }
        CommitError::Refused(Refusal::Rule(rule)) => {
            Problem::Conflict { detail: format!("Refused: {rule}.") }
        }
        CommitError::Refused(Refusal::Replaying(replay)) => Problem::Conflict {
            detail: format!(
                "The replay {replay} to the endpoint runs or is paused. Wait for it, or cancel it."
            ),
        },
        CommitError::Refused(Refusal::Stale) => Problem::PreconditionFailed,
        CommitError::Refused(Refusal::Raced) => Problem::Conflict {
            detail: "It was changed by somebody else at the same moment. Read it again.".to_owned(),
        },
        CommitError::Refused(Refusal::Full { what, limit }) => {
            Problem::LimitReached { limit: format!("{limit} {what}") }
        }
        CommitError::Refused(Refusal::Archived) => Problem::WorkspaceArchived,
        CommitError::Refused(Refusal::LastAdmin) => Problem::LastAdmin,
        CommitError::Refused(Refusal::Spent) => Problem::TokenSpent,
        CommitError::Refused(Refusal::Taken) => Problem::DomainTaken,
        CommitError::Store(error) => report(&error),
    }))
}

/// 200 with JSON, and an entity tag where the resource has a time of change.
///
/// # Errors
/// A 500 when `body` can't be written as JSON.
pub fn ok<T: Serialize>(body: &T, changed_at: Option<Timestamp>) -> Reply {
    let mut response = json(StatusCode::OK, serde_json::to_vec(body).map_err(|_| Problem::Internal)?);
    if let Some(tag) = changed_at.and_then(|at| HeaderValue::try_from(crate::etag::of(at)).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Any status with JSON.
///
/// # Errors
/// A 500 when `body` can't be written as JSON.
pub fn answer<T: Serialize>(status: StatusCode, body: &T) -> Reply {
    Ok(json(status, serde_json::to_vec(body).map_err(|_| Problem::Internal)?))
}

/// 204.
#[must_use]
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, content_type, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_the_callers_affair_and_what_is_malformed_is_ours() {
        let of = |error: StoreError| Refused::from(error).0;
        let too_large = StoreError::TooLarge { operation: "event", bytes: 2, most: 1 };
        assert_eq!(of(too_large), Problem::PayloadTooLarge);
        let malformed = StoreError::Malformed { operation: "event", source: "it does not fit".into() };
        assert_eq!(of(malformed), Problem::Internal);
    }
}
