//! SQS: standard queues in memory, driven by the platform's clock.
//!
//! Promises what a standard queue promises: a message is handed out again until it is deleted, is hidden while
//! somebody works on it, and moves to the dead-letter queue when it has been received too often. Messages of one
//! group are handed out in the order in which they became visible, and groups take turns as fair queues have them.
//! Every operation costs the logarithm of the queue's length. Nothing here reads the wall clock and nothing survives
//! the process: what is owed is written in the tables, and is queued again at the next start.

mod backend;
mod fair;
mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::{Clock, Timestamp};
use md5::{Digest, Md5};
use tokio::sync::watch;
use uuid::Uuid;

use crate::template::Redrive;

use fair::{Group, Order};

pub(super) use backend::Backend;
pub(super) use wire::{Ruling, Wire};

/// The longest a message can be hidden, counted from when it was received.
pub const MAX_VISIBILITY: u32 = 12 * 3600;

/// Why a queue refuses. The names are SQS's own.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum QueueError {
    /// There is no such queue.
    #[error("The specified queue does not exist.")]
    NonExistentQueue,
    /// The receipt handle was not issued by this queue.
    #[error("The input receipt handle is invalid.")]
    InvalidReceiptHandle,
    /// The message is visible or gone, so its visibility cannot be changed.
    #[error("Message does not exist or is not available for visibility timeout change.")]
    MessageNotInFlight,
    /// The message would be hidden for more than twelve hours since it was received.
    #[error("Total VisibilityTimeout for the message is beyond the limit [43200 seconds].")]
    BeyondLimit,
}

/// A queue's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a received message stays hidden, in seconds.
    pub visibility_timeout: u32,
    /// How long a message is kept, in seconds.
    pub retention: u32,
    /// How long a new message is hidden, in seconds.
    pub delay: u32,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { visibility_timeout: 30, retention: 4 * 24 * 3600, delay: 0, redrive: None }
    }
}

/// A message attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, with an optional label.
    pub data_type: String,
    /// The value of a string or number.
    pub string_value: Option<String>,
}

/// A message to send.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// The body.
    pub body: String,
    /// How long it is hidden, in seconds; the queue's own delay when `None`.
    pub delay: Option<u32>,
    /// Its attributes.
    pub attributes: BTreeMap<String, Attribute>,
    /// The group it belongs to, for fairness among groups.
    pub group: Option<String>,
}

/// What sending a message returns.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message's id.
    pub message_id: String,
    /// The MD5 digest of its body, in hexadecimal, which clients use as a checksum.
    pub body_md5: String,
}

/// A received message.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message's id, the same every time it is received.
    pub message_id: String,
    /// Names this reception; needed to delete the message.
    pub receipt_handle: String,
    /// The body.
    pub body: Arc<str>,
    /// The body's MD5 digest.
    pub body_md5: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, Attribute>,
    /// Its group.
    pub group: Option<Arc<str>>,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was received for the first time.
    pub first_received_at: Timestamp,
    /// What it is a consequence of.
    pub cause: Mark,
}

/// A moment in the life of all queues: every message was sent before it or after it, whatever the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

tokio::task_local! {
    static CAUSE: Mark;
}

/// Does `work`. What it sends counts as sent at `cause`, so that handing a job on does not make it look younger.
pub async fn caused_by<T>(cause: Mark, work: impl Future<Output = T>) -> T {
    CAUSE.scope(cause, work).await
}

/// A message as it lies in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The message's id.
    pub message_id: String,
    /// The body.
    pub body: Arc<str>,
    /// How often it has been received.
    pub receive_count: u32,
    /// From when on it can be received.
    pub visible_at: Timestamp,
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: usize,
    /// Messages that were received and are still hidden.
    pub in_flight: usize,
    /// Messages that have never been visible yet.
    pub delayed: usize,
}

impl Depth {
    /// Every message in the queue.
    #[must_use]
    pub fn total(self) -> usize {
        self.visible + self.in_flight + self.delayed
    }
}

/// All queues of the platform. Cheap to clone; clones share the queues.
#[derive(Clone)]
pub struct Queues {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<String, Queue>,
    /// How many messages have been sent.
    sent: u64,
}

