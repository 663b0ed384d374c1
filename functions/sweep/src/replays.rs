//! Replays: past events sent to an endpoint again, or for the first time, a stretch at a time.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ids::{OrganizationId, ReplayId};
use jobs::DeliveryJob;
use store::{
    Delivery, DeliveryStatus, Endpoint, EndpointStatus, EventFilter, NewDelivery, PageRequest, Reopening,
    Replay, ReplayStatus, Replayed, StoredEvent, Tenant,
};

use crate::endpoints::{SAFETY, apart};
use crate::{BUDGET, Sweep, TaskError};

/// Events of a stretch; as many deliveries are read at once.
const STRETCH: usize = 100;
const WRITES_AT_ONCE: usize = 16;

/// How a stretch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// There may be more.
    On { sent: usize },
    /// Not in this call.
    Enough,
}

impl Sweep {
    /// Carries replays on, until they have had a minute's worth or the time is up; how many could not be.
    pub(crate) async fn carry_replays_on(
        &self,
        replays: Vec<(OrganizationId, ReplayId)>,
        started: Instant,
    ) -> usize {
        let mut failed = 0;
        for (organization, replay) in replays {
            if started.elapsed() >= BUDGET {
                break;
            }
            let tenant = self.store.tenant_of_job(organization);
            if let Err(error) = self.carry_on(&tenant, replay, started).await {
                failed += 1;
                tracing::error!(error = telemetry::chain(&error), replay.id = %replay, "a replay could not be carried on");
            }
        }
        failed
    }

    async fn carry_on(&self, tenant: &Tenant, id: ReplayId, started: Instant) -> Result<(), TaskError> {
        let mut sent = 0;
        while started.elapsed() < BUDGET {
            match self.stretch(tenant, id, sent).await? {
                Pace::On { sent: more } => sent += more,
                Pace::Enough => break,
            }
        }
        Ok(())
    }

    async fn stretch(&self, tenant: &Tenant, id: ReplayId, sent: usize) -> Result<Pace, TaskError> {
        let Some(replay) = tenant.replay(id).await? else { return Ok(Pace::Enough) };
        let a_minutes_worth = usize::try_from(replay.rate_per_second).unwrap_or(1).max(1) * 60;
        let room = a_minutes_worth.saturating_sub(sent);
        if replay.status != ReplayStatus::Running || room == 0 {
            return Ok(Pace::Enough);
        }
        let now = self.clock.now();
        let Some(endpoint) = tenant.endpoint(replay.endpoint_id).await? else {
            // Nothing is left to send to.
            tenant.carry_replay_on(&replay, &replay, Some(ReplayStatus::Cancelled), now).await?;
            return Ok(Pace::Enough);
        };
        if endpoint.status == EndpointStatus::Disabled {
            return Ok(Pace::Enough);
        }
        let filter =
            EventFilter { events: replay.events.clone(), mode: Some(endpoint.mode), workspaces: None };
        let page = PageRequest { limit: room.min(STRETCH), after: replay.position };
        let listed = tenant.events_since(replay.since, &filter, &page, now).await?;
        let through =
            listed.next.is_none() || listed.items.iter().any(|event| event.id.time() >= replay.until);
        let mut next = replay.clone();
        let position = match &listed.next {
            Some(position) => store::event_at(position),
            None => listed.items.last().map(|event| event.id),
        };
        next.position = position.or(replay.position);
        let events: Vec<_> = listed
            .items
            .into_iter()
            .filter(|event| event.id.time() < replay.until && is_for(&endpoint, event))
            .collect();
        let begun = self.begin_anew(tenant, &endpoint, &replay, &events, sent).await?;
        let ends = through.then_some(ReplayStatus::Completed);
        next.looked_at += u64::try_from(events.len()).unwrap_or(0);
        next.sent += u64::try_from(begun).unwrap_or(0);
        let goes_on = tenant.carry_replay_on(&replay, &next, ends, self.clock.now()).await?;
        Ok(if through || !goes_on { Pace::Enough } else { Pace::On { sent: begun } })
    }

    /// Begins those deliveries of these events anew that the replay is about, and queues them. How many it is that it has
    /// begun: those of a time before that broke off are among them, and come back by themselves.
    async fn begin_anew(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        replay: &Replay,
        events: &[StoredEvent],
        sent: usize,
    ) -> Result<usize, TaskError> {
        let now = self.clock.now();
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        let found =
            if ids.is_empty() { Vec::new() } else { tenant.deliveries_of_events(endpoint.id, &ids).await? };
        let before = found.iter().filter(|delivery| delivery.replay_id == Some(replay.id)).count();
        let wanted: Vec<_> = events
            .iter()
            .map(|event| (event, found.iter().find(|delivery| delivery.event_id == event.id)))
            .filter(|(_, delivery)| is_about(replay, *delivery))
            .collect();
        if wanted.is_empty() {
            return Ok(before);
        }
        // First of all: should the rest break off, the sweep finds what waits.
        tenant.flag_endpoint(endpoint.id, now).await?;
        let begun: Vec<_> = wanted
            .into_iter()
            .map(|(event, delivery)| async move {
                let new = NewDelivery::of(event, endpoint.id, now);
                let begun = match delivery {
                    None => tenant.open(&new, Some(replay.id), now + SAFETY, now).await?,
                    Some(delivery) => {
                        let reopening = Reopening {
                            from: vec![delivery.status],
                            replay: Some(replay.id),
                            look_at: now + SAFETY,
                        };
                        tenant.reopen(delivery, &reopening, now).await?.is_some()
                    }
                };
                Ok::<_, TaskError>(begun.then_some(new.id))
            })
            .collect();
        let begun: Vec<_> = stream::iter(begun).buffered(WRITES_AT_ONCE).try_collect().await?;
        let jobs: Vec<_> = begun
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(nth, delivery)| {
                let job = DeliveryJob::again(tenant.organization_id(), endpoint.id, delivery);
                let after: Duration = apart(Some(replay.rate_per_second), sent + nth);
                (job, after)
            })
            .collect();
        self.lane.send(&jobs).await?;
        Ok(before + jobs.len())
    }
}

/// Whether a replay sends an event to an endpoint. One that somebody tried an endpoint out with is nobody's.
fn is_for(endpoint: &Endpoint, event: &StoredEvent) -> bool {
    event.only_for.is_none() && endpoint.is_for(event.event, event.mode, event.workspace_id)
}

fn is_about(replay: &Replay, delivery: Option<&Delivery>) -> bool {
    let own = delivery.is_some_and(|delivery| delivery.replay_id == Some(replay.id));
    let status: Option<DeliveryStatus> = delivery.map(|delivery| delivery.status);
    !own && Replayed::of(status).is_some_and(|it| replay.statuses.contains(&it))
}
