//! One connection: hyper's until a handler hands a viewer over, the viewer's from then on.

use crate::server::Shared;
use crate::viewer::Viewer;
use axum::Router;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tower::ServiceExt;

/// A connection as its handlers see it.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    viewer: Mutex<Option<Viewer>>,
    handed_over: Notify,
}

impl Peer {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            viewer: Mutex::new(None),
            handed_over: Notify::new(),
        }
    }

    /// The connection is this viewer's from now on. The handler must not answer any more.
    pub(crate) fn hand_over(&self, viewer: Viewer) {
        *self.viewer.lock() = Some(viewer);
        self.handed_over.notify_one();
    }
}

/// For what is under way at shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a connection to its end.
pub(crate) async fn run(stream: TcpStream, address: SocketAddr, shared: Arc<Shared>, router: Router) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(peer = %address, %error, "a socket option could not be set");
    }
    let peer = Arc::new(Peer::new(address));
    // What hyper needs is gone while a viewer watches, and there may be thousands.
    let handed_over = Box::pin(requests(stream, &peer, &shared, router)).await;
    let viewer = peer.viewer.lock().take();
    drop(peer);
    if let (Some((stream, heard)), Some(viewer)) = (handed_over, viewer) {
        let shutdown = shared.shutdown.clone();
        drop(shared);
        viewer.run(stream, heard, shutdown).await;
    }
}

/// Answers requests. Gives the socket back when it is a viewer's, with what was read from it and is no request.
async fn requests(stream: TcpStream, peer: &Arc<Peer>, shared: &Shared, router: Router) -> Option<(TcpStream, Bytes)> {
    let for_requests = Arc::clone(peer);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&for_requests));
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(shared.options.head_timeout)
        .max_buf_size(shared.options.head_bytes_max.max(8192));
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = peer.handed_over.notified() => {
            let parts = connection.into_parts();
            return Some((parts.io.into_inner(), parts.read_buf));
        }
        _ = &mut connection => return None,
        () = shared.shutdown.cancelled() => {}
    }
    std::pin::Pin::new(&mut connection).graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, connection).await;
    None
}

/// No waiting for full packets; a peer that vanished is found even while nothing is sent.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
