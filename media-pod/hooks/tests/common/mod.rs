//! A back end that is scripted, and sessions to ask it about. No network, so that the clock can be paused.
#![allow(dead_code, reason = "each test uses a part")]

use futures::FutureExt as _;
use futures::future::BoxFuture;
use headgate_control::{
    CachePolicy, DeliveryPolicy, Dialect, FailurePolicy, HookCredentials, HookEndpoint, HookEvent, HookMatch,
    ServerIdentity,
};
use headgate_hooks::dialect::Answer;
use headgate_hooks::transport::{Call, Dial, Transport, TransportError, Transports};
use headgate_hooks::{Hooks, Place, SealKey, Storage};
use headgate_hub::{Connection, Protocol, Session, SessionKind, StreamName};
use parking_lot::Mutex;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

/// What the back end does with one call.
pub(crate) struct Reply {
    pub(crate) after: Duration,
    pub(crate) result: Result<Answer, TransportError>,
}

/// One call that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) call: Call,
    pub(crate) action: String,
    pub(crate) stream: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> String {
        self.call
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    }
}

type Script = Box<dyn Fn(&Seen, usize) -> Reply + Send + Sync>;
type Door = Box<dyn Fn(&Url) -> (Duration, Result<(), TransportError>) + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub(crate) struct Backend {
    script: Arc<Script>,
    door: Arc<Door>,
    dials: Arc<Mutex<Vec<(Instant, Url)>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    came: Arc<Notify>,
}

impl Backend {
    /// The script gets each call and how many came before.
    pub(crate) fn new(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(Box::new(script)),
            door: Arc::new(Box::new(|_| (Duration::ZERO, Ok(())))),
            dials: Arc::default(),
            seen: Arc::default(),
            came: Arc::default(),
        }
    }

    /// The same, and what comes of dialling it, and after how long.
    pub(crate) fn door(
        self,
        door: impl Fn(&Url) -> (Duration, Result<(), TransportError>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            door: Arc::new(Box::new(door)),
            ..self
        }
    }

    /// When it was dialled without a call, and by which URL.
    pub(crate) fn dials(&self) -> Vec<(Instant, Url)> {
        self.dials.lock().clone()
    }

    pub(crate) fn hooks(&self, endpoints: &[HookEndpoint]) -> (Hooks, prometheus::Registry) {
        let registry = prometheus::Registry::new();
        let hooks = Hooks::with_transports(&registry, "v5q25s67", Arc::new(self.clone()), &Storage::default())
            .expect("a fresh registry");
        hooks.reconfigure(&server(), endpoints);
        (hooks, registry)
    }

    /// The same over a folder and with the server's key: a pod of the server.
    pub(crate) fn pod(&self, state: &Path, endpoints: &[HookEndpoint]) -> (Hooks, prometheus::Registry) {
        let (hooks, registry) = self.unconfigured(Some(state));
        hooks.reconfigure(&server(), endpoints);
        (hooks, registry)
    }

    pub(crate) fn unconfigured(&self, state: Option<&Path>) -> (Hooks, prometheus::Registry) {
        let registry = prometheus::Registry::new();
        let storage = Storage {
            state,
            seal: Some(seal()),
        };
        let hooks = Hooks::with_transports(&registry, "v5q25s67", Arc::new(self.clone()), &storage);
        (hooks.expect("a fresh registry"), registry)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(crate) fn actions(&self) -> Vec<String> {
        self.seen.lock().iter().map(|seen| seen.action.clone()).collect()
    }

    /// Waits, in virtual time, until so many calls came.
    pub(crate) async fn calls(&self, count: usize) -> Vec<Seen> {
        loop {
            let mut came = pin!(self.came.notified());
            came.as_mut().enable();
            if self.seen.lock().len() >= count {
                return self.seen();
            }
            came.await;
        }
    }
}

impl Transport for Backend {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, TransportError>> {
        let body: serde_json::Value = serde_json::from_slice(&call.body).expect("a JSON body");
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let seen = Seen {
            at: Instant::now(),
            call,
            action: text("action"),
            stream: text("stream"),
        };
        let count = {
            let mut all = self.seen.lock();
            all.push(seen.clone());
            all.len() - 1
        };
        self.came.notify_waiters();
        async move {
            let reply = (self.script)(&seen, count);
            tokio::time::sleep(reply.after).await;
            reply.result
        }
        .boxed()
    }
}

impl Dial for Backend {
    fn dial(&self, url: Url) -> BoxFuture<'_, Result<(), TransportError>> {
        self.dials.lock().push((Instant::now(), url.clone()));
        async move {
            let (after, result) = (self.door)(&url);
            tokio::time::sleep(after).await;
            result
        }
        .boxed()
    }
}

