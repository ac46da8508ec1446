//! The load's publisher: paced by the clip's own times.

use crate::error::{Context as _, Error, Result};
use bytes::{Buf as _, Bytes};
use headgate_flv::{Tag, TagKind};
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use mio::net::TcpStream;
use rand::Rng as _;
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many bytes of a frame's end tell it from others.
pub const TAIL: usize = 24;
/// Frames that are remembered.
const REMEMBERED: usize = 512;

/// The end of a frame.
pub type Tail = [u8; TAIL];

/// When each video frame was sent.
#[derive(Debug, Default)]
pub struct Sent {
    at: HashMap<Tail, Instant>,
    order: VecDeque<Tail>,
}

impl Sent {
    /// When the frame with this end was sent.
    pub fn find(&self, tail: Tail) -> Option<Instant> {
        self.at.get(&tail).copied()
    }

    fn note(&mut self, body: &[u8]) {
        let Some(tail) = tail(body) else { return };
        self.at.insert(tail, Instant::now());
        self.order.push_back(tail);
        if self.order.len() > REMEMBERED
            && let Some(old) = self.order.pop_front()
        {
            self.at.remove(&old);
        }
    }
}

/// The last bytes of a frame, if it has as many.
pub fn tail(body: &[u8]) -> Option<Tail> {
    body.last_chunk::<TAIL>().copied()
}

/// See the module.
pub struct Publisher {
    /// To be polled for both ways.
    pub socket: TcpStream,
    begun: Instant,
    session: ClientSession,
    tags: Arc<[Tag]>,
    next: usize,
    /// When the clip's time 0 was, and what is added to its times since it began anew.
    started: Option<Instant>,
    shift: u32,
    pending: Bytes,
}

impl Publisher {
    /// Begins to connect.
    pub fn connect(address: SocketAddr, app: &str, stream: &str, tags: Arc<[Tag]>) -> Result<Self> {
        let socket = TcpStream::connect(address).context("connecting the publisher")?;
        let mut session = ClientSession::new(Purpose::Publish, &format!("rtmp://{address}"), app, stream);
        process(&mut session, 0)?;
        Ok(Self {
            socket,
            begun: Instant::now(),
            session,
            tags,
            next: 0,
            started: None,
            shift: 0,
            pending: Bytes::new(),
        })
    }

    /// So long ago it began to connect.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The socket can do something.
    pub fn ready(&mut self) -> Result<()> {
        let mut chunk = [0_u8; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(Error::new("the server has cut the publisher")),
                Ok(n) => {
                    self.session
                        .buffer()
                        .extend_from_slice(chunk.get(..n).unwrap_or_default());
                    process(&mut self.session, n)?;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(error).context("the publisher's socket"),
            }
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Started => {
                    let _ = self.socket.set_nodelay(true);
                    self.started = Some(Instant::now());
                }
                Event::Refused { description, .. } => {
                    return Err(Error::new(format!("the publisher was refused: {description}")));
                }
                _ => {}
            }
        }
        self.flush()
    }

    /// Sends what is due, and says how long nothing is.
    pub fn pace(&mut self, mut sent: Option<&mut Sent>) -> Result<Duration> {
        let Some(started) = self.started else {
            return Ok(Duration::from_millis(100));
        };
        loop {
            let Some(tag) = self.tags.get(self.next) else {
                self.shift = self
                    .shift
                    .wrapping_add(self.tags.last().map_or(0, |t| t.timestamp_millis.wrapping_add(23)));
                self.next = 0;
                continue;
            };
            let timestamp = tag.timestamp_millis.wrapping_add(self.shift);
            let wait = Duration::from_millis(timestamp.into()).saturating_sub(started.elapsed());
            if !wait.is_zero() {
                self.flush()?;
                return Ok(wait);
            }
            match tag.kind {
                TagKind::Audio => self.session.audio(timestamp, tag.body.clone()),
                TagKind::Video => {
                    if let Some(sent) = &mut sent {
                        sent.note(&tag.body);
                    }
                    self.session.video(timestamp, tag.body.clone());
                }
                TagKind::Script => {}
            }
            self.next = self.next.saturating_add(1);
            self.flush()?;
        }
    }

    fn flush(&mut self) -> Result<()> {
        loop {
            if self.pending.is_empty() {
                self.pending = self.session.take_output();
            }
            if self.pending.is_empty() {
                return Ok(());
            }
            match self.socket.write(&self.pending) {
                Ok(n) => self.pending.advance(n),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(()),
                Err(error) => return Err(error).context("the publisher's socket"),
            }
        }
    }
}

/// Runs the session on what was read.
pub fn process(session: &mut ClientSession, added: usize) -> Result<()> {
    let mut random = |bytes: &mut [u8]| rand::rng().fill_bytes(bytes);
    session
        .process(added, &mut random)
        .map_err(|error| Error::new(format!("RTMP: {error}")))
}
