//! MPEG-TS: the tables stand before each place where a viewer can start, in the shared bytes, so a viewer needs no start of its own.

use super::Body;
use bytes::BytesMut;
use headgate_codec::{Frame, Timestamp, Track};
use headgate_hub::Start;
use headgate_mpegts::Muxer;

#[derive(Default)]
pub(super) struct Ts(Muxer);

impl Body for Ts {
    fn tracks(&mut self, tracks: &[Track]) {
        self.0.set_tracks(tracks);
        self.0.start_anew();
    }

    fn start(&mut self, _: &Start<'_>, _: &mut BytesMut) {}

    /// The next frame comes behind new tables.
    fn config(&mut self, track: &Track, _: Timestamp, _: &mut BytesMut) {
        self.0.set_track(track);
    }

    fn frame(&mut self, _: &Track, frame: &Frame, out: &mut BytesMut) {
        if let Err(error) = self.0.put(frame, out) {
            tracing::debug!(%error, "a frame has no place in a transport stream");
        }
    }
}
