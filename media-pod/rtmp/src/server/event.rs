//! What a client wants, or sent.

use super::caps::Caps;
use bytes::Bytes;

/// What the peer wants, or sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It wants to connect; answer with [`super::ServerSession::accept_connect`] or [`super::ServerSession::reject_connect`].
    Connect(Connect),
    /// It wants to publish; answer with [`super::ServerSession::accept_publish`] or [`super::ServerSession::reject_publish`].
    Publish {
        /// As it came, with a query.
        stream: String,
    },
    /// It wants to play; answer with [`super::ServerSession::accept_play`] or [`super::ServerSession::reject_play`].
    Play {
        /// As it came, with a query.
        stream: String,
    },
    /// It paused (`true`) or went on.
    Pause(bool),
    /// It ended its publish or play and keeps the connection.
    Closed,
    /// An FLV audio tag body.
    Audio {
        /// Milliseconds; wraps.
        timestamp: u32,
        /// The tag body.
        payload: Bytes,
    },
    /// An FLV video tag body.
    Video {
        /// Milliseconds; wraps.
        timestamp: u32,
        /// The tag body.
        payload: Bytes,
    },
    /// `onMetaData` with its values, as AMF0, without `@setDataFrame`.
    Metadata(Bytes),
    /// Other data, such as `onTextData`, in the same form.
    Data {
        /// Milliseconds; wraps.
        timestamp: u32,
        /// The name and the values.
        payload: Bytes,
    },
}

/// What a client says of itself when it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// With a query, as it came.
    pub app: String,
    /// As it came.
    pub tc_url: String,
    /// The page that the player is on.
    pub page_url: String,
    /// Name and version of the client.
    pub flash_version: String,
    /// 0, or 3 for AMF3.
    pub object_encoding: u8,
    /// What it knows of enhanced RTMP.
    pub caps: Caps,
}
