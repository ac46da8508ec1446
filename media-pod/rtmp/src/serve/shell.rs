//! One connection: reads, writes, and what happens while nothing is published or played.

use super::Shared;
use crate::server::{Connect, Event, ServerSession};
use crate::url::Target;
use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use headgate_front::Socket;
use headgate_hub::{Client, Connection, EndReason, Protocol, Refusal, StreamName, Traffic, client_id, resolve_vhost};
use rand::Rng;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info};

/// How long a peer that was told goodbye has to close, so that what we said last is not lost with a reset.
const GOODBYE: Duration = Duration::from_secs(1);
/// Silence after which the kernel asks whether the peer is still there; twice that ends the connection.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);
/// Slices in one vectored write.
const SLICES: usize = 64;

/// Why a connection ends. `Ok` paths carry one too: every connection ends for a reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peer closed its side.
    #[error("the peer closed the connection")]
    Closed,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke the protocol.
    #[error(transparent)]
    Protocol(#[from] crate::Error),
    /// Nothing came in time.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// The peer did not take what we sent.
    #[error("the peer took more than {0:?} over what was sent")]
    Stalled(Duration),
    /// We ended it: the peer has been told.
    #[error("ended: {0}")]
    Told(EndReason),
    /// We ended it in the middle of a write: the peer cannot be told.
    #[error("cut: {0}")]
    Cut(EndReason),
    /// A session was refused: the peer has been told.
    #[error("refused")]
    Refused,
}

impl End {
    pub(super) fn reason(&self) -> EndReason {
        match self {
            Self::Closed | Self::Io(_) | Self::Refused => EndReason::PeerClosed,
            Self::Protocol(_) => EndReason::ProtocolError,
            Self::Idle(_) => EndReason::Idle,
            Self::Stalled(_) => EndReason::TooSlow,
            Self::Told(reason) | Self::Cut(reason) => *reason,
        }
    }
}

/// What a peer asks for, by the stream's name as it came.
enum Wanted {
    Publish(String),
    Play(String),
}

pub(super) struct Shell {
    pub(super) socket: Arc<Socket>,
    pub(super) session: ServerSession,
    pub(super) shared: Arc<Shared>,
    /// What must be sent, in order.
    pub(super) queue: VecDeque<Bytes>,
    peer: SocketAddr,
    connect: Connect,
    /// Made with the first publish or play, when all that hooks want to know is known.
    client: Option<Client>,
    /// Counted before there was a client.
    early: Traffic,
}

impl Shell {
    pub(super) fn new(socket: Socket, peer: SocketAddr, shared: Arc<Shared>) -> Self {
        Self {
            socket: Arc::new(socket),
            session: ServerSession::new(shared.options.limits),
            shared,
            queue: VecDeque::new(),
            peer,
            connect: Connect::default(),
            client: None,
            early: Traffic::default(),
        }
    }

