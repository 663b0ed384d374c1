//! The platform itself: a template made to run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::any;
use clock::{Clock, LeadingClock};
use http::Uri;
use runtime::{AwsClients, Services};

use crate::data_directory::{DataDirectory, DataError, Keep};
use crate::engines::lambda::Functions;
use crate::engines::queues::{Depth, Waiting};
use crate::engines::{self, EngineError, Engines, Place, STREAM_RECORDS_KEPT};
use crate::event_sources::{EventSourceError, EventSources, ScheduleError};
use crate::gateway::{Gateway, RouteError};
use crate::host::{self, HostError, Surroundings};
use crate::inbox::Inbox;
use crate::mailbox::Mailbox;
use crate::moving_clock::{self, MovingClock};
use crate::provision::{ProvisionError, provision};
use crate::recovery::{RecoveryError, reenqueue_mails, reenqueue_owed};
use crate::registry::{Hosted, Registry};
use crate::shutdown::Shutdown;
use crate::signatures;
use crate::template::{Template, TemplateError};

/// The function that signs webhooks; what it needs for that, checking them needs too.
const DELIVER: &str = "deliver";
/// How often expired items and old stream records are cleared away.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Where the platform keeps its state.
#[derive(Debug, Clone)]
pub enum Data {
    /// In this directory, which is made if need be.
    Directory(PathBuf),
    /// Nowhere: everything is gone with the platform.
    Memory,
    /// The tables by the DynamoDB at this address, as tables of this platform alone; the rest nowhere.
    DynamoDbAt(Uri),
}

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template.
    pub template: PathBuf,
    /// Where state is kept.
    pub data: Data,
    /// "Now" for functions, queues and, in memory, the tables.
    pub clock: Clock,
    /// What moves that clock, where people may; `/_local/clock` is served then.
    pub hand: Option<LeadingClock>,
    /// Variables that every function is given, over its own.
    pub environment: BTreeMap<String, String>,
    /// Whether consumed capacity is recorded.
    pub metering: bool,
    /// Whether functions may do only what the template's policies allow them.
    pub permissions: bool,
    /// Where the AWS endpoint is for others: links to objects lead there.
    pub aws_address: String,
    /// The functions there are.
    pub registry: Registry,
}

impl Options {
    /// Artisan's functions in memory, on the operating system's clock, without metering and with every permission.
    #[must_use]
    pub fn new(template: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            data: Data::Memory,
            clock: Clock::system(),
            hand: None,
            environment: BTreeMap::new(),
            metering: false,
            permissions: false,
            aws_address: engines::ADDRESS.to_owned(),
            registry: Registry::artisan(),
        }
    }
}

/// Why the platform cannot start. With its sources it is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The database or the objects beside it cannot be opened.
    #[error(
        "the database {place}, or the objects beside it, cannot be opened; restore it, or delete the data directory to start afresh"
    )]
    Database {
        /// The file, or what is in place of one.
        place: String,
        /// What the engine said.
        #[source]
        source: EngineError,
    },
    /// What the template declares cannot be made.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A function cannot be hosted.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A route cannot be served.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// An event source cannot be polled.
    #[error(transparent)]
    EventSource(#[from] EventSourceError),
    /// What was owed cannot be queued again.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

/// A running platform. Cheap to clone; clones are the same platform.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    template: Template,
    registry: Registry,
    engines: Engines,
    surroundings: Surroundings,
    clock: Clock,
    /// Held for the engines, which invoke them.
    _functions: Arc<Functions>,
    gateway: Gateway,
    sources: EventSources,
    inbox: Inbox,
    moving: Option<MovingClock>,
    keep: Arc<Keep>,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Platform")
    }
}

