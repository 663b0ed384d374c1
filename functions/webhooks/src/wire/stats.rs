//! What was sent, on the wire.

use access::permission::WebhooksRead;
use clock::Timestamp;
use edge::{Authorized, Edge, Narrow, Ranged, Reply, Values, routes};
use ids::EndpointId;
use input::Range;
use problem::FieldError;
use serde::Serialize;
use store::SentCount;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::stats::{Sent, buckets, by_endpoint};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(stats))
}

/// What was sent in some time.
#[derive(Debug, Serialize, ToSchema)]
struct SentBody {
    /// Attempts that the receiver took.
    succeeded: u64,
    /// Attempts that it did not.
    failed: u64,
    /// Deliveries that became dead letters.
    dead_letters: u64,
}

/// What was sent in one hour or day.
#[derive(Debug, Serialize, ToSchema)]
struct SentBucket {
    /// When it begins.
    start: Timestamp,
    #[serde(flatten)]
    sent: SentBody,
}

/// What was sent to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
struct SentToEndpoint {
    /// The endpoint. It may be deleted by now.
    endpoint_id: EndpointId,
    total: SentBody,
    /// The buckets, oldest first; those in which nothing was sent, too.
    data: Vec<SentBucket>,
}

/// What was sent to endpoints.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookStats)]
struct StatsBody {
    /// `hour` or `day`.
    granularity: &'static str,
    /// When the first bucket begins.
    from: Timestamp,
    /// When the last bucket ends.
    to: Timestamp,
    /// All of it together.
    total: SentBody,
    /// The buckets, oldest first; those in which nothing was sent, too.
    data: Vec<SentBucket>,
    /// The same by endpoint; those that nothing was sent to are left out.
    endpoints: Vec<SentToEndpoint>,
}

impl SentBody {
    fn of(sent: Sent) -> Self {
        let Sent { succeeded, failed, dead_letters } = sent;
        Self { succeeded, failed, dead_letters }
    }
}

fn shown(range: &Range, counts: &[SentCount]) -> (SentBody, Vec<SentBucket>) {
    let buckets = buckets(range, counts).into_iter();
    let data = buckets.map(|(start, sent)| SentBucket { start, sent: SentBody::of(sent) }).collect();
    (SentBody::of(Sent::of(counts)), data)
}

#[derive(Debug, Clone, Copy)]
struct ToEndpoint(Option<EndpointId>);

impl Narrow for ToEndpoint {
    const NAMES: &'static [&'static str] = &["endpoint_id"];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        let given = values.get("endpoint_id").map(|id| id.parse());
        if let Some(Err(_)) = given {
            faults.push(FieldError::new("query:endpoint_id", "value", "is not the id of an endpoint"));
        }
        Self(given.and_then(Result::ok))
    }
}

/// Get what was sent
///
/// Attempts that succeeded and that failed, and deliveries that became dead letters, hour by hour or day by day (UTC): in sum,
/// and by endpoint. For as long as the plan keeps what happened, of endpoints that are deleted by now, too. The last minutes may
/// show a little later, and a few counts may be missing: they are for looking at. What became of a single delivery is always
/// told as it is.
#[utoipa::path(
    get, path = "/api/admin/webhooks/stats", operation_id = "get_webhook_stats", tag = "webhooks",
    params(("endpoint_id" = Option<EndpointId>, Query, description = "Only what was sent to this endpoint")),
    responses((status = 200, description = "What was sent", body = StatsBody))
)]
async fn stats(caller: Authorized<WebhooksRead>, asked: Ranged<ToEndpoint>) -> Reply {
    let context = &caller.context;
    let kept_days = context.organization().map_or(90, |organization| organization.limits.retention_days);
    let range = asked.range.check(context.request.now, kept_days)?;
    let mut days = context.tenant().sent(asked.by.0, range.from, range.to).await?;
    days.retain(|day| caller.reaches(day.workspace_id, day.mode));
    let by_endpoint = by_endpoint(days);
    let (total, data) = shown(&range, &by_endpoint.values().flatten().copied().collect::<Vec<_>>());
    let (from, to) = range.bounds();
    let endpoints = by_endpoint.into_iter().map(|(endpoint_id, counts)| {
        let (total, data) = shown(&range, &counts);
        SentToEndpoint { endpoint_id, total, data }
    });
    let granularity = range.granularity.name();
    edge::ok(&StatsBody { granularity, from, to, total, data, endpoints: endpoints.collect() }, None)
}
