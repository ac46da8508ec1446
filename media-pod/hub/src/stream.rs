//! One stream's media: its tracks, its GOP cache and the rings of the formats that somebody watches.
//!
//! It outlives its publisher as long as a viewer waits for the next one.

use crate::gop::Gop;
use crate::meter::{Meter, Rates};
use crate::ring::{Join, Ring, TrackSet};
use crate::{Format, Origin, Settings, StreamName};
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track, TrackKind};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// A stream that has a publisher or somebody who waits for one.
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    media: Mutex<Media>,
}

struct Output {
    ring: Arc<Ring>,
    viewers: usize,
}

struct Media {
    /// Counts the publishers.
    epoch: u64,
    /// A publisher's session, or an edge.
    publisher: Option<Uuid>,
    /// Of an edge.
    origin: Option<Origin>,
    /// Its first picture, or a while of its sound, has come.
    playable: bool,
    /// Somebody has been asked about its absence.
    missed: bool,
    /// When the publisher came or, without one, went.
    since: Instant,
    set: Arc<TrackSet>,
    gop: Gop,
    meter: Meter,
    outputs: Vec<Output>,
    /// Decoding times of the newest frame, join point and video frame of this epoch.
    newest: Timestamp,
    joined: Option<Timestamp>,
    pictured: Option<Timestamp>,
}

/// Tracks of one stream.
const TRACKS_MAX: usize = 16;
/// Bytes of one frame; an FLV tag holds no more.
const FRAME_MAX: usize = (16 << 20) - 64;
/// Without pictures a viewer can start at sound this far apart.
const AUDIO_JOIN_EVERY: Duration = Duration::from_secs(1);
/// Without a picture for so long, sound alone will do.
const PICTURES_GONE: Duration = Duration::from_secs(5);

impl Stream {
    pub(crate) fn new(name: StreamName) -> Self {
        let media = Media {
            epoch: 0,
            publisher: None,
            origin: None,
            playable: false,
            missed: false,
            since: Instant::now(),
            set: Arc::default(),
            gop: Gop::default(),
            meter: Meter::default(),
            outputs: Vec::new(),
            newest: Timestamp::default(),
            joined: None,
            pictured: None,
        };
        Self {
            name,
            media: Mutex::new(media),
        }
    }

    /// A publisher, or an edge with its origin, has the stream from now on.
    pub(crate) fn begin(&self, publisher: Uuid, origin: Option<Origin>) {
        let mut media = self.media.lock();
        media.renew(Some(publisher));
        media.origin = origin;
        media.epoch = media.epoch.saturating_add(1);
        for output in &media.outputs {
            output.ring.format.begin();
        }
    }

    /// The publisher is gone, unless another one has the stream already.
    pub(crate) fn end(&self, publisher: Uuid) {
        let mut media = self.media.lock();
        if media.publisher == Some(publisher) {
            media.renew(None);
        }
    }

    /// Adds or changes a track. True when that is news.
    pub(crate) fn track(&self, publisher: Uuid, track: Track, keep: Duration) -> bool {
        let mut media = self.media.lock();
        media.publisher == Some(publisher) && media.track(track, keep)
    }

    pub(crate) fn metadata(&self, publisher: Uuid, metadata: Bytes, keep: Duration) {
        let mut media = self.media.lock();
        if media.publisher == Some(publisher) {
            media.metadata(metadata, keep);
        }
    }

    /// What is in the stream, when this frame is the one by which it became playable.
    pub(crate) fn frame(&self, publisher: Uuid, frame: Frame, settings: &Settings) -> Option<Arc<TrackSet>> {
        let mut media = self.media.lock();
        if media.publisher != Some(publisher) {
            return None;
        }
        let before = media.playable;
        media.frame(frame, settings);
        (media.playable && !before).then(|| Arc::clone(&media.set))
    }

    /// True for the first who finds no publisher since the last one went.
    pub(crate) fn claim_missing(&self) -> bool {
        let mut media = self.media.lock();
        media.publisher.is_none() && !std::mem::replace(&mut media.missed, true)
    }

    /// The ring of a format, made from the GOP cache when nobody watches it yet. Each call must be paired with [`Stream::detach`].
    pub(crate) fn attach(&self, format: &Arc<dyn Format>, settings: &Settings) -> Arc<Ring> {
        let mut media = self.media.lock();
        if let Some(output) = media.outputs.iter_mut().find(|o| o.ring.format.id() == format.id()) {
            output.viewers = output.viewers.saturating_add(1);
            return Arc::clone(&output.ring);
        }
        let ring = Arc::new(Ring::new(Arc::clone(format)));
        media.replay(&ring, settings);
        media.outputs.push(Output {
            ring: Arc::clone(&ring),
            viewers: 1,
        });
        ring
    }

