//! A table's stream handed to a function in batches, in order.
//!
//! A batch that fails holds up what follows it, until it succeeds or is given up: that is what "in order" costs, and
//! Lambda pays it too. A killed process repeats what it had not finished, and what was still in a queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use clock::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use super::{EventSourceError, LOOK_AGAIN, invoke};
use crate::data_directory::Keep;
use crate::engines::queues::Outgoing;
use crate::engines::{Engines, Refused, StreamRecord};
use crate::registry::StreamHandler;
use crate::shutdown::Shutdown;
use crate::template::{Function, REGION, StreamSource};

/// The first wait after a failure; each further one is twice as long.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Reads one table's stream for one function.
pub(crate) struct StreamPoller {
    source: StreamSource,
    function: String,
    limit: Duration,
    handler: StreamHandler,
    engines: Engines,
    clock: Clock,
    checkpoint: Checkpoint,
    /// The queues that functions consume: what they hold is not safe.
    consumed: Arc<[String]>,
    stream_arn: String,
    shard: String,
    /// Where to read next; asked for again after the engine refuses it.
    iterator: Option<String>,
    /// The last record read, which is done with when `pieces` is empty.
    read: Option<String>,
    pieces: VecDeque<Piece>,
}

/// Consecutive records that are handed out together.
struct Piece {
    records: Vec<Record>,
    /// How often they have been tried.
    attempts: u32,
    not_before: Timestamp,
}

struct Record {
    sequence_number: String,
    made: Timestamp,
    event: EventRecord,
}

impl StreamPoller {
    pub(crate) async fn new(
        function: &Function,
        source: &StreamSource,
        handler: StreamHandler,
        engines: &Engines,
        clock: &Clock,
        keep: Arc<Keep>,
        consumed: Arc<[String]>,
    ) -> Result<Self, EventSourceError> {
        let unreadable = |source_error: Box<dyn std::error::Error + Send + Sync>| EventSourceError::Stream {
            table: source.table.clone(),
            source: source_error,
        };
        let ask = async |operation: &str, request: Value| {
            let answer = engines.dynamodb().administer(operation, &request).await;
            answer.map_err(|error| unreadable(error.into()))
        };
        let said = |answer: &Value, pointer: &str| {
            answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
        };
        let table = ask("DescribeTable", json!({"TableName": source.table})).await?;
        let stream_arn = said(&table, "/Table/LatestStreamArn");
        let stream_arn = stream_arn.ok_or_else(|| unreadable("it has no stream".into()))?;
        let stream = ask("DescribeStream", json!({"StreamArn": stream_arn})).await?;
        let shard = said(&stream, "/StreamDescription/Shards/0/ShardId");
        let shard = shard.ok_or_else(|| unreadable("it has no shard".into()))?;
        let newest = "/StreamDescription/Shards/0/SequenceNumberRange/EndingSequenceNumber";
        let mut checkpoint = Checkpoint::load(keep, &function.logical_id, &source.id)?;
        if let Some(newest) = &said(&stream, newest)
            && !source.from_start
            && checkpoint.saved().is_none()
        {
            checkpoint.begin_at(newest)?;
        }
        Ok(Self {
            source: source.clone(),
            function: function.logical_id.clone(),
            limit: Duration::from_secs(function.timeout.into()),
            handler,
            engines: engines.clone(),
            clock: clock.clone(),
            read: checkpoint.saved().map(str::to_owned),
            checkpoint,
            consumed,
            stream_arn,
            shard,
            iterator: None,
            pieces: VecDeque::new(),
        })
    }

    /// The table whose stream this reads.
    pub(super) fn table(&self) -> &str {
        &self.source.table
    }

    /// The position last saved.
    pub(super) fn saved(&self) -> Option<&str> {
        self.checkpoint.saved()
    }

    /// Hands out everything that is due, until nothing is or `shutdown` is asked for; returns the number of
    /// invocations.
    pub(super) async fn step(&mut self, shutdown: Option<&Shutdown>) -> usize {
        let mut invocations = 0;
        while !shutdown.is_some_and(Shutdown::is_requested) {
            if self.pieces.is_empty() && !self.read_more().await {
                break;
            }
            let Some(piece) = self.pieces.pop_front() else { continue };
            if piece.not_before > self.clock.now() {
                self.pieces.push_front(piece);
                break;
            }
            self.hand_out(piece).await;
            invocations += 1;
        }
        if self.pieces.is_empty() {
            self.done(&[]);
        }
        self.save(shutdown.is_none_or(Shutdown::is_requested));
        invocations
    }

