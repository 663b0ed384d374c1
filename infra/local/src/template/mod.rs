//! Reads a SAM template into what the local platform has to build.
//!
//! Promises: whatever the platform needs and cannot read is one error that names the resource and the property;
//! whatever it does not need (alarms, dashboards) is ignored. Physical names follow from logical ids
//! alone, so the same template always means the same tables. Never talks to AWS and never changes the template.

mod document;
mod intrinsics;
mod policies;
mod reader;
mod resources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::event_sources::filter::FilterCriteria;

pub use intrinsics::{ACCOUNT, REGION};
pub(crate) use intrinsics::{function_arn, queue_arn, table_arn};

/// Why a template cannot be used. The text is one line and names the place.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("the template {} cannot be read", path.display())]
    File {
        /// Where it was looked for.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The text is not YAML.
    #[error("the template is not valid YAML")]
    Yaml(#[source] yaml_serde::Error),
    /// The text is YAML, but not a template.
    #[error("the template {0}")]
    Shape(String),
    /// A property that the platform needs cannot be read.
    #[error("in the template, {resource}.{property} {problem}")]
    Property {
        /// The logical id of the resource.
        resource: String,
        /// The path of the property inside it.
        property: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What a template asks the platform to build.
#[derive(Debug, Clone)]
pub struct Template {
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// S3 buckets.
    pub buckets: Vec<Bucket>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Functions, with what calls them.
    pub functions: Vec<Function>,
}

impl Template {
    /// Reads the template at `path`.
    ///
    /// # Errors
    /// [`TemplateError`], naming the place.
    pub fn read(path: &Path) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TemplateError::File { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads a template's text.
    ///
    /// # Errors
    /// [`TemplateError`], naming the place.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        resources::read(&document::Document::parse(text)?)
    }

    /// The table with this logical id.
    #[must_use]
    pub fn table(&self, logical_id: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.logical_id == logical_id)
    }

    /// The queue with this logical id.
    #[must_use]
    pub fn queue(&self, logical_id: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.logical_id == logical_id)
    }

    /// The bucket with this logical id.
    #[must_use]
    pub fn bucket(&self, logical_id: &str) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.logical_id == logical_id)
    }

    /// The function built from this binary.
    #[must_use]
    pub fn function(&self, binary: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.binary == binary)
    }
}

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in the engine.
    pub name: String,
    /// Attributes that keys use, with their types (`S`, `N`, `B`).
    pub attributes: BTreeMap<String, String>,
    /// The primary key.
    pub key: Key,
    /// Global secondary indexes by name.
    pub indexes: BTreeMap<String, Index>,
    /// The view type, when the table has a stream.
    pub stream: Option<String>,
    /// The attribute that holds the time to live, when it is switched on.
    pub time_to_live: Option<String>,
    /// Whether it is protected from being deleted.
    pub deletion_protection: bool,
}

/// The attributes of a primary or index key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The partition key.
    pub partition: String,
    /// The sort key, if there is one.
    pub sort: Option<String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its key.
    pub key: Key,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// The attributes that an `INCLUDE` projection adds, sorted.
    pub included: Vec<String>,
}

/// An SQS queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in the engine.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// How long a received message stays hidden, in seconds.
    pub visibility_timeout: u32,
    /// How long a message is kept, in seconds.
    pub retention: u32,
    /// How long a message is hidden after it was sent, in seconds.
    pub delay: u32,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// A queue's redrive policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The name of the dead-letter queue in the engine.
    pub target: String,
    /// A message received this often without being deleted moves at its next turn.
    pub max_receive_count: u32,
}

/// An S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in the engine.
    pub name: String,
    /// Whether objects in it are neither replaced nor deleted.
    pub object_lock: bool,
}

/// A secret.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in the engine.
    pub name: String,
    /// What it holds.
    pub value: SecretValue,
}

