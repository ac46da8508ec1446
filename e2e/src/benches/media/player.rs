//! One player of the load.

use super::publisher::{Tail, process, tail};
use crate::error::{Context as _, Result};
use bytes::{Buf as _, Bytes, BytesMut};
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use mio::net::TcpStream;
use nix::sys::socket::{MsgFlags, recv};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// What players speak, each of them.
pub const WIRES: [Wire; 5] = [Wire::Rtmp, Wire::Flv, Wire::WsFlv, Wire::Ts, Wire::Fmp4];

/// What players speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wire {
    /// RTMP.
    Rtmp,
    /// HTTP-FLV.
    Flv,
    /// FLV over WebSocket.
    WsFlv,
    /// MPEG-TS over HTTP.
    Ts,
    /// Fragmented MP4 over HTTP.
    Fmp4,
    /// Nothing: bytes come as soon as one is connected.
    Raw,
    /// All but that, in turn.
    Mixed,
}

impl Wire {
    /// What the player of this number speaks.
    #[must_use]
    pub fn of(self, number: usize) -> Self {
        let turn = number.checked_rem(WIRES.len()).and_then(|at| WIRES.get(at));
        match self {
            Self::Mixed => turn.copied().unwrap_or(Self::Rtmp),
            one => one,
        }
    }
}

enum Speech {
    Rtmp(Box<ClientSession>),
    Flv(Box<Flv>),
    /// A body that is not looked into: so many bytes are still taken for the way to the end of the first key frame.
    Body(usize),
    Silent,
}

/// Of FLV, with the size of the tag before the first.
const FILE_HEADER: usize = 13;
/// About the head and a key frame of the clip.
const KEY_FRAME: usize = 20_000;

/// A chunked HTTP answer of FLV tags, as far as it has come.
#[derive(Default)]
struct Flv {
    input: BytesMut,
    headed: bool,
    begun: bool,
    /// Of the chunk that is under way.
    left: usize,
    /// Without the chunks' heads.
    body: BytesMut,
}

/// See the module.
pub struct Player {
    /// To be polled for both ways until it has joined.
    pub socket: TcpStream,
    /// Bytes so far.
    pub received: u64,
    /// From connecting to the first key frame.
    pub joined: Option<Duration>,
    speech: Speech,
    begun: Instant,
    pending: Bytes,
    /// Goes on reading after its first key frame.
    listens: bool,
    dead: bool,
}

impl Player {
    /// Begins to connect.
    pub fn connect(address: SocketAddr, wire: Wire, stream: &str, listens: bool) -> Result<Self> {
        let begun = Instant::now();
        let socket = TcpStream::connect(address).context("connecting a player")?;
        let mut pending = Bytes::new();
        let speech = match wire {
            Wire::Raw | Wire::Mixed => Speech::Silent,
            Wire::Flv => {
                pending = get(address, stream, "flv", "");
                Speech::Flv(Box::default())
            }
            Wire::WsFlv => {
                let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
                pending = get(address, stream, "flv", upgrade);
                Speech::Body(KEY_FRAME)
            }
            Wire::Ts => {
                pending = get(address, stream, "ts", "");
                Speech::Body(KEY_FRAME)
            }
            Wire::Fmp4 => {
                pending = get(address, stream, "mp4", "");
                Speech::Body(KEY_FRAME)
            }
            Wire::Rtmp => {
                let mut session = ClientSession::new(Purpose::Play, &format!("rtmp://{address}"), "live", stream);
                process(&mut session, 0)?;
                pending = session.take_output();
                Speech::Rtmp(Box::new(session))
            }
        };
        let joined = (wire == Wire::Raw).then_some(Duration::ZERO);
        Ok(Self {
            socket,
            received: 0,
            joined,
            speech,
            begun,
            pending,
            listens: listens && matches!(wire, Wire::Rtmp | Wire::Flv),
            dead: false,
        })
    }

    /// It has its key frame and is there.
    pub fn is_live(&self) -> bool {
        self.joined.is_some() && !self.dead
    }

    /// So long ago it began to connect.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The socket can do something. Returns the ends of the video frames that a listening player got.
    pub fn ready(&mut self, scratch: &mut [u8]) -> Vec<Tail> {
        if self.dead {
            return Vec::new();
        }
        if self.joined.is_some() && !self.listens {
            self.drain(scratch);
            return Vec::new();
        }
        self.flush();
        self.read(scratch)
    }

    /// Counts, and leaves the bytes to the kernel.
    fn drain(&mut self, scratch: &mut [u8]) {
        loop {
            let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
            match recv(self.socket.as_raw_fd(), scratch, flags) {
                Ok(0) => {
                    self.dead = true;
                    return;
                }
                Ok(n) => {
                    self.received = self.received.saturating_add(n as u64);
                    if n < scratch.len() {
                        return;
                    }
                }
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return,
                Err(_) => {
                    self.dead = true;
                    return;
                }
            }
        }
    }

