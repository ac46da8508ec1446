//! A connection, from its acceptance to its end, and the sessions it asks for.

use crate::hub::Inner;
use crate::live::Live;
use crate::player::UNFIT_MAX;
use crate::stream::Stream;
use crate::{
    Connection, EndReason, Format, Hub, Permit, Player, Publisher, Reason, Refusal, Request, Session, SessionKind,
    StreamName, Traffic,
};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OnceCell, oneshot};
use uuid::Uuid;

/// One client connection. When it and its sessions are dropped, the gate hears `closed`, if it had let the connection in.
pub struct Client(Arc<Link>);

/// Shared by a client and its sessions, so that `closed` comes after the last `ended`.
pub(crate) struct Link {
    hub: Hub,
    connection: Arc<Connection>,
    /// The gate's answer to `connect`, with the clean connection it was asked about.
    connected: OnceCell<(Arc<Connection>, Result<(), Refusal>)>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Client {
    pub(crate) fn new(hub: Hub, mut connection: Connection) -> Self {
        // A listener of both families shows an IPv4 peer in IPv6 dress.
        connection.peer.set_ip(connection.peer.ip().to_canonical());
        Self(Arc::new(Link {
            hub,
            connection: Arc::new(connection),
            connected: OnceCell::new(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }))
    }

    /// The connection as it was opened.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.0.connection
    }

    /// Counts bytes of the connection, for `closed`. Those that a pass writes count by themselves.
    pub fn count(&self, traffic: Traffic) {
        self.0.sent(traffic.sent);
        self.0.received.fetch_add(traffic.received, Ordering::Relaxed);
    }

    /// Asks to publish. The name is reserved before the gate is asked, and free again when the answer is no or this future is dropped.
    pub async fn publish(&self, name: StreamName, param: String) -> Result<Publisher, Refusal> {
        self.ask(SessionKind::Publish, name, param, None)
            .await
            .map(Publisher::new)
    }

    /// Asks to play. The stream need not be there yet: [`Player::next`] waits for it.
    pub async fn play(&self, name: StreamName, param: String, format: Arc<dyn Format>) -> Result<Player, Refusal> {
        let asked = self.ask(SessionKind::Play, name, param, Some(&*format));
        let admitted = asked.await?;
        admitted.hub().miss(&admitted.live);
        Ok(Player::new(admitted, &format))
    }

    async fn ask(
        &self,
        kind: SessionKind,
        name: StreamName,
        param: String,
        format: Option<&dyn Format>,
    ) -> Result<Admitted, Refusal> {
        let asked = self.admission(kind, name, param, format).await;
        if let Err(refusal) = &asked {
            self.0.hub.0.refuse(kind, &self.0.connection, refusal);
        }
        asked
    }

    async fn admission(
        &self,
        kind: SessionKind,
        name: StreamName,
        param: String,
        format: Option<&dyn Format>,
    ) -> Result<Admitted, Refusal> {
        let hub = &self.0.hub.0;
        let request = Request {
            kind,
            connection: Arc::clone(&self.0.connection),
            name,
            param,
        };
        let permit = hub.gate.check(&request)?;
        let session = Arc::new(session(&request, &permit));
        let stream = hub.registry.lock().reserve(&session, &permit, &hub.settings.load())?;
        let _reservation = Reservation { hub, id: session.id };
        check_fit(&stream, &session, format)?;
        let (answer, answered) = oneshot::channel();
        let (link, live) = (Arc::clone(&self.0), Arc::new(Live::new(session, stream)));
        hub.admissions.spawn(async move {
            // A client that has left drops the answer, and with it the session that was let in.
            let _ = answer.send(link.admit(live, permit.takeover).await);
        });
        answered
            .await
            .unwrap_or_else(|_| Err(Refusal::new(Reason::Internal, "the admission broke off")))
    }
}

impl Link {
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn hub(&self) -> &Arc<Inner> {
        &self.hub.0
    }

    /// Asks the other hubs, then the gate, to the end.
    async fn admit(self: Arc<Self>, live: Arc<Live>, takeover: bool) -> Result<Admitted, Refusal> {
        let hub = self.hub();
        let session = &live.session;
        if session.kind == SessionKind::Publish {
            hub.secure(session, takeover).await?;
        }
        let (_, connected) = self.connected.get_or_init(|| self.connect(&session.connection)).await;
        connected.clone()?;
        hub.gate.admit(session).await?;
        let (live, known) = self.renamed(live, takeover).await?;
        match hub.establish(&live) {
            Ok(()) => {
                if takeover && known.kind == SessionKind::Publish {
                    hub.evict_elsewhere(&known);
                }
                Ok(Admitted {
                    live,
                    link: Arc::clone(&self),
                })
            }
            Err(reason) => Err(Refusal::new(
                Reason::Draining,
                format!("the session is over already: {reason}"),
            )),
        }
    }

    async fn connect(&self, clean: &Arc<Connection>) -> (Arc<Connection>, Result<(), Refusal>) {
        (Arc::clone(clean), self.hub().gate.connect(clean).await)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((connection, Ok(()))) = self.connected.get() {
            let traffic = Traffic {
                sent: self.sent.load(Ordering::Relaxed),
                received: self.received.load(Ordering::Relaxed),
            };
            self.hub.0.gate.closed(connection, traffic);
        }
    }
}

/// A session that is in. Dropped, it ends, and only then may its connection.
pub(crate) struct Admitted {
    pub(crate) live: Arc<Live>,
    pub(crate) link: Arc<Link>,
}

impl Admitted {
    pub(crate) fn hub(&self) -> &Arc<Inner> {
        self.link.hub()
    }

    /// Ends the session, unless it has ended. Says why it did.
    pub(crate) fn end(&self, reason: EndReason) -> EndReason {
        self.hub().end(&self.live, reason);
        self.live.ended().unwrap_or(reason)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.end(EndReason::PeerClosed);
    }
}

/// Frees the name when the asking came to nothing, or was given up.
struct Reservation<'a> {
    hub: &'a Inner,
    id: Uuid,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.hub.release(self.id);
    }
}

/// Refuses who would wait in vain: the stream is there, and nothing of it has a place in the format.
fn check_fit(stream: &Stream, session: &Session, format: Option<&dyn Format>) -> Result<(), Refusal> {
    let since = format.and_then(|format| stream.unfit_since(format));
    if since.is_none_or(|since| since.elapsed() < UNFIT_MAX) {
        return Ok(());
    }
    let codecs = stream
        .codecs()
        .iter()
        .map(|codec| codec.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let protocol = session.connection.protocol;
    let message = format!("{protocol} carries none of the codecs of this stream: {codecs}");
    Err(Refusal::new(Reason::CodecsNotCarried, message))
}

fn session(request: &Request, permit: &Permit) -> Session {
    let asked = &request.connection;
    let connection = Connection {
        app: permit.name.app.to_string(),
        stream: permit.name.stream.to_string(),
        param: permit.param.clone(),
        tc_url: permit.tc_url.clone().unwrap_or_else(|| asked.tc_url.clone()),
        ..Connection::clone(asked)
    };
    Session {
        id: Uuid::now_v7(),
        kind: request.kind,
        connection: Arc::new(connection),
        name: permit.name.clone(),
        param: permit.param.clone(),
        key: permit.key.clone(),
        started: Timestamp::now(),
    }
}