/// Where a secret's text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretValue {
    /// It is generated once, with this many characters.
    Generated(usize),
    /// A generated text of `length` characters is put under `key` into a JSON object.
    Inside {
        /// The object, as text.
        template: String,
        /// The member that receives the generated text.
        key: String,
        /// How many characters.
        length: usize,
    },
    /// It stands in the template.
    Fixed(String),
}

/// A function.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in Lambda.
    pub name: String,
    /// The alias its versions are published under, if they are.
    pub alias: Option<String>,
    /// The binary it runs.
    pub binary: String,
    /// Its environment variables, every reference resolved.
    pub environment: BTreeMap<String, String>,
    /// How long one invocation may take, in seconds.
    pub timeout: u32,
    /// What its role allows and denies; `None` where it has no role in the template.
    pub role: Option<Vec<Statement>>,
    /// The HTTP routes it answers.
    pub routes: Vec<Route>,
    /// The queues it consumes.
    pub queues: Vec<QueueSource>,
    /// The streams it consumes.
    pub streams: Vec<StreamSource>,
    /// The rates it is called at.
    pub schedules: Vec<ScheduleSource>,
}

/// A statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The policy it stands in.
    pub policy: String,
    /// Its name.
    pub sid: String,
    /// Whether it allows; else it denies.
    pub allows: bool,
    /// What it is about, with wildcards.
    pub actions: Vec<String>,
    /// On what, with wildcards.
    pub resources: Vec<String>,
    /// When: all of them hold.
    pub conditions: Vec<Condition>,
}

/// A condition of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Each value that the request has under the key is like one of these; true of no values.
    All {
        /// The key.
        key: String,
        /// Patterns.
        values: Vec<String>,
    },
    /// The value is one of these.
    Equals {
        /// The key.
        key: String,
        /// The values.
        values: Vec<String>,
    },
    /// There is a value.
    Present {
        /// The key.
        key: String,
    },
}

/// An HTTP API route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method in capitals, `None` for any.
    pub method: Option<String>,
    /// The path with `{name}` and `{name+}` segments, `None` for the `$default` route.
    pub path: Option<String>,
}

/// An SQS event source mapping.
#[derive(Debug, Clone)]
pub struct QueueSource {
    /// The event's name inside the function.
    pub id: String,
    /// The queue's name in the engine.
    pub queue: String,
    /// At most this many messages per invocation.
    pub batch_size: usize,
    /// How long to wait for a batch to fill, in seconds.
    pub window: u32,
    /// At most this many invocations at once.
    pub concurrency: usize,
    /// Whether the function says which messages failed.
    pub reports_failures: bool,
}

/// A DynamoDB stream event source mapping.
#[derive(Debug, Clone)]
pub struct StreamSource {
    /// The event's name inside the function.
    pub id: String,
    /// The table's name in the engine.
    pub table: String,
    /// At most this many records per invocation.
    pub batch_size: usize,
    /// How long to wait for a batch to fill, in seconds.
    pub window: u32,
    /// Whether to begin with the oldest record rather than with the next one.
    pub from_start: bool,
    /// Which records the function wants.
    pub filter: FilterCriteria,
    /// How many batches of one shard may be in progress at once.
    pub parallelization: usize,
    /// How often a failed batch is tried again; `None` without end.
    pub max_retries: Option<u32>,
    /// Records older than this are given up, in seconds; `None` never.
    pub max_age: Option<u32>,
    /// Whether a failed batch is split in two.
    pub bisect: bool,
    /// The name of the queue that is told of records given up.
    pub on_failure: Option<String>,
    /// Whether the function says where in the batch it failed.
    pub reports_failures: bool,
}

/// A schedule of EventBridge.
#[derive(Debug, Clone)]
pub struct ScheduleSource {
    /// The event's name inside the function.
    pub id: String,
    /// The time from one call to the next.
    pub every: Duration,
}

#[cfg(test)]
mod tests;
