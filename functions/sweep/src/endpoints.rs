//! Endpoints that need attention: what waits for them is brought back to the queue, what they do is told to the customer, and
//! those that have been failing for days are disabled.
//!
//! An endpoint needs attention from its first failure on, and until nothing waits for it and all is told. What is done here
//! may be done again: a job that is queued twice is one look in vain, and each thing is told once for each time it happens.

use std::time::{Duration, Instant};

use clock::Timestamp;
use futures::future;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ids::{EndpointId, NoticeId, OrganizationId};
use jobs::DeliveryJob;
use mailing::{EndpointNews, Letter};
use store::{
    Change, CommitError, Endpoint, EndpointNotice, EndpointState, EndpointStatus, FieldChange, Mailed,
    NoticeType, SAFETY, Tenant, Told, Watched, notice_id,
};
use telemetry::metrics::Metrics;

use crate::{BUDGET, Sweep, TaskError};

/// The sweep comes once a minute, and queues ahead what is due before it comes again.
pub(crate) const AHEAD: Duration = Duration::from_secs(60);
/// How many deliveries of one endpoint are brought back, or cancelled, at a time.
const MOST_AT_ONCE: usize = 2_000;
/// The same for an endpoint that takes its time: about as many as it gets through in a minute.
const MOST_IF_SLOW: usize = 300;
/// Of what is cancelled, so much before it is made sure that the endpoint was not enabled meanwhile.
const CANCELLED_UNSEEN: usize = 200;
/// How many of the deliveries that wait for an endpoint are seen when their age is measured: those that are due next.
const SEEN_OF_WAITING: usize = 100;
/// Endpoints of a batch read, two items each.
const READ_AT_ONCE: usize = 50;
/// Endpoints looked at, and deliveries written, side by side.
const AT_ONCE: usize = 8;
const WRITES_AT_ONCE: usize = 16;
/// An endpoint is left alone once nothing has happened to it for this long.
const QUIET: Duration = Duration::from_secs(5 * 60);
/// After so many failures in a row, or after an hour of some, the customer is told.
const FAILING_AFTER: u32 = 10;
const FAILING_FOR: Duration = Duration::from_secs(60 * 60);
const SOME: u32 = 3;
/// After five days of nothing but failures an endpoint is disabled.
const DISABLED_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// There is a mail of each kind about an endpoint at most so often. The feed has all of it.
const MAIL_EVERY: Duration = Duration::from_secs(60 * 60);
/// Why we disable endpoints ourselves.
const GONE: &str = "the receiver answered 410 Gone";
const FAILED: &str = "every attempt of five days has failed";
/// What a mail says instead of the reason that somebody gave: nobody's own words go out by our mails.
const BY_HAND: &str = "somebody in your organization did so";

impl Sweep {
    /// Looks at endpoints, until it is through or its time is; how many could not be looked at. Publishes how old the oldest
    /// delivery is that waits for one of them.
    pub(crate) async fn look_at_endpoints(
        &self,
        endpoints: Vec<(OrganizationId, EndpointId)>,
        started: Instant,
    ) -> usize {
        let in_time = || started.elapsed() < BUDGET;
        let batches: Vec<_> = endpoints.chunks(READ_AT_ONCE).map(<[_]>::to_vec).collect();
        // One stream of all of them: what takes its time holds up nobody but itself.
        let mut looks = stream::iter(batches)
            .take_while(|_| future::ready(in_time()))
            .then(|some| async move { self.watched(&some).await })
            .flat_map(stream::iter)
            .take_while(|_| future::ready(in_time()))
            .map(|watched| async move {
                let (organization, watched) = watched?;
                self.look_at(organization, watched).await
            })
            .buffer_unordered(AT_ONCE)
            .boxed();
        let (mut failed, mut oldest) = (0, None);
        while let Some(outcome) = looks.next().await {
            match outcome {
                Ok(waits_since) => oldest = waits_since.into_iter().chain(oldest).min(),
                Err(error) => {
                    failed += 1;
                    tracing::error!(error = telemetry::chain(&error), "an endpoint could not be looked at");
                }
            }
        }
        let age = oldest.map_or(0, |oldest| self.clock.now().since(oldest).as_secs());
        Metrics::new().seconds("OldestUndelivered", age).publish();
        failed
    }

    /// These endpoints and how they do, or why that could not be read.
    async fn watched(
        &self,
        some: &[(OrganizationId, EndpointId)],
    ) -> Vec<Result<(OrganizationId, Watched), TaskError>> {
        match self.store.watched(some, self.clock.now()).await {
            Ok(watched) => some.iter().zip(watched).map(|((of, _), it)| Ok((*of, it?))).collect(),
            Err(error) => vec![Err(error.into())],
        }
    }

