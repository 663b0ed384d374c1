//! What tests of the program as a process of its own have in common.

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Far more than any step takes; only a platform that is broken is waited for this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two neighbouring free ports, as the platform takes them.
pub(crate) fn free_ports() -> u16 {
    for _ in 0..50 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < 65_000 && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two free ports side by side");
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
