//! Processor time as Lambda gives it out: `memory / 1769` of a processor, as a quota for each twenty milliseconds.
//!
//! A control group of our own holds the processes to it. That takes Linux, and permission to make one: usually root's.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The memory that comes with a whole processor (AWS, "Configure Lambda function memory").
const WHOLE_PROCESSOR_MB: u32 = 1769;
/// The period in which Lambda gives it out.
const PERIOD: Duration = Duration::from_millis(20);

/// A control group with a quota. It is removed when it is dropped; no process may be in it any more.
#[derive(Debug)]
pub(crate) struct Quota {
    group: PathBuf,
}

impl Quota {
    /// The share of a processor that comes with this much memory.
    ///
    /// # Errors
    /// When the system does not let us make one.
    pub(crate) fn of_memory(megabytes: u32) -> io::Result<Self> {
        // Version 1 of control groups has a folder for each kind of resource.
        let (v1, v2) = (Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup"));
        let parent = if v1.join("cpu.cfs_quota_us").exists() { v1 } else { v2 };
        let group = parent.join(format!("bench-cold-start-{}", std::process::id()));
        std::fs::create_dir(&group)?;
        let quota = Self { group };
        quota.limit(megabytes)?;
        Ok(quota)
    }

    fn limit(&self, megabytes: u32) -> io::Result<()> {
        let (quota, period) = (allowance(megabytes).as_micros(), PERIOD.as_micros());
        if self.group.join("cpu.cfs_quota_us").exists() {
            std::fs::write(self.group.join("cpu.cfs_period_us"), period.to_string())?;
            std::fs::write(self.group.join("cpu.cfs_quota_us"), quota.to_string())
        } else {
            std::fs::write(self.group.join("cpu.max"), format!("{quota} {period}"))
        }
    }

    /// Holds a process to it.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn hold(&self, process: u32) -> io::Result<()> {
        std::fs::write(self.group.join("cgroup.procs"), process.to_string())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // What remains of it is an empty folder with the name of a process that is gone.
        let _ = std::fs::remove_dir(&self.group);
    }
}

/// The processor time in each period.
fn allowance(megabytes: u32) -> Duration {
    PERIOD * megabytes / WHOLE_PROCESSOR_MB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_buys_its_share_of_a_processor() {
        for (megabytes, microseconds) in
            [(128, 1447), (256, 2894), (512, 5788), (1769, 20_000), (3538, 40_000)]
        {
            assert_eq!(allowance(megabytes).as_micros(), microseconds);
        }
    }

    #[test]
    fn both_versions_of_control_groups_are_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let second = Quota { group: folder.path().to_owned() };
        second.limit(512).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("cpu.max")).unwrap(), "5788 20000");
        std::fs::write(folder.path().join("cpu.cfs_quota_us"), "-1").unwrap();
        let first = Quota { group: folder.path().to_owned() };
        first.limit(256).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("cpu.cfs_quota_us")).unwrap(), "2894");
        assert_eq!(std::fs::read_to_string(folder.path().join("cpu.cfs_period_us")).unwrap(), "20000");
    }
}
