//! What both sides of a connection share once the handshake is over: chunks in and out, acknowledgements, pings.

use crate::chunk::{self, ChunkReader, Limits, RawMessage, write_message};
use crate::message::{self, Message, control, kind, number_message, split_aggregate, user_control_message};
use bytes::BytesMut;
use std::collections::VecDeque;

/// Chunk size that we send with: a message of ordinary size is one chunk.
pub const CHUNK_SIZE: usize = 60_000;
/// Both windows that we announce, in bytes; and that of peers that announce none, since some wait for acknowledgements all the same.
pub(crate) const WINDOW: u32 = 2_500_000;
/// Input of a connection that sends no media: little enough for ten thousand of them.
const BLOCK_SMALL: usize = 16 * 1024;
/// Input of one that does. Frames share it as they are, so a large one is an allocation every half second or so.
const BLOCK_LARGE: usize = 64 * 1024;
/// Less room than this is not worth a read.
const ROOM_MIN: usize = 4 * 1024;
/// Chunk stream of control messages.
const CSID_CONTROL: u8 = 2;
/// Chunk stream of commands.
const CSID_COMMAND: u8 = 3;
/// Bytes of commands in one message; media may be longer.
const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// Why a connection must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer does not speak RTMP.
    #[error(transparent)]
    Handshake(#[from] crate::handshake::Error),
    /// The chunk stream is broken.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// A message is broken.
    #[error(transparent)]
    Message(#[from] message::Error),
    /// A command that is too long to be one.
    #[error("a command of {0} bytes is longer than the limit of {COMMAND_BYTES_MAX}")]
    CommandTooLong(usize),
    /// A command that cannot come now.
    #[error("{0} before connect")]
    NotConnected(String),
}

/// Chunk stream in both directions.
#[derive(Debug)]
pub(crate) struct Link {
    reader: ChunkReader,
    chunk_size: usize,
    received: u64,
    acknowledged: u64,
    window: u64,
    /// Of an aggregate, what was not yet handed on.
    parts: VecDeque<RawMessage>,
}

impl Link {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            reader: ChunkReader::new(limits),
            chunk_size: chunk::DEFAULT_CHUNK_SIZE,
            received: 0,
            acknowledged: 0,
            window: u64::from(WINDOW),
            parts: VecDeque::new(),
        }
    }

    /// Bytes that came in; an acknowledgement goes out when the peer's window is used up.
    pub(crate) fn received(&mut self, bytes: usize, out: &mut BytesMut) {
        self.received = self.received.saturating_add(u64::try_from(bytes).unwrap_or(0));
        if self.received.saturating_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            // The counter on the wire has 32 bits and wraps.
            let low = u32::try_from(self.received & u64::from(u32::MAX)).unwrap_or(0);
            self.send(CSID_CONTROL, &number_message(kind::ACK, low), out);
        }
    }

    /// The next message that is not about the chunk stream itself.
    pub(crate) fn next(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            let raw = match self.parts.pop_front() {
                Some(part) => part,
                None => match self.reader.next(input)? {
                    Some(raw) => raw,
                    None => return Ok(None),
                },
            };
            if raw.kind == kind::AGGREGATE {
                self.parts = split_aggregate(&raw)?.into();
                continue;
            }
            let command = matches!(raw.kind, kind::COMMAND_AMF0 | kind::COMMAND_AMF3);
            if command && raw.payload.len() > COMMAND_BYTES_MAX {
                return Err(Error::CommandTooLong(raw.payload.len()));
            }
            if let Some(message) = self.take(Message::parse(raw)?, out)? {
                return Ok(Some(message));
            }
        }
    }

    fn take(&mut self, message: Message, out: &mut BytesMut) -> Result<Option<Message>, Error> {
        match message {
            Message::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Message::Abort(csid) => self.reader.abort(csid),
            Message::WindowAckSize(size) if size > 0 => self.window = u64::from(size),
            // Ours is told; nobody limits what it gets otherwise (5.4.5).
            Message::SetPeerBandwidth(_) => {
                self.send(CSID_CONTROL, &number_message(kind::WINDOW_ACK_SIZE, WINDOW), out);
            }
            Message::UserControl(control::PING_REQUEST, time) => {
                self.send(CSID_CONTROL, &user_control_message(control::PING_RESPONSE, time), out);
            }
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Says which chunk size we use, and uses it from then on.
    pub(crate) fn use_chunk_size(&mut self, out: &mut BytesMut) {
        let size = u32::try_from(CHUNK_SIZE).unwrap_or(u32::MAX);
        self.send(CSID_CONTROL, &number_message(kind::SET_CHUNK_SIZE, size), out);
        self.chunk_size = CHUNK_SIZE;
    }

    pub(crate) fn control(&mut self, message: &RawMessage, out: &mut BytesMut) {
        self.send(CSID_CONTROL, message, out);
    }

    pub(crate) fn command(&mut self, message: &RawMessage, out: &mut BytesMut) {
        self.send(CSID_COMMAND, message, out);
    }

    pub(crate) fn send(&self, csid: u8, message: &RawMessage, out: &mut BytesMut) {
        write_message(out, csid, message, self.chunk_size);
    }
}

/// Room for the next read.
pub(crate) fn make_room(input: &mut BytesMut, much: bool) {
    if input.capacity().saturating_sub(input.len()) >= ROOM_MIN {
        return;
    }
    let block = if much { BLOCK_LARGE } else { BLOCK_SMALL };
    // No more than a block in all, so that one that nothing shares any more is used again.
    input.reserve(block.saturating_sub(input.len()).max(ROOM_MIN));
}
