//! Webhooks on the wire.

mod deliveries;
mod endpoints;
mod event_types;
mod events;
mod notices;
mod replays;
mod stats;
mod switches;

use edge::Edge;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    endpoints::routes()
        .merge(event_types::routes())
        .merge(switches::routes())
        .merge(deliveries::routes())
        .merge(replays::routes())
        .merge(notices::routes())
        .merge(stats::routes())
        .merge(events::routes())
}
