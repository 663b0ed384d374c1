//! The platform as a process of its own, to be killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::until;

/// The running platform, killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(port: u16, data: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_artisan-local"))
            .args(["--port", &port.to_string(), "--data-dir"])
            .arg(data)
            .stdout(Stdio::null())
            .spawn()
            .expect("the platform starts");
        Self(child)
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Its API.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
}

impl Api {
    /// The answer to a POST; `None` when the platform was not there to give one.
    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Option<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(token);
        let answer =
            request.header("content-type", "application/json").body(body.to_string()).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
    }

    pub(crate) async fn ready(&self) {
        until("a start", async || self.http.get(format!("{}/health", self.base)).send().await.ok()).await;
    }
}
