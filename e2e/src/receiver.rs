//! A back end for hooks: records every request with the moment it came, and answers as it was told, an event at a time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::serve::Listener;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Context as _, Error, Result};
use crate::harness::eventually;
use crate::ui::say;

/// How many calls are kept; later ones are answered and not kept.
const KEPT: usize = 200_000;
/// The largest body that is taken, in bytes.
const BODY_LIMIT: usize = 1 << 20;
/// How long a client may take to shake hands; others wait meanwhile.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// One request that came.
#[derive(Debug, Clone)]
pub struct Call {
    /// The body's `action`, else the last segment of the path: `on_publish`.
    pub event: String,
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came, byte for byte.
    pub body: Bytes,
    /// When all of it had arrived.
    pub at: Instant,
}

impl Call {
    /// The body as JSON; null if it is none. The order of its fields is kept.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    /// How many signatures it has.
    pub fn signatures(&self) -> usize {
        self.header("webhook-signature").split_whitespace().count()
    }

    /// A text field of the body.
    pub fn field(&self, name: &str) -> Option<String> {
        self.json().get(name)?.as_str().map(str::to_owned)
    }
}

/// How an event is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    body: String,
    /// Before the answer is given; none is never.
    delay: Option<Duration>,
}

impl Answer {
    /// 200 and this body.
    pub fn body(body: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            body: body.into(),
            delay: Some(Duration::ZERO),
        }
    }

    /// Allowed, in the short form: `0`.
    pub fn allow() -> Self {
        Self::body("0")
    }

    /// Allowed, in the object form.
    pub fn allow_object() -> Self {
        Self::body(r#"{"code":0}"#)
    }

    /// Denied: `1`.
    pub fn deny() -> Self {
        Self::body("1")
    }

    /// Neither a number nor an object.
    pub fn nonsense() -> Self {
        Self::body("<html>what?</html>")
    }

    /// Another status than 200; one that is out of range is 500.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            body: String::new(),
            delay: Some(Duration::ZERO),
        }
    }

    /// The connection stays open, and nothing is ever said.
    pub fn hang() -> Self {
        Self {
            status: StatusCode::OK,
            body: String::new(),
            delay: None,
        }
    }

    /// The same answer, later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = self.delay.map(|_| delay);
        self
    }

    async fn give(self) -> Response {
        match self.delay {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
        (self.status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response()
    }
}

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<HashMap<String, Answer>>,
    /// What is answered where nothing else was said.
    usual: Mutex<Option<Answer>>,
    /// Says each call on standard output.
    prints: bool,
}

/// A back end that runs as long as this lives. Every event is allowed until something else is said.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortOnDropHandle<std::io::Result<()>>,
}

impl Receiver {
    /// Listens on this address; port 0 is any.
    pub async fn start(address: &str) -> Result<Self> {
        Self::with(address, Shared::default()).await
    }

    /// Listens on this address and prints a line for every call.
    pub async fn printing(address: &str) -> Result<Self> {
        Self::with(
            address,
            Shared {
                prints: true,
                ..Shared::default()
            },
        )
        .await
    }

    /// Listens on this address for https alone, with this certificate and for these clients.
    pub async fn secured(address: &str, config: ServerConfig) -> Result<Self> {
        Self::on(Secured::bind(address, config).await?, Shared::default())
    }

    async fn with(address: &str, shared: Shared) -> Result<Self> {
        Self::on(bound(address).await?, shared)
    }

