//! [`Hooks`]: the way in for the process. Everything else in this crate is behind it.

use arc_swap::ArcSwap;
use headgate_control::{HookEndpoint, HookEvent, HookReport, ServerIdentity};
use headgate_hub::{Connection, Reason, Refusal, Session, Traffic};
use parking_lot::Mutex;
use prometheus::Registry;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::admission::{Source, Yes};
use crate::beat;
use crate::delivery::worker;
use crate::dialect::PublishOptions;
use crate::endpoint::{Context, Endpoint};
use crate::event::transport::Schema;
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
    service_id: String,
    pod: OnceLock<String>,
    /// What is known of the publishers that were let in, until they end.
    pub(crate) open: Mutex<HashMap<Uuid, Open>>,
    /// In the order in which they are asked.
    attached: ArcSwap<Vec<Attached>>,
    /// Held while they change.
    changing: Mutex<()>,
}

/// What is known of a publisher that was let in.
#[derive(Default)]
pub(crate) struct Open {
    /// How it is to be treated.
    pub(crate) options: PublishOptions,
    /// The schemas by which it was said to be playable.
    pub(crate) playable: Vec<Schema>,
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
        let context = Arc::new(Context::new(metrics, Origin::new("", service_id)));
        let inner = Arc::new(Inner {
            context,
            transports,
            service_id: service_id.to_owned(),
            pod: OnceLock::new(),
            open: Mutex::default(),
            attached: ArcSwap::default(),
            changing: Mutex::new(()),
        });
        registry.register(Box::new(OutboxMetrics::new(Arc::downgrade(&inner))?))?;
        Ok(Self { inner })
    }

    /// Says which pod this is; standalone nobody does. To be called before the first config; the first name stays.
    pub fn in_pod(&self, name: &str) {
        let _ = self.inner.pod.set(name.to_owned());
    }

    /// The name by which back ends know this process.
    pub fn pod_name(&self) -> String {
        self.inner.context.origin.load().pod.clone()
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Puts a config in force: for the next call and for all that is pending. An endpoint that stays, by its name, keeps what
    /// is pending; what is pending for one that goes is dead, and counted. Needs a tokio runtime around it.
    pub fn reconfigure(&self, server: &ServerIdentity, endpoints: &[HookEndpoint]) {
        let inner = &self.inner;
        let _changing = inner.changing.lock();
        inner.context.origin.store(Arc::new(Origin::of(
            server,
            inner.pod.get().map_or("", String::as_str),
            &inner.service_id,
        )));
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
        let event = Event::of_connection(HookEvent::Connect, client, None, self.inner.sequence());
        self.inner.decide(event).await.map(|_| ())
    }

    /// Asks whether a publisher may start.
    pub async fn publish(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        let event = Event::of_session(HookEvent::Publish, session, None, self.inner.sequence());
        let options = self.inner.decide(event).await?;
        self.inner.open.lock().entry(session.id).or_default().options = options;
        Ok(())
    }

    /// Asks whether a player may start.
    pub async fn play(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        let event = Event::of_session(HookEvent::Play, session, None, self.inner.sequence());
        self.inner.decide(event).await.map(|_| ())
    }

    /// Tells that a client that was let in has left. Returns at once.
    pub fn close(&self, client: &Arc<Connection>, traffic: Traffic) {
        let sequence = self.inner.sequence();
        self.inner
            .tell(Event::of_connection(HookEvent::Close, client, Some(traffic), sequence));
    }

    /// Tells that a publisher that was let in has ended, that its stream can no longer be played, and what it has carried. Returns at once.
    pub fn unpublish(&self, session: &Arc<Session>, traffic: Traffic) {
        let open = self.inner.open.lock().remove(&session.id).unwrap_or_default();
        let sequence = self.inner.sequence();
        self.inner
            .tell(Event::unpublished(session, traffic, open.playable, sequence));
    }

    /// Tells that a player that was let in has ended, and what it has carried. Returns at once.
    pub fn stop(&self, session: &Arc<Session>, traffic: Traffic) {
        let sequence = self.inner.sequence();
        self.inner
            .tell(Event::of_session(HookEvent::Stop, session, Some(traffic), sequence));
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
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn sequence(&self) -> &Sequence {
        &self.context.sequence
    }

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

    async fn decide(&self, event: Event) -> Result<PublishOptions, Refusal> {
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

    async fn ask_all(&self, event: &Event) -> (Result<PublishOptions, Failure>, Source) {
        let mut yes = Yes::of(Source::Local);
        for endpoint in self.takers(event) {
            match endpoint.ask(event).await {
                Ok(one) => yes.and(one),
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
        (Ok(yes.options), yes.source)
    }

    /// Tells of an event, and of what follows from it.
    pub(crate) fn tell(&self, event: Event) {
        for event in event.with_kin(self.sequence()) {
            let event = Arc::new(event);
            for endpoint in self.takers(&event) {
                endpoint.notify(&event);
            }
        }
    }

    pub(crate) fn takers(&self, event: &Event) -> Vec<Arc<Endpoint>> {
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
        never = beat::run(&endpoint) => match never {},
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
