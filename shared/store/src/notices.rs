//! Notices: what the customer is told of their endpoints, in a feed and by mail.

use clock::Timestamp;
use ids::{DeliveryId, EndpointId, NoticeId};
use serde::{Deserialize, Serialize};

use crate::change::Table;
use crate::item::{self, number};
use crate::keys;
use crate::outbox::RETENTION;
use crate::spread::{Listed, Spread, months};
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
            by_state: false,
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
