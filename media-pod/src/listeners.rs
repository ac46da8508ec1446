//! [`Listeners`]: the sockets that clients connect to, kept as the config wants them.
//!
//! A listener that is not in the config any more stops to accept, and its sessions go on. One that cannot be opened says why and is tried
//! again; the others do not notice. One that speaks TLS opens when it has a certificate. A new certificate, and who is believed as a proxy, hold
//! for those who connect from then on: neither the socket nor a session notices.

use crate::pod::bump;
use arc_swap::ArcSwap;
use headgate_control::{Listener, ListenerProtocol, ListenerReport, Problem};
use headgate_front::{Alpn, Census, Certificate, Door, Rules};
use headgate_hub::{Hub, resolve_vhost};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Wait before a port is tried again: doubles from the first to the last.
const RETRY: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];
/// What keeps a listener shut that has no certificate.
const NO_CERTIFICATE: &str = "NoCertificate";

/// What every listener serves.
#[derive(Clone)]
pub struct Served {
    /// Where sessions go.
    pub hub: Hub,
    /// Counts the connections of all listeners.
    pub census: Arc<Census>,
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
    door: Door,
    /// The door has a certificate that it did not have.
    opened: Arc<Notify>,
    problem: Arc<Mutex<Option<Problem>>>,
    _closed: DropGuard,
}

impl Slot {
    /// Whether the same socket serves for both.
    fn is(&self, spec: &Listener) -> bool {
        let socket = |l: &Listener| (l.name.clone(), l.protocol, l.port);
        socket(&self.spec) == socket(spec)
    }

    fn change(&mut self, spec: &Listener) {
        if self.spec == *spec {
            return;
        }
        furnish(&self.door, spec, self.spec.certificate.as_ref());
        self.spec = spec.clone();
        self.opened.notify_one();
    }
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

