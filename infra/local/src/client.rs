//! Requests to the platform's own HTTP API, without a socket.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// Why a request to our own API did not lead to what it was for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request cannot be written.
    #[error("the request cannot be made")]
    Request(#[from] axum::http::Error),
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Answer(#[from] axum::Error),
    /// The API refused.
    #[error("POST {path} was answered with {status}: {detail}")]
    Refused {
        /// The path.
        path: String,
        /// The status.
        status: StatusCode,
        /// The problem's detail or title.
        detail: String,
    },
    /// The answer lacks something.
    #[error("the answer to POST {path} has no {field}")]
    Incomplete {
        /// The path.
        path: String,
        /// What is missing.
        field: &'static str,
    },
}

impl CallError {
    /// Whether what was to be made exists already.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::CONFLICT)
    }
}

/// The API as one caller sees it.
pub(crate) struct Caller {
    router: Router,
    token: Option<String>,
}

impl Caller {
    /// A caller nobody knows.
    pub(crate) fn unknown(router: Router) -> Self {
        Self { router, token: None }
    }

    /// The same API with a session token or an API key.
    pub(crate) fn with_token(&self, token: impl Into<String>) -> Self {
        Self { router: self.router.clone(), token: Some(token.into()) }
    }

    /// Posts `body`; the answer's body when the answer is a success.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_string()))?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let detail = ["detail", "title", "message"].iter().find_map(|name| answer.get(name)?.as_str());
        let detail = detail.unwrap_or_default().to_owned();
        Err(CallError::Refused { path: path.to_owned(), status, detail })
    }

    /// Posts `body`; one text of the answer.
    pub(crate) async fn post_for(
        &self,
        path: &str,
        body: &Value,
        field: &'static str,
    ) -> Result<String, CallError> {
        let answer = self.post(path, body).await?;
        let text = answer.get(field).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| CallError::Incomplete { path: path.to_owned(), field })
    }
}
