//! The operator as a process of its own: started, looked at through `/proc` and its metrics, ended in order.

use crate::error::{Context as _, Error, Result};
use crate::http_get::{http_body, http_get};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    pid: i32,
    metrics: String,
    /// When it was started.
    pub since: Instant,
}

/// What it needs to start.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its way to the API server.
    pub kubeconfig: &'a Path,
    /// Where its log goes.
    pub log: &'a Path,
    /// Namespace of its Lease.
    pub namespace: &'a str,
    /// Port of its metrics.
    pub port: u16,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub now: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// How many reconciles came to an end, by kind.
#[derive(Clone, Debug, Default)]
pub struct Reconciles(String);

impl Reconciles {
    /// Of one kind.
    pub fn of(&self, kind: &str) -> f64 {
        let label = format!("kind=\"{kind}\"");
        sum(&self.0, "headgate_reconcile_total", |labels| labels.contains(&label))
    }

    /// Nothing is to be reconciled any more.
    pub fn are_over(&self) -> bool {
        sum(&self.0, "headgate_queued", |_| true) < 0.5
    }
}

impl Operator {
    /// Starts it.
    pub fn start(setup: &Setup<'_>) -> Result<Self> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(setup.log)
            .context("the operator's log")?;
        let metrics = format!("127.0.0.1:{}", setup.port);
        let since = Instant::now();
        let child = Command::new(setup.program)
            .args(["run", "--media-image", "played:1", "--metrics-address", &metrics])
            .args(["--namespace", setup.namespace])
            .env("KUBECONFIG", setup.kubeconfig)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting the operator")?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            pid: pid.context("the operator ended at once")?,
            child,
            metrics,
            since,
        })
    }

    /// Whether its watches have read everything.
    pub async fn is_ready(&self) -> bool {
        http_get(&self.metrics, "/readyz")
            .await
            .is_ok_and(|(status, _)| status == 200)
    }

    /// The sum of a metric over the label sets for which `wanted` holds; 0 when there is none.
    pub async fn metric(&self, name: &str, wanted: impl Fn(&str) -> bool) -> Result<f64> {
        let text = http_body(&self.metrics, "/metrics").await?;
        Ok(sum(&text, name, wanted))
    }

    /// Writes to the API server so far, without those that keep the lead.
    pub async fn writes(&self) -> Result<f64> {
        let counted = self.metric("headgate_api_writes_total", |labels| !labels.contains("kind=\"Lease\""));
        // The sum of no series at all is a negative zero.
        Ok(counted.await? + 0.0)
    }

    /// How many reconciles came to an end.
    pub async fn reconciles(&self) -> Result<Reconciles> {
        Ok(Reconciles(http_body(&self.metrics, "/metrics").await?))
    }

    /// Its memory.
    pub fn memory(&self) -> Result<Memory> {
        let text = proc(self.pid, "status")?;
        let kibibytes = |name: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()
        };
        let bytes = |name| kibibytes(name).map_or(0, |k| k.saturating_mul(1024));
        Ok(Memory {
            now: bytes("VmRSS:"),
            peak: bytes("VmHWM:"),
        })
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(self.pid)
    }
    /// Ends it in order: it gives its Lease up.
    pub async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM).map_err(|e| Error::new(format!("ending the operator: {e}")))?;
        let ended = tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await;
        ended
            .map_err(|_| Error::new("the operator did not end in 15 s"))?
            .context("ending the operator")
            .map(drop)
    }
}

fn proc(pid: i32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).context(path)
}

/// Processor time that a process has used so far.
pub fn cpu(pid: i32) -> Result<Duration> {
    let text = proc(pid, "stat")?;
    // The second field is a name in brackets that may hold anything; times are the 12th and 13th after it.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    // Linux counts in hundredths of a second towards programs, whatever it uses within.
    Ok(Duration::from_millis(ticks.saturating_mul(10)))
}

fn sum(text: &str, name: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        (is_it && wanted(labels)).then(|| value.parse::<f64>().ok())?
    };
    text.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# HELP a_total x\na_total{kind=\"A\"} 2\na_total{kind=\"Lease\"} 5\na_total_b 7\nleader 1\n";
        assert!((sum(text, "a_total", |l| !l.contains("Lease")) - 2.0).abs() < 0.1);
        assert!((sum(text, "leader", |_| true) - 1.0).abs() < 0.1);
    }
}
