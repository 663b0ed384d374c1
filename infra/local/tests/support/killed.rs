//! The platform as a process of its own, to be killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{PATIENCE, port_in};

/// The running platform, killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
}

impl Running {
    /// Returns when it serves. With 0 the port is any that is free.
    pub(crate) async fn start(port: u16, data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_artisan-local"))
            .args(["--port", &port.to_string(), "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the platform starts");
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        // From here on a panic kills it, too.
        let mut running = Self { child, port };
        let port = tokio::task::spawn_blocking(|| {
            said.lines().map_while(Result::ok).find_map(|line| port_in(&line))
        });
        let port = tokio::time::timeout(PATIENCE, port).await.expect("it serves in time").unwrap();
        running.port = port.expect("it serves");
        running
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its API.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
}

impl Api {
    pub(crate) fn of(platform: &Running) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { http, base: format!("http://127.0.0.1:{}", platform.port) }
    }

    /// The answer to a POST; `None` when the platform was not there to give one.
    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Option<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(token);
        let answer =
            request.header("content-type", "application/json").body(body.to_string()).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
    }
}
