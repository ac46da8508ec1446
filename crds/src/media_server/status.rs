//! What the operator says of a MediaServer.

use crate::bounds::conditions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaServerStatus {
    /// The generation of the spec that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What holds for this object, each with a reason and what to do.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Pods that are there.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub replicas: i32,
    /// Pods that take new sessions.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub ready_replicas: i32,
    /// Pods that are made as the spec asks now and are not on their way out.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub updated_replicas: i32,
    /// Selects the pods; for autoscalers.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub selector: String,
    /// Streams that have a publisher.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub streams: i32,
    /// Viewers, coarse: exact below 10, then one digit and zeros with a `+`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub viewers: String,
    /// Where clients reach the server, one a listener.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub addresses: Vec<ListenerAddress>,
    /// The pods by name.
    #[serde(default)]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pods: Vec<PodStatus>,
}

/// Where clients reach one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerAddress {
    /// Name of the listener.
    #[schemars(length(max = 15))]
    pub listener: String,
    /// Without app and stream, such as `rtmp://live.default.svc:1935`.
    #[schemars(length(max = 512))]
    pub url: String,
}

/// One pod of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Name of the Pod.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Whether the pod takes new sessions.
    pub ready: bool,
    /// Whether the pod is on its way out: it takes no new sessions, and goes when its publishers have ended or its deadline is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// The configuration that is in force in the pod. The same in all of them once a change has arrived everywhere.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub revision: String,
    /// What keeps it from being as the spec asks; empty when nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}
