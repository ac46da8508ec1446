//! Connections and the sessions on them, as hooks and status tell of them.

use crate::{Protocol, StreamName};
use jiff::Timestamp;
use rand::RngExt;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
pub enum SessionKind {
    /// Sends a stream in.
    Publish,
    /// Takes a stream out.
    Play,
}

/// One client connection. Immutable once made.
///
/// What a protocol hands to [`crate::Hub::open`] may hold a stream key in `stream`, `param` and `tc_url`. What the [`crate::Gate`] and every
/// [`Session`] see is a clean copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// Eight characters of `[0-9a-z]`, as SRS makes them; see [`client_id`].
    pub client_id: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// The other end.
    pub peer: SocketAddr,
    /// Virtual host, resolved.
    pub vhost: String,
    /// App of the first request.
    pub app: String,
    /// Stream of the first request.
    pub stream: String,
    /// Query of the first request: `?k=v` or empty.
    pub param: String,
    /// `tcUrl` of an RTMP client; others make one as SRS does.
    pub tc_url: String,
    /// The page the player is embedded in, or empty.
    pub page_url: String,
    /// When it was accepted.
    pub started: Timestamp,
}

/// Without what may hold a stream key.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, peer) = (&self.client_id, &self.peer);
        f.debug_struct("Connection")
            .field("client_id", id)
            .field("peer", peer)
            .finish_non_exhaustive()
    }
}

/// A session that was, or is just to be, let in. Holds no stream key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Version 7: sorts by time.
    pub id: Uuid,
    /// What it is for.
    pub kind: SessionKind,
    /// The connection it runs on.
    pub connection: Arc<Connection>,
    /// The stream.
    pub name: StreamName,
    /// Query without a key: `?k=v` or empty.
    pub param: String,
    /// Name of the StreamKey object that opened the door, where one did.
    pub key: Option<Arc<str>>,
    /// When it was asked for.
    pub started: Timestamp,
}

/// Bytes of one session or connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To the peer.
    pub sent: u64,
    /// From the peer.
    pub received: u64,
}

/// A new random client id.
pub fn client_id() -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rng = rand::rng();
    (0..8)
        .filter_map(|_| LETTERS.get(rng.random_range(0..LETTERS.len())).map(|b| char::from(*b)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_are_eight_lower_case_letters_or_digits() {
        let id = client_id();
        assert_eq!(id.len(), 8);
        assert!(id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{id}");
        assert_ne!(id, client_id());
    }
}
