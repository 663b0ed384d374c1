//! Which deliveries an event leads to.

use clock::Timestamp;
use events::Subscription;
use ids::{DeliveryId, EndpointId};
use sha2::{Digest as _, Sha256};
use store::{Delivery, DeliveryStatus, Endpoint, EndpointStatus, NewDelivery, StoredEvent};

/// Whether an endpoint is to be sent this event.
pub(crate) fn wants(endpoint: &Endpoint, event: &StoredEvent) -> bool {
    endpoint.status == EndpointStatus::Enabled
        && endpoint.mode == event.mode
        && endpoint.workspace_id.is_none_or(|workspace| workspace == event.workspace_id)
        && Subscription::parse(&endpoint.events).is_ok_and(|subscription| subscription.wants(event.event))
}

/// The delivery of an event to an endpoint. Its id is the same whenever it is asked for.
pub(crate) fn delivery(event: &StoredEvent, endpoint: EndpointId, now: Timestamp) -> NewDelivery {
    let delivery = Delivery {
        id: delivery_id(event, endpoint),
        event_id: event.id,
        event: event.event,
        endpoint_id: endpoint,
        workspace_id: event.workspace_id,
        status: DeliveryStatus::Pending,
        attempt_count: 0,
        next_attempt_at: Some(now),
        created_at: now,
        updated_at: now,
    };
    NewDelivery { organization_id: event.organization_id, delivery, kept_until_seconds: event.expires_at }
}

fn delivery_id(event: &StoredEvent, endpoint: EndpointId) -> DeliveryId {
    let digest = Sha256::new().chain_update(event.id.as_bytes()).chain_update(endpoint.as_bytes()).finalize();
    let mut seed = [0; 16];
    for (to, from) in seed.iter_mut().zip(digest) {
        *to = from;
    }
    DeliveryId::derived(event.id.time(), seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::EventType;
    use ids::Ids;
    use store::Mode;

    fn event(ids: &Ids) -> StoredEvent {
        StoredEvent {
            id: ids.next(),
            event: EventType::LeadReplied,
            organization_id: ids.next(),
            workspace_id: ids.next(),
            mode: Mode::Live,
            created_at: clock::utc(2026, 11, 22, 15, 0),
            body: "{}".to_owned(),
            expires_at: 0,
        }
    }

    fn endpoint(ids: &Ids) -> Endpoint {
        let now = clock::utc(2026, 11, 22, 15, 0);
        Endpoint {
            id: ids.next(),
            url: "https://example.com/".to_owned(),
            events: vec!["*".to_owned()],
            workspace_id: None,
            mode: Mode::Live,
            description: None,
            headers: Default::default(),
            timeout_seconds: 30,
            max_retries: 4,
            rate_limit_per_second: None,
            status: EndpointStatus::Enabled,
            disabled_reason: None,
            sealed_secret: String::new(),
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn an_endpoint_is_sent_what_it_asked_for_and_nothing_else() {
        let ids = Ids::new(clock::Clock::system());
        let (event, all) = (event(&ids), endpoint(&ids));
        assert!(wants(&all, &event));
        assert!(wants(&Endpoint { workspace_id: Some(event.workspace_id), ..all.clone() }, &event));
        assert!(wants(&Endpoint { events: vec!["lead.replied".to_owned()], ..all.clone() }, &event));
        let not = [
            Endpoint { events: vec!["lead.created".to_owned()], ..all.clone() },
            Endpoint { workspace_id: Some(ids.next()), ..all.clone() },
            Endpoint { mode: Mode::Test, ..all.clone() },
            Endpoint { status: EndpointStatus::Disabled, ..all.clone() },
        ];
        for endpoint in not {
            assert!(!wants(&endpoint, &event), "{endpoint:?}");
        }
    }

    #[test]
    fn a_delivery_has_one_id_per_event_and_endpoint() {
        let ids = Ids::new(clock::Clock::system());
        let (event, endpoint) = (event(&ids), ids.next());
        assert_eq!(delivery_id(&event, endpoint), delivery_id(&event, endpoint));
        assert_ne!(delivery_id(&event, endpoint), delivery_id(&event, ids.next()));
        assert_eq!(delivery_id(&event, endpoint).time(), event.id.time());
    }
}
