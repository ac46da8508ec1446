//! The hub's Prometheus metrics. Their names are promises.

use crate::{EndReason, Protocol, Reason};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters and gauges of one hub. A clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) streams: IntGauge,
    pub(crate) publishers: IntGauge,
    pub(crate) viewers: IntGaugeVec,
    pub(crate) ingest_bytes: IntCounter,
    pub(crate) egress_bytes: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) ended: IntCounterVec,
    pub(crate) skips: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            streams: IntGauge::new("headgate_streams", "Streams that have a publisher.")?,
            publishers: IntGauge::new("headgate_publishers", "Publishers.")?,
            viewers: IntGaugeVec::new(Opts::new("headgate_viewers", "Viewers by protocol."), &["protocol"])?,
            ingest_bytes: IntCounter::new("headgate_ingest_bytes_total", "Media bytes from publishers.")?,
            egress_bytes: IntCounterVec::new(
                Opts::new(
                    "headgate_egress_bytes_total",
                    "Bytes handed out to viewers by protocol.",
                ),
                &["protocol"],
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "headgate_sessions_refused_total",
                    "Sessions that were not let in, by reason.",
                ),
                &["reason"],
            )?,
            ended: IntCounterVec::new(
                Opts::new(
                    "headgate_sessions_ended_total",
                    "Sessions that were let in and have ended, by reason.",
                ),
                &["reason"],
            )?,
            skips: IntCounter::new(
                "headgate_viewer_skips_total",
                "Times a slow viewer skipped to a newer key frame.",
            )?,
        };
        registry.register(Box::new(metrics.streams.clone()))?;
        registry.register(Box::new(metrics.publishers.clone()))?;
        registry.register(Box::new(metrics.viewers.clone()))?;
        registry.register(Box::new(metrics.ingest_bytes.clone()))?;
        registry.register(Box::new(metrics.egress_bytes.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.ended.clone()))?;
        registry.register(Box::new(metrics.skips.clone()))?;
        for protocol in Protocol::ALL {
            metrics.viewers.with_label_values(&[protocol.as_str()]).set(0);
            metrics.egress_bytes.with_label_values(&[protocol.as_str()]).inc_by(0);
        }
        Ok(metrics)
    }

    pub(crate) fn end(&self, reason: EndReason) {
        self.ended.with_label_values(&[reason.as_str()]).inc();
    }

    pub(crate) fn refuse(&self, reason: Reason) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }
}
