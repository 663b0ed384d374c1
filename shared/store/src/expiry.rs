//! Warnings that a key is about to expire: when each is due, and that it was given.
//!
//! A key has at most one of them on the [list of tasks](crate::Due) for the expiry it has now. Whoever gives a key an expiry
//! or moves it puts the next one there ([`Change::schedule_expiry_warning`]), in the same transaction. The task of an expiry
//! that was moved since stays on the list; the task says which expiry it is about, so that it is recognized when it comes up.

use std::time::Duration;

use clock::Timestamp;
use ids::{KeyId, OrganizationId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::{ApiKey, Change, Due, KeyStatus, Refusal, StoreError, Task, keys};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before the expiry a warning is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// 7 days.
    SevenDays,
    /// 1 day.
    OneDay,
}

impl Notice {
    /// Both, the longer one first.
    const ALL: [Self; 2] = [Self::SevenDays, Self::OneDay];

    /// How long that is.
    #[must_use]
    pub fn lead(self) -> Duration {
        match self {
            Self::SevenDays => 7 * DAY,
            Self::OneDay => DAY,
        }
    }
}

/// A warning that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryWarning {
    /// Of which expiry.
    pub expires_at: Timestamp,
    /// How long before it.
    pub notice: Notice,
}

impl ApiKey {
    /// The warning that is to be given at `now`: the key works, expires within a day or within a week, and nobody was warned
    /// of that yet.
    #[must_use]
    pub fn expiry_warning_at(&self, now: Timestamp) -> Option<ExpiryWarning> {
        let expires_at = self.expires_at.filter(|at| self.status == KeyStatus::Active && *at > now)?;
        let left = expires_at.since(now);
        let notice = Notice::ALL.into_iter().rfind(|notice| left <= notice.lead())?;
        let given = self.expiry_warning.filter(|given| given.expires_at == expires_at);
        let is_news = given.is_none_or(|given| given.notice < notice);
        is_news.then_some(ExpiryWarning { expires_at, notice })
    }

    /// The task of the next warning that lies ahead of `now`; `None` when there is none, as for a key that doesn't expire or
    /// does so within a day.
    #[must_use]
    pub fn next_expiry_warning(&self, organization: OrganizationId, now: Timestamp) -> Option<Due> {
        let mut warnings = self.expiry_warnings(organization).into_iter();
        warnings.find(|due| self.status == KeyStatus::Active && due.due_at > now)
    }

    /// The tasks of all its warnings, the first one first, whether they lie ahead or behind, and also of a key that was
    /// revoked since they were put on the list.
    pub(crate) fn expiry_warnings(&self, organization: OrganizationId) -> Vec<Due> {
        let Some(expires_at) = self.expires_at else { return Vec::new() };
        let task = Task::WarnOfExpiry { organization_id: organization, key_id: self.id, expires_at };
        Notice::ALL.map(|notice| Due { task: task.clone(), due_at: expires_at - notice.lead() }).into()
    }
}

