//! What is answered where a path is part of the API, but not with this method: API Gateway has no route for it, and asks the
//! function behind `$default`.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::any;
use edge::Refused;
use problem::Problem;

/// The paths of the OpenAPI document that other functions serve, and the methods each of them takes.
const METHODS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/methods.rs"));
/// Parts of the developer API that are served under `/api` as well.
const ALIASED: [&str; 3] = ["campaigns", "leads", "meetings"];

/// Refuses every method of those paths: whatever gets here is not one that the path takes.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    METHODS.iter().fold(Router::new(), |router, (path, methods)| {
        let refuse = || any(async || refuse(methods));
        let router = router.route(path, refuse());
        match alias(path) {
            Some(alias) => router.route(&alias, refuse()),
            None => router,
        }
    })
}

fn alias(path: &str) -> Option<String> {
    let resource = path.strip_prefix("/v1/")?;
    let name = resource.split('/').next()?;
    ALIASED.contains(&name).then(|| format!("/api/{resource}"))
}

fn refuse(methods: &'static str) -> impl IntoResponse {
    ([(header::ALLOW, HeaderValue::from_static(methods))], Refused(Problem::MethodNotAllowed))
}
