//! What a process costs, as the kernel counts it, and where it runs.

use crate::error::{Context as _, Error, Result};
use crate::tools::paths::read;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

/// Nanoseconds that all threads of a process have run.
pub fn nanoseconds(pid: u32) -> Result<u64> {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    let entries = std::fs::read_dir(&tasks).context(format_args!("process {pid}"))?;
    let spent = |task: &Path| {
        let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(entries.flatten().map(|e| spent(&e.path())).fold(0, u64::saturating_add))
}

/// Resident bytes of a process.
pub fn resident(pid: u32) -> Result<u64> {
    let status = read(Path::new(&format!("/proc/{pid}/status")))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.context("no VmRSS")?.saturating_mul(1024))
}

/// Binds this process, and what it starts from now on, to one core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    let wrong = |error| Error::new(format!("core {core}: {error}"));
    set.set(core).map_err(wrong)?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(wrong)
}
