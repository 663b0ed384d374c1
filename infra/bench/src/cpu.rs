//! Processor time of the platform's threads and of all others, so that what the platform costs can be told from what
//! measuring it costs. Linux only; elsewhere there is no figure.

use std::time::Duration;

/// The name of the platform's threads.
pub(crate) const PLATFORM_THREADS: &str = "platform";

/// Processor time used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// By the platform.
    pub(crate) platform: Duration,
    /// By the load, the receiver and the rest of this process.
    pub(crate) load_and_receiver: Duration,
}

impl CpuTime {
    /// The time up to now; `None` where the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        let mut time = Self { platform: Duration::ZERO, load_and_receiver: Duration::ZERO };
        for task in std::fs::read_dir("/proc/self/task").ok()? {
            let path = task.ok()?.path();
            // A thread may end while we look; its time is then nobody's.
            let (Ok(name), Ok(schedule)) =
                (std::fs::read_to_string(path.join("comm")), std::fs::read_to_string(path.join("schedstat")))
            else {
                continue;
            };
            let on_cpu = Duration::from_nanos(schedule.split_whitespace().next()?.parse().ok()?);
            if name.starts_with(PLATFORM_THREADS) {
                time.platform += on_cpu;
            } else {
                time.load_and_receiver += on_cpu;
            }
        }
        Some(time)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            platform: self.platform.saturating_sub(earlier.platform),
            load_and_receiver: self.load_and_receiver.saturating_sub(earlier.load_and_receiver),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_is_booked_on_the_thread_that_did_it() {
        // Some kernels are built without this figure.
        let Some(before) = CpuTime::now() else { return };
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (told, hear) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("{PLATFORM_THREADS}-test")).spawn(move || {
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_millis(50) {
                std::hint::black_box(began);
            }
            told.send(()).unwrap();
            let _ = stopped.recv();
        });
        hear.recv().unwrap();
        let used = CpuTime::now().unwrap().since(before);
        drop(stop);
        thread.unwrap().join().unwrap();
        assert!(used.platform > Duration::ZERO, "{used:?}");
    }
}
