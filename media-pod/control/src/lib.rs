//! What operator and media pod say to each other: types only.
//!
//! The operator dials the pod on its control port (mutual TLS) and speaks HTTP/1.1:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /v1/config` | [`PodConfig`] | `200` with [`Applied`]: in force; `422` with [`Problem`]: refused whole, the old one stays |
//! | `GET /v1/report` | none | `200`, held open: one [`PodReport`] as a JSON line at once, then on change and every few seconds |
//! | `DELETE /v1/sessions/{id}` | none | `204`: the session is told to end; `404`: no such session here |
//! | `PUT /v1/drain` | [`DrainRequest`] | `204`: the pod is on its way out; asked again, only the deadline changes |
//! | `DELETE /v1/drain` | none | `204`: it is not, and takes sessions again; `409` with [`Problem`]: the process was told to end |
//! | `GET /v1/ledger` | none | `200`, held open: one [`LedgerLine`] as a JSON line for each open session, then [`LedgerLine::Synced`], then as they open and close |
//!
//! Pods of one server dial each other on the same port, with the certificate that they serve with:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /v1/peer/claims` | [`Claim`] | `200` with a [`ClaimAnswer`] |
//! | `POST /v1/peer/evictions` | [`Claim`] | `204`: the publisher that this session displaced, if there was one here, is cut |
//! | `GET /v1/peer/streams` | query: [`PeerStream`] | `200` with [`Found`]; `404`: not live here |
//! | `GET /v1/peer/media` | query: [`PeerStream`] | `200`, held open: the stream as FLV from the newest key frame, with [`PEER_SESSION_HEADER`]; `404` |
//! | `POST /v1/peer/outbox` | notifications, one JSON line each | `204`: they are safe in this pod's outbox; `503` with [`Problem`]: this one does not take them |
//!
//! The operator may ask for all but what stands below `/v1/peer`; a pod for nothing but that.
//!
//! The same types are the whole of what a standalone pod works from, so both ways of running share one path.
//! Unknown fields are ignored on purpose: operator and pod may be one version apart.

mod config;
mod endpoint;
mod event;
mod hook;
mod key;
mod listener;
mod peer;
mod policy;
mod report;

pub use config::*;
pub use endpoint::*;
pub use event::*;
pub use hook::*;
pub use key::*;
pub use listener::*;
pub use peer::*;
pub use policy::*;
pub use report::*;

/// Where a pod listens for its operator.
pub const CONTROL_PORT: u16 = 9443;
/// Where a pod serves `/healthz`, `/readyz` and `/metrics`.
pub const METRICS_PORT: u16 = 9090;
/// Path of the config resource on the control port.
pub const CONFIG_PATH: &str = "/v1/config";
/// Path of the report stream on the control port.
pub const REPORT_PATH: &str = "/v1/report";
/// Path below which a session's id names it.
pub const SESSIONS_PATH: &str = "/v1/sessions";
/// Path of the drain on the control port.
pub const DRAIN_PATH: &str = "/v1/drain";
/// Path of the ledger stream on the control port.
pub const LEDGER_PATH: &str = "/v1/ledger";
/// Path of the claims of a pod's peers.
pub const PEER_CLAIMS_PATH: &str = "/v1/peer/claims";
/// Path of what displaces a publisher.
pub const PEER_EVICTIONS_PATH: &str = "/v1/peer/evictions";
/// Path of the question whether a stream is live.
pub const PEER_STREAM_PATH: &str = "/v1/peer/streams";
/// Path of a stream's media.
pub const PEER_MEDIA_PATH: &str = "/v1/peer/media";
/// Path of what a viewer of HLS asks of the pod where it is at home; see [`PeerRequest`].
pub const PEER_HLS_PATH: &str = "/v1/peer/hls";
/// The header with the address of the viewer in whose place a pod asks.
pub const PEER_CLIENT_HEADER: &str = "x-headgate-client";
/// The header with the host that this viewer asked.
pub const PEER_HOST_HEADER: &str = "x-headgate-host";
/// Path of notifications that a pod hands over.
pub const PEER_OUTBOX_PATH: &str = "/v1/peer/outbox";
/// POST of the dead letters of a pod that ends, a JSON object a line; 204 when they are kept. A pod of an older version does not have it.
pub const PEER_LETTERS_PATH: &str = "/v1/peer/dead-letters";
/// The name of the file in the mounted Secret that holds the key of sealed ledger entries: 32 bytes in hex.
pub const SEAL_FILE: &str = "seal.key";
/// Where a pod in the cluster keeps its outbox and ledger: a volume that outlives its container, not the pod.
pub const STATE_DIR: &str = "/var/lib/headgate";
/// The name of the file in the mounted Secret that holds the [`PodConfig`] a pod starts from.
pub const CONFIG_FILE: &str = "config.json";
/// The pod's certificate, key and its server's CA in the mounted Secret.
pub const TLS_FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];
/// The name that every media pod's certificate carries, and that the operator asks for: `<server>.<namespace>.media.headgate`.
pub fn pod_tls_name(namespace: &str, server: &str) -> String {
    format!("{server}.{namespace}.media.headgate")
}
/// The name in the operator's client certificate, the only client a control port answers.
pub const OPERATOR_TLS_NAME: &str = "operator.headgate";
