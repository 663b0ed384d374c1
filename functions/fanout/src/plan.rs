//! Which endpoints an event is for.

use store::{Endpoint, EndpointStatus, StoredEvent};

/// Whether an endpoint is to be sent this event.
pub(crate) fn wants(endpoint: &Endpoint, event: &StoredEvent) -> bool {
    if let Some(only) = event.only_for {
        return endpoint.id == only;
    }
    endpoint.status == EndpointStatus::Enabled && endpoint.is_for(event.event, event.mode, event.workspace_id)
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
            request_id: None,
            only_for: None,
            expires_at: 0,
        }
    }

    fn endpoint(ids: &Ids) -> Endpoint {
        let now = clock::utc(2026, 11, 22, 15, 0);
        Endpoint::new(ids.next(), "https://example.com/".to_owned(), String::new(), now)
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
        let trial = StoredEvent { only_for: Some(all.id), ..event };
        assert!(wants(&Endpoint { events: vec!["lead.created".to_owned()], ..all.clone() }, &trial));
        assert!(!wants(&Endpoint { id: ids.next(), ..all }, &trial));
    }
}
