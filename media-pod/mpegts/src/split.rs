//! From the payload of PES packets to frames, a codec at a time.

use crate::Error;
use crate::adts::{self, Adts};
use crate::annexb::{self, Syntax, Unit};
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind, h264, h265, mp3};

/// What came out of a payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Demuxed {
    /// A track begins, or has a new configuration.
    Track(Track),
    /// A frame of a track that was announced.
    Frame(Frame),
}

/// A program map's stream type, as far as it is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    H264,
    H265,
    Aac,
    Mp3,
    Opus { channels: u8 },
}

impl Kind {
    pub(crate) fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}

/// One track's payloads as they follow each other.
#[derive(Debug)]
pub(crate) struct Splitter {
    id: TrackId,
    kind: Kind,
    /// What was announced last.
    track: Option<Track>,
    /// Parameter sets by their first bytes, as they came last.
    sets: Vec<Bytes>,
    /// The start of a frame of sound whose rest is in the next payload.
    carry: BytesMut,
}

/// Parameter sets of one stream; real ones have three or four.
const SETS_MAX: usize = 32;
/// The longest frame that may lie across payloads: of ADTS.
const CARRY_MAX: usize = 8191;

impl Splitter {
    pub(crate) fn new(id: TrackId, kind: Kind) -> Self {
        Self {
            id,
            kind,
            track: None,
            sets: Vec::new(),
            carry: BytesMut::new(),
        }
    }

    pub(crate) fn id(&self) -> TrackId {
        self.id
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes were lost: what was begun has no end.
    pub(crate) fn reset(&mut self) {
        self.carry.clear();
    }

    /// Takes one whole payload. What is good of a payload comes out even when an error follows.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        pts: Timestamp,
        dts: Timestamp,
        out: &mut Vec<Demuxed>,
    ) -> Result<(), Error> {
        match self.kind {
            Kind::H264 => self.picture(Syntax::H264, payload, pts, dts, out),
            Kind::H265 => self.picture(Syntax::H265, payload, pts, dts, out),
            Kind::Aac => self.sound(payload, pts, out, aac),
            Kind::Mp3 => self.sound(payload, pts, out, layer3),
            Kind::Opus { channels } => self.opus(channels, payload, pts, out),
        }
    }

    fn picture(
        &mut self,
        syntax: Syntax,
        payload: &[u8],
        pts: Timestamp,
        dts: Timestamp,
        out: &mut Vec<Demuxed>,
    ) -> Result<(), Error> {
        let mut frame = BytesMut::with_capacity(payload.len().saturating_add(64));
        let (mut key, mut new_sets) = (false, Vec::new());
        for unit in annexb::split(payload) {
            match syntax.unit(unit) {
                Unit::ParameterSet if new_sets.len() < SETS_MAX => {
                    new_sets.push(Bytes::copy_from_slice(unit));
                    continue;
                }
                Unit::Delimiter | Unit::ParameterSet => continue,
                Unit::KeySlice => key = true,
                Unit::Other => {}
            }
            frame.put_u32(u32::try_from(unit.len()).unwrap_or(u32::MAX));
            frame.put_slice(unit);
        }
        if !new_sets.is_empty() && self.sets != new_sets {
            self.sets = new_sets;
            self.announce(configured(syntax, self.id, &self.sets)?, out);
        }
        if self.track.is_some() && !frame.is_empty() {
            out.push(Demuxed::Frame(self.frame(pts, dts, key, frame.freeze())));
        }
        Ok(())
    }

    fn sound(
        &mut self,
        payload: &[u8],
        pts: Timestamp,
        out: &mut Vec<Demuxed>,
        read: fn(TrackId, &[u8]) -> Result<Option<Sound>, Error>,
    ) -> Result<(), Error> {
        // The time of a payload is that of the first frame that begins in it.
        let mut carry = std::mem::take(&mut self.carry);
        let begun = carry.len();
        carry.extend_from_slice(payload);
        let mut rest = carry.freeze();
        let mut at = pts;
        let mut first = begun > 0;
        loop {
            let Some(sound) = read(self.id, &rest)? else { break };
            if rest.len() < sound.bytes {
                break;
            }
            let whole = rest.split_to(sound.bytes);
            if std::mem::take(&mut first) {
                at = Timestamp::from_ticks(pts.ticks().saturating_sub(sound.ticks));
            }
            self.announce(sound.track, out);
            out.push(Demuxed::Frame(self.frame(at, at, true, whole.slice(sound.head..))));
            at = Timestamp::from_ticks(at.ticks().saturating_add(sound.ticks));
        }
        if rest.len() <= CARRY_MAX {
            self.carry = BytesMut::from(&rest[..]);
        }
        Ok(())
    }

