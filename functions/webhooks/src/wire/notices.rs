//! Operational events on the wire: what is to be known of endpoints.

use access::CallerKind;
use access::permission::WebhooksRead;
use clock::Timestamp;
use edge::{Authorized, Edge, Paging, Reply, routes};
use ids::{DeliveryId, EndpointId, NoticeId};
use serde::Serialize;
use store::{EndpointNotice, NoticeType, PageRequest};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Something that is to be known of an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationalEvent)]
struct NoticeBody {
    id: NoticeId,
    /// `endpoint.failing`, `endpoint.disabled`, `endpoint.recovered` or `delivery.exhausted`.
    #[schema(value_type = String, example = "endpoint.failing")]
    r#type: NoticeType,
    endpoint_id: EndpointId,
    delivery_id: Option<DeliveryId>,
    /// In words.
    detail: String,
    created_at: Timestamp,
}

/// A page of operational events.
#[derive(Debug, Serialize, ToSchema)]
struct NoticeList {
    data: Vec<NoticeBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<&EndpointNotice> for NoticeBody {
    fn from(notice: &EndpointNotice) -> Self {
        Self {
            id: notice.id,
            r#type: notice.r#type,
            endpoint_id: notice.endpoint_id,
            delivery_id: notice.delivery_id,
            detail: notice.detail.clone(),
            created_at: notice.created_at,
        }
    }
}

/// List operational events
///
/// That endpoints are failing, were disabled, or have recovered, and that deliveries were given up; latest first. The admins
/// are told of them by mail, too, of deliveries that were given up once an hour.
#[utoipa::path(
    get, path = "/api/admin/webhooks/operational-events", operation_id = "list_operational_events", tag = "webhooks",
    responses((status = 200, description = "A page", body = NoticeList))
)]
async fn list(caller: Authorized<WebhooksRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let (tenant, now) = (caller.context.tenant(), caller.context.request.now);
    let page: PageRequest<NoticeId> = paging.page(&confines)?;
    let listed = tenant.notices(&page, now).await?;
    let mut notices = listed.items;
    // A key reaches its own mode's endpoints only.
    let is_person = matches!(caller.context.caller.known.kind, CallerKind::Person { .. });
    if !(is_person && caller.reaches_everywhere()) {
        // Of an endpoint that is gone nobody can tell whose it was.
        let endpoints = tenant.all_endpoints().await?;
        notices.retain(|notice| {
            let endpoint = endpoints.iter().find(|endpoint| endpoint.id == notice.endpoint_id);
            endpoint.is_some_and(|endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode))
        });
    }
    let next = listed.next.as_deref().and_then(|sk| sk.rsplit_once('#')).map(|(_, id)| id.to_owned());
    let shown: Vec<_> = notices.iter().map(NoticeBody::from).collect();
    paging.reply(&confines, &shown, next)
}
