//! The operator's own metrics, prefix `headgate_`. Every label is from a bounded set.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use prometheus::{Histogram, core::Collector};

/// All of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// `reconcile_total{kind,result}`.
    pub reconciles: IntCounterVec,
    /// `reconcile_seconds{kind}`.
    pub reconcile_seconds: HistogramVec,
    /// `reconcile_errors_total{kind,reason}`.
    pub reconcile_errors: IntCounterVec,
    /// `pods{state}`.
    pub pods: IntGaugeVec,
    /// `queued{kind}`.
    pub queued: IntGaugeVec,
    /// `config_push_seconds`.
    pub config_push_seconds: Histogram,
    /// `config_pushes_total{result}`.
    pub config_pushes: IntCounterVec,
    /// `api_writes_total{kind,verb}`.
    pub api_writes: IntCounterVec,
    /// `watch_errors_total{kind,reason}`.
    pub watch_errors: IntCounterVec,
    /// `leader`: 1 while this process leads.
    pub leader: IntGauge,
}

impl Metrics {
    /// Registered, all at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("headgate".into()), None)?;
        let kinds = ["MediaServer", "StreamKey", "HookEndpoint", "Stream"];
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            reconciles: add(
                &registry,
                counter("reconcile_total", "Reconciles by kind and result.", &["kind", "result"])?,
            )?,
            reconcile_seconds: add(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("reconcile_seconds", "Time of one reconcile.").buckets(buckets()),
                    &["kind"],
                )?,
            )?,
            reconcile_errors: add(
                &registry,
                counter(
                    "reconcile_errors_total",
                    "Failed reconciles by kind and reason.",
                    &["kind", "reason"],
                )?,
            )?,
            pods: add(
                &registry,
                IntGaugeVec::new(
                    Opts::new("pods", "Media pods by state, as the leader sees them."),
                    &["state"],
                )?,
            )?,
            queued: add(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "queued",
                        "Objects that are to be reconciled now, with those that are being.",
                    ),
                    &["kind"],
                )?,
            )?,
            config_push_seconds: add(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "config_push_seconds",
                        "Time from a new configuration to the pod's word that it is in force.",
                    )
                    .buckets(buckets()),
                )?,
            )?,
            config_pushes: add(
                &registry,
                counter(
                    "config_pushes_total",
                    "Configurations sent to pods by result.",
                    &["result"],
                )?,
            )?,
            api_writes: add(
                &registry,
                counter("api_writes_total", "Writes to the API server.", &["kind", "verb"])?,
            )?,
            watch_errors: add(
                &registry,
                counter(
                    "watch_errors_total",
                    "Watches that failed and objects that could not be read.",
                    &["kind", "reason"],
                )?,
            )?,
            leader: add(&registry, IntGauge::new("leader", "1 while this process leads.")?)?,
            registry,
        };
        // A counter that is not there cannot be told from one at zero.
        for kind in kinds {
            metrics.reconcile_errors.with_label_values(&[kind, "TimedOut"]);
            metrics.reconciles.with_label_values(&[kind, "ok"]);
        }
        Ok(metrics)
    }

    /// In Prometheus' text format.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// From a millisecond to ten seconds.
fn buckets() -> Vec<f64> {
    vec![
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_carries_the_prefix() {
        let metrics = Metrics::new().unwrap();
        metrics.leader.set(1);
        metrics.api_writes.with_label_values(&["Pod", "create"]).inc();
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("headgate_reconcile_errors_total{kind=\"Stream\",reason=\"TimedOut\"} 0"));
        assert!(text.contains("headgate_leader 1"));
        assert!(text.contains("headgate_api_writes_total{kind=\"Pod\",verb=\"create\"} 1"));
        assert!(text.lines().all(|l| l.starts_with('#') || l.starts_with("headgate_")));
    }
}
