//! What a stream is made of at one moment, behind its lock.

use super::Output;
use crate::gop::Gop;
use crate::meter::Meter;
use crate::ring::{Join, Ring, TrackSet};
use crate::treatment::Clock;
use crate::{Format, Origin, Settings, Treatment};
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track, TrackId, TrackKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// See the module.
pub(super) struct Media {
    /// Counts the publishers.
    pub(super) epoch: u64,
    /// A publisher's session, or an edge.
    pub(super) publisher: Option<Uuid>,
    /// Of an edge.
    pub(super) origin: Option<Origin>,
    /// Of the publisher, or of the last one.
    pub(super) treatment: Treatment,
    pub(super) clock: Clock,
    /// Its first picture, or a while of its sound, has come.
    pub(super) playable: bool,
    /// Somebody has been asked about its absence.
    pub(super) missed: bool,
    /// When the publisher came or, without one, went.
    pub(super) since: Instant,
    /// When the first frame of the publisher came.
    pub(super) begun: Option<Instant>,
    pub(super) set: Arc<TrackSet>,
    pub(super) gop: Gop,
    pub(super) meter: Meter,
    pub(super) outputs: Vec<Output>,
    /// When the newest frame came.
    pub(super) came: Instant,
    /// Decoding times of the newest frame, join point and video frame of this epoch.
    pub(super) newest: Timestamp,
    pub(super) joined: Option<Timestamp>,
    pub(super) pictured: Option<Timestamp>,
}

/// Tracks of one stream.
const TRACKS_MAX: usize = 16;
/// Bytes of one frame; an FLV tag holds no more.
const FRAME_MAX: usize = (16 << 20) - 64;
/// Without pictures a viewer can start at sound this far apart.
const AUDIO_JOIN_EVERY: Duration = Duration::from_secs(1);
/// Without a picture for so long, sound alone will do.
const PICTURES_GONE: Duration = Duration::from_secs(5);

impl Media {
    pub(super) fn new() -> Self {
        Self {
            epoch: 0,
            publisher: None,
            origin: None,
            treatment: Treatment::default(),
            clock: Clock::default(),
            playable: false,
            missed: false,
            since: Instant::now(),
            begun: None,
            set: Arc::default(),
            gop: Gop::default(),
            meter: Meter::default(),
            outputs: Vec::new(),
            came: Instant::now(),
            newest: Timestamp::default(),
            joined: None,
            pictured: None,
        }
    }

    /// Forgets everything of the publisher before; what the rings hold stays for those who still read it.
    pub(super) fn renew(&mut self, publisher: Option<Uuid>) {
        self.publisher = publisher;
        self.clock = Clock::default();
        if publisher.is_some() {
            self.treatment = Treatment::default();
        }
        (self.playable, self.missed) = (false, false);
        self.origin = None;
        (self.since, self.begun) = (Instant::now(), None);
        self.set = Arc::default();
        self.meter = Meter::default();
        self.gop.clear();
        (self.joined, self.pictured) = (None, None);
        for output in &self.outputs {
            output.ring.forget_joins();
            output.ring.news.notify_waiters();
        }
    }

    pub(super) fn track(&mut self, track: Track, keep: Duration) -> bool {
        let known = self.set.tracks.iter().find(|t| t.id == track.id);
        let is_new = known.is_none();
        let count = self.set.tracks.len();
        let kept = count < TRACKS_MAX && self.treatment.keeps(&track, count);
        if known == Some(&track) || (is_new && !kept) {
            return false;
        }
        let mut set = TrackSet::clone(&self.set);
        set.tracks.retain(|t| t.id != track.id);
        let id = track.id;
        set.tracks.push(track);
        set.tracks.sort_by_key(|t| t.id);
        self.set = Arc::new(set);
        if !is_new {
            self.gop.clear();
        }
        self.announce(is_new, keep, |set, format, at| {
            set.tracks
                .iter()
                .find(|t| t.id == id)
                .map(|track| format.config(track, at))
        });
        true
    }