    fn read(&mut self, scratch: &mut [u8]) -> Vec<Tail> {
        let mut tails = Vec::new();
        loop {
            match self.socket.read(scratch) {
                Ok(0) => self.dead = true,
                Ok(n) => {
                    self.received = self.received.saturating_add(n as u64);
                    let frames = self.speech.hear(scratch.get(..n).unwrap_or_default());
                    self.dead = self.dead || frames.is_none();
                    for (key, end) in frames.into_iter().flatten() {
                        if key && self.joined.is_none() {
                            self.joined = Some(self.begun.elapsed());
                        }
                        tails.extend(end);
                    }
                    self.flush();
                    continue;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
                Err(_) => self.dead = true,
            }
            break;
        }
        if self.joined.is_some() && !self.listens {
            self.speech = Speech::Silent;
        }
        if self.listens { tails } else { Vec::new() }
    }

    fn flush(&mut self) {
        loop {
            if self.pending.is_empty()
                && let Speech::Rtmp(session) = &mut self.speech
            {
                self.pending = session.take_output();
            }
            if self.pending.is_empty() {
                return;
            }
            match self.socket.write(&self.pending) {
                Ok(n) => self.pending.advance(n),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return,
                Err(_) => {
                    self.dead = true;
                    return;
                }
            }
        }
    }
}

impl Speech {
    /// The video frames in new bytes: whether each is a key frame, and its end. `None` when it is no such speech.
    fn hear(&mut self, bytes: &[u8]) -> Option<Vec<(bool, Option<Tail>)>> {
        let mut frames = Vec::new();
        match self {
            Self::Silent => {}
            Self::Body(left) => {
                *left = left.saturating_sub(bytes.len());
                frames.extend((*left == 0).then_some((true, None)));
            }
            Self::Flv(flv) => {
                flv.input.extend_from_slice(bytes);
                while let Some(body) = flv.video() {
                    frames.extend(frame(&body));
                }
            }
            Self::Rtmp(session) => {
                session.buffer().extend_from_slice(bytes);
                process(session, bytes.len()).ok()?;
                while let Some(event) = session.poll_event() {
                    match event {
                        Event::Video { payload, .. } => frames.extend(frame(&payload)),
                        Event::Refused { .. } => return None,
                        _ => {}
                    }
                }
            }
        }
        Some(frames)
    }
}

fn get(address: SocketAddr, stream: &str, extension: &str, more: &str) -> Bytes {
    format!("GET /live/{stream}.{extension} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n").into()
}

/// Of an AVC frame; a configuration is none.
fn frame(body: &[u8]) -> Option<(bool, Option<Tail>)> {
    let (first, kind) = (*body.first()?, *body.get(1)?);
    (kind == 1).then(|| (first >> 4 == 1, tail(body)))
}

impl Flv {
    /// The next whole video tag's body.
    fn video(&mut self) -> Option<Bytes> {
        self.unwrap()?;
        if !self.begun {
            if self.body.len() < FILE_HEADER {
                return None;
            }
            self.body.advance(FILE_HEADER);
            self.begun = true;
        }
        loop {
            let size = usize::try_from(u32::from_be_bytes([
                0,
                *self.body.get(1)?,
                *self.body.get(2)?,
                *self.body.get(3)?,
            ]))
            .ok()?;
            let kind = *self.body.first()?;
            let whole = size.checked_add(15)?;
            if self.body.len() < whole {
                return None;
            }
            let tag = self.body.split_to(whole).freeze();
            if kind == 9 {
                return Some(tag.slice(11..size.saturating_add(11)));
            }
        }
    }

    /// Takes the HTTP head, the file header and the chunks' heads off what has come.
    fn unwrap(&mut self) -> Option<()> {
        if !self.headed {
            let end = self.input.windows(4).position(|w| w == b"\r\n\r\n")?;
            self.input.advance(end.checked_add(4)?);
            self.headed = true;
        }
        loop {
            let some = self.left.min(self.input.len());
            self.body.extend_from_slice(&self.input.split_to(some));
            self.left = self.left.saturating_sub(some);
            if self.left > 0 {
                return Some(());
            }
            let Some(size) = self.chunk() else { return Some(()) };
            self.left = size;
        }
    }

    /// The size of the next chunk, with the line's end behind the one before taken off.
    fn chunk(&mut self) -> Option<usize> {
        let start = if self.input.starts_with(b"\r\n") { 2 } else { 0 };
        let line = self.input.get(start..)?;
        let end = line.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(line.get(..end)?).ok()?, 16).ok()?;
        self.input.advance(start.saturating_add(end).saturating_add(2));
        Some(size)
    }
}
