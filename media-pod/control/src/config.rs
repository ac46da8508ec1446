//! [`PodConfig`]: everything a pod must know, resolved and validated, so that it needs nobody while it runs.

use crate::{HlsPolicy, HookEndpoint, Limits, Listener, PlayPolicy, PublishPolicy, StreamKey};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use uuid::Uuid;

/// The whole configuration of one pod. Stream keys are in it as hashes, never in clear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodConfig {
    /// A hash over all the rest; equal revisions mean equal behaviour.
    pub revision: String,
    /// Whose pod this is.
    pub server: ServerIdentity,
    /// What to listen on. Ports are unique.
    pub listeners: Vec<Listener>,
    /// Virtual hosts the server names; every other host is `__defaultVhost__`.
    #[serde(default)]
    pub vhosts: Vec<String>,
    /// Who may publish, and what happens when a name is taken.
    pub publish: PublishPolicy,
    /// Who may play, and how.
    pub play: PlayPolicy,
    /// How streams are cut for HLS.
    #[serde(default)]
    pub hls: HlsPolicy,
    /// Upper bounds for this pod.
    #[serde(default)]
    pub limits: Limits,
    /// The keys that are good here, sorted by name.
    #[serde(default)]
    pub keys: Vec<StreamKey>,
    /// StreamKeys of the server that open nothing at present, such as one whose Secret is not there: who is in by one of them stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_keys: Vec<String>,
    /// The back ends that are asked and told, in the order in which they are asked.
    #[serde(default)]
    pub hooks: Vec<HookEndpoint>,
    /// How a pod that is to end goes.
    #[serde(default)]
    pub drain: DrainPolicy,
    /// The pods of the server that have an address, each one itself among them, by name. Empty standalone.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Sessions of pods that are gone, whose closing events nobody has sent.
    #[serde(default)]
    pub orphans: Vec<Orphan>,
    /// Where hooks may go, beside what no setting changes.
    #[serde(default, skip_serializing_if = "HookNetworks::is_empty")]
    pub hook_networks: HookNetworks,
}

/// Networks that hooks may or must not go to. Loopback, link-local addresses, metadata services, multicast, the API server and the pod itself are
/// refused whatever stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookNetworks {
    /// Only these; all when empty.
    #[serde(default)]
    pub allowed: Vec<IpNet>,
    /// Not these, also where they are allowed.
    #[serde(default)]
    pub denied: Vec<IpNet>,
}

impl HookNetworks {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.denied.is_empty()
    }
}

/// How a pod that is to end goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainPolicy {
    /// How long a live publisher may go on in a pod that is to end, in seconds.
    pub deadline_seconds: u32,
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self { deadline_seconds: 600 }
    }
}

/// A pod of the same server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Name of the pod.
    pub name: String,
    /// Where its control port is.
    pub address: SocketAddr,
}

/// A session of a pod that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The session; of a connection the id that is derived from what names it.
    pub session: Uuid,
    /// Name of the pod that sends its closing events; the others leave it alone.
    pub adopter: String,
    /// What the pod that had it said of it, sealed ([`crate::LedgerEntry::sealed`]).
    pub sealed: String,
}

/// The MediaServer that a pod belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerIdentity {
    /// Namespace of the MediaServer; empty standalone.
    pub namespace: String,
    /// Name of the MediaServer.
    pub name: String,
    /// Stable over restarts of the pod and equal in all pods: the object's UID, or a hash of its name standalone.
    pub uid: String,
}
