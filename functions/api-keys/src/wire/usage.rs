//! What a key was used for.

use std::collections::BTreeMap;

use access::permission::ApiKeysRead;
use axum::extract::FromRequestParts;
use clock::Timestamp;
use edge::{Argument, Authorized, Description, Edge, PathId, Refused, Reply, routes};
use http::request::Parts;
use ids::kind;
use problem::{Code, FieldError, Problem};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::{find, kept_days};
use crate::app::usage::{Bucket, Counts, Draft};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(usage))
}

/// Requests by the class of their answer's status.
#[derive(Debug, Serialize, ToSchema)]
struct ByStatus {
    /// Those that succeeded, or whose failure has not been counted yet.
    #[serde(rename = "2xx")]
    successes: u64,
    #[serde(rename = "4xx")]
    client_errors: u64,
    #[serde(rename = "5xx")]
    server_errors: u64,
}

/// Requests that were admitted, and those that were not as the budget was spent.
#[derive(Debug, Serialize, ToSchema)]
struct CountsBody {
    /// Those that were admitted, whatever came of them.
    requests: u64,
    by_status: ByStatus,
    /// Those that were refused with 429. They are not among `requests`.
    rate_limited: u64,
}

/// The requests of one hour or day.
#[derive(Debug, Serialize, ToSchema)]
struct BucketBody {
    /// When it begins.
    start: Timestamp,
    #[serde(flatten)]
    all: CountsBody,
    /// How many of `requests` were about what: `leads`, `campaigns`, `meetings`, `email_events`, `analytics`, `admin`,
    /// `other`. What there was no request about is left out.
    by_group: BTreeMap<&'static str, u64>,
}

/// What a key was used for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyUsage)]
struct UsageBody {
    /// `hour` or `day`.
    granularity: &'static str,
    /// When the first bucket begins.
    from: Timestamp,
    /// When the last bucket ends.
    to: Timestamp,
    /// All of them together.
    total: CountsBody,
    /// The buckets, oldest first; those without a request, too.
    data: Vec<BucketBody>,
}

impl CountsBody {
    fn of(counts: &Counts) -> Self {
        Self {
            requests: counts.requests,
            by_status: ByStatus {
                successes: counts.successes(),
                client_errors: counts.client_errors,
                server_errors: counts.server_errors,
            },
            rate_limited: counts.rate_limited,
        }
    }
}

impl BucketBody {
    fn of(start: Timestamp, bucket: &Bucket) -> Self {
        let by_group = bucket.by_group.iter().map(|(group, requests)| (group.name(), *requests)).collect();
        Self { start, all: CountsBody::of(&bucket.all), by_group }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Draft {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|_| Problem::invalid("query:", "format", "the query string cannot be read"))?;
        let mut draft = Self::default();
        let mut errors = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "granularity" => draft.granularity = Some(value),
                "from" => draft.from = Some(value),
                "to" => draft.to = Some(value),
                other => {
                    let name: String = other.chars().take(64).collect();
                    let pointer = format!("query:{name}");
                    errors.push(FieldError::new(pointer, "unknown_field", "there is no such parameter"));
                }
            }
        }
        if errors.is_empty() { Ok(draft) } else { Err(Refused(Problem::Invalid { errors })) }
    }
}

/// Buckets of an hour or of a day.
#[derive(Debug, ToSchema)]
#[schema(as = UsageGranularity, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its description is used")]
enum GranularityName {
    Hour,
    Day,
}

/// What a [`Draft`] is read from.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
struct RangeParameters {
    /// `hour` if not given.
    #[param(inline)]
    granularity: Option<GranularityName>,
    /// 24 hours or 30 days before `to` if not given. At most 31 days (by hour) or 366 days (by day) before `to`.
    from: Option<Timestamp>,
    /// Now if not given.
    to: Option<Timestamp>,
}

impl Argument for Draft {
    fn describe(operation: &mut Description<'_>) {
        operation.refuses(&[Code::Invalid]);
    }
}

/// Get an API key's usage
///
/// Hour by hour or day by day (UTC), for as long as the plan keeps what happened. The number of requests is there at once (of
/// a key that is used more than 800 times a second, a moment later); that some of them failed may show a little later.
#[utoipa::path(
    get, path = "/api/admin/api-keys/{id}/usage", operation_id = "get_api_key_usage", tag = "api keys",
    params(("id" = String, Path, description = "`key_…`"), RangeParameters),
    responses((status = 200, description = "The usage", body = UsageBody))
)]
async fn usage(caller: Authorized<ApiKeysRead>, PathId(id): PathId<kind::Key>, draft: Draft) -> Reply {
    let range = draft.check(caller.context.request.now, kept_days(&caller.context))?;
    let key = find(&caller, id).await?;
    let counts = caller.context.tenant().key_usage(&key, range.from, range.to).await?;
    let mut total = Counts::default();
    counts.iter().for_each(|count| total.add(count));
    let at = |hour: i64| Timestamp::from_seconds(hour * 60 * 60);
    let body = UsageBody {
        granularity: range.granularity.name(),
        from: at(range.from),
        to: at(range.to),
        total: CountsBody::of(&total),
        data: range.buckets(&counts).iter().map(|(start, bucket)| BucketBody::of(*start, bucket)).collect(),
    };
    edge::ok(&body, None)
}
