//! [`Pod`]: all parts of the process, and the one way to put a config in force.

mod config;
mod error;
mod news;

pub use self::error::BadConfig;
pub use self::news::News;

use self::config::{bounds, changed_keys, closed, counters, hls, settings, started, validate};
use crate::drain::Draining;
use crate::gate::{PodGate, Policy};
use crate::hls_peers::{self, HlsPeers};
use crate::keys::KeyRing;
use crate::listeners::{Listeners, Served};
use crate::metrics;
use crate::report::{Readings, report};
use crate::segments::Followed;
use crate::{revoked, segments, unwatched};
use arc_swap::{ArcSwap, ArcSwapOption};
use headgate_control::{Applied, OnConflict, PodConfig, PodReport};
use headgate_front::Census;
use headgate_hooks::transport::AddressGuard;
use headgate_hooks::{Hooks, Place, Storage};
use headgate_http::{Hls, HlsHome, HlsKey};
use headgate_hub::{EndReason, Hub, resolve_vhost};
use headgate_relay::{Patience, Peers, Relay};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// How long sessions may take to end once they are told to.
const SESSIONS_END: Duration = Duration::from_secs(3);

/// What no config changes.
#[derive(Default)]
pub struct Setup<'a> {
    /// Name of this pod among those of its server.
    pub name: &'a str,
    /// Where hooks must and may not go.
    pub place: Place<'a>,
    /// Where hooks keep what must outlive the process.
    pub storage: Storage<'a>,
    /// What signs the sessions of HLS; the same in all pods of a server, so that a viewer can go from one to another. One of its own when absent.
    pub hls_key: Option<HlsKey>,
}