    /// Opens, closes and changes what differs. Each new port has been tried once when this returns. Needs a tokio runtime around it.
    pub fn set(&self, wanted: &[Listener]) {
        let mut slots = self.slots.lock();
        slots.retain(|slot| wanted.iter().any(|spec| slot.is(spec)));
        for spec in wanted {
            match slots.iter_mut().find(|slot| slot.is(spec)) {
                Some(slot) => slot.change(spec),
                None => match self.open(spec) {
                    Ok(slot) => slots.push(slot),
                    Err(error) => tracing::error!(listener = %spec.name, %error, "no TLS can be had"),
                },
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

    /// Whether every listener listens, but for those that wait for a certificate: without it no pod could have them.
    pub fn all_open(&self) -> bool {
        let is_open = |slot: &Slot| slot.problem.lock().as_ref().is_none_or(|p| p.reason == NO_CERTIFICATE);
        self.slots.lock().iter().all(is_open)
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

    fn open(&self, spec: &Listener) -> Result<Slot, rustls::Error> {
        let census = Arc::clone(&self.served.census);
        let door = match spec.protocol {
            ListenerProtocol::Rtmp | ListenerProtocol::Http => Door::plain(census),
            ListenerProtocol::Rtmps => Door::tls(census, Alpn::None)?,
            ListenerProtocol::Https => Door::tls(census, Alpn::Http)?,
        };
        furnish(&door, spec, None);
        let first = (!door.wants_certificate()).then(|| bind(spec.port));
        let problem = match &first {
            None => Some(no_certificate()),
            Some(bound) => bound.as_ref().err().map(describe),
        };
        let (problem, opened) = (Arc::new(Mutex::new(problem)), Arc::<Notify>::default());
        let closed = CancellationToken::new();
        let keeper = Keeper {
            spec: spec.clone(),
            door: door.clone(),
            opened: Arc::clone(&opened),
            closed: closed.clone(),
            problem: Arc::clone(&problem),
            served: self.served.clone(),
            changed: Arc::clone(&self.changed),
        };
        self.serving.spawn(keeper.run(first));
        Ok(Slot {
            spec: spec.clone(),
            door,
            opened,
            problem,
            _closed: closed.drop_guard(),
        })
    }
}

/// Gives a door what the config says. Without a certificate that can be used it keeps the one that it has.
fn furnish(door: &Door, spec: &Listener, before: Option<&headgate_control::Certificate>) {
    door.set_rules(Rules {
        proxies: spec.proxies.iter().copied().collect(),
        forwarders: spec.forwarders.iter().copied().collect(),
    });
    let Some(new) = spec.certificate.as_ref().filter(|new| Some(*new) != before) else {
        return;
    };
    match Certificate::from_pem(new.chain.as_bytes(), new.key.reveal().as_bytes()) {
        Ok(certificate) => {
            door.set_certificate(certificate);
            tracing::info!(listener = %spec.name, "a new certificate is in force");
        }
        Err(error) => tracing::error!(listener = %spec.name, %error, "the certificate is not taken"),
    }
}

struct Keeper {
    spec: Listener,
    door: Door,
    opened: Arc<Notify>,
    /// Fires when the listener is not wanted any more.
    closed: CancellationToken,
    problem: Arc<Mutex<Option<Problem>>>,
    served: Served,
    changed: Arc<watch::Sender<u64>>,
}

impl Keeper {
    async fn run(self, first: Option<io::Result<TcpListener>>) {
        let ended = (self.closed.clone(), self.served.shutdown.clone());
        let listener = tokio::select! {
            listener = self.listener(first) => listener,
            () = ended.0.cancelled() => return,
            () = ended.1.cancelled() => return,
        };
        self.say(None);
        let (protocol, port) = (self.spec.protocol, self.spec.port);
        tracing::info!(listener = %self.spec.name, %protocol, port, "listens");
        self.serve(listener).await;
    }

    /// The socket, when there is what it needs and the port is free.
    async fn listener(&self, first: Option<io::Result<TcpListener>>) -> TcpListener {
        if self.door.wants_certificate() {
            tracing::warn!(listener = %self.spec.name, reason = NO_CERTIFICATE, "waits for a certificate");
        }
        while self.door.wants_certificate() {
            self.opened.notified().await;
        }
        let mut wait = RETRY[0];
        let mut bound = first.unwrap_or_else(|| bind(self.spec.port));
        loop {
            match bound {
                Ok(listener) => return listener,
                Err(error) => self.say(Some(&error)),
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(RETRY[1]);
            bound = bind(self.spec.port);
        }
    }

    async fn serve(self, listener: TcpListener) {
        let Served {
            hub,
            vhosts,
            hls,
            shutdown,
            ..
        } = self.served;
        match self.spec.protocol {
            ListenerProtocol::Rtmp | ListenerProtocol::Rtmps => {
                let options = headgate_rtmp::serve::Options {
                    door: self.door,
                    vhosts,
                    closed: self.closed,
                    ..Default::default()
                };
                headgate_rtmp::serve::serve(listener, hub, options, shutdown).await;
            }
            ListenerProtocol::Http | ListenerProtocol::Https => {
                let vhost = move |host: &str, param: &str| resolve_vhost(&vhosts.load(), host, param);
                let options = headgate_http::Options {
                    door: self.door,
                    closed: self.closed,
                    hls,
                    ..headgate_http::Options::new(Arc::new(vhost))
                };
                headgate_http::serve(listener, hub, options, shutdown).await;
            }
        }
    }

    fn say(&self, error: Option<&io::Error>) {
        let now = error.map(describe);
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

fn no_certificate() -> Problem {
    Problem {
        reason: NO_CERTIFICATE.into(),
        message: "waits for its certificate, which is missing or unusable".into(),
    }
}

fn describe(error: &io::Error) -> Problem {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "PortInUse",
        io::ErrorKind::PermissionDenied => "PortNotAllowed",
        _ => "CannotListen",
    };
    Problem {
        reason: reason.into(),
        message: format!("cannot listen: {error}"),
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
