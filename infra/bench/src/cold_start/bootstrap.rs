//! A function's program as a process: started to the moment, and looked at from outside.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::ColdStartError;
use super::quota::Quota;

/// Says that it is there, waits for a word, and becomes the program. So the program is started in one step, at a moment of our
/// choosing, and is held to a quota before it has begun.
const STARTER: &str = r#"echo && read -r _ && exec "$0" 2>&1"#;
/// So many of the last lines that a function wrote are kept, to say why it failed.
const LINES_KEPT: usize = 5;

/// The process of a function. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    child: Child,
    process: u32,
    before: Duration,
    written: Arc<Mutex<Vec<String>>>,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    /// Processor time, of the user's and of the system's.
    pub(crate) processor: Duration,
    /// The most memory that was resident at once, in KiB.
    pub(crate) peak_kib: u64,
}

impl Bootstrap {
    /// Makes everything ready for `program` to start with these variables alone.
    ///
    /// # Errors
    /// [`ColdStartError`]
    pub(crate) async fn prepare(
        program: &Path,
        variables: &BTreeMap<String, String>,
        quota: Option<&Quota>,
    ) -> Result<Self, ColdStartError> {
        let failed = |source| ColdStartError::Start { program: program.to_owned(), source };
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(STARTER)
            .arg(program)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let process = child.id().ok_or(ColdStartError::Ended { said: String::new() })?;
        let written = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = child.stdout.take() {
            let mut lines = BufReader::new(output).lines();
            lines.next_line().await.map_err(failed)?;
            let written = Arc::clone(&written);
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut kept = written.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() == LINES_KEPT {
                        kept.remove(0);
                    }
                    kept.push(line);
                }
            });
        }
        if let Some(quota) = quota {
            quota.hold(process).map_err(ColdStartError::Quota)?;
        }
        let mut bootstrap = Self { child, process, before: Duration::ZERO, written };
        bootstrap.before = bootstrap.used()?.processor;
        Ok(bootstrap)
    }

    /// Starts it, and tells when that was.
    ///
    /// # Errors
    /// [`ColdStartError`]
    pub(crate) async fn start(&mut self) -> Result<Instant, ColdStartError> {
        let Some(mut word) = self.child.stdin.take() else { return Err(self.ended()) };
        let began = Instant::now();
        word.write_all(b"\n").await.map_err(|_| self.ended())?;
        Ok(began)
    }

    /// What it has used since it started.
    ///
    /// # Errors
    /// [`ColdStartError::Ended`]
    pub(crate) fn used(&self) -> Result<Used, ColdStartError> {
        let used = used_by(self.process).ok_or_else(|| self.ended())?;
        Ok(Used { processor: used.processor.saturating_sub(self.before), ..used })
    }

    /// Returns when it ends, with what it said.
    pub(crate) async fn end(&mut self) -> ColdStartError {
        let _ = self.child.wait().await;
        self.ended()
    }

    /// Ends it, so that a quota it was held to can go.
    pub(crate) async fn stop(mut self) {
        let _ = self.child.kill().await;
    }

    /// What it wrote last.
    pub(crate) fn said(&self) -> String {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    fn ended(&self) -> ColdStartError {
        ColdStartError::Ended { said: self.said() }
    }
}

/// What a process has used in its life; `None` when there is none, or the system does not tell.
fn used_by(process: u32) -> Option<Used> {
    let folder = Path::new("/proc").join(process.to_string());
    let mut processor = Duration::ZERO;
    for task in std::fs::read_dir(folder.join("task")).ok()? {
        // A thread may end while we look. Those of functions do not: they wait for more work.
        let Ok(schedule) = std::fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
        processor += Duration::from_nanos(schedule.split_whitespace().next()?.parse().ok()?);
    }
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(Used { processor, peak_kib: peak.split_whitespace().next()?.parse().ok()? })
}
