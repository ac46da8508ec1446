//! [`pod_config`]: one server with all that is attached to it, as one [`PodConfig`].

mod keys;
mod server;

use crate::{Secrets, credentials, validate_hook};
use headgate_api as api;
use headgate_control as control;
use keys::stream_keys;
use serde::Serialize;
use server::{authentication, hls, identity, listener};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// On a HookEndpoint: which dead letters its pods send once more. See [`control::Replay::parse`].
pub const REPLAY_ANNOTATION: &str = "headgate.dev/replay";

/// Which kind of object an entry of a config came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// A StreamKey.
    Key,
    /// A HookEndpoint.
    Hook,
}

/// What surrounds a pod: the rest of the fleet, and what pods that are gone have left behind. Nothing of it standalone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The pods of the server that have an address.
    pub peers: Vec<control::Peer>,
    /// Sessions of pods that are gone, each with the pod that closes it.
    pub orphans: Vec<control::Orphan>,
    /// Where hooks may go.
    pub hook_networks: control::HookNetworks,
}

/// The config for the pods of `server`. `keys` and `hooks` may hold objects of other servers and objects that cannot be accepted:
/// those are left out, and say so in their own conditions. The revision is a hash of the content.
pub fn pod_config<'a>(
    server: &api::MediaServer,
    keys: impl IntoIterator<Item = &'a api::StreamKey>,
    hooks: impl IntoIterator<Item = &'a api::HookEndpoint>,
    secrets: &dyn Secrets,
    surroundings: Surroundings,
) -> control::PodConfig {
    let name = server.metadata.name.clone().unwrap_or_default();
    let spec = &server.spec;
    let (keys, mut idle_keys) = stream_keys(&name, keys, secrets);
    idle_keys.sort();
    let mut config = control::PodConfig {
        revision: String::new(),
        server: identity(server),
        listeners: spec.listeners.iter().filter_map(|l| listener(l, secrets)).collect(),
        vhosts: spec.vhosts.clone(),
        publish: control::PublishPolicy {
            authentication: authentication(spec.publish.authentication),
            on_conflict: match spec.publish.on_conflict {
                api::OnConflict::Reject => control::OnConflict::Reject,
                api::OnConflict::Takeover => control::OnConflict::Takeover,
            },
            first_packet_timeout_seconds: unsigned(spec.publish.first_packet_timeout_seconds),
            idle_timeout_seconds: unsigned(spec.publish.idle_timeout_seconds),
        },
        play: control::PlayPolicy {
            authentication: authentication(spec.play.authentication),
            gop_cache: spec.play.gop_cache,
            max_latency_milliseconds: unsigned(spec.play.max_latency_milliseconds),
        },
        hls: hls(&spec.hls),
        limits: control::Limits {
            publishers_per_pod: spec.limits.publishers_per_pod.map(unsigned),
            viewers_per_pod: spec.limits.viewers_per_pod.map(unsigned),
            connections_per_pod: spec.limits.connections_per_pod.map(unsigned),
            connections_per_address: spec.limits.connections_per_address.map(unsigned),
            ingest_kilobits_per_second: spec.limits.ingest_kilobits_per_second.map(unsigned),
        },
        keys,
        idle_keys,
        hooks: ordered(&name, hooks, secrets),
        drain: control::DrainPolicy {
            deadline_seconds: unsigned(spec.drain.deadline_seconds),
        },
        peers: surroundings.peers,
        orphans: surroundings.orphans,
        hook_networks: surroundings.hook_networks,
    };
    config.peers.sort();
    config.keys.sort_by(|a, b| a.name.cmp(&b.name));
    seal(&mut config);
    config
}

/// Gives a config the revision that follows from the rest.
pub(crate) fn seal(config: &mut control::PodConfig) {
    config.revision.clear();
    config.revision = digest(config);
}

/// A short digest of every key and hook of a config, so that one can tell which objects a change of revision touched. Keys that were
/// replaced do not count: they are no part of what the object says.
pub fn entry_digests(config: &control::PodConfig) -> BTreeMap<(EntryKind, String), String> {
    let keys = config
        .keys
        .iter()
        .map(|k| ((EntryKind::Key, k.name.clone()), key_digest(k)));
    let hooks = config
        .hooks
        .iter()
        .map(|h| ((EntryKind::Hook, h.name.clone()), digest(h)));
    keys.chain(hooks).collect()
}

fn key_digest(key: &control::StreamKey) -> String {
    if key.previous.is_empty() {
        return digest(key);
    }
    digest(&control::StreamKey {
        previous: Vec::new(),
        ..key.clone()
    })
}

fn digest(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(json)).chars().take(12).collect()
}

fn ordered<'a>(
    server: &str,
    hooks: impl IntoIterator<Item = &'a api::HookEndpoint>,
    secrets: &dyn Secrets,
) -> Vec<control::HookEndpoint> {
    let mut placed: Vec<(i32, control::HookEndpoint)> = hooks
        .into_iter()
        .filter_map(|h| Some((h.spec.order, hook(server, h, secrets)?)))
        .collect();
    placed.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    placed.into_iter().map(|(_, hook)| hook).collect()
}

