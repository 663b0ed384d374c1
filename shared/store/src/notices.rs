//! Notices: what the customer is told of their endpoints, in a feed and by mail.

use clock::Timestamp;
use ids::{DeliveryId, EndpointId, NoticeId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table};
use crate::item::{self, number, primary, text};
use crate::keys;
use crate::outbox::RETENTION;
use crate::spread::{Listed, Spread, months};
use crate::write::Written;
use crate::{PageRequest, StoreError, Tenant};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NoticeType {
    /// Attempts at an endpoint fail again and again.
    #[serde(rename = "endpoint.failing")]
    EndpointFailing,
    /// An endpoint was disabled, by us or by somebody.
    #[serde(rename = "endpoint.disabled")]
    EndpointDisabled,
    /// An endpoint that was failing takes webhooks again.
    #[serde(rename = "endpoint.recovered")]
    EndpointRecovered,
    /// A delivery is a dead letter: all attempts at it failed.
    #[serde(rename = "delivery.exhausted")]
    DeliveryExhausted,
}

impl NoticeType {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::EndpointFailing, Self::EndpointDisabled, Self::EndpointRecovered, Self::DeliveryExhausted];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndpointFailing => "endpoint.failing",
            Self::EndpointDisabled => "endpoint.disabled",
            Self::EndpointRecovered => "endpoint.recovered",
            Self::DeliveryExhausted => "delivery.exhausted",
        }
    }
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// What it is about.
    pub r#type: NoticeType,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The delivery, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<DeliveryId>,
    /// In words.
    pub detail: String,
    /// When it was given.
    pub created_at: Timestamp,
}

/// What there is a mail about, of each now and then at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mailed {
    /// An endpoint is failing.
    Failing,
    /// It has recovered.
    Recovered,
    /// We have disabled it.
    Disabled,
    /// Somebody has.
    DisabledByHand,
}

impl Mailed {
    /// The attributes of an endpoint's state that say when there was one, and what of.
    fn attributes(self) -> (&'static str, &'static str) {
        match self {
            Self::Failing => ("mailed_failing_at", "mailed_failing_of"),
            Self::Recovered => ("mailed_recovered_at", "mailed_recovered_of"),
            Self::Disabled => ("mailed_disabled_at", "mailed_disabled_of"),
            Self::DisabledByHand => ("mailed_by_hand_at", "mailed_by_hand_of"),
        }
    }
}

/// The id of a notice that is given once for what `seed` stands for: giving it again changes nothing.
#[must_use]
pub fn notice_id(at: Timestamp, seed: [u8; 16]) -> NoticeId {
    NoticeId::derived(at, seed)
}

impl Tenant {
    /// Gives a notice, unless it was given.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn give_notice(&self, notice: &Notice) -> Result<(), StoreError> {
        const OPERATION: &str = "give_notice";
        let mut item = item::write(OPERATION, &keys::notice(self.organization, notice.id), notice)?;
        item.insert("expires_at".to_owned(), number((notice.created_at + RETENTION).seconds()));
        self.store.create(OPERATION, Table::Activity, item).await.map(drop)
    }

    /// Whether there may be a mail about what happened to an endpoint at `occasion`; notes that there is one. There may not
    /// where one was noted since `latest`, unless it was this very one: who noted it may not have got to send it.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it may be noted.
    pub async fn may_mail(
        &self,
        endpoint: EndpointId,
        (about, occasion): (Mailed, Timestamp),
        latest: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (at, of) = about.attributes();
        let note = Expression {
            key: primary(&keys::endpoint_state(self.organization, endpoint)),
            update: format!("SET {at} = :now, {of} = :occasion"),
            condition: format!(
                "attribute_exists(pk) AND (attribute_not_exists({at}) OR {at} <= :latest OR {of} = :occasion)"
            ),
            names: Vec::new(),
            values: vec![
                (":now", text(now.to_string())),
                (":occasion", text(occasion.to_string())),
                (":latest", text(latest.to_string())),
            ],
        };
        Ok(matches!(self.store.update("may_mail", Table::Activity, note).await?, Written::Yes(_)))
    }

    /// The notices, latest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn notices(
        &self,
        page: &PageRequest<NoticeId>,
        now: Timestamp,
    ) -> Result<Listed<Notice>, StoreError> {
        const OPERATION: &str = "notices";
        let mut months = months(self.organization.time(), page.after.map_or(now, |id| id.time()));
        months.reverse();
        let list = Spread {
            table: self.store.activity_table(),
            index: None,
            forward: false,
            levels: months
                .into_iter()
                .map(|month| vec![keys::notices_of(self.organization, month)])
                .collect(),
            between: ("NTC#".to_owned(), page.after.map_or_else(|| "NTC#~".to_owned(), keys::notice_sk)),
        };
        let listed = self.store.spread(OPERATION, list, page.limit, |_| true).await?;
        listed.map(|items| item::read_all(OPERATION, items))
    }
}
