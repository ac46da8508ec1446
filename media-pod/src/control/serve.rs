//! The sockets of the control port.

use super::tls::Tls;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at one time. An operator has two; a second operator may take over while the first still holds its own.
const CONNECTIONS_MAX: usize = 32;
/// For the TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves until `stop`, then ends every connection: a report stream never ends by itself.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, routes: Router, stop: CancellationToken) {
    let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the control port cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%peer, "the control port has too many connections");
            continue;
        };
        let (tls, routes, stop) = (Arc::clone(&tls), routes.clone(), stop.clone());
        tasks.spawn(async move {
            let _place = place;
            stop.run_until_cancelled(connection(socket, peer, &tls, routes)).await;
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn connection(socket: TcpStream, peer: SocketAddr, tls: &Tls, routes: Router) {
    let _ = socket.set_nodelay(true);
    let socket = match timeout(PATIENCE, TlsAcceptor::from(tls.current()).accept(socket)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return tracing::warn!(%peer, %error, "the control port refused a client"),
        Err(_) => return tracing::debug!(%peer, "no TLS handshake in time"),
    };
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let served = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes));
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "a control connection ended");
    }
}
