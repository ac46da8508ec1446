//! The chunk stream: messages cut into chunks and put together again (Adobe RTMP specification 1.0, 5.3).
//!
//! Each chunk stream id has its own partial message. All that a peer can make us hold is bounded by [`Limits`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::HashMap;

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
    timestamp: u32,
    /// The time field as it last stood in a header: absolute after type 0, else a difference.
    field: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream_id: u32,
    partial: BytesMut,
}

/// Puts messages together.
#[derive(Debug)]
pub struct ChunkReader {
    chunk_size: usize,
    limits: Limits,
    streams: HashMap<u32, ChunkStream>,
    partial_bytes: usize,
}

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
            streams: HashMap::new(),
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
        if let Some(stream) = self.streams.get_mut(&csid) {
            self.partial_bytes = self.partial_bytes.saturating_sub(stream.partial.len());
            stream.partial.clear();
        }
    }

    /// The next whole message. `None`: more input is needed; what was consumed is kept.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<RawMessage>, Error> {
        loop {
            let Some(header) = self.header(input)? else {
                return Ok(None);
            };
            let received = self.streams.get(&header.csid).map_or(0, |s| s.partial.len());
            let take = header.length.saturating_sub(received).min(self.chunk_size);
            if input.len() < header.size.saturating_add(take) {
                return Ok(None);
            }
            input.advance(header.size);
            let body = input.split_to(take);
            if let Some(message) = self.put(&header, body)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads the headers of the chunk at the start of `input` without consuming them.
    fn header(&self, input: &BytesMut) -> Result<Option<Header>, Error> {
        let Some((csid, format, basic)) = basic_header(input) else {
            return Ok(None);
        };
        let known = self.streams.get(&csid);
        let message_size = match format {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        };
        let Some(fields) = input.get(basic..basic.saturating_add(message_size)) else {
            return Ok(None);
        };
        let middle = known.is_some_and(|s| !s.partial.is_empty());
        if middle && format != 3 {
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
        if header.length > self.limits.message_bytes {
            return Err(Error::MessageTooLong(header.length, self.limits.message_bytes));
        }
        if header.extended {
            let Some(value) = input.get(header.size..).and_then(|rest| rest.first_chunk::<4>()) else {
                return Ok(None);
            };
            let value = u32::from_be_bytes(*value);
            // Type 3 should repeat the extended time, and some encoders do not: four bytes that differ from it are payload.
            if format != 3 || value == base.field {
                header.field = value;
                header.size = header.size.saturating_add(4);
            }
        }
        Ok(Some(header))
    }

    fn put(&mut self, header: &Header, body: BytesMut) -> Result<Option<RawMessage>, Error> {
        if !self.streams.contains_key(&header.csid) && self.streams.len() >= self.limits.chunk_streams {
            return Err(Error::TooManyChunkStreams(self.limits.chunk_streams));
        }
        let stream = self.streams.entry(header.csid).or_default();
        if stream.partial.is_empty() {
            stream.begin(header);
        }
        if stream.partial.is_empty() && body.len() == header.length {
            return Ok(Some(stream.message(body.freeze())));
        }
        self.partial_bytes = self.partial_bytes.saturating_add(body.len());
        if self.partial_bytes > self.limits.partial_bytes {
            return Err(Error::TooMuchPartial(self.limits.partial_bytes));
        }
        stream.partial.extend_from_slice(&body);
        if stream.partial.len() < header.length {
            return Ok(None);
        }
        self.partial_bytes = self.partial_bytes.saturating_sub(stream.partial.len());
        let whole = std::mem::take(&mut stream.partial).freeze();
        Ok(Some(stream.message(whole)))
    }
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
    fn begin(&mut self, header: &Header) {
        self.timestamp = if header.format == 0 {
            header.field
        } else {
            self.timestamp.wrapping_add(header.field)
        };
        self.field = header.field;
        self.extended = header.extended;
        self.length = header.length;
        self.kind = header.kind;
        self.stream_id = header.stream_id;
    }

    fn message(&self, payload: Bytes) -> RawMessage {
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

/// Appends a message as one chunk with a full header and as many short ones as it takes. The bytes depend on nothing but the
/// arguments, so one image serves every connection that has this chunk size. `csid` must be in 2..=63.
pub fn write_message(out: &mut BytesMut, csid: u8, message: &RawMessage, chunk_size: usize) {
    let length = message.payload.len();
    let chunks = length.div_ceil(chunk_size.max(1)).max(1);
    out.reserve(length.saturating_add(chunks.saturating_mul(5)).saturating_add(16));
    let extended = message.timestamp >= EXTENDED;
    out.put_u8(csid & 0x3f);
    out.put_uint(u64::from(message.timestamp.min(EXTENDED)), 3);
    out.put_uint(u64::try_from(length).unwrap_or(0), 3);
    out.put_u8(message.kind);
    out.put_u32_le(message.stream_id);
    for (at, chunk) in message.payload.chunks(chunk_size.max(1)).enumerate() {
        if at > 0 {
            out.put_u8(0xc0 | csid & 0x3f);
        }
        if extended {
            out.put_u32(message.timestamp);
        }
        out.put_slice(chunk);
    }
    if extended && length == 0 {
        out.put_u32(message.timestamp);
    }
}

#[cfg(test)]
mod tests;