    /// Saves the position up to which nothing depends on this process any more, `at_once` or when it is due.
    pub(super) fn save(&mut self, at_once: bool) {
        let settled = self.engines.queues().settled_up_to(self.consumed.iter().map(String::as_str));
        if let Err(error) = self.checkpoint.settle(settled, at_once) {
            // The next one may succeed; until then a restart repeats more.
            tracing::error!(function = self.function, %error, "the position in a stream could not be saved");
        }
    }

    /// When there is something to do without anything new being written.
    fn due(&self) -> Option<Timestamp> {
        self.pieces.front().map(|piece| piece.not_before)
    }

    /// Reads the next records; whether there were any, wanted or not.
    async fn read_more(&mut self) -> bool {
        let records = match self.fetch().await {
            Ok(records) => records,
            Err(error) => {
                self.iterator = None;
                tracing::error!(table = self.source.table, %error, "a stream could not be read");
                return false;
            }
        };
        let Some(last) = records.last() else { return false };
        self.read = Some(last.sequence_number().to_owned());
        let wanted: Vec<Record> = records.into_iter().filter_map(|record| self.wanted(record)).collect();
        if !wanted.is_empty() {
            self.pieces.push_back(Piece { records: wanted, attempts: 0, not_before: Timestamp::EPOCH });
        }
        true
    }

