//! What pods of one server say to each other, over the same mutual TLS and port as the operator.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The header of a media response that holds the id of the publisher's session.
pub const PEER_SESSION_HEADER: &str = "headgate-session";

/// The full name of a stream, as the query of [`PEER_STREAM_PATH`](crate::PEER_STREAM_PATH) and in bodies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStream {
    /// Virtual host.
    pub vhost: String,
    /// App.
    pub app: String,
    /// Name, without any key.
    pub stream: String,
}

/// What a pod asks in the place of a viewer, as the query of [`PEER_HLS_PATH`](crate::PEER_HLS_PATH).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRequest {
    /// Path and query, as the viewer asked for them.
    pub target: String,
}

/// A publisher wants a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The name.
    pub name: PeerStream,
    /// The session that wants it. Of two that ask at the same time the lower one gets it.
    pub session: Uuid,
    /// A live publisher elsewhere is no obstacle: it is cut once this one is let in.
    pub takeover: bool,
}

/// Answer to a [`Claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimAnswer {
    /// Nothing here stands against it.
    Free,
    /// The name has a publisher here, or one here asked before.
    Taken,
}

/// Answer to a question for a stream that is live here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The publisher's session.
    pub session: Uuid,
}