    /// Looks at one endpoint; since when the oldest delivery waits for it that may still be sent, as far as it is seen.
    async fn look_at(
        &self,
        organization: OrganizationId,
        watched: Watched,
    ) -> Result<Option<Timestamp>, TaskError> {
        let tenant = self.store.tenant_of_job(organization);
        let now = self.clock.now();
        let state = &watched.state;
        let Some(endpoint) = watched.endpoint else {
            let through = self.cancel_waiting(&tenant, state, None, "the endpoint was deleted").await?;
            let limits = tenant.organization().await?.map(|organization| organization.limits);
            tenant.retire_state(state, limits.map_or(0, |limits| limits.retention_days), now).await?;
            self.leave_alone(&tenant, state, through, now).await?;
            return Ok(None);
        };
        if endpoint.status == EndpointStatus::Disabled {
            self.tell_of_disabling(&tenant, &endpoint, state, now).await?;
            let through =
                self.cancel_waiting(&tenant, state, Some(&endpoint), "the endpoint is disabled").await?;
            self.tell_of_dead_letters(&tenant, &endpoint, state, now).await?;
            self.leave_alone(&tenant, state, through && state.exhausted == 0, now).await?;
            return Ok(None);
        }
        if let Some(reason) = to_be_disabled(&endpoint, state) {
            self.disable(&tenant, &endpoint, state, reason, now).await?;
            return Ok(None);
        }
        self.tell(&tenant, &endpoint, state, now).await?;
        self.bring_back(&tenant, &endpoint, state, now).await?;
        let waiting = tenant.waiting(endpoint.id, Timestamp::MAX, SEEN_OF_WAITING).await?;
        let waits_since = waiting.iter().map(|waiting| waiting.id.time()).min();
        // An endpoint that only fails now and then needs nobody's attention until it does so again.
        let to_tell = match state.failures {
            0 => state.told_failing_since.is_some() && state.recovered_at.is_some(),
            failures => told_failing(state).is_none() && failures >= SOME,
        };
        let all_done = waits_since.is_none() && !to_tell && state.exhausted == 0;
        self.leave_alone(&tenant, state, all_done, now).await?;
        Ok(waits_since)
    }

    /// The sweep need not look at an endpoint again for which all is done, once nothing has happened for a while: what was
    /// put off at the last moment is found before.
    async fn leave_alone(
        &self,
        tenant: &Tenant,
        state: &EndpointState,
        all_done: bool,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        if all_done && now.since(state.updated_at) >= QUIET {
            tenant.unflag_endpoint(state).await?;
        }
        Ok(())
    }

    /// Cancels what waits for an endpoint that is deleted, or disabled as `endpoint` says, [`MOST_AT_ONCE`] at most; whether
    /// nothing is left. As soon as it is found to be so no longer, what is left waits on.
    async fn cancel_waiting(
        &self,
        tenant: &Tenant,
        state: &EndpointState,
        endpoint: Option<&Endpoint>,
        reason: &str,
    ) -> Result<bool, TaskError> {
        let waiting = tenant.waiting(state.endpoint_id, Timestamp::MAX, MOST_AT_ONCE).await?;
        let disabled_at = |endpoint: Option<&Endpoint>| endpoint.map(|endpoint| endpoint.disabled_at);
        let mut through = waiting.len() < MOST_AT_ONCE;
        for some in waiting.chunks(CANCELLED_UNSEEN) {
            let found = tenant.endpoint(state.endpoint_id).await?;
            if disabled_at(found.as_ref()) != disabled_at(endpoint) {
                return Ok(false);
            }
            let now = self.clock.now();
            let cancellations: Vec<_> =
                some.iter().map(|waiting| tenant.cancel(waiting.id, reason, now)).collect();
            let cancelled: Vec<bool> =
                stream::iter(cancellations).buffer_unordered(WRITES_AT_ONCE).try_collect().await?;
            // What is being sent at this moment is settled by who sends it.
            through &= cancelled.iter().all(|done| *done);
        }
        Ok(through)
    }

