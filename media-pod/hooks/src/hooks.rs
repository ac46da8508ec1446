//! [`Hooks`]: the way in for the process. Everything else in this crate is behind it.

mod inner;

use arc_swap::ArcSwap;
use headgate_control::{Durability, HookEndpoint, HookEvent, HookNetworks, HookReport, Orphan, ServerIdentity};
use headgate_hub::{Connection, Refusal, Session, Traffic};
use parking_lot::Mutex;
use prometheus::Registry;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::admission::Question;
use crate::books::{Books, Storage};
use crate::books_metrics::BooksMetrics;
use crate::dialect::PublishOptions;
use crate::endpoint::{Context, Endpoint};
use crate::event::Event;
use crate::handover::{HandoverRecord, TakeOverError};
use crate::identity::Origin;
use crate::intern::Interner;
use crate::ledger::LedgerView;
use crate::log::metrics::LogMetrics;
use crate::metrics::Metrics;
use crate::opened::Opened;
use crate::outbox_metrics::OutboxMetrics;
use crate::transport::{AddressGuard, HttpTransports, Transports};
use crate::tried::EndpointAttempts;

/// How often a flush tries again what failed.
const FLUSH_PACE: Duration = Duration::from_secs(1);
/// How often a flush looks whether all is sent.
const FLUSH_LOOK: Duration = Duration::from_millis(10);

/// Asks and tells the back ends of one server. Cheap to clone; the workers end with the last clone.
///
/// The caller keeps the pairing: [`Hooks::unpublish`] once for each [`Hooks::publish`] whose session was let in, and so on. What the caller cannot keep,
/// because its process or its pod is gone, is kept here: with a [`Storage`] every session that was let in stands in a ledger on disk before anybody
/// hears of it, and the first [`Hooks::reconfigure`] of the next process tells of the ends that are missing; [`Hooks::adopt`] does it for other pods.
#[derive(Clone)]
pub struct Hooks {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    context: Arc<Context>,
    transports: Arc<dyn Transports>,
    names: Interner,
    service_id: String,
    pod: OnceLock<String>,
    /// What is known of the sessions that were let in, until they end.
    pub(crate) open: Mutex<HashMap<Uuid, Open>>,
    /// In the order in which they are asked.
    attached: ArcSwap<Vec<Attached>>,
    /// Held while they change.
    changing: Mutex<()>,
    /// A config was in force.
    configured: AtomicBool,
    handing_over: AtomicBool,
    /// Where dials may go has changed, and the connections that there are were opened before that.
    elsewhere: AtomicBool,
    /// Ends a session.
    kicker: OnceLock<Kicker>,
    me: OnceLock<Weak<Self>>,
}

/// Where the process runs, as far as hooks must not go everywhere from there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// Endpoints may be on this host: for standalone use only.
    pub allow_loopback: bool,
    /// Addresses that they are never on: the pod's own, and the API server's.
    pub never: &'a [IpAddr],
}

type Kicker = Box<dyn Fn(Uuid) + Send + Sync>;

/// What is known of a session that was let in.
#[derive(Default)]
pub(crate) struct Open {
    /// The session, and since when it is in; not there while it is asked about.
    pub(crate) session: Option<(Arc<Session>, Instant)>,
    /// How it is to be treated.
    pub(crate) options: PublishOptions,
    /// It was said to be playable.
    pub(crate) playable: bool,
}

/// An endpoint and the task that works for it.
#[derive(Clone)]
struct Attached {
    endpoint: Arc<Endpoint>,
    worker: Arc<AbortOnDropHandle<()>>,
}

impl Hooks {
    /// Hooks without endpoints. `service_id` is new each time the process starts ([`crate::new_service_id`]);
    /// `place` says what of the surroundings is none of their business. Reads what an earlier process left in `storage`.
    pub fn new(
        registry: &Registry,
        service_id: &str,
        place: &Place<'_>,
        storage: &Storage<'_>,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let guard = AddressGuard::new(place.allow_loopback, metrics.ssrf_blocked.clone()).and_never(place.never);
        let transports = HttpTransports::new(guard, metrics.connections.clone());
        Self::build(registry, metrics, service_id, Arc::new(transports), storage)
    }

