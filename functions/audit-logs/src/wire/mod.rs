//! The audit log and privacy on the wire.

mod exports;
mod jobs;
mod log;
mod privacy;
mod records;

use edge::Edge;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .merge(records::routes())
        .merge(exports::routes())
        .merge(log::routes())
        .merge(privacy::routes())
}
