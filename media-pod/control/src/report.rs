//! [`PodReport`]: what a pod says of itself. Small, whole each time, and bounded by the pod.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Answer to a config that is now in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The revision in force.
    pub revision: String,
}

/// Body of a request to drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainRequest {
    /// When the last publisher is cut.
    pub deadline: Timestamp,
}

/// Answer to a request that was refused whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// PascalCase.
    pub reason: String,
    /// What was wrong and with which value; holds no secret.
    pub message: String,
}

/// The state of one pod, complete: what is not in it is not there any more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodReport {
    /// Made anew each time the process starts.
    pub instance: String,
    /// Counts up by one a report, from 1, within one instance.
    pub sequence: u64,
    /// The revision in force; empty before the first.
    pub revision: String,
    /// Takes new sessions.
    pub ready: bool,
    /// One a listener of the config.
    #[serde(default)]
    pub listeners: Vec<ListenerReport>,
    /// One a stream that has a publisher, by vhost, app and name. At most [`PodReport::STREAMS_MAX`].
    #[serde(default)]
    pub streams: Vec<StreamReport>,
    /// One a hook endpoint of the config.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// Publishers by the name of the StreamKey that let them in.
    #[serde(default)]
    pub key_use: BTreeMap<String, u32>,
    /// Streams of other pods that are relayed here. At most [`PodReport::STREAMS_MAX`].
    #[serde(default)]
    pub edges: Vec<EdgeReport>,
    /// Set while the pod is on its way out.
    #[serde(default)]
    pub draining: Option<DrainReport>,
    /// Sessions among the config's orphans whose closing events are told, or safe in this pod's outbox, or can never be told.
    #[serde(default)]
    pub adopted: Vec<Uuid>,
}

impl PodReport {
    /// Streams in one report; a pod has far fewer.
    pub const STREAMS_MAX: usize = 10_000;
    /// Bytes of one report line; a longer one is an error of the pod.
    pub const BYTES_MAX: usize = 8 * 1024 * 1024;
}

/// Whether a listener could be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerReport {
    /// As in the config.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// Why it could not; `None` when it listens.
    pub problem: Option<Problem>,
}

/// One live stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// Virtual host.
    pub vhost: String,
    /// App.
    pub app: String,
    /// Name, without any key.
    pub stream: String,
    /// The publisher's session.
    pub session: Uuid,
    /// `RTMP` and so on.
    pub protocol: String,
    /// The publisher's address and port.
    pub address: String,
    /// The id under which hooks know the publisher.
    pub client_id: String,
    /// When the publisher was let in.
    pub started: Timestamp,
    /// One a track; empty until the first parameter sets came.
    #[serde(default)]
    pub tracks: Vec<TrackReport>,
    /// Measured over the last seconds, all tracks, kilobits a second.
    pub bitrate_kilobits: u32,
    /// Viewers by protocol; protocols with none are not in it.
    #[serde(default)]
    pub viewers: BTreeMap<String, u32>,
    /// The publisher's entry in the ledger ([`LedgerEntry::sealed`]), so that its `Stream` object carries what is needed to close it. `None` when
    /// nobody needs to be told.
    #[serde(default)]
    pub sealed: Option<String>,
}

/// A stream whose publisher is in another pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeReport {
    /// Virtual host.
    pub vhost: String,
    /// App.
    pub app: String,
    /// Name, without any key.
    pub stream: String,
    /// The publisher's session, in the pod it comes from.
    pub session: Uuid,
    /// Name of the pod it comes from.
    pub from: String,
    /// Viewers here by protocol; protocols with none are not in it.
    #[serde(default)]
    pub viewers: BTreeMap<String, u32>,
}

/// A pod on its way out: it lets nobody in, tells its viewers to come back elsewhere, and leaves its publishers until the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainReport {
    /// When the last publisher is cut.
    pub deadline: Timestamp,
    /// Publishers that are still here.
    pub publishers: u32,
    /// Viewers that are still here.
    pub viewers: u32,
}

/// One line of the ledger stream: a session whose opening hooks were told of, and that must be closed by somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "camelCase")]
pub enum LedgerLine {
    /// A session is open.
    Open(LedgerEntry),
    /// A session's closing events are safe in the pod's outbox, or told. Also said of orphans: a session that another pod had open.
    Closed {
        /// The session.
        session: Uuid,
    },
    /// All that was open when the stream was asked for has been sent; what is not among it is closed. Repeated every few seconds, to be heard of.
    Synced,
}

/// An open session in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The session; of a connection the id that is derived from what names it.
    pub session: Uuid,
    /// Everything that the closing events need, sealed with the server's key ([`SEAL_FILE`](crate::SEAL_FILE)): URL-safe base64 without padding. The same text
    /// each time it is said. Only pods of the server can read it.
    pub sealed: String,
}

/// One track of a live stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackReport {
    /// `H264`, `AAC` and so on.
    pub codec: String,
    /// Pixels; video only.
    pub width: Option<u32>,
    /// Pixels; video only.
    pub height: Option<u32>,
    /// Measured, rounded; video only.
    pub frames_per_second: Option<u32>,
    /// Hertz; audio only.
    pub sample_rate: Option<u32>,
    /// Audio only.
    pub channels: Option<u32>,
}

/// How one back end does, as this pod sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookReport {
    /// Name of the HookEndpoint.
    pub name: String,
    /// The last call got a valid answer, or a later probe a connection. `None` before the first of either.
    pub reachable: Option<bool>,
    /// The last call got a valid answer. Else `reachable` rests on a probe, which connects and sends nothing.
    #[serde(default)]
    pub answered: bool,
    /// The last call that got no valid answer, or was refused; stays until a later one succeeds. Of a probe, until one succeeds.
    pub last_failure: Option<HookFailure>,
    /// It is not asked for a while, because it has not answered.
    #[serde(default)]
    pub circuit_open: bool,
    /// Within the last minute a session was let in without a valid answer of it.
    #[serde(default)]
    pub fail_open: bool,
    /// Notifications that are not delivered yet.
    pub pending: u32,
    /// Notifications given up since the process started.
    pub dead: u64,
    /// Dead letters that are kept, and can be sent once more.
    #[serde(default)]
    pub letters: u32,
    /// Dead letters that were sent once more since the process started.
    #[serde(default)]
    pub replayed: u64,
    /// Age of the oldest notification that is not delivered yet, in seconds, coarse: 0 below 10, then 10, 60, 600, 3600, 21600, 86400.
    #[serde(default)]
    pub oldest_pending_seconds: u32,
    /// It said 410 to a notification: it is told nothing until it is edited or answers again.
    #[serde(default)]
    pub suspended: bool,
    /// What is pending is in memory only, because the disk does not take it.
    #[serde(default)]
    pub in_memory: bool,
    /// Options that its answers asked for, kept and not in force in this version; sorted.
    #[serde(default)]
    pub idle_options: Vec<String>,
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookFailure {
    /// The dialect's name of the event, such as `on_publish`; `probe` where no event was to be told.
    pub event: String,
    /// `HookDenied`, `HookTimeout`, `HookUnreachable`, `HookBadStatus`, `HookBadAnswer` or `HookCircuitOpen`.
    pub reason: String,
    /// What happened; holds no query, key or body.
    pub message: String,
    /// When.
    pub time: Timestamp,
}
