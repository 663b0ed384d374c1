//! Health: the version, and each dependency with its latency.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use problem::Code;
use serde::Serialize;
use store::Store;
use utoipa::ToSchema;

/// A dependency that takes longer than this is down.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub(crate) struct Dependencies {
    pub(crate) store: Store,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) queue_url: String,
}

/// Whether the service is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    version: &'static str,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Dependency {
    name: &'static str,
    #[schema(example = "ok")]
    status: &'static str,
    latency_ms: u64,
}

/// Health
///
/// 503 if a dependency is down.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "meta",
    responses((status = 200, description = "All is well", body = Health),
              (status = 503, description = "A dependency is down", body = Health)),
    extensions(("x-problem-codes" = json!([Code::PayloadTooLarge, Code::Internal])))
)]
pub(crate) async fn health(State(dependencies): State<Dependencies>) -> (StatusCode, Json<Health>) {
    let Dependencies { store, sqs, queue_url } = &dependencies;
    let tables = probe("dynamodb", async { store.ping().await.is_ok() });
    let queue = probe("sqs", async {
        let attribute = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
        sqs.get_queue_attributes().queue_url(queue_url).attribute_names(attribute).send().await.is_ok()
    });
    let (tables, queue) = tokio::join!(tables, queue);
    let dependencies = vec![tables, queue];
    let well = dependencies.iter().all(|dependency| dependency.status == "ok");
    let (code, status) =
        if well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "down") };
    (code, Json(Health { status, version: env!("CARGO_PKG_VERSION"), dependencies }))
}

async fn probe(name: &'static str, check: impl Future<Output = bool>) -> Dependency {
    let started = Instant::now();
    let well = tokio::time::timeout(PATIENCE, check).await.unwrap_or(false);
    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Dependency { name, status: if well { "ok" } else { "down" }, latency_ms }
}
