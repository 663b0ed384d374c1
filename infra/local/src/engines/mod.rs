//! The engines that stand in for AWS: DynamoDB, SQS, S3, Secrets Manager, SES and Lambda in this process.
//!
//! One dispatch answers all of them from the bytes that the AWS SDK sends. Hosted functions reach it through an HTTP
//! connector without a socket ([`Engines::sdk_config`]), other processes through a loopback port
//! ([`Engines::endpoint`]). Promises the wire behaviour that functions rely on, limits included. Checks no
//! signature, and permissions only of functions that are hosted with them, and so must never listen anywhere but on
//! loopback.

mod connector;
mod dynamodb;
mod endpoint;
mod faults;
pub(crate) mod iam;
pub(crate) mod lambda;
mod meter;
pub mod queues;
pub mod s3;
mod ses;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use clock::Clock;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use serde_json::Value;
use winterbaume_core::{MockRequest, MockService};
use winterbaume_secretsmanager::SecretsManagerService;
use winterbaume_sqs::SqsService;

pub use dynamodb::DynamoDb;
use dynamodb::{Embedded, Remote};
pub(crate) use dynamodb::{KEPT as STREAM_RECORDS_KEPT, Refused, StreamRecord};
use faults::Throttled;
pub use faults::{Faults, Strike};
use iam::Role;
pub use iam::{Ledger, Used};
use lambda::{Functions, Invocation};
pub use meter::{Measured, Meter, Snapshot};
use queues::{Backend, Queues, Ruling, Wire};
use s3::Buckets;

use crate::mailbox::Mailbox;

/// Why the engines cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database engine refused.
    #[error("the database cannot be used")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The directory of objects cannot be made or read.
    #[error("the object store cannot be used")]
    Objects(#[source] std::io::Error),
}

/// Where engines keep what outlives the process.
#[derive(Debug, Clone)]
pub struct Files {
    /// The database file; made if it does not exist.
    pub database: PathBuf,
    /// The directory of objects; made if it does not exist.
    pub objects: PathBuf,
}

/// Where tables and objects are kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// In files.
    Files(Files),
    /// In memory.
    Memory,
    /// Objects in memory, and tables by the DynamoDB at this address, which keeps those of each access key apart.
    Remote(Uri),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files(files) => files.database.display().fmt(f),
            Self::Memory => f.write_str(":memory:"),
            Self::Remote(address) => address.fmt(f),
        }
    }
}

/// Where clients in this process believe the engines are, unless they are told another address.
pub const ADDRESS: &str = "http://aws.localhost";

/// The answer to one call.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

const AMZ_JSON: &str = "application/x-amz-json-1.0";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// All engines. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Engines(Arc<Inner>);

struct Inner {
    meter: Arc<Meter>,
    ledger: Ledger,
    faults: Faults,
    dynamodb: DynamoDb,
    queues: Queues,
    objects: Arc<Buckets>,
    limits: Wire,
    sqs: SqsService,
    secrets: SecretsManagerService,
    mailbox: Mailbox,
    /// Whoever hosts the functions keeps them: they themselves hold on to the engines.
    functions: OnceLock<Weak<Functions>>,
    address: String,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engines")
    }
}

impl Engines {
    /// Engines that keep tables and objects in `place`. Queues, links to objects and times to
    /// live go by `clock`; with `metering`, consumed capacity is recorded. `address` is where other processes reach them:
    /// links to objects lead there.
    ///
    /// # Errors
    /// [`EngineError`] when the database or the directory of objects cannot be opened.
    pub fn open(place: &Place, clock: &Clock, metering: bool, address: &str) -> Result<Self, EngineError> {
        let meter = Arc::new(Meter::new(metering));
        let counter = Arc::clone(&meter);
        let dynamodb = match place {
            Place::Files(Files { database, .. }) => {
                DynamoDb::Embedded(Box::new(Embedded::on_disk(database, counter)?))
            }
            Place::Memory => DynamoDb::Embedded(Box::new(Embedded::in_memory(clock, counter)?)),
            Place::Remote(address) => DynamoDb::Remote(Box::new(Remote::at(address, clock, counter)?)),
        };
        let objects = match place {
            Place::Files(Files { objects, .. }) => Buckets::on_disk(objects, clock.clone())?,
            Place::Memory | Place::Remote(_) => Buckets::in_memory(clock.clone()),
        };
        let queues = Queues::new(clock.clone());
        Ok(Self(Arc::new(Inner {
            meter,
            ledger: Ledger::default(),
            faults: Faults::default(),
            dynamodb,
            limits: Wire(queues.clone()),
            sqs: SqsService::with_backend(Arc::new(Backend(queues.clone()))),
            queues,
            objects: Arc::new(objects),
            secrets: SecretsManagerService::new(),
            mailbox: Mailbox::new(clock.clone()),
            functions: OnceLock::new(),
            address: address.to_owned(),
        })))
    }

