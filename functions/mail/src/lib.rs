//! Mail: from the queue to the recipient.
//!
//! Each job of a batch is worked on by itself, side by side with the others; a panic in one is that one's failure.
//! A job is done when SES has taken the mail, or it stays on the queue:
//!
//! * after what passes (SES throttles or does not answer, the store does not) it is hidden, each time for longer, and
//!   tried again;
//! * after what does not (SES refuses the mail, the job can't be opened) it is left as it is, and comes back when its
//!   visibility runs out: whoever suspends us may relent.
//!
//! Either way it ends, after many receives, in the faults queue, which is alarmed. At least once: a job that is
//! received twice, and a mail whose acceptance SES could not tell us, are sent twice. Nothing of what a mail says is
//! ever logged, nor whom it is for.

mod forgotten;
mod mailer;
mod resets;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt as _;
use futures::future::join_all;
use mailing::{MailJob, MailQueue, MailSeal};
use runtime::{Services, StartError};
use sealing::MasterSecret;
use store::{BoxError, Store, StoreError};
use telemetry::chain;

use crate::resets::Resets;

pub use forgotten::{Forgotten, ResetIssuer};
pub use mailer::{Mailer, MailerError};

/// The first wait after a failure that passes; doubled with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Works on jobs. Cheap to clone.
#[derive(Clone)]
pub struct Courier(Arc<Shared>);

struct Shared {
    queue: MailQueue,
    seal: MailSeal,
    mailer: Mailer,
    resets: Box<dyn ResetIssuer>,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Courier")
    }
}

/// Builds the function from `MAIL_QUEUE_URL`, `MAIL_FROM`, `PUBLIC_URL`, `SESSION_SECRET_ID` and `DIRECTORY_TABLE`.
///
/// # Errors
/// [`StartError`] when a variable or the secret is missing.
pub async fn handler(services: &Services) -> Result<Courier, StartError> {
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
    let resets = Resets::new(store, services.clock.clone());
    handler_with(services, Box::new(resets)).await
}

/// The same with another issuer of password resets.
///
/// # Errors
/// As [`handler`].
pub async fn handler_with(services: &Services, resets: Box<dyn ResetIssuer>) -> Result<Courier, StartError> {
    let queue = MailQueue::from_services(services)?;
    let mailer = Mailer::from_services(services)?;
    let secret = services.secret("SESSION_SECRET_ID").await?;
    let seal = MailSeal::new(&MasterSecret::new(secret))
        .map_err(|e| StartError::Client { what: "mail key", source: Box::new(e) })?;
    Ok(Courier(Arc::new(Shared { queue, seal, mailer, resets })))
}

/// Why a job stays on the queue.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the job cannot be opened")]
    Job(#[source] StoreError),
    #[error(transparent)]
    Mailer(#[from] MailerError),
    #[error("a password reset could not be issued")]
    Reset(#[source] BoxError),
    #[error("it panicked")]
    Panic,
}

impl Fault {
    /// Whether trying again soon may help.
    fn passes(&self) -> bool {
        match self {
            Self::Mailer(MailerError::Passing { .. }) | Self::Reset(_) => true,
            Self::Mailer(MailerError::Refused { .. }) | Self::Job(_) | Self::Panic => false,
        }
    }
}

impl Courier {
    /// Works on a batch. The answer names the jobs that stay on the queue.
    pub async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let outcomes = join_all(batch.records.iter().map(|message| async move {
            let work = AssertUnwindSafe(self.work(message)).catch_unwind().await;
            (message, work.unwrap_or(Err(Fault::Panic)))
        }))
        .await;
        let mut answer = SqsBatchResponse::default();
        for (message, outcome) in outcomes {
            let Err(fault) = outcome else { continue };
            report(message, &fault);
            if fault.passes() {
                self.hide(message).await;
            }
            answer.add_failure(message.message_id.clone().unwrap_or_default());
        }
        answer
    }

    async fn work(&self, message: &SqsMessage) -> Result<(), Fault> {
        let Shared { seal, mailer, resets, .. } = &*self.0;
        let job = seal.open(message.body.as_deref().unwrap_or_default()).map_err(Fault::Job)?;
        let kind = job.kind();
        let letter = match job {
            MailJob::Letter(letter) => letter,
            MailJob::PasswordForgotten { email, request_id, ip } => {
                let asked = Forgotten { email, request_id, ip };
                match forgotten::letter(&**resets, asked).await.map_err(Fault::Reset)? {
                    Some(letter) => letter,
                    None => return Ok(()),
                }
            }
        };
        mailer.send(&letter).await?;
        tracing::info!(mail = kind, "sent");
        Ok(())
    }

    /// Hides a job until it is worth another try. If that fails it comes back when its visibility runs out.
    async fn hide(&self, message: &SqsMessage) {
        let received = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        let wait = wait_after(received.unwrap_or(1));
        if let Err(error) = self.0.queue.hide(message.receipt_handle.clone(), wait).await {
            let error = chain(error.as_ref());
            tracing::warn!(message.id = message.message_id, error, "a job could not be hidden");
        }
    }
}

/// The wait after the `received`th receive of a job.
fn wait_after(received: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << received.saturating_sub(1).min(16)).min(LONGEST_WAIT)
}

/// Logs a fault with its causes, once.
fn report(message: &SqsMessage, fault: &Fault) {
    let error = chain(fault);
    if fault.passes() {
        tracing::warn!(message.id = message.message_id, error, "a mail will be tried again");
    } else {
        tracing::error!(message.id = message.message_id, error, "a mail stays on the queue");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = [1, 2, 3, 6, 7, 8, u32::MAX].map(|n| wait_after(n).as_secs()).to_vec();
        assert_eq!(waits, [15, 30, 60, 480, 900, 900, 900]);
        assert_eq!(wait_after(0), FIRST_WAIT);
    }
}
