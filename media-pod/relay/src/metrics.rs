//! The relay's Prometheus metrics. Their names are promises.

use prometheus::{IntCounter, IntGauge, Registry};

/// Counters and gauges of one relay.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) edges: IntGauge,
    pub(crate) bytes: IntCounter,
    pub(crate) failures: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            edges: IntGauge::new("headgate_edges", "Streams that are brought here from another pod.")?,
            bytes: IntCounter::new(
                "headgate_edge_bytes_total",
                "Bytes of streams that came from other pods.",
            )?,
            failures: IntCounter::new(
                "headgate_peer_failures_total",
                "Requests to other pods without a valid answer in time.",
            )?,
        };
        registry.register(Box::new(metrics.edges.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }
}