    /// Counters of every call.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// What functions did by their roles, where those are enforced.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// The database.
    #[must_use]
    pub fn dynamodb(&self) -> &DynamoDb {
        &self.0.dynamodb
    }

    /// The queues.
    #[must_use]
    pub fn queues(&self) -> &Queues {
        &self.0.queues
    }

    /// The buckets.
    #[must_use]
    pub fn objects(&self) -> &Buckets {
        &self.0.objects
    }

    /// The mails that were sent.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        &self.0.mailbox
    }

    /// Has these functions be the ones that are invoked, for as long as there are they. The first ones stay.
    pub(crate) fn host(&self, functions: &Arc<Functions>) {
        self.0.functions.get_or_init(|| Arc::downgrade(functions));
    }

    /// Faults to order, for tests.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Answers one call: `target` is the `X-Amz-Target` header, `Service_Version.Operation`.
    pub async fn dispatch(&self, target: &str, body: Bytes) -> Answer {
        let (_, operation) = target.split_once('.').unwrap_or_default();
        self.0.faults.pass(operation, &body).await;
        match self.0.faults.striking(operation, &body) {
            None => self.carry_out(target, body).await,
            Some((Strike::Before, answer)) => answer,
            Some((Strike::After, answer)) => {
                self.carry_out(target, body).await;
                answer
            }
        }
    }

    /// Answers one call of the REST protocol, which names its operation by method and path; `None` when it is none
    /// that the platform has.
    pub fn dispatch_rest(&self, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        if method != "POST" || path != ses::PATH {
            return None;
        }
        self.0.meter.call(ses::SEND_EMAIL, "");
        let send = || ses::send(&self.0.mailbox, body);
        Some(match self.0.faults.striking(ses::SEND_EMAIL, body) {
            None => send(),
            Some((Strike::Before, answer)) => answer,
            Some((Strike::After, answer)) => {
                send();
                answer
            }
        })
    }

    /// Answers one call of Lambda.
    pub async fn dispatch_lambda(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.dispatch_lambda_as(None, request).await
    }

    /// The same, as far as the caller's role allows it.
    async fn dispatch_lambda_as(&self, role: Option<&Role>, request: Request<Bytes>) -> Response<Bytes> {
        let invocation = match Invocation::read(request) {
            Ok(invocation) => invocation,
            Err(refused) => return refused.reply(),
        };
        if let Some(why) = role.and_then(|role| role.judge_invocation(&invocation.arn(), self.ledger())) {
            return lambda::Refusal::denied(why).reply();
        }
        self.0.meter.call(lambda::INVOKE, &invocation.function);
        let struck = self.0.faults.striking(lambda::INVOKE, &invocation.payload);
        if let Some((Strike::Before, answer)) = struck {
            return lambda::ordered(answer);
        }
        let functions = self.0.functions.get().and_then(Weak::upgrade);
        let reply = invocation.answer(functions.as_deref()).await;
        match struck {
            Some((_, answer)) => lambda::ordered(answer),
            None => reply,
        }
    }

    /// Answers one call of S3, whose protocol is one of its own. What it has to do with files is done where it may block.
    pub async fn dispatch_s3(&self, call: s3::Call) -> s3::Reply {
        self.dispatch_s3_as(None, call).await
    }

    /// The same, as far as the caller's role allows it.
    async fn dispatch_s3_as(&self, role: Option<&Role>, call: s3::Call) -> s3::Reply {
        let request = match s3::Request::read(&call) {
            Ok(request) => request,
            Err(refused) => return refused.reply(),
        };
        if let Some(why) = role.and_then(|role| role.judge_object(&request, self.ledger())) {
            return s3::Reply::forbidden(why);
        }
        let (operation, bucket) = request.names();
        self.0.meter.call(operation, bucket);
        let struck = self.0.faults.striking(operation, &[]);
        if let Some((Strike::Before, answer)) = struck {
            return s3::Reply::ordered(answer);
        }
        let objects = Arc::clone(&self.0.objects);
        let carried_out = tokio::task::spawn_blocking(move || objects.answer(&request, &call)).await;
        match (struck, carried_out) {
            (Some((_, answer)), _) => s3::Reply::ordered(answer),
            (None, Ok(reply)) => reply,
            (None, Err(error)) => s3::Reply::failed(&error),
        }
    }

    async fn carry_out(&self, target: &str, body: Bytes) -> Answer {
        let (service, operation) = target.split_once('.').unwrap_or_default();
        match service {
            "DynamoDB_20120810" | "DynamoDBStreams_20120810" => {
                let answer = async |body: Bytes| {
                    let (status, body) = self.0.dynamodb.dispatch(operation, body).await;
                    Answer { status, content_type: AMZ_JSON, body }
                };
                match self.0.faults.throttling(operation, &body) {
                    None => answer(body).await,
                    Some(Throttled::Refused(refused)) => refused,
                    Some(Throttled::InPart(rest, back)) => with(answer(rest).await, "UnprocessedKeys", back),
                }
            }
            "AmazonSQS" => self.dispatch_sqs(target, operation, body).await,
            "secretsmanager" => {
                self.0.meter.call(operation, &secret_of(&body));
                delegate(&self.0.secrets, target, body, "application/x-amz-json-1.1").await
            }
            _ => Answer {
                status: 400,
                content_type: AMZ_JSON,
                body: Bytes::from_static(
                    br#"{"__type":"UnknownOperationException","message":"The local platform has no such service."}"#,
                ),
            },
        }
    }

    async fn dispatch_sqs(&self, target: &str, operation: &str, body: Bytes) -> Answer {
        self.0.meter.call(operation, &Wire::queue(&body));
        match self.0.limits.rule(operation, body).await {
            Ruling::Answered(status, body) => Answer { status, content_type: AMZ_JSON, body: body.into() },
            Ruling::PassOn(body) => delegate(&self.0.sqs, target, body, AMZ_JSON).await,
            Ruling::InPart(body, failed) => {
                // All the entries that are left are taken: what else they could fail by was refused before.
                with(delegate(&self.0.sqs, target, body, AMZ_JSON).await, "Failed", failed.into())
            }
        }
    }
}

