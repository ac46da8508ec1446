//! What is measured of sessions that others had: closing events made for them, orphans, notifications handed over.

use prometheus::{IntCounterVec, Opts, Registry};

/// See the module.
#[derive(Clone)]
pub(crate) struct BooksMetrics {
    /// Closing events of sessions that ended without anybody telling.
    pub(crate) synthesized: IntCounterVec,
    /// Sessions of pods that are gone.
    pub(crate) orphans: IntCounterVec,
    /// Notifications that went from one pod to another.
    pub(crate) handed_over: IntCounterVec,
}

impl BooksMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vec = |name: &str, help: &str, label: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let vec = IntCounterVec::new(Opts::new(name, help), label)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        Ok(Self {
            synthesized: vec(
                "headgate_hook_synthesized_total",
                "Closing events of sessions that ended untold, by why it was this pod's turn.",
                &["event", "cause"],
            )?,
            orphans: vec(
                "headgate_hook_orphans_total",
                "Sessions of pods that are gone, by what came of them here.",
                &["outcome"],
            )?,
            handed_over: vec(
                "headgate_hook_handover_total",
                "Notifications handed from pod to pod.",
                &["direction"],
            )?,
        })
    }
}
