//! Deliveries: dead letters are sent again.

use clock::Timestamp;
use fn_webhooks::operator::{MOST_REDRIVEN, Span};
use ids::{DeliveryId, EndpointId, OrganizationId, ReplayId};
use jobs::SlowLane;
use runtime::Services;
use serde::Serialize;
use store::Refusal;

use crate::Verdict;
use crate::error::Error;
use crate::operator::Operator;
use crate::tenants::present;
use crate::terminal::Terminal;

/// Which dead letters.
pub(crate) enum Which<'a> {
    /// All of an endpoint, of events from then on and before then.
    Endpoint(EndpointId, Option<Timestamp>, Option<Timestamp>),
    /// These.
    These(&'a [DeliveryId]),
}

#[derive(Debug, Serialize)]
struct Redriven {
    organization_id: OrganizationId,
    /// The replay that sends those of an endpoint.
    replay_id: Option<ReplayId>,
    /// Those that are on their way.
    delivery_ids: Vec<DeliveryId>,
    /// Those that are no dead letters, are past their retention, or whose endpoint is disabled or gone.
    skipped: Vec<DeliveryId>,
}

/// Sends dead letters again.
pub(crate) async fn redrive(
    services: &Services,
    organization: OrganizationId,
    which: Which<'_>,
    terminal: &mut Terminal,
) -> Result<Verdict, Error> {
    let operator = Operator::at(services, organization)?;
    present(&operator).await?;
    const ACTION: &str = "dead_letters.redrive";
    match which {
        Which::Endpoint(endpoint, since, until) => {
            let record = operator.record(ACTION, ("replay", None));
            let span = Span { since, until };
            let replay = fn_webhooks::operator::redrive_endpoint(
                &operator.tenant,
                endpoint,
                span,
                record,
                &services.ids,
            )
            .await?;
            let said = Redriven {
                organization_id: organization,
                replay_id: Some(replay.id),
                delivery_ids: Vec::new(),
                skipped: Vec::new(),
            };
            terminal.say(&said, &format!("the replay {} begins within a minute\n", replay.id))?;
        }
        Which::These(ids) => {
            if ids.len() > MOST_REDRIVEN {
                let rule = "no more than 45 deliveries can be named at a time; name their endpoint";
                return Err(Error::Refused(Refusal::Rule(rule)));
            }
            let lane = SlowLane::from_services(services)?;
            let record = operator.record(ACTION, ("delivery", None));
            let sent = fn_webhooks::operator::redrive(&operator.tenant, ids, record, &lane).await?;
            let skipped: Vec<_> = ids.iter().filter(|id| !sent.contains(id)).copied().collect();
            let words = format!("{} are on their way, {} were skipped\n", sent.len(), skipped.len());
            let said = Redriven {
                organization_id: organization,
                replay_id: None,
                delivery_ids: sent,
                skipped: skipped.clone(),
            };
            terminal.say(&said, &words)?;
            if !skipped.is_empty() {
                return Ok(Verdict::Faulty);
            }
        }
    }
    Ok(Verdict::Fine)
}
