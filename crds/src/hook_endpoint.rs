//! HookEndpoint: a back end that is asked and told about sessions.

use crate::bounds::{ObjectRef, SecretKeyRef, conditions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A back end that is asked whether a session may start and told when it ends.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "headgate.dev",
    version = "v1alpha1",
    kind = "HookEndpoint",
    namespaced,
    doc = "A back end that is asked over HTTP whether a session may start, and told when it ends.",
    derive = "PartialEq",
    shortname = "hook",
    category = "headgate",
    status = "HookEndpointStatus",
    printcolumn(name = "Dialect", type_ = "string", json_path = ".spec.dialect"),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Programmed')].status"
    ),
    printcolumn(
        name = "Reachable",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Reachable')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Reachable')].reason"
    ),
    printcolumn(name = "Pending", type_ = "string", json_path = ".status.pending"),
    printcolumn(
        name = "Delivering",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Delivering')].status",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct HookEndpointSpec {
    /// The servers whose sessions it is about, in the same namespace.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub server_refs: Vec<ObjectRef>,
    /// Whose callbacks the back end understands, in which each call is written and each answer read: `SRS`, today's http_hooks of SRS; `SRSv1`, those of
    /// SRS 1 with an integer for the client and a plain `0` for a yes; `ZLMediaKit`, its web hooks; `Oryx`, those of Oryx (SRS Stack); `CloudEvents`,
    /// CloudEvents 1.0 in structured JSON, for a back end that is written anew.
    pub dialect: Dialect,
    /// Where the back end is called. Several URLs are called in this order, and the first that does not allow a session ends the asking. `{event}` in a URL
    /// stands for the dialect's name of the event, such as `on_publish`.
    #[schemars(length(min = 1, max = 8), inner(length(min = 8, max = 2048)))]
    #[x_kube(
        validation = Rule::new("self.all(u, u.matches('^https?://[^/?#@\\\\s]+(/[^\\\\s]*)?([?][^\\\\s]*)?$'))").message("each URL must start with http:// or https://, name a host, and hold neither spaces nor a user name")
    )]
    pub urls: Vec<String>,
    /// What the back end is asked and told. It is asked whether a session may start (`Connect`, `Publish`, `Play`) and told of its end (`Close`, `Unpublish`,
    /// `Stop`). When absent, what users of the dialect expect: publishers and players, and what else it has for streams and servers.
    /// An event that the dialect does not have is never sent in it; the condition Accepted names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "set"))]
    pub events: Vec<HookEvent>,
    /// Which streams the back end is asked and told about; all when absent.
    #[serde(default)]
    pub r#match: HookMatch,
    /// Its place where a server has several endpoints: the one with the lower number is asked first, those with the same number by name.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub order: i32,
    /// How the back end is asked whether a session may start, and what happens when it does not answer.
    #[serde(default)]
    pub admission: Admission,
    /// How long the back end's decisions are kept, so that it is not asked the same again. An answer that says it itself (`ttlSeconds`, and `second` of
    /// on_http_access) stands over what is said here.
    #[serde(default)]
    pub cache: DecisionCache,
    /// For the dialect Oryx: what each request says as `opaque`, so that the back end knows whom it comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub opaque: String,
    /// How the back end is told what has happened (notifications): in which order, how long it is tried, and what an undelivered one survives.
    #[serde(default)]
    pub delivery: Delivery,
    /// Sign each request as Standard Webhooks (standardwebhooks.com) has it, in the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. Not
    /// signed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// More headers of each request, by name. Those that requests have anyway may not be named, nor `Authorization` beside `authentication`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers: Vec<Header>,
    /// The `Authorization` header of each request: a bearer token, or a user name and a password. None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Proof>,
    /// Certificates for URLs that start with https. That of the back end is always verified, against the well-known authorities unless another is named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<HookTls>,
    /// `true` takes the endpoint out of use without deleting it: the back end is neither asked nor told.
    #[serde(default)]
    pub suspend: bool,
}

/// How a back end is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// In which order notifications are sent. `PerStream`: those of one stream one after the other, repeats included, streams side by side. `None`: as they
    /// come, side by side, so that one that is not taken holds up no other.
    #[serde(default)]
    pub ordering: Ordering,
    /// What a notification survives that is not delivered yet. `Process`: the end of the media process, however it ends, since it is on disk before it is
    /// sent. `Node`: that of the node too, where the pod's volume outlives it; each is synced to the disk. `None`: nothing, it is in memory only.
    #[serde(default)]
    pub durability: Durability,
    /// How long a notification is tried, in seconds. Then it is a dead letter, which is kept and can be sent once more (annotation `headgate.dev/replay`).
    #[serde(default = "a_day")]
    #[schemars(range(min = 60, max = 259_200))]
    pub max_age_seconds: i32,
}

