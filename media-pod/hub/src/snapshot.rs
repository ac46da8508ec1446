//! What there is at one moment, for status and reports.

use crate::live::Live;
use crate::stream::Stream;
use crate::{Origin, Protocol, Session, SessionKind, StreamName};
use headgate_codec::Track;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One stream.
#[derive(Clone, Debug)]
pub struct StreamSnapshot {
    /// Its name.
    pub name: StreamName,
    /// Who sends it; `None` while viewers wait for one.
    pub publisher: Option<PublisherSnapshot>,
    /// The publisher is elsewhere, and the stream is brought from there.
    pub origin: Option<Origin>,
    /// What is in it, by id.
    pub tracks: Vec<Track>,
    /// Viewers by protocol; protocols with none are not in it.
    pub viewers: BTreeMap<Protocol, u32>,
    /// Somebody takes it: a viewer, or another hub for its own.
    pub taken: bool,
}

/// A live publisher.
#[derive(Clone, Debug)]
pub struct PublisherSnapshot {
    /// Its session; `started` says since when.
    pub session: Arc<Session>,
    /// Measured over the last seconds, all tracks, payload only.
    pub bits_per_second: u64,
    /// Measured over the last seconds, by arrival; zero without pictures.
    pub frames_per_second: f64,
}

/// Puts together what the registry and the streams hold.
pub(crate) fn of(streams: &[Arc<Stream>], lives: &[Arc<Live>]) -> Vec<StreamSnapshot> {
    let mut sessions: BTreeMap<&StreamName, Vec<&Arc<Session>>> = BTreeMap::new();
    for live in lives {
        sessions.entry(&live.stream.name).or_default().push(&live.session);
    }
    let none = Vec::new();
    let mut snapshots: Vec<StreamSnapshot> = streams
        .iter()
        .map(|stream| one(stream, sessions.get(&stream.name).unwrap_or(&none)))
        .collect();
    snapshots.sort_by(|a, b| a.name.cmp(&b.name));
    snapshots
}

fn one(stream: &Stream, sessions: &[&Arc<Session>]) -> StreamSnapshot {
    let (tracks, rates, origin) = stream.figures();
    let publisher = sessions
        .iter()
        .find(|s| s.kind == SessionKind::Publish)
        .map(|session| PublisherSnapshot {
            session: Arc::clone(session),
            bits_per_second: rates.bits_per_second,
            frames_per_second: rates.frames_per_second,
        });
    let mut viewers = BTreeMap::new();
    for session in sessions.iter().filter(|s| s.kind == SessionKind::Play) {
        let count: &mut u32 = viewers.entry(session.connection.protocol).or_default();
        *count = count.saturating_add(1);
    }
    StreamSnapshot {
        taken: stream.is_taken(),
        name: stream.name.clone(),
        publisher,
        origin,
        tracks,
        viewers,
    }
}