impl Transports for Backend {
    fn pool(&self, _: &HookCredentials) -> Arc<dyn Transport> {
        Arc::new(self.clone())
    }

    fn dialler(&self, _: &HookCredentials) -> Arc<dyn Dial> {
        Arc::new(self.clone())
    }
}

pub(crate) fn status(status: u16) -> Reply {
    answer(status, "0", None)
}

pub(crate) fn answer(status: u16, body: &str, retry_after: Option<u64>) -> Reply {
    let body = Some(body.as_bytes().to_vec().into());
    let retry_after = retry_after.map(Duration::from_secs);
    Reply {
        after: Duration::ZERO,
        result: Ok(Answer {
            status,
            body,
            retry_after,
            max_age: None,
        }),
    }
}

pub(crate) fn ok() -> Reply {
    status(200)
}

/// Never answers.
pub(crate) fn hang() -> Reply {
    Reply {
        after: Duration::from_hours(1000),
        ..ok()
    }
}

pub(crate) fn place(allow_loopback: bool) -> Place<'static> {
    Place {
        allow_loopback,
        ..Place::default()
    }
}

pub(crate) fn seal() -> SealKey {
    SealKey::new(&[7; 32]).expect("32 bytes")
}

/// What a disk holds at this moment: what a process finds that starts after this one was killed now.
pub(crate) fn killed(state: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    let to = copy.path().join("outbox");
    std::fs::create_dir_all(&to).expect("a folder");
    for file in std::fs::read_dir(state.join("outbox")).expect("a folder") {
        let file = file.expect("a file").path();
        // One that was just cleaned up is gone.
        let _ = std::fs::copy(&file, to.join(file.file_name().expect("a name")));
    }
    copy
}

pub(crate) fn server() -> ServerIdentity {
    ServerIdentity {
        namespace: "default".into(),
        name: "live".into(),
        uid: "uid-1".into(),
    }
}

/// An endpoint that takes everything at one URL.
pub(crate) fn endpoint(name: &str) -> HookEndpoint {
    HookEndpoint {
        name: name.into(),
        dialect: Dialect::Srs,
        urls: vec![format!("http://{name}.test:8085/hook")],
        events: vec![
            HookEvent::Connect,
            HookEvent::Close,
            HookEvent::Publish,
            HookEvent::Unpublish,
            HookEvent::Play,
            HookEvent::Stop,
        ],
        matches: HookMatch::default(),
        timeout_milliseconds: 3000,
        failure_policy: FailurePolicy::Fail,
        reask_seconds: 0,
        cache: CachePolicy::default(),
        opaque: String::new(),
        delivery: DeliveryPolicy::default(),
        credentials: HookCredentials::default(),
        unresolved: None,
        replay: None,
    }
}

pub(crate) fn session(kind: SessionKind, stream: &str) -> Arc<Session> {
    session_on(kind, stream, connection(stream))
}

pub(crate) fn session_on(kind: SessionKind, stream: &str, connection: Arc<Connection>) -> Arc<Session> {
    Arc::new(Session {
        id: uuid::Uuid::now_v7(),
        kind,
        connection,
        name: StreamName {
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            stream: stream.into(),
        },
        param: "?token=abc&x=1".into(),
        key: None,
        started: jiff::Timestamp::now(),
    })
}

pub(crate) fn publisher(stream: &str) -> Arc<Session> {
    session(SessionKind::Publish, stream)
}

pub(crate) fn connection(stream: &str) -> Arc<Connection> {
    Arc::new(Connection {
        client_id: "3ul1iu70".into(),
        protocol: Protocol::Rtmp,
        peer: ([127, 0, 0, 1], 50_000).into(),
        vhost: "__defaultVhost__".into(),
        app: "live".into(),
        stream: stream.into(),
        param: "?token=abc&x=1".into(),
        tc_url: "rtmp://127.0.0.1:11935/live".into(),
        page_url: String::new(),
        started: jiff::Timestamp::now(),
    })
}

/// The sum of a counter or gauge over all its series whose labels hold `label` as a value (any: "").
pub(crate) fn metric(registry: &prometheus::Registry, name: &str, label: &str) -> f64 {
    let families = registry.gather();
    let series = families
        .iter()
        .filter(|family| family.name() == name)
        .flat_map(prometheus::proto::MetricFamily::get_metric);
    let matching = series.filter(|m| label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label));
    matching
        .map(|m| m.get_counter().get_value() + m.get_gauge().get_value())
        .sum()
}