/// One whose Secrets are not as they should be stays in the config: without it sessions would go in unasked.
fn hook(server: &str, hook: &api::HookEndpoint, secrets: &dyn Secrets) -> Option<control::HookEndpoint> {
    let spec = &hook.spec;
    let gone = hook.metadata.deletion_timestamp.is_some() || spec.suspend;
    if gone || !names(&spec.server_refs, server) || validate_hook(spec).is_err() {
        return None;
    }
    let resolved = credentials(spec, secrets);
    Some(control::HookEndpoint {
        name: hook.metadata.name.clone()?,
        dialect: dialect(spec.dialect),
        urls: spec.urls.clone(),
        events: events(spec),
        matches: control::HookMatch {
            vhosts: spec.r#match.vhosts.clone(),
            apps: spec.r#match.apps.clone(),
            streams: spec.r#match.streams.clone(),
        },
        timeout_milliseconds: timeout(spec),
        failure_policy: match spec.admission.failure_policy {
            api::FailurePolicy::Fail => control::FailurePolicy::Fail,
            api::FailurePolicy::Ignore => control::FailurePolicy::Ignore,
            api::FailurePolicy::CachedOrFail => control::FailurePolicy::CachedOrFail,
            api::FailurePolicy::CachedOrIgnore => control::FailurePolicy::CachedOrIgnore,
        },
        reask_seconds: spec.admission.reask_seconds.map_or(0, unsigned),
        cache: control::CachePolicy {
            allow_seconds: spec.cache.allow_seconds.map(unsigned),
            deny_seconds: spec.cache.deny_seconds.map(unsigned),
            stale_seconds: unsigned(spec.cache.stale_seconds),
        },
        opaque: spec.opaque.clone(),
        delivery: delivery(&spec.delivery),
        unresolved: resolved.as_ref().err().map(ToString::to_string),
        credentials: resolved.unwrap_or_default(),
        replay: replay(hook).and_then(Result::ok),
    })
}

fn delivery(from: &api::Delivery) -> control::DeliveryPolicy {
    control::DeliveryPolicy {
        ordering: match from.ordering {
            api::Ordering::PerStream => control::Ordering::PerStream,
            api::Ordering::None => control::Ordering::None,
        },
        durability: match from.durability {
            api::Durability::Process => control::Durability::Process,
            api::Durability::Node => control::Durability::Node,
            api::Durability::None => control::Durability::None,
        },
        max_age_seconds: unsigned(from.max_age_seconds).max(1),
    }
}

/// Which dead letters an endpoint's annotation wants to be sent once more, if it has one.
pub(crate) fn replay(hook: &api::HookEndpoint) -> Option<Result<control::Replay, control::BadReplay>> {
    let wish = hook.metadata.annotations.as_ref()?.get(REPLAY_ANNOTATION)?;
    Some(control::Replay::parse(wish))
}

/// What the spec says, else about what the dialect's own servers wait.
fn timeout(spec: &api::HookEndpointSpec) -> u32 {
    let usual = match spec.dialect {
        api::Dialect::Srs | api::Dialect::SrsV1 => 30_000,
        api::Dialect::ZLMediaKit | api::Dialect::Oryx => 10_000,
        api::Dialect::CloudEvents => 3_000,
    };
    spec.admission.timeout_milliseconds.map_or(usual, unsigned)
}

fn names(refs: &[api::ObjectRef], server: &str) -> bool {
    refs.iter().any(|r| r.name == server)
}

/// The dialect of an endpoint.
pub(crate) fn dialect(from: api::Dialect) -> control::Dialect {
    match from {
        api::Dialect::Srs => control::Dialect::Srs,
        api::Dialect::SrsV1 => control::Dialect::SrsV1,
        api::Dialect::ZLMediaKit => control::Dialect::ZLMediaKit,
        api::Dialect::Oryx => control::Dialect::Oryx,
        api::Dialect::CloudEvents => control::Dialect::CloudEvents,
    }
}

/// The events that an endpoint takes: those that it names, else those that are usual in its dialect.
pub(crate) fn events(spec: &api::HookEndpointSpec) -> Vec<control::HookEvent> {
    if spec.events.is_empty() {
        return dialect(spec.dialect).usual().to_vec();
    }
    spec.events.iter().map(|named| event(*named)).collect()
}

macro_rules! same_names {
    ($from:expr, $($name:ident)*) => {
        match $from { $(api::HookEvent::$name => control::HookEvent::$name,)* }
    };
}

fn event(from: api::HookEvent) -> control::HookEvent {
    same_names!(
        from,
        Connect Close Publish Unpublish Play Stop StreamChanged StreamNoneReader StreamNotFound FlowReport HttpAccess RtspRealm RtspAuth ShellLogin Hls Dvr Forward RecordMp4 RecordTs RecordBegin RecordEnd ServerStarted ServerExited ServerKeepalive RtpServerTimeout SendRtpStopped
    )
}

