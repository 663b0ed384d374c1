//! The HTTP API: routes requests to functions as API Gateway does.
//!
//! Promises the gateway's own behaviour around a function: the most specific route wins, the caller's address comes
//! from the connection and from no header, bodies are limited to 10 MB, an answer takes 30 s at most, and a function
//! that fails is an answer of 500 and never a broken connection. Never looks into a request.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::event::apigw::ApiGatewayV2httpRequestContext;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clock::Clock;
use futures::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lambda_http::request::RequestContext;
use tower::ServiceExt;
use uuid::Uuid;

use crate::template::{ACCOUNT, Route};

/// The gateway's limit on a request body.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// The gateway's limit on an answer's time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The address a request came from. The server adds it; a test may add its own.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The HTTP API of a template.
#[derive(Clone)]
pub struct Gateway {
    clock: Clock,
    timeout: Duration,
    routes: Vec<Compiled>,
}

#[derive(Clone)]
struct Compiled {
    key: String,
    method: Option<Method>,
    /// `None` for `$default`.
    path: Option<Vec<Segment>>,
    function: Router,
}

/// A piece of a route's path. The order is that of preference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter,
    Greedy,
}

/// Why a route cannot be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RouteError {
    /// The method is not an HTTP method.
    #[error("the route {0} has an unknown method")]
    Method(String),
    /// A greedy parameter is not the last segment.
    #[error("the route {0} goes on after a greedy parameter")]
    Greedy(String),
}

impl Gateway {
    /// A gateway over functions and their routes.
    ///
    /// # Errors
    /// [`RouteError`], naming the route.
    pub fn new<'r>(
        clock: Clock,
        functions: impl IntoIterator<Item = (&'r [Route], Router)>,
    ) -> Result<Self, RouteError> {
        let mut routes = Vec::new();
        for (declared, function) in functions {
            for route in declared {
                routes.push(Compiled::new(route, function.clone())?);
            }
        }
        routes.sort_by(Compiled::preference);
        Ok(Self { clock, timeout: TIMEOUT, routes })
    }

    /// The route keys (`GET /v1/leads/{id}`), most specific first.
    pub fn route_keys(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|route| route.key.as_str())
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Response {
        let Some(route) = self.find(request.method(), request.uri().path()) else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let (mut parts, body) = request.into_parts();
        // The gateway hands a function complete requests only.
        let body = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
            }
            Err(_) => return message(StatusCode::BAD_REQUEST, "Bad Request"),
        };
        let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0);
        let context = self.context(route, &parts.method, parts.uri.path(), &parts.headers, peer);
        parts.extensions.insert(RequestContext::ApiGatewayV2(context));
        let request = Request::from_parts(parts, Body::from(body));
        let answer =
            AssertUnwindSafe(tokio::time::timeout(self.timeout, route.function.clone().oneshot(request)));
        match answer.catch_unwind().await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_)) => {
                tracing::error!(route = route.key, "a function did not answer in time");
                message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Err(_) => {
                tracing::error!(route = route.key, "a function panicked");
                message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }

    fn find(&self, method: &Method, path: &str) -> Option<&Compiled> {
        let segments: Vec<&str> = split(path).collect();
        self.routes.iter().find(|route| route.matches(method, &segments))
    }

    fn context(
        &self,
        route: &Compiled,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> ApiGatewayV2httpRequestContext {
        let now = self.clock.now();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let mut context = ApiGatewayV2httpRequestContext::default();
        context.route_key = Some(route.key.clone());
        context.account_id = Some(ACCOUNT.to_owned());
        context.stage = Some("$default".to_owned());
        context.request_id = Some(Uuid::new_v4().to_string());
        context.apiid = Some("local".to_owned());
        context.domain_name = Some(host.to_owned());
        context.domain_prefix = Some(host.split(['.', ':']).next().unwrap_or_default().to_owned());
        context.time = Some(now.to_string());
        context.time_epoch = now.millis();
        context.http.method = method.clone();
        context.http.path = Some(path.to_owned());
        context.http.protocol = Some("HTTP/1.1".to_owned());
        context.http.source_ip = Some(peer.to_string());
        context.http.user_agent =
            headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).map(str::to_owned);
        context
    }
}

impl Compiled {
    fn new(route: &Route, function: Router) -> Result<Self, RouteError> {
        let method = route.method.as_deref().unwrap_or("ANY");
        let key = match &route.path {
            Some(path) => format!("{method} {path}"),
            None => "$default".to_owned(),
        };
        let method = match route.method.as_deref().map(|method| Method::from_bytes(method.as_bytes())) {
            None => None,
            Some(Ok(method)) => Some(method),
            Some(Err(_)) => return Err(RouteError::Method(key)),
        };
        let path: Option<Vec<Segment>> = route.path.as_deref().map(|path| split(path).map(segment).collect());
        let greedy = path.iter().flatten().position(|segment| *segment == Segment::Greedy);
        if greedy.is_some_and(|at| Some(at + 1) != path.as_ref().map(Vec::len)) {
            return Err(RouteError::Greedy(key));
        }
        Ok(Self { key, method, path, function })
    }

    fn matches(&self, method: &Method, path: &[&str]) -> bool {
        if self.method.as_ref().is_some_and(|own| own != method) {
            return false;
        }
        let Some(segments) = &self.path else { return true };
        let mut path = path.iter();
        for segment in segments {
            match (segment, path.next()) {
                (Segment::Greedy, Some(_)) => return true,
                (Segment::Parameter, Some(actual)) if !actual.is_empty() => {}
                (Segment::Literal(expected), Some(actual)) if expected == actual => {}
                _ => return false,
            }
        }
        path.next().is_none()
    }

    /// More specific first: `$default` last, literals before parameters before greedy ones, a method before ANY.
    fn preference(&self, other: &Self) -> Ordering {
        let rank = |route: &Self| (route.path.is_none(), route.path.clone(), route.method.is_none());
        rank(self).cmp(&rank(other))
    }
}

/// The pieces of a path. Trailing slashes count, as they do for the gateway.
fn split(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn segment(text: &str) -> Segment {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(name) if name.ends_with('+') => Segment::Greedy,
        Some(_) => Segment::Parameter,
        None => Segment::Literal(text.to_owned()),
    }
}

/// The gateway's own answers.
fn message(status: StatusCode, text: &str) -> Response {
    let body = serde_json::json!({"message": text}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests;
