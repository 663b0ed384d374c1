//! Queues: there, with a place for what fails, and patient enough for who polls them.

use std::collections::{BTreeMap, BTreeSet};

use artisan_local::template::Queue;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use super::{Examination, Trouble, trouble};

const DEPLOY: &str = "deploy the stack again, or set it back by hand";
/// How many times a function's timeout a message is to be hidden, as Lambda asks.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
const TIMEOUTS: u32 = 6;

impl Examination<'_> {
    pub(super) async fn queues(&mut self) {
        let mut targets = BTreeSet::new();
        for queue in self.template.queues.clone() {
            let Some(url) = self.variable_of(&queue.name).map(str::to_owned).and_then(|it| self.value(&it))
            else {
                continue;
            };
            let subject = format!("{} ({})", queue.logical_id, url.rsplit('/').next().unwrap_or_default());
            let Some(attributes) = self.attributes(&subject, &url).await else { continue };
            if let Some(arn) = attributes.get("QueueArn") {
                self.sources.insert(queue.name.clone(), arn.clone());
            }
            self.patience(&queue, &subject, &attributes);
            targets.extend(self.redrive(&queue, &subject, &attributes));
            if queue.logical_id.ends_with("FaultsQueue") {
                self.faults(&subject, &attributes);
            }
        }
        for target in targets {
            self.target(&target).await;
        }
    }

    async fn attributes(&mut self, subject: &str, url: &str) -> Option<BTreeMap<String, String>> {
        let call = self.services.aws.sqs.get_queue_attributes().queue_url(url);
        match call.attribute_names(QueueAttributeName::All).send().await.map_err(trouble) {
            Ok(answer) => {
                self.report.pass();
                let attributes = answer.attributes.unwrap_or_default().into_iter();
                Some(attributes.map(|(name, value)| (name.as_str().to_owned(), value)).collect())
            }
            Err(Trouble::Missing) => {
                self.report.error(
                    "queue_missing",
                    subject,
                    "there is no such queue",
                    "check the variable, the region and the account; else deploy the stack again",
                );
                None
            }
            Err(other) => {
                self.note(other, subject, "sqs:GetQueueAttributes");
                None
            }
        }
    }

    /// Whether messages stay hidden for long enough for the slowest function that polls the queue, and are kept long enough.
    fn patience(&mut self, queue: &Queue, subject: &str, attributes: &BTreeMap<String, String>) {
        let seconds = |name: &str| attributes.get(name).and_then(|it| it.parse::<u32>().ok()).unwrap_or(0);
        let functions = self.template.functions.iter();
        let polls = functions.filter(|it| it.queues.iter().any(|source| source.queue == queue.name));
        let slowest = polls.map(|it| (it.timeout, it.binary.clone())).max();
        let visibility = seconds("VisibilityTimeout");
        match slowest {
            Some((timeout, function)) if visibility < TIMEOUTS * timeout => self.report.error(
                "visibility_short",
                subject,
                format!(
                    "messages come back after {visibility} s, and `{function}` may take {timeout} s over a batch: \
                     jobs are done twice"
                ),
                format!("set its visibility timeout to {} s or more", TIMEOUTS * timeout),
            ),
            _ => self.report.pass(),
        }
        let retention = seconds("MessageRetentionPeriod");
        if retention < queue.retention {
            self.report.warning(
                "retention_short",
                subject,
                format!(
                    "messages are dropped after {retention} s; the template keeps them for {} s",
                    queue.retention
                ),
                DEPLOY,
            );
        }
    }

    /// Whether messages that fail again and again are put aside; the name of the queue that they are put into.
    fn redrive(
        &mut self,
        queue: &Queue,
        subject: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Option<String> {
        let wanted = queue.redrive.as_ref()?;
        let policy = attributes.get("RedrivePolicy").and_then(|it| serde_json::from_str::<Value>(it).ok());
        let target = policy.as_ref().and_then(|it| it.get("deadLetterTargetArn")?.as_str());
        let Some(target) = target else {
            self.report.error(
                "redrive_missing",
                subject,
                "a message that fails comes back for as long as the queue keeps it, and no alarm sees it",
                format!(
                    "give it a redrive policy to its faults queue after {} receives",
                    wanted.max_receive_count
                ),
            );
            return None;
        };
        self.report.pass();
        target.rsplit(':').next().map(str::to_owned)
    }

    /// Whether the queue that failing messages are put into is there, and empty.
    pub(super) async fn target(&mut self, name: &str) {
        let found = self.services.aws.sqs.get_queue_url().queue_name(name).send().await;
        match found.map_err(trouble) {
            Ok(answer) => {
                let url = answer.queue_url.unwrap_or_default();
                if let Some(attributes) = self.attributes(name, &url).await {
                    self.faults(name, &attributes);
                }
            }
            Err(Trouble::Missing) => self.report.error(
                "redrive_target_missing",
                name,
                "it is where messages go that fail again and again, and it is not there",
                DEPLOY,
            ),
            Err(other) => self.note(other, name, "sqs:GetQueueUrl"),
        }
    }

    fn faults(&mut self, subject: &str, attributes: &BTreeMap<String, String>) {
        let count = attributes.get("ApproximateNumberOfMessages").and_then(|it| it.parse::<u64>().ok());
        match count.filter(|count| *count > 0) {
            None => self.report.pass(),
            Some(count) => self.report.warning(
                "faults_waiting",
                subject,
                format!("{count} messages lie in it that we failed to process"),
                "find the cause, then put them back (docs/operations.md, Alarms)",
            ),
        }
    }
}
