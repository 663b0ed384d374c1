//! The queue of mails. What is in it is sealed.

use std::time::Duration;

use queue::{Message, Queue, Unsendable};
use runtime::{Services, StartError};
use store::{BoxError, OutgoingMail, StoreError};

use crate::{MailJob, MailSeal};

/// Mails could not be put on the queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue did not take them, or not all of them.
    #[error(transparent)]
    Refused(#[from] queue::Refused),
    /// The queue will never take it.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
    /// The job can't be sealed.
    #[error(transparent)]
    Seal(#[from] StoreError),
}

/// The queue that `MAIL_QUEUE_URL` names.
#[derive(Debug, Clone)]
pub struct MailQueue(Queue);

impl MailQueue {
    /// The queue that `MAIL_QUEUE_URL` names.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        Queue::from_services(services, "MAIL_QUEUE_URL").map(Self)
    }

    /// Seals a job and puts it on the queue. For what follows from no change; what does goes through the outbox.
    ///
    /// # Errors
    /// [`QueueError`]; the job may then be on the queue all the same.
    pub async fn send(&self, seal: &MailSeal, job: &MailJob) -> Result<(), QueueError> {
        let body = seal.seal(job)?;
        let unsendable = self.0.send([Message { body, ..Message::default() }]).await?;
        unsendable.into_iter().next().map_or(Ok(()), |unsendable| Err(unsendable.into()))
    }

    /// Puts mails from the outbox on the queue. Returns those that the queue will never take.
    ///
    /// # Errors
    /// [`QueueError`]; some of them may then be on the queue. Forwarding them again sends those mails twice.
    pub async fn forward(
        &self,
        mails: impl IntoIterator<Item = OutgoingMail>,
    ) -> Result<Vec<Unsendable>, QueueError> {
        let message = |mail: OutgoingMail| Message {
            group: Some(mail.organization_id.to_string()),
            body: mail.sealed,
            ..Message::default()
        };
        Ok(self.0.send(mails.into_iter().map(message)).await?)
    }

    /// Hides a received job for `wait`: it comes back after that.
    ///
    /// # Errors
    /// What the SDK reports. The job then comes back when its visibility runs out.
    pub async fn hide(&self, receipt_handle: Option<String>, wait: Duration) -> Result<(), BoxError> {
        self.0.hide(receipt_handle, wait).await
    }
}
