//! The chunk stream: messages cut into chunks and put together again (Adobe RTMP specification 1.0, 5.3).
//!
//! Each chunk stream id has its own partial message. All that a peer can make us hold is bounded by [`Limits`].

mod write;

pub use write::write_message;
pub(crate) use write::{message_head, put_message};

use bytes::{Buf, Bytes, BytesMut};

/// Chunk size of both directions until a side says another.
pub const DEFAULT_CHUNK_SIZE: usize = 128;
/// In this place of a header, or any time from it on, the time stands in four bytes behind the header.
const EXTENDED: u32 = 0x00ff_ffff;
/// Largest chunk size that a peer may set; a message has no more bytes.
const CHUNK_SIZE_MAX: usize = 0x00ff_ffff;

/// What a peer may make us hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Chunk streams that were ever used on the connection.
    pub chunk_streams: usize,
    /// Bytes of all partial messages together.
    pub partial_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 8 * 1024 * 1024,
            chunk_streams: 64,
            partial_bytes: 16 * 1024 * 1024,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// Milliseconds; wraps.
    pub timestamp: u32,
    /// Message type id.
    pub kind: u8,
    /// Message stream id.
    pub stream_id: u32,
    /// What it carries.
    pub payload: Bytes,
}

/// Why bytes are no chunk stream, or one that we do not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message longer than the limit.
    #[error("a message of {0} bytes is longer than the limit of {1}")]
    MessageTooLong(usize, usize),
    /// Too many chunk stream ids.
    #[error("more than {0} chunk streams")]
    TooManyChunkStreams(usize),
    /// Too much in partial messages.
    #[error("more than {0} bytes in partial messages")]
    TooMuchPartial(usize),
    /// A header that leans on one that was never sent.
    #[error("chunk stream {0} begins with a header of type {1}, which leans on an earlier one")]
    NoEarlierHeader(u32, u8),
    /// A new message before the old one was whole.
    #[error("chunk stream {0} begins a new message in the middle of one")]
    Interrupted(u32),
    /// Chunk size 0 or beyond what a message can have.
    #[error("chunk size {0} is not allowed")]
    BadChunkSize(u32),
}

#[derive(Debug, Default)]
struct ChunkStream {
    csid: u32,
    timestamp: u32,
    /// The time field as it last stood in a header: absolute after type 0, else a difference.
    field: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream_id: u32,
    /// A message has begun and is not whole.
    open: bool,
    /// Bytes of the chunk that is being read that have not come yet.
    left: usize,
    partial: BytesMut,
}

/// Puts messages together. A message that lies in one chunk, and came in one piece, shares the bytes of the input; others are copied together once.
#[derive(Debug)]
pub struct ChunkReader {
    chunk_size: usize,
    limits: Limits,
    /// In the order in which they were first used; a connection has three to six.
    streams: Vec<ChunkStream>,
    /// Which of them the chunk that is being read belongs to.
    current: Option<usize>,
    partial_bytes: usize,
}

/// So many times what has come of a message is set aside for the rest, whatever length it claims.
const RESERVED_TIMES: usize = 8;

/// A chunk's headers, read but not yet acted upon.
struct Header {
    csid: u32,
    format: u8,
    /// Bytes of basic, message and extended header.
    size: usize,
    field: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream_id: u32,
}

impl ChunkReader {
    /// A reader at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            limits,
            streams: Vec::new(),
            current: None,
            partial_bytes: 0,
        }
    }

    /// The peer said `Set Chunk Size`.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        let wanted = usize::try_from(size).unwrap_or(usize::MAX);
        if wanted == 0 || size > 0x7fff_ffff {
            return Err(Error::BadChunkSize(size));
        }
        self.chunk_size = wanted.min(CHUNK_SIZE_MAX);
        Ok(())
    }

    /// The peer said `Abort Message`: what it sent of that message is dropped.
    pub fn abort(&mut self, csid: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.csid == csid) {
            self.partial_bytes = self.partial_bytes.saturating_sub(stream.partial.len());
            stream.partial = BytesMut::new();
            (stream.open, stream.left) = (false, 0);
        }
    }

    /// The next whole message. `None`: more input is needed; what was consumed is kept.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<RawMessage>, Error> {
        loop {
            let at = match self.current {
                Some(at) => at,
                None => match self.begin(input)? {
                    Some(at) => at,
                    None => return Ok(None),
                },
            };
            let whole = self.body(at, input)?;
            if whole.is_some() || self.current.is_some() {
                return Ok(whole);
            }
        }
    }

    /// Consumes the headers of a chunk; which stream's it is. `None` when they are not whole yet.
    fn begin(&mut self, input: &mut BytesMut) -> Result<Option<usize>, Error> {
        let Some((csid, format, basic)) = basic_header(input) else {
            return Ok(None);
        };
        let at = self.streams.iter().position(|stream| stream.csid == csid);
        let known = at.and_then(|at| self.streams.get(at));
        let Some(header) = header(input, known, (csid, format, basic))? else {
            return Ok(None);
        };
        if header.length > self.limits.message_bytes {
            return Err(Error::MessageTooLong(header.length, self.limits.message_bytes));
        }
        if at.is_none() && self.streams.len() >= self.limits.chunk_streams {
            return Err(Error::TooManyChunkStreams(self.limits.chunk_streams));
        }
        input.advance(header.size);
        let at = at.unwrap_or(self.streams.len());
        if at == self.streams.len() {
            self.streams.push(ChunkStream::default());
        }
        if let Some(stream) = self.streams.get_mut(at) {
            stream.begin(&header, self.chunk_size);
        }
        self.current = Some(at);
        Ok(Some(at))
    }

    /// Takes what is there of a chunk's body; the message, when that was its last.
    fn body(&mut self, at: usize, input: &mut BytesMut) -> Result<Option<RawMessage>, Error> {
        let Some(stream) = self.streams.get_mut(at) else {
            return Ok(None);
        };
        let piece = input.split_to(stream.left.min(input.len()));
        stream.left = stream.left.saturating_sub(piece.len());
        if stream.left == 0 {
            self.current = None;
        }
        if stream.partial.is_empty() && piece.len() == stream.length {
            return Ok(Some(stream.message(piece.freeze())));
        }
        self.partial_bytes = self.partial_bytes.saturating_add(piece.len());
        if self.partial_bytes > self.limits.partial_bytes {
            return Err(Error::TooMuchPartial(self.limits.partial_bytes));
        }
        if stream.partial.capacity() == 0 {
            let expected = piece.len().saturating_mul(RESERVED_TIMES);
            stream.partial.reserve(stream.length.min(expected));
        }
        stream.partial.extend_from_slice(&piece);
        if stream.partial.len() < stream.length {
            return Ok(None);
        }
        self.partial_bytes = self.partial_bytes.saturating_sub(stream.partial.len());
        let whole = std::mem::take(&mut stream.partial).freeze();
        Ok(Some(stream.message(whole)))
    }
}

