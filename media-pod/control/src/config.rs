//! [`PodConfig`]: everything a pod must know, resolved and validated, so that it needs nobody while it runs.

use crate::{DeliveryPolicy, Dialect, HookCredentials, HookEvent, Listener, Replay};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use url::Url;
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

/// How a publisher or player proves itself before any hook is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// A stream key with the permission for it.
    #[default]
    StreamKey,
    /// No local check; the hooks decide alone.
    None,
}

/// What happens when a second publisher comes for a name that is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnConflict {
    /// The newcomer is refused.
    #[default]
    Reject,
    /// The older publisher is cut, once the newcomer is admitted.
    Takeover,
}

/// Publish side of the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPolicy {
    /// How a publisher proves itself.
    pub authentication: Authentication,
    /// Two publishers, one name.
    pub on_conflict: OnConflict,
    /// How long a publisher's first audio or video may take, in seconds.
    #[serde(default = "twenty")]
    pub first_packet_timeout_seconds: u32,
    /// How long a publisher may be silent afterwards, in seconds.
    #[serde(default = "ten")]
    pub idle_timeout_seconds: u32,
}

fn twenty() -> u32 {
    20
}

fn ten() -> u32 {
    10
}

/// Play side of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlayPolicy {
    /// How a player proves itself.
    pub authentication: Authentication,
    /// Start a player at the newest key frame that is there, instead of waiting for the next.
    pub gop_cache: bool,
    /// How long output may be held back so that several frames go out in one write, in milliseconds.
    pub max_latency_milliseconds: u32,
}

impl Default for PlayPolicy {
    fn default() -> Self {
        Self {
            authentication: Authentication::None,
            gop_cache: true,
            max_latency_milliseconds: 100,
        }
    }
}

/// How streams are cut for HLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HlsPolicy {
    /// How long segments should be, in seconds.
    pub segment_seconds: u32,
    /// How many segments a playlist names.
    pub window_segments: u32,
    /// What `STREAM.m3u8` leads to.
    pub container: HlsContainer,
    /// How long parts are in playlists of fragmented MP4, in milliseconds; 0 for no parts.
    pub part_milliseconds: u32,
    /// What a playlist names.
    #[serde(default)]
    pub playlist: HlsPlaylist,
    /// What the segments of all streams take of the memory, in MiB, about.
    #[serde(default = "a_gibibyte")]
    pub memory_mebibytes: u32,
}

/// What a playlist names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HlsPlaylist {
    /// A window that moves with the stream.
    #[default]
    Live,
    /// Everything since the stream began, as long as there is room.
    Event,
}

fn a_gibibyte() -> u32 {
    1024
}

/// What segments are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HlsContainer {
    /// MPEG-TS.
    #[default]
    #[serde(rename = "MPEGTS")]
    MpegTs,
    /// Fragmented MP4.
    #[serde(rename = "FMP4")]
    Fmp4,
}

impl Default for HlsPolicy {
    fn default() -> Self {
        Self {
            segment_seconds: 2,
            window_segments: 6,
            container: HlsContainer::MpegTs,
            part_milliseconds: 500,
            playlist: HlsPlaylist::Live,
            memory_mebibytes: a_gibibyte(),
        }
    }
}

/// Upper bounds; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Publishers at one time in this pod.
    pub publishers_per_pod: Option<u32>,
    /// Viewers at one time in this pod.
    pub viewers_per_pod: Option<u32>,
    /// Connections at one time on all listeners of this pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_pod: Option<u32>,
    /// Connections at one time from one IPv4 address or one /64 of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<u32>,
    /// Media of one publisher, in 1,000 bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_kilobits_per_second: Option<u32>,
}

/// Which streams a key or an endpoint is about. Globs with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamPattern {
    /// Glob over the virtual host.
    pub vhost: String,
    /// Glob over the app.
    pub app: String,
    /// Glob over the stream name, without any key.
    pub stream: String,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// To send a stream in.
    Publish,
    /// To take a stream out.
    Play,
}

/// Where in the URL a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Placement {
    /// The value of the query parameter.
    Query,
    /// The stream name is the key, or ends with it.
    StreamName,
}

/// One stream key, as its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamKey {
    /// Name of the StreamKey object.
    pub name: String,
    /// What it opens.
    pub pattern: StreamPattern,
    /// What it allows there.
    pub permissions: Vec<Permission>,
    /// The hash of the key.
    pub hash: KeyHash,
    /// Keys that stood there before and are good for a while yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<PreviousKey>,
    /// Where it may stand.
    pub placements: Vec<Placement>,
    /// Name of the query parameter, for [`Placement::Query`].
    pub query_parameter: String,
    /// Not good before.
    pub not_before: Option<Timestamp>,
    /// Not good from then on.
    pub not_after: Option<Timestamp>,
    /// Addresses it may be used from; empty is any.
    #[serde(default)]
    pub allowed_cidrs: Vec<IpNet>,
    /// Publishers at one time with this key in this pod.
    pub max_publishers: Option<u32>,
    /// Switched off: refused with a reason of its own.
    #[serde(default)]
    pub suspended: bool,
}

/// SHA-256 of a key in hex, with the key's length in bytes so that a suffix of a name can be checked with one hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyHash {
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Length of the key in bytes.
    pub length: u32,
}

/// A key that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousKey {
    /// The hash of the key.
    pub hash: KeyHash,
    /// Not good from then on.
    pub until: Timestamp,
}

