//! How the figures come about: calls at a pace, quantiles, and readings of the process.

use crate::error::{Context as _, Error, Result};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

use super::failed;

/// Waits for the turn of this number, when so many come in a second.
pub(super) async fn until(begun: Instant, number: u32, rate: u32) {
    let turn = f64::from(number) / f64::from(rate.max(1));
    let wait = Duration::from_secs_f64(turn).saturating_sub(begun.elapsed());
    tokio::time::sleep(wait).await;
}

/// Calls at a pace, whatever becomes of those before; how long each took, from when its turn was. An error where one failed.
pub(super) async fn paced<F>(rate: u32, count: u32, call: impl Fn(u32) -> F) -> Result<Times>
where
    F: Future<Output = bool> + Send + 'static,
{
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..count {
        until(begun, number, rate).await;
        let call = call(number);
        calls.spawn(async move {
            let started = Instant::now();
            (call.await, started.elapsed())
        });
    }
    let mut times = Times::default();
    for (good, time) in calls.join_all().await {
        if !good {
            return Err(Error::new("a call failed".to_owned()));
        }
        times.0.push(time);
    }
    Ok(times.sorted())
}

/// Time that this thread has had a processor.
pub(super) fn own_time() -> Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map(Duration::from).unwrap_or_default()
}

/// Of this process, in KiB.
pub(super) fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading the status of this process")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let number = line.trim().split(' ').next().unwrap_or_default();
    number.parse::<f64>().map_err(failed("VmRSS"))
}

/// The sum of a counter over its series that have this value as a label.
pub(super) fn count(registry: &prometheus::Registry, name: &str, label: &str) -> u64 {
    let families = registry.gather();
    let series = families
        .iter()
        .filter(|f| f.name() == name)
        .flat_map(prometheus::proto::MetricFamily::get_metric);
    let meant = series.filter(|m| m.get_label().iter().any(|pair| pair.value() == label));
    let values = meant.map(|m| m.get_counter().get_value());
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small whole number"
    )]
    let sum = values.sum::<f64>() as u64;
    sum
}

/// Percent of the records that were written within so many seconds of being handed over.
pub(super) fn appended_within(registry: &prometheus::Registry, seconds: f64) -> f64 {
    let families = registry.gather();
    let family = families
        .iter()
        .find(|f| f.name() == "headgate_hook_outbox_append_seconds");
    let Some(histogram) = family
        .and_then(|f| f.get_metric().first())
        .map(prometheus::proto::Metric::get_histogram)
    else {
        return 0.0;
    };
    let within = histogram
        .get_bucket()
        .iter()
        .filter(|b| b.upper_bound() <= seconds + 1e-9);
    let within = within
        .map(prometheus::proto::Bucket::cumulative_count)
        .max()
        .unwrap_or(0);
    100.0 * real(within) / real(histogram.get_sample_count().max(1))
}

pub(super) fn real(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// How long many of a kind took.
#[derive(Default)]
pub(super) struct Times(pub(super) Vec<Duration>);

impl Times {
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_unstable();
        self
    }

    /// Milliseconds that so many of a thousand do not exceed.
    fn quantile(&self, thousandths: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = last.saturating_mul(thousandths).div_ceil(1000);
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }

    pub(super) fn p50(&self) -> f64 {
        self.quantile(500)
    }

    pub(super) fn p99(&self) -> f64 {
        self.quantile(990)
    }
}
