//! The hub itself: admission, the end of sessions, and what others may know and do.

use crate::edge::Seed;
use crate::live::Live;
use crate::registry::{Established, Registry};
use crate::stream::Stream;
use crate::{
    Alone, Client, Connection, Edge, Elsewhere, EndReason, FileRequest, Gate, Metrics, Protocol, Refusal, Session,
    SessionKind, Settings, StreamSnapshot, Traffic, snapshot,
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// All streams of one process. A clone is the same hub.
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) elsewhere: Arc<dyn Elsewhere>,
    pub(crate) metrics: Metrics,
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) registry: Mutex<Registry>,
    /// Admissions under way. Each ends when the gate has answered, whether or not the client is still there.
    pub(crate) admissions: TaskTracker,
    /// Viewers that are there, for the merge window.
    pub(crate) viewers: AtomicUsize,
    changed: watch::Sender<u64>,
    /// Publishers should come back elsewhere.
    pub(crate) leave: watch::Sender<bool>,
}

impl Hub {
    /// A hub whose sessions pass `gate`, and that is all there is.
    pub fn new(gate: Arc<dyn Gate>, metrics: Metrics) -> Self {
        Self::among(Arc::new(Alone), gate, metrics)
    }

    /// A hub whose sessions pass `gate`, and that acts as one with those `elsewhere`.
    pub fn among(elsewhere: Arc<dyn Elsewhere>, gate: Arc<dyn Gate>, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            gate,
            elsewhere,
            metrics,
            settings: ArcSwap::default(),
            registry: Mutex::default(),
            admissions: TaskTracker::new(),
            viewers: AtomicUsize::new(0),
            changed: watch::Sender::new(0),
            leave: watch::Sender::new(false),
        }))
    }

    /// Puts settings in force. Sessions that are there stay, even beyond new limits.
    pub fn configure(&self, settings: Settings) {
        self.0.settings.store(Arc::new(settings));
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        **self.0.settings.load()
    }

    /// Counts bytes that went out to no session in particular, such as files that caches keep for many viewers.
    pub fn count_egress(&self, protocol: Protocol, bytes: u64) {
        let egress = &self.0.metrics.egress_bytes;
        egress.with_label_values(&[protocol.as_str()]).inc_by(bytes);
    }

    /// A connection was accepted. The gate hears of it with its first session, and of its end if it let it in.
    pub fn open(&self, connection: Connection) -> Client {
        Client::new(self.clone(), connection)
    }

    /// Streams that have a publisher, a viewer, or somebody who is asked about; sorted by name.
    pub fn snapshot(&self) -> Vec<StreamSnapshot> {
        let registry = self.0.registry.lock();
        let (streams, lives) = (registry.streams(), registry.all());
        drop(registry);
        snapshot::of(&streams, &lives)
    }

    /// Its value changes when a session starts or ends or a track changes.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Ends an admitted session at once. False when there is none of this id.
    pub fn kick(&self, session: Uuid, reason: EndReason) -> bool {
        let live = self.0.registry.lock().get(session);
        live.is_some_and(|live| self.0.end(&live, reason))
    }

    /// Whether anybody would be asked about files; it is not worth making a [`FileRequest`] else.
    pub fn guards_files(&self) -> bool {
        self.0.gate.guards_files()
    }

    /// Asks whether a file of a stream may be had.
    pub async fn file(&self, request: &FileRequest) -> Result<(), Refusal> {
        self.0.gate.file(request).await
    }

    /// Ends every session and lets nobody in any more.
    pub fn end_all(&self, reason: EndReason) {
        let mut registry = self.0.registry.lock();
        registry.close(reason);
        let lives = registry.all();
        drop(registry);
        for live in lives {
            self.0.end(&live, reason);
        }
    }

    /// Resolves when no session is left and no admission is under way.
    pub async fn idle(&self) {
        let mut changed = self.changed();
        self.0.admissions.close();
        loop {
            changed.borrow_and_update();
            if self.0.registry.lock().is_empty() {
                self.0.admissions.wait().await;
                if self.0.registry.lock().is_empty() {
                    return;
                }
            } else if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Inner {
    /// Makes a session that the gate let in a live one, or tells the gate that it is over already.
    pub(crate) fn establish(self: &Arc<Self>, live: &Arc<Live>) -> Result<(), EndReason> {
        let publishes = live.session.kind == SessionKind::Publish;
        let treatment = publishes.then(|| self.gate.treatment(&live.session));
        let mut registry = self.registry.lock();
        let established = registry.establish(live);
        if let (Established::In(..), Some(treatment)) = (&established, treatment) {
            live.stream.begin(live.session.id, None);
            live.stream.treat(treatment);
        }
        drop(registry);
        self.news();
        match established {
            Established::In(displaced, wanted) => {
                if let Some(displaced) = displaced {
                    self.end(&displaced, EndReason::TakenOver);
                }
                if publishes {
                    self.turn_away(&live.stream);
                }
                self.want(wanted);
                Ok(())
            }
            Established::Out(reason) => {
                self.tell_ended(&live.session, reason, Traffic::default());
                Err(reason)
            }
        }
    }

    /// The one way in which an admitted session ends. The gate hears of it when nothing more of its media can come, and before the name is free. False when it
    /// had ended.
    pub(crate) fn end(self: &Arc<Self>, live: &Arc<Live>, reason: EndReason) -> bool {
        if !live.claim_end(reason) {
            return false;
        }
        if live.session.kind == SessionKind::Publish {
            live.stream.end(live.session.id);
        }
        self.tell_ended(&live.session, reason, live.traffic());
        let wanted = self.registry.lock().remove(live);
        live.announce_end();
        self.news();
        self.want(wanted);
        true
    }

    /// Asks the gate about a stream that a player waits for, unless it was asked already.
    pub(crate) fn miss(self: &Arc<Self>, player: &Arc<Live>) {
        if !player.stream.claim_missing() {
            return;
        }
        let (hub, player) = (Arc::clone(self), Arc::clone(player));
        self.admissions.spawn(async move {
            tokio::time::sleep(hub.elsewhere.patience()).await;
            if player.stream.gone_since().is_some() && hub.gate.missing(&player.session).await {
                hub.send_away(&player.stream);
            }
        });
    }

    /// Ends all who wait for a stream that is not there.
    fn send_away(self: &Arc<Self>, stream: &Arc<Stream>) {
        let lives = self.registry.lock().all();
        let waits = |live: &&Arc<Live>| live.session.kind == SessionKind::Play && Arc::ptr_eq(&live.stream, stream);
        for live in lives.iter().filter(waits) {
            if stream.gone_since().is_some() {
                self.end(live, EndReason::StreamNotFound);
            }
        }
    }

    /// Ends those who have waited over a protocol over which the stream is not to be had.
    fn turn_away(self: &Arc<Self>, stream: &Arc<Stream>) {
        if stream.is_for_all() {
            return;
        }
        let lives = self.registry.lock().all();
        let wants = |live: &&Arc<Live>| live.session.kind == SessionKind::Play && Arc::ptr_eq(&live.stream, stream);
        for live in lives.iter().filter(wants) {
            if !stream.offers(live.session.connection.protocol) {
                self.end(live, EndReason::StreamNotFound);
            }
        }
    }

    /// Asks for a stream that is not here.
    fn want(self: &Arc<Self>, wanted: Option<Seed>) {
        if let Some(seed) = wanted {
            self.elsewhere.wanted(Edge::new(Hub(Arc::clone(self)), seed));
        }
    }

    pub(crate) fn tell_ended(&self, session: &Arc<Session>, reason: EndReason, traffic: Traffic) {
        let (kind, name, client) = (session.kind, &session.name, &session.connection.client_id);
        tracing::info!(session = %session.id, %kind, stream = %name, %client, %reason, "session ended");
        self.metrics.end(reason);
        self.gate.ended(session, reason, traffic);
    }

    /// Frees what a session reserved whose admission came to nothing.
    pub(crate) fn release(&self, id: Uuid) {
        let released = self.registry.lock().release(id);
        if released {
            self.news();
        }
    }

    pub(crate) fn refuse(&self, kind: SessionKind, connection: &Connection, refusal: &Refusal) {
        self.metrics.refuse(refusal.reason);
        let (client, peer) = (&connection.client_id, connection.peer);
        tracing::info!(%kind, %client, %peer, reason = %refusal.reason, message = %refusal.message, "session refused");
    }

    /// Something changed: sets the gauges and wakes who watches.
    pub(crate) fn news(&self) {
        let registry = self.registry.lock();
        let counts = registry.counts();
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.streams.set(gauge(counts.publishers));
        self.metrics.publishers.set(gauge(counts.publishers));
        for (protocol, count) in Protocol::ALL.iter().zip(counts.viewers) {
            self.metrics
                .viewers
                .with_label_values(&[protocol.as_str()])
                .set(gauge(count));
        }
        self.viewers.store(counts.viewers.iter().sum(), Ordering::Relaxed);
        drop(registry);
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }
}