    fn on<L>(listener: L, shared: Shared) -> Result<Self>
    where
        L: Listener<Addr = SocketAddr>,
    {
        let address = listener.local_addr().context("the receiver's address")?;
        let shared = Arc::new(shared);
        let app = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let server = AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, app).await }));
        Ok(Self {
            address,
            shared,
            server,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers this event so.
    pub fn answer(&self, event: &str, answer: Answer) {
        self.shared.answers.lock().insert(event.to_owned(), answer);
    }

    /// From now on answers so whatever no other answer was given for.
    pub fn answer_all(&self, answer: Answer) {
        *self.shared.usual.lock() = Some(answer);
    }

    /// Every call so far, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().clone()
    }

    /// The calls of an event so far.
    pub fn calls_of(&self, event: &str) -> Vec<Call> {
        self.shared
            .calls
            .lock()
            .iter()
            .filter(|call| call.event == event)
            .cloned()
            .collect()
    }

    /// Forgets what came so far.
    pub fn forget(&self) {
        self.shared.calls.lock().clear();
    }

    /// Waits until an event has come this often, and returns its calls.
    pub async fn wait_for(&self, event: &str, times: usize, limit: Duration) -> Result<Vec<Call>> {
        eventually(limit, &format!("{event} comes {times} times"), async || {
            let calls = self.calls_of(event);
            let others: Vec<_> = self.calls().into_iter().map(|call| call.event).collect();
            let short = || Error::new(format!("{} times; all that came: {others:?}", calls.len()));
            if calls.len() >= times { Ok(calls) } else { Err(short()) }
        })
        .await
    }

    /// Runs until it is told to stop.
    pub async fn ended(self) -> Result<()> {
        self.server
            .await
            .map_err(std::io::Error::other)
            .and_then(|outcome| outcome)
            .context("the receiver")
    }
}

/// Shakes hands before a connection is one.
pub(crate) struct Secured {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Secured {
    /// Listens on this address; port 0 is any.
    pub(crate) async fn bind(address: &str, config: ServerConfig) -> Result<Self> {
        Ok(Self {
            tcp: bound(address).await?,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}

impl Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, from) = Listener::accept(&mut self.tcp).await;
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(tcp)).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn bound(address: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.context(format_args!("listening on {address}"))
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let event = event_of(parts.uri.path(), &body);
    let (method, path) = (parts.method.to_string(), parts.uri.to_string());
    let call = Call {
        event: event.clone(),
        method,
        path,
        headers: parts.headers,
        body,
        at: Instant::now(),
    };
    shared.record(call);
    let answer = shared.answers.lock().get(&event).cloned();
    let answer = answer.or_else(|| shared.usual.lock().clone());
    answer.unwrap_or_else(Answer::allow).give().await
}

impl Shared {
    fn record(&self, call: Call) {
        if self.prints {
            say(format_args!(
                "{} {} {}",
                call.event,
                call.path,
                String::from_utf8_lossy(&call.body)
            ));
        } else {
            let mut calls = self.calls.lock();
            if calls.len() < KEPT {
                calls.push(call);
            }
        }
    }
}

fn event_of(path: &str, body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let action = json.get("action").and_then(Value::as_str);
    action
        .or_else(|| path.rsplit('/').next())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn post(receiver: &Receiver, path: &str, body: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(receiver.address()).await.unwrap();
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_call_is_kept_byte_for_byte_and_allowed() {
        let receiver = Receiver::start("127.0.0.1:0").await.unwrap();
        let answer = post(
            &receiver,
            "/api/v1/streams",
            r#"{"action":"on_publish",  "app":"live"}"#,
        )
        .await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n0"),
            "{answer}"
        );
        let calls = receiver
            .wait_for("on_publish", 1, Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(&calls[0].body[..], br#"{"action":"on_publish",  "app":"live"}"#);
        assert_eq!(calls[0].field("app").as_deref(), Some("live"));
    }

    #[tokio::test]
    async fn each_event_is_answered_as_it_was_told() {
        let receiver = Receiver::start("127.0.0.1:0").await.unwrap();
        receiver.answer("on_play", Answer::deny());
        receiver.answer("on_stop", Answer::status(500));
        assert!(post(&receiver, "/index/hook/on_play", "").await.ends_with("\r\n1"));
        assert!(
            post(&receiver, "/hook", r#"{"action":"on_stop"}"#)
                .await
                .starts_with("HTTP/1.1 500")
        );
        assert!(post(&receiver, "/index/hook/on_publish", "").await.ends_with("\r\n0"));
    }

    #[tokio::test]
    async fn a_late_answer_is_late_and_a_hang_never_ends() {
        let receiver = Receiver::start("127.0.0.1:0").await.unwrap();
        receiver.answer("late", Answer::allow().after(Duration::from_millis(60)));
        receiver.answer("never", Answer::hang());
        let begun = Instant::now();
        post(&receiver, "/late", "").await;
        assert!(begun.elapsed() >= Duration::from_millis(60));
        let hang = tokio::time::timeout(Duration::from_millis(100), post(&receiver, "/never", ""));
        assert!(hang.await.is_err());
    }
}
