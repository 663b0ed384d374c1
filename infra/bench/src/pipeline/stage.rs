//! What the pipeline is measured on: a platform, the load on it and the receiver.

use std::time::{Duration, Instant};

use http::StatusCode;

use crate::client::Call;
use crate::error::BenchError;
use crate::load::{Amount, Load, Outcome};
use crate::progress;
use crate::rig::{Kind, Rig, Workshop};
use crate::sink::{Arrivals, Sink, email};
use crate::tenant::Tenant;

/// When nothing has arrived for this long, nothing more will: longer than an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(45);
/// After a refused request it is not known what will still arrive, so arrivals must have ceased for this long.
const QUIET: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(5);

/// A lead whose creation is the event with this number.
pub(crate) fn lead(number: u64) -> String {
    format!(
        r#"{{"email":"{}","first_name":"Ada","last_name":"Lovelace","company":"Analytical Engines","title":"Chief Analyst"}}"#,
        email(number)
    )
}

/// What the tenant has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// Endpoints.
    pub(super) endpoints: u32,
    /// How many of them never answer.
    pub(super) hanging: u32,
    /// API keys.
    pub(super) keys: u32,
}

impl Setting {
    fn answering(self) -> u32 {
        self.endpoints.saturating_sub(self.hanging)
    }
}

/// A platform, the load on it and the receiver.
pub(super) struct Stage {
    /// The platform.
    pub(super) rig: Rig,
    /// Publishes.
    pub(super) load: Load,
    sink: Sink,
    setting: Setting,
}

impl Stage {
    /// A fresh platform with a tenant and its endpoints.
    ///
    /// # Errors
    /// [`BenchError`]
    pub(super) async fn set(
        workshop: &Workshop,
        kind: Kind<'_>,
        setting: Setting,
    ) -> Result<Self, BenchError> {
        let mut rig = workshop.start(kind).await?;
        let sink = Sink::start().await.map_err(BenchError::Sink)?;
        let mut tenant = Tenant::in_use(&mut rig, setting.keys).await?;
        for endpoint in 0..setting.answering() {
            tenant.endpoint(&sink.url(endpoint)).await?;
        }
        for endpoint in 0..setting.hanging {
            tenant.endpoint(&sink.hanging_url(endpoint)).await?;
        }
        let keys = tenant.keys;
        let load = Load::new(rig.address, StatusCode::CREATED, move |turn| {
            let call = Call::post("/v1/leads", lead(turn.number));
            let key = usize::try_from(turn.number).unwrap_or(0).checked_rem(keys.len());
            match key.and_then(|key| keys.get(key)) {
                Some(key) => call.by(key),
                None => call,
            }
        });
        Ok(Self { rig, sink, load, setting })
    }

    /// Endpoints that answer.
    pub(super) fn answering(&self) -> u32 {
        self.setting.answering()
    }

    /// What progress is shown under; counting begins anew.
    pub(super) fn label(&self, phase: &str) -> String {
        self.load.answered.clear();
        match self.setting.endpoints {
            1 => format!("1 endpoint, {phase}"),
            endpoints => format!("{endpoints} endpoints, {phase}"),
        }
    }

    /// Publishes `amount` and waits until it is through, so that nothing measured is a first time.
    pub(super) async fn warm_up(&self, amount: Amount) {
        let warming = progress::show(self.label("warming up"), &self.load.answered, amount.count);
        let outcome = self.load.at_full_speed(amount).await;
        drop(warming);
        self.arrivals(&outcome, amount.limit).await;
    }

    /// What has arrived once everything has and every attempt is on record, or once waiting is of no more use.
    pub(super) async fn arrivals(&self, outcome: &Outcome, limit: Duration) -> Arrivals {
        let expected = outcome.count() * u64::from(self.answering());
        let arriving = progress::show(self.label("receiving"), self.sink.arrived(), expected);
        let began = Instant::now();
        let (mut count, mut changed) = (self.sink.arrived().get(), began);
        loop {
            let complete = count >= expected && (outcome.refused.is_empty() || changed.elapsed() >= QUIET);
            let settled = self.setting.hanging > 0 || self.rig.jobs() == 0;
            if complete && settled || changed.elapsed() >= PATIENCE || began.elapsed() >= limit {
                break;
            }
            tokio::time::sleep(LOOK).await;
            let now = self.sink.arrived().get();
            if now != count {
                (count, changed) = (now, Instant::now());
            }
        }
        drop(arriving);
        self.sink.take()
    }
}
