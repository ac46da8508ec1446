//! [`Endpoint`]: one back end at run time. Its spec can change under it; its pools, outbox and health stay.

use arc_swap::ArcSwap;
use headgate_control::{EventClass, HookCredentials, HookEndpoint, HookEvent, HookReport, glob_matches};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};

use crate::admission::Memory;
use crate::books::Books;
use crate::credentials::Credentials;
use crate::delivery::lane::{Dead, Death, Limits};
use crate::delivery::outbox::{OnDead, OnGone, Outbox};
use crate::delivery::queue::Policy;
use crate::event::{Event, Sequence};
use crate::health::Health;
use crate::identity::Origin;
use crate::metrics::Metrics;
use crate::transport::{Dial, Transport, Transports};
use crate::tried::Latest;
use crate::{dialect, dialect::PublishOptions, dialect::Speak};

/// Calls of one class to one endpoint at a time.
pub(crate) const IN_FLIGHT_MAX: usize = 64;

/// What all endpoints share.
pub(crate) struct Context {
    pub(crate) metrics: Metrics,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) origin: ArcSwap<Origin>,
    /// Counts the requests of the process, for dialects that number them.
    pub(crate) index: AtomicU64,
    pub(crate) sequence: Sequence,
    counters: OnceLock<Counters>,
    pub(crate) books: Books,
}

/// Counts what there is.
type Counters = Arc<dyn Fn() -> BTreeMap<String, u64> + Send + Sync>;

impl Context {
    pub(crate) fn new(metrics: Metrics, origin: Origin, changed: watch::Sender<u64>, books: Books) -> Self {
        Self {
            metrics,
            changed,
            books,
            origin: ArcSwap::from_pointee(origin),
            index: AtomicU64::default(),
            sequence: Sequence::default(),
            counters: OnceLock::new(),
        }
    }

    /// The first one counts.
    pub(crate) fn count_by(&self, counters: Counters) {
        let _ = self.counters.set(counters);
    }

    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        self.counters.get().map(|count| count()).unwrap_or_default()
    }

    /// Tells those who wait that a report says something else now.
    pub(crate) fn bump(&self) {
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }
}

/// Whether a call is answered before a session goes on, or tells what is over. Each class has its own pool and bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Class {
    Admission,
    Notification,
}

/// See the module.
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) context: Arc<Context>,
    pub(crate) outbox: Outbox,
    /// Places for admissions under way.
    pub(crate) slots: Semaphore,
    /// Admissions that wait for a place.
    pub(crate) waiting: AtomicUsize,
    /// What it remembers of its answers.
    pub(crate) memory: Memory,
    /// Its health changed, so that a probe may be needed.
    pub(crate) unsure: Notify,
    /// Dead letters that were sent once more.
    pub(crate) replayed: AtomicU64,
    /// Its wish for dead letters may be a new one.
    pub(crate) wished: Notify,
    /// Its spec changed.
    pub(crate) edited: Notify,
    /// The latest attempts.
    pub(crate) latest: Latest,
    spec: ArcSwap<HookEndpoint>,
    credentials: ArcSwap<Credentials>,
    ways: ArcSwap<Ways>,
    health: Mutex<Health>,
    /// Options that its answers asked for and that are not in force.
    idle_options: Mutex<BTreeSet<&'static str>>,
}

/// How its back end is reached: by connections of its own, and of each class.
struct Ways {
    admission: Arc<dyn Transport>,
    notification: Arc<dyn Transport>,
    dialler: Arc<dyn Dial>,
}

impl Ways {
    fn new(credentials: &HookCredentials, transports: &dyn Transports) -> Self {
        Self {
            admission: transports.pool(credentials),
            notification: transports.pool(credentials),
            dialler: transports.dialler(credentials),
        }
    }
}

