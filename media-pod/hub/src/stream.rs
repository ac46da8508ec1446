//! One stream's media: its tracks, its GOP cache and the rings of the formats that somebody watches.
//!
//! It outlives its publisher as long as a viewer waits for the next one.

mod media;

use self::media::Media;
use crate::meter::Rates;
use crate::ring::{Ring, TrackSet};
use crate::{Format, Origin, Protocol, Settings, Stamps, StreamName, Treatment};
use bytes::Bytes;
use headgate_codec::{Codec, Frame, Timestamp, Track};
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

impl Stream {
    pub(crate) fn new(name: StreamName) -> Self {
        Self {
            name,
            media: Mutex::new(Media::new()),
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

    pub(crate) fn data(&self, publisher: Uuid, (data, at): (&Bytes, Timestamp), came: Instant, keep: Duration) {
        let media = self.media.lock();
        if media.publisher == Some(publisher) && media.joined.is_some() {
            for Output { ring, .. } in &media.outputs {
                ring.push(ring.format.data(data, at).into(), came, media.epoch, None, keep);
                ring.news.notify_waiters();
            }
        }
    }

    /// A frame that came at a time. What is in the stream, when it is the one by which that became playable.
    pub(crate) fn frame(
        &self,
        publisher: Uuid,
        frame: Frame,
        came: Instant,
        settings: &Settings,
    ) -> Option<Arc<TrackSet>> {
        let mut media = self.media.lock();
        if media.publisher != Some(publisher) {
            return None;
        }
        let before = media.playable;
        media.frame(frame, came, settings);
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

    /// Since when its frames come, when the format carries none of its tracks.
    pub(crate) fn unfit_since(&self, format: &dyn Format) -> Option<Instant> {
        let media = self.media.lock();
        let is_carried = media.set.tracks.iter().any(|track| format.carries(track));
        media.begun.filter(|_| !is_carried)
    }

    /// What it is coded in.
    pub(crate) fn codecs(&self) -> Vec<Codec> {
        self.media.lock().set.tracks.iter().map(|track| track.codec).collect()
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

    /// How long what its publisher sends may wait to be taken in together, where so many views are open in all.
    pub(crate) fn ingest_hold(&self, viewers: usize, settings: &Settings) -> Duration {
        let media = self.media.lock();
        if media.treatment.stamps == Stamps::Arrival {
            // What waits is not to be taken for what has just come.
            return Duration::ZERO;
        }
        let here = media
            .outputs
            .iter()
            .fold(0_usize, |sum, output| sum.saturating_add(output.viewers));
        settings.ingest_hold(here, viewers)
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
