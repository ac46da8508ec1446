//! What a config means to each part of the process. Pure.

use super::BadConfig;
use crate::gate::Policy;
use crate::keys::KeyRing;
use crate::{nofile, unwatched};
use headgate_control::{HlsContainer, HlsPlaylist, HlsPolicy, ListenerProtocol, PodConfig, StreamKey};
use headgate_front::Bounds;
use headgate_http::HlsSettings;
use headgate_hub::{Hub, Settings};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

pub(super) fn validate(config: &PodConfig) -> Result<(), BadConfig> {
    let (mut ports, mut names) = (HashSet::new(), HashSet::new());
    for listener in &config.listeners {
        if !ports.insert(listener.port) {
            return Err(BadConfig::ListenerClash("port", listener.port.to_string()));
        }
        if !names.insert(listener.name.as_str()) {
            return Err(BadConfig::ListenerClash("name", listener.name.clone()));
        }
    }
    let callable =
        |h: &&headgate_control::HookEndpoint| !h.urls.is_empty() && h.urls.iter().all(|u| h.url(u, "x").is_some());
    match config.hooks.iter().find(|h| !callable(h)) {
        Some(bad) => Err(BadConfig::HookUrl(bad.name.clone())),
        None => Ok(()),
    }
}

/// The keys that are gone or are others now, by name.
pub(super) fn changed_keys<'a>(old: &'a PodConfig, new: &PodConfig) -> HashSet<&'a str> {
    let new: HashMap<&str, &StreamKey> = new.keys.iter().map(|key| (key.name.as_str(), key)).collect();
    let stays = |key: &&StreamKey| new.get(key.name.as_str()).is_some_and(|new| means_the_same(key, new));
    let changed = old.keys.iter().filter(|key| !stays(key));
    changed.map(|key| key.name.as_str()).collect()
}

/// The former keys do not count: when one of them is no longer good, nobody comes with it who could be let in by what was decided before.
fn means_the_same(old: &StreamKey, new: &StreamKey) -> bool {
    let lone = |key: &StreamKey| StreamKey {
        previous: Vec::new(),
        ..key.clone()
    };
    lone(old) == lone(new)
}

pub(super) fn settings(config: &PodConfig) -> Settings {
    let bound = |max: Option<u32>| max.and_then(|n| usize::try_from(n).ok());
    Settings {
        gop_cache: config.play.gop_cache,
        merge_window: Duration::from_millis(config.play.max_latency_milliseconds.into()),
        first_media_max: Duration::from_secs(config.publish.first_packet_timeout_seconds.into()),
        silence_max: Duration::from_secs(config.publish.idle_timeout_seconds.into()),
        publishers_max: bound(config.limits.publishers_per_pod),
        viewers_max: bound(config.limits.viewers_per_pod),
        ingest_max: config
            .limits
            .ingest_kilobits_per_second
            .map(|k| u64::from(k).saturating_mul(125)),
        ..Settings::default()
    }
}

pub(super) fn bounds(config: &PodConfig) -> Bounds {
    let bound = |max: Option<u32>| max.and_then(|n| usize::try_from(n).ok());
    Bounds {
        total: bound(config.limits.connections_per_pod).unwrap_or_else(nofile::for_clients),
        per_address: bound(config.limits.connections_per_address),
    }
}

pub(super) fn hls(config: &PodConfig) -> HlsSettings {
    let HlsPolicy {
        segment_seconds,
        window_segments,
        container,
        part_milliseconds,
        playlist,
        memory_mebibytes,
    } = config.hls;
    let part = Duration::from_millis(part_milliseconds.into());
    HlsSettings {
        segment: Duration::from_secs(segment_seconds.into()),
        window: usize::try_from(window_segments).unwrap_or(usize::MAX),
        event: playlist == HlsPlaylist::Event,
        memory: usize::try_from(memory_mebibytes)
            .unwrap_or(usize::MAX)
            .saturating_mul(1 << 20),
        fmp4: container == HlsContainer::Fmp4,
        part: (!part.is_zero()).then_some(part),
    }
}

/// What a keepalive counts, under the names that ZLMediaKit has for it.
pub(super) fn counters(hub: &Hub) -> BTreeMap<String, u64> {
    let streams = hub.snapshot();
    let publishers = streams.iter().filter(|stream| stream.publisher.is_some()).count();
    let viewers: u64 = streams
        .iter()
        .flat_map(|s| s.viewers.values())
        .map(|n| u64::from(*n))
        .sum();
    let publishers = u64::try_from(publishers).unwrap_or(u64::MAX);
    let sessions = publishers.saturating_add(viewers);
    let counts = [
        ("MediaSource", publishers),
        ("MultiMediaSourceMuxer", publishers),
        ("Socket", sessions),
        ("TcpSession", sessions),
    ];
    counts
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

/// What back ends of ZLMediaKit look up in `on_server_started`, under its names. No secret is among it.
pub(super) fn started(config: &PodConfig, pod: &str) -> BTreeMap<String, String> {
    let port = |protocol| {
        let mut ports = config
            .listeners
            .iter()
            .filter(|l| l.protocol == protocol)
            .map(|l| l.port);
        ports.next().unwrap_or(0).to_string()
    };
    let linger = Settings::default().linger.as_millis().to_string();
    let settings = [
        ("api.secret", String::new()),
        ("general.enableVhost", "1".to_owned()),
        ("general.flowThreshold", "0".to_owned()),
        ("general.maxStreamWaitMS", linger),
        ("general.mediaServerId", pod.to_owned()),
        (
            "general.streamNoneReaderDelayMS",
            unwatched::DELAY.as_millis().to_string(),
        ),
        ("hook.alive_interval", "10.0".to_owned()),
        ("hook.enable", "1".to_owned()),
        ("http.port", port(ListenerProtocol::Http)),
        ("http.sslport", port(ListenerProtocol::Https)),
        ("rtmp.port", port(ListenerProtocol::Rtmp)),
        ("rtmp.sslport", port(ListenerProtocol::Rtmps)),
        ("rtsp.port", "0".to_owned()),
        ("rtsp.sslport", "0".to_owned()),
    ];
    settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Lets nobody in: what holds before the first config.
pub(super) fn closed() -> Policy {
    Policy {
        keys: KeyRing::default(),
        takeover: false,
    }
}
