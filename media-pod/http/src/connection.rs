//! One connection: hyper's until a handler hands a viewer over, the viewer's from then on.
//!
//! HTTP/2 is spoken where TLS has agreed on it. Media goes out as the body of its stream there, since the connection is everybody's.

use crate::handler::dispatch;
use crate::server::Shared;
use crate::viewer::Viewer;
use axum::response::Response;
use bytes::Bytes;
use headgate_front::{Arrival, Socket, client_behind};
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// For what is under way at shutdown.
const GRACE: Duration = Duration::from_secs(5);
/// Streams of one HTTP/2 connection at one time.
const STREAMS_MAX: u32 = 128;
/// An HTTP/2 connection on which no request has begun for so long is told to end; what is under way goes on.
const UNUSED: Duration = Duration::from_mins(2);
/// How often a peer over HTTP/2 is asked whether it is there.
const PING: Duration = Duration::from_secs(30);

/// A request's connection, as its handler sees it.
pub(crate) struct Peer {
    /// Where the client is.
    pub(crate) address: SocketAddr,
    handover: Arc<Handover>,
}

#[derive(Default)]
struct Handover {
    viewer: Mutex<Option<Viewer>>,
    done: Notify,
}

impl Peer {
    /// A client that is connected to another pod.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self {
            address,
            handover: Arc::default(),
        }
    }

    /// The connection is this viewer's from now on. The handler must not answer any more.
    pub(crate) fn hand_over(&self, viewer: Viewer) {
        *self.handover.viewer.lock() = Some(viewer);
        self.handover.done.notify_one();
    }
}

/// What answers the requests of one connection.
struct Requests {
    shared: Arc<Shared>,
    /// Who is connected.
    from: SocketAddr,
    handover: Arc<Handover>,
    /// A request has begun since this was looked at.
    used: AtomicBool,
}

impl Requests {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response, Infallible> {
        self.used.store(true, Ordering::Relaxed);
        let forwarded = request.headers().get_all("x-forwarded-for").iter();
        let forwarded = forwarded.map(|value| value.to_str().unwrap_or_default());
        let address = client_behind(self.from, &self.shared.options.door.rules().forwarders, forwarded);
        let peer = Peer {
            address,
            handover: Arc::clone(&self.handover),
        };
        // Whatever is behind the head is of no interest.
        let (head, _) = request.into_parts();
        Ok(dispatch(&self.shared, &head, &peer).await)
    }
}

/// Runs a connection to its end.
pub(crate) async fn run(arrival: Arrival, shared: Arc<Shared>) {
    let Arrival { socket, peer, guest } = arrival;
    if let Err(error) = prepare(&socket.options()) {
        tracing::debug!(%peer, %error, "a socket option could not be set");
    }
    let requests = Arc::new(Requests {
        from: peer,
        handover: Arc::default(),
        used: AtomicBool::new(false),
        shared: Arc::clone(&shared),
    });
    // What hyper needs is gone while a viewer watches, and there may be thousands.
    if socket.is_http2() {
        Box::pin(many(socket, requests)).await;
    } else {
        let handed_over = Box::pin(one_by_one(socket, &requests)).await;
        let viewer = requests.handover.viewer.lock().take();
        drop(requests);
        if let (Some((socket, heard)), Some(viewer)) = (handed_over, viewer) {
            let shutdown = shared.shutdown.clone();
            drop(shared);
            viewer.run(socket, heard, shutdown).await;
        }
    }
    drop(guest);
}

/// HTTP/1.1. Gives the socket back when it is a viewer's, with what was read from it and is no request.
async fn one_by_one(socket: Socket, requests: &Arc<Requests>) -> Option<(Socket, Bytes)> {
    let (options, shutdown) = (&requests.shared.options, &requests.shared.shutdown);
    let answering = Arc::clone(requests);
    let service = service_fn(move |request| Arc::clone(&answering).answer(request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(options.head_timeout)
        .max_buf_size(options.head_bytes_max.max(8192));
    let mut connection = http.serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        biased;
        () = requests.handover.done.notified() => {
            let parts = connection.into_parts();
            // A copy: what was read is a small part of a large buffer, and a viewer watches for long.
            return Some((parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf)));
        }
        _ = &mut connection => return None,
        () = shutdown.cancelled() => {}
    }
    std::pin::Pin::new(&mut connection).graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, connection).await;
    None
}

/// HTTP/2.
async fn many(socket: Socket, requests: Arc<Requests>) {
    let (options, shutdown) = (&requests.shared.options, &requests.shared.shutdown);
    let answering = Arc::clone(&requests);
    let service = service_fn(move |request| Arc::clone(&answering).answer(request));
    let header_bytes = u32::try_from(options.head_bytes_max).unwrap_or(u32::MAX);
    let mut http = http2::Builder::new(Tasks(requests.shared.tasks.clone()));
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(header_bytes)
        .keep_alive_interval(Some(PING));
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let mut patience = options.head_timeout;
    loop {
        tokio::select! {
            _ = &mut connection => return,
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(patience) => if !requests.used.swap(false, Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
            },
        }
        patience = UNUSED;
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, connection).await;
}

/// The streams of HTTP/2 are tasks that the listener waits for.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// No waiting for full packets; a peer that vanished is found even while nothing is sent.
fn prepare(socket: &socket2::SockRef<'_>) -> std::io::Result<()> {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)
}
