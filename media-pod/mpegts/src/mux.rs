//! Frames to packets.

use crate::lane::Lane;
use crate::packet::{Adaptation, put_section};
use crate::{Error, PMT_PID, TRACKS_MAX, pes, sections};
use bytes::BytesMut;
use headgate_codec::{Frame, Timestamp, Track, TrackId};
use std::time::Duration;

/// Makes one program of a stream's tracks. Frames that are given at once follow each other in one run of packets; each key frame starts with the
/// program's tables, so that a reader can begin there.
#[derive(Clone, Debug, Default)]
pub struct Muxer {
    lanes: Vec<Lane>,
    /// Of the program map.
    version: u8,
    counters: [u8; 2],
    /// When the tables were last written.
    told: Option<Timestamp>,
    /// Decoding time of the newest frame.
    newest: Option<Timestamp>,
    /// The clock has jumped, and no packet says so yet.
    broken: bool,
}

/// Readers that tune in without a key frame find the tables within this time.
const TABLES_EVERY: Duration = Duration::from_millis(500);
/// A jump of the clock that is announced.
const JUMP: Duration = Duration::from_secs(10);
/// How much earlier than a frame's decoding time the clock shows: room for sound that comes after its pictures.
const CLOCK_LEAD: u64 = 9_000;

impl Muxer {
    /// The tracks from now on. When they are other ones, the next frame comes behind new tables.
    pub fn set_tracks(&mut self, tracks: &[Track]) {
        if self.is_made_of(tracks) {
            return;
        }
        let before = std::mem::take(&mut self.lanes);
        let counter = |id: TrackId| before.iter().find(|lane| lane.track.id == id).map_or(0, Lane::counter);
        let lanes = tracks.iter().filter_map(|track| Lane::new(track, counter(track.id)));
        self.lanes = lanes.take(TRACKS_MAX).collect();
        if !self.lanes.iter().map(Lane::entry).eq(before.iter().map(Lane::entry)) {
            self.version = self.version.wrapping_add(u8::from(!before.is_empty())) & 31;
            self.told = None;
        }
    }

    /// Adds a track, or changes one; see [`Muxer::set_tracks`].
    pub fn set_track(&mut self, track: &Track) {
        let others = self.lanes.iter().map(|lane| &lane.track).filter(|t| t.id != track.id);
        let mut tracks: Vec<Track> = others.chain([track]).cloned().collect();
        tracks.sort_by_key(|t| t.id);
        self.set_tracks(&tracks);
    }

    /// Whether frames of this track can be carried.
    pub fn carries(&self, track: TrackId) -> bool {
        self.lanes.iter().any(|lane| lane.track.id == track)
    }

    /// Whether no track can be carried.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The next frame begins with the tables, whatever it is.
    pub fn start_anew(&mut self) {
        self.told = None;
    }

    /// Appends a frame's packets; those of a track that cannot be carried are none. After an error nothing was appended.
    pub fn put(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Error> {
        let Some(index) = self.lanes.iter().position(|lane| lane.track.id == frame.track) else {
            return Ok(());
        };
        self.keep_time(frame.dts);
        let clock_lane = self.clock_lane();
        let keeps_clock = clock_lane == Some(index);
        let is_join = frame.key && (keeps_clock || self.told.is_none());
        let (before, counters, told) = (out.len(), self.counters, self.told);
        if is_join || told.is_none_or(|told| frame.dts.since(told) >= TABLES_EVERY) {
            self.put_tables(out, clock_lane);
            self.told = Some(frame.dts);
        }
        let first = Adaptation {
            clock: keeps_clock.then(|| clock(frame.dts)),
            random_access: frame.key,
            discontinuity: keeps_clock && self.broken,
        };
        let put = self
            .lanes
            .get_mut(index)
            .map_or(Ok(()), |lane| lane.put(out, frame, first));
        if put.is_err() {
            out.truncate(before);
            (self.counters, self.told) = (counters, told);
        } else if keeps_clock {
            self.broken = false;
        }
        put
    }

    fn is_made_of(&self, tracks: &[Track]) -> bool {
        let carried = tracks.iter().filter(|t| Lane::new(t, 0).is_some()).take(TRACKS_MAX);
        carried.eq(self.lanes.iter().map(|lane| &lane.track))
    }

    /// Pictures keep the clock; without them the first sound.
    fn clock_lane(&self) -> Option<usize> {
        let video = self.lanes.iter().position(Lane::is_video);
        video.or_else(|| (!self.lanes.is_empty()).then_some(0))
    }

    fn keep_time(&mut self, dts: Timestamp) {
        let jumped = |before: Timestamp| dts.since(before) > JUMP || before.since(dts) > JUMP;
        if self.newest.is_some_and(jumped) {
            (self.broken, self.told) = (true, None);
        }
        self.newest = Some(dts);
    }

    fn put_tables(&mut self, out: &mut BytesMut, clock_lane: Option<usize>) {
        let clock_pid = clock_lane
            .and_then(|i| self.lanes.get(i))
            .map_or(0x1fff, |lane| lane.pid);
        let map = sections::pmt(self.version, clock_pid, self.lanes.iter().map(Lane::entry));
        let [association_counter, map_counter] = &mut self.counters;
        put_section(out, 0, association_counter, &sections::pat());
        put_section(out, PMT_PID, map_counter, &map);
    }
}

fn clock(dts: Timestamp) -> u64 {
    // Not before a stream that starts at zero.
    pes::wire(dts).saturating_sub(CLOCK_LEAD)
}
