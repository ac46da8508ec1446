//! What the hooks measure: `headgate_hook_…`. Labels are bounded: endpoints of the config, events and outcomes of ours; never a stream.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The metrics of all endpoints.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Attempts, by how they ended.
    pub(crate) requests: IntCounterVec,
    /// Time of one attempt.
    pub(crate) request_seconds: HistogramVec,
    /// Time of a whole admission, all endpoints together.
    pub(crate) admission_seconds: HistogramVec,
    /// Admissions that passed an endpoint without a valid answer, by its policy.
    pub(crate) fail_open: IntCounterVec,
    /// Decisions looked for in the cache.
    pub(crate) cache: IntCounterVec,
    /// Whether an endpoint is asked.
    pub(crate) circuit: IntGaugeVec,
    /// Time of an admission beside what the back ends took.
    pub(crate) overhead_seconds: HistogramVec,
    /// Notifications given up.
    pub(crate) dead: IntCounterVec,
    /// Connections that calls went over.
    pub(crate) connections: IntCounterVec,
    /// Dead letters that were sent once more.
    pub(crate) replayed: IntCounterVec,
    /// Attempts under way.
    pub(crate) in_flight: IntGaugeVec,
    /// Addresses that were not dialled.
    pub(crate) ssrf_blocked: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "headgate_hook_requests_total",
                    "Calls to hook endpoints, by how they ended.",
                ),
                &["endpoint", "event", "class", "dialect", "outcome"],
            )?,
            request_seconds: histogram(
                "headgate_hook_request_duration_seconds",
                "Time of one call, from the request to the whole answer.",
                &["endpoint", "event"],
            )?,
            admission_seconds: histogram(
                "headgate_hook_admission_duration_seconds",
                "Time of a whole admission decision, by what decided it.",
                &["event", "source"],
            )?,
            fail_open: IntCounterVec::new(
                Opts::new(
                    "headgate_hook_fail_open_total",
                    "Admissions let pass without a valid answer.",
                ),
                &["endpoint", "event"],
            )?,
            cache: IntCounterVec::new(
                Opts::new(
                    "headgate_hook_cache_total",
                    "Decisions looked for in the cache: found, not found, or old and taken where no answer came.",
                ),
                &["endpoint", "result"],
            )?,
            circuit: IntGaugeVec::new(
                Opts::new(
                    "headgate_hook_circuit_state",
                    "Whether a back end is asked: 0 it is, 1 one question tries it, 2 it is not.",
                ),
                &["endpoint"],
            )?,
            overhead_seconds: histogram(
                "headgate_hook_admission_overhead_seconds",
                "Time of a whole admission decision, less that in which back ends were asked.",
                &["event"],
            )?,
            dead: IntCounterVec::new(
                Opts::new("headgate_hook_deadletter_total", "Notifications given up, by why."),
                &["endpoint", "event", "reason"],
            )?,
            connections: IntCounterVec::new(
                Opts::new(
                    "headgate_hook_connections_total",
                    "Connections that calls went over: opened for one, or there already.",
                ),
                &["reused"],
            )?,
            replayed: IntCounterVec::new(
                Opts::new("headgate_hook_replayed_total", "Dead letters that were sent once more."),
                &["endpoint"],
            )?,
            in_flight: IntGaugeVec::new(
                Opts::new("headgate_hook_inflight", "Calls under way."),
                &["endpoint", "class"],
            )?,
            ssrf_blocked: IntCounter::new(
                "headgate_hook_ssrf_blocked_total",
                "Addresses that a hook resolved to and that were not dialled.",
            )?,
        };
        metrics.register(registry)?;
        Ok(metrics)
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.request_seconds.clone()))?;
        registry.register(Box::new(self.admission_seconds.clone()))?;
        registry.register(Box::new(self.fail_open.clone()))?;
        registry.register(Box::new(self.cache.clone()))?;
        registry.register(Box::new(self.circuit.clone()))?;
        registry.register(Box::new(self.overhead_seconds.clone()))?;
        registry.register(Box::new(self.dead.clone()))?;
        registry.register(Box::new(self.connections.clone()))?;
        registry.register(Box::new(self.replayed.clone()))?;
        registry.register(Box::new(self.in_flight.clone()))?;
        registry.register(Box::new(self.ssrf_blocked.clone()))
    }
}

/// Bounds of all histograms, in seconds: round figures, since they are labels that users write.
const BUCKETS: [f64; 14] = [
    0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0,
];

/// What a histogram is called, with the bounds of all.
pub(crate) fn timing(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(BUCKETS.to_vec())
}

fn histogram(name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(timing(name, help), labels)
}
