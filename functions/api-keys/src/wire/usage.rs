//! What a key was used for.

use std::collections::BTreeMap;

use access::permission::ApiKeysRead;
use clock::Timestamp;
use edge::{Authorized, Edge, PathId, Ranged, Refused, Reply, routes};
use futures::future::try_join_all;
use ids::{KeyId, kind};
use input::Range;
use serde::Serialize;
use store::{ApiKey, HourCount, PageRequest};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{find, kept_days};
use crate::app::usage::{Bucket, Counts, buckets, may_have_been_used};

/// How many keys are looked at to tell what all were used for.
const MOST_KEYS: usize = 500;
/// How many of them are looked at side by side, and are listed at once.
const LOOKS_AT_ONCE: usize = 16;
const LISTED_AT_ONCE: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(usage)).routes(routes!(usage_of_all))
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

/// What one of the keys was used for.
#[derive(Debug, Serialize, ToSchema)]
struct KeyUsage {
    id: KeyId,
    total: CountsBody,
    /// How many requests were admitted in each of the buckets.
    requests: Vec<u64>,
}

/// What all keys were used for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeysUsage)]
struct UsageOfAllBody {
    #[serde(flatten)]
    usage: UsageBody,
    /// Whether all keys are in it. Of more than 500, the oldest are not.
    complete: bool,
    /// What each key was used for, the newest key first; those without a request are left out.
    keys: Vec<KeyUsage>,
}

impl UsageBody {
    fn of(range: &Range, counts: &[HourCount]) -> Self {
        let (from, to) = range.bounds();
        Self {
            granularity: range.granularity.name(),
            from,
            to,
            total: CountsBody::of(&Counts::of(counts)),
            data: buckets(range, counts)
                .iter()
                .map(|(start, bucket)| BucketBody::of(*start, bucket))
                .collect(),
        }
    }
}

impl KeyUsage {
    fn of(range: &Range, id: KeyId, counts: &[HourCount]) -> Self {
        let requests = buckets(range, counts).iter().map(|(_, bucket)| bucket.all.requests).collect();
        Self { id, total: CountsBody::of(&Counts::of(counts)), requests }
    }
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

/// Get an API key's usage
///
/// Hour by hour or day by day (UTC), for as long as the plan keeps what happened. The number of requests is there at once (of
/// a key that is used more than 800 times a second, a moment later); that some of them failed may show a little later.
#[utoipa::path(
    get, path = "/api/admin/api-keys/{id}/usage", operation_id = "get_api_key_usage", tag = "api keys",
    params(("id" = String, Path, description = "`key_…`")),
    responses((status = 200, description = "The usage", body = UsageBody))
)]
async fn usage(caller: Authorized<ApiKeysRead>, PathId(id): PathId<kind::Key>, asked: Ranged) -> Reply {
    let range = asked.range.check(caller.context.request.now, kept_days(&caller.context))?;
    let key = find(&caller, id).await?;
    let counts = caller.context.tenant().key_usage(&key, range.from, range.to).await?;
    edge::ok(&UsageBody::of(&range, &counts), None)
}

/// Get the usage of all API keys
///
/// Of those that the caller sees, revoked ones included: in sum, and how many requests each made. Otherwise as that of a single
/// key.
#[utoipa::path(
    get, path = "/api/admin/api-keys/usage", operation_id = "get_usage_of_api_keys", tag = "api keys",
    responses((status = 200, description = "The usage", body = UsageOfAllBody))
)]
async fn usage_of_all(caller: Authorized<ApiKeysRead>, asked: Ranged) -> Reply {
    let range = asked.range.check(caller.context.request.now, kept_days(&caller.context))?;
    let (keys, complete) = newest(&caller).await?;
    let tenant = caller.context.tenant();
    let used: Vec<&ApiKey> = keys.iter().filter(|key| may_have_been_used(key, &range)).collect();
    let mut found = Vec::with_capacity(used.len());
    for some in used.chunks(LOOKS_AT_ONCE) {
        let looks = some.iter().map(|key| tenant.key_usage(key, range.from, range.to));
        found.extend(some.iter().map(|key| key.id).zip(try_join_all(looks).await?));
    }
    let used = found.iter().filter(|(_, counts)| !counts.is_empty());
    let body = UsageOfAllBody {
        keys: used.map(|(id, counts)| KeyUsage::of(&range, *id, counts)).collect(),
        usage: UsageBody::of(&range, &found.into_iter().flat_map(|(_, counts)| counts).collect::<Vec<_>>()),
        complete,
    };
    edge::ok(&body, None)
}

/// The newest keys in the caller's reach; whether they are all.
async fn newest(caller: &Authorized<ApiKeysRead>) -> Result<(Vec<ApiKey>, bool), Refused> {
    let (mut keys, mut page) = (Vec::new(), PageRequest { limit: LISTED_AT_ONCE, after: None });
    for _ in 0..MOST_KEYS / LISTED_AT_ONCE {
        let listed = caller.context.tenant().api_keys(&page).await?;
        page.after = listed.items.last().map(|last| last.id);
        keys.extend(listed.items.into_iter().filter(|key| caller.reaches(key.workspace_id, key.mode)));
        if !listed.more {
            return Ok((keys, true));
        }
    }
    Ok((keys, false))
}
