//! The rules of campaigns.

use clock::Timestamp;
use events::EventType;
use ids::Ids;
use input::{Faults, Text};
use problem::Problem;
use serde::Serialize;
use store::{AuditRecord, Campaign, CampaignStatus, Change, Event, FieldChange, StoreError, WorkspaceScope};

/// What a campaign is made of, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewCampaign {
    name: String,
    description: Option<String>,
    goal: Option<String>,
}

impl NewCampaign {
    /// Checks what was sent.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(name: &str, description: Option<&str>, goal: Option<&str>) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let text = |max| move |text: &str| Text::up_to(max).check(text);
        let name = faults.take("/name", Text::up_to(200).check(name));
        let description = faults.take_optional("/description", description, text(2000));
        let goal = faults.take_optional("/goal", goal, text(500));
        faults.finish(name.map(|name| Self { name, description, goal }))
    }

    /// The campaign, a draft.
    pub(crate) fn draft(self, scope: WorkspaceScope, ids: &Ids, now: Timestamp) -> Campaign {
        Campaign {
            id: ids.next(),
            workspace_id: scope.workspace,
            name: self.name,
            description: self.description,
            goal: self.goal,
            status: CampaignStatus::Draft,
            created_at: now,
            updated_at: now,
        }
    }
}

/// The change that creates `campaign`, on `record` and causing `campaign.created`.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn create<D: Serialize>(
    campaign: &Campaign,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    ids: &Ids,
    shown: &D,
) -> Result<Change, StoreError> {
    record.changes.push(FieldChange {
        field: "name".to_owned(),
        before: serde_json::Value::Null,
        after: campaign.name.clone().into(),
    });
    let event = Event::new(ids.next(), EventType::CampaignCreated, scope, campaign.created_at, shown)?;
    Ok(Change::audited(record).create_campaign(scope, campaign)?.causing(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        let long = "x".repeat(2001);
        let Err(Problem::Invalid { errors }) = NewCampaign::check(" ", Some(&long), Some("")) else {
            panic!("accepted");
        };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/description", "/goal"]);
    }

    #[test]
    fn a_campaign_begins_as_a_draft() {
        let (clock, _) = clock::Clock::manual(clock::utc(2026, 11, 22, 15, 0));
        let ids = Ids::new(clock.clone());
        let scope =
            WorkspaceScope { organization: ids.next(), workspace: ids.next(), mode: store::Mode::Live };
        let campaign = NewCampaign::check(" Autumn ", None, None).unwrap().draft(scope, &ids, clock.now());
        assert_eq!((campaign.name.as_str(), campaign.status), ("Autumn", CampaignStatus::Draft));
        assert_eq!(campaign.id.time(), campaign.created_at);
    }
}
