//! From frames to a window of segments.

mod cutting;
mod muxer;
mod window;

use self::cutting::FRAMES_MAX;
use self::muxer::Muxer;
use crate::playlist::View;
use crate::reload::{Directives, Edge, Reload, decide};
use crate::segment::{Segment, Whole};
use crate::variant::Variant;
use crate::{Config, Cut, File};
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track, TrackId, TrackKind};
use std::collections::VecDeque;
use std::time::Duration;

/// One stream's segments. Feed it the tracks, then every frame from a key frame on.
pub struct Segmenter {
    config: Config,
    muxer: Muxer,
    tracks: Vec<Track>,
    /// The track whose time cuts: pictures, or else the first sound.
    lead: Option<TrackId>,
    /// Whole segments: those that have left the window and may still be asked for, then those in it.
    segments: VecDeque<Segment>,
    /// How many of them have left the window.
    gone: usize,
    growing: Option<Segment>,
    next: u64,
    /// Frames of the part that grows.
    frames: Vec<Frame>,
    part_start: Timestamp,
    /// Newest frame of the lead track, and how long the one before lasted.
    newest: Option<Timestamp>,
    frame_lasts: Duration,
    /// The newest key frame, and how far it was from the one before.
    newest_key: Option<Timestamp>,
    key_distance: Duration,
    /// A time of the stream and when that was on the wall.
    anchor: Option<(Timestamp, jiff::Timestamp)>,
    /// In force from the next segment on.
    coming: Option<Cut>,
    discontinuity: bool,
    discontinuities_gone: u64,
    /// In seconds; fixed by the first segment.
    target: Option<u64>,
    inits: VecDeque<(u64, Bytes)>,
    ended: bool,
    /// The playlist and its delta update, until something changes.
    texts: [Option<Bytes>; 2],
    /// Moves when the playlist does.
    version: u64,
}

impl Segmenter {
    /// Nothing yet.
    pub fn new(config: Config) -> Self {
        let config = config.bounded();
        Self {
            muxer: Muxer::new(config.container),
            next: config.first,
            config,
            tracks: Vec::new(),
            lead: None,
            segments: VecDeque::new(),
            gone: 0,
            growing: None,
            frames: Vec::new(),
            part_start: Timestamp::default(),
            newest: None,
            frame_lasts: Duration::from_millis(40),
            newest_key: None,
            key_distance: Duration::ZERO,
            anchor: None,
            coming: None,
            discontinuity: false,
            discontinuities_gone: 0,
            target: None,
            inits: VecDeque::new(),
            ended: false,
            texts: [None, None],
            version: 0,
        }
    }

    /// How it cuts.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tracks from now on. Other ones than before begin a new segment behind a discontinuity.
    pub fn set_tracks(&mut self, tracks: &[Track]) {
        if self.tracks == tracks {
            return;
        }
        self.break_off();
        tracks.clone_into(&mut self.tracks);
        match &mut self.muxer {
            Muxer::Ts(muxer) => muxer.set_tracks(tracks),
            Muxer::Fmp4(muxer) => {
                muxer.set_tracks(tracks);
                let number = self.inits.back().map_or(0, |(number, _)| number.saturating_add(1));
                self.inits.push_back((number, headgate_fmp4::init_segment(tracks)));
            }
        }
        let carried = tracks.iter().filter(|track| self.muxer.carries(track.id));
        self.lead = carried
            .min_by_key(|track| track.kind() == TrackKind::Audio)
            .map(|t| t.id);
    }

    /// Another source goes on with the stream: its times have nothing to do with those before.
    pub fn break_off(&mut self) {
        self.close_segment(None);
        self.discontinuity |= self.next > self.config.first;
        (self.newest, self.newest_key, self.anchor) = (None, None, None);
        self.key_distance = Duration::ZERO;
    }

    /// No more frames will come.
    pub fn end(&mut self) {
        self.close_segment(None);
        self.ended = true;
        self.changed();
    }

    /// The next frame, which came at this time.
    pub fn push(&mut self, frame: &Frame, now: jiff::Timestamp) {
        if self.ended || !self.muxer.carries(frame.track) {
            return;
        }
        if self.jumps(frame) {
            self.break_off();
        }
        if self.lead == Some(frame.track) {
            self.follow(frame);
        } else if self.frames.len() >= FRAMES_MAX {
            self.close_segment(Some(frame));
        }
        if self.growing.is_none() && !self.open(frame, now) {
            return;
        }
        self.frames.push(frame.clone());
    }