impl Change {
    /// Puts the next warning of the key's expiry on the list, if one lies ahead of `now`: 7 days before it, or else 1 day
    /// before it. For whoever gives a key an expiry or moves it. Doing it twice puts it there once.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn schedule_expiry_warning(
        self,
        organization: OrganizationId,
        key: &ApiKey,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        match key.next_expiry_warning(organization, now) {
            Some(due) => self.schedule(&due),
            None => Ok(self),
        }
    }

    /// Notes that a warning is given, provided the key still works and expires when the warning says. The key itself is not
    /// changed by that, so its `updated_at` stays.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the warning cannot be written.
    pub fn warn_of_expiry(
        self,
        organization: OrganizationId,
        key: KeyId,
        warning: ExpiryWarning,
    ) -> Result<Self, StoreError> {
        let given = item::value(self.operation(), &warning)?;
        let note = Expression {
            key: primary(&keys::api_key(organization, key)),
            update: "SET expiry_warning = :given".to_owned(),
            condition: "#status = :active AND expires_at = :expires \
                        AND (attribute_not_exists(expiry_warning) OR expiry_warning <> :given)"
                .to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":given", given),
                (":active", text("active")),
                (":expires", text(warning.expires_at.to_string())),
            ],
        };
        Ok(self.step(Table::Core, Write::Update(note), Refusal::Raced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    fn key(expires_at: Option<Timestamp>) -> ApiKey {
        let at = clock::utc(2026, 11, 22, 12, 0);
        ApiKey {
            id: KeyId::derived(at, [1; 16]),
            name: "CRM".to_owned(),
            mode: Mode::Live,
            prefix: "sk_live_".to_owned(),
            last_four: "wxyz".to_owned(),
            scopes: Vec::new(),
            workspace_id: None,
            status: KeyStatus::Active,
            expires_at,
            rate_limit_per_hour: 1000,
            allowed_cidrs: Vec::new(),
            locator: "00".to_owned(),
            rotated_from: None,
            rotated_to: None,
            created_by: "usr".to_owned(),
            expiry_warning: None,
            leaked_at: None,
            leaked_url: None,
            created_at: at,
            updated_at: at,
        }
    }

    fn acme() -> OrganizationId {
        OrganizationId::derived(clock::utc(2026, 11, 22, 12, 0), [2; 16])
    }

    #[test]
    fn the_next_warning_is_a_week_ahead_then_a_day_ahead_then_none() {
        let expires_at = clock::utc(2026, 12, 22, 12, 0);
        let next = |key: &ApiKey, now| key.next_expiry_warning(acme(), now).map(|due| due.due_at);
        let key = key(Some(expires_at));
        let (week, day) = (expires_at - 7 * DAY, expires_at - DAY);
        assert_eq!(next(&key, week - DAY), Some(week));
        assert_eq!(next(&key, week), Some(day), "what is due now does not lie ahead");
        assert_eq!(next(&key, day), None);
        assert_eq!(next(&ApiKey { expires_at: None, ..key.clone() }, week - DAY), None);
        assert_eq!(next(&ApiKey { status: KeyStatus::Revoked, ..key }, week - DAY), None);
    }

    #[test]
    fn each_warning_is_given_once_for_each_expiry() {
        let expires_at = clock::utc(2026, 12, 22, 12, 0);
        let mut key = key(Some(expires_at));
        let given =
            |key: &ApiKey, left: Duration| key.expiry_warning_at(expires_at - left).map(|it| it.notice);
        assert_eq!(given(&key, 8 * DAY), None);
        assert_eq!(given(&key, 7 * DAY), Some(Notice::SevenDays));
        assert_eq!(given(&key, DAY), Some(Notice::OneDay), "also where the first one was missed");
        assert_eq!(given(&key, Duration::ZERO), None);
        key.expiry_warning = Some(ExpiryWarning { expires_at, notice: Notice::SevenDays });
        assert_eq!((given(&key, 3 * DAY), given(&key, DAY)), (None, Some(Notice::OneDay)));
        key.expiry_warning = Some(ExpiryWarning { expires_at, notice: Notice::OneDay });
        assert_eq!((given(&key, 3 * DAY), given(&key, DAY)), (None, None));
        key.expiry_warning = Some(ExpiryWarning { expires_at: expires_at + DAY, notice: Notice::OneDay });
        assert_eq!(given(&key, 3 * DAY), Some(Notice::SevenDays), "that was of another expiry");
    }

    #[test]
    fn a_warning_that_lies_ahead_can_be_given_when_it_is_due() {
        let now = clock::utc(2026, 11, 22, 12, 0);
        for minutes in 0..20 * 24 * 60 {
            let key = key(Some(now + Duration::from_secs(minutes * 60)));
            match key.next_expiry_warning(acme(), now) {
                Some(due) => assert!(key.expiry_warning_at(due.due_at).is_some(), "{minutes}"),
                None => assert!(minutes <= 24 * 60, "{minutes}"),
            }
        }
    }
}
