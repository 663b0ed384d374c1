//! What the API tells about an id: a dozen calls at most, and as many of them at once as do not need each other's answers.
//!
//! It is not asked for what the visitor may not see: that would be a refusal, and go on record as one.

use std::time::Duration;

use clock::Timestamp;
use futures::future::{join_all, try_join_all};
use serde::Deserialize;
use serde_json::Value;

use super::given::{Given, Kind, Thing};
use crate::api::{self, Caller, Failure, List, Me, Request};
use crate::pages::audit::Record;

/// An event, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) timestamp: Timestamp,
    pub(super) workspace_id: String,
    #[serde(default)]
    pub(super) only_for: Option<String>,
    #[serde(default)]
    pub(super) request_id: Option<String>,
    /// What became of it; only of an event that was asked for by its id.
    #[serde(default)]
    pub(super) deliveries: Option<Vec<Owed>>,
}

/// What became of an event at an endpoint, in short.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Owed {
    pub(super) id: String,
    pub(super) status: String,
}

/// An event owed to an endpoint.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event_id: String,
    pub(super) event: String,
    pub(super) endpoint_id: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) attempt_count: u32,
    #[serde(default)]
    pub(super) next_attempt_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    #[serde(default)]
    pub(super) attempts: Option<Vec<Attempt>>,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Attempt {
    pub(super) id: String,
    pub(super) number: u32,
    pub(super) started_at: Timestamp,
    pub(super) duration_ms: u64,
    #[serde(default)]
    pub(super) response_status: Option<u16>,
    #[serde(default)]
    pub(super) error: Option<String>,
}

/// An endpoint, as far as it has to be told from others.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) url: String,
}

/// Something that is left out, and the permission that seeing it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Withheld {
    pub(super) what: &'static str,
    pub(super) permission: &'static str,
}

/// All that is told about an id.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The request that it came from, if it is one request.
    pub(super) request: Option<String>,
    pub(super) records: Vec<Record>,
    /// Whether there are more records than these.
    pub(super) is_more: bool,
    pub(super) events: Vec<Event>,
    /// How many of the events were asked what became of them.
    pub(super) events_looked_into: usize,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) endpoints: Vec<Endpoint>,
    /// The thing as it is now, and in which workspace.
    pub(super) state: Option<(Value, Option<String>)>,
    pub(super) withheld: Vec<Withheld>,
}

const RECORDS: Withheld = Withheld { what: "Audit records", permission: "audit_logs:read" };
const EVENTS: Withheld = Withheld { what: "Events and their deliveries", permission: "webhooks:read" };

/// How many events, and deliveries, are looked into.
const MOST_EVENTS: usize = 3;
const MOST_DELIVERIES: usize = 4;
/// So many pages of what a request caused are turned until there is something.
const MOST_PAGES: usize = 3;

impl Found {
    /// Whether there is anything at all.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.events.is_empty()
            && self.deliveries.is_empty()
            && self.state.is_none()
    }

    /// Whether something is still on its way.
    pub(super) fn is_moving(&self) -> bool {
        let owed = |status: &str| matches!(status, "pending" | "retrying");
        self.deliveries.iter().any(|delivery| owed(&delivery.status))
            || self
                .events
                .iter()
                .flat_map(|event| event.deliveries.iter().flatten())
                .any(|it| owed(&it.status))
    }

    fn withhold(&mut self, what: Withheld) {
        if !self.withheld.contains(&what) {
            self.withheld.push(what);
        }
    }
}

/// Asks on behalf of somebody.
pub(super) struct Seeker<'a> {
    pub(super) api: &'a Caller,
    pub(super) me: &'a Me,
}