    pub(super) async fn run(mut self) {
        // The command phase is a dialogue of small messages: without this each answer waits for an acknowledgement.
        let _ = self.socket.options().set_tcp_nodelay(true);
        // A peer that is gone without a word, and that we have nothing to send to, would stay for ever: a paused player, for one.
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE_AGAIN)
            .with_retries(3);
        let _ = self.socket.options().set_tcp_keepalive(&keepalive);
        let Err(end) = self.serve().await;
        match &end {
            End::Protocol(error) => info!(reason = "ProtocolError", %error, "connection closed"),
            end => debug!(reason = %end.reason(), "{end}"),
        }
        if !matches!(end, End::Closed | End::Io(_) | End::Stalled(_) | End::Cut(_)) {
            let _ = timeout(GOODBYE, self.say_goodbye()).await;
        }
    }

    /// What was said last goes out, then our side closes, then the peer's.
    async fn say_goodbye(&mut self) -> io::Result<()> {
        self.collect();
        while self.has_output() {
            self.write_some().await?;
        }
        self.socket.shutdown_write()?;
        loop {
            self.socket.readable().await?;
            let mut scratch = [0; 4096];
            match self.socket.try_read(&mut scratch) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        let mut patience = self.shared.options.handshake_timeout;
        loop {
            let shutdown = self.shared.shutdown.clone();
            // While nothing is published or played, the peer has only so long to say what it wants.
            let wanted = tokio::select! {
                () = shutdown.cancelled() => return Err(End::Told(EndReason::Shutdown)),
                wanted = timeout(patience, self.wanted()) => wanted.unwrap_or(Err(End::Idle(patience)))?,
            };
            match wanted {
                // Apart, because it needs more, and those who play are many.
                Wanted::Publish(stream) => Box::pin(self.publish(&stream)).await?,
                Wanted::Play(stream) => self.play(&stream).await?,
            }
            patience = self.shared.options.reuse_timeout;
        }
    }

    /// Takes what the peer says until it wants a stream.
    async fn wanted(&mut self) -> Result<Wanted, End> {
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Connect(connect) => self.connect(connect)?,
                    Event::Publish { stream } => return Ok(Wanted::Publish(stream)),
                    Event::Play { stream } => return Ok(Wanted::Play(stream)),
                    Event::Pause(on) => self.session.acknowledge_pause(on),
                    _ => {}
                }
            }
            self.flush().await?;
            self.read().await?;
        }
    }

    /// Refuses a client that will not be let in whatever it asks for. Who else may come in is asked when it is known what the client wants.
    fn connect(&mut self, connect: Connect) -> Result<(), End> {
        let target = Target::parse(&connect.tc_url, &connect.app, "");
        let refusal = self.shared.hub.check_open().err().or_else(|| target.check_app().err());
        let Some(refusal) = refusal else {
            self.connect = connect;
            self.session.accept_connect();
            return Ok(());
        };
        info!(reason = %refusal.reason, "connection refused: {}", refusal.message);
        self.session.reject_connect(&refusal.to_string());
        Err(End::Refused)
    }

    /// A publisher is heard together with others, where the server lets its players wait for that.
    pub(super) fn join_rounds(&mut self) {
        let wait = self.shared.hub.settings().ingest_pause();
        let Some(rounds) = self.shared.rounds.as_ref().filter(|_| !wait.is_zero()) else {
            return;
        };
        if let Some(Err(error)) = Arc::get_mut(&mut self.socket).map(|socket| socket.join(rounds)) {
            debug!(%error, "this publisher is heard alone");
        }
    }

    /// What comes next is a dialogue.
    pub(super) fn leave_rounds(&mut self) {
        if let Some(Err(error)) = Arc::get_mut(&mut self.socket).map(Socket::leave_rounds) {
            debug!(%error, "this connection goes on in rounds");
        }
    }

    /// Waits for input and acts upon it.
    async fn read(&mut self) -> Result<(), End> {
        self.socket.readable().await?;
        self.read_ready()?;
        Ok(())
    }

    /// Reads what is there and acts upon it. How many bytes it was.
    pub(super) fn read_ready(&mut self) -> Result<usize, End> {
        let count = match self.socket.try_read_buf(self.session.buffer()) {
            Ok(0) => return Err(End::Closed),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(End::Io(error)),
        };
        self.count(Traffic {
            sent: 0,
            received: bytes(count),
        });
        self.session.process(count, &mut |out| rand::rng().fill_bytes(out))?;
        Ok(count)
    }

    /// Sends all that the session has to say.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        self.collect();
        while self.has_output() {
            let limit = self.shared.options.stall_timeout;
            timeout(limit, self.write_some())
                .await
                .map_err(|_| End::Stalled(limit))??;
        }
        Ok(())
    }

    /// What the session has to say goes behind what is queued.
    pub(super) fn collect(&mut self) {
        let output = self.session.take_output();
        if !output.is_empty() {
            self.queue.push_back(output);
        }
    }

    /// Whether something waits to be sent, here or as ciphertext in the socket.
    pub(super) fn has_output(&self) -> bool {
        !self.queue.is_empty() || !self.socket.is_flushed()
    }

    /// Waits until the socket takes something, and sends what it takes.
    async fn write_some(&mut self) -> io::Result<()> {
        self.socket.writable().await?;
        self.write_ready()
    }

    /// One vectored write of what the socket takes now.
    pub(super) fn write_ready(&mut self) -> io::Result<()> {
        if self.queue.is_empty() {
            return match self.socket.try_flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            };
        }
        let slices: smallvec::SmallVec<[IoSlice<'_>; SLICES]> =
            self.queue.iter().take(SLICES).map(|b| IoSlice::new(b)).collect();
        let mut written = match self.socket.try_write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        drop(slices);
        self.count(Traffic {
            sent: bytes(written),
            received: 0,
        });
        while let Some(first) = self.queue.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written = written.saturating_sub(first.len());
            self.queue.pop_front();
        }
        Ok(())
    }

    /// Asks the hub for a session. The outer error: the connection ended while it was asked.
    pub(super) async fn ask<T>(
        &mut self,
        stream: &str,
        how: impl for<'a> FnOnce(&'a Client, StreamName, String) -> BoxFuture<'a, Result<T, Refusal>>,
    ) -> Result<Result<T, Refusal>, End> {
        let (shutdown, socket) = (self.shared.shutdown.clone(), Arc::clone(&self.socket));
        let (client, name, param) = match self.request(stream) {
            Ok(request) => request,
            Err(refusal) => return Ok(Err(refusal)),
        };
        tokio::select! {
            asked = how(client, name, param) => Ok(asked),
            () = socket.closed() => Err(End::Closed),
            () = shutdown.cancelled() => Err(End::Told(EndReason::Shutdown)),
        }
    }

    /// Who asks for what, as hooks and checks want it. The first request makes the client.
    fn request(&mut self, stream: &str) -> Result<(&Client, StreamName, String), Refusal> {
        let target = Target::parse(&self.connect.tc_url, &self.connect.app, stream);
        let asked = target.vhost.as_ref().map(|v| format!("vhost={v}")).unwrap_or_default();
        let vhost = resolve_vhost(&self.shared.options.vhosts.load(), &target.host, &asked);
        let name = StreamName::parse(&vhost, &target.app, &target.stream)?;
        let param = target.param.clone();
        let (hub, early) = (&self.shared.hub, std::mem::take(&mut self.early));
        let client = self.client.get_or_insert_with(|| {
            hub.open(Connection {
                client_id: client_id(),
                protocol: Protocol::Rtmp,
                peer: self.peer,
                vhost,
                app: target.app,
                stream: target.stream,
                param: target.param,
                tc_url: self.connect.tc_url.clone(),
                page_url: self.connect.page_url.clone(),
                started: jiff::Timestamp::now(),
            })
        });
        client.count(early);
        Ok((client, name, param))
    }

    fn count(&mut self, traffic: Traffic) {
        if let Some(client) = &self.client {
            client.count(traffic);
        } else {
            self.early.sent = self.early.sent.saturating_add(traffic.sent);
            self.early.received = self.early.received.saturating_add(traffic.received);
        }
    }
}

/// Never, when there is no deadline.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

pub(super) fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
