//! The faults queue: where events go that will never be fanned out as they are.

use std::fmt::Display;

use runtime::{Services, StartError};
use store::BoxError;

/// The queue that `FANOUT_FAULTS_QUEUE_URL` names. It is alarmed; a person looks at what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Parking {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Parking {
    pub(crate) fn from_services(services: &Services) -> Result<Self, StartError> {
        let url = services.environment.required("FANOUT_FAULTS_QUEUE_URL")?;
        Ok(Self { client: services.aws.sqs.clone(), url })
    }

    /// Leaves a note: where the event is, and what is wrong. The event itself stays in its table.
    pub(crate) async fn park(&self, keys: &str, error: &impl Display) -> Result<(), BoxError> {
        tracing::error!(error = %error, keys, "an event is parked");
        // What is wrong may be a character that this queue does not take either.
        let note = format!("{keys}: {error}").replace(|c| !queue::takes(c), "\u{FFFD}");
        self.client.send_message().queue_url(&self.url).message_body(note).send().await?;
        Ok(())
    }
}
