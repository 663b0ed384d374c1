//! The platform as a process of its own, to be killed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use artisan_local::ports::{Listeners, PortError};
use http::StatusCode;

use crate::client::{Call, Client};

/// A platform that does not answer within this time after its start will not.
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Why there is no platform to kill.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    /// The program cannot be started.
    #[error("{} cannot be started; build it with -p artisan-local, or name it with --platform", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no port for it.
    #[error(transparent)]
    Port(#[from] PortError),
    /// It does not answer.
    #[error("the platform did not answer within {} s of its start", START.as_secs())]
    Silent,
    /// It ended before it was killed.
    #[error("the platform ended by itself")]
    Ended,
    /// It cannot be killed.
    #[error("the platform cannot be killed")]
    Kill(#[source] io::Error),
}

/// A running platform. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Platform {
    program: PathBuf,
    template: PathBuf,
    data: PathBuf,
    /// Where it is served, over all its lives.
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Platform {
    /// Starts `program` on the fresh directory `data`; returns when it answers.
    ///
    /// # Errors
    /// [`ChildError`]
    pub(crate) async fn start(program: &Path, template: &Path, data: &Path) -> Result<Self, ChildError> {
        // Chosen and let go of, for the program to take, and to take again.
        let port = Listeners::at(0).await?.port;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let child = spawn(program, template, data, port)?;
        let (program, template, data) = (program.to_owned(), template.to_owned(), data.to_owned());
        let mut platform = Self { program, template, data, address, child };
        platform.answers().await?;
        Ok(platform)
    }

    /// Kills it with SIGKILL, so that no handler runs and nothing is flushed, and starts it again; returns when it
    /// answers, and how long that took.
    ///
    /// # Errors
    /// [`ChildError`]
    pub(crate) async fn kill_and_restart(&mut self) -> Result<Duration, ChildError> {
        self.child.kill().and_then(|()| self.child.wait()).map_err(ChildError::Kill)?;
        let killed = Instant::now();
        self.child = spawn(&self.program, &self.template, &self.data, self.address.port())?;
        self.answers().await?;
        Ok(killed.elapsed())
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// [`ChildError::Ended`] when it does not.
    pub(crate) fn runs(&mut self) -> Result<(), ChildError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(ChildError::Ended),
        }
    }

    async fn answers(&mut self) -> Result<(), ChildError> {
        let began = Instant::now();
        while began.elapsed() < START {
            self.runs()?;
            let health = Client::new(self.address).send(Call::get("/health")).await;
            if health.is_ok_and(|answer| answer.status == StatusCode::OK) {
                // Another may have its port, and have answered.
                return self.runs();
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(ChildError::Silent)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, template: &Path, data: &Path, port: u16) -> Result<Child, ChildError> {
    Command::new(program)
        .args(["--port", &port.to_string(), "--template"])
        .arg(template)
        .arg("--data-dir")
        .arg(data)
        .env("WEBHOOK_RETRY_BASE_SECONDS", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|source| ChildError::Start { path: program.to_owned(), source })
}