/// The parts.
pub struct Pod {
    name: String,
    hub: Hub,
    peers: Arc<Peers>,
    hooks: Hooks,
    gate: Arc<PodGate>,
    /// Publishers whose segments are told.
    followed: Arc<Followed>,
    /// Where streams may be pushed to.
    push_guard: AddressGuard,
    census: Arc<Census>,
    listeners: Listeners,
    vhosts: Arc<ArcSwap<Vec<String>>>,
    hls: Hls,
    hls_home: HlsHome,
    registry: Registry,
    config: ArcSwapOption<PodConfig>,
    applying: Mutex<()>,
    applied: watch::Sender<u64>,
    shutdown: CancellationToken,
    draining: Draining,
    stopping: AtomicBool,
    instance: String,
    sequence: AtomicU64,
    /// Since when keys have changed.
    revoked: Mutex<Option<Instant>>,
    /// What looks after streams while the pod is there.
    watching: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Pod {
    /// As [`Pod::with`], nameless and with all of it in memory.
    pub fn new(allow_loopback: bool) -> Result<Arc<Self>, prometheus::Error> {
        Self::with(&Setup {
            place: Place {
                allow_loopback,
                ..Place::default()
            },
            ..Setup::default()
        })
    }

    /// A pod without a config: it lets nobody in and listens nowhere.
    pub fn with(setup: &Setup<'_>) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        metrics::register(&registry)?;
        let service = headgate_hooks::new_service_id();
        let hooks = Hooks::new(&registry, &service, &setup.place, &setup.storage)?;
        let followed = Arc::<Followed>::default();
        let gate = Arc::new(PodGate::new(closed(), hooks.clone(), Arc::clone(&followed)));
        let peers = Arc::<Peers>::default();
        let relay_metrics = headgate_relay::Metrics::register(&registry)?;
        let relay = Relay::new(Arc::clone(&peers), Patience::default(), relay_metrics);
        let hub_metrics = headgate_hub::Metrics::register(&registry)?;
        let hub = Hub::among(Arc::new(relay), Arc::clone(&gate) as Arc<_>, hub_metrics);
        hooks.in_pod(setup.name);
        let counted = hub.clone();
        hooks.count_by(move || counters(&counted));
        let kicked = hub.clone();
        hooks.kick_by(move |session| {
            kicked.kick(session, EndReason::Kicked);
        });
        let (vhosts, shutdown) = (Arc::<ArcSwap<Vec<String>>>::default(), CancellationToken::new());
        let census = Arc::new(Census::new(Some(headgate_front::Metrics::register(&registry)?)));
        let (push, push_guard) = crate::pushes::push(&hub, &setup.place, &registry, &shutdown)?;
        gate.forward_by(Arc::new(push));
        let hls = setup.hls_key.clone().map_or_else(Hls::default, Hls::new);
        let hls_metrics = hls_peers::Metrics::register(&registry)?;
        hls.among(Arc::new(HlsPeers::new(Arc::clone(&peers), hls_metrics)));
        let seen = Arc::clone(&vhosts);
        let vhost = move |host: &str, param: &str| resolve_vhost(&seen.load(), host, param);
        let hls_home = HlsHome::new(hub.clone(), Arc::new(vhost), hls.clone());
        let served = Served {
            hub: hub.clone(),
            census: Arc::clone(&census),
            vhosts: Arc::clone(&vhosts),
            hls: hls.clone(),
            shutdown: shutdown.clone(),
        };
        Ok(Arc::new(Self {
            name: setup.name.to_owned(),
            hub,
            peers,
            hooks,
            gate,
            followed,
            push_guard,
            census,
            listeners: Listeners::new(served),
            vhosts,
            hls,
            hls_home,
            registry,
            config: ArcSwapOption::empty(),
            applying: Mutex::new(()),
            applied: watch::Sender::new(0),
            shutdown,
            draining: Draining::default(),
            stopping: AtomicBool::new(false),
            instance: Uuid::new_v4().to_string(),
            sequence: AtomicU64::new(0),
            revoked: Mutex::default(),
            watching: Mutex::default(),
        }))
    }

    /// Puts a config in force, whole. When it is refused, all stays as it was. Sessions that are in stay in either way, but
    /// for those whose StreamKey is taken away.
    pub fn apply(&self, config: PodConfig) -> Result<Applied, BadConfig> {
        let _applying = self.applying.lock();
        if self.stopping.load(Ordering::Acquire) {
            return Err(BadConfig::Stopping);
        }
        validate(&config)?;
        let policy = Policy {
            keys: KeyRing::new(&config)?,
            takeover: config.publish.on_conflict == OnConflict::Takeover,
        };
        self.gate.set(policy);
        self.hooks.restrict(&config.hook_networks);
        self.push_guard.restrict(&config.hook_networks);
        if let Some(old) = self.config.load().as_deref() {
            let changed = changed_keys(old, &config);
            self.hooks.forget_keys(&changed);
            if !changed.is_empty() {
                self.revoke();
            }
        }
        self.hooks.reconfigure(&config.server, &config.hooks);
        self.hooks.adopt(&config.orphans, &self.name);
        self.hub.configure(settings(&config));
        self.peers.configure(&config);
        self.vhosts.store(Arc::new(config.vhosts.clone()));
        self.census.bound(bounds(&config));
        self.hls.configure(hls(&config));
        self.listeners.set(&config.listeners);
        let revision = config.revision.clone();
        let (keys, hooks) = (config.keys.len(), config.hooks.len());
        tracing::info!(server = %config.server.name, %revision, keys, hooks, "config in force");
        if self.config.load().is_none() {
            self.hooks.server_started(started(&config, &self.hooks.pod_name()));
        }
        self.config.store(Some(Arc::new(config)));
        bump(&self.applied);
        Ok(Applied { revision })
    }

    /// The config in force.
    pub fn config(&self) -> Option<Arc<PodConfig>> {
        self.config.load_full()
    }

    /// Answers viewers of other pods who are at home here.
    pub fn hls_home(&self) -> &HlsHome {
        &self.hls_home
    }

    /// What stands against taking sessions; `None` when it takes them.
    pub fn unready(&self) -> Option<&'static str> {
        if self.stopping.load(Ordering::Acquire) {
            Some("stopping")
        } else if self.draining.is_on() {
            Some("draining")
        } else if self.config.load().is_none() {
            Some("no config is in force")
        } else if !self.listeners.all_open() {
            Some("a listener is not open")
        } else {
            None
        }
    }

