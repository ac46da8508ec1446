//! [`Hooks`]: the way in for the process. Everything else in this crate is behind it.

use arc_swap::ArcSwap;
use headgate_control::{HookEndpoint, HookEvent, HookReport, ServerIdentity};
use headgate_hub::{Connection, Reason, Refusal, Session, Traffic};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::admission::Source;
use crate::delivery::worker;
use crate::endpoint::{Context, Endpoint};
use crate::event::{Event, Sequence};
use crate::failure::{Cause, Failure};
use crate::identity::Origin;
use crate::metrics::Metrics;
use crate::outbox_metrics::OutboxMetrics;
use crate::probe;
use crate::transport::{AddressGuard, HttpTransports, Transports};

/// How often a flush tries again what failed.
const FLUSH_PACE: Duration = Duration::from_secs(1);
/// How often a flush looks whether all is sent.
const FLUSH_LOOK: Duration = Duration::from_millis(10);

/// Asks and tells the back ends of one server. Cheap to clone; the workers end with the last clone.
///
/// The caller keeps the pairing: [`Hooks::unpublish`] once for each [`Hooks::publish`] whose session was let in, and so on.
#[derive(Clone)]
pub struct Hooks {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    context: Arc<Context>,
    transports: Arc<dyn Transports>,
    sequence: Sequence,
    service_id: String,
    /// In the order in which they are asked.
    attached: ArcSwap<Vec<Attached>>,
    /// Held while they change.
    changing: Mutex<()>,
}

/// An endpoint and the task that works for it.
#[derive(Clone)]
struct Attached {
    endpoint: Arc<Endpoint>,
    worker: Arc<AbortOnDropHandle<()>>,
}

impl Hooks {
    /// Hooks without endpoints. `service_id` is new each time the process starts ([`crate::new_service_id`]);
    /// `allow_loopback` lets endpoints be on this host, which is for standalone use only.
    pub fn new(registry: &Registry, service_id: &str, allow_loopback: bool) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let guard = AddressGuard::new(allow_loopback, metrics.ssrf_blocked.clone());
        Self::build(registry, metrics, service_id, Arc::new(HttpTransports::new(guard)))
    }

    /// The same over another transport.
    pub fn with_transports(
        registry: &Registry,
        service_id: &str,
        transports: Arc<dyn Transports>,
    ) -> Result<Self, prometheus::Error> {
        Self::build(registry, Metrics::new(registry)?, service_id, transports)
    }

    fn build(
        registry: &Registry,
        metrics: Metrics,
        service_id: &str,
        transports: Arc<dyn Transports>,
    ) -> Result<Self, prometheus::Error> {
        let origin = ArcSwap::from_pointee(Origin::new("", service_id));
        let context = Arc::new(Context {
            metrics,
            changed: watch::Sender::new(0),
            origin,
            index: AtomicU64::default(),
        });
        let inner = Arc::new(Inner {
            context,
            transports,
            sequence: Sequence::default(),
            service_id: service_id.to_owned(),
            attached: ArcSwap::default(),
            changing: Mutex::new(()),
        });
        registry.register(Box::new(OutboxMetrics::new(Arc::downgrade(&inner))?))?;
        Ok(Self { inner })
    }

    /// Puts a config in force: for the next call and for all that is pending. An endpoint that stays, by its name, keeps what
    /// is pending; what is pending for one that goes is dead, and counted. Needs a tokio runtime around it.
    pub fn reconfigure(&self, server: &ServerIdentity, endpoints: &[HookEndpoint]) {
        let inner = &self.inner;
        let _changing = inner.changing.lock();
        inner
            .context
            .origin
            .store(Arc::new(Origin::new(&server.uid, &inner.service_id)));
        let old = inner.attached.load_full();
        let attach = |spec: &HookEndpoint| match old.iter().find(|attached| attached.endpoint.name == spec.name) {
            Some(attached) => {
                attached.endpoint.update(spec);
                attached.clone()
            }
            None => inner.attach(spec),
        };
        let new: Vec<Attached> = endpoints.iter().map(attach).collect();
        let stays = |name: &str| new.iter().any(|attached| attached.endpoint.name == name);
        let gone: Vec<&Attached> = old.iter().filter(|attached| !stays(&attached.endpoint.name)).collect();
        inner.attached.store(Arc::new(new.clone()));
        for attached in gone {
            attached.worker.abort();
            attached.endpoint.outbox.close();
        }
        inner.context.bump();
    }

    /// Asks whether a client may connect.
    pub async fn connect(&self, client: &Arc<Connection>) -> Result<(), Refusal> {
        self.inner
            .decide(Event::of_connection(
                HookEvent::Connect,
                client,
                None,
                &self.inner.sequence,
            ))
            .await
    }

    /// Asks whether a publisher may start.
    pub async fn publish(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        self.inner
            .decide(Event::of_session(
                HookEvent::Publish,
                session,
                None,
                &self.inner.sequence,
            ))
            .await
    }

    /// Asks whether a player may start.
    pub async fn play(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        self.inner
            .decide(Event::of_session(HookEvent::Play, session, None, &self.inner.sequence))
            .await
    }

    /// Tells that a client that was let in has left. Returns at once.
    pub fn close(&self, client: &Arc<Connection>, traffic: Traffic) {
        self.inner.tell(Event::of_connection(
            HookEvent::Close,
            client,
            Some(traffic),
            &self.inner.sequence,
        ));
    }

    /// Tells that a publisher that was let in has ended. Returns at once.
    pub fn unpublish(&self, session: &Arc<Session>, traffic: Traffic) {
        self.inner.tell(Event::of_session(
            HookEvent::Unpublish,
            session,
            Some(traffic),
            &self.inner.sequence,
        ));
    }

    /// Tells that a player that was let in has ended. Returns at once.
    pub fn stop(&self, session: &Arc<Session>, traffic: Traffic) {
        self.inner.tell(Event::of_session(
            HookEvent::Stop,
            session,
            Some(traffic),
            &self.inner.sequence,
        ));
    }

    /// How each endpoint does, in their order.
    pub fn reports(&self) -> Vec<HookReport> {
        self.inner
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.report())
            .collect()
    }

    /// Moves when [`Hooks::reports`] says something new; not when only a count of pending or a time changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.context.changed.subscribe()
    }

    /// For shutdown: tries all that is pending now and each second, until all is told or the budget is used up. Returns how many
    /// notifications are left.
    pub async fn flush(&self, budget: Duration) -> usize {
        let endpoints = self.inner.endpoints();
        let pending = || {
            endpoints
                .iter()
                .map(|endpoint| endpoint.outbox.pending())
                .sum::<usize>()
        };
        let send = async {
            while pending() > 0 {
                for endpoint in &endpoints {
                    endpoint.outbox.wake_all();
                }
                let pause = Instant::now();
                while pending() > 0 && pause.elapsed() < FLUSH_PACE {
                    tokio::time::sleep(FLUSH_LOOK).await;
                }
            }
        };
        let _ = tokio::time::timeout(budget, send).await;
        pending()
    }
}

