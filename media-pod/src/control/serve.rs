//! The sockets of the control port.

use super::Caller;
use super::tls::Tls;
use axum::{Extension, Router};
use headgate_front::{Bounds, Census, Guest};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at one time that have not said who they are; those of one address leave room for the operator's.
const STRANGERS: Bounds = Bounds {
    total: 256,
    per_address: Some(64),
};
/// An operator has a few; a second one may take over while the first still holds its own.
const OPERATORS_MAX: usize = 32;
/// Pods have one for each stream that they bring to themselves, and some for what they ask.
const PODS_MAX: usize = 4096;
/// A peer that takes nothing for so long is gone, whatever it says.
const STALL: Duration = Duration::from_secs(20);
/// For the TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves until `stop`, then ends every connection: a report stream never ends by itself.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, routes: Router, stop: CancellationToken) {
    let (tasks, places) = (TaskTracker::new(), Arc::new(Places::default()));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the control port cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, places, routes, stop) = (Arc::clone(&tls), Arc::clone(&places), routes.clone(), stop.clone());
        let Some(place) = places.stranger(peer.ip()) else {
            tracing::warn!(%peer, "the control port has too many connections that have not said who they are");
            continue;
        };
        tasks.spawn(async move {
            let connection = connection(socket, peer, &tls, place, &places, routes);
            stop.run_until_cancelled(connection).await;
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Room for each kind of caller, so that none takes another's.
struct Places {
    strangers: Arc<Census>,
    operators: Semaphore,
    pods: Semaphore,
}

impl Places {
    /// Room for one that has not said who it is.
    fn stranger(&self, address: IpAddr) -> Option<Guest> {
        let mut guest = self.strangers.enter()?;
        guest.comes_from(address).then_some(guest)
    }
}

impl Default for Places {
    fn default() -> Self {
        let strangers = Arc::new(Census::default());
        strangers.bound(STRANGERS);
        Self {
            strangers,
            operators: Semaphore::new(OPERATORS_MAX),
            pods: Semaphore::new(PODS_MAX),
        }
    }
}

async fn connection(socket: TcpStream, peer: SocketAddr, tls: &Tls, stranger: Guest, places: &Places, routes: Router) {
    let _ = socket.set_nodelay(true);
    let _ = SockRef::from(&socket).set_tcp_user_timeout(Some(STALL));
    let tls = tls.current();
    let socket = match timeout(PATIENCE, TlsAcceptor::from(Arc::clone(&tls.server)).accept(socket)).await {
        Ok(Ok(socket)) => socket,
        // A pod that has had its answer elsewhere does not wait for ours.
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            return tracing::debug!(%peer, %error, "a client left before it said who it is");
        }
        Ok(Err(error)) => return tracing::warn!(%peer, %error, "the control port refused a client"),
        Err(_) => return tracing::debug!(%peer, "no TLS handshake in time"),
    };
    let certificate = socket.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let Some(caller) = certificate.and_then(|c| Caller::of(c, &tls.names)) else {
        return;
    };
    let places = match caller {
        Caller::Operator => &places.operators,
        Caller::Pod => &places.pods,
    };
    let Ok(_place) = places.try_acquire() else {
        return tracing::warn!(%peer, ?caller, "the control port has too many connections");
    };
    drop((stranger, tls));
    let routes = routes.layer(Extension(caller));
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let served = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes));
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "a control connection ended");
    }
}
