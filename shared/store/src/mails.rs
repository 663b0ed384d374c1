//! Mails, written with the change that caused them: the outbox of events serves them too. The table's stream carries
//! them to the fan-out, which puts them on the queue of mails. What they say is sealed; nothing here can read it.

use std::time::Duration;

use clock::Timestamp;
use ids::{MailId, OrganizationId};
use serde::{Deserialize, Serialize};

use crate::change::Table;
use crate::item::{self, Item, number, text};
use crate::keys::{self, PK, SK};
use crate::{Change, Store, StoreError, StoredEvent, Tenant};

/// How long a mail is kept after it was written. The stream carries it on within seconds; the rest is for outages.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A mail that a change causes, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingMail {
    /// Its id.
    pub id: MailId,
    /// The tenant whose change caused it.
    pub organization_id: OrganizationId,
    /// The sealed job, as it goes on the queue.
    pub sealed: String,
    /// When it was written.
    pub created_at: Timestamp,
}

impl OutgoingMail {
    pub(crate) fn item(&self) -> Result<Item, StoreError> {
        let mut item = item::write("mail", &keys::mail(self.organization_id, self.id), self)?;
        item.insert("expires_at".to_owned(), number((self.created_at + KEPT).seconds()));
        item.insert("state_pk".to_owned(), text(keys::mails(self.organization_id)));
        item.insert("state_sk".to_owned(), text(keys::mail_since(self.created_at, self.id)));
        Ok(item)
    }
}

/// What the stream brings from the outbox.
#[derive(Debug)]
pub enum Outboxed {
    /// An event, for the endpoints that want it.
    Event(StoredEvent),
    /// A mail, for the queue of mails.
    Mail(OutgoingMail),
}

impl Outboxed {
    /// Reads what a stream record's new image holds.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it is neither an event nor a mail.
    pub fn from_image(image: serde_dynamo::Item) -> Result<Self, StoreError> {
        let is_mail = matches!(image.get(SK), Some(serde_dynamo::AttributeValue::S(sk)) if sk.starts_with(keys::MAIL_PREFIX));
        if !is_mail {
            return StoredEvent::from_image(image).map(Self::Event);
        }
        serde_dynamo::from_item(image).map(Self::Mail).map_err(|e| StoreError::malformed("from_image", e))
    }
}

impl Change {
    /// Adds a mail that the change causes. It is sent, at least once, exactly if the change is committed. Each is one of
    /// the hundred items that DynamoDB takes in a transaction.
    pub fn mailing(mut self, mail: OutgoingMail) -> Self {
        self.mails.push(mail);
        self
    }
}

impl Tenant {
    /// Writes a mail that no change causes. It is sent, at least once.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it may be sent then.
    pub async fn mail(&self, mail: &OutgoingMail) -> Result<(), StoreError> {
        self.store.create("mail", Table::Activity, mail.item()?).await.map(drop)
    }
}

impl Store {
    /// The mails of all tenants that were written since `since`, sent or not. For a queue that was lost; reads an
    /// index as a whole and belongs on no request path.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn mails_since(&self, since: Timestamp) -> Result<Vec<OutgoingMail>, StoreError> {
        const OPERATION: &str = "mails_since";
        let items = self.all_by_state(OPERATION).await?;
        let keys = items
            .iter()
            .filter_map(|found| keys::parse_mail(item::get_text(found, PK)?, item::get_text(found, SK)?));
        let mut mails = Vec::new();
        for (organization, id) in keys.filter(|(_, id)| id.time() >= since) {
            // The index may lag behind.
            mails.extend(self.get(Self::activity_table, OPERATION, &keys::mail(organization, id)).await?);
        }
        Ok(mails)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> OutgoingMail {
        let at = clock::utc(2026, 11, 22, 15, 4);
        OutgoingMail {
            id: MailId::derived(at, [1; 16]),
            organization_id: OrganizationId::derived(at, [2; 16]),
            sealed: "sealed".to_owned(),
            created_at: at,
        }
    }

    fn image(item: Item) -> serde_dynamo::Item {
        serde_dynamo::Item::from(item)
    }

    #[test]
    fn a_mail_in_the_stream_is_the_mail_that_was_written() {
        let item = mail().item().unwrap();
        assert_eq!(item["expires_at"], number((mail().created_at + KEPT).seconds()));
        let Outboxed::Mail(read) = Outboxed::from_image(image(item)).unwrap() else { panic!("no mail") };
        assert_eq!(read, mail());
    }

    #[test]
    fn what_is_neither_is_malformed() {
        let mut item = mail().item().unwrap();
        item.remove("sealed");
        assert!(matches!(Outboxed::from_image(image(item)), Err(StoreError::Malformed { .. })));
        assert!(matches!(Outboxed::from_image(image(Item::new())), Err(StoreError::Malformed { .. })));
    }
}
