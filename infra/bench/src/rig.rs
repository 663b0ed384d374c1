//! A platform to measure: the local platform on a fresh directory, served on a free port of loopback.
//!
//! It runs on threads of its own, as it does under `cargo run`; the load and the receiver share none of them. Every
//! measurement gets a new one, so that none inherits the data or the backlog of another.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use artisan_local::shutdown::{self, Shutdown, Trigger};
use artisan_local::template::Template;
use artisan_local::{Data, Options, Platform, PlatformError, server};
use axum::Router;
use clock::{Clock, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cpu::PLATFORM_THREADS;
use crate::store::StoreUse;

/// Work in progress may take this long to finish when a platform is stopped; then it is left.
const GRACE: Duration = Duration::from_secs(3);
const LANES: [&str; 2] = ["WebhookJobsQueue", "WebhookRetriesQueue"];

/// Why there is no platform to measure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RigError {
    /// It does not start.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// No port, no thread.
    #[error("the operating system gives no port or thread")]
    System(#[source] io::Error),
    /// No directory for its state.
    #[error("the directory {} for the platform's state cannot be made", path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The directory is not fresh.
    #[error("{} exists; what is measured must be fresh: remove it or choose another with --data-dir", path.display())]
    NotFresh {
        /// Which.
        path: PathBuf,
    },
    /// It panicked while it started.
    #[error("the platform could not be started")]
    Start(#[source] tokio::task::JoinError),
}

/// Where platforms are started.
#[derive(Debug)]
pub(crate) struct Workshop {
    threads: tokio::runtime::Runtime,
    template: PathBuf,
    data_dir: Option<PathBuf>,
}

/// What kind of platform is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind<'a> {
    /// Names its directory.
    pub(crate) name: &'a str,
    /// Whether capacity units are recorded, which takes time.
    pub(crate) metering: bool,
    /// Whether streams and queues are polled.
    pub(crate) event_sources: bool,
}

/// A platform that is being served.
pub(crate) struct Rig {
    platform: Platform,
    /// Where it is served.
    pub(crate) address: SocketAddr,
    trigger: Trigger,
    shutdown: Shutdown,
    threads: Handle,
    tasks: Vec<JoinHandle<()>>,
    /// Removed with the rig.
    _state: Option<TempDir>,
}

impl Workshop {
    /// Where platforms run `template`. Their state is kept under `data_dir`, if one is given.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn open(template: PathBuf, data_dir: Option<&Path>) -> Result<Self, RigError> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .thread_name(PLATFORM_THREADS)
            .enable_all()
            .build()
            .map_err(RigError::System)?;
        Ok(Self { threads, template, data_dir: data_dir.map(Path::to_owned) })
    }

    /// Starts a platform.
    ///
    /// # Errors
    /// [`RigError`]
    pub(crate) async fn start(&self, kind: Kind<'_>) -> Result<Rig, RigError> {
        let (state, directory) = self.directory(kind.name)?;
        let options = Options {
            data: Data::Directory(directory),
            metering: kind.metering,
            // A delivery that failed is to show up as late, not as lost.
            environment: BTreeMap::from([("WEBHOOK_RETRY_BASE_SECONDS".to_owned(), "1".to_owned())]),
            ..Options::new(self.template.clone())
        };
        let (trigger, shutdown) = shutdown::channel();
        let started = self.threads.spawn(start(options, kind.event_sources, shutdown.clone()));
        let (platform, address, tasks) = started.await.map_err(RigError::Start)??;
        let threads = self.threads.handle().clone();
        Ok(Rig { platform, address, trigger, shutdown, threads, tasks, _state: state })
    }

    /// The template that platforms run.
    pub(crate) fn template(&self) -> &Path {
        &self.template
    }

    /// A fresh directory for a platform's state; it is removed with the first value, if there is one.
    ///
    /// # Errors
    /// [`RigError::Directory`], [`RigError::NotFresh`]
    pub(crate) fn directory(&self, name: &str) -> Result<(Option<TempDir>, PathBuf), RigError> {
        let Some(parent) = &self.data_dir else {
            let failed = |source| RigError::Directory { path: std::env::temp_dir(), source };
            let state = tempfile::Builder::new().prefix("artisan-bench-").tempdir().map_err(failed)?;
            let path = state.path().to_owned();
            return Ok((Some(state), path));
        };
        let path = parent.join(name);
        std::fs::create_dir_all(parent).and_then(|()| std::fs::create_dir(&path)).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                RigError::NotFresh { path: path.clone() }
            } else {
                RigError::Directory { path: path.clone(), source }
            }
        })?;
        Ok((None, path))
    }

    /// Stops whatever still runs.
    pub(crate) fn close(self) {
        self.threads.shutdown_background();
    }
}

