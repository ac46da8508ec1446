//! A publisher's tags as tracks and frames: remembers which tracks were announced and makes the timestamps run on.

use crate::{Body, Error, TagKind, audio, parse_audio, parse_video};
use bytes::Bytes;
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind};

/// What one tag came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Demuxed {
    /// A track begins, or has a new configuration.
    Track(Track),
    /// A frame of a track that was announced.
    Frame(Frame),
    /// The first frame of a codec that has no sequence header, with the track it implies.
    TrackAndFrame(Track, Frame),
    /// Nothing to pass on; says why.
    Nothing(&'static str),
}

/// State of one publisher. Feed it every audio and video tag or message in order.
#[derive(Clone, Debug, Default)]
pub struct Demuxer {
    video: Option<Codec>,
    audio: Option<(Codec, Option<AudioInfo>)>,
    clock: Unwrapped,
}

impl Demuxer {
    /// Takes one tag body with its 32-bit timestamp in milliseconds. After an error the next tag can be fed: nothing is lost but the bad one.
    pub fn push(&mut self, kind: TrackKind, timestamp_millis: u32, body: Bytes) -> Result<Demuxed, Error> {
        let first = body.first().copied().unwrap_or(0);
        let parsed = match kind {
            TrackKind::Video => parse_video(body)?,
            TrackKind::Audio => parse_audio(body)?,
        };
        let dts = self.clock.next(timestamp_millis);
        match parsed {
            Body::Config(track) => Ok(self.config(track)),
            Body::Frame {
                codec,
                key,
                composition_millis,
                payload,
            } => {
                let (track, pts) = (track_id(kind), dts.plus_millis(i64::from(composition_millis)));
                Ok(self.frame(
                    codec,
                    first,
                    Frame {
                        track,
                        kind,
                        dts,
                        pts,
                        key,
                        payload,
                    },
                ))
            }
            Body::EndOfSequence => Ok(Demuxed::Nothing("end of sequence")),
            Body::Ignored(what) => Ok(Demuxed::Nothing(what)),
        }
    }

    /// The same for a tag of a file or a message of any kind; script data is nothing here.
    pub fn push_tag(&mut self, kind: TagKind, timestamp_millis: u32, body: Bytes) -> Result<Demuxed, Error> {
        match kind {
            TagKind::Audio => self.push(TrackKind::Audio, timestamp_millis, body),
            TagKind::Video => self.push(TrackKind::Video, timestamp_millis, body),
            TagKind::Script => Ok(Demuxed::Nothing("script data")),
        }
    }

    fn config(&mut self, track: Track) -> Demuxed {
        match track.kind() {
            TrackKind::Video => self.video = Some(track.codec),
            TrackKind::Audio => self.audio = Some((track.codec, track.audio)),
        }
        Demuxed::Track(track)
    }

    fn frame(&mut self, codec: Codec, first: u8, frame: Frame) -> Demuxed {
        if codec.needs_no_config() {
            return self.implied(codec, audio::implied_info(codec, first), frame);
        }
        let known = match frame.kind {
            TrackKind::Video => self.video,
            TrackKind::Audio => self.audio.map(|(codec, _)| codec),
        };
        if known == Some(codec) {
            Demuxed::Frame(frame)
        } else {
            Demuxed::Nothing("frame before its sequence header")
        }
    }

    fn implied(&mut self, codec: Codec, info: AudioInfo, frame: Frame) -> Demuxed {
        let now = Some((codec, Some(info)));
        if self.audio == now {
            return Demuxed::Frame(frame);
        }
        self.audio = now;
        Demuxed::TrackAndFrame(Track::sound(frame.track, codec, info), frame)
    }
}

fn track_id(kind: TrackKind) -> TrackId {
    match kind {
        TrackKind::Video => TrackId::VIDEO,
        TrackKind::Audio => TrackId::AUDIO,
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