impl Seeker<'_> {
    /// Everything about `given`.
    pub(super) async fn find(&self, given: &Given) -> Result<Found, Failure> {
        let mut found = Found::default();
        match given.kind {
            Kind::Request => {
                self.by_request(&mut found, &given.id, given.made_at).await?;
                self.follow(&mut found, &[]).await?;
            }
            Kind::Foreign => {
                let named = async {
                    match given.is_name() && self.sees_records() {
                        true => self.records("resource_id", &given.id, None).await,
                        false => Ok((Vec::new(), false)),
                    }
                };
                let ((), (records, is_more)) =
                    tokio::try_join!(self.by_request(&mut found, &given.id, None), named)?;
                // A name that things are called by is no request.
                if found.records.is_empty() && found.events.is_empty() && !records.is_empty() {
                    found.request = None;
                }
                found.is_more |= is_more;
                merge(&mut found.records, records);
                self.follow(&mut found, &[]).await?;
            }
            Kind::Record => self.of_record(&mut found, &given.id).await?,
            Kind::Event => self.of_event(&mut found, &given.id, &[]).await?,
            Kind::Delivery => self.of_delivery(&mut found, &given.id).await?,
            Kind::Attempt => self.of_attempt(&mut found, given).await?,
            Kind::Thing(thing) => self.of_thing(&mut found, thing, &given.id).await?,
        }
        found.records.sort_by(|one, other| (one.timestamp, &one.id).cmp(&(other.timestamp, &other.id)));
        Ok(found)
    }

    fn sees_records(&self) -> bool {
        self.me.may(RECORDS.permission)
    }

    fn sees_events(&self) -> bool {
        self.me.may_somewhere(EVENTS.permission)
    }

    /// Records that have `id` for `name`, newest first, and whether there are more; of the time around `at`, if it is given.
    async fn records(
        &self,
        name: &str,
        id: &str,
        at: Option<Timestamp>,
    ) -> Result<(Vec<Record>, bool), Failure> {
        let request = around(Request::get("/api/admin/audit-logs").query(name, id), at);
        let page: List<Record> = self.api.ask(request).await?;
        Ok((page.data, page.next_cursor.is_some()))
    }

    /// What a request did: its records, and the events that it caused. Where its time is known, of that time alone: callers may
    /// name other requests alike.
    async fn by_request(&self, found: &mut Found, id: &str, at: Option<Timestamp>) -> Result<(), Failure> {
        found.request = Some(id.to_owned());
        let records = async {
            match self.sees_records() {
                true => self.records("request_id", id, at).await,
                false => Ok((Vec::new(), false)),
            }
        };
        let events = async {
            match self.sees_events() {
                true => self.events_of(id, at).await,
                false => Ok((Vec::new(), false)),
            }
        };
        let ((records, more_records), (events, more_events)) = tokio::try_join!(records, events)?;
        found.is_more |= more_records || more_events;
        merge(&mut found.records, records);
        for event in events {
            if !found.events.iter().any(|known| known.id == event.id) {
                found.events.push(event);
            }
        }
        found.events.sort_by(|one, other| one.id.cmp(&other.id));
        self.note_withheld(found);
        Ok(())
    }

    fn note_withheld(&self, found: &mut Found) {
        if !self.sees_records() {
            found.withhold(RECORDS);
        }
        if !self.sees_events() {
            found.withhold(EVENTS);
        }
    }

    /// What became of the events: their deliveries, and of those each attempt; `first` are the deliveries that matter most.
    async fn follow(&self, found: &mut Found, first: &[&str]) -> Result<(), Failure> {
        if !self.sees_events() || found.events.is_empty() {
            return Ok(());
        }
        let unknown = found.events.iter().filter(|event| event.deliveries.is_none()).take(MOST_EVENTS);
        let unknown: Vec<String> = unknown.map(|event| event.id.clone()).collect();
        let details = try_join_all(unknown.iter().map(|id| self.event(id)));
        let (details, endpoints) = tokio::try_join!(details, self.endpoints())?;
        found.endpoints = endpoints;
        for detail in details.into_iter().flatten() {
            if let Some(event) = found.events.iter_mut().find(|event| event.id == detail.id) {
                *event = detail;
            }
        }
        found.events_looked_into = found.events.iter().filter(|event| event.deliveries.is_some()).count();
        let owed = found.events.iter().flat_map(|event| event.deliveries.iter().flatten());
        let mut wanted: Vec<String> = owed
            .map(|owed| owed.id.clone())
            .filter(|id| !found.deliveries.iter().any(|delivery| delivery.id == *id))
            .collect();
        wanted.sort_by_key(|id| !first.contains(&id.as_str()));
        wanted.truncate(MOST_DELIVERIES);
        let deliveries = try_join_all(wanted.iter().map(|id| self.delivery(id))).await?;
        found.deliveries.extend(deliveries.into_iter().flatten());
        Ok(())
    }

    /// The events that a request caused, and whether there are more; of the time around `at`, if it is given.
    async fn events_of(&self, request: &str, at: Option<Timestamp>) -> Result<(Vec<Event>, bool), Failure> {
        let asked = Request::get("/api/admin/events").query("request_id", request).query("limit", "100");
        let asked = around(asked, at);
        let mut cursor: Option<String> = None;
        // Where a caller names many requests alike, there may be pages with nothing that the visitor may see.
        for _ in 0..MOST_PAGES {
            let page: List<Event> = self.api.ask(asked.clone().maybe("cursor", cursor.as_deref())).await?;
            if !page.data.is_empty() || page.next_cursor.is_none() {
                return Ok((page.data, page.next_cursor.is_some()));
            }
            cursor = page.next_cursor;
        }
        Ok((Vec::new(), true))
    }

    async fn event(&self, id: &str) -> Result<Option<Event>, Failure> {
        api::found(self.api.get(format!("/api/admin/events/{id}")).await)
    }

    async fn delivery(&self, id: &str) -> Result<Option<Delivery>, Failure> {
        api::found(self.api.get(format!("/api/admin/webhooks/deliveries/{id}")).await)
    }

    async fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let request = Request::get("/api/admin/webhooks").query("limit", "100");
        Ok(self.api.ask::<List<Endpoint>>(request).await?.data)
    }

    async fn of_record(&self, found: &mut Found, id: &str) -> Result<(), Failure> {
        if !self.sees_records() {
            found.withhold(RECORDS);
            return Ok(());
        }
        let record = api::found(self.api.get::<Record>(format!("/api/admin/audit-logs/{id}")).await)?;
        let Some(record) = record else { return Ok(()) };
        let (request, at) = (record.request_id.clone(), record.timestamp);
        found.records.push(record);
        self.by_request(found, &request, Some(at)).await?;
        self.follow(found, &[]).await
    }

    async fn of_event(&self, found: &mut Found, id: &str, first: &[&str]) -> Result<(), Failure> {
        if !self.sees_events() {
            found.withhold(EVENTS);
            return Ok(());
        }
        let Some(event) = self.event(id).await? else { return Ok(()) };
        let (request, at) = (event.request_id.clone(), event.timestamp);
        found.events.push(event);
        match request {
            Some(request) => self.by_request(found, &request, Some(at)).await?,
            None => self.note_withheld(found),
        }
        self.follow(found, first).await
    }

    async fn of_delivery(&self, found: &mut Found, id: &str) -> Result<(), Failure> {
        if !self.sees_events() {
            found.withhold(EVENTS);
            return Ok(());
        }
        let Some(delivery) = self.delivery(id).await? else { return Ok(()) };
        let event = delivery.event_id.clone();
        found.deliveries.push(delivery);
        self.of_event(found, &event, &[id]).await?;
        if found.endpoints.is_empty() {
            found.endpoints = self.endpoints().await?;
        }
        Ok(())
    }

    /// An attempt is found in its delivery only: of those that were on their way when it was made, the nearest are looked at.
    async fn of_attempt(&self, found: &mut Found, given: &Given) -> Result<(), Failure> {
        const MOST_ENDPOINTS: usize = 3;
        if !self.sees_events() {
            found.withhold(EVENTS);
            return Ok(());
        }
        let Some(at) = given.made_at else { return Ok(()) };
        let endpoints = self.endpoints().await?;
        let lists = endpoints.iter().take(MOST_ENDPOINTS).map(|endpoint| {
            let path = format!("/api/admin/webhooks/{}/deliveries", endpoint.id);
            self.api.ask::<List<Delivery>>(Request::get(path).query("limit", "100"))
        });
        let mut near: Vec<Delivery> =
            try_join_all(lists).await?.into_iter().flat_map(|list| list.data).collect();
        let moment = Duration::from_secs(1);
        near.retain(|delivery| delivery.created_at <= at + moment && at <= delivery.updated_at + moment);
        near.sort_by_key(|delivery| delivery.updated_at.since(at));
        near.truncate(MOST_DELIVERIES);
        let details = try_join_all(near.iter().map(|delivery| self.delivery(&delivery.id))).await?;
        let has =
            |delivery: &Delivery| delivery.attempts.iter().flatten().any(|attempt| attempt.id == given.id);
        let Some(delivery) = details.into_iter().flatten().find(has) else { return Ok(()) };
        let event = self.event(&delivery.event_id).await?;
        found.request = event.as_ref().and_then(|event| event.request_id.clone());
        found.events.extend(event);
        found.events_looked_into = found.events.len();
        (found.deliveries, found.endpoints) = (vec![delivery], endpoints);
        Ok(())
    }

    /// What was done to something, and by it; how it is now; and the events that came of it.
    async fn of_thing(&self, found: &mut Found, thing: Thing, id: &str) -> Result<(), Failure> {
        let of = async |name: &str| match self.sees_records() {
            true => self.records(name, id, None).await,
            false => Ok((Vec::new(), false)),
        };
        let did = async {
            match thing.acts() {
                true => of("actor").await,
                false => Ok((Vec::new(), false)),
            }
        };
        let sent = async {
            match thing == Thing::Endpoint && self.sees_events() {
                true => self.sent_to(id).await,
                false => Ok(Vec::new()),
            }
        };
        let (done, did, sent) = tokio::try_join!(of("resource_id"), did, sent)?;
        if !self.sees_records() {
            found.withhold(RECORDS);
        }
        for (records, is_more) in [done, did] {
            found.is_more |= is_more;
            merge(&mut found.records, records);
        }
        found.deliveries = sent;
        let causes_events = matches!(thing, Thing::Campaign | Thing::Lead | Thing::Meeting);
        let state = self.state(thing, id, &found.records);
        let events = async {
            match causes_events && self.sees_events() {
                true => self.caused(&found.records).await,
                false => Ok(Vec::new()),
            }
        };
        let (state, events) = tokio::try_join!(state, events)?;
        (found.state, found.events) = (state, events);
        if let Some(permission) = thing.permission().filter(|permission| !self.me.may_somewhere(permission)) {
            found.withhold(Withheld { what: "How it is now", permission });
        }
        if causes_events && !self.sees_events() {
            found.withhold(EVENTS);
        }
        let newest = found.events.iter().rev().take(MOST_EVENTS);
        let newest: Vec<String> = newest.map(|event| event.id.clone()).collect();
        for detail in try_join_all(newest.iter().map(|id| self.event(id))).await?.into_iter().flatten() {
            if let Some(event) = found.events.iter_mut().find(|event| event.id == detail.id) {
                *event = detail;
            }
        }
        found.events_looked_into = newest.len();
        if !newest.is_empty() || !found.deliveries.is_empty() {
            found.endpoints = self.endpoints().await?;
        }
        Ok(())
    }

    /// What was sent to an endpoint lately.
    async fn sent_to(&self, id: &str) -> Result<Vec<Delivery>, Failure> {
        let request = Request::get(format!("/api/admin/webhooks/{id}/deliveries")).query("limit", "10");
        Ok(api::found(self.api.ask::<List<Delivery>>(request).await)?
            .map(|list| list.data)
            .unwrap_or_default())
    }

    /// The events that the requests of the newest records caused.
    async fn caused(&self, records: &[Record]) -> Result<Vec<Event>, Failure> {
        let mut requests: Vec<(&str, Timestamp)> = Vec::new();
        for record in records.iter().filter(|record| record.success) {
            if !requests.iter().any(|(id, _)| *id == record.request_id) {
                requests.push((&record.request_id, record.timestamp));
            }
        }
        requests.truncate(MOST_EVENTS);
        let asked = requests.into_iter().map(|(id, at)| self.events_of(id, Some(at)));
        let mut events: Vec<Event> =
            try_join_all(asked).await?.into_iter().flat_map(|(events, _)| events).collect();
        events.sort_by(|one, other| one.id.cmp(&other.id));
        events.dedup_by(|one, other| one.id == other.id);
        Ok(events)
    }

    /// A thing as it is now.
    async fn state(
        &self,
        thing: Thing,
        id: &str,
        records: &[Record],
    ) -> Result<Option<(Value, Option<String>)>, Failure> {
        const MOST_WORKSPACES: usize = 3;
        let Some((permission, (path, is_within))) = thing.permission().zip(thing.path(id)) else {
            return self.listed_export(thing, id).await;
        };
        if !is_within {
            // Of another organization than the session's there is nothing to tell.
            let is_mine = thing != Thing::Organization || id == self.me.organization.id;
            if !is_mine || !self.me.may_somewhere(permission) {
                return Ok(None);
            }
            return Ok(api::found(self.api.get::<Value>(path).await)?.map(|state| (state, None)));
        }
        let told = records.iter().find_map(|record| record.workspace_id.as_deref());
        let open = self
            .me
            .workspaces
            .iter()
            .filter(|workspace| self.me.may(permission) || workspace.may(permission));
        let open: Vec<&str> = open
            .map(|workspace| workspace.id.as_str())
            .filter(|id| told.is_none_or(|told| told == *id))
            .take(MOST_WORKSPACES)
            .collect();
        let asked =
            join_all(open.iter().map(|id| self.api.ask::<Value>(Request::get(path.as_str()).within(id))))
                .await;
        for (workspace, state) in open.into_iter().zip(asked) {
            if let Some(state) = api::found(state)? {
                return Ok(Some((state, Some(workspace.to_owned()))));
            }
        }
        Ok(None)
    }

    /// An export, out of the list of them.
    async fn listed_export(
        &self,
        thing: Thing,
        id: &str,
    ) -> Result<Option<(Value, Option<String>)>, Failure> {
        if thing != Thing::Export || !self.me.may("audit_logs:export") {
            return Ok(None);
        }
        let request = Request::get("/api/admin/audit-logs/exports").query("limit", "100");
        let exports = self.api.ask::<List<Value>>(request).await?.data;
        let is_it = |export: &Value| export.get("id").and_then(Value::as_str) == Some(id);
        Ok(exports.into_iter().find(is_it).map(|export| (export, None)))
    }
}

/// Narrowed to what a request did, and what followed from it at once, if this was while it was answered.
fn around(request: Request, at: Option<Timestamp>) -> Request {
    const BEFORE: Duration = Duration::from_secs(60);
    const AFTER: Duration = Duration::from_secs(60 * 60);
    match at {
        Some(at) => request.query("from", (at - BEFORE).to_string()).query("to", (at + AFTER).to_string()),
        None => request,
    }
}

fn merge(known: &mut Vec<Record>, records: Vec<Record>) {
    for record in records {
        if !known.iter().any(|other| other.id == record.id) {
            known.push(record);
        }
    }
}
