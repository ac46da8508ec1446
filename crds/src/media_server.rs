//! MediaServer: a set of media pods that act as one server.

mod hls;
mod status;
mod template;

pub use hls::{Hls, HlsContainer, HlsPlaylist};
pub use status::{ListenerAddress, MediaServerStatus, PodStatus};
pub use template::{PodTemplate, PodTemplateMetadata, PodTemplateSpec};

use crate::bounds::annotations;
use crate::listener::{Listener, default_listeners};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A media server: pods that take live streams in and give them out. `spec: {}` is a good one: RTMP on 1935, HTTP on 8080,
/// one pod, a ClusterIP Service of the same name.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "headgate.dev",
    version = "v1alpha1",
    kind = "MediaServer",
    namespaced,
    doc = "A media server: pods that take live streams in and give them out, behind one Service.",
    derive = "PartialEq",
    derive = "Default",
    shortname = "mds",
    category = "headgate",
    status = "MediaServerStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Streams", type_ = "integer", json_path = ".status.streams"),
    printcolumn(name = "Viewers", type_ = "string", json_path = ".status.viewers"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.addresses[0].url", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be at most 40 characters, start with a letter and hold only a-z, 0-9 and '-': the Service and the pods are named after it")
)]
#[serde(rename_all = "camelCase")]
pub struct MediaServerSpec {
    /// How many pods serve. 0 stops the server and keeps its addresses. A stream that is published to one pod plays from every pod.
    /// Set it with `kubectl scale` or by a HorizontalPodAutoscaler; pods that have publishers and must go are drained.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: i32,
    /// Image of the media pods. When absent, the one that the operator was installed with; pods that run keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Ports that the server listens on, each with what is spoken there. RTMP on 1935 and HTTP on 8080 when absent.
    #[serde(default = "default_listeners")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(
        validation = Rule::new("self.all(a, self.exists_one(b, b.port == a.port))").message("each listener must have a port of its own"),
        validation = Rule::new("self.all(a, has(a.tls) == (a.protocol in ['RTMPS', 'HTTPS']))").message("`tls` must be given for the protocols RTMPS and HTTPS, and for no other"),
        validation = Rule::new("self.all(a, !has(a.forwardedFor) || a.protocol in ['HTTP', 'HTTPS'])").message("`forwardedFor` may be given for the protocols HTTP and HTTPS only"),
        validation = Rule::new("self.all(a, a.port != 9090 && a.port != 9443)").message("ports 9090 (metrics) and 9443 (control) are the pod's own: choose others")
    )]
    pub listeners: Vec<Listener>,
    /// Virtual hosts that the server knows by name. A client chooses one by `?vhost=NAME` or by the host of its URL; every other client is in `__defaultVhost__`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub vhosts: Vec<String>,
    /// How clients reach the pods: the Service, which has the name of the server.
    #[serde(default)]
    pub expose: Expose,
    /// Who may publish, and what happens when a name is taken.
    #[serde(default)]
    pub publish: Publish,
    /// Who may play, and how.
    #[serde(default)]
    pub play: Play,
    /// How streams are cut into segments for HLS.
    #[serde(default)]
    pub hls: Hls,
    /// Upper bounds for each pod, on sessions, connections and bit rate. None when absent.
    #[serde(default)]
    pub limits: Limits,
    /// How a pod goes that must go, for a smaller number of pods, a new template, or a node that is emptied: it takes no new sessions, its
    /// viewers are told to come back elsewhere, and its publishers go on until they end or the deadline is over.
    #[serde(default)]
    pub drain: Drain,
    /// What the pods get besides what Headgate puts into them. After a change of it, or of `image`, every pod is replaced: a new one is made
    /// first, and an old one goes when the new one is ready. A new pod that does not get ready stops that, and the old ones serve on.
    #[serde(default)]
    pub pod_template: PodTemplate,
}

/// How clients reach the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// Type of the Service: `ClusterIP`, reachable inside the cluster; `NodePort`, a port on every node; `LoadBalancer`, an address from the cluster's load balancer.
    #[serde(default)]
    pub r#type: ServiceType,
    /// Annotations of the Service, such as a load balancer's settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Type of the Service that clients use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Reachable inside the cluster.
    #[default]
    ClusterIP,
    /// A port on every node.
    NodePort,
    /// An address from the cluster's load balancer.
    LoadBalancer,
}