struct Queue {
    settings: Settings,
    created: Timestamp,
    next: u64,
    messages: HashMap<u64, Message>,
    order: Order,
    /// Messages of which only this queue knows: by what caused them, then by age.
    unsettled: BTreeSet<(Mark, u64)>,
    changed: watch::Sender<u64>,
}

struct Message {
    id: Uuid,
    body: Arc<str>,
    body_md5: String,
    attributes: BTreeMap<String, Attribute>,
    group: Group,
    sent_at: Timestamp,
    first_received_at: Option<Timestamp>,
    received_at: Timestamp,
    receive_count: u32,
    visible_at: i64,
    cause: Mark,
}

impl Queues {
    /// No queues yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No operation leaves a queue half changed, so a panic elsewhere poisons nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Queue, Timestamp) -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        work(self.lock().queue(name)?, self.clock.now())
    }

    /// Makes a queue, or changes the settings of one that exists.
    pub fn create(&self, name: &str, settings: Settings) {
        let now = self.clock.now();
        let mut state = self.lock();
        if let Some(queue) = state.queues.get_mut(name) {
            queue.settings = settings;
        } else {
            state.queues.insert(name.to_owned(), Queue::new(settings, now));
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`].
    pub fn send(&self, queue: &str, message: Outgoing) -> Result<Sent, QueueError> {
        let body_md5 = hex(&Md5::digest(message.body.as_bytes()));
        let id = Uuid::new_v4();
        let now = self.clock.now();
        let mut state = self.lock();
        let present = Mark(state.sent);
        let queue = state.queue(queue)?;
        let delay = Duration::from_secs(message.delay.unwrap_or(queue.settings.delay).into());
        let number = queue.insert(Message {
            id,
            body: message.body.into(),
            body_md5: body_md5.clone(),
            attributes: message.attributes,
            group: message.group.map(Arc::from),
            sent_at: now,
            first_received_at: None,
            received_at: now,
            receive_count: 0,
            visible_at: (now + delay).millis(),
            cause: CAUSE.try_with(|cause| present.min(*cause)).unwrap_or(present),
        });
        queue.note_unsettled(number);
        state.sent += 1;
        Ok(Sent { message_id: id.to_string(), body_md5 })
    }

    /// Receives up to `max` messages and hides them for `visibility` seconds, or for as long as the queue says.
    /// Messages received too often before move to the dead-letter queue instead.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`].
    pub fn receive(
        &self,
        name: &str,
        max: usize,
        visibility: Option<u32>,
    ) -> Result<Vec<Received>, QueueError> {
        let now = self.clock.now();
        let mut state = self.lock();
        let queue = state.queue(name)?;
        let (received, dead) = queue.receive(max, visibility, now);
        let target = queue.settings.redrive.as_ref().map(|redrive| redrive.target.clone());
        // Without its dead-letter queue a message would vanish, which SQS does not do either: the template reader
        // has made sure that the target exists.
        if let Some(target) = target.and_then(|target| state.queues.get_mut(&target)) {
            for message in dead {
                target.insert(Message {
                    receive_count: 0,
                    first_received_at: None,
                    visible_at: now.millis(),
                    ..message
                });
            }
        }
        Ok(received)
    }

    /// Deletes a message. A handle that a later reception has replaced is accepted and does nothing, as SQS
    /// reserves itself the right to.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`], [`QueueError::InvalidReceiptHandle`].
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), QueueError> {
        let handle = Handle::parse(receipt_handle).ok_or(QueueError::InvalidReceiptHandle)?;
        self.with(queue, |queue, _| {
            if queue.messages.get(&handle.number).is_some_and(|message| handle.names(message)) {
                queue.remove(handle.number);
            }
            Ok(())
        })
    }

    /// Hides a received message for `seconds` from now on; 0 makes it visible at once.
    ///
    /// # Errors
    /// Any [`QueueError`].
    pub fn change_visibility(
        &self,
        queue: &str,
        receipt_handle: &str,
        seconds: u32,
    ) -> Result<(), QueueError> {
        let handle = Handle::parse(receipt_handle).ok_or(QueueError::InvalidReceiptHandle)?;
        self.with(queue, |queue, now| {
            let Some(message) = queue.messages.get(&handle.number) else {
                return Err(QueueError::MessageNotInFlight);
            };
            if !handle.names(message) || message.visible_at <= now.millis() {
                return Err(QueueError::MessageNotInFlight);
            }
            let until = now + Duration::from_secs(seconds.into());
            if until.since(message.received_at) > Duration::from_secs(MAX_VISIBILITY.into()) {
                return Err(QueueError::BeyondLimit);
            }
            queue.show_at(handle.number, until.millis());
            Ok(())
        })
    }

    /// Deletes every message.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`].
    pub fn purge(&self, queue: &str) -> Result<(), QueueError> {
        self.with(queue, |queue, _| {
            queue.messages.clear();
            queue.order.clear();
            queue.unsettled.clear();
            Ok(())
        })
    }

    /// How full a queue is.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`].
    pub fn depth(&self, queue: &str) -> Result<Depth, QueueError> {
        self.with(queue, |queue, now| {
            let mut depth = Depth::default();
            for message in queue.messages.values() {
                match (message.visible_at <= now.millis(), message.receive_count) {
                    (true, _) => depth.visible += 1,
                    (false, 0) => depth.delayed += 1,
                    (false, _) => depth.in_flight += 1,
                }
            }
            Ok(depth)
        })
    }

    /// Every message in a queue, in the order in which they become visible, without receiving any.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`].
    pub fn messages(&self, queue: &str) -> Result<Vec<Waiting>, QueueError> {
        self.with(queue, |queue, _| {
            let mut messages: Vec<_> = queue.messages.iter().collect();
            messages.sort_unstable_by_key(|(number, message)| (message.visible_at, **number));
            Ok(messages
                .into_iter()
                .map(|(_, message)| Waiting {
                    message_id: message.id.to_string(),
                    body: Arc::clone(&message.body),
                    receive_count: message.receive_count,
                    visible_at: Timestamp::from_millis(message.visible_at),
                })
                .collect())
        })
    }

    /// When a message can be received next, a time that has passed if one can be now; `None` for an empty queue.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`].
    pub fn next_visible_at(&self, queue: &str) -> Result<Option<Timestamp>, QueueError> {
        self.with(queue, |queue, _| Ok(queue.order.next_visible_at().map(Timestamp::from_millis)))
    }

    /// Advances whenever a message may have become receivable earlier than was known before.
    ///
    /// # Errors
    /// [`QueueError::NonExistentQueue`].
    pub fn changed(&self, queue: &str) -> Result<watch::Receiver<u64>, QueueError> {
        self.with(queue, |queue, _| Ok(queue.changed.subscribe()))
    }

    /// Has everybody who waits for a message look again: the clock has been moved.
    pub fn wake(&self) {
        for queue in self.lock().queues.values() {
            queue.changed.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    /// When a message that cannot be received yet can be, in any queue.
    #[must_use]
    pub fn next_of_all(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let state = self.lock();
        let next = state.queues.values().filter_map(|queue| queue.order.next_visible_at());
        next.map(Timestamp::from_millis).filter(|at| *at > now).min()
    }

    /// The present moment.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.lock().sent)
    }

    /// The moment before which everything that was sent to these queues has been settled: it has left its queue. What is
    /// settled is recorded somewhere that outlives this process, or need not be. What was hidden by its receiver is not: it
    /// may wait for somebody else to be done with it.
    #[must_use]
    pub fn settled_up_to<'q>(&self, queues: impl IntoIterator<Item = &'q str>) -> Mark {
        let state = self.lock();
        let unsettled = queues.into_iter().filter_map(|name| state.queues.get(name)?.unsettled.first());
        unsettled.map(|(cause, _)| *cause).min().unwrap_or(Mark(state.sent))
    }

    fn settings(&self, queue: &str) -> Result<(Settings, Timestamp), QueueError> {
        self.with(queue, |queue, _| Ok((queue.settings.clone(), queue.created)))
    }

    fn remove_queue(&self, queue: &str) -> Result<(), QueueError> {
        self.lock().queues.remove(queue).map(|_| ()).ok_or(QueueError::NonExistentQueue)
    }

    fn names(&self) -> Vec<String> {
        self.lock().queues.keys().cloned().collect()
    }
}

