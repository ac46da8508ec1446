//! The thin shell around [`crate::server::ServerSession`]: sockets, time, and the hub.
//!
//! One task a connection, all of them owned by [`serve`], which ends them when `shutdown` fires and returns when the last has ended.

mod play;
mod publish;
mod shell;

use crate::chunk::Limits;
use arc_swap::ArcSwap;
use headgate_hub::Hub;
use shell::Shell;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, debug_span, warn};

/// What a client is told that should come again.
const MOVED: &str = "this server is on its way out: connect again";

/// How a listener behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a peer may make us hold.
    pub limits: Limits,
    /// Virtual hosts that the server names; may change while it runs.
    pub vhosts: Arc<ArcSwap<Vec<String>>>,
    /// From the first byte to a publish or play, whatever else the peer says meanwhile.
    pub handshake_timeout: Duration,
    /// From the end of a publish or play to the next one on the same connection.
    pub reuse_timeout: Duration,
    /// From a publish to its first packet.
    pub first_packet_timeout: Duration,
    /// Between two packets of a publisher.
    pub idle_timeout: Duration,
    /// How long a peer may take over what was given to the socket together: some packets, a second of the stream or so.
    pub stall_timeout: Duration,
    /// Connections at one time; further ones are closed at once.
    pub connections_max: usize,
    /// Fires when the listener is to close while its connections go on.
    pub closed: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            vhosts: Arc::default(),
            handshake_timeout: Duration::from_secs(10),
            reuse_timeout: Duration::from_mins(3),
            first_packet_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            connections_max: 20_000,
            closed: CancellationToken::new(),
        }
    }
}

/// Serves until `shutdown`, then stops to accept, ends every session and returns when the last connection is gone. When
/// [`Options::closed`] fires it stops to accept and lets the connections go on.
/// Dropping the future ends the sessions too.
pub async fn serve(listener: TcpListener, hub: Hub, options: Options, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let shutdown = shutdown.child_token();
    let _end_with_me = shutdown.clone().drop_guard();
    let options = Arc::new(options);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            () = options.closed.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) if tasks.len() < options.connections_max => {
                let shell = Shell::new(stream, peer, hub.clone(), Arc::clone(&options), shutdown.clone());
                tasks.spawn(shell.run().instrument(debug_span!("rtmp", %peer)));
            }
            Ok((_, peer)) => warn!(%peer, reason = "LimitReached", "connection refused: {} are open", tasks.len()),
            Err(error) => {
                // Most often no file descriptor is left: those that end give theirs back.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
    debug!("listener ended");
}