    /// Cuts in another way from now on. Who watches goes on: lengths are those of the next segment, and a longer one raises the target duration, which
    /// never falls.
    pub fn recut(&mut self, cut: Cut) {
        let cut = cut.bounded();
        if self.config.cut() == cut && self.coming.is_none() {
            return;
        }
        (self.config.window, self.config.event, self.config.bytes_max) = (cut.window, cut.event, cut.bytes_max);
        self.coming = Some(cut);
        self.slide();
        self.changed();
    }

    /// What a master playlist says of the stream; `None` before there is a segment.
    pub fn variant(&self) -> Option<Variant> {
        let carried = self.tracks.iter().filter(|track| self.muxer.carries(track.id));
        Variant::of(carried, self.segments.iter().skip(self.gone))
    }

    /// How long the stream in the playlist is.
    pub fn duration(&self) -> Duration {
        self.segments.iter().skip(self.gone).map(Segment::duration).sum()
    }

    /// Whether no more frames will come.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Moves when [`Segmenter::playlist`] gives something else.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether there is a segment to play. Before that the target duration is not known, so there is no playlist to give.
    pub fn is_ready(&self) -> bool {
        self.segments.len() > self.gone
    }

    /// The target duration, as far as it is known.
    pub fn target(&self) -> Duration {
        Duration::from_secs(self.target.unwrap_or_else(|| self.wanted_target()))
    }

    /// Whether a request can be answered now.
    pub fn reload(&self, directives: Directives) -> Reload {
        let edge = Edge {
            growing: self.next,
            parts: self.growing.as_ref().map_or(0, |segment| segment.parts.len() as u64),
            parts_before: self.segments.back().map_or(0, |segment| segment.parts.len() as u64),
            ended: self.ended,
        };
        decide(edge, directives)
    }

    /// The playlist, or with `skip` its delta update. Made once.
    pub fn playlist(&mut self, skip: bool) -> Bytes {
        let view = View {
            config: &self.config,
            target: self.target.unwrap_or_else(|| self.wanted_target()),
            discontinuities: self.discontinuities_gone,
            names_all: self.names_all(),
            segments: &self.segments,
            gone: self.gone,
            growing: self.growing.as_ref(),
            next: self.next,
            ended: self.ended,
        };
        let [whole, delta] = &mut self.texts;
        let text = if skip { delta } else { whole };
        text.get_or_insert_with(|| view.text(skip).into()).clone()
    }

    /// A file in pieces that follow each other; `None` when it is not there, or not any more.
    pub fn file(&self, file: File) -> Option<Vec<Bytes>> {
        let segment = |number| self.segments.iter().find(move |segment| segment.number == number);
        match file {
            File::Init(number) => {
                let init = self.inits.iter().find(|(n, _)| *n == number);
                init.map(|(_, bytes)| vec![bytes.clone()])
            }
            File::Segment(number) => Some(segment(number)?.parts.iter().map(|part| part.bytes.clone()).collect()),
            File::Part(number, part) => {
                let growing = self.growing.as_ref().filter(|segment| segment.number == number);
                let parts = &segment(number).or(growing).filter(|s| s.parted.is_some())?.parts;
                parts
                    .get(usize::try_from(part).ok()?)
                    .map(|part| vec![part.bytes.clone()])
            }
        }
    }

    /// The segments from this number on that are whole and still here.
    pub fn whole_from(&self, number: u64) -> Vec<Whole> {
        let news = self.segments.iter().filter(|segment| segment.number >= number);
        let whole = |segment: &Segment| {
            let mut name = String::new();
            File::Segment(segment.number).put(&mut name, &self.config);
            Whole {
                number: segment.number,
                duration: segment.duration(),
                bytes: segment.bytes(),
                date: segment.date,
                name,
            }
        };
        news.map(whole).collect()
    }

    /// Bytes of all that is kept.
    pub fn bytes(&self) -> usize {
        let segments = self.segments.iter().chain(&self.growing);
        segments.fold(0, |sum, segment| sum.saturating_add(segment.bytes()))
    }
}
