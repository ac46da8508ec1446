//! StreamKey: a secret that lets its holder publish or play.

use crate::bounds::{ObjectRef, SecretKeyRef, conditions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lets whoever holds the key publish or play certain streams of certain servers.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "headgate.dev",
    version = "v1alpha1",
    kind = "StreamKey",
    namespaced,
    doc = "A key that lets whoever holds it publish or play certain streams of certain servers. The key itself is in a Secret.",
    derive = "PartialEq",
    shortname = "sk",
    category = "headgate",
    status = "StreamKeyStatus",
    printcolumn(name = "App", type_ = "string", json_path = ".spec.stream.app"),
    printcolumn(name = "Stream", type_ = "string", json_path = ".spec.stream.name"),
    printcolumn(name = "Permissions", type_ = "string", json_path = ".spec.permissions"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.secretRef.name"),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Programmed')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Programmed')].reason"
    ),
    printcolumn(name = "Until", type_ = "string", json_path = ".spec.notAfter", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter").message("`notBefore` must be before `notAfter`"))]
#[serde(rename_all = "camelCase")]
pub struct StreamKeySpec {
    /// The servers on which the key is good, in the same namespace.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub server_refs: Vec<ObjectRef>,
    /// The streams that the key opens, as globs over virtual host, app and name.
    pub stream: StreamPattern,
    /// What the key allows: `Publish`, to send a stream in; `Play`, to take one out, where the server asks for a key to play (`play.authentication`).
    #[serde(default = "publish_only")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub permissions: Vec<Permission>,
    /// The Secret that holds the key. If there is none, it is made with a random key. When the key is changed there, the new one is good within a second, and
    /// the old one for another `rotationOverlapSeconds`.
    pub secret_ref: SecretKeyRef,
    /// Where in the URL the key may stand. `Query`: the value of the query parameter, as in `rtmp://HOST/APP/STREAM?secret=KEY`. `StreamName`: the stream name
    /// is the key or ends with it, and the key is taken off before anyone sees the name.
    #[serde(default = "query_only")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub placements: Vec<Placement>,
    /// Name of the query parameter for the placement `Query`.
    #[serde(default = "secret")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[A-Za-z0-9_.~-]+$"))]
    pub query_parameter: String,
    /// The key is not good before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// The key is no longer good from this time on. Who is live then stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// How long the old key stays good after the Secret has changed, in seconds. With 0, which is the default, it is not good any more at
    /// once. Who is live stays in any case. A lower value ends overlaps that are under way.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub rotation_overlap_seconds: i32,
    /// Networks from which the key may be used, such as `10.0.0.0/8`; from anywhere when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$")), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_cidrs: Vec<String>,
    /// Publishers at one time with this key, in each pod; no bound when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_publishers: Option<i32>,
    /// `true` switches the key off without deleting it. Who is live by it is cut within a second, as with its deletion.
    #[serde(default)]
    pub suspend: bool,
}

/// The streams a key opens. Each field is a glob: `*` is any run of characters, `?` is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamPattern {
    /// Virtual host, as a glob: `*` is any run of characters, `?` is one. Any when absent.
    #[serde(default = "any")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[^\s/\[\]{}]+$"))]
    pub vhost: String,
    /// App, as a glob; an app may have slashes.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^\s&\[\]{}]+$"))]
    pub app: String,
    /// Stream name, as a glob. Any when absent.
    #[serde(default = "any")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\s/&\[\]{}]+$"))]
    pub name: String,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Permission {
    /// To send a stream in.
    Publish,
    /// To take a stream out, where the server asks for a key to play.
    Play,
}

/// Where in the URL a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Placement {
    /// The value of the query parameter: `rtmp://HOST/APP/STREAM?secret=KEY`.
    Query,
    /// The stream name is the key, or ends with it. The key is taken off before anyone sees the name.
    StreamName,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamKeyStatus {
    /// The generation of the spec that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What holds for this object, each with a reason and what to do.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Where to publish, without the key, for a key whose app and stream are no globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub publish_urls: Vec<String>,
    /// Where to play, for a key whose app and stream are no globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub play_urls: Vec<String>,
    /// Publishers that came in with this key and are live.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub publishers: i32,
}

fn publish_only() -> Vec<Permission> {
    vec![Permission::Publish]
}

fn query_only() -> Vec<Placement> {
    vec![Placement::Query]
}

fn secret() -> String {
    "secret".into()
}

fn any() -> String {
    "*".into()
}