/// The order of notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ordering {
    /// Those of one stream one after the other, repeats included; streams side by side.
    #[default]
    PerStream,
    /// As they come, side by side: one that is not taken holds up no other.
    None,
}

/// What a notification survives that is not delivered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Durability {
    /// The end of the process, however it ends: it is written before it is sent.
    #[default]
    Process,
    /// That of the node too, where the pod's volume outlives it: it is synced to the disk, and so is each session before it is let in.
    Node,
    /// Nothing: it is in memory only.
    None,
}

/// What requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signing {
    /// The Secret with the keys: `current`, and while the back end changes over `previous`, which then signs too. Each is 24 to 64 bytes in base64, with or
    /// without `whsec_` before it. Changed there, the new ones are in force within a few seconds.
    pub secret_ref: ObjectRef,
}

/// A header of each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)").message("a header has either `value` or `valueFrom`"))]
pub struct Header {
    /// Name of the header.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    #[x_kube(
        validation = Rule::new("!self.lowerAscii().matches('^(host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|webhook-.*|x-media-.*)$')").message("requests have this header anyway")
    )]
    pub name: String,
    /// Value of the header, for one that is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = r"^[\x20-\x7e]*$"))]
    pub value: Option<String>,
    /// Where the value of the header is kept, for one that is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<HeaderSource>,
}

/// Where the value of a header is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderSource {
    /// The entry of a Secret that holds the value.
    pub secret_key_ref: SecretKeyRef,
}

/// How requests prove whom they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bearerSecretRef) != has(self.basicSecretRef)").message("name either `bearerSecretRef` or `basicSecretRef`"))]
pub struct Proof {
    /// The entry of a Secret with a token, sent as `Authorization: Bearer TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_secret_ref: Option<SecretKeyRef>,
    /// A Secret with the entries `username` and `password`, as type `kubernetes.io/basic-auth` has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_secret_ref: Option<ObjectRef>,
}

/// TLS to a back end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookTls {
    /// The entry of a Secret with the certificates, in PEM, one of which must have signed that of the back end. When absent, the well-known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// A Secret with the entries `tls.crt` and `tls.key`, as type `kubernetes.io/tls` has them: the certificate by which the back end knows the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<ObjectRef>,
}

impl HookEndpointSpec {
    /// The names of the Secrets that it refers to, each once.
    pub fn secrets(&self) -> Vec<&str> {
        let signing = self.signing.as_ref().map(|s| s.secret_ref.name.as_str());
        let sources = self.headers.iter().filter_map(|h| h.value_from.as_ref());
        let headers = sources.map(|source| source.secret_key_ref.name.as_str());
        let proof = self.authentication.iter().flat_map(|proof| {
            let bearer = proof.bearer_secret_ref.as_ref().map(|r| r.name.as_str());
            bearer
                .into_iter()
                .chain(proof.basic_secret_ref.as_ref().map(|r| r.name.as_str()))
        });
        let tls = self.tls.iter().flat_map(|tls| {
            let authorities = tls.ca_secret_ref.as_ref().map(|r| r.name.as_str());
            authorities
                .into_iter()
                .chain(tls.client_secret_ref.as_ref().map(|r| r.name.as_str()))
        });
        let mut names: Vec<&str> = signing.into_iter().chain(headers).chain(proof).chain(tls).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Whose callbacks a back end understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dialect {
    /// Those of today's SRS.
    #[serde(rename = "SRS")]
    Srs,
    /// Those of SRS 1: an integer for the client, and `0` for a yes.
    #[serde(rename = "SRSv1")]
    SrsV1,
    /// The web hooks of ZLMediaKit.
    ZLMediaKit,
    /// Those of Oryx (SRS Stack).
    Oryx,
    /// CloudEvents 1.0 in structured JSON.
    CloudEvents,
}

/// What a back end can be asked or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HookEvent {
    /// A client connected: asked.
    Connect,
    /// A client that had connected left: told.
    Close,
    /// A publisher wants to start: asked.
    Publish,
    /// A publisher that had started ended: told.
    Unpublish,
    /// A player wants to start: asked.
    Play,
    /// A player that had started ended: told.
    Stop,
    /// A stream can be played, or no longer: told.
    StreamChanged,
    /// A stream has had no player for a while: asked what to do.
    StreamNoneReader,
    /// A player waits for a stream that nobody publishes: asked what to do.
    StreamNotFound,
    /// How much a session that ended has carried: told.
    FlowReport,
    /// A file is asked for over HTTP: asked.
    HttpAccess,
    /// An RTSP player must perhaps name itself: asked.
    RtspRealm,
    /// An RTSP player named itself: asked.
    RtspAuth,
    /// Somebody logs in at a shell: asked.
    ShellLogin,
    /// A segment of HLS is complete: told.
    Hls,
    /// A recorded file is complete: told.
    Dvr,
    /// A publisher starts, and may be pushed on: asked what to do.
    Forward,
    /// An MP4 recording is complete: told.
    RecordMp4,
    /// A segment of HLS is on disk: told.
    RecordTs,
    /// A recording began: told.
    RecordBegin,
    /// A recording ended: told.
    RecordEnd,
    /// A media process started: told.
    ServerStarted,
    /// A media process ends in peace: told.
    ServerExited,
    /// A media process is there: told every 10 seconds.
    ServerKeepalive,
    /// Nothing came at an RTP port that was opened: told.
    RtpServerTimeout,
    /// RTP that was sent to somebody stopped: told.
    SendRtpStopped,
}

/// The streams an endpoint is about. Globs: `*` is any run of characters, `?` is one. An absent list is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookMatch {
    /// Virtual hosts, as globs: `*` is any run of characters, `?` is one. Any when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 253), regex(pattern = r"^[^\s/\[\]{}]+$"))
    )]
    pub vhosts: Vec<String>,
    /// Apps, as globs. Any when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^\s&\[\]{}]+$"))
    )]
    pub apps: Vec<String>,
    /// Stream names, as globs. Any when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 256), regex(pattern = r"^[^\s/&\[\]{}]+$"))
    )]
    pub streams: Vec<String>,
}