/// Reads the headers of the chunk at the start of `input`, whose basic header is known, without consuming them. `known` is its stream as the
/// chunks before left it.
fn header(
    input: &[u8],
    known: Option<&ChunkStream>,
    (csid, format, basic): (u32, u8, usize),
) -> Result<Option<Header>, Error> {
    let message_size = match format {
        0 => 11,
        1 => 7,
        2 => 3,
        _ => 0,
    };
    let Some(fields) = input.get(basic..basic.saturating_add(message_size)) else {
        return Ok(None);
    };
    if known.is_some_and(|stream| stream.open) && format != 3 {
        return Err(Error::Interrupted(csid));
    }
    let base = match (known, format) {
        (Some(stream), _) => stream,
        // librtmp, and with it OBS, begins its control stream with a header of type 1, which holds all but the message stream.
        (None, 0 | 1) => &ChunkStream::default(),
        (None, _) => return Err(Error::NoEarlierHeader(csid, format)),
    };
    let mut header = Header {
        csid,
        format,
        size: basic.saturating_add(message_size),
        field: base.field,
        extended: base.extended,
        length: base.length,
        kind: base.kind,
        stream_id: base.stream_id,
    };
    header.take_fields(fields);
    if header.extended {
        let Some(value) = input.get(header.size..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Ok(None);
        };
        let value = u32::from_be_bytes(*value);
        // Type 3 should repeat the extended time. Some encoders do not, and some repeat the message's time where its header has a difference:
        // four bytes that are neither are payload.
        let repeats = value == base.field || (base.open && value == base.timestamp);
        if format != 3 || repeats {
            header.field = if format == 3 { base.field } else { value };
            header.size = header.size.saturating_add(4);
        }
    }
    Ok(Some(header))
}

impl Header {
    /// The message header's fields; a shorter header leaves the rest as it was.
    fn take_fields(&mut self, mut fields: &[u8]) {
        if fields.len() >= 3 {
            self.field = u32::try_from(fields.get_uint(3)).unwrap_or(0);
            self.extended = self.field == EXTENDED;
        }
        if fields.len() >= 4 {
            self.length = usize::try_from(fields.get_uint(3)).unwrap_or(0);
            self.kind = fields.get_u8();
        }
        if fields.len() >= 4 {
            self.stream_id = fields.get_u32_le();
        }
    }
}

impl ChunkStream {
    /// The first chunk of a message moves the time: to the field after type 0, else by the field.
    fn begin(&mut self, header: &Header, chunk_size: usize) {
        if !self.open {
            self.timestamp = if header.format == 0 {
                header.field
            } else {
                self.timestamp.wrapping_add(header.field)
            };
            self.csid = header.csid;
            self.field = header.field;
            self.extended = header.extended;
            self.length = header.length;
            self.kind = header.kind;
            self.stream_id = header.stream_id;
            self.open = true;
        }
        self.left = self.length.saturating_sub(self.partial.len()).min(chunk_size);
    }

    /// The message that is whole now.
    fn message(&mut self, payload: Bytes) -> RawMessage {
        self.open = false;
        RawMessage {
            timestamp: self.timestamp,
            kind: self.kind,
            stream_id: self.stream_id,
            payload,
        }
    }
}

/// Chunk stream id, header type, and size of the basic header (5.3.1.1).
fn basic_header(input: &[u8]) -> Option<(u32, u8, usize)> {
    let first = *input.first()?;
    let format = first >> 6;
    match first & 0x3f {
        0 => Some((u32::from(*input.get(1)?).saturating_add(64), format, 2)),
        1 => {
            let low = u32::from(*input.get(1)?);
            let high = u32::from(*input.get(2)?);
            Some((
                high.saturating_mul(256).saturating_add(low).saturating_add(64),
                format,
                3,
            ))
        }
        id => Some((u32::from(id), format, 1)),
    }
}

#[cfg(test)]
mod tests;
