//! A publisher's session. Nothing here waits.

use crate::allowance::{Allowance, Pace};
use crate::client::Admitted;
use crate::{EndReason, Session};
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// An admitted publisher. Dropped, its session ends as [`EndReason::PeerClosed`]. Once its session has ended, what it sends goes nowhere.
pub struct Publisher {
    admitted: Admitted,
    allowance: Allowance,
    /// Of what is passed on from now on.
    came: Option<Instant>,
}

impl Publisher {
    pub(crate) fn new(admitted: Admitted) -> Self {
        Self {
            admitted,
            allowance: Allowance::default(),
            came: None,
        }
    }

    /// What is passed on from now on came at this time, or after it: viewers wait no longer than the merge window from there on. As long as this is
    /// not said, it comes when it is passed on.
    pub fn heard(&mut self, came: Instant) {
        self.came = Some(came);
    }

    /// How long what its peer sends may wait, so that it is taken in together: see [`crate::Settings::ingest_hold`].
    pub fn ingest_hold(&self) -> Duration {
        let (live, hub) = (&self.admitted.live, self.admitted.hub());
        let viewers = hub.viewers.load(Ordering::Relaxed);
        live.stream.ingest_hold(viewers, &hub.settings.load())
    }

    fn came(&self) -> Instant {
        self.came.unwrap_or_else(Instant::now)
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.admitted.live.session
    }

    /// Announces a track or its new configuration; a repeated one is no news. Must come before the track's frames.
    pub fn track(&mut self, track: Track) {
        let (live, hub) = (&self.admitted.live, self.admitted.hub());
        if live.stream.track(live.session.id, track, hub.settings.load().lag_max) {
            hub.news();
        }
    }

    /// `onMetaData` as AMF0: the name and the value behind each other.
    pub fn metadata(&mut self, metadata: Bytes) {
        let (live, hub) = (&self.admitted.live, self.admitted.hub());
        live.stream
            .metadata(live.session.id, metadata, hub.settings.load().lag_max);
    }

    /// Other data than `onMetaData`, as AMF0: goes to the viewers who are there, in its place between the frames, and is not kept.
    pub fn data(&mut self, data: &Bytes, at: Timestamp) {
        let (live, hub) = (&self.admitted.live, self.admitted.hub());
        let keep = hub.settings.load().lag_max;
        live.stream.data(live.session.id, (data, at), self.came(), keep);
    }

    /// One frame, in decoding order within its track. A frame of a track that was not announced is dropped.
    pub fn frame(&mut self, frame: Frame) {
        let (live, hub) = (&self.admitted.live, self.admitted.hub());
        let bytes = frame.payload.len() as u64;
        live.received(bytes);
        hub.metrics.ingest_bytes.inc_by(bytes);
        let settings = hub.settings.load();
        if let Some(set) = live.stream.frame(live.session.id, frame, self.came(), &settings) {
            live.tell(|| hub.gate.playable(&live.session, &set.tracks));
        }
    }

    /// Counts so many bytes of media against [`crate::Settings::ingest_max`]. Until the time that is given, if one is, nothing more should be
    /// read; an error says that the session should be ended.
    pub fn pace(&mut self, bytes: u64) -> Result<Option<Instant>, EndReason> {
        let Some(rate) = self.admitted.hub().settings.load().ingest_max else {
            return Ok(None);
        };
        match self.allowance.take(bytes, rate, Instant::now()) {
            Pace::Go => Ok(None),
            Pace::Wait(until) => Ok(Some(until)),
            Pace::TooFast => Err(EndReason::IngestTooFast),
        }
    }

    /// How long its first media may take; it is to be ended as [`EndReason::Idle`] then.
    pub fn first_media_max(&self) -> Duration {
        self.admitted.hub().settings.load().first_media_max
    }

    /// How long it may be silent afterwards.
    pub fn silence_max(&self) -> Duration {
        self.admitted.hub().settings.load().silence_max
    }

    /// Resolves when somebody else has ended the session; the connection should be closed then. Wait for it from the beginning on, once.
    pub fn kicked(&self) -> impl Future<Output = EndReason> + Send + use<> {
        let live = Arc::clone(&self.admitted.live);
        async move { live.end().await }
    }

    /// Resolves when the publisher should come back elsewhere; until it does, it goes on here.
    pub fn asked_to_leave(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut leave = self.admitted.hub().leave.subscribe();
        async move {
            if leave.wait_for(|asked| *asked).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Ends the session for a reason.
    pub fn finish(self, reason: EndReason) {
        self.admitted.end(reason);
    }
}