    fn opus(&mut self, channels: u8, payload: &[u8], pts: Timestamp, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        const BAD: Error = Error::Malformed {
            what: "Opus control head",
        };
        let (mut rest, mut at) = (payload, pts);
        while !rest.is_empty() {
            let (&[high, low], mut tail) = rest.split_first_chunk::<2>().ok_or(BAD)?;
            if high != 0x7f || low & 0xe0 != 0xe0 {
                return Err(BAD);
            }
            let mut length = 0_usize;
            loop {
                let (byte, after) = tail.split_first().ok_or(BAD)?;
                (length, tail) = (length.saturating_add(usize::from(*byte)), after);
                if *byte < 255 {
                    break;
                }
            }
            // Trims at start and end, then an extension, where the flags say so.
            let trims = usize::from(low >> 4 & 1).saturating_add(usize::from(low >> 3 & 1));
            tail = tail.get(trims.saturating_mul(2)..).ok_or(BAD)?;
            if low & 4 != 0 {
                let (extension, after) = tail.split_first().ok_or(BAD)?;
                tail = after.get(usize::from(*extension)..).ok_or(BAD)?;
            }
            let (packet, after) = tail.split_at_checked(length).ok_or(BAD)?;
            self.announce(opus_track(self.id, channels), out);
            out.push(Demuxed::Frame(self.frame(at, at, true, Bytes::copy_from_slice(packet))));
            at = Timestamp::from_ticks(at.ticks().saturating_add(opus_ticks(packet)));
            rest = after;
        }
        Ok(())
    }

    fn announce(&mut self, track: Track, out: &mut Vec<Demuxed>) {
        if self.track.as_ref() != Some(&track) {
            out.push(Demuxed::Track(track.clone()));
            self.track = Some(track);
        }
    }

    fn frame(&self, pts: Timestamp, dts: Timestamp, key: bool, payload: Bytes) -> Frame {
        Frame {
            track: self.id,
            kind: if self.kind.is_video() {
                TrackKind::Video
            } else {
                TrackKind::Audio
            },
            dts,
            pts,
            key,
            payload,
        }
    }
}

/// A frame of sound at the start of some bytes.
struct Sound {
    track: Track,
    /// Of the frame with its head.
    bytes: usize,
    /// Of a head that is the container's, not the codec's.
    head: usize,
    /// To the next frame.
    ticks: i64,
}

fn aac(id: TrackId, data: &[u8]) -> Result<Option<Sound>, Error> {
    let Some((bytes, head, adts)) = adts::parse(data)? else {
        return Ok(None);
    };
    Ok(Some(Sound {
        track: Track::aac(id, Adts::config(adts))?,
        bytes,
        head,
        ticks: adts.ticks(),
    }))
}

fn layer3(id: TrackId, data: &[u8]) -> Result<Option<Sound>, Error> {
    Ok(mp3::parse(data)?.map(|frame| Sound {
        track: Track::sound(id, Codec::Mp3, frame.info),
        bytes: frame.bytes,
        head: 0,
        ticks: frame.ticks,
    }))
}

fn configured(syntax: Syntax, id: TrackId, sets: &[Bytes]) -> Result<Track, Error> {
    Ok(match syntax {
        Syntax::H264 => Track::h264(id, h264::record(sets)?)?,
        Syntax::H265 => Track::h265(id, h265::record(sets)?)?,
    })
}

/// With an OpusHead (RFC 7845 §5.1) for so many channels.
fn opus_track(id: TrackId, channels: u8) -> Track {
    let mut head = BytesMut::from(&b"OpusHead\x01"[..]);
    head.put_u8(channels);
    head.put_slice(&[0, 0]);
    head.put_u32_le(48_000);
    head.put_slice(&[0, 0, 0]);
    Track {
        audio: Some(AudioInfo {
            sample_rate: 48_000,
            channels: u32::from(channels),
        }),
        ..Track::plain(id, Codec::Opus, head.freeze())
    }
}

/// How long a packet lasts (RFC 6716 §3.1).
fn opus_ticks(packet: &[u8]) -> i64 {
    let toc = packet.first().copied().unwrap_or(0);
    // In units of 2.5 ms.
    let unit: i64 = match (toc >> 3, toc >> 3 & 3) {
        (0..12, 3) => 24,
        (0..12, n) => 4 << n,
        (12..16, n) => 4 << (n & 1),
        (_, n) => 1 << n,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => i64::from(packet.get(1).copied().unwrap_or(1) & 63),
    };
    unit.saturating_mul(frames).saturating_mul(225)
}
