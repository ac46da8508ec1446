//! One played media pod: what it runs, its streams, and the control protocol as `media-pod/control` has it.

use super::sealed::{Entries, Sealed};
use super::waits::Waits;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use futures::StreamExt as _;
use futures::future::ready;
use futures::stream::{once, unfold};
use headgate_control::{
    Applied, CONFIG_PATH, DRAIN_PATH, DrainReport, DrainRequest, HookReport, LEDGER_PATH, LedgerLine, Listener,
    ListenerReport, PodConfig, PodReport, REPORT_PATH, SESSIONS_PATH, StreamReport, TrackReport,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// As the real pod: changes that come closer together are one report.
const COALESCE: Duration = Duration::from_millis(200);
/// Changes of a ledger that a reader may be behind.
const LINES: usize = 256;
/// As the real pod: the longest silence.
const EVERY: Duration = Duration::from_secs(5);

/// A media pod that has no media.
#[derive(Debug)]
pub struct Played {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    instance: String,
    sequence: AtomicU64,
    running: Mutex<Running>,
    streams: Mutex<BTreeMap<Uuid, StreamReport>>,
    /// Where it has closing events to be told, how long what it says of them is.
    sealed: Option<Sealed>,
    open: Mutex<HashMap<Uuid, Entries>>,
    ledger: broadcast::Sender<LedgerLine>,
    /// Until when it drains.
    draining: Mutex<Option<Timestamp>>,
    /// Streams whose publishers were told to end.
    kicked: Mutex<Vec<String>>,
    news: watch::Sender<()>,
    in_force: Arc<Waits>,
    reports: AtomicU64,
}

/// What is kept of a configuration.
#[derive(Debug, Default)]
struct Running {
    revision: String,
    listeners: Vec<Listener>,
    hooks: Vec<String>,
    keys: Vec<String>,
    /// Sessions of pods that are gone, which it was told to close; that is done at once.
    adopted: Vec<Uuid>,
}

impl Running {
    fn of(config: PodConfig, name: &str) -> Self {
        let mine = config.orphans.iter().filter(|o| o.adopter == name);
        Self {
            adopted: mine.map(|o| o.session).collect(),
            revision: config.revision,
            listeners: config.listeners,
            hooks: config.hooks.into_iter().map(|h| h.name).collect(),
            keys: config.keys.into_iter().map(|k| k.name).collect(),
        }
    }
}

/// As what [`Waits`] know a key with a limit in a namespace.
pub fn edit(namespace: &str, key: &str, limit: u32) -> String {
    format!("{namespace}/{key}={limit}")
}

impl Played {
    /// Starts from the configuration in its Secret.
    pub fn new(
        (namespace, name): (String, String),
        config: PodConfig,
        in_force: Arc<Waits>,
        sealed: Option<Sealed>,
    ) -> Self {
        Self {
            running: Mutex::new(Running::of(config, &name)),
            namespace,
            name,
            sealed,
            open: Mutex::default(),
            ledger: broadcast::Sender::new(LINES),
            instance: Uuid::new_v4().to_string(),
            sequence: AtomicU64::new(0),
            streams: Mutex::default(),
            draining: Mutex::default(),
            kicked: Mutex::default(),
            news: watch::Sender::new(()),
            in_force,
            reports: AtomicU64::new(0),
        }
    }

    /// A publisher comes; the session's id.
    pub fn publish(&self, name: &str) -> Uuid {
        let session = Uuid::now_v7();
        self.publish_as(name, session);
        session
    }

    /// The same under an id that is known before: its object may be there before this returns.
    pub fn publish_as(&self, name: &str, session: Uuid) {
        let entries = self.sealed.map(|s| s.entries(session));
        let mut stream = stream(name, session);
        if let Some(entries) = entries {
            stream.sealed = Some(entries.0[0].sealed.clone());
            self.opens(session, entries);
        }
        self.streams.lock().insert(session, stream);
        self.news.send_replace(());
    }

    fn opens(&self, session: Uuid, entries: Entries) {
        let mut open = self.open.lock();
        for entry in &entries.0 {
            let _ = self.ledger.send(LedgerLine::Open(entry.clone()));
        }
        open.insert(session, entries);
    }

    fn closes(&self, session: Uuid) {
        let mut open = self.open.lock();
        for entry in open.remove(&session).into_iter().flat_map(|e| e.0) {
            let session = entry.session;
            let _ = self.ledger.send(LedgerLine::Closed { session });
        }
    }

    /// What is open, that this was all, and what comes then.
    fn ledger(&self) -> (Vec<LedgerLine>, broadcast::Receiver<LedgerLine>) {
        let open = self.open.lock();
        let entries = open.values().flat_map(|e| e.0.iter().cloned());
        let lines = entries.map(LedgerLine::Open).chain([LedgerLine::Synced]).collect();
        (lines, self.ledger.subscribe())
    }

    /// A publisher goes; `false` when there is none.
    pub fn unpublish(&self, session: Uuid) -> bool {
        let gone = self.streams.lock().remove(&session).is_some();
        self.closes(session);
        self.news.send_replace(());
        gone
    }

    /// The names of its streams.
    pub fn live(&self) -> Vec<String> {
        self.streams.lock().values().map(|s| s.stream.clone()).collect()
    }

    /// Publishers that were told to end, as `NAMESPACE/POD STREAM`.
    pub fn kicked(&self) -> Vec<String> {
        self.kicked.lock().iter().map(|stream| self.cut(stream)).collect()
    }

    /// For a list of publishers that were cut.
    pub fn cut(&self, stream: &str) -> String {
        format!("{}/{} {stream}", self.namespace, self.name)
    }

    /// Whether it was told to drain.
    pub fn is_draining(&self) -> bool {
        self.draining.lock().is_some()
    }

    fn drain(&self, until: Option<Timestamp>) {
        *self.draining.lock() = until;
        self.news.send_replace(());
    }

    /// How many keys it runs with.
    pub fn keys(&self) -> usize {
        self.running.lock().keys.len()
    }

    /// Whether an operator has its report stream open.
    pub fn is_linked(&self) -> bool {
        self.reports.load(Ordering::Relaxed) > 0
    }

    fn apply(&self, config: PodConfig) -> Applied {
        for key in &config.keys {
            if let Some(limit) = key.max_publishers {
                self.in_force.came(&edit(&self.namespace, &key.name, limit));
            }
        }
        let applied = Applied {
            revision: config.revision.clone(),
        };
        *self.running.lock() = Running::of(config, &self.name);
        self.news.send_replace(());
        applied
    }

    /// Figures move from report to report as an encoder's do.
    fn report(&self) -> PodReport {
        let mut streams: Vec<StreamReport> = self.streams.lock().values().cloned().collect();
        for stream in &mut streams {
            stream.bitrate_kilobits = rand::random_range(2100..2900);
            for track in &mut stream.tracks {
                track.frames_per_second = track.width.map(|_| rand::random_range(29..=30));
            }
        }
        let draining = self.draining.lock().map(|deadline| DrainReport {
            deadline,
            publishers: u32::try_from(streams.len()).unwrap_or(u32::MAX),
            viewers: 0,
        });
        let running = self.running.lock();
        let mut key_use: BTreeMap<String, u32> = BTreeMap::new();
        for stream in &streams {
            // A stream came in with the key that its name chooses, always the same.
            let number = stream.stream.bytes().map(usize::from).sum::<usize>();
            let chosen = number
                .checked_rem(running.keys.len())
                .and_then(|at| running.keys.get(at));
            if let Some(users) = chosen.map(|key| key_use.entry(key.clone()).or_default()) {
                *users = users.saturating_add(1);
            }
        }
        PodReport {
            instance: self.instance.clone(),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            revision: running.revision.clone(),
            ready: draining.is_none(),
            draining,
            listeners: running.listeners.iter().map(listener).collect(),
            streams,
            hooks: running.hooks.iter().map(|name| hook(name)).collect(),
            key_use,
            adopted: running.adopted.clone(),
            ..PodReport::default()
        }
    }
}

fn stream(name: &str, session: Uuid) -> StreamReport {
    let track = |codec: &str, width: Option<u32>| TrackReport {
        codec: codec.into(),
        width,
        height: width.map(|_| 720),
        frames_per_second: width.map(|_| 30),
        sample_rate: width.is_none().then_some(48_000),
        channels: width.is_none().then_some(2),
    };
    StreamReport {
        vhost: "__defaultVhost__".into(),
        app: "live".into(),
        stream: name.into(),
        session,
        protocol: "RTMP".into(),
        address: "198.51.100.7:50000".into(),
        client_id: session.simple().to_string().chars().take(8).collect(),
        started: Timestamp::now(),
        tracks: vec![track("H264", Some(1280)), track("AAC", None)],
        bitrate_kilobits: 2500,
        viewers: [("RTMP".to_owned(), 3), ("HTTP-FLV".to_owned(), 40)].into(),
        sealed: None,
    }
}

fn listener(of: &Listener) -> ListenerReport {
    ListenerReport {
        name: of.name.clone(),
        port: of.port,
        problem: None,
    }
}

fn hook(name: &str) -> HookReport {
    HookReport {
        name: name.into(),
        reachable: Some(true),
        answered: true,
        ..HookReport::default()
    }
}

/// The control port's resources.
pub fn routes(pod: Arc<Played>) -> Router {
    Router::new()
        .route(CONFIG_PATH, put(configure))
        .route(REPORT_PATH, get(reports))
        .route(&format!("{SESSIONS_PATH}/{{id}}"), delete(kick))
        .route(DRAIN_PATH, put(drain).delete(undrain))
        .route(LEDGER_PATH, get(ledger))
        .layer(DefaultBodyLimit::disable())
        .with_state(pod)
}

async fn configure(State(pod): State<Arc<Played>>, Json(config): Json<PodConfig>) -> Json<Applied> {
    Json(pod.apply(config))
}

async fn drain(State(pod): State<Arc<Played>>, Json(asked): Json<DrainRequest>) -> StatusCode {
    pod.drain(Some(asked.deadline));
    StatusCode::NO_CONTENT
}

async fn undrain(State(pod): State<Arc<Played>>) -> StatusCode {
    pod.drain(None);
    StatusCode::NO_CONTENT
}

async fn kick(State(pod): State<Arc<Played>>, Path(id): Path<Uuid>) -> StatusCode {
    let name = pod.streams.lock().get(&id).map(|s| s.stream.clone());
    pod.kicked.lock().extend(name);
    if pod.unpublish(id) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

/// Counts an open report stream as long as it lives.
struct Open(Arc<Played>);

impl Open {
    fn new(pod: Arc<Played>) -> Self {
        pod.reports.fetch_add(1, Ordering::Relaxed);
        Self(pod)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.reports.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn reports(State(pod): State<Arc<Played>>) -> Body {
    let news = pod.news.subscribe();
    let open = Open::new(pod);
    Body::from_stream(unfold((open, news, true), |(open, mut news, first)| async move {
        if !first {
            sleep(COALESCE).await;
            // Silence and news come to the same: a report.
            let _ = timeout(EVERY.saturating_sub(COALESCE), news.changed()).await;
        }
        news.mark_unchanged();
        let line = line(&open.0.report());
        Some((Ok::<_, Infallible>(line), (open, news, false)))
    }))
}

async fn ledger(State(pod): State<Arc<Played>>) -> Body {
    let (lines, changes) = pod.ledger();
    let first = lines.iter().flat_map(line).collect::<Bytes>();
    let said = once(ready(first)).chain(unfold(changes, |mut changes| async move {
        // As the real pod: who is too slow to hear of every change has to ask again.
        let next = match timeout(EVERY, changes.recv()).await {
            Ok(next) => next.ok()?,
            Err(_) => LedgerLine::Synced,
        };
        Some((line(&next), changes))
    }));
    Body::from_stream(said.map(Ok::<_, Infallible>))
}

fn line(value: &impl serde::Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}
