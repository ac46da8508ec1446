//! The gauges of what is pending, read when they are scraped.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts};
use std::sync::Weak;

use crate::hooks::Inner;

/// `headgate_hook_outbox_…` of all endpoints there are, and the size of the ledger.
pub(crate) struct OutboxMetrics {
    hooks: Weak<Inner>,
    pending: IntGaugeVec,
    oldest: GaugeVec,
    letters: IntGaugeVec,
    open: IntGauge,
}

impl OutboxMetrics {
    pub(crate) fn new(hooks: Weak<Inner>) -> Result<Self, prometheus::Error> {
        let pending = Opts::new(
            "headgate_hook_outbox_pending",
            "Notifications that are not delivered yet.",
        );
        let oldest = Opts::new("headgate_hook_outbox_oldest_seconds", "Age of the oldest of them.");
        let letters = Opts::new(
            "headgate_hook_deadletters",
            "Notifications that were given up and are kept, to be sent once more.",
        );
        Ok(Self {
            hooks,
            pending: IntGaugeVec::new(pending, &["endpoint"])?,
            oldest: GaugeVec::new(oldest, &["endpoint"])?,
            letters: IntGaugeVec::new(letters, &["endpoint"])?,
            open: IntGauge::new(
                "headgate_hook_ledger_open",
                "Sessions and connections whose closing events are still to come.",
            )?,
        })
    }
}

impl Collector for OutboxMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let per_endpoint = self.pending.desc().into_iter().chain(self.oldest.desc());
        let per_endpoint = per_endpoint.chain(self.letters.desc());
        per_endpoint.chain(self.open.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.pending.reset();
        self.oldest.reset();
        self.letters.reset();
        let Some(hooks) = self.hooks.upgrade() else {
            return Vec::new();
        };
        self.open
            .set(i64::try_from(hooks.books().ledger.len()).unwrap_or(i64::MAX));
        for endpoint in &hooks.endpoints() {
            let pending = i64::try_from(endpoint.outbox.pending()).unwrap_or(i64::MAX);
            self.pending.with_label_values(&[&endpoint.name]).set(pending);
            self.oldest
                .with_label_values(&[&endpoint.name])
                .set(endpoint.outbox.oldest().as_secs_f64());
            let letters = hooks.books().letters.kept(&endpoint.name);
            self.letters
                .with_label_values(&[&endpoint.name])
                .set(i64::try_from(letters).unwrap_or(i64::MAX));
        }
        let per_endpoint = self.pending.collect().into_iter().chain(self.oldest.collect());
        let per_endpoint = per_endpoint.chain(self.letters.collect());
        per_endpoint.chain(self.open.collect()).collect()
    }
}