/// Whether an `Authorization` header signs with a credential whose scope ends in this.
fn is_signed(authorization: &str, scope: &str) -> bool {
    authorization.starts_with("AWS4-HMAC-SHA256 ")
        && authorization
            .split([',', ' '])
            .any(|part| part.starts_with("Credential=") && part.ends_with(scope))
}

/// An answer that also says this.
fn with(answer: Answer, name: &str, more: Value) -> Answer {
    let Ok(Value::Object(mut told)) = serde_json::from_slice(&answer.body) else { return answer };
    told.insert(name.to_owned(), more);
    Answer { body: Value::Object(told).to_string().into(), ..answer }
}

fn secret_of(body: &[u8]) -> String {
    let request: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let name = request.as_ref().and_then(|it| it.get("SecretId").or_else(|| it.get("Name"))?.as_str());
    name.unwrap_or_default().to_owned()
}

async fn delegate(
    service: &dyn MockService,
    target: &str,
    body: Bytes,
    content_type: &'static str,
) -> Answer {
    let mut headers = HeaderMap::new();
    if let Ok(target) = HeaderValue::from_str(target) {
        headers.insert(TARGET, target);
    }
    let request =
        MockRequest { method: "POST".to_owned(), uri: "http://localhost/".to_owned(), headers, body };
    let response = service.handle(request).await;
    Answer { status: response.status, content_type, body: response.body }
}

#[cfg(test)]
mod tests;
