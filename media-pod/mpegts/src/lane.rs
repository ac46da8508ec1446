//! One track of the program: what its packets need besides the frame.

use crate::adts::Adts;
use crate::annexb::{self, Syntax};
use crate::packet::{Adaptation, put_packets};
use crate::sections::Entry;
use crate::{Error, FIRST_PID, pes};
use bytes::{Bytes, BytesMut};
use headgate_codec::aac::AudioSpecificConfig;
use headgate_codec::h264::AvcConfig;
use headgate_codec::h265::HevcConfig;
use headgate_codec::{Codec, Frame, Track};
use smallvec::SmallVec;

/// How a codec's frames stand in PES packets.
#[derive(Clone, Debug, PartialEq)]
enum Coding {
    Nal {
        syntax: Syntax,
        length_size: usize,
        /// Behind start codes.
        sets: Bytes,
    },
    Aac(Adts),
    Mp3 {
        /// The lower rates of MPEG-2.
        low: bool,
    },
    Opus {
        /// Registration, and the channel configuration in the extension descriptor.
        descriptors: [u8; 10],
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) track: Track,
    pub(crate) pid: u16,
    counter: u8,
    coding: Coding,
}

/// Whether a transport stream can hold a track: its codec has a place in one, and its configuration can be read.
pub fn carries(track: &Track) -> bool {
    Coding::of(track).is_some()
}

const HEVC: &[u8] = &[5, 4, b'H', b'E', b'V', b'C'];
const STREAM_VIDEO: u8 = 0xe0;
const STREAM_AUDIO: u8 = 0xc0;
const STREAM_PRIVATE: u8 = 0xbd;

impl Lane {
    /// `None` for a track that a transport stream cannot carry.
    pub(crate) fn new(track: &Track, counter: u8) -> Option<Self> {
        Some(Self {
            coding: Coding::of(track)?,
            track: track.clone(),
            pid: FIRST_PID.saturating_add(u16::from(track.id.0)),
            counter,
        })
    }

    /// Where the next packet's counter stands.
    pub(crate) fn counter(&self) -> u8 {
        self.counter
    }

    pub(crate) fn is_video(&self) -> bool {
        matches!(self.coding, Coding::Nal { .. })
    }

    /// Its line in the program map.
    pub(crate) fn entry(&self) -> Entry<'_> {
        let (stream_type, descriptors): (u8, &[u8]) = match &self.coding {
            Coding::Nal {
                syntax: Syntax::H264, ..
            } => (0x1b, &[]),
            Coding::Nal {
                syntax: Syntax::H265, ..
            } => (0x24, HEVC),
            Coding::Aac(_) => (0x0f, &[]),
            Coding::Mp3 { low: false } => (0x03, &[]),
            Coding::Mp3 { low: true } => (0x04, &[]),
            Coding::Opus { descriptors } => (0x06, descriptors),
        };
        Entry {
            stream_type,
            pid: self.pid,
            descriptors,
        }
    }

    /// A frame's packets. After an error nothing was written.
    pub(crate) fn put(&mut self, out: &mut BytesMut, frame: &Frame, first: Adaptation) -> Result<(), Error> {
        const LONG: Error = Error::Malformed { what: "AAC frame" };
        let payload = &frame.payload[..];
        match &self.coding {
            Coding::Nal {
                syntax,
                length_size,
                sets,
            } => {
                let sets = if frame.key { &sets[..] } else { &[] };
                let parts = annexb::access_unit(*syntax, *length_size, sets, payload)?;
                put_pes(out, (self.pid, &mut self.counter), STREAM_VIDEO, frame, first, &parts);
            }
            Coding::Aac(adts) => {
                let head = adts.head(payload.len()).ok_or(LONG)?;
                put_pes(
                    out,
                    (self.pid, &mut self.counter),
                    STREAM_AUDIO,
                    frame,
                    first,
                    &[&head, payload],
                );
            }
            Coding::Mp3 { .. } => put_pes(
                out,
                (self.pid, &mut self.counter),
                STREAM_AUDIO,
                frame,
                first,
                &[payload],
            ),
            Coding::Opus { .. } => {
                let head = opus_head(payload.len());
                put_pes(
                    out,
                    (self.pid, &mut self.counter),
                    STREAM_PRIVATE,
                    frame,
                    first,
                    &[&head, payload],
                );
            }
        }
        Ok(())
    }
}

fn put_pes(
    out: &mut BytesMut,
    (pid, counter): (u16, &mut u8),
    stream_id: u8,
    frame: &Frame,
    first: Adaptation,
    parts: &[&[u8]],
) {
    let payload = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let head = pes::head(stream_id, frame.pts, frame.dts, payload);
    put_packets(out, pid, counter, first, &head, parts);
}

impl Coding {
    fn of(track: &Track) -> Option<Self> {
        match track.codec {
            Codec::H264 => {
                let config = AvcConfig::parse(&track.config).ok()?;
                Some(Self::Nal {
                    syntax: Syntax::H264,
                    length_size: config.length_size,
                    sets: annexb::join(config.sps.iter().chain(&config.pps).copied()),
                })
            }
            Codec::H265 => {
                let config = HevcConfig::parse(&track.config).ok()?;
                Some(Self::Nal {
                    syntax: Syntax::H265,
                    length_size: config.length_size,
                    sets: annexb::join(config.units.iter().map(|(_, unit)| *unit)),
                })
            }
            Codec::Aac => Adts::of(&AudioSpecificConfig::parse(&track.config).ok()?).map(Self::Aac),
            Codec::Mp3 => Some(Self::Mp3 {
                low: track.audio.is_some_and(|audio| audio.sample_rate < 32_000),
            }),
            Codec::Opus => Some(Self::Opus {
                descriptors: [5, 4, b'O', b'p', b'u', b's', 0x7f, 2, 0x80, opus_channels(track)],
            }),
            Codec::Av1
            | Codec::Vp9
            | Codec::Flac
            | Codec::G711a
            | Codec::G711u
            | Codec::Ac3
            | Codec::Eac3
            | Codec::Speex => None,
        }
    }
}

/// From the OpusHead (RFC 7845 §5.1); two where there is none.
fn opus_channels(track: &Track) -> u8 {
    let said = track.config.get(9).copied().filter(|n| (1..=8).contains(n));
    said.or_else(|| track.audio.and_then(|a| u8::try_from(a.channels).ok()))
        .unwrap_or(2)
}

/// The control head before an Opus packet (ETSI TS 101 154 and the Opus-in-TS draft): a mark, then the length in bytes of 255 and a rest.
fn opus_head(payload: usize) -> SmallVec<[u8; 16]> {
    let mut head = SmallVec::from_slice(&[0x7f, 0xe0]);
    head.resize((payload / 255).saturating_add(2), 0xff);
    head.push(u8::try_from(payload % 255).unwrap_or(0));
    head
}
