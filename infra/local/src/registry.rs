//! Which code answers to which function name.
//!
//! The template names functions by their binary; the registry knows the libraries behind those binaries. A function
//! that the template declares and the registry does not know stops the platform at the start.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use aws_lambda_events::event::dynamodb;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use axum::Router;
use futures::future::BoxFuture;
use runtime::{Services, StartError};
use serde_json::Value;
use store::BoxError;

/// Handles a batch of stream records.
pub type StreamHandler =
    Arc<dyn Fn(dynamodb::Event) -> BoxFuture<'static, DynamoDbEventResponse> + Send + Sync>;
/// Handles a batch of messages.
pub type QueueHandler = Arc<dyn Fn(SqsEvent) -> BoxFuture<'static, SqsBatchResponse> + Send + Sync>;
/// Does what is due, given the event that EventBridge sends.
pub type ScheduleHandler = Arc<dyn Fn(Value) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// A started function.
#[derive(Clone)]
pub enum Hosted {
    /// It answers HTTP requests.
    Http(Router),
    /// It consumes a stream.
    Stream(StreamHandler),
    /// It consumes a queue.
    Queue(QueueHandler),
    /// It is called at a rate.
    Schedule(ScheduleHandler),
}

type Start = Arc<dyn Fn(Services) -> BoxFuture<'static, Result<Hosted, StartError>> + Send + Sync>;

/// Functions by the name of their binary.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<String, Start>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Registry {
    /// No functions.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every function of Artisan.
    #[must_use]
    pub fn artisan() -> Self {
        Self::empty()
            .http("api-keys", |services| async move { fn_api_keys::router(&services).await })
            .http("audit-logs", |services| async move { fn_audit_logs::router(&services).await })
            .http("auth", |services| async move { fn_auth::router(&services).await })
            .http("campaigns", |services| async move { fn_campaigns::router(&services).await })
            .http("console", |services| async move { fn_console::router(&services).await })
            .http("docs", |services| async move { fn_docs::router(&services).await })
            .http("leads", |services| async move { fn_leads::router(&services).await })
            .http("meetings", |services| async move { fn_meetings::router(&services).await })
            .http("organizations", |services| async move { fn_organizations::router(&services).await })
            .http("webhooks", |services| async move { fn_webhooks::router(&services).await })
            .schedule("sweep", |services| async move {
                let sweep = Arc::new(fn_sweep::handler(&services).await?);
                Ok(move |_| {
                    let sweep = Arc::clone(&sweep);
                    async move { sweep.run().await.map_err(store::BoxError::from) }
                })
            })
            .http("users", |services| async move { fn_users::router(&services).await })
            .http("workspaces", |services| async move { fn_workspaces::router(&services).await })
            .stream("fanout", |services| async move {
                let function = Arc::new(fn_fanout::handler(&services).await?);
                Ok(move |event| {
                    let function = Arc::clone(&function);
                    async move { function.handle(event).await }
                })
            })
            .stream("seal", |services| async move {
                let function = Arc::new(fn_seal::handler(&services).await?);
                Ok(move |event| {
                    let function = Arc::clone(&function);
                    async move { function.handle(event).await }
                })
            })
            .queue("mail", |services| async move {
                let function = fn_mail::handler(&services).await?;
                Ok(move |event| {
                    let function = function.clone();
                    async move { function.handle(event).await }
                })
            })
            .queue("worker", |services| async move {
                let function = fn_worker::handler(&services).await?;
                Ok(move |event| {
                    let function = function.clone();
                    async move { function.handle(event).await }
                })
            })
            .queue("deliver", |services| async move {
                let function = Arc::new(fn_deliver::handler(&services).await?);
                Ok(move |event| {
                    let function = Arc::clone(&function);
                    async move { function.handle(event).await }
                })
            })
    }

    /// Adds a function that answers HTTP requests.
    #[must_use]
    pub fn http<S, F>(self, binary: &str, start: S) -> Self
    where
        S: Fn(Services) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Router, StartError>> + Send + 'static,
    {
        self.with(
            binary,
            Arc::new(move |services| {
                let started = start(services);
                Box::pin(async move { Ok(Hosted::Http(started.await?)) })
            }),
        )
    }

    /// Adds a function that consumes a stream.
    #[must_use]
    pub fn stream<S, F, H, R>(self, binary: &str, start: S) -> Self
    where
        S: Fn(Services) -> F + Send + Sync + 'static,
        F: Future<Output = Result<H, StartError>> + Send + 'static,
        H: Fn(dynamodb::Event) -> R + Send + Sync + 'static,
        R: Future<Output = DynamoDbEventResponse> + Send + 'static,
    {
        self.with(
            binary,
            Arc::new(move |services| {
                let started = start(services);
                Box::pin(async move {
                    let handler = started.await?;
                    let handler: StreamHandler = Arc::new(move |event| Box::pin(handler(event)));
                    Ok(Hosted::Stream(handler))
                })
            }),
        )
    }

    /// Adds a function that consumes a queue.
    #[must_use]
    pub fn queue<S, F, H, R>(self, binary: &str, start: S) -> Self
    where
        S: Fn(Services) -> F + Send + Sync + 'static,
        F: Future<Output = Result<H, StartError>> + Send + 'static,
        H: Fn(SqsEvent) -> R + Send + Sync + 'static,
        R: Future<Output = SqsBatchResponse> + Send + 'static,
    {
        self.with(
            binary,
            Arc::new(move |services| {
                let started = start(services);
                Box::pin(async move {
                    let handler = started.await?;
                    let handler: QueueHandler = Arc::new(move |event| Box::pin(handler(event)));
                    Ok(Hosted::Queue(handler))
                })
            }),
        )
    }

    /// Adds a function that is called at a rate.
    #[must_use]
    pub fn schedule<S, F, H, R>(self, binary: &str, start: S) -> Self
    where
        S: Fn(Services) -> F + Send + Sync + 'static,
        F: Future<Output = Result<H, StartError>> + Send + 'static,
        H: Fn(Value) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.with(
            binary,
            Arc::new(move |services| {
                let started = start(services);
                Box::pin(async move {
                    let handler = started.await?;
                    let handler: ScheduleHandler = Arc::new(move |event| Box::pin(handler(event)));
                    Ok(Hosted::Schedule(handler))
                })
            }),
        )
    }

    fn with(mut self, binary: &str, start: Start) -> Self {
        self.0.insert(binary.to_owned(), start);
        self
    }

    /// Starts a function; `None` when it is unknown.
    pub(crate) async fn start(&self, binary: &str, services: Services) -> Option<Result<Hosted, StartError>> {
        let start = self.0.get(binary)?;
        Some(start(services).await)
    }
}
