//! Health, the OpenAPI document, the interactive reference, the error reference, and the answer to whatever no route is for:
//! browsers' preflights, routes that don't exist, and methods that a route doesn't take.

mod errors;
mod health;
mod methods;
mod reference;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use problem::Code;
use runtime::{Services, StartError};
use store::Store;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::health::Dependencies;

/// The document, as the tests generate it from all functions and hold it in the repository; written compactly.
const OPENAPI: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// The function's routes, ready to serve.
///
/// # Errors
/// [`StartError`] when the environment is incomplete.
pub async fn router(services: &Services) -> Result<Router, StartError> {
    let dependencies = Dependencies {
        store: Store::from_environment(&services.environment, services.aws.dynamodb.clone())?,
        sqs: services.aws.sqs.clone(),
        queue_url: services.environment.required("WEBHOOK_JOBS_QUEUE_URL")?,
    };
    let (routes, _) = routes().split_for_parts();
    let store = dependencies.store.clone();
    Ok(edge::serve_rest(services, store, routes.merge(methods::routes()).with_state(dependencies)))
}

fn routes() -> OpenApiRouter<Dependencies> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(openapi_json))
        .routes(routes!(errors::errors))
        .routes(routes!(reference::reference))
        .routes(routes!(reference::reference_file))
}

/// The function's part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

/// The OpenAPI document
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "meta",
    responses((status = 200, description = "OpenAPI", content_type = "application/json")),
    extensions(("x-problem-codes" = json!([Code::PayloadTooLarge, Code::Internal])))
)]
async fn openapi_json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}
