//! The rules of campaigns.

use clock::Timestamp;
use events::EventType;
use ids::Ids;
use input::{Faults, Patch, Text};
use problem::Problem;
use serde::Serialize;
use store::{
    AuditRecord, Campaign, CampaignStatus, Change, Event, FieldChange, StoreError, WorkspaceScope, touched,
};

/// Characters of a name.
const LONGEST_NAME: usize = 200;
/// Characters of a description.
const LONGEST_DESCRIPTION: usize = 2000;
/// Characters of a goal.
const LONGEST_GOAL: usize = 500;

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
        let name = faults.take("/name", Text::up_to(LONGEST_NAME).check(name));
        let description = faults.take_optional("/description", description, text(LONGEST_DESCRIPTION));
        let goal = faults.take_optional("/goal", goal, text(LONGEST_GOAL));
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

/// What was sent for a change of a campaign, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: Patch<String>,
    pub(crate) description: Patch<String>,
    pub(crate) goal: Patch<String>,
}

impl Draft {
    /// The campaign as it is to be.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn apply(self, to: &Campaign, now: Timestamp) -> Result<Campaign, Problem> {
        let mut faults = Faults::default();
        let name = self.name.kept("/name", &mut faults);
        let name = faults.take_optional("/name", name, |name| Text::up_to(LONGEST_NAME).check(&name));
        let mut text = |pointer: &str, patch: Patch<String>, max, present: &Option<String>| match patch {
            Patch::Absent => present.clone(),
            Patch::Null => None,
            Patch::Value(text) => faults.take(pointer, Text::up_to(max).check(&text)),
        };
        let description = text("/description", self.description, LONGEST_DESCRIPTION, &to.description);
        let goal = text("/goal", self.goal, LONGEST_GOAL, &to.goal);
        faults.finish(Some(Campaign {
            name: name.unwrap_or_else(|| to.name.clone()),
            description,
            goal,
            updated_at: touched(to.updated_at, now),
            ..to.clone()
        }))
    }
}

/// What differs, if anything.
pub(crate) fn differences(before: &Campaign, after: &Campaign) -> Vec<FieldChange> {
    let text = |text: &Option<String>| serde_json::to_value(text).unwrap_or_default();
    let fields = [
        ("name", before.name.clone().into(), after.name.clone().into()),
        ("description", text(&before.description), text(&after.description)),
        ("goal", text(&before.goal), text(&after.goal)),
    ];
    let changed = fields.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(field, before, after)| FieldChange { field: field.to_owned(), before, after }).collect()
}

/// The change from `before` to `after`. No event tells of it: none of their types is about what a campaign is called.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn alter(
    before: &Campaign,
    after: &Campaign,
    scope: WorkspaceScope,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.changes = differences(before, after);
    Change::audited(record).change_campaign(scope, before, after)
}

/// Refuses to delete a campaign that is reaching out at this moment.
///
/// # Errors
/// 409.
pub(crate) fn may_be_deleted(campaign: &Campaign) -> Result<(), Problem> {
    if campaign.status == CampaignStatus::Running {
        let detail = "The campaign is running. Pause or complete it first.".to_owned();
        return Err(Problem::Conflict { detail });
    }
    Ok(())
}

/// The change that deletes a campaign. Its leads stay, and still say that they belonged to it.
pub(crate) fn delete(campaign: &Campaign, scope: WorkspaceScope, mut record: AuditRecord) -> Change {
    record.changes.push(FieldChange {
        field: "name".to_owned(),
        before: campaign.name.clone().into(),
        after: serde_json::Value::Null,
    });
    Change::audited(record).delete_campaign(scope, campaign)
}

/// A step from one status to another: draft → running ⇄ paused → completed, where a running one can be completed, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Pause,
    Complete,
}

impl Step {
    /// What is done, as an audit record names it.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Start => "campaign.start",
            Self::Pause => "campaign.pause",
            Self::Complete => "campaign.complete",
        }
    }

    fn from(self) -> &'static [CampaignStatus] {
        match self {
            Self::Start => &[CampaignStatus::Draft, CampaignStatus::Paused],
            Self::Pause => &[CampaignStatus::Running],
            Self::Complete => &[CampaignStatus::Running, CampaignStatus::Paused],
        }
    }

    fn to(self) -> CampaignStatus {
        match self {
            Self::Start => CampaignStatus::Running,
            Self::Pause => CampaignStatus::Paused,
            Self::Complete => CampaignStatus::Completed,
        }
    }

    fn event(self) -> EventType {
        match self {
            Self::Start => EventType::CampaignStarted,
            Self::Pause => EventType::CampaignPaused,
            Self::Complete => EventType::CampaignCompleted,
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Start => {
                "only a draft or a paused campaign can be started, and not one that is changed at the same moment"
            }
            Self::Pause => {
                "only a running campaign can be paused, and not one that is changed at the same moment"
            }
            Self::Complete => {
                "only a running or a paused campaign can be completed, and not one that is changed at the same moment"
            }
        }
    }

    /// The campaign after it.
    pub(crate) fn take(self, campaign: &Campaign, now: Timestamp) -> Campaign {
        let updated_at = touched(campaign.updated_at, now);
        Campaign { status: self.to(), updated_at, ..campaign.clone() }
    }

    /// The change that takes it, on `record` and causing its event. Whether it can be taken is a condition of the change.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the event does not fit its schema.
    pub(crate) fn change<D: Serialize>(
        self,
        read: &Campaign,
        after: &Campaign,
        scope: WorkspaceScope,
        mut record: AuditRecord,
        ids: &Ids,
        shown: &D,
    ) -> Result<Change, StoreError> {
        record.changes.push(FieldChange {
            field: "status".to_owned(),
            before: serde_json::to_value(read.status).unwrap_or_default(),
            after: serde_json::to_value(after.status).unwrap_or_default(),
        });
        let event = Event::new(ids.next(), self.event(), scope, after.updated_at, shown)?;
        let change = Change::audited(record).move_campaign(scope, read, after, self.from(), self.rule());
        Ok(change.causing(event))
    }
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

    #[test]
    fn a_change_leaves_alone_what_it_does_not_mention() {
        let (clock, _) = clock::Clock::manual(clock::utc(2026, 11, 22, 15, 0));
        let ids = Ids::new(clock.clone());
        let scope =
            WorkspaceScope { organization: ids.next(), workspace: ids.next(), mode: store::Mode::Live };
        let new = NewCampaign::check("Autumn", Some("All of it"), Some("20 meetings")).unwrap();
        let campaign = new.draft(scope, &ids, clock.now());
        let same = Draft::default().apply(&campaign, clock.now()).unwrap();
        assert!(differences(&campaign, &same).is_empty() && same.updated_at > campaign.updated_at);
        let draft = Draft { name: Patch::Value("Winter".into()), goal: Patch::Null, ..Draft::default() };
        let after = draft.apply(&campaign, clock.now()).unwrap();
        let fields: Vec<_> = differences(&campaign, &after).into_iter().map(|change| change.field).collect();
        assert_eq!(fields, ["name", "goal"]);
        let faulty = Draft { name: Patch::Null, goal: Patch::Value("".into()), ..Draft::default() };
        let Err(Problem::Invalid { errors }) = faulty.apply(&campaign, clock.now()) else {
            panic!("accepted");
        };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/goal"]);
    }
}
