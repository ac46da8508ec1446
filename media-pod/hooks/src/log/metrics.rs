//! What the log measures: `headgate_hook_outbox_…`.

use crate::metrics::timing;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Reasons of `headgate_hook_outbox_errors_total`, beside those of [`super::frame::Flaw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(crate) enum Trouble {
    /// The folder cannot be used: everything is in memory only.
    Unusable,
    /// A segment could not be read.
    Unread,
    /// No space left.
    DiskFull,
    /// Another error of a write.
    Write,
    /// It was written, and the disk may not have it.
    Sync,
    /// A dead letter was lost, or some could not be read.
    DeadLetters,
    /// It waited for its write too long, or there was too much that waited: it is in memory only.
    Skipped,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct LogMetrics {
    /// Bytes of all segments.
    pub(crate) bytes: IntGauge,
    /// 1 while all that is open and pending is on disk.
    pub(crate) durable: IntGauge,
    /// From handing a record over to its write.
    pub(crate) append_seconds: Histogram,
    /// What was found at a start.
    pub(crate) recovered: IntCounterVec,
    /// What went wrong.
    pub(crate) errors: IntCounterVec,
    /// Segments whose content was copied forward.
    pub(crate) compactions: IntCounter,
}

impl LogMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let append = timing(
            "headgate_hook_outbox_append_seconds",
            "Time from handing a record over to the outbox to its write.",
        );
        let metrics = Self {
            bytes: IntGauge::new("headgate_hook_outbox_bytes", "Bytes of the outbox on disk.")?,
            durable: IntGauge::new(
                "headgate_hook_outbox_durable",
                "1 while all that is open and pending is on disk.",
            )?,
            append_seconds: Histogram::with_opts(append)?,
            recovered: IntCounterVec::new(
                Opts::new("headgate_hook_outbox_recovered_total", "What a start found on disk."),
                &["what"],
            )?,
            errors: IntCounterVec::new(
                Opts::new(
                    "headgate_hook_outbox_errors_total",
                    "What could not be read or written, by why.",
                ),
                &["reason"],
            )?,
            compactions: IntCounter::new(
                "headgate_hook_outbox_compactions_total",
                "Segments whose content was copied forward.",
            )?,
        };
        metrics.register(registry)?;
        Ok(metrics)
    }

    /// Counts one error.
    pub(crate) fn error(&self, reason: impl Into<&'static str>) {
        self.errors.with_label_values(&[reason.into()]).inc();
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.bytes.clone()))?;
        registry.register(Box::new(self.durable.clone()))?;
        registry.register(Box::new(self.append_seconds.clone()))?;
        registry.register(Box::new(self.recovered.clone()))?;
        registry.register(Box::new(self.errors.clone()))?;
        registry.register(Box::new(self.compactions.clone()))
    }
}
