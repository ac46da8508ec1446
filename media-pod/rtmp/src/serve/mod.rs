//! The thin shell around [`crate::server::ServerSession`]: sockets, time, and the hub.
//!
//! One task a connection, all of them owned by [`serve`], which ends them when `shutdown` fires and returns when the last has ended.

mod hearing;
mod play;
mod publish;
mod shell;

use crate::chunk::Limits;
use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use headgate_front::{Arrival, Door, Ends, Rounds};
use headgate_hub::Hub;
use shell::Shell;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, debug_span, warn};

/// What a client is told that should come again.
const MOVED: &str = "this server is on its way out: connect again";

/// How a listener behaves.
#[derive(Clone)]
pub struct Options {
    /// Who is let in, and how: bounds, proxies, TLS.
    pub door: Door,
    /// What a peer may make us hold.
    pub limits: Limits,
    /// Virtual hosts that the server names; may change while it runs.
    pub vhosts: Arc<ArcSwap<Vec<String>>>,
    /// From the first byte to a publish or play, whatever else the peer says meanwhile.
    pub handshake_timeout: Duration,
    /// From the end of a publish or play to the next one on the same connection.
    pub reuse_timeout: Duration,
    /// How long a peer may take over what was given to the socket together: some packets, a second of the stream or so.
    pub stall_timeout: Duration,
    /// Fires when the listener is to close while its connections go on.
    pub closed: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            door: Door::default(),
            limits: Limits::default(),
            vhosts: Arc::default(),
            handshake_timeout: Duration::from_secs(10),
            reuse_timeout: Duration::from_mins(3),
            stall_timeout: Duration::from_secs(30),
            closed: CancellationToken::new(),
        }
    }
}

/// What the connections of a listener have in common.
struct Shared {
    hub: Hub,
    options: Options,
    /// In which publishers are heard together.
    rounds: Option<Rounds>,
    /// When it began to serve.
    begun: Instant,
    shutdown: CancellationToken,
}

/// Serves until `shutdown`, then stops to accept, ends every session and returns when the last connection is gone. When
/// [`Options::closed`] fires it stops to accept and lets the connections go on.
/// Dropping the future ends the sessions too.
pub async fn serve(listener: TcpListener, hub: Hub, options: Options, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let shutdown = shutdown.child_token();
    let _end_with_me = shutdown.clone().drop_guard();
    let ends = Ends {
        closed: options.closed.clone(),
        shutdown: shutdown.clone(),
    };
    let door = options.door.clone();
    let (rounds, caller) = rounds(&hub);
    let shared = Arc::new(Shared {
        hub,
        options,
        rounds,
        begun: Instant::now(),
        shutdown,
    });
    let serve = move |arrival: Arrival| {
        let Arrival { socket, peer, guest } = arrival;
        let shared = Arc::clone(&shared);
        async move {
            // Made where it runs: held here as well, it would take its room twice.
            Shell::new(socket, peer, shared).run().await;
            drop(guest);
        }
        .instrument(debug_span!("rtmp", %peer))
    };
    let connections = async {
        door.keep(listener, &tasks, &ends, serve).await;
        tasks.close();
        tasks.wait().await;
    };
    tokio::select! {
        () = connections => debug!("listener ended"),
        () = caller => {}
    }
}

/// For publishers, and what looks at them as long as it is polled. Without a descriptor for it each is heard alone.
fn rounds(hub: &Hub) -> (Option<Rounds>, BoxFuture<'static, ()>) {
    match Rounds::new() {
        Ok((rounds, caller)) => {
            let hub = hub.clone();
            let pause = move || hub.settings().ingest_pause();
            (Some(rounds), Box::pin(caller.keep(pause)))
        }
        Err(error) => {
            warn!(%error, "publishers are heard one by one");
            (None, Box::pin(std::future::pending()))
        }
    }
}