    pub(super) fn metadata(&mut self, metadata: Bytes, keep: Duration) {
        if self.set.metadata.as_ref() == Some(&metadata) {
            return;
        }
        self.set = Arc::new(TrackSet {
            metadata: Some(metadata),
            tracks: self.set.tracks.clone(),
        });
        self.announce(true, keep, |set, format, at| {
            set.metadata.as_ref().map(|m| format.metadata(m, at))
        });
    }

    /// Tells the viewers who have started; those who come get it with their start.
    fn announce(
        &self,
        widens: bool,
        keep: Duration,
        bytes: impl Fn(&TrackSet, &dyn Format, Timestamp) -> Option<Bytes>,
    ) {
        if self.joined.is_none() {
            return;
        }
        for Output { ring, .. } in &self.outputs {
            if widens {
                ring.widen_join(&self.set);
            }
            let bytes = bytes(&self.set, &*ring.format, self.newest).unwrap_or_default();
            // What follows it may have come before this was read, and is not to wait longer for it.
            ring.push(bytes.into(), self.came, self.epoch, None, keep);
            ring.news.notify_waiters();
        }
    }

    pub(super) fn frame(&mut self, frame: Frame, came: Instant, settings: &Settings) {
        let age = came.duration_since(self.since);
        self.meter
            .record(age, frame.payload.len() as u64, frame.kind == TrackKind::Video);
        if frame.payload.len() > FRAME_MAX {
            tracing::warn!(bytes = frame.payload.len(), "a frame is too large and was dropped");
            return;
        }
        if !self.set.tracks.iter().any(|track| track.id == frame.track) {
            return;
        }
        self.begun.get_or_insert(came);
        let frame = self.clock.stamp(frame, self.treatment.stamps, age);
        let joins = self.joins(&frame);
        let undecodable = frame.kind == TrackKind::Video && !joins && self.pictured.is_none();
        if undecodable {
            return;
        }
        let Some(track) = self.set.tracks.iter().find(|t| t.id == frame.track) else {
            return;
        };
        (self.came, self.newest) = (came, frame.dts);
        for Output { ring, .. } in &self.outputs {
            if joins {
                ring.format.tracks(&self.set.tracks);
            }
            let join = joins.then(|| Join {
                set: Arc::clone(&self.set),
                at: frame.dts,
            });
            let packet = ring.format.frame(track, &frame);
            ring.push(packet, came, self.epoch, join, settings.lag_max);
            ring.news.notify_waiters();
        }
        if joins {
            self.playable |= frame.kind == TrackKind::Video || self.joined.is_some();
            self.joined = Some(frame.dts);
        }
        if frame.kind == TrackKind::Video {
            self.pictured = Some(frame.dts);
        }
        if settings.gop_cache {
            self.gop.push(frame, joins);
        } else {
            self.gop.clear();
        }
    }

    /// Whether a viewer can start at this frame: a key frame; the very first sound; and sound now and then while there are no pictures.
    fn joins(&self, frame: &Frame) -> bool {
        if frame.kind == TrackKind::Video {
            return frame.key && self.lead() == Some(frame.track);
        }
        let Some(joined) = self.joined else { return true };
        let has_video = self.set.tracks.iter().any(|t| t.kind() == TrackKind::Video);
        let pictures_gone = frame.dts.since(self.pictured.unwrap_or(joined)) > PICTURES_GONE;
        // A clock that was set back is no reason to wait until it is there again.
        (!has_video || pictures_gone) && frame.dts.apart(joined) >= AUDIO_JOIN_EVERY
    }

    /// The track whose key frames count: of several with pictures the first.
    fn lead(&self) -> Option<TrackId> {
        let video = |track: &&Track| track.kind() == TrackKind::Video;
        self.set.tracks.iter().find(video).map(|track| track.id)
    }

    pub(super) fn replay(&self, ring: &Ring, settings: &Settings) {
        ring.format.tracks(&self.set.tracks);
        for (index, frame) in self.gop.frames().iter().enumerate() {
            let Some(track) = self.set.tracks.iter().find(|t| t.id == frame.track) else {
                continue;
            };
            let join = (index == 0).then(|| Join {
                set: Arc::clone(&self.set),
                at: frame.dts,
            });
            let packet = ring.format.frame(track, frame);
            ring.push(packet, Instant::now(), self.epoch, join, settings.lag_max);
        }
    }
}