    /// The same over another transport.
    pub fn with_transports(
        registry: &Registry,
        service_id: &str,
        transports: Arc<dyn Transports>,
        storage: &Storage<'_>,
    ) -> Result<Self, prometheus::Error> {
        Self::build(registry, Metrics::new(registry)?, service_id, transports, storage)
    }

    fn build(
        registry: &Registry,
        metrics: Metrics,
        service_id: &str,
        transports: Arc<dyn Transports>,
        storage: &Storage<'_>,
    ) -> Result<Self, prometheus::Error> {
        let changed = watch::Sender::new(0);
        let measured = (LogMetrics::new(registry)?, BooksMetrics::new(registry)?);
        let books = Books::open(storage, measured, changed.clone());
        let context = Arc::new(Context::new(metrics, Origin::new("", service_id), changed, books));
        let inner = Arc::new(Inner {
            context,
            transports,
            names: Interner::default(),
            service_id: service_id.to_owned(),
            pod: OnceLock::new(),
            open: Mutex::default(),
            attached: ArcSwap::default(),
            changing: Mutex::new(()),
            configured: AtomicBool::new(false),
            handing_over: AtomicBool::new(false),
            elsewhere: AtomicBool::new(false),
            kicker: OnceLock::new(),
            me: OnceLock::new(),
        });
        let owner: Weak<Inner> = Arc::downgrade(&inner);
        inner.context.books.set_owner(owner.clone());
        let _ = inner.me.set(owner.clone());
        registry.register(Box::new(OutboxMetrics::new(owner)?))?;
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

    /// Where endpoints may be, from the next [`Hooks::reconfigure`] on also on connections that are open now.
    pub fn restrict(&self, networks: &HookNetworks) {
        if self.inner.transports.restrict(networks) {
            self.inner.elsewhere.store(true, Ordering::Release);
        }
    }

    /// Puts a config in force: for the next call and for all that is pending. An endpoint that stays, by its name, keeps what
    /// is pending; what is pending for one that goes is dead, and counted. The first config also gets what an earlier process left: its
    /// notifications, and the closing events of the sessions that it had. Needs a tokio runtime around it.
    pub fn reconfigure(&self, server: &ServerIdentity, endpoints: &[HookEndpoint]) {
        let inner = &self.inner;
        let _changing = inner.changing.lock();
        inner.context.origin.store(Arc::new(Origin::of(
            server,
            inner.pod.get().map_or("", String::as_str),
            &inner.service_id,
        )));
        let elsewhere = inner.elsewhere.swap(false, Ordering::AcqRel);
        let node = |spec: &HookEndpoint| spec.delivery.durability == Durability::Node;
        inner.books().set_sync(endpoints.iter().any(node));
        let old = inner.attached.load_full();
        let attach = |spec: &HookEndpoint| match old.iter().find(|attached| attached.endpoint.name == spec.name) {
            Some(attached) => {
                attached.endpoint.update(spec, &*inner.transports, elsewhere);
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
        if let Some(left) = inner.books().take_left() {
            inner.take_up(left);
        }
        inner.configured.store(true, Ordering::Release);
        inner.context.bump();
    }

    /// Asks whether a client may connect. A yes is in the ledger when this returns; so it is with the next two.
    pub async fn connect(&self, client: &Arc<Connection>) -> Result<(), Refusal> {
        let event = Event::of_connection(HookEvent::Connect, client, None, self.inner.sequence());
        let question = Question::new(event);
        let admitted = self.inner.decide(&question).await?;
        let opened = Opened::of_connection(client, self.inner.sequence());
        self.inner.enter(opened, &question, &admitted.unasked).await;
        Ok(())
    }

    /// Asks whether a publisher may start.
    pub async fn publish(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        self.inner.admit(HookEvent::Publish, session).await
    }

    /// Asks whether a player may start.
    pub async fn play(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        self.inner.admit(HookEvent::Play, session).await
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
        let how = (
            open.playable,
            open.options.without(),
            open.options.played_as().map(Into::into),
        );
        self.inner
            .tell(Event::unpublished(session, traffic, how, self.inner.sequence()));
    }

    /// Tells that a player that was let in has ended, and what it has carried. Returns at once.
    pub fn stop(&self, session: &Arc<Session>, traffic: Traffic) {
        self.inner.open.lock().remove(&session.id);
        let sequence = self.inner.sequence();
        self.inner
            .tell(Event::of_session(HookEvent::Stop, session, Some(traffic), sequence));
    }

    /// How a session is ended that a back end refuses when it is asked again. The first one counts.
    pub fn kick_by(&self, kick: impl Fn(Uuid) + Send + Sync + 'static) {
        let _ = self.inner.kicker.set(Box::new(kick));
    }

    /// The sessions that were let in and have not ended.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.inner.present().into_iter().map(|(session, _)| session).collect()
    }

    /// Forgets what was decided about those whom these StreamKeys let in: the keys are gone or are others now.
    pub fn forget_keys(&self, names: &HashSet<&str>) {
        for endpoint in self.inner.endpoints() {
            endpoint.memory.purge(|name| names.contains(name));
        }
    }

    /// The sessions that are open, and how that changes from then on. For the operator, which hands them to another pod when this one is gone.
    pub fn ledger(&self) -> LedgerView {
        self.inner.books().ledger.view()
    }

    /// The sealed entry of an open session: the same text each time. `None` without a seal key, and when it is not open.
    pub fn sealed(&self, session: Uuid) -> Option<String> {
        self.inner.books().ledger.sealed(session)
    }

    /// Tells of the ends of sessions of pods that are gone, as far as this pod (`me`) is to do it: of each once, however often it is named, over restarts too.
    /// To be called with the orphans of each config, behind its [`Hooks::reconfigure`]; an empty list lets old ones be forgotten.
    pub fn adopt(&self, orphans: &[Orphan], me: &str) {
        if self.inner.configured.load(Ordering::Acquire) {
            self.inner.adopt(orphans, me);
        }
    }

    /// Those of the latest [`Hooks::adopt`] whose closing events are safe in this pod's outbox, or told, or can never be told. [`Hooks::changed`] moves with it.
    pub fn adopted(&self) -> Vec<Uuid> {
        self.inner.adopted()
    }

    /// For shutdown, behind [`Hooks::flush`]: what is not delivered, the oldest first, at most [`crate::HANDOVER_MAX`] at a time; one JSON line each for another
    /// pod. From the first call on no attempt is started. It all stays in this pod's log until [`Hooks::handed_over`]; then the next call gives what follows.
    pub fn hand_over(&self) -> Vec<HandoverRecord> {
        self.inner.handing_over.store(true, Ordering::Release);
        self.inner.hand_over()
    }

    /// Another pod has these now.
    pub async fn handed_over(&self, records: &[HandoverRecord]) {
        self.inner.handed_over(records).await;
    }

    /// Takes what another pod hands over. `Ok`: all of it is in this pod's outbox, and on disk where there is one. A notification that is or was here already
    /// is taken once (by its id, endpoint and URL). One whose endpoint this pod does not have is dead, and counted.
    pub async fn take_over(&self, records: Vec<HandoverRecord>) -> Result<(), TakeOverError> {
        if self.inner.handing_over.load(Ordering::Acquire) {
            return Err(TakeOverError::HandingOver);
        }
        if !self.inner.configured.load(Ordering::Acquire) {
            return Err(TakeOverError::NotReady);
        }
        self.inner.take_over(records).await
    }

    /// How each endpoint does, in their order.
    pub fn reports(&self) -> Vec<HookReport> {
        self.inner
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.report())
            .collect()
    }

    /// The latest attempts at each endpoint, in their order.
    pub fn attempts(&self) -> Vec<EndpointAttempts> {
        self.inner
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.attempts())
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
        self.inner.written().await;
        pending()
    }
}