impl Platform {
    /// Builds everything the template declares and starts its functions. Nothing is served or polled yet.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub async fn start(options: Options) -> Result<Self, PlatformError> {
        let Options {
            template,
            data,
            clock,
            hand,
            environment,
            metering,
            permissions,
            aws_address,
            registry,
        } = options;
        let template = Template::read(&template)?;
        let (keep, place) = match data {
            Data::Memory => (Keep::memory(), Place::Memory),
            Data::DynamoDbAt(address) => (Keep::memory(), Place::Remote(address)),
            Data::Directory(path) => {
                let directory = DataDirectory::open(&path)?;
                let files = directory.engines();
                (Keep::Directory(directory), Place::Files(files))
            }
        };
        let keep = Arc::new(keep);
        let moving = hand.map(|hand| MovingClock::resume(clock.clone(), hand, &keep)).transpose()?;
        let engines = Engines::open(&place, &clock, metering, &aws_address)
            .map_err(|source| PlatformError::Database { place: place.to_string(), source })?;
        provision(&template, &engines, &keep).await?;
        let aws = AwsClients::from_config(&engines.sdk_config().await);
        let judge = permissions.then(|| engines.clone());
        let surroundings =
            Surroundings { aws, overrides: environment, judge, has_moving_clock: moving.is_some() };
        let hosted = host::start(&template, &registry, &surroundings, &clock).await?;
        let functions = Arc::new(Functions::new(&template, &hosted, &clock));
        engines.host(&functions);
        let gateway = gateway(&template, &hosted, &clock)?;
        let sources =
            EventSources::connect(template.functions.iter().zip(&hosted), &engines, &clock, &keep).await?;
        let platform = Self(Arc::new(Inner {
            template,
            registry,
            engines,
            surroundings,
            _functions: functions,
            gateway,
            sources,
            inbox: Inbox::new(clock.clone()),
            clock,
            moving,
            keep,
        }));
        if let Some(services) = platform.services_for(DELIVER) {
            match signatures::verifier(&services).await {
                Ok(verifier) => platform.inbox().verify_with(verifier),
                Err(error) => tracing::warn!(%error, "the inbox cannot check signatures"),
            }
        }
        platform.clear_streams().await;
        let owed = reenqueue_owed(&platform).await?;
        if owed > 0 {
            tracing::info!(owed, "deliveries that were still owed are queued again");
        }
        reenqueue_mails(&platform).await?;
        platform.engines().meter().reset();
        Ok(platform)
    }

    /// The template that is running.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.0.template
    }

    /// The engines that stand in for AWS.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        &self.0.engines
    }

    /// The clock everything goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The inbox for webhooks.
    #[must_use]
    pub fn inbox(&self) -> &Inbox {
        &self.0.inbox
    }

    /// The mails that functions sent.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        self.engines().mailbox()
    }

    /// What moves the clock, where people may.
    pub(crate) fn moving_clock(&self) -> Option<&MovingClock> {
        self.0.moving.as_ref()
    }

    /// Has everything that waits for a time look again: the clock has been moved.
    pub(crate) fn look_at_the_clock(&self) {
        self.engines().queues().wake();
        let platform = self.clone();
        tokio::spawn(async move {
            for error in platform.run_schedules().await {
                tracing::error!(error = crate::cli::one_line(&error), "a scheduled call failed");
            }
        });
    }

    pub(crate) fn keep(&self) -> &Keep {
        &self.0.keep
    }

    /// The routes that are served, most specific first.
    pub fn route_keys(&self) -> impl Iterator<Item = &str> {
        self.0.gateway.route_keys()
    }

    /// The HTTP API and the platform's own pages under `/_local/`, as one service.
    pub fn router(&self) -> Router {
        let own = self.0.inbox.router().merge(self.mailbox().router()).merge(moving_clock::router(self));
        own.fallback(any(call)).with_state(self.clone())
    }

    /// The HTTP API as other functions would serve it that read "now" from `clock`: a second set of the same
    /// functions over the same engines. For filling tables with a past.
    ///
    /// # Errors
    /// [`PlatformError`] when a function does not start.
    pub async fn router_at(&self, clock: &Clock) -> Result<Router, PlatformError> {
        let Inner { template, registry, surroundings, .. } = &*self.0;
        let hosted = host::start(template, registry, surroundings, clock).await?;
        let gateway = gateway(template, &hosted, clock)?;
        Ok(Router::new().fallback(move |request: Request| {
            let gateway = gateway.clone();
            async move { gateway.answer(request).await }
        }))
    }

    /// The services that the function built from `binary` was given, with every permission; `None` when the template has no
    /// such function.
    #[must_use]
    pub fn services_for(&self, binary: &str) -> Option<Services> {
        let function = self.0.template.function(binary)?;
        Some(self.0.surroundings.services(function, self.0.clock.clone()))
    }

    /// The variables of the function built from `binary`; `None` when the template has no such function.
    #[must_use]
    pub fn variables_of(&self, binary: &str) -> Option<BTreeMap<String, String>> {
        Some(self.0.surroundings.variables(self.0.template.function(binary)?))
    }

    /// The variables of all functions together, for running them outside the platform against its AWS endpoint.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let Inner { template, surroundings, .. } = &*self.0;
        let functions = template.functions.iter();
        functions.flat_map(|function| surroundings.variables(function)).collect()
    }

    /// Polls queues and streams and keeps schedules until `shutdown`; the task ends when the batches in progress are done.
    pub fn spawn_event_sources(&self, shutdown: Shutdown) -> tokio::task::JoinHandle<()> {
        let platform = self.clone();
        tokio::spawn(async move {
            let housekeeping = tokio::spawn(platform.clone().keep_house(shutdown.clone()));
            platform.0.sources.run(shutdown).await;
            housekeeping.abort();
        })
    }

    /// Does, in line, everything that queues and streams hold for the present instant, and what follows from it;
    /// returns the number of invocations. Schedules are not among it. For tests with a manual clock.
    pub async fn drain(&self) -> usize {
        self.0.sources.drain().await
    }

    /// Calls every scheduled function once, in line and one after the other, and gives the errors of those that failed.
    /// For tests with a manual clock.
    pub async fn run_schedules(&self) -> Vec<ScheduleError> {
        self.0.sources.run_schedules().await
    }

    /// How full the queue with this logical id is; `None` when the template has no such queue.
    #[must_use]
    pub fn depth(&self, logical_id: &str) -> Option<Depth> {
        let queue = self.0.template.queue(logical_id)?;
        self.engines().queues().depth(&queue.name).ok()
    }

    /// The messages in the queue with this logical id, without receiving them; empty when there is no such queue.
    #[must_use]
    pub fn messages(&self, logical_id: &str) -> Vec<Waiting> {
        let queue = self.0.template.queue(logical_id);
        queue.and_then(|queue| self.engines().queues().messages(&queue.name).ok()).unwrap_or_default()
    }

    /// The physical name of the table with this logical id.
    #[must_use]
    pub fn table_name(&self, logical_id: &str) -> Option<&str> {
        self.0.template.table(logical_id).map(|table| table.name.as_str())
    }

    async fn keep_house(self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
            self.clear_streams().await;
            let platform = self.clone();
            let swept = tokio::task::spawn_blocking(move || platform.engines().dynamodb().sweep()).await;
            if let Ok(Err(error)) = swept {
                tracing::warn!(%error, "expired items could not be removed");
            }
        }
    }

    /// Removes stream records that are old and read.
    async fn clear_streams(&self) {
        let before = self.0.clock.now() - STREAM_RECORDS_KEPT;
        for table in self.0.template.tables.iter().filter(|table| table.stream.is_some()) {
            let read_up_to = self.0.sources.read_up_to(&table.name).await;
            let (platform, name) = (self.clone(), table.name.clone());
            let trimmed = tokio::task::spawn_blocking(move || {
                let streams = platform.engines().dynamodb().stream_table();
                streams.map_or(Ok(0), |streams| streams.trim(&name, before, read_up_to.as_deref()))
            });
            match trimmed.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "old stream records could not be removed"),
                Err(error) => tracing::warn!(%error, "old stream records could not be removed"),
            }
        }
    }
}

async fn call(State(platform): State<Platform>, request: Request) -> axum::response::Response {
    platform.0.gateway.answer(request).await
}

fn gateway(template: &Template, hosted: &[Hosted], clock: &Clock) -> Result<Gateway, RouteError> {
    let functions = template.functions.iter().zip(hosted).filter_map(|(function, hosted)| match hosted {
        Hosted::Http(router) => Some((function.routes.as_slice(), router.clone())),
        Hosted::Queue(_) | Hosted::Stream(_) | Hosted::Schedule(_) => None,
    });
    Gateway::new(clock.clone(), functions)
}

#[cfg(test)]
mod tests;
