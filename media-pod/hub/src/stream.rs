//! One stream's media: its tracks, its GOP cache and the rings of the formats that somebody watches.
//!
//! It outlives its publisher as long as a viewer waits for the next one.

use crate::gop::Gop;
use crate::meter::{Meter, Rates};
use crate::ring::{Join, Ring, TrackSet};
use crate::treatment::Clock;
use crate::{Format, Origin, Protocol, Settings, StreamName, Treatment};
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track, TrackId, TrackKind};
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
    /// Those of them that only look on.
    onlookers: usize,
}

struct Media {
    /// Counts the publishers.
    epoch: u64,
    /// A publisher's session, or an edge.
    publisher: Option<Uuid>,
    /// Of an edge.
    origin: Option<Origin>,
    /// Of the publisher, or of the last one.
    treatment: Treatment,
    clock: Clock,
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
            treatment: Treatment::default(),
            clock: Clock::default(),
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

    /// How the publisher that has just begun is to be treated.
    pub(crate) fn treat(&self, treatment: Treatment) {
        self.media.lock().treatment = treatment;
    }

    /// Whether it is to be had over a protocol. Without a publisher nobody knows, so that one may wait.
    pub(crate) fn offers(&self, protocol: Protocol) -> bool {
        let media = self.media.lock();
        media.publisher.is_none() || media.treatment.offers(protocol)
    }

    /// Whether it is to be had over every protocol.
    pub(crate) fn is_for_all(&self) -> bool {
        self.media.lock().treatment.not_over.is_empty()
    }

    /// How long viewers wait for a publisher, where `usual` is usual.
    pub(crate) fn linger(&self, usual: Duration) -> Duration {
        self.media.lock().treatment.linger.unwrap_or(usual)
    }

    /// The publisher is gone, unless another one has the stream already.
    pub(crate) fn end(&self, publisher: Uuid) {
        let mut media = self.media.lock();
        if media.publisher == Some(publisher) {
            media.renew(None);
            media.outputs.iter().for_each(|output| output.ring.format.pause());
        }
    }

    /// Adds or changes a track. True when that is news.
    pub(crate) fn track(&self, publisher: Uuid, track: Track, keep: Duration) -> bool {
        let mut media = self.media.lock();
        if media.publisher != Some(publisher) {
            return false;
        }
        let id = track.id;
        let is_news = media.track(track, keep);
        if is_news && let Some(track) = media.set.tracks.iter().find(|t| t.id == id) {
            for Output { ring, .. } in &media.outputs {
                self.note_left_out(&*ring.format, track);
            }
        }
        is_news
    }

    fn note_left_out(&self, format: &dyn Format, track: &Track) {
        if !format.carries(track) {
            let (codec, format) = (track.codec, format.id().0);
            tracing::info!(stream = %self.name, format, %codec, track = track.id.0, "viewers of this format do not get a track of the stream");
        }
    }

    pub(crate) fn metadata(&self, publisher: Uuid, metadata: Bytes, keep: Duration) {
        let mut media = self.media.lock();
        if media.publisher == Some(publisher) {
            media.metadata(metadata, keep);
        }
    }

    pub(crate) fn data(&self, publisher: Uuid, data: &Bytes, at: Timestamp, keep: Duration) {
        let media = self.media.lock();
        if media.publisher == Some(publisher) && media.joined.is_some() {
            for Output { ring, .. } in &media.outputs {
                ring.push(ring.format.data(data, at), media.epoch, None, keep);
                ring.news.notify_waiters();
            }
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
        for track in &media.set.tracks {
            self.note_left_out(&**format, track);
        }
        media.replay(&ring, settings);
        media.outputs.push(Output {
            ring: Arc::clone(&ring),
            viewers: 1,
            onlookers: 0,
        });
        ring
    }

    /// Says of one viewer of a ring that it only looks on, or that it does no more because it leaves.
    pub(crate) fn look_on(&self, ring: &Arc<Ring>, does: bool) {
        let mut media = self.media.lock();
        if let Some(output) = media.outputs.iter_mut().find(|o| Arc::ptr_eq(&o.ring, ring)) {
            let count = output.onlookers;
            output.onlookers = if does {
                count.saturating_add(1)
            } else {
                count.saturating_sub(1)
            };
        }
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

    /// Whether anybody reads it, in any format, who does not only look on.
    pub(crate) fn is_taken(&self) -> bool {
        let media = self.media.lock();
        media.outputs.iter().any(|output| output.viewers > output.onlookers)
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
        self.clock = Clock::default();
        if publisher.is_some() {
            self.treatment = Treatment::default();
        }
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
        if !self.set.tracks.iter().any(|track| track.id == frame.track) {
            return;
        }
        let frame = self.clock.stamp(frame, self.treatment.stamps, self.since.elapsed());
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
