//! Replays: past events sent to an endpoint again, or for the first time, a stretch at a time.
//!
//! Tenants take turns, a stretch each, and so do the replays of a tenant: whoever has more of them, or larger ones, gets
//! through no more than others.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ids::{OrganizationId, ReplayId};
use jobs::DeliveryJob;
use store::{
    Delivery, DeliveryStatus, Endpoint, EndpointStatus, EventFilter, NewDelivery, PageRequest, Reopening,
    Replay, ReplayStatus, Replayed, SAFETY, StoredEvent, Tenant,
};

use crate::endpoints::apart;
use crate::{BUDGET, Sweep, TaskError};

/// Events of a stretch; as many deliveries are read at once.
const STRETCH: usize = 100;
const WRITES_AT_ONCE: usize = 16;
/// How many events of the log one call looks at for a replay beyond those that it sends.
const MOST_PASSED_OVER: usize = 5_000;
/// Stretches walked side by side, each of another tenant.
const AT_ONCE: usize = 4;

/// A replay, and what it has had of this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    organization: OrganizationId,
    replay: ReplayId,
    sent: usize,
    looked_at: usize,
}

impl Sweep {
    /// Carries replays on, until they have had a minute's worth or the time is up; how many could not be.
    pub(crate) async fn carry_replays_on(
        &self,
        replays: Vec<(OrganizationId, ReplayId)>,
        started: Instant,
    ) -> usize {
        let mut tenants = by_tenant(replays);
        let mut failed = 0;
        while !tenants.is_empty() && started.elapsed() < BUDGET {
            let turns: Vec<_> = tenants
                .iter_mut()
                .filter_map(VecDeque::pop_front)
                .map(|turn| async move {
                    let in_time = started.elapsed() < BUDGET;
                    (turn.replay, if in_time { self.stretch(turn).await } else { Ok(None) })
                })
                .collect();
            let ends: Vec<_> = stream::iter(turns).buffered(AT_ONCE).collect().await;
            for (turns, (replay, end)) in tenants.iter_mut().zip(ends) {
                match end {
                    Ok(next) => turns.extend(next),
                    Err(error) => {
                        failed += 1;
                        let error = telemetry::chain(&error);
                        tracing::error!(error, replay.id = %replay, "a replay could not be carried on");
                    }
                }
            }
            tenants.retain(|turns| !turns.is_empty());
        }
        failed
    }

    /// Walks a stretch; its next turn, if it may have another one in this call.
    async fn stretch(&self, turn: Turn) -> Result<Option<Turn>, TaskError> {
        let tenant = &self.store.tenant_of_job(turn.organization);
        let Some(replay) = tenant.replay(turn.replay).await? else { return Ok(None) };
        let a_minutes_worth = usize::try_from(replay.rate_per_second).unwrap_or(1).max(1) * 60;
        let room = a_minutes_worth.saturating_sub(turn.sent);
        let searched = turn.looked_at.saturating_sub(turn.sent) >= MOST_PASSED_OVER;
        if replay.status != ReplayStatus::Running || room == 0 || searched {
            return Ok(None);
        }
        let now = self.clock.now();
        let Some(endpoint) = tenant.endpoint(replay.endpoint_id).await? else {
            // Nothing is left to send to.
            tenant.carry_replay_on(&replay, &replay, Some(ReplayStatus::Cancelled), now).await?;
            return Ok(None);
        };
        if endpoint.status == EndpointStatus::Disabled {
            return Ok(None);
        }
        let filter = EventFilter {
            events: replay.events.clone(),
            mode: Some(endpoint.mode),
            ..EventFilter::default()
        };
        let page = PageRequest { limit: room.min(STRETCH), after: replay.position };
        let listed = tenant.events_since(replay.since, &filter, &page, now).await?;
        let mut next = replay.clone();
        let position = match &listed.next {
            Some(position) => store::event_at(position),
            None => listed.items.last().map(|event| event.id),
        };
        // Also where what lies beyond is not wanted.
        let beyond = position.is_some_and(|event| event.time() >= replay.until);
        let through = listed.next.is_none() || beyond;
        next.position = position.or(replay.position);
        let events: Vec<_> = listed
            .items
            .into_iter()
            .filter(|event| event.id.time() < replay.until && is_for(&endpoint, event))
            .collect();
        let begun = self.begin_anew(tenant, &endpoint, &replay, &events, turn.sent).await?;
        let ends = through.then_some(ReplayStatus::Completed);
        next.looked_at += u64::try_from(events.len()).unwrap_or(0);
        next.sent += u64::try_from(begun).unwrap_or(0);
        let goes_on = tenant.carry_replay_on(&replay, &next, ends, self.clock.now()).await?;
        let had = Turn { sent: turn.sent + begun, looked_at: turn.looked_at + listed.looked_at, ..turn };
        Ok((goes_on && !through).then_some(had))
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

/// The replays of each tenant, in the order in which they are given.
fn by_tenant(replays: Vec<(OrganizationId, ReplayId)>) -> Vec<VecDeque<Turn>> {
    let mut tenants: Vec<VecDeque<Turn>> = Vec::new();
    let mut places = BTreeMap::new();
    for (organization, replay) in replays {
        let turn = Turn { organization, replay, sent: 0, looked_at: 0 };
        let place = *places.entry(organization).or_insert(tenants.len());
        match tenants.get_mut(place) {
            Some(turns) => turns.push_back(turn),
            None => tenants.push(VecDeque::from([turn])),
        }
    }
    tenants
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

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Id;

    #[test]
    fn each_tenant_has_a_queue_of_its_own() {
        let at = clock::utc(2026, 11, 22, 15, 4);
        let (one, other) = (Id::derived(at, [9; 16]), Id::derived(at, [1; 16]));
        let replay = |seed| -> ReplayId { Id::derived(at, [seed; 16]) };
        let found = vec![(one, replay(1)), (one, replay(2)), (other, replay(3)), (one, replay(4))];
        let tenants: Vec<Vec<_>> =
            by_tenant(found).iter().map(|turns| turns.iter().map(|turn| turn.replay).collect()).collect();
        assert_eq!(tenants, [vec![replay(1), replay(2), replay(4)], vec![replay(3)]]);
    }
}
