//! What tests of the program as a process of its own have in common.

use std::time::{Duration, Instant};

/// Far more than any step takes; only a platform that is broken is waited for this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The port of the API, in what the program says once it serves.
pub(crate) fn port_in(said: &str) -> Option<u16> {
    let url = said.lines().find_map(|line| line.trim_start().strip_prefix("API "))?;
    url.rsplit_once(':')?.1.parse().ok()
}

/// What `condition` gives, as soon as it does.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
