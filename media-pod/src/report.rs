//! What this pod says of itself, put together from the parts. Pure, but for the readings that it is given.

use headgate_codec::{Track, TrackKind};
use headgate_control::{DrainReport, EdgeReport, HookReport, ListenerReport, PodReport, StreamReport, TrackReport};
use headgate_hub::{Origin, PublisherSnapshot, StreamSnapshot};
use std::collections::BTreeMap;

/// Readings of the parts at one moment.
pub struct Readings {
    /// Of the hub.
    pub streams: Vec<StreamSnapshot>,
    /// Of the hooks.
    pub hooks: Vec<HookReport>,
    /// Of the listeners.
    pub listeners: Vec<ListenerReport>,
    /// In force.
    pub revision: String,
    /// Takes new sessions.
    pub ready: bool,
    /// Set while the pod is on its way out.
    pub draining: Option<DrainReport>,
}

/// The report, but for `instance` and `sequence`.
pub fn report(readings: Readings) -> PodReport {
    let live = readings.streams.iter().filter_map(|s| Some((s, s.publisher.as_ref()?)));
    let live: Vec<_> = live.collect();
    let mut key_use = BTreeMap::new();
    for (_, publisher) in &live {
        if let Some(key) = &publisher.session.key {
            let count: &mut u32 = key_use.entry(key.to_string()).or_default();
            *count = count.saturating_add(1);
        }
    }
    PodReport {
        revision: readings.revision,
        ready: readings.ready,
        listeners: readings.listeners,
        streams: live
            .iter()
            .take(PodReport::STREAMS_MAX)
            .map(|(s, p)| stream(s, p))
            .collect(),
        edges: readings
            .streams
            .iter()
            .filter_map(|s| Some(edge(s, s.origin.as_ref()?)))
            .take(PodReport::STREAMS_MAX)
            .collect(),
        hooks: readings.hooks,
        key_use,
        draining: readings.draining,
        ..PodReport::default()
    }
}

fn edge(snapshot: &StreamSnapshot, origin: &Origin) -> EdgeReport {
    let name = &snapshot.name;
    EdgeReport {
        vhost: name.vhost.to_string(),
        app: name.app.to_string(),
        stream: name.stream.to_string(),
        session: origin.session,
        from: origin.pod.to_string(),
        viewers: viewers(snapshot),
    }
}

fn viewers(snapshot: &StreamSnapshot) -> BTreeMap<String, u32> {
    let viewers = snapshot.viewers.iter();
    viewers.map(|(p, n)| (p.as_str().to_owned(), *n)).collect()
}

fn stream(snapshot: &StreamSnapshot, publisher: &PublisherSnapshot) -> StreamReport {
    let (name, session) = (&snapshot.name, &publisher.session);
    let connection = &session.connection;
    let peer = connection.peer;
    StreamReport {
        vhost: name.vhost.to_string(),
        app: name.app.to_string(),
        stream: name.stream.to_string(),
        session: session.id,
        protocol: connection.protocol.as_str().into(),
        address: std::net::SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string(),
        client_id: connection.client_id.clone(),
        started: session.started,
        tracks: snapshot
            .tracks
            .iter()
            .map(|t| track(t, publisher.frames_per_second))
            .collect(),
        bitrate_kilobits: u32::try_from(publisher.bits_per_second.div_ceil(1000)).unwrap_or(u32::MAX),
        viewers: viewers(snapshot),
        sealed: None,
    }
}

fn track(track: &Track, frames_per_second: f64) -> TrackReport {
    let is_video = track.codec.kind() == TrackKind::Video;
    TrackReport {
        codec: track.codec.as_str().into(),
        width: track.video.as_ref().map(|v| v.width),
        height: track.video.as_ref().map(|v| v.height),
        frames_per_second: is_video.then(|| rounded(frames_per_second)).flatten(),
        sample_rate: track.audio.as_ref().map(|a| a.sample_rate),
        channels: track.audio.as_ref().map(|a| a.channels),
    }
}

/// Before it is measured it is nothing.
fn rounded(rate: f64) -> Option<u32> {
    let rounded = rate.round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = (1.0..=1000.0).contains(&rounded).then_some(rounded as u32);
    whole
}