/// The schema's lower bounds are 0; a negative number that got past it is 0.
fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySource;

    struct Keys;
    impl Secrets for Keys {
        fn entry(&self, secret: &str, _: &str) -> KeySource<'_> {
            if secret == "missing" {
                KeySource::NoSecret
            } else {
                KeySource::Found(b"k3y")
            }
        }
    }

    fn server() -> api::MediaServer {
        serde_yaml::from_str("{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {name: live, namespace: a, uid: u}, spec: {}}").unwrap()
    }

    fn key(name: &str, server: &str, secret: &str) -> api::StreamKey {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {{name: {name}}}, spec: {{serverRefs: [{{name: {server}}}], stream: {{app: live}}, secretRef: {{name: {secret}}}}}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    }

    fn hook(name: &str, order: i32) -> api::HookEndpoint {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: HookEndpoint, metadata: {{name: {name}}}, spec: {{serverRefs: [{{name: live}}], dialect: SRS, urls: ['http://b/x'], events: [Publish], order: {order}}}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    }

    #[test]
    fn a_key_without_its_secret_is_named_and_opens_nothing() {
        let mut leaving = key("leaving", "live", "missing");
        leaving.metadata.deletion_timestamp = Some(serde_json::from_str("\"2027-01-01T00:00:00Z\"").unwrap());
        let keys = [
            key("b", "live", "missing"),
            key("a", "live", "missing"),
            key("c", "live", "there"),
            key("d", "other", "missing"),
            leaving,
        ];
        let config = pod_config(&server(), &keys, [], &Keys, Surroundings::default());
        assert_eq!(config.idle_keys, ["a", "b"]);
        assert_eq!(config.keys.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn the_quickstart_becomes_this_config() {
        let config = pod_config(
            &server(),
            [&key("alice", "live", "alice-key")],
            [&hook("backend", 0)],
            &Keys,
            Surroundings::default(),
        );
        insta::assert_yaml_snapshot!(config);
    }

    #[test]
    fn only_what_names_the_server_and_has_a_key_is_in() {
        let (a, b, c) = (
            key("a", "live", "s"),
            key("b", "other", "s"),
            key("c", "live", "missing"),
        );
        let config = pod_config(&server(), [&a, &b, &c], [], &Keys, Surroundings::default());
        assert_eq!(config.keys.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn an_endpoint_that_names_no_event_takes_those_of_its_dialect() {
        for (name, dialect) in [
            ("SRSv1", control::Dialect::SrsV1),
            ("ZLMediaKit", control::Dialect::ZLMediaKit),
        ] {
            let yaml = format!("{{serverRefs: [{{name: live}}], dialect: {name}, urls: ['http://b/x']}}");
            let spec: api::HookEndpointSpec = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(events(&spec), dialect.usual());
        }
    }

    #[test]
    fn every_event_has_one_name_for_users_and_pods() {
        for event in control::HookEvent::ALL {
            let yaml = format!("{{serverRefs: [], dialect: SRS, urls: [], events: [{event}]}}");
            let spec: api::HookEndpointSpec = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(events(&spec), [*event]);
        }
    }

    #[test]
    fn an_endpoint_whose_secret_is_missing_is_in_force_and_not_called() {
        let mut unsigned = hook("b", 0);
        unsigned.spec.signing = Some(api::Signing {
            secret_ref: api::ObjectRef { name: "missing".into() },
        });
        let config = pod_config(&server(), [], [&unsigned], &Keys, Surroundings::default());
        let said = config.hooks[0].unresolved.as_deref();
        assert_eq!(
            said,
            Some("Secret \"missing\" does not exist in this namespace: create it")
        );
    }

    #[test]
    fn a_wish_for_dead_letters_comes_from_the_annotation() {
        let wish = |text: &str| {
            let mut hook = hook("b", 0);
            hook.metadata.annotations = Some([(REPLAY_ANNOTATION.to_owned(), text.to_owned())].into());
            let config = pod_config(&server(), [], [&hook], &Keys, Surroundings::default());
            config.hooks[0].replay.as_ref().map(|replay| replay.wish.clone())
        };
        assert_eq!(wish("all").as_deref(), Some("all"));
        assert_eq!(wish("everything"), None);
    }

    #[test]
    fn hooks_stand_by_order_and_then_by_name() {
        let config = pod_config(
            &server(),
            [],
            [&hook("c", 0), &hook("b", 0), &hook("a", 5)],
            &Keys,
            Surroundings::default(),
        );
        assert_eq!(
            config.hooks.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(),
            ["b", "c", "a"]
        );
    }

    #[test]
    fn the_revision_follows_the_content_and_not_the_order_of_listing() {
        let (a, b) = (key("a", "live", "s"), key("b", "live", "s"));
        let one = pod_config(&server(), [&a, &b], [], &Keys, Surroundings::default());
        let two = pod_config(&server(), [&b, &a], [], &Keys, Surroundings::default());
        let less = pod_config(&server(), [&a], [], &Keys, Surroundings::default());
        assert_eq!(one.revision, two.revision);
        assert_ne!(one.revision, less.revision);
        let (before, after) = (entry_digests(&less), entry_digests(&one));
        let kept = &(EntryKind::Key, "a".to_owned());
        assert_eq!(before.get(kept), after.get(kept));
    }
}