/// What an admission does when no valid answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// Refuse.
    #[default]
    Fail,
    /// Let in, and count it.
    Ignore,
    /// Do as the last valid answer to the same question said, while that is not too old; else refuse.
    CachedOrFail,
    /// The same; else let in, and count it.
    CachedOrIgnore,
}

impl FailurePolicy {
    /// Whether the last answer stands in for one that does not come.
    pub fn is_cached(self) -> bool {
        matches!(self, Self::CachedOrFail | Self::CachedOrIgnore)
    }

    /// Whether it lets in where nothing is known.
    pub fn lets_in(self) -> bool {
        matches!(self, Self::Ignore | Self::CachedOrIgnore)
    }
}

/// How long decisions are kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachePolicy {
    /// A yes whose answer does not say for how long. `None` is the default of the kind of session: HLS 600, others 0.
    #[serde(default)]
    pub allow_seconds: Option<u32>,
    /// A no whose answer does not say for how long. `None` is the default of the kind of session: HLS and HTTP 2, others 0.
    #[serde(default)]
    pub deny_seconds: Option<u32>,
    /// How long behind that a decision may still stand in for an answer that does not come ([`FailurePolicy::is_cached`]).
    pub stale_seconds: u32,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            allow_seconds: None,
            deny_seconds: None,
            stale_seconds: 300,
        }
    }
}

/// One back end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookEndpoint {
    /// Name of the HookEndpoint object.
    pub name: String,
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Asked in this order. `{event}` stands for the dialect's name of the event and is kept percent-encoded or not as it came.
    pub urls: Vec<String>,
    /// The events it takes.
    pub events: Vec<HookEvent>,
    /// The streams it takes them for; empty lists are any.
    #[serde(default)]
    pub matches: HookMatch,
    /// Bound on one admission, all URLs together, in milliseconds.
    pub timeout_milliseconds: u32,
    /// What an admission without a valid answer comes to.
    pub failure_policy: FailurePolicy,
    /// How often it is asked again about publishers and players that are in, in seconds; 0 is never.
    #[serde(default)]
    pub reask_seconds: u32,
    /// How long its decisions are kept.
    #[serde(default)]
    pub cache: CachePolicy,
    /// What each request says of itself, in dialects that have a place for it (Oryx).
    #[serde(default)]
    pub opaque: String,
    /// How it is told.
    #[serde(default)]
    pub delivery: DeliveryPolicy,
    /// How each side proves itself to the other.
    #[serde(default, skip_serializing_if = "HookCredentials::is_empty")]
    pub credentials: HookCredentials,
    /// Why it must not be called, such as a Secret that is not there: then what is asked has no answer, and what is told waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<String>,
    /// Which dead letters are to be sent once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// Globs that say which streams an endpoint is about; an empty list is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookMatch {
    /// Virtual hosts.
    #[serde(default)]
    pub vhosts: Vec<String>,
    /// Apps.
    #[serde(default)]
    pub apps: Vec<String>,
    /// Stream names.
    #[serde(default)]
    pub streams: Vec<String>,
}

impl HookEndpoint {
    /// The URL to call for an event, with `{event}` filled in. `None` when it is no URL.
    pub fn url(&self, template: &str, event: &str) -> Option<Url> {
        Url::parse(&template.replace("{event}", event)).ok()
    }
}

/// Whether `text` matches `glob`: `*` is any run of characters, `?` is one. Linear in the product of both lengths, no recursion.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g = g.saturating_add(1);
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                g = g.saturating_add(1);
                t = t.saturating_add(1);
            }
            _ => match star {
                Some((at, from)) => {
                    let next = from.saturating_add(1);
                    star = Some((at, next));
                    g = at.saturating_add(1);
                    t = next;
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(g).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_a_shell_user_expects() {
        let cases = [
            ("*", "", true),
            ("*", "anything", true),
            ("room-*", "room-1", true),
            ("room-*", "rooms", false),
            ("room-?", "room-1", true),
            ("room-?", "room-12", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("*-hd", "cam-hd-hd", true),
            ("", "", true),
            ("", "x", false),
            ("é*", "était", true),
        ];
        for (glob, text, expected) in cases {
            assert_eq!(glob_matches(glob, text), expected, "{glob:?} against {text:?}");
        }
    }

    #[test]
    fn the_event_stands_where_the_template_says() {
        let url = |t: &str| HookEndpoint::url(&endpoint(), t, "on_publish").map(String::from);
        assert_eq!(
            url("http://b:8085/hook/{event}").as_deref(),
            Some("http://b:8085/hook/on_publish")
        );
        assert_eq!(url("http://b:8085/all").as_deref(), Some("http://b:8085/all"));
        assert_eq!(url("not a url"), None);
    }

    fn endpoint() -> HookEndpoint {
        HookEndpoint {
            name: "backend".into(),
            dialect: Dialect::Srs,
            urls: vec![],
            events: vec![HookEvent::Publish],
            matches: HookMatch::default(),
            timeout_milliseconds: 3000,
            failure_policy: FailurePolicy::Fail,
            reask_seconds: 0,
            cache: CachePolicy::default(),
            opaque: String::new(),
            delivery: DeliveryPolicy::default(),
            credentials: HookCredentials::default(),
            unresolved: None,
            replay: None,
        }
    }
}
