//! The outside of a function: what happens to every request before and after its handler.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use clock::Clock;
use futures::FutureExt as _;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ids::Ids;
use problem::{Code, HOURLY, Problem};
use runtime::Services;
use store::{Counted, Quota, Store};
use telemetry::metrics::Metrics;
use tracing::Instrument as _;

use crate::request::shown_path;
use crate::{Edge, Refused, RequestInfo, preflight};

/// The largest body a request may have: 256 KiB.
pub const BODY_LIMIT: usize = 256 * 1024;

/// How many faults a problem lists.
const MOST_FAULTS: usize = 100;

/// The length of the window that quotas are given for, in seconds.
const WINDOW_SECONDS: u64 = 3600;

/// Completes a function's routes: unknown paths and methods, panics, problem bodies, request ids, security and
/// rate-limit headers, and one log line a request.
pub fn serve(edge: Edge, routes: Router<Edge>) -> Router {
    let (clock, ids) = (edge.clock().clone(), edge.ids().clone());
    let store = Some(edge.unscoped_store().clone());
    with_fallbacks(routes.with_state(edge)).layer(from_fn_with_state(Outside { clock, ids, store }, around))
}

/// The same for routes that anybody may call and that know no caller.
pub fn serve_open(services: &Services, routes: Router) -> Router {
    with_fallbacks(routes).layer(from_fn_with_state(Outside::open(services), around))
}

/// The same for the function that is asked for whatever no other one takes, browsers' preflights among it.
pub fn serve_rest(services: &Services, store: Store, routes: Router) -> Router {
    let routes = with_fallbacks(routes).layer(from_fn_with_state(store, preflight::answer));
    routes.layer(from_fn_with_state(Outside::open(services), around))
}

/// What the outside of a function needs.
#[derive(Clone)]
struct Outside {
    clock: Clock,
    ids: Ids,
    /// Where to look up whether anybody lists a page's origin, for answers to callers whom nobody knows, and where what
    /// comes of an API key's requests is counted. None where nobody is known.
    store: Option<Store>,
}

impl Outside {
    fn open(services: &Services) -> Self {
        Self { clock: services.clock.clone(), ids: services.ids.clone(), store: None }
    }

    /// Whether a page from `origin` may read an answer: the caller's organization lists it, or any organization does and
    /// nobody knows whose the caller is. Sign-in, and the news that a session is over, must reach a page, too.
    async fn may_read(&self, info: &RequestInfo, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        if let Some(own) = info.organization.get() {
            return own.settings.cors_origins.iter().any(|listed| listed == origin);
        }
        let Some(store) = &self.store else { return false };
        store.is_listed_origin(origin).await.unwrap_or_else(|error| {
            tracing::warn!(error = telemetry::chain(&error), "an origin could not be looked up");
            false
        })
    }
}

impl Outside {
    /// Counts what came of an API key's request.
    async fn count(&self, info: &RequestInfo, status: StatusCode) {
        let (Some(store), Some(metered)) = (&self.store, info.metered.get()) else { return };
        let outcome =
            if metered.refused { Some(Counted::RateLimited) } else { Counted::of_status(status.as_u16()) };
        if let Some(outcome) = outcome {
            store.count_outcome(&metered.counted_at, info.now, outcome).await;
        }
    }
}

fn with_fallbacks(routes: Router) -> Router {
    routes
        .fallback(async || Refused(Problem::RouteNotFound))
        .method_not_allowed_fallback(async || Refused(Problem::MethodNotAllowed))
}

async fn around(State(outside): State<Outside>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let info = RequestInfo::of(&outside.clock, &outside.ids, &parts);
    // Every line that is written on the way says which request it is of, at any level.
    let span = tracing::error_span!("request", request_id = info.id);
    answer(outside, info, started, parts, body, next).instrument(span).await
}

