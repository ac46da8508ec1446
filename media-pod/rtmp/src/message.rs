//! What a message means (Adobe RTMP specification 1.0, 5.4 and 7.1).

use crate::amf0::{self, Value};
use crate::chunk::RawMessage;
use bytes::{Buf, Bytes};

/// Message type ids.
pub mod kind {
    /// Set Chunk Size.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACK: u8 = 3;
    /// User Control Message.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Data in AMF3.
    pub const DATA_AMF3: u8 = 15;
    /// Command in AMF3.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0.
    pub const DATA_AMF0: u8 = 18;
    /// Command in AMF0.
    pub const COMMAND_AMF0: u8 = 20;
    /// Aggregate.
    pub const AGGREGATE: u8 = 22;
}

/// User Control events that either side uses.
pub mod control {
    /// Playback of a message stream begins.
    pub const STREAM_BEGIN: u16 = 0;
    /// It is over.
    pub const STREAM_EOF: u16 = 1;
    /// Are you there?
    pub const PING_REQUEST: u16 = 6;
    /// I am.
    pub const PING_RESPONSE: u16 = 7;
}

/// One message, understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The peer's chunks are this long from now on, in bytes.
    SetChunkSize(u32),
    /// The rest of the partial message on this chunk stream does not come.
    Abort(u32),
    /// So many bytes were received.
    Ack(u32),
    /// The sender wants an acknowledgement each time so many bytes were sent.
    WindowAckSize(u32),
    /// The peer limits what we send before an acknowledgement.
    SetPeerBandwidth(u32),
    /// Event and its data.
    UserControl(u16, u32),
    /// A remote call: name, transaction, then the rest of the values.
    Command {
        /// What to do.
        name: String,
        /// 0 wants no answer.
        transaction: f64,
        /// Command object and arguments.
        arguments: Vec<Value>,
    },
    /// AMF0 values that go with the stream, such as `onMetaData`.
    Data {
        /// Milliseconds.
        timestamp: u32,
        /// As it came, without the AMF3 marker.
        payload: Bytes,
    },
    /// An FLV audio tag body.
    Audio {
        /// Milliseconds.
        timestamp: u32,
        /// The tag body.
        payload: Bytes,
    },
    /// An FLV video tag body.
    Video {
        /// Milliseconds.
        timestamp: u32,
        /// The tag body.
        payload: Bytes,
    },
    /// Something that is of no use to us.
    Other(u8),
}

/// Parts of one aggregate: encoders put in a few frames, and each part costs us memory whatever its size.
const PARTS_MAX: usize = 1024;

/// Why a message cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A control message without its number.
    #[error("control message of type {0} has only {1} bytes")]
    TooShort(u8, usize),
    /// A command that is no AMF0.
    #[error("command: {0}")]
    Amf(#[from] amf0::Error),
    /// A command that does not begin with a name.
    #[error("command without a name")]
    NoName,
    /// An aggregate whose parts do not fit.
    #[error("aggregate message whose part {0} goes beyond its end")]
    BadAggregate(usize),
    /// An aggregate of more than 1,024 parts.
    #[error("aggregate message of more than {PARTS_MAX} parts")]
    TooManyParts,
}

impl Message {
    /// What a raw message means. An aggregate is none: see [`split_aggregate`].
    pub fn parse(raw: RawMessage) -> Result<Message, Error> {
        let RawMessage {
            timestamp,
            kind: id,
            payload,
            ..
        } = raw;
        let number = || {
            payload
                .first_chunk::<4>()
                .map(|b| u32::from_be_bytes(*b))
                .ok_or(Error::TooShort(id, payload.len()))
        };
        Ok(match id {
            kind::SET_CHUNK_SIZE => Self::SetChunkSize(number()?),
            kind::ABORT => Self::Abort(number()?),
            kind::ACK => Self::Ack(number()?),
            kind::WINDOW_ACK_SIZE => Self::WindowAckSize(number()?),
            kind::SET_PEER_BANDWIDTH => Self::SetPeerBandwidth(number()?),
            kind::USER_CONTROL => user_control(&payload)?,
            kind::AUDIO => Self::Audio { timestamp, payload },
            kind::VIDEO => Self::Video { timestamp, payload },
            kind::DATA_AMF0 => Self::Data { timestamp, payload },
            kind::DATA_AMF3 => Self::Data {
                timestamp,
                payload: without_marker(payload),
            },
            kind::COMMAND_AMF0 => command(&payload)?,
            kind::COMMAND_AMF3 => command(&without_marker(payload))?,
            other => Self::Other(other),
        })
    }
}

/// Type 15 and 17 carry AMF0 behind one zero byte, as every encoder with object encoding 3 sends them.
fn without_marker(mut payload: Bytes) -> Bytes {
    if payload.first() == Some(&0) {
        payload.advance(1);
    }
    payload
}

fn user_control(payload: &[u8]) -> Result<Message, Error> {
    let short = Error::TooShort(kind::USER_CONTROL, payload.len());
    let (event, rest) = payload.split_first_chunk::<2>().ok_or(short)?;
    let value = rest.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b));
    Ok(Message::UserControl(u16::from_be_bytes(*event), value))
}

fn command(payload: &[u8]) -> Result<Message, Error> {
    let mut values = amf0::read_all(payload)?.into_iter();
    let Some(Value::String(name)) = values.next() else {
        return Err(Error::NoName);
    };
    let transaction = values.next().and_then(|v| v.as_number()).unwrap_or(0.0);
    Ok(Message::Command {
        name,
        transaction,
        arguments: values.collect(),
    })
}

