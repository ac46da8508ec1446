//! What every reconcile has at hand.

use crate::cache::{Cache, Word};
use crate::cluster::Cluster;
use crate::events::Events;
use crate::hook_endpoint::Told;
use crate::link::Links;
use crate::metrics::Metrics;
use crate::names::ObjectKey;
use crate::orphans::Orphans;
use crate::queue::Queue;
use crate::status::{Holds, Turns, Writes};
use crate::stream::{Flow, Twice};
use crate::tls::Clients;
use headgate_api::{HookEndpoint, MediaServer, Stream, StreamKey};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

/// Everything shared.
pub struct Context {
    /// Writes and single reads.
    pub cluster: Cluster,
    /// What the watches know.
    pub caches: Caches,
    /// What is to be reconciled.
    pub queues: Queues,
    /// The media pods.
    pub links: Links,
    /// What those that are gone have left behind.
    pub orphans: Orphans,
    /// Client certificates for them.
    pub clients: Clients,
    /// Tells users what happened.
    pub events: Events,
    /// When each status was written last.
    pub writes: Writes,
    /// Whose counts are written next.
    pub turns: Turns,
    /// What is not spoken of yet.
    pub holds: Holds,
    /// Streams that two pods have at once.
    pub twice: Twice,
    /// How fast streams come.
    pub flow: Flow,
    /// Failures of back ends that users were told of.
    pub told: Told,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Image of media pods whose server names none.
    pub media_image: String,
    /// Where hooks of all servers may go.
    pub hook_networks: headgate_control::HookNetworks,
}

/// One cache a kind.
#[derive(Clone, Debug, Default)]
pub struct Caches {
    /// All.
    pub servers: Arc<Cache<MediaServer>>,
    /// All.
    pub keys: Arc<Cache<StreamKey>>,
    /// All.
    pub hooks: Arc<Cache<HookEndpoint>>,
    /// All.
    pub streams: Arc<Cache<Stream>>,
    /// Those of our servers.
    pub pods: Arc<Cache<Pod>>,
    /// Those of our servers.
    pub services: Arc<Cache<Service>>,
    /// Those with our label.
    pub secrets: Arc<Cache<Secret>>,
    /// Those of our servers.
    pub budgets: Arc<Cache<PodDisruptionBudget>>,
    /// All, where the operator may know of them; empty and never synced where it may not.
    pub nodes: Arc<Cache<Node>>,
    /// Likewise.
    pub namespaces: Arc<Cache<Namespace>>,
}

impl Caches {
    /// Whether every watch that must be there has read everything once.
    pub fn are_synced(&self) -> bool {
        self.servers.is_synced()
            && self.keys.is_synced()
            && self.hooks.is_synced()
            && self.streams.is_synced()
            && self.pods.is_synced()
            && self.services.is_synced()
            && self.secrets.is_synced()
            && self.budgets.is_synced()
    }

    /// The pods that a server owns, by name.
    pub fn pods_of(&self, server: &MediaServer) -> Vec<Arc<Pod>> {
        let key = ObjectKey::of(server);
        let uid = server.metadata.uid.as_deref().unwrap_or_default();
        self.pods.find(&key.namespace, &Word::owner(uid))
    }
}

impl Context {
    /// Whether a server has pods, and each has said that it is ready since this process leads.
    pub fn is_heard(&self, server: &ObjectKey) -> bool {
        let Some(server) = self.caches.servers.get(server) else {
            return false;
        };
        let pods = self.caches.pods_of(&server);
        let is_ready = |pod: &Arc<Pod>| {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            let view = self.links.view(&ObjectKey::of(pod.as_ref()), uid);
            view.is_some_and(|v| v.is_ready())
        };
        !pods.is_empty() && pods.iter().all(is_ready)
    }
}

/// One queue a kind.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    /// MediaServers.
    pub servers: Arc<Queue>,
    /// StreamKeys.
    pub keys: Arc<Queue>,
    /// HookEndpoints.
    pub hooks: Arc<Queue>,
    /// Streams.
    pub streams: Arc<Queue>,
    /// MediaServers whose pods' ledgers are heard while another process leads.
    pub ledgers: Arc<Queue>,
}

/// The clock, read in `fetch` only.
pub fn now() -> Timestamp {
    Timestamp::now()
}
