//! The engines on a port, for processes other than the platform: `AWS_ENDPOINT_URL=http://127.0.0.1:8001`.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;

use super::Engines;

/// DynamoDB accepts bodies up to 16 MB.
const MAX_BODY: usize = 16 * 1024 * 1024;

impl Engines {
    /// A service that answers what AWS SDKs and the AWS command line send to an endpoint URL.
    pub fn endpoint(&self) -> Router {
        Router::new().fallback(any(call)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(self.clone())
    }
}

async fn call(State(engines): State<Engines>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(target) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) else {
        return (
            StatusCode::NOT_FOUND,
            "This port answers the AWS SDK: DynamoDB, SQS and Secrets Manager. The API is on the other port.\n",
        )
            .into_response();
    };
    let answer = engines.dispatch(target, body).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, answer.content_type)], Body::from(answer.body)).into_response()
}
