//! The gauges of what is pending, read when they are scraped.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec, Opts};
use std::sync::Weak;

use crate::hooks::Inner;

/// `headgate_hook_outbox_…` of all endpoints there are.
pub(crate) struct OutboxMetrics {
    hooks: Weak<Inner>,
    pending: IntGaugeVec,
    oldest: GaugeVec,
}

impl OutboxMetrics {
    pub(crate) fn new(hooks: Weak<Inner>) -> Result<Self, prometheus::Error> {
        let pending = Opts::new(
            "headgate_hook_outbox_pending",
            "Notifications that are not delivered yet.",
        );
        let oldest = Opts::new("headgate_hook_outbox_oldest_seconds", "Age of the oldest of them.");
        Ok(Self {
            hooks,
            pending: IntGaugeVec::new(pending, &["endpoint"])?,
            oldest: GaugeVec::new(oldest, &["endpoint"])?,
        })
    }
}

impl Collector for OutboxMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.pending.desc().into_iter().chain(self.oldest.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.pending.reset();
        self.oldest.reset();
        let endpoints = self.hooks.upgrade().map(|hooks| hooks.endpoints()).unwrap_or_default();
        for endpoint in &endpoints {
            let pending = i64::try_from(endpoint.outbox.pending()).unwrap_or(i64::MAX);
            self.pending.with_label_values(&[&endpoint.name]).set(pending);
            self.oldest
                .with_label_values(&[&endpoint.name])
                .set(endpoint.outbox.oldest().as_secs_f64());
        }
        self.pending
            .collect()
            .into_iter()
            .chain(self.oldest.collect())
            .collect()
    }
}