type Started = (Platform, SocketAddr, Vec<JoinHandle<()>>);

async fn start(options: Options, event_sources: bool, shutdown: Shutdown) -> Result<Started, RigError> {
    let platform = Platform::start(options).await?;
    let (address, server) = serve(platform.router(), shutdown.clone()).await?;
    let mut tasks = vec![server];
    if event_sources {
        tasks.push(platform.spawn_event_sources(shutdown));
    }
    Ok((platform, address, tasks))
}

async fn serve(router: Router, shutdown: Shutdown) -> Result<(SocketAddr, JoinHandle<()>), RigError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(RigError::System)?;
    let address = listener.local_addr().map_err(RigError::System)?;
    Ok((address, tokio::spawn(server::serve(listener, router, shutdown))))
}

impl Rig {
    /// The present, as the platform sees it.
    pub(crate) fn now(&self) -> Timestamp {
        self.platform.clock().now()
    }

    /// Serves the same API once more, by another clock.
    ///
    /// # Errors
    /// [`RigError`]
    pub(crate) async fn at(&mut self, clock: Clock) -> Result<SocketAddr, RigError> {
        let (platform, shutdown) = (self.platform.clone(), self.shutdown.clone());
        let started =
            self.threads.spawn(async move { serve(platform.router_at(&clock).await?, shutdown).await });
        let (address, server) = started.await.map_err(RigError::Start)??;
        self.tasks.push(server);
        Ok(address)
    }

    /// Deliveries that are still to be made or recorded.
    pub(crate) fn jobs(&self) -> usize {
        LANES.iter().filter_map(|lane| self.platform.depth(lane)).map(|depth| depth.total()).sum()
    }

    /// Serves what stands in for AWS, for processes other than this one.
    ///
    /// # Errors
    /// [`RigError`]
    pub(crate) async fn aws(&mut self) -> Result<SocketAddr, RigError> {
        let (endpoint, shutdown) = (self.platform.engines().endpoint(), self.shutdown.clone());
        let started = self.threads.spawn(serve(endpoint, shutdown));
        let (address, server) = started.await.map_err(RigError::Start)??;
        self.tasks.push(server);
        Ok(address)
    }

    /// The template that is running.
    pub(crate) fn template(&self) -> &Template {
        self.platform.template()
    }

    /// The variables of the function built from `binary`.
    pub(crate) fn variables(&self, binary: &str) -> Option<BTreeMap<String, String>> {
        self.platform.variables_of(binary)
    }

    /// The body of the message that came last into the queue with this logical id.
    pub(crate) fn last_message(&self, queue: &str) -> Option<String> {
        self.platform.messages(queue).last().map(|message| message.body.to_string())
    }

    /// Polls streams and queues from now on, on a platform that was started without.
    pub(crate) fn poll(&mut self) {
        let _threads = self.threads.enter();
        self.tasks.push(self.platform.spawn_event_sources(self.shutdown.clone()));
    }

    /// Starts counting calls of the store from nothing.
    pub(crate) fn reset_meter(&self) {
        self.platform.engines().meter().reset();
    }

    /// The calls of the store since then.
    pub(crate) fn store_use(&self) -> StoreUse {
        StoreUse::of(&self.platform.engines().meter().snapshot(), self.platform.template())
    }

    /// Stops the platform and removes its state, unless that is to be kept.
    pub(crate) async fn stop(self) {
        self.trigger.request();
        let finished = async {
            for task in self.tasks {
                // A panic has been reported where it happened.
                let _ = task.await;
            }
        };
        // What hangs is meant to, or shows in the figures.
        let _ = tokio::time::timeout(GRACE, finished).await;
    }
}
