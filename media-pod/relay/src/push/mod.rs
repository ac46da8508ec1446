//! Pushing a publisher's stream to other servers over RTMP, as SRS's `on_forward` asks for.
//!
//! One task a target, from the publisher's session's beginning to its end. It dials, publishes there what viewers here would get from the newest key
//! frame on, and when that breaks off it tries again, at once and then ever more slowly. Every address is looked up through the caller's guard, each time.

mod error;
mod format;
mod line;
mod target;

pub use error::PushError;

use crate::pause::Pause;
use futures::future::BoxFuture;
use headgate_hub::{Forward, Hub, Reason, Refusal, Session};
use line::Line;
use prometheus::{IntCounter, IntGauge, Registry};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use target::Target;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The addresses at which a host may be dialled. Must refuse what no stream may be sent to.
pub type Lookup = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Bounds of all pushes of one pod.
#[derive(Clone, Copy, Debug)]
pub struct PushLimits {
    /// Targets of one stream.
    pub targets: usize,
    /// Pushes at one time.
    pub pushes: i64,
    /// Time for look-up, TCP and TLS.
    pub dial: Duration,
    /// From there to the target's word that it takes the stream.
    pub start: Duration,
    /// How long one write may take.
    pub stall: Duration,
    /// The first wait after a failure, and the longest.
    pub pause: [Duration; 2],
    /// From the gate's yes to a publisher to its being there.
    pub establish: Duration,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self {
            targets: 8,
            pushes: 256,
            dial: Duration::from_secs(5),
            start: Duration::from_secs(5),
            stall: Duration::from_secs(10),
            pause: [Duration::from_millis(500), Duration::from_secs(15)],
            establish: Duration::from_secs(30),
        }
    }
}

/// Counters and gauges of all pushes. Their names are promises.
#[derive(Clone, Debug)]
pub struct PushMetrics {
    pushes: IntGauge,
    live: IntGauge,
    bytes: IntCounter,
    failures: IntCounter,
}

impl PushMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            pushes: IntGauge::new("headgate_pushes", "Targets that streams are to be pushed to.")?,
            live: IntGauge::new("headgate_pushes_live", "Targets that take their stream now.")?,
            bytes: IntCounter::new("headgate_push_bytes_total", "Bytes of streams that were pushed.")?,
            failures: IntCounter::new(
                "headgate_push_failures_total",
                "Pushes that came to nothing or broke off; each is tried again.",
            )?,
        };
        registry.register(Box::new(metrics.pushes.clone()))?;
        registry.register(Box::new(metrics.live.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }
}

/// See the module. A clone is the same.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    hub: Hub,
    lookup: Lookup,
    limits: PushLimits,
    metrics: PushMetrics,
    /// Ends all pushes.
    shutdown: CancellationToken,
}

impl Push {
    /// Pushes streams of this hub until `shutdown`, or until their publishers end.
    pub fn new(
        hub: Hub,
        lookup: Lookup,
        limits: PushLimits,
        metrics: PushMetrics,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            hub,
            lookup,
            limits,
            metrics,
            shutdown,
        }))
    }
}

impl Forward for Push {
    fn forward(&self, session: &Arc<Session>, urls: &[String]) -> Result<(), Refusal> {
        let limits = &self.0.limits;
        let bad = |message: String| Refusal::new(Reason::HookBadAnswer, message);
        if urls.len() > limits.targets {
            return Err(bad(format!(
                "{} URLs to push to are more than {}",
                urls.len(),
                limits.targets
            )));
        }
        let targets: Result<HashSet<Target>, _> = urls.iter().map(|url| Target::parse(url)).collect();
        let targets = targets.map_err(|error| bad(error.to_string()))?;
        let count = i64::try_from(targets.len()).unwrap_or(i64::MAX);
        if self.0.metrics.pushes.get().saturating_add(count) > limits.pushes {
            let message = format!("{} streams are pushed from here already", limits.pushes);
            return Err(Refusal::new(Reason::LimitReached, message));
        }
        // Without a runtime the process is at its end.
        let Ok(runtime) = Handle::try_current() else {
            return Ok(());
        };
        for target in targets {
            let (inner, session) = (Arc::clone(&self.0), Arc::clone(session));
            let counted = Counted::new(&self.0.metrics.pushes);
            runtime.spawn(async move {
                let _counted = counted;
                tokio::select! {
                    () = inner.shutdown.cancelled() => {}
                    () = inner.keep(&session, &target) => {}
                }
            });
        }
        Ok(())
    }
}

impl Inner {
    /// Until the publisher has ended.
    async fn keep(&self, session: &Session, target: &Target) {
        let name = &session.name;
        if timeout(self.limits.establish, self.until(session, true)).await.is_err() {
            return;
        }
        let [first, longest] = self.limits.pause;
        let mut pause = Pause::between(first, longest);
        while self.is_in(session) {
            let begun = Instant::now();
            let Err(error) = self.push(session, target).await else {
                tracing::info!(stream = %name, %target, "a push has ended with its stream");
                return;
            };
            self.metrics.failures.inc();
            if begun.elapsed() > longest {
                pause = Pause::between(first, longest);
            }
            let wait = pause.next();
            tracing::warn!(stream = %name, %target, reason = error.reason(), %error, again_in = ?wait, "a push broke off");
            tokio::select! {
                () = sleep(wait) => {}
                () = self.until(session, false) => {}
            }
        }
    }

    /// `Ok` when the publisher has ended.
    async fn push(&self, session: &Session, target: &Target) -> Result<(), PushError> {
        let mut line = Line::open(target, &self.lookup, &self.limits).await?;
        let form = line.start(self.limits.start).await?;
        let format = format::PushFormat::of(form);
        let Some(tap) = self
            .hub
            .tap(&session.name, &format)
            .filter(|tap| tap.publisher() == session.id)
        else {
            return Ok(());
        };
        tracing::info!(stream = %session.name, %target, "a push has begun");
        let _live = Counted::new(&self.metrics.live);
        line.feed(tap, self.limits.stall, &self.metrics.bytes).await?;
        if self.is_in(session) {
            return Err(PushError::TooSlow);
        }
        line.finish(self.limits.stall).await;
        Ok(())
    }

    fn is_in(&self, session: &Session) -> bool {
        self.hub.found(&session.name) == Some(session.id)
    }

    /// Until the publisher is in, or is not.
    async fn until(&self, session: &Session, is_in: bool) {
        let mut changed = self.hub.changed();
        while self.is_in(session) != is_in {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Counts one as long as it lives.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
