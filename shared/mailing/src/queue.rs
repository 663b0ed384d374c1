//! The queue of mails. What is in it is sealed.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use ids::OrganizationId;
use runtime::{Services, StartError};
use store::{BoxError, OutgoingMail, StoreError};

use crate::{MailJob, MailSeal};

/// Entries of a batch; sealed jobs are small enough for ten of them.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const BATCH: usize = 10;

/// Mails could not be put on the queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue did not take them, or not all of them.
    #[error("the queue did not take {refused} of {of} mails")]
    Refused {
        /// How many it did not take.
        refused: usize,
        /// Of how many.
        of: usize,
        /// What SQS said, where it said something about the batch as a whole.
        #[source]
        source: Option<BoxError>,
    },
    /// The job can't be sealed.
    #[error(transparent)]
    Seal(#[from] StoreError),
}

/// The queue that `MAIL_QUEUE_URL` names.
#[derive(Debug, Clone)]
pub struct MailQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl MailQueue {
    /// The queue that `MAIL_QUEUE_URL` names.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        let url = services.environment.required("MAIL_QUEUE_URL")?;
        Ok(Self { client: services.aws.sqs.clone(), url })
    }

    /// The client and the queue's URL, for changing a received job's visibility.
    #[must_use]
    pub fn parts(&self) -> (&aws_sdk_sqs::Client, &str) {
        (&self.client, &self.url)
    }

    /// Seals a job and puts it on the queue. For what follows from no change; what does goes through the outbox.
    ///
    /// # Errors
    /// [`QueueError`]; the job may then be on the queue all the same.
    pub async fn send(&self, seal: &MailSeal, job: &MailJob) -> Result<(), QueueError> {
        let sealed = seal.seal(job)?;
        self.send_batch(vec![(None, sealed)]).await
    }

    /// Puts mails from the outbox on the queue, in batches. The tenant is the message group, by which SQS shares a
    /// standard queue fairly between tenants: one that invites thousands does not hold up another's.
    ///
    /// # Errors
    /// [`QueueError`]; some of them may then be on the queue. Forwarding them again sends those mails twice.
    pub async fn forward(&self, mails: Vec<OutgoingMail>) -> Result<(), QueueError> {
        let mut mails = mails.into_iter().map(|mail| (Some(mail.organization_id), mail.sealed));
        loop {
            let batch: Vec<_> = mails.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.send_batch(batch).await?;
        }
    }

    async fn send_batch(&self, batch: Vec<(Option<OrganizationId>, String)>) -> Result<(), QueueError> {
        let of = batch.len();
        let refused = |refused, source| QueueError::Refused { refused, of, source };
        let entries = batch
            .into_iter()
            .enumerate()
            .map(|(index, (organization, body))| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .set_message_group_id(organization.map(|id| id.to_string()))
                    .message_body(body)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| refused(of, Some(Box::new(e) as BoxError)))?;
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = call.send().await.map_err(|e| refused(of, Some(Box::new(e) as BoxError)))?;
        match answer.failed.len() {
            0 => Ok(()),
            failed => Err(refused(failed, None)),
        }
    }
}
