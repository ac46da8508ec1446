//! Messages as chunks. The bytes depend on nothing but the message and the chunk size.

use super::{EXTENDED, RawMessage};
use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

/// Appends a message as one chunk with a full header and as many short ones as it takes. The bytes depend on nothing but the
/// arguments, so one image serves every connection that has this chunk size. `csid` must be in 2..=63.
pub fn write_message(out: &mut BytesMut, csid: u8, message: &RawMessage, chunk_size: usize) {
    let head = (csid, message.kind, message.stream_id);
    put_message(out, head, message.timestamp, &[&message.payload], chunk_size);
}

/// Bytes of the longest [`message_head`].
const HEAD_MAX: usize = 16;

/// What stands before a message's payload in its first chunk. The head: chunk stream, kind, message stream.
pub(crate) fn message_head(
    (csid, kind, stream_id): (u8, u8, u32),
    timestamp: u32,
    length: usize,
) -> SmallVec<[u8; HEAD_MAX]> {
    let [_, t0, t1, t2] = timestamp.min(EXTENDED).to_be_bytes();
    let [_, l0, l1, l2] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    let mut head = SmallVec::from_slice(&[csid & 0x3f, t0, t1, t2, l0, l1, l2, kind]);
    head.extend_from_slice(&stream_id.to_le_bytes());
    extended(timestamp).inspect(|time| head.extend_from_slice(&time.to_be_bytes()));
    head
}

fn extended(timestamp: u32) -> Option<u32> {
    (timestamp >= EXTENDED).then_some(timestamp)
}

/// The same for a payload in parts, one behind the other, so that they are copied once. The head: chunk stream, kind, message stream.
pub(crate) fn put_message(
    out: &mut BytesMut,
    (csid, kind, stream_id): (u8, u8, u32),
    timestamp: u32,
    parts: &[&[u8]],
    chunk_size: usize,
) {
    let (csid, chunk_size) = (csid & 0x3f, chunk_size.max(1));
    let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let chunks = length.div_ceil(chunk_size).max(1);
    out.reserve(length.saturating_add(chunks.saturating_mul(5)).saturating_add(16));
    let extended = extended(timestamp);
    out.put_slice(&message_head((csid, kind, stream_id), timestamp, length));
    let mut room = chunk_size;
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            if room == 0 {
                out.put_u8(0xc0 | csid);
                extended.inspect(|time| out.put_u32(*time));
                room = chunk_size;
            }
            let (piece, behind) = rest.split_at(rest.len().min(room));
            out.put_slice(piece);
            (rest, room) = (behind, room.saturating_sub(piece.len()));
        }
    }
}