    /// A viewer has left; a ring without viewers goes.
    pub(crate) fn detach(&self, ring: &Arc<Ring>) {
        let mut media = self.media.lock();
        if let Some(output) = media.outputs.iter_mut().find(|o| Arc::ptr_eq(&o.ring, ring)) {
            output.viewers = output.viewers.saturating_sub(1);
        }
        media.outputs.retain(|o| o.viewers > 0);
    }

    /// Since when there is no publisher; `None` when there is one.
    pub(crate) fn gone_since(&self) -> Option<Instant> {
        let media = self.media.lock();
        media.publisher.is_none().then_some(media.since)
    }

    /// Whose frames it takes.
    pub(crate) fn source(&self) -> Option<Uuid> {
        self.media.lock().publisher
    }

    /// Tracks, measured rates, and where it comes from when it is an edge.
    pub(crate) fn figures(&self) -> (Vec<Track>, Rates, Option<Origin>) {
        let media = self.media.lock();
        let rates = media.meter.rates(media.since.elapsed());
        (media.set.tracks.clone(), rates, media.origin.clone())
    }

    /// Whether anybody reads it, in any format.
    pub(crate) fn is_taken(&self) -> bool {
        !self.media.lock().outputs.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn outputs(&self) -> usize {
        self.media.lock().outputs.len()
    }
}

impl Media {
    /// Forgets everything of the publisher before; what the rings hold stays for those who still read it.
    fn renew(&mut self, publisher: Option<Uuid>) {
        self.publisher = publisher;
        (self.playable, self.missed) = (false, false);
        self.origin = None;
        self.since = Instant::now();
        self.set = Arc::default();
        self.meter = Meter::default();
        self.gop.clear();
        (self.joined, self.pictured) = (None, None);
        for output in &self.outputs {
            output.ring.forget_joins();
            output.ring.news.notify_waiters();
        }
    }

    fn track(&mut self, track: Track, keep: Duration) -> bool {
        let known = self.set.tracks.iter().find(|t| t.id == track.id);
        let is_new = known.is_none();
        if known == Some(&track) || (is_new && self.set.tracks.len() >= TRACKS_MAX) {
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

    fn metadata(&mut self, metadata: Bytes, keep: Duration) {
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
            ring.push(bytes, self.epoch, None, keep);
            ring.news.notify_waiters();
        }
    }

    fn frame(&mut self, frame: Frame, settings: &Settings) {
        self.meter.record(
            self.since.elapsed(),
            frame.payload.len() as u64,
            frame.kind == TrackKind::Video,
        );
        if frame.payload.len() > FRAME_MAX {
            tracing::warn!(bytes = frame.payload.len(), "a frame is too large and was dropped");
            return;
        }
        let joins = self.joins(&frame);
        let undecodable = frame.kind == TrackKind::Video && !joins && self.pictured.is_none();
        if undecodable {
            return;
        }
        let Some(track) = self.set.tracks.iter().find(|t| t.id == frame.track) else {
            return;
        };
        self.newest = frame.dts;
        for Output { ring, .. } in &self.outputs {
            if joins {
                ring.format.tracks(&self.set.tracks);
            }
            let join = joins.then(|| Join {
                set: Arc::clone(&self.set),
                at: frame.dts,
            });
            ring.push(ring.format.frame(track, &frame), self.epoch, join, settings.lag_max);
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
            return frame.key;
        }
        let Some(joined) = self.joined else { return true };
        let has_video = self.set.tracks.iter().any(|t| t.kind() == TrackKind::Video);
        let pictures_gone = frame.dts.since(self.pictured.unwrap_or(joined)) > PICTURES_GONE;
        (!has_video || pictures_gone) && frame.dts.since(joined) >= AUDIO_JOIN_EVERY
    }

    fn replay(&self, ring: &Ring, settings: &Settings) {
        ring.format.tracks(&self.set.tracks);
        for (index, frame) in self.gop.frames().iter().enumerate() {
            let Some(track) = self.set.tracks.iter().find(|t| t.id == frame.track) else {
                continue;
            };
            let join = (index == 0).then(|| Join {
                set: Arc::clone(&self.set),
                at: frame.dts,
            });
            ring.push(ring.format.frame(track, frame), self.epoch, join, settings.lag_max);
        }
    }
}