    /// Queues what waits and is due before the sweep comes again: all of it, or a single delivery where the endpoint has to
    /// show that it is well again.
    async fn bring_back(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        state: &EndpointState,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        let not_before = state.not_before.unwrap_or(now).max(now);
        if not_before > now + AHEAD {
            return Ok(());
        }
        let per_minute = |rate: u32| usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(60);
        let most = if state.is_slow(now) { MOST_IF_SLOW } else { MOST_AT_ONCE };
        let most = match endpoint.rate_limit_per_second {
            _ if state.opened > 0 => 1,
            Some(rate) => most.min(per_minute(rate)),
            None => most,
        };
        let waiting = tenant.waiting(endpoint.id, now + AHEAD, most).await?;
        let notes: Vec<_> = waiting
            .iter()
            .map(|waiting| async move {
                Ok::<_, TaskError>((waiting, tenant.note_queued(waiting, now + SAFETY).await?))
            })
            .collect();
        let mut noted: Vec<_> = stream::iter(notes).buffered(WRITES_AT_ONCE).try_collect().await?;
        noted.retain(|(_, noted)| *noted);
        let jobs: Vec<_> = noted
            .iter()
            .enumerate()
            .map(|(nth, (waiting, _))| {
                let job = DeliveryJob::again(tenant.organization_id(), endpoint.id, waiting.id);
                let due = waiting.look_at.max(not_before).since(now);
                (job, due + apart(endpoint.rate_limit_per_second, nth))
            })
            .collect();
        self.lane.send(&jobs).await?;
        if !jobs.is_empty() {
            tracing::info!(endpoint.id = %endpoint.id, jobs = jobs.len(), "waiting deliveries are queued");
        }
        Ok(())
    }

    async fn tell(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        state: &EndpointState,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        if let Some(since) = failing_since(endpoint, state, now)
            && told_failing(state).is_none()
        {
            let error = state.last_error.as_ref().map(describe).unwrap_or_default();
            let detail = format!("every attempt since {since} has failed, the last one with: {error}");
            let id = told_once(since, endpoint.id, NoticeType::EndpointFailing);
            self.give(tenant, endpoint, id, NoticeType::EndpointFailing, detail, now).await?;
            let news = EndpointNews::Failing { since, error };
            self.mail_now_and_then(tenant, endpoint, (Mailed::Failing, since), news, now).await?;
            tenant.note_told(endpoint.id, &Told::Failing(since), now).await?;
        }
        if let (Some(told), Some(at), 0) = (state.told_failing_since, state.recovered_at, state.failures) {
            let id = told_once(told, endpoint.id, NoticeType::EndpointRecovered);
            let detail = format!("it takes webhooks again since {at}");
            self.give(tenant, endpoint, id, NoticeType::EndpointRecovered, detail, now).await?;
            let about = (Mailed::Recovered, told);
            self.mail_now_and_then(tenant, endpoint, about, EndpointNews::Recovered, now).await?;
            tenant.note_told(endpoint.id, &Told::Recovered, now).await?;
        }
        self.tell_of_dead_letters(tenant, endpoint, state, now).await
    }

    /// Each dead letter has its notice already; the mail tells of several.
    async fn tell_of_dead_letters(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        state: &EndpointState,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        let lately = state.exhausted_told_at.is_some_and(|at| now.since(at) < MAIL_EVERY);
        if state.exhausted == 0 || lately {
            return Ok(());
        }
        self.mail(tenant, endpoint, EndpointNews::Exhausted { count: state.exhausted }, now).await?;
        Ok(tenant.note_told(endpoint.id, &Told::Exhausted(state.exhausted), now).await?)
    }

