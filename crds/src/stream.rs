//! Stream: a live stream, made by the operator.
//!
//! It has a status and no status subresource: nobody but the operator writes one, so there is no spec of another's to keep the operator from, and a stream
//! that goes live is one write instead of two. For the same reason there is no `observedGeneration`: a generation counts every write then.

use crate::bounds::{ObjectRef, coarse_counts, conditions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A live stream. The operator makes it and takes it away; deleting it cuts the publisher.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "headgate.dev",
    version = "v1alpha1",
    kind = "Stream",
    namespaced,
    doc = "A live stream. The operator makes it and takes it away; deleting it cuts the publisher.",
    derive = "PartialEq",
    category = "headgate",
    status = "StreamStatus",
    selectable = ".spec.serverRef.name",
    selectable = ".spec.app",
    selectable = ".spec.name",
    printcolumn(name = "App", type_ = "string", json_path = ".spec.app"),
    printcolumn(name = "Stream", type_ = "string", json_path = ".spec.name"),
    printcolumn(name = "Pod", type_ = "string", json_path = ".status.pod"),
    printcolumn(name = "Codecs", type_ = "string", json_path = ".status.codecs"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.size"),
    printcolumn(name = "Protocol", type_ = "string", json_path = ".status.publisher.protocol"),
    printcolumn(name = "Viewers", type_ = "string", json_path = ".status.viewers.total"),
    printcolumn(
        name = "Live",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Live')].status",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".status.startTime")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("a Stream says which stream it is about and cannot be changed"))]
#[serde(rename_all = "camelCase")]
pub struct StreamSpec {
    /// The server that it is live on.
    pub server_ref: ObjectRef,
    /// Virtual host; `__defaultVhost__` unless the client chose another.
    #[schemars(length(min = 1, max = 253))]
    pub vhost: String,
    /// The app, the first part of the path in the URL.
    #[schemars(length(min = 1, max = 1024))]
    pub app: String,
    /// Name of the stream, the last part of the path in the URL, without any key.
    #[schemars(length(min = 1, max = 1024))]
    pub name: String,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// What holds for this object, each with a reason and what to do.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Name of the Pod that the publisher is connected to.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub pod: String,
    /// UID of that Pod: one that comes after it under its name is another.
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub pod_uid: Option<String>,
    /// Who sends it: protocol, address and session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<StreamPublisher>,
    /// Video and audio codec, such as `H264/AAC`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub codecs: String,
    /// Width and height of the picture in pixels, such as `1920x1080`; empty without video.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub size: String,
    /// Frames a second, rounded; absent without video or before it is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub frames_per_second: Option<i32>,
    /// Measured bit rate of all tracks in bits a second, to one digit, such as `1M` or `300k`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub bitrate: String,
    /// How many watch it, all told and by protocol.
    #[serde(default)]
    pub viewers: StreamViewers,
    /// When the publisher was let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
}

/// Who sends a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamPublisher {
    /// Protocol over which it comes in, such as `RTMP`.
    #[schemars(length(max = 32))]
    pub protocol: String,
    /// Address and port that it comes from.
    #[schemars(length(max = 64))]
    pub address: String,
    /// The session's id, as in the hooks' `x-media-session` header.
    #[schemars(length(max = 64))]
    pub session: String,
    /// The id under which hooks know it.
    #[schemars(length(max = 64))]
    pub client_id: String,
}

/// Who watches a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamViewers {
    /// All of them, coarse: exact below 10, then one digit and zeros with a `+`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub total: String,
    /// By protocol, coarse in the same way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "coarse_counts")]
    pub by_protocol: BTreeMap<String, String>,
}
