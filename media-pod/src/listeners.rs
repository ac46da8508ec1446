//! [`Listeners`]: the sockets that clients connect to, kept as the config wants them.
//!
//! A listener that is not in the config any more stops to accept, and its sessions go on. One that cannot be opened says why and is tried
//! again; the others do not notice.

use crate::pod::bump;
use arc_swap::ArcSwap;
use headgate_control::{Listener, ListenerProtocol, ListenerReport, Problem};
use headgate_hub::{Hub, resolve_vhost};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Wait before a port is tried again: doubles from the first to the last.
const RETRY: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];

/// What every listener serves.
#[derive(Clone)]
pub struct Served {
    /// Where sessions go.
    pub hub: Hub,
    /// The server's virtual hosts; changes while listeners run.
    pub vhosts: Arc<ArcSwap<Vec<String>>>,
    /// Viewers of HLS, whichever listener they came by.
    pub hls: headgate_http::Hls,
    /// Ends all sessions of all listeners, those of removed ones too.
    pub shutdown: CancellationToken,
}

/// All listeners.
pub struct Listeners {
    served: Served,
    slots: Mutex<Vec<Slot>>,
    /// Serves until the last session of a listener is over.
    serving: TaskTracker,
    changed: Arc<watch::Sender<u64>>,
}

/// One listener. Dropped, it stops to accept.
struct Slot {
    spec: Listener,
    problem: Arc<Mutex<Option<Problem>>>,
    _closed: DropGuard,
}

impl Listeners {
    /// None yet.
    pub fn new(served: Served) -> Self {
        Self {
            served,
            slots: Mutex::default(),
            serving: TaskTracker::new(),
            changed: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Opens and closes what differs. Each new port has been tried once when this returns. Needs a tokio runtime around it.
    pub fn set(&self, wanted: &[Listener]) {
        let mut slots = self.slots.lock();
        slots.retain(|slot| wanted.contains(&slot.spec));
        for spec in wanted {
            if !slots.iter().any(|slot| slot.spec == *spec) {
                slots.push(self.open(spec));
            }
        }
        drop(slots);
        bump(&self.changed);
    }

    /// One a listener, by name.
    pub fn reports(&self) -> Vec<ListenerReport> {
        let report = |slot: &Slot| ListenerReport {
            name: slot.spec.name.clone(),
            port: slot.spec.port,
            problem: slot.problem.lock().clone(),
        };
        let mut reports: Vec<_> = self.slots.lock().iter().map(report).collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        reports
    }

    /// Whether every listener listens.
    pub fn all_open(&self) -> bool {
        self.slots.lock().iter().all(|slot| slot.problem.lock().is_none())
    }

    /// Moves when [`Listeners::reports`] says something else.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Resolves when the shutdown token has fired and the last connection of a listener is over.
    pub async fn ended(&self) {
        self.serving.close();
        self.serving.wait().await;
    }

    fn open(&self, spec: &Listener) -> Slot {
        let first = bind(spec.port);
        let problem = Arc::new(Mutex::new(first.as_ref().err().map(|e| describe(spec, e))));
        let closed = CancellationToken::new();
        let keeper = Keeper {
            spec: spec.clone(),
            closed: closed.clone(),
            problem: Arc::clone(&problem),
            served: self.served.clone(),
            changed: Arc::clone(&self.changed),
        };
        self.serving.spawn(keeper.run(first));
        Slot {
            spec: spec.clone(),
            problem,
            _closed: closed.drop_guard(),
        }
    }
}

struct Keeper {
    spec: Listener,
    /// Fires when the listener is not wanted any more.
    closed: CancellationToken,
    problem: Arc<Mutex<Option<Problem>>>,
    served: Served,
    changed: Arc<watch::Sender<u64>>,
}

impl Keeper {
    async fn run(self, first: io::Result<TcpListener>) {
        let mut wait = RETRY[0];
        let mut bound = first;
        let listener = loop {
            match bound {
                Ok(listener) => break listener,
                Err(error) => self.say(Some(&error)),
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.served.shutdown.cancelled() => return,
                () = self.closed.cancelled() => return,
            }
            wait = wait.saturating_mul(2).min(RETRY[1]);
            bound = bind(self.spec.port);
        };
        self.say(None);
        let Listener { name, protocol, port } = &self.spec;
        tracing::info!(listener = %name, %protocol, port, "listens");
        self.serve(listener).await;
    }

    async fn serve(self, listener: TcpListener) {
        let Served {
            hub,
            vhosts,
            hls,
            shutdown,
        } = self.served;
        match self.spec.protocol {
            ListenerProtocol::Rtmp => {
                let options = headgate_rtmp::serve::Options {
                    vhosts,
                    closed: self.closed,
                    ..Default::default()
                };
                headgate_rtmp::serve::serve(listener, hub, options, shutdown).await;
            }
            ListenerProtocol::Http => {
                let vhost = move |host: &str, param: &str| resolve_vhost(&vhosts.load(), host, param);
                let options = headgate_http::Options {
                    closed: self.closed,
                    hls,
                    ..headgate_http::Options::new(Arc::new(vhost))
                };
                headgate_http::serve(listener, hub, options, shutdown).await;
            }
        }
    }

    fn say(&self, error: Option<&io::Error>) {
        let now = error.map(|e| describe(&self.spec, e));
        let mut problem = self.problem.lock();
        if *problem == now {
            return;
        }
        if let Some(Problem { reason, message }) = &now {
            tracing::warn!(listener = %self.spec.name, port = self.spec.port, %reason, %message, "cannot listen; trying again");
        }
        *problem = now;
        drop(problem);
        bump(&self.changed);
    }
}

fn describe(spec: &Listener, error: &io::Error) -> Problem {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "PortInUse",
        io::ErrorKind::PermissionDenied => "PortNotAllowed",
        _ => "CannotListen",
    };
    Problem {
        reason: reason.into(),
        message: format!("cannot listen on port {}: {error}", spec.port),
    }
}

/// All addresses of both families; IPv4 alone where there is no IPv6.
fn bind(port: u16) -> io::Result<TcpListener> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match bind_to(both) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable
            ) =>
        {
            bind_to(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        Err(error) if error.raw_os_error() == Some(NO_FAMILY) => {
            bind_to(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        other => other,
    }
}

/// EAFNOSUPPORT, which std has no kind for.
const NO_FAMILY: i32 = 97;

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