impl Endpoint {
    pub(crate) fn new(spec: &HookEndpoint, context: Arc<Context>, transports: &dyn Transports) -> Self {
        count_from_zero(spec, &context.metrics);
        let outbox = Outbox::new(
            Limits::default(),
            on_dead(spec, context.clone()),
            on_gone(context.clone()),
        );
        outbox.set_policy(policy(spec));
        context.books.ring(outbox.bell());
        Self {
            name: spec.name.clone(),
            outbox,
            context,
            slots: Semaphore::new(IN_FLIGHT_MAX),
            waiting: AtomicUsize::new(0),
            memory: Memory::default(),
            unsure: Notify::new(),
            replayed: AtomicU64::new(0),
            wished: Notify::new(),
            edited: Notify::new(),
            latest: Latest::default(),
            spec: ArcSwap::from_pointee(spec.clone()),
            credentials: ArcSwap::from_pointee(Credentials::new(&spec.credentials)),
            ways: ArcSwap::from_pointee(Ways::new(&spec.credentials, transports)),
            health: Mutex::default(),
            idle_options: Mutex::default(),
        }
    }

    /// Takes over a changed spec. What is pending goes to the new URLs, and with the new credentials, at once. `elsewhere`: where dials may go has changed.
    pub(crate) fn update(&self, spec: &HookEndpoint, transports: &dyn Transports, elsewhere: bool) {
        let old = self.spec.swap(Arc::new(spec.clone()));
        count_from_zero(spec, &self.context.metrics);
        self.edited.notify_one();
        if old.cache != spec.cache {
            self.memory.forget();
        }
        self.outbox.set_policy(policy(spec));
        self.wished.notify_one();
        let certificates =
            |spec: &HookEndpoint| (spec.credentials.authorities.clone(), spec.credentials.identity.clone());
        if old.credentials != spec.credentials {
            self.credentials.store(Arc::new(Credentials::new(&spec.credentials)));
        }
        if elsewhere || certificates(&old) != certificates(spec) {
            self.ways.store(Arc::new(Ways::new(&spec.credentials, transports)));
        }
        let before = (old.dialect, &old.urls, &old.credentials, &old.unresolved);
        if elsewhere || before != (spec.dialect, &spec.urls, &spec.credentials, &spec.unresolved) {
            *self.health.lock() = Health::default();
            self.idle_options.lock().clear();
            self.memory.clear();
            self.context.metrics.circuit.with_label_values(&[&self.name]).set(0);
            self.unsure.notify_one();
            self.outbox.urls_changed(spec.urls.len());
            self.context.bump();
        }
    }

    pub(crate) fn spec(&self) -> Arc<HookEndpoint> {
        self.spec.load_full()
    }

    pub(crate) fn dialect(&self) -> &'static dyn Speak {
        dialect::of(self.spec.load().dialect)
    }

    /// Bound on one admission, or on one attempt at a notification.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.spec.load().timeout_milliseconds.into())
    }

    /// Whether it wants events of this kind, and its dialect has them.
    pub(crate) fn wants(&self, kind: HookEvent) -> bool {
        let spec = self.spec.load();
        spec.events.contains(&kind) && spec.dialect.has(kind)
    }

    /// Whether it wants this event, and its dialect has it.
    pub(crate) fn takes(&self, event: &Event) -> bool {
        let (spec, stream) = (self.spec.load(), &event.stream);
        let any = |globs: &[String], text: &str| globs.is_empty() || globs.iter().any(|glob| glob_matches(glob, text));
        let matches = event.kind.is_of_server()
            || any(&spec.matches.vhosts, &stream.vhost)
                && any(&spec.matches.apps, &stream.app)
                && any(&spec.matches.streams, &stream.name);
        matches && spec.events.contains(&event.kind) && dialect::of(spec.dialect).tells(event)
    }

    pub(crate) fn transport(&self, class: Class) -> Arc<dyn Transport> {
        let ways = self.ways.load();
        match class {
            Class::Admission => Arc::clone(&ways.admission),
            Class::Notification => Arc::clone(&ways.notification),
        }
    }

    pub(crate) fn dialler(&self) -> Arc<dyn Dial> {
        Arc::clone(&self.ways.load().dialler)
    }

    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.credentials.load_full()
    }

    pub(crate) fn health(&self) -> &Mutex<Health> {
        &self.health
    }

    pub(crate) fn report(&self) -> HookReport {
        let health = self.health.lock();
        HookReport {
            name: self.name.clone(),
            reachable: health.reachable,
            answered: health.answered,
            last_failure: health.last_failure.clone(),
            circuit_open: self.memory.is_open(),
            fail_open: self.memory.lets_pass(),
            pending: u32::try_from(self.outbox.pending()).unwrap_or(u32::MAX),
            dead: self.outbox.dead(),
            letters: u32::try_from(self.context.books.letters.kept(&self.name)).unwrap_or(u32::MAX),
            replayed: self.replayed.load(Ordering::Relaxed),
            oldest_pending_seconds: coarse(self.outbox.oldest()),
            suspended: self.outbox.is_suspended(),
            in_memory: self.context.books.is_in_memory(),
            idle_options: self.idle_options.lock().iter().map(ToString::to_string).collect(),
        }
    }

    /// Remembers which options an answer asked for that are not in force. A new one is said once.
    pub(crate) fn note_options(&self, options: &PublishOptions) {
        let idle = options.idle();
        if idle.is_empty() {
            return;
        }
        let mut known = self.idle_options.lock();
        let before = known.len();
        known.extend(idle);
        if known.len() > before {
            let options = known.iter().copied().collect::<Vec<_>>().join(", ");
            tracing::warn!(
                endpoint = self.name,
                options,
                "options of on_publish are kept and not in force"
            );
            drop(known);
            self.context.bump();
        }
    }
}