/// An aggregate's sub-messages, which have FLV-like headers; their times are shifted so that the first has the aggregate's (7.1.6). What is no media
/// is passed over: commands and control messages have no business there.
pub fn split_aggregate(raw: &RawMessage) -> Result<Vec<RawMessage>, Error> {
    let mut rest = raw.payload.clone();
    let (mut out, mut first, mut part) = (Vec::new(), None, 0_usize);
    while rest.len() >= 11 {
        if part == PARTS_MAX {
            return Err(Error::TooManyParts);
        }
        let id = rest.get_u8();
        let size = usize::try_from(rest.get_uint(3)).unwrap_or(usize::MAX);
        let low = u32::try_from(rest.get_uint(3)).unwrap_or(0);
        let time = u32::from(rest.get_u8()) << 24 | low;
        rest.advance(3);
        if rest.len() < size {
            return Err(Error::BadAggregate(part));
        }
        let payload = rest.split_to(size);
        rest.advance(rest.len().min(4)); // back pointer
        let shift = raw.timestamp.wrapping_sub(*first.get_or_insert(time));
        part = part.saturating_add(1);
        if matches!(id, kind::AUDIO | kind::VIDEO | kind::DATA_AMF0 | kind::DATA_AMF3) {
            out.push(RawMessage {
                timestamp: time.wrapping_add(shift),
                kind: id,
                stream_id: raw.stream_id,
                payload,
            });
        }
    }
    Ok(out)
}

/// A command as a raw message, on message stream `stream_id`.
pub fn command_message(stream_id: u32, name: &str, transaction: f64, arguments: Vec<Value>) -> RawMessage {
    let mut values = vec![Value::from(name), Value::from(transaction)];
    values.extend(arguments);
    RawMessage {
        timestamp: 0,
        kind: kind::COMMAND_AMF0,
        stream_id,
        payload: amf0::write_all(&values),
    }
}

/// A control message with one number.
pub fn number_message(kind: u8, number: u32) -> RawMessage {
    RawMessage {
        timestamp: 0,
        kind,
        stream_id: 0,
        payload: Bytes::copy_from_slice(&number.to_be_bytes()),
    }
}

/// A User Control message.
pub fn user_control_message(event: u16, value: u32) -> RawMessage {
    let payload = [&event.to_be_bytes()[..], &value.to_be_bytes()].concat().into();
    RawMessage {
        timestamp: 0,
        kind: kind::USER_CONTROL,
        stream_id: 0,
        payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amf3_command_is_an_amf0_command_behind_a_zero() {
        let raw = command_message(0, "connect", 1.0, vec![Value::Null]);
        let amf3 = RawMessage {
            kind: kind::COMMAND_AMF3,
            payload: [&[0], &raw.payload[..]].concat().into(),
            ..raw.clone()
        };
        assert_eq!(Message::parse(amf3), Message::parse(raw));
    }

    fn part(id: u8, time: u8, body: &[u8]) -> Vec<u8> {
        let size = u8::try_from(body.len()).unwrap();
        [&[id, 0, 0, size, 0, 0, time, 0, 0, 0, 0], body, &[0, 0, 0, 11]].concat()
    }

    fn aggregate(parts: &[Vec<u8>]) -> RawMessage {
        RawMessage {
            timestamp: 1000,
            kind: kind::AGGREGATE,
            stream_id: 1,
            payload: parts.concat().into(),
        }
    }

    #[test]
    fn an_aggregate_of_countless_parts_is_an_error() {
        let parts = vec![part(kind::AUDIO, 0, b""); PARTS_MAX];
        assert_eq!(split_aggregate(&aggregate(&parts)).map(|m| m.len()), Ok(PARTS_MAX));
        let more = [parts, vec![part(kind::ACK, 0, b"")]].concat();
        assert_eq!(split_aggregate(&aggregate(&more)), Err(Error::TooManyParts));
    }

    #[test]
    fn an_aggregate_cannot_hold_commands() {
        let parts = [
            part(kind::SET_CHUNK_SIZE, 0, &[0; 4]),
            part(kind::COMMAND_AMF0, 0, b"x"),
        ];
        assert_eq!(split_aggregate(&aggregate(&parts)), Ok(vec![]));
    }

    #[test]
    fn an_aggregate_becomes_its_parts_in_the_aggregates_time() {
        let raw = aggregate(&[part(kind::AUDIO, 10, b"a"), part(kind::VIDEO, 30, b"vv")]);
        let parts: Vec<_> = split_aggregate(&raw)
            .unwrap()
            .into_iter()
            .map(|part| (part.kind, part.timestamp, part.payload))
            .collect();
        assert_eq!(
            parts,
            [
                (kind::AUDIO, 1000, Bytes::from_static(b"a")),
                (kind::VIDEO, 1020, Bytes::from_static(b"vv"))
            ]
        );
    }

    #[test]
    fn a_control_message_without_its_number_is_an_error() {
        let raw = RawMessage {
            timestamp: 0,
            kind: kind::SET_CHUNK_SIZE,
            stream_id: 0,
            payload: Bytes::from_static(b"\0"),
        };
        assert_eq!(Message::parse(raw), Err(Error::TooShort(1, 1)));
    }
}