impl State {
    fn queue(&mut self, name: &str) -> Result<&mut Queue, QueueError> {
        self.queues.get_mut(name).ok_or(QueueError::NonExistentQueue)
    }
}

impl Queue {
    fn new(settings: Settings, created: Timestamp) -> Self {
        Self {
            settings,
            created,
            next: 0,
            messages: HashMap::new(),
            order: Order::default(),
            unsettled: BTreeSet::new(),
            changed: watch::Sender::new(0),
        }
    }

    fn insert(&mut self, message: Message) -> u64 {
        self.next += 1;
        self.order.add((message.visible_at, self.next), message.group.clone());
        self.messages.insert(self.next, message);
        self.note_change();
        self.next
    }

    fn note_unsettled(&mut self, number: u64) {
        self.unsettled.extend(self.messages.get(&number).map(|message| (message.cause, number)));
    }

    fn settle(&mut self, number: u64) {
        if let Some(message) = self.messages.get(&number) {
            self.unsettled.remove(&(message.cause, number));
        }
    }

    fn remove(&mut self, number: u64) -> Option<Message> {
        self.settle(number);
        let message = self.messages.remove(&number)?;
        self.order.remove((message.visible_at, number), &message.group);
        Some(message)
    }

    fn show_at(&mut self, number: u64, at: i64) {
        if let Some(message) = self.messages.get_mut(&number) {
            self.order.hide((message.visible_at, number), at);
            message.visible_at = at;
            self.note_change();
        }
    }