/// How a client proves itself before any hook is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Authentication {
    /// A StreamKey with the permission for it.
    StreamKey,
    /// No key; the hooks decide alone.
    None,
}

/// What happens when a second publisher comes for a name that is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnConflict {
    /// The newcomer is refused.
    #[default]
    Reject,
    /// The older publisher is cut.
    Takeover,
}

/// Who may publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// How a publisher proves itself before any hook is asked. `StreamKey` asks for a key with the permission Publish. `None` asks for none, and lets anyone
    /// publish whom the hooks let.
    #[serde(default = "stream_key")]
    pub authentication: Authentication,
    /// What happens when a second publisher comes for a name that is live. `Reject` refuses the newcomer. `Takeover` cuts the older one.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// How long a publisher may take until its first audio or video comes, in seconds; then it is ended and its name is free.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 3600))]
    pub first_packet_timeout_seconds: i32,
    /// How long a live publisher may send no audio or video, in seconds; then it is ended, which its back end is told. Longer for encoders on networks
    /// that come and go, shorter to see sooner that one is gone without a word.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 3600))]
    pub idle_timeout_seconds: i32,
}

/// Who may play, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Play {
    /// How a player proves itself before any hook is asked. `None` asks for no key. `StreamKey` asks for one with the permission Play.
    #[serde(default = "none")]
    pub authentication: Authentication,
    /// Whether a player starts at once, at the newest key frame, instead of at the next one.
    #[serde(default = "yes")]
    pub gop_cache: bool,
    /// How long output may be held back, in milliseconds, so that several frames go out in one write. More is cheaper; 0 writes each frame at once.
    #[serde(default = "hundred")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_latency_milliseconds: i32,
}

/// Upper bounds for each pod; an absent one is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Publishers at one time in each pod; further ones are refused with LimitReached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub publishers_per_pod: Option<i32>,
    /// Viewers at one time in each pod; further ones are refused with LimitReached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub viewers_per_pod: Option<i32>,
    /// Connections at one time on all listeners, whatever they do; further ones are closed at once. When absent, as many as the pod has
    /// file descriptors for, less some for its own use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_pod: Option<i32>,
    /// Connections at one time from one IPv4 address, or from one /64 of IPv6; further ones are closed at once. Many viewers may share an
    /// address, and behind a proxy that does not say whom it speaks for all of them do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: Option<i32>,
    /// How much media one publisher may send, in 1,000 bits a second. Peaks are smoothed over 5 s. A publisher that sends more is slowed
    /// down, as by a network that is full, and encoders lower their rate; one that does not in 10 s is cut with IngestTooFast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 10_000_000))]
    pub ingest_kilobits_per_second: Option<i32>,
}

/// How a pod goes that must go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// How long a live publisher may go on in a pod that must go, in seconds; then it is cut. A change reaches running pods at once and
    /// replaces none: a lower one also shortens drains that are under way, a higher one is for drains to come. What a pod has to end by
    /// itself, when it is deleted or its node shuts down, is fixed when it is made: this value of then and a minute.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 0, max = 86400))]
    pub deadline_seconds: i32,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            authentication: Authentication::StreamKey,
            on_conflict: OnConflict::Reject,
            first_packet_timeout_seconds: twenty(),
            idle_timeout_seconds: ten(),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            deadline_seconds: ten_minutes(),
        }
    }
}

impl Default for Play {
    fn default() -> Self {
        Self {
            authentication: Authentication::None,
            gop_cache: true,
            max_latency_milliseconds: 100,
        }
    }
}

fn one() -> i32 {
    1
}

fn ten() -> i32 {
    10
}

fn twenty() -> i32 {
    20
}

fn ten_minutes() -> i32 {
    600
}

fn hundred() -> i32 {
    100
}

fn yes() -> bool {
    true
}

fn stream_key() -> Authentication {
    Authentication::StreamKey
}

fn none() -> Authentication {
    Authentication::None
}
