//! The listener and its connections.

use crate::connection;
use crate::hls::Hls;
use headgate_front::{Arrival, Door, Ends};
use headgate_hub::Hub;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Finds the virtual host from the request's `Host` and its query (`?k=v` or empty); see [`headgate_hub::resolve_vhost`].
pub type VhostResolver = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// How a listener behaves.
#[derive(Clone)]
pub struct Options {
    /// Who is let in, and how: bounds, proxies, TLS.
    pub door: Door,
    /// Which virtual host a request means.
    pub vhost: VhostResolver,
    /// From the accepted connection, or the last answer on it, to a whole request head.
    pub head_timeout: Duration,
    /// Bytes of a request head; at least 8,192.
    pub head_bytes_max: usize,
    /// Fires when the listener is to close while its connections go on.
    pub closed: CancellationToken,
    /// The viewers of HLS, whom all listeners of a pod share.
    pub hls: Hls,
}

impl Options {
    /// The usual bounds: 10 s and 16 KiB for a head.
    pub fn new(vhost: VhostResolver) -> Self {
        Self {
            door: Door::default(),
            vhost,
            head_timeout: Duration::from_secs(10),
            head_bytes_max: 16 << 10,
            closed: CancellationToken::new(),
            hls: Hls::default(),
        }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) options: Options,
    pub(crate) shutdown: CancellationToken,
    /// Connections, and what looks after the sessions that outlive theirs.
    pub(crate) tasks: TaskTracker,
}

/// Serves until `shutdown`; then no connection is accepted, viewers end cleanly, and what is left is cut after a few seconds.
/// When [`Options::closed`] fires no connection is accepted and those that are there go on.
pub async fn serve(listener: TcpListener, hub: Hub, options: Options, shutdown: CancellationToken) {
    let shared = Arc::new(Shared {
        hub,
        options,
        shutdown: shutdown.clone(),
        tasks: TaskTracker::new(),
    });
    let (door, connections) = (shared.options.door.clone(), shared.tasks.clone());
    let Options { hls, closed, .. } = &shared.options;
    connections.spawn(hls.clone().sweep(shutdown.clone(), closed.clone()));
    let ends = Ends {
        closed: closed.clone(),
        shutdown,
    };
    let run = move |arrival: Arrival| connection::run(arrival, Arc::clone(&shared));
    door.keep(listener, &connections, &ends, run).await;
    connections.close();
    connections.wait().await;
}