impl Inner {
    /// All endpoints, in order.
    pub(crate) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.attached
            .load()
            .iter()
            .map(|attached| attached.endpoint.clone())
            .collect()
    }

    fn attach(&self, spec: &HookEndpoint) -> Attached {
        let endpoint = Arc::new(Endpoint::new(spec, self.context.clone(), &*self.transports));
        let worker = tokio::spawn(work(endpoint.clone()));
        Attached {
            endpoint,
            worker: Arc::new(AbortOnDropHandle::new(worker)),
        }
    }

    async fn decide(&self, event: Event) -> Result<(), Refusal> {
        let started = Instant::now();
        let (decision, source) = self.ask_all(&event).await;
        let labels: [&str; 2] = [event.kind.into(), source.into()];
        self.context
            .metrics
            .admission_seconds
            .with_label_values(&labels)
            .observe(started.elapsed().as_secs_f64());
        decision.map_err(refusal)
    }

    async fn ask_all(&self, event: &Event) -> (Result<(), Failure>, Source) {
        let mut source = Source::Local;
        for endpoint in self.takers(event) {
            match endpoint.ask(event).await {
                Ok(by) => source = source.max(by),
                Err(failure) => {
                    let by = if failure.cause == Cause::Denied {
                        Source::Hook
                    } else {
                        Source::Policy
                    };
                    return (Err(failure), by);
                }
            }
        }
        (Ok(()), source)
    }

    fn tell(&self, event: Event) {
        let event = Arc::new(event);
        for endpoint in self.takers(&event) {
            endpoint.notify(&event);
        }
    }

    fn takers(&self, event: &Event) -> Vec<Arc<Endpoint>> {
        let attached = self.attached.load();
        let takes = |attached: &&Attached| attached.endpoint.takes(event);
        attached
            .iter()
            .filter(takes)
            .map(|attached| attached.endpoint.clone())
            .collect()
    }
}

/// All that is done for an endpoint without being asked; ends with its task.
async fn work(endpoint: Arc<Endpoint>) {
    tokio::select! {
        () = worker::run(endpoint.clone()) => {}
        never = probe::run(&endpoint) => match never {},
    }
}

fn refusal(failure: Failure) -> Refusal {
    let reason = match failure.cause {
        Cause::Denied => Reason::HookDenied,
        Cause::Timeout => Reason::HookTimeout,
        Cause::Unreachable => Reason::HookUnreachable,
        Cause::BadStatus => Reason::HookBadStatus,
        Cause::BadAnswer => Reason::HookBadAnswer,
    };
    Refusal::new(reason, failure.message)
}