async fn answer(
    outside: Outside,
    info: RequestInfo,
    started: Instant,
    mut parts: Parts,
    body: Body,
    next: Next,
) -> Response {
    let instance = shown_path(parts.uri.path());
    let origin = parts.headers.get(header::ORIGIN).cloned();
    let too_large = declared_length(&parts.headers).is_some_and(|length| length > BODY_LIMIT);
    parts.extensions.insert(info.clone());
    let request = Request::from_parts(parts, body);
    let mut response = if too_large {
        Refused(Problem::PayloadTooLarge).into_response()
    } else {
        AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("handler panicked");
            Refused(Problem::Internal).into_response()
        })
    };
    let problem = response.extensions_mut().remove::<Refused>().map(|Refused(problem)| problem);
    if let Some(problem) = &problem {
        let kept = response.headers_mut().remove(header::ALLOW);
        response = write_problem(problem, &instance, &info.id);
        if let Some(allow) = kept {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    outside.count(&info, response.status()).await;
    let may_read = match &origin {
        Some(origin) => outside.may_read(&info, origin).await,
        None => false,
    };
    let headers = response.headers_mut();
    if let Some(quota) = info.quota.get() {
        rate_limit_headers(headers, quota, info.now.seconds());
    }
    set(headers, "x-request-id", &info.id);
    security_headers(headers);
    if let Some(origin) = origin {
        cors_headers(headers, origin, may_read);
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        request_id = info.id,
        gateway_request_id = info.gateway_id,
        request = %info.shown_target,
        status = response.status().as_u16(),
        duration_ms,
        "served"
    );
    measure(&info.id, problem.as_ref(), duration_ms);
    response
}

/// Publishes what came of a request: one of a function's, how long it took, and what was wrong with it.
fn measure(request_id: &str, problem: Option<&Problem>, duration_ms: u64) {
    let is_limit = matches!(problem, Some(Problem::RateLimited { .. } | Problem::SignInThrottled { .. }));
    let mut metrics = Metrics::new()
        .by_function()
        .count("Requests", 1)
        .milliseconds("RequestDuration", duration_ms)
        .count("LimitRefusals", usize::from(is_limit));
    if let Some(problem) = problem {
        metrics = metrics.by("Code", problem.code().as_str()).count("Problems", 1);
    }
    metrics.with("request_id", request_id).publish();
}

/// Lets a page of a listed origin read the answer (Fetch standard, "CORS protocol"). Credentials are bearer tokens that the
/// page itself adds, so `Access-Control-Allow-Credentials` is never sent.
fn cors_headers(headers: &mut HeaderMap, origin: HeaderValue, may_read: bool) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if may_read {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
}

/// What a page may read of an answer besides its body.
const EXPOSED_HEADERS: &str = "ETag, Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, \
                               X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id";

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn write_problem(problem: &Problem, instance: &str, request_id: &str) -> Response {
    let status = StatusCode::from_u16(problem.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body = problem.body(instance, request_id);
    // An answer has room for so many faults; and one of a field that is no field names it, whatever that is.
    body.errors.truncate(MOST_FAULTS);
    for fault in &mut body.errors {
        fault.pointer = access::api_key::without_keys(std::mem::take(&mut fault.pointer));
    }
    body.detail = access::api_key::without_keys(body.detail);
    // The body is made of texts and numbers only, so it can always be written.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = problem.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    if status == StatusCode::UNAUTHORIZED && problem.code() != Code::InvalidCredentials {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// `RateLimit-Policy` and `RateLimit` in the structured form of the IETF draft
/// (draft-ietf-httpapi-ratelimit-headers), and the older `X-RateLimit-*`.
fn rate_limit_headers(headers: &mut HeaderMap, quota: &Quota, now: i64) {
    let Quota { limit, remaining, reset_after } = *quota;
    let reset = reset_after.as_millis().div_ceil(1000);
    set(headers, "ratelimit-policy", &format!("\"{HOURLY}\";q={limit};w={WINDOW_SECONDS}"));
    set(headers, "ratelimit", &format!("\"{HOURLY}\";r={remaining};t={reset}"));
    set(headers, "x-ratelimit-limit", &limit.to_string());
    set(headers, "x-ratelimit-remaining", &remaining.to_string());
    set(headers, "x-ratelimit-reset", &(i128::from(now) + i128::try_from(reset).unwrap_or(0)).to_string());
}

fn security_headers(headers: &mut HeaderMap) {
    const FIXED: [(HeaderName, &str); 7] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in FIXED {
        // A handler that serves pages sets its own policy.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
