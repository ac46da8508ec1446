//! A publisher's tags as tracks and frames: remembers which tracks were announced and makes the timestamps run on.

use crate::{Body, Error, Parsed, TagKind, audio, parse_audio, parse_video};
use bytes::Bytes;
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind, vp9};
use smallvec::SmallVec;

/// What there is in a tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Demuxed {
    /// A track begins, or has a new configuration.
    Track(Track),
    /// A frame of a track that was announced.
    Frame(Frame),
    /// Nothing to pass on; says why.
    Nothing(&'static str),
}

/// What one tag came to: one thing most often; a track before its first frame where there is no sequence header; several with multitrack.
pub type Found = SmallVec<[Demuxed; 1]>;

/// State of one publisher. Feed it every audio and video tag or message in order.
#[derive(Clone, Debug, Default)]
pub struct Demuxer {
    /// One entry a track: their ids are bounded.
    known: SmallVec<[Known; 2]>,
    /// Tracks whose size stands in their key frames and not in their configuration.
    sizeless: SmallVec<[Track; 1]>,
    clock: Unwrapped,
}

/// A track that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    id: TrackId,
    codec: Codec,
    /// Of a track whose frames say it, not its configuration.
    implied: Option<AudioInfo>,
}

impl Demuxer {
    /// Takes one tag body with its 32-bit timestamp in milliseconds. After an error the next tag can be fed: nothing is lost but the bad one.
    pub fn push(&mut self, kind: TrackKind, timestamp_millis: u32, body: Bytes) -> Result<Found, Error> {
        let first = body.first().copied().unwrap_or(0);
        let Parsed { nanos, bodies } = match kind {
            TrackKind::Video => parse_video(body)?,
            TrackKind::Audio => parse_audio(body)?,
        };
        let dts = self.clock.next(timestamp_millis).plus_nanos(nanos);
        let mut found = Found::new();
        for part in bodies {
            match (part.body, TrackId::of(kind, part.number)) {
                (Body::Config(track), _) => found.push(self.config(track)),
                (
                    Body::Frame {
                        codec,
                        key,
                        composition_millis,
                        payload,
                    },
                    Some(track),
                ) => {
                    let pts = dts.plus_millis(i64::from(composition_millis));
                    let frame = Frame {
                        track,
                        kind,
                        dts,
                        pts,
                        key,
                        payload,
                    };
                    self.frame(codec, first, frame, &mut found);
                }
                (Body::EndOfSequence, _) => found.push(Demuxed::Nothing("end of sequence")),
                (Body::Ignored(what), _) => found.push(Demuxed::Nothing(what)),
                (Body::Frame { .. }, None) => found.push(Demuxed::Nothing("a track of a number that is not carried")),
            }
        }
        Ok(found)
    }

    /// The same for a tag of a file or a message of any kind; script data is nothing here.
    pub fn push_tag(&mut self, kind: TagKind, timestamp_millis: u32, body: Bytes) -> Result<Found, Error> {
        match kind {
            TagKind::Audio => self.push(TrackKind::Audio, timestamp_millis, body),
            TagKind::Video => self.push(TrackKind::Video, timestamp_millis, body),
            TagKind::Script => Ok(SmallVec::from_buf([Demuxed::Nothing("script data")])),
        }
    }

    /// The time of something that is neither audio nor video, in line with that of what is.
    pub fn time(&mut self, timestamp_millis: u32) -> Timestamp {
        self.clock.next(timestamp_millis)
    }

    fn config(&mut self, mut track: Track) -> Demuxed {
        // It is kept as long as the stream, and is not to hold on to all that it was read with.
        track.config = Bytes::copy_from_slice(&track.config);
        if track.codec == Codec::Vp9 {
            self.keep_size(&mut track);
        }
        self.note(Known {
            id: track.id,
            codec: track.codec,
            implied: None,
        });
        Demuxed::Track(track)
    }

    fn frame(&mut self, codec: Codec, first: u8, frame: Frame, found: &mut Found) {
        if codec.needs_no_config() {
            let (id, info) = (frame.track, audio::implied_info(codec, first, &frame.payload));
            let is_news = self.note(Known {
                id,
                codec,
                implied: Some(info),
            });
            if is_news {
                found.push(Demuxed::Track(Track::sound(id, codec, info)));
            }
        } else if !self.known.iter().any(|k| k.id == frame.track && k.codec == codec) {
            return found.push(Demuxed::Nothing("frame before its sequence header"));
        }
        if codec == Codec::Vp9 && frame.key {
            found.extend(self.sized(&frame).map(Demuxed::Track));
        }
        found.push(Demuxed::Frame(frame));
    }

    /// A configuration that is said again does not make the size unknown.
    fn keep_size(&mut self, track: &mut Track) {
        let known = self.sizeless.iter().position(|known| known.id == track.id);
        if let Some(known) = known.map(|at| self.sizeless.swap_remove(at))
            && known.config == track.config
        {
            track.video = known.video;
        }
        self.sizeless.push(track.clone());
    }

    /// The track of a key frame that says another size than was known.
    fn sized(&mut self, frame: &Frame) -> Option<Track> {
        let track = self.sizeless.iter_mut().find(|track| track.id == frame.track)?;
        let video = vp9::key_frame_video(&frame.payload).ok()?;
        (track.video.replace(video) != Some(video)).then(|| track.clone())
    }

    /// True when that is news.
    fn note(&mut self, now: Known) -> bool {
        if let Some(known) = self.known.iter_mut().find(|known| known.id == now.id) {
            return std::mem::replace(known, now) != now;
        }
        self.known.push(now);
        true
    }
}

/// Makes 32-bit milliseconds run on past their end (after 49.7 days).
#[derive(Clone, Copy, Debug, Default)]
struct Unwrapped {
    last: Option<i64>,
}

impl Unwrapped {
    fn next(&mut self, wire: u32) -> Timestamp {
        let millis = match self.last {
            None => i64::from(wire),
            Some(last) => {
                let delta = wire
                    .wrapping_sub(Timestamp::from_millis(last).as_wrapped_millis())
                    .cast_signed();
                // A jump back to before zero is a clock that was set anew.
                let next = last.saturating_add(i64::from(delta));
                if next < 0 { i64::from(wire) } else { next }
            }
        };
        self.last = Some(millis);
        Timestamp::from_millis(millis)
    }
}