    fn note_change(&self) {
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// The messages handed out, and those that move to the dead-letter queue.
    fn receive(
        &mut self,
        max: usize,
        visibility: Option<u32>,
        now: Timestamp,
    ) -> (Vec<Received>, Vec<Message>) {
        let oldest = (now - Duration::from_secs(self.settings.retention.into())).millis();
        let limit = self.settings.redrive.as_ref().map(|redrive| redrive.max_receive_count);
        let hidden = Duration::from_secs(visibility.unwrap_or(self.settings.visibility_timeout).into());
        let until = (now + hidden).millis();
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        while received.len() < max {
            let Some(place @ (_, number)) = self.order.next(now.millis()) else { break };
            let Some(message) = self.messages.get_mut(&number) else { break };
            if message.sent_at.millis() < oldest {
                self.remove(number);
                continue;
            }
            if limit.is_some_and(|limit| message.receive_count >= limit) {
                dead.extend(self.remove(number));
                continue;
            }
            message.receive_count += 1;
            message.received_at = now;
            let first_received_at = *message.first_received_at.get_or_insert(now);
            received.push(Received {
                message_id: message.id.to_string(),
                receipt_handle: Handle::new(number, message).to_string(),
                body: Arc::clone(&message.body),
                body_md5: message.body_md5.clone(),
                attributes: message.attributes.clone(),
                group: message.group.clone(),
                receive_count: message.receive_count,
                sent_at: message.sent_at,
                first_received_at,
                cause: message.cause,
            });
            self.order.receive(place, &message.group, until);
            message.visible_at = until;
            if until <= now.millis() {
                // A visibility of zero leaves the message at the head; handing it out once per call is enough.
                break;
            }
        }
        (received, dead)
    }
}

/// A receipt handle: which message, which reception of it.
struct Handle {
    number: u64,
    reception: u32,
    id: Uuid,
}

impl Handle {
    fn new(number: u64, message: &Message) -> Self {
        Self { number, reception: message.receive_count, id: message.id }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let number = u64::from_str_radix(parts.next()?, 16).ok()?;
        let reception = u32::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { number, reception, id: Uuid::try_parse(parts.next()?).ok()? })
    }

    /// Whether this is the latest reception of `message`.
    fn names(&self, message: &Message) -> bool {
        self.id == message.id && self.reception == message.receive_count
    }
}

impl std::fmt::Display for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.{:x}.{}", self.number, self.reception, self.id.as_simple())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests;