    /// Disables an endpoint, on record, and tells the customer. One that was changed at the same moment, or sent to, is looked
    /// at again.
    async fn disable(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        state: &EndpointState,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        let organization = tenant.organization_id();
        let mut record = self.record(organization, "endpoint.disable", ("endpoint", endpoint.id.to_string()));
        record.workspace_id = endpoint.workspace_id;
        record.sensitive = false;
        record.changes = vec![FieldChange {
            field: "status".to_owned(),
            before: "enabled".into(),
            after: "disabled".into(),
        }];
        let waiting = tenant.backlog(endpoint.id).await?;
        let disabled = endpoint.disabled(reason.to_owned(), &waiting, now);
        let change = Change::audited(record)
            .change_endpoint(organization, endpoint, &disabled)?
            .look_at_endpoint_as_read(organization, state, now);
        match tenant.commit(change, None).await {
            Ok(()) => self.tell_of_disabling(tenant, &disabled, state, now).await,
            Err(CommitError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells that an endpoint was disabled, by us or by somebody.
    async fn tell_of_disabling(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        state: &EndpointState,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        let Some(at) = endpoint.disabled_at.filter(|at| state.told_disabled_at != Some(*at)) else {
            return Ok(());
        };
        let reason = endpoint.disabled_reason.clone().unwrap_or_default();
        let id = told_once(at, endpoint.id, NoticeType::EndpointDisabled);
        self.give(tenant, endpoint, id, NoticeType::EndpointDisabled, reason.clone(), now).await?;
        let (about, reason) = match [GONE, FAILED].into_iter().find(|ours| *ours == reason) {
            Some(ours) => (Mailed::Disabled, ours),
            None => (Mailed::DisabledByHand, BY_HAND),
        };
        let news = EndpointNews::Disabled { reason: reason.to_owned() };
        self.mail_now_and_then(tenant, endpoint, (about, at), news, now).await?;
        Ok(tenant.note_told(endpoint.id, &Told::Disabled(at), now).await?)
    }

    async fn give(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        id: NoticeId,
        r#type: NoticeType,
        detail: String,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        let notice = EndpointNotice {
            id,
            r#type,
            endpoint_id: endpoint.id,
            delivery_id: None,
            detail,
            created_at: now,
        };
        Ok(tenant.give_notice(&notice).await?)
    }

    /// A mail to each admin, unless there was one about the same within the hour.
    async fn mail_now_and_then(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        about: (Mailed, Timestamp),
        news: EndpointNews,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        if tenant.may_mail(endpoint.id, about, now - MAIL_EVERY, now).await? {
            self.mail(tenant, endpoint, news, now).await?;
        }
        Ok(())
    }

    async fn mail(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        news: EndpointNews,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        for mail in self.mails(tenant, endpoint, news, now).await? {
            tenant.mail(&mail).await?;
        }
        Ok(())
    }

    /// A mail to each admin.
    async fn mails(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        news: EndpointNews,
        now: Timestamp,
    ) -> Result<Vec<store::OutgoingMail>, TaskError> {
        let (admins, organization) = tokio::try_join!(tenant.notified_admins(), tenant.organization())?;
        let organization_name = organization.map(|organization| organization.name).unwrap_or_default();
        let mails = admins.into_iter().map(|admin| {
            let letter = Letter::Endpoint {
                to: admin.email,
                organization_name: organization_name.clone(),
                url: endpoint.url.clone(),
                endpoint: endpoint.id.to_string(),
                news: news.clone(),
                at: now,
            };
            self.mail_seal.outgoing(self.ids.next(), tenant.organization_id(), letter, now)
        });
        Ok(mails.collect::<Result<_, _>>()?)
    }
}

/// Why an endpoint is to be disabled, if it is.
fn to_be_disabled(endpoint: &Endpoint, state: &EndpointState) -> Option<&'static str> {
    if state.gone_at.is_some_and(|gone| gone >= endpoint.enabled_at()) {
        return Some(GONE);
    }
    let since = state.failing_since.filter(|_| state.failures > 0)?.max(endpoint.enabled_at());
    // From the first failure to the last: an endpoint that nothing is sent to does not fail.
    let last = state.last_error.as_ref()?.at;
    (last.since(since) >= DISABLED_AFTER).then_some(FAILED)
}

/// Since when it has been failing in a way that is worth telling.
fn failing_since(endpoint: &Endpoint, state: &EndpointState, now: Timestamp) -> Option<Timestamp> {
    let since = state.failing_since?.max(endpoint.enabled_at());
    let worth_it =
        state.failures >= FAILING_AFTER || (state.failures >= SOME && now.since(since) >= FAILING_FOR);
    worth_it.then_some(since)
}

/// Since when the receiver that there is now is failing, as the customer was told. What was told of one before does not count.
fn told_failing(state: &EndpointState) -> Option<Timestamp> {
    state.told_failing_since.filter(|told| state.anew_at.is_none_or(|anew| *told >= anew))
}

/// The id of a notice that is given once for what happened at `at`.
fn told_once(at: Timestamp, endpoint: EndpointId, of: NoticeType) -> NoticeId {
    let mut seed = *endpoint.as_bytes();
    if let Some(last) = seed.last_mut() {
        *last ^=
            NoticeType::ALL.iter().position(|it| *it == of).and_then(|at| u8::try_from(at).ok()).unwrap_or(0);
    }
    notice_id(at, seed)
}

fn describe(error: &store::LastError) -> String {
    let class = serde_json::to_value(error.error).ok();
    let class = class.as_ref().and_then(|class| class.as_str()).unwrap_or_default().to_owned();
    match error.response_status {
        Some(status) => format!("{class} {status}"),
        None => class,
    }
}

/// How long after the first the `nth` is to be sent where so many a second are allowed.
pub(crate) fn apart(rate: Option<u32>, nth: usize) -> Duration {
    let nth = u64::try_from(nth).unwrap_or(u64::MAX);
    rate.map_or(Duration::ZERO, |rate| Duration::from_secs(nth / u64::from(rate.max(1))))
}
