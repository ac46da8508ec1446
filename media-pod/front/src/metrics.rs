//! What a door counts. The names are promises.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters of all doors of a process. A clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) connections: IntGauge,
    pub(crate) refused: IntCounterVec,
    pub(crate) accept_errors: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self::unregistered()?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.accept_errors.clone()))?;
        Ok(metrics)
    }

    /// Counts that nobody reads.
    pub(crate) fn unregistered() -> Result<Self, prometheus::Error> {
        Ok(Self {
            connections: IntGauge::new(
                "headgate_connections",
                "Connections of clients that are open, on all listeners.",
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "headgate_connections_refused_total",
                    "Connections that were closed before a protocol was spoken on them, by reason.",
                ),
                &["reason"],
            )?,
            accept_errors: IntCounter::new(
                "headgate_accept_errors_total",
                "Times a connection could not be accepted, most often because no file descriptor was left.",
            )?,
        })
    }
}
