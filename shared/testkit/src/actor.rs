//! Who calls the API.

use std::net::IpAddr;

use artisan_local::gateway::Peer;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::contract;

/// The way in.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// To the platform in this process, without a network.
    Router(Router),
    /// To a deployment, by HTTP. Its paths begin behind this URL.
    Url(reqwest::Client, String),
}

/// A caller with credentials of its own, or none.
#[derive(Clone, Debug)]
pub struct Actor {
    door: Door,
    token: Option<String>,
    headers: Vec<(&'static str, String)>,
    address: Option<IpAddr>,
    about: Value,
}

/// What the API answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The request, for messages.
    pub request: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, null when it is empty or not JSON.
    pub json: Value,
    /// The body as it came.
    pub body: String,
}

impl Door {
    async fn pass(&self, request: Request<Body>) -> (Parts, Bytes) {
        match self {
            Self::Router(router) => {
                let response = router.clone().oneshot(request).await.expect("the router answers");
                let (parts, body) = response.into_parts();
                (parts, body.collect().await.expect("the body can be read").to_bytes())
            }
            Self::Url(client, base) => {
                assert!(
                    request.extensions().get::<Peer>().is_none(),
                    "an address can't be chosen over a network"
                );
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("the body can be read").to_bytes();
                let call =
                    client.request(parts.method, format!("{base}{}", parts.uri)).headers(parts.headers);
                let response = call.body(body).send().await.expect("the deployment answers");
                let mut answer = http::Response::new(());
                *answer.status_mut() = response.status();
                *answer.headers_mut() = response.headers().clone();
                let body = response.bytes().await.expect("the body can be read");
                if body.is_empty() {
                    // The emulator's gateway says of nothing that it is JSON.
                    answer.headers_mut().remove(header::CONTENT_TYPE);
                }
                (answer.into_parts().0, body)
            }
        }
    }
}

impl Actor {
    pub(crate) fn new(door: Door, token: Option<String>) -> Self {
        Self { door, token, headers: Vec::new(), address: None, about: Value::Null }
    }

    pub(crate) fn about(mut self, about: Value) -> Self {
        self.about = about;
        self
    }

    /// The answer that made this actor: a sign-up or a key.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.about
    }

    /// A text in the answer that made this actor.
    #[must_use]
    pub fn text(&self, pointer: &str) -> String {
        self.about.pointer(pointer).and_then(Value::as_str).expect("is a text").to_owned()
    }

    /// The credential.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("has a credential")
    }

    /// The same caller with another credential.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same caller, sending a header with each request.
    #[must_use]
    pub fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut other = self.clone();
        other.headers.push((name, value.into()));
        other
    }

    /// The same caller, at another address.
    #[must_use]
    pub fn at(&self, address: &str) -> Self {
        Self { address: Some(address.parse().expect("is an IP address")), ..self.clone() }
    }

    /// DELETE with a JSON document.
    pub async fn delete_with(&self, path: &str, body: Value) -> Response {
        self.send(Method::DELETE, path, Body::from(body.to_string()), true).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, Body::empty(), false).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Response {
        self.send(Method::DELETE, path, Body::empty(), false).await
    }

    /// POST of a JSON document.
    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, Body::from(body.to_string()), true).await
    }

    /// POST without a body.
    pub async fn post_nothing(&self, path: &str) -> Response {
        self.send(Method::POST, path, Body::empty(), false).await
    }

    /// PATCH with a JSON document.
    pub async fn patch(&self, path: &str, body: Value) -> Response {
        self.send(Method::PATCH, path, Body::from(body.to_string()), true).await
    }

    /// PUT of a JSON document.
    pub async fn put(&self, path: &str, body: Value) -> Response {
        self.send(Method::PUT, path, Body::from(body.to_string()), true).await
    }

    /// A form, as browsers send it.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let form = self.with("content-type", "application/x-www-form-urlencoded");
        form.send(Method::POST, path, Body::from(body), false).await
    }

    /// Any request with any body, declared as JSON.
    pub async fn raw(&self, method: Method, path: &str, body: impl Into<Body>) -> Response {
        self.send(method, path, body.into(), true).await
    }

    async fn send(&self, method: Method, path: &str, body: Body, json: bool) -> Response {
        let described = format!("{method} {path}");
        let mut request = Request::builder().method(method.clone()).uri(path);
        if json {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(address) = self.address {
            request = request.extension(Peer(address));
        }
        let request = request.body(body).expect("the request is well-formed");
        let (parts, body) = self.door.pass(request).await;
        let answer = Response {
            request: described,
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        contract::check(&method, path, &answer);
        answer
    }
}

impl Response {
    /// The answer, if it has this status.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.request, self.body);
        self
    }

    /// The answer, if it is the problem with this code, as the contract has problems.
    #[track_caller]
    #[must_use]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        let content_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        assert_eq!(content_type, Some("application/problem+json"), "{}", answer.request);
        assert_eq!(answer.text("/code"), code, "{}: {}", answer.request, answer.body);
        assert_eq!(answer.json["status"], status, "{}", answer.body);
        for member in ["/type", "/title", "/detail", "/instance", "/request_id"] {
            assert!(!answer.text(member).is_empty(), "{}: {member}", answer.request);
        }
        answer
    }

    /// A text in the body.
    #[track_caller]
    #[must_use]
    pub fn text(&self, pointer: &str) -> String {
        let text = self.json.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("{}: no text at {pointer}: {}", self.request, self.body)).to_owned()
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
