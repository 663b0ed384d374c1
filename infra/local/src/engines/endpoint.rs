//! The engines on a port, for processes other than the platform: `AWS_ENDPOINT_URL=http://127.0.0.1:8001`.
//!
//! Whoever may run programs on this machine may use it, as there are no credentials that would mean anything here. What
//! must not reach it are web pages (another `Host` after DNS rebinding, an `Origin`) and webhooks, whose content type
//! is never that of an SDK. SES is sent plain JSON: its one path takes that, from whoever signed for AWS. S3 is sent
//! whatever the objects are, and Lambda whatever the payload is, with a signature for them and a header that no webhook may have; and links to objects are
//! followed by whoever has them, by people with a browser above all.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;

use super::s3::{self, Content};
use super::{Answer, Engines, lambda, ses};
use crate::server::names_this_machine;

/// DynamoDB accepts bodies up to 16 MB. S3 accepts parts of 5 GB; those of ours are a few MB.
const MAX_BODY: usize = 16 * 1024 * 1024;

impl Engines {
    /// A service that answers what AWS SDKs and the AWS command line send to an endpoint URL.
    pub fn endpoint(&self) -> Router {
        Router::new().fallback(any(call)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(self.clone())
    }
}

/// Whether this is what an SDK on this machine sends to S3, or a link to an object that is followed.
fn is_for_s3(method: &Method, query: &str, headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_here = names_this_machine(header(header::HOST)) && !headers.contains_key(header::ORIGIN);
    let is_followed = matches!(*method, Method::GET | Method::HEAD) && s3::is_link(query);
    let is_signed =
        s3::is_signed_for(header(header::AUTHORIZATION)) && headers.contains_key("x-amz-content-sha256");
    is_here && (is_followed || is_signed)
}

/// Whether this is what an SDK on this machine sends to Lambda.
fn is_for_lambda(path: &str, headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_here = names_this_machine(header(header::HOST)) && !headers.contains_key(header::ORIGIN);
    let is_signed =
        lambda::is_signed_for(header(header::AUTHORIZATION)) && headers.contains_key("x-amz-date");
    is_here && is_signed && lambda::is_path(path)
}

/// Whether this is what an SDK on this machine sends to `path`.
fn is_from_an_sdk_here(path: &str, headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    names_this_machine(header(header::HOST))
        && !headers.contains_key(header::ORIGIN)
        && match header(header::CONTENT_TYPE) {
            "application/json" => {
                path == ses::PATH && header(header::AUTHORIZATION).starts_with("AWS4-HMAC-SHA256 ")
            }
            other => other.starts_with("application/x-amz-json"),
        }
}

async fn call(
    State(engines): State<Engines>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default();
    if is_for_s3(&method, query, &headers) {
        let (path, query) = (uri.path().to_owned(), query.to_owned());
        let call = s3::Call { method: method.to_string(), path, query, headers, body };
        return object_store(engines.dispatch_s3(call).await);
    }
    if is_for_lambda(uri.path(), &headers) {
        let mut call = Request::new(body);
        (*call.method_mut(), *call.uri_mut(), *call.headers_mut()) = (method, uri, headers);
        return engines.dispatch_lambda(call).await.map(Body::from);
    }
    if !is_from_an_sdk_here(uri.path(), &headers) {
        return (StatusCode::FORBIDDEN, "This port answers AWS SDKs on this machine only.\n").into_response();
    }
    if let Some(answer) = engines.dispatch_rest(method.as_str(), uri.path(), &body) {
        return response(answer);
    }
    let Some(target) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) else {
        return (
            StatusCode::NOT_FOUND,
            "This port answers the AWS SDK: DynamoDB, SQS, S3, Secrets Manager, SES and Lambda. The API is on the other port.\n",
        )
            .into_response();
    };
    response(engines.dispatch(target, body).await)
}

fn object_store(reply: s3::Reply) -> Response {
    let body = match reply.content {
        Content::Bytes(bytes) => Body::from(bytes),
        Content::File { file, length } => Body::from_stream(s3::chunks(file, length)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = reply.headers;
    response
}

fn response(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, answer.content_type)], Body::from(answer.body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_pages_and_webhooks_are_kept_out() {
        let mail = |path: &str, authorization: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:8001".parse().unwrap());
            headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
            is_from_an_sdk_here(path, &headers)
        };
        let from = |host: &str, content_type: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_from_an_sdk_here(ses::PATH, &headers)
        };
        assert!(from("127.0.0.1:8001", "application/x-amz-json-1.0", None));
        assert!(from("localhost:8001", "application/x-amz-json-1.1", None));
        assert!(!from("rebound.example:8001", "application/x-amz-json-1.0", None));
        assert!(!from("127.0.0.1:8001", "application/x-amz-json-1.0", Some("http://127.0.0.1:8000")));
        assert!(!from("127.0.0.1:8001", "application/json", None));
        assert!(mail(ses::PATH, "AWS4-HMAC-SHA256 Credential=x"));
        assert!(!mail("/", "AWS4-HMAC-SHA256 Credential=x"));
        assert!(!mail(ses::PATH, "Bearer x"));
        let invoked = |change: &dyn Fn(&mut HeaderMap)| {
            let mut headers = HeaderMap::new();
            let signed =
                "AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/lambda/aws4_request, Signature=0";
            headers.insert(header::HOST, "127.0.0.1:8001".parse().unwrap());
            headers.insert(header::AUTHORIZATION, signed.parse().unwrap());
            headers.insert("x-amz-date", "20260101T000000Z".parse().unwrap());
            change(&mut headers);
            is_for_lambda("/2015-03-31/functions/web/invocations", &headers)
        };
        assert!(invoked(&|_| ()));
        assert!(!invoked(&|headers| drop(headers.insert(header::HOST, "rebound.example".parse().unwrap()))));
        assert!(!invoked(&|headers| drop(headers.insert(header::ORIGIN, "http://x".parse().unwrap()))));
        assert!(!invoked(&|headers| drop(headers.remove("x-amz-date"))), "no webhook has such a header");
        assert!(!invoked(&|headers| drop(headers.remove(header::AUTHORIZATION))));
    }
}