    /// The state of this pod, with the next number.
    pub fn report(&self) -> PodReport {
        // Read first: what is said under a revision is then at least as new as it.
        let revision = self.config().map_or_else(String::new, |c| c.revision.clone());
        let readings = Readings {
            streams: self.hub.snapshot(),
            hooks: self.hooks.reports(),
            listeners: self.listeners.reports(),
            revision,
            ready: self.unready().is_none(),
            draining: self.draining.report(&self.hub),
        };
        let mut report = report(readings);
        for stream in &mut report.streams {
            stream.sealed = self.hooks.sealed(stream.session);
        }
        PodReport {
            adopted: self.hooks.adopted(),
            instance: self.instance.clone(),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            ..report
        }
    }

    /// To wait for what is new from now on.
    pub fn news(&self) -> News {
        let sources = [
            self.hub.changed(),
            self.hooks.changed(),
            self.listeners.changed(),
            self.applied.subscribe(),
        ];
        News { sources }
    }

    /// Ends a session. False when there is none of this id.
    pub fn kick(&self, session: Uuid) -> bool {
        self.hub.kick(session, EndReason::Kicked)
    }

    /// Whether the server has no other pod.
    pub fn is_alone(&self) -> bool {
        self.peers.all().is_empty()
    }

    /// Whether it is on its way out, or back.
    pub(crate) fn is_leaving(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || self.draining.is_on()
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    pub(crate) fn followed(&self) -> &Followed {
        &self.followed
    }

    pub(crate) fn draining(&self) -> &Draining {
        &self.draining
    }

    pub(crate) fn applied(&self) -> &watch::Sender<u64> {
        &self.applied
    }

    /// The sessions and streams.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The other pods of the server.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// All metrics of the process.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn hls(&self) -> &Hls {
        &self.hls
    }

    pub(crate) fn gate(&self) -> &PodGate {
        &self.gate
    }

    /// When keys last changed.
    pub(crate) fn revoked(&self) -> &Mutex<Option<Instant>> {
        &self.revoked
    }

    /// Looks after streams that nobody plays, sessions whose key is gone and segments that somebody wants to hear of, until the pod is dropped or stops. Needs a tokio runtime around it.
    pub fn watch(self: &Arc<Self>) {
        let weak = || Arc::downgrade(self);
        let (streams, keys, cut) = (
            unwatched::watch(weak()),
            revoked::watch(weak()),
            segments::watch(weak()),
        );
        let task = tokio::spawn(async {
            tokio::join!(streams, keys, cut);
        });
        *self.watching.lock() = Some(AbortOnDropHandle::new(task));
    }

    /// Ends in peace: not ready, no new sessions, every session ended, every notification sent or handed to another pod as far as time allows.
    pub async fn stop(&self) {
        let until = self.draining.last_moment(Instant::now());
        self.stopping.store(true, Ordering::Release);
        self.watching.lock().take();
        bump(&self.applied);
        self.shutdown.cancel();
        self.hub.end_all(EndReason::Shutdown);
        let ended = futures::future::join(self.listeners.ended(), self.hub.idle());
        if tokio::time::timeout(SESSIONS_END, ended).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
        self.hooks.server_exited().await;
        match self.empty_outbox(until).await {
            0 => tracing::info!("stopped"),
            left if self.peers.can_be() => {
                tracing::error!(left, "stopped: notifications that nobody took are lost with this pod");
            }
            left => tracing::warn!(left, "stopped: notifications that nobody took wait in the state folder"),
        }
    }
}

pub(crate) fn bump(changed: &watch::Sender<u64>) {
    changed.send_modify(|n| *n = n.wrapping_add(1));
}