    async fn fetch(&mut self) -> Result<Vec<StreamRecord>, Refused> {
        let database = self.engines.dynamodb();
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => {
                let kind = if self.read.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" };
                let mut request = json!({
                    "StreamArn": self.stream_arn, "ShardId": self.shard, "ShardIteratorType": kind,
                });
                if let (Some(read), Some(request)) = (&self.read, request.as_object_mut()) {
                    request.insert("SequenceNumber".to_owned(), read.as_str().into());
                }
                let answer = database.administer("GetShardIterator", &request).await?;
                let iterator = answer.get("ShardIterator").and_then(Value::as_str);
                iterator.unwrap_or_default().to_owned()
            }
        };
        let (records, next) = database.records(iterator, self.source.batch_size.min(1000)).await?;
        self.iterator = next;
        Ok(records)
    }

    /// The record as the function sees it, if it wants to.
    fn wanted(&self, record: StreamRecord) -> Option<Record> {
        if !self.source.filter.may_match(record.event_name(), || record.keys()) {
            return None;
        }
        let sequence_number = record.sequence_number().to_owned();
        let value = record.into_value()?;
        if !self.source.filter.matches(&value) {
            return None;
        }
        let event: Result<EventRecord, _> = serde_json::from_value(value);
        match event {
            Ok(mut event) => {
                event.aws_region = REGION.to_owned();
                event.event_source_arn = Some(self.stream_arn.clone());
                let made = event.change.approximate_creation_date_time.timestamp_millis();
                Some(Record { sequence_number, made: Timestamp::from_millis(made), event })
            }
            Err(error) => {
                // Both sides speak DynamoDB's own format; this would be a bug in one of the two crates.
                tracing::error!(table = self.source.table, %error, "a stream record could not be read");
                None
            }
        }
    }

    async fn hand_out(&mut self, piece: Piece) {
        let mut event = Event::default();
        event.records = piece.records.iter().map(|record| record.event.clone()).collect();
        let handler = self.handler.clone();
        let answer = invoke(self.limit, async { handler(event).await }).await;
        match answer {
            Ok(answer) if self.source.reports_failures => match first_failure(&answer, &piece.records) {
                Some(at) => self.failed(piece, at),
                None => self.done(&piece.records),
            },
            Ok(_) => self.done(&piece.records),
            Err(error) => {
                tracing::error!(function = self.function, %error, records = piece.records.len(), "a batch failed");
                self.failed(piece, 0);
            }
        }
    }

    /// Moves the position past `records`, and past what was skipped after them when nothing is left.
    fn done(&mut self, records: &[Record]) {
        let last = if self.pieces.is_empty() {
            self.read.as_deref()
        } else {
            records.last().map(|record| record.sequence_number.as_str())
        };
        if let Some(last) = last {
            self.checkpoint.hand_out(last, self.engines.queues().mark());
        }
    }

    /// Sees to it that the records from index `at` on are tried again, or given up.
    fn failed(&mut self, mut piece: Piece, at: usize) {
        let rest = piece.records.split_off(at);
        let now = self.clock.now();
        let (kept, expired): (Vec<Record>, Vec<Record>) = match self.source.max_age {
            Some(age) => {
                let oldest = now - Duration::from_secs(age.into());
                rest.into_iter().partition(|record| record.made >= oldest)
            }
            None => (rest, Vec::new()),
        };
        if !expired.is_empty() {
            self.give_up(&expired, "RecordAgeExceeded", piece.attempts);
        }
        // A report has already split the batch where it failed; only a batch without progress is halved or given up.
        let split = self.source.bisect && at == 0 && kept.len() > 1;
        let attempts = piece.attempts + 1;
        if at == 0 && !split && self.source.max_retries.is_some_and(|max| attempts > max) {
            self.give_up(&kept, "RetryAttemptsExhausted", attempts);
            self.done(&kept);
            return;
        }
        let backoff = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(piece.attempts.min(16)));
        let not_before = now + backoff.min(LONGEST_BACKOFF);
        if split {
            // Splitting does not count as an attempt: it ends by itself when the culprit stands alone.
            let (mut first, attempts) = (kept, piece.attempts);
            let second = first.split_off(first.len() / 2);
            self.pieces.push_front(Piece { records: second, attempts, not_before });
            self.pieces.push_front(Piece { records: first, attempts, not_before });
        } else if !kept.is_empty() {
            self.pieces.push_front(Piece { records: kept, attempts, not_before });
        }
        // Whatever stood before the failure is done; `pieces` decides how far.
        if at > 0 || self.pieces.is_empty() {
            self.done(&piece.records);
        }
    }

    /// Tells the failure queue, as Lambda does, which records were given up: their place in the stream and no data.
    fn give_up(&self, records: &[Record], condition: &str, attempts: u32) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        tracing::error!(
            function = self.function,
            condition,
            records = records.len(),
            "stream records were given up"
        );
        let Some(queue) = &self.source.on_failure else { return };
        let body = json!({
            "requestContext": {
                "requestId": Uuid::new_v4().to_string(),
                "functionArn": self.function,
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": self.clock.now().to_string(),
            "DDBStreamBatchInfo": {
                "shardId": self.shard,
                "startSequenceNumber": first.sequence_number,
                "endSequenceNumber": last.sequence_number,
                "approximateArrivalOfFirstRecord": first.made.to_string(),
                "approximateArrivalOfLastRecord": last.made.to_string(),
                "batchSize": records.len(),
                "streamArn": self.stream_arn,
            },
        });
        let body = Value::to_string(&body);
        if let Err(error) = self.engines.queues().send(queue, Outgoing { body, ..Outgoing::default() }) {
            tracing::error!(queue, %error, "the failure queue could not be told");
        }
    }
}

/// The index of the first record that failed; Lambda goes on from there whatever came after it. A report that names
/// no record of the batch fails the whole batch.
fn first_failure(answer: &DynamoDbEventResponse, records: &[Record]) -> Option<usize> {
    let failures = answer.batch_item_failures.iter().map(|failure| {
        let number = failure.item_identifier.as_deref().unwrap_or_default();
        records.iter().position(|record| record.sequence_number == number).unwrap_or(0)
    });
    failures.min()
}

/// Reads until `shutdown`, woken by writes.
pub(super) async fn run(poller: &Mutex<StreamPoller>, mut shutdown: Shutdown) {
    let (mut written, window, clock) = {
        let poller = poller.lock().await;
        let window = Duration::from_secs(poller.source.window.into());
        (poller.engines.dynamodb().written(), window, poller.clock.clone())
    };
    while !shutdown.is_requested() {
        // Marked before looking, so that a write in between wakes at once.
        written.mark_unchanged();
        let due = {
            let mut poller = poller.lock().await;
            poller.step(Some(&shutdown)).await;
            poller.due()
        };
        let pause = due.map_or(LOOK_AGAIN, |due| due.since(clock.now()).min(LOOK_AGAIN));
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            woken = tokio::time::timeout(pause, written.changed()) => {
                if woken.is_ok() && !window.is_zero() {
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = tokio::time::sleep(window) => {}
                    }
                }
            }
        }
    }
    poller.lock().await.step(Some(&shutdown)).await;
}