/// How a back end is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// How long one decision may take, all URLs and repeats together. When several endpoints are asked one after the other, the longest of theirs is
    /// for all of them. When absent, about what the dialect's own servers wait: 30000 for SRS and SRSv1, 10000 for ZLMediaKit and Oryx, 3000 for CloudEvents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 30_000))]
    pub timeout_milliseconds: Option<i32>,
    /// What happens to the session when no valid answer came in time. `Fail` refuses it. `Ignore` lets it in, and counts it. `CachedOrFail` and
    /// `CachedOrIgnore` do as the back end last said about the same client and stream, for up to `cache.staleSeconds`, and else as their name says.
    /// A valid answer that refuses always refuses.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// How often it is asked again about each publisher and player that is in, in seconds. One that is refused then is cut within a second; no answer
    /// changes nothing. Never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub reask_seconds: Option<i32>,
}

/// How long the decisions of a back end are kept. An answer that says it itself (`ttlSeconds`, and `second` of on_http_access) stands over what is said here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionCache {
    /// How long a yes is kept, in seconds. The same client is then let in again without being asked about; the back end is still told of it. When
    /// absent, 600 for HLS and 0 for all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub allow_seconds: Option<i32>,
    /// How long a no is kept, in seconds. When absent, 2 for players over HTTP and 0 for all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub deny_seconds: Option<i32>,
    /// How long the last decision about a client may stand in when no valid answer comes, in seconds, where failurePolicy is CachedOrFail or CachedOrIgnore.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    pub stale_seconds: i32,
}

/// What an admission does when no valid answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// Refuse the session.
    #[default]
    Fail,
    /// Let it in, and count it.
    Ignore,
    /// Do as the back end last said about the same client and stream, within `cache.staleSeconds`; else refuse.
    CachedOrFail,
    /// The same; else let it in, and count it.
    CachedOrIgnore,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookEndpointStatus {
    /// The generation of the spec that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What holds for this object, each with a reason and what to do.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Notifications that wait to be delivered, coarse: exact below 10, then one digit and zeros with a `+`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub pending: String,
    /// Notifications that were given up since the pods started, coarse as `pending`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub dead: String,
    /// Dead letters that the pods keep, coarse as `pending`: the annotation `headgate.dev/replay` sends them once more.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub dead_letters: String,
    /// For how long the oldest notification that is not delivered has waited, coarse: 10, 60, 600, 3600, 21600 or 86400 seconds and more; absent below that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub oldest_pending_seconds: Option<i32>,
    /// The last call that was not answered as it should, or that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

/// A call that was not answered as it should, or that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastFailure {
    /// The dialect's name of the event, as `on_publish`; `probe` where it only could not be connected to.
    #[schemars(length(max = 64))]
    pub event: String,
    /// Why, in one word, as in metrics.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What happened.
    #[schemars(length(max = 1024))]
    pub message: String,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            ordering: Ordering::PerStream,
            durability: Durability::Process,
            max_age_seconds: a_day(),
        }
    }
}

fn a_day() -> i32 {
    86_400
}

impl Default for DecisionCache {
    fn default() -> Self {
        Self {
            allow_seconds: None,
            deny_seconds: None,
            stale_seconds: five_minutes(),
        }
    }
}

fn five_minutes() -> i32 {
    300
}