/// Makes the counters that alerts look at stand at 0 before the first failure: a series that begins at 1 has no increase.
fn count_from_zero(spec: &HookEndpoint, metrics: &Metrics) {
    let dialect = dialect::of(spec.dialect);
    metrics.circuit.with_label_values(&[spec.name.as_str()]);
    for kind in spec.events.iter().filter(|kind| spec.dialect.has(**kind)) {
        let (endpoint, event) = (spec.name.as_str(), dialect.event_name(*kind));
        match kind.class() {
            EventClass::Admission => {
                metrics.fail_open.with_label_values(&[endpoint, event]);
            }
            EventClass::Notification => {
                for death in Death::ALL {
                    metrics.dead.with_label_values(&[endpoint, event, death.into()]);
                }
            }
            EventClass::Query | EventClass::Heartbeat => {}
        }
    }
}

/// Counts what is given up, says it once each, and keeps it.
fn on_dead(spec: &HookEndpoint, context: Arc<Context>) -> OnDead {
    let (endpoint, dialect) = (spec.name.clone(), spec.dialect);
    Box::new(move |dead| {
        let name = dialect::of(dialect).event_name(dead.event.kind);
        count_dead(&context, &endpoint, name, &dead.event, dead.death);
        context.books.letters.keep(&endpoint, dead);
    })
}

/// The same for an endpoint that is not there any more.
pub(crate) fn give_up(context: &Context, endpoint: &str, dead: Dead) {
    count_dead(context, endpoint, dead.event.kind.into(), &dead.event, dead.death);
    context.books.letters.keep(endpoint, dead);
}

fn policy(spec: &HookEndpoint) -> Policy {
    Policy {
        ordering: spec.delivery.ordering,
        max_age: Duration::from_secs(spec.delivery.max_age_seconds.into()),
    }
}

/// So that a report says something new a few times a day, and not each second.
fn coarse(age: Duration) -> u32 {
    let steps = [86_400, 21_600, 3600, 600, 60, 10];
    steps
        .into_iter()
        .find(|step| age.as_secs() >= u64::from(*step))
        .unwrap_or(0)
}

fn count_dead(context: &Context, endpoint: &str, name: &str, event: &Event, death: Death) {
    let reason = <&str>::from(death);
    context.metrics.dead.with_label_values(&[endpoint, name, reason]).inc();
    tracing::warn!(endpoint, event = name, id = %event.id, reason, "notification given up");
    context.bump();
}

/// Tells the log what is done with.
fn on_gone(context: Arc<Context>) -> OnGone {
    Box::new(move |numbers| context.books.done(numbers))
}
