//! Reading a `moov`: the tracks, and what fragments leave unsaid.

use crate::boxes::Boxes;
use crate::{Error, entry};
use bytes::Bytes;
use headgate_codec::{AudioInfo, Codec, Track, TrackId, VideoInfo};

/// A track that fragments refer to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    pub(crate) wire_id: u32,
    pub(crate) track: Track,
    /// Ticks a second.
    pub(crate) timescale: u32,
    pub(crate) defaults: Defaults,
}

/// What holds for samples that do not say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) duration: u32,
    pub(crate) size: u32,
    pub(crate) flags: u32,
}

const TRACKS_MAX: usize = 16;
const BAD: Error = Error::Malformed { what: "moov" };

/// The number in four bytes.
pub(crate) fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The tracks of a `moov`; those that are coded in other ways than we know are left out.
pub(crate) fn parse(moov: &[u8]) -> Result<Vec<Described>, Error> {
    let mut tracks = Vec::new();
    for found in Boxes::of(moov) {
        let (name, content) = found?;
        if &name == b"trak"
            && let Some(track) = described(content)?
        {
            if tracks.len() >= TRACKS_MAX {
                return Err(Error::TooLarge {
                    what: "number of tracks",
                    value: TRACKS_MAX as u64,
                });
            }
            tracks.push(track);
        }
    }
    for (name, trex) in Boxes::of(Boxes::find(moov, *b"mvex").unwrap_or_default()).flatten() {
        let track = tracks.iter_mut().find(|track| Some(track.wire_id) == word(trex, 4));
        if let (b"trex", Some(track)) = (&name, track) {
            let at = |at| word(trex, at).ok_or(BAD);
            track.defaults = Defaults {
                duration: at(12)?,
                size: at(16)?,
                flags: at(20)?,
            };
        }
    }
    Ok(tracks)
}

fn described(trak: &[u8]) -> Result<Option<Described>, Error> {
    let head = Boxes::find(trak, *b"tkhd").ok_or(BAD)?;
    let wire_id = word(head, if head.first() == Some(&1) { 20 } else { 12 }).ok_or(BAD)?;
    let media = Boxes::descend(trak, &[b"mdia", b"mdhd"]).ok_or(BAD)?;
    let timescale = word(media, if media.first() == Some(&1) { 20 } else { 12 }).ok_or(BAD)?;
    let table = Boxes::descend(trak, &[b"mdia", b"minf", b"stbl", b"stsd"]).ok_or(BAD)?;
    let id = wire_id.checked_sub(1).and_then(|id| u8::try_from(id).ok()).map(TrackId);
    let first = Boxes::of(table.get(8..).ok_or(BAD)?).next();
    let (Some(id), Some(first)) = (id, first) else {
        return Ok(None);
    };
    let (name, entry) = first?;
    Ok(track(id, name, entry)?.map(|track| Described {
        wire_id,
        track,
        timescale: timescale.max(1),
        defaults: Defaults::default(),
    }))
}

fn track(id: TrackId, name: [u8; 4], entry: &[u8]) -> Result<Option<Track>, Error> {
    const VISUAL_BYTES: usize = 78;
    const AUDIO_BYTES: usize = 28;
    let short = |at: usize| {
        let bytes = entry.get(at..at.saturating_add(2)).and_then(|b| b.try_into().ok());
        u32::from(bytes.map_or(0, u16::from_be_bytes))
    };
    let config = |skip: usize, name| Boxes::find(entry.get(skip..)?, name);
    let visual = |codec, name| {
        let config = config(VISUAL_BYTES, name).ok_or(BAD)?;
        Ok::<_, Error>(Track {
            video: Some(VideoInfo {
                width: short(24),
                height: short(26),
                frames_per_second: None,
            }),
            ..Track::plain(id, codec, Bytes::copy_from_slice(config))
        })
    };
    let info = AudioInfo {
        sample_rate: short(24),
        channels: short(16),
    };
    let sound = |codec, config: Bytes| Track {
        audio: Some(info),
        ..Track::plain(id, codec, config)
    };
    Ok(Some(match &name {
        b"avc1" | b"avc3" => Track::h264(id, visual(Codec::H264, *b"avcC")?.config)?,
        b"hvc1" | b"hev1" => Track::h265(id, visual(Codec::H265, *b"hvcC")?.config)?,
        b"av01" => visual(Codec::Av1, *b"av1C")?,
        b"vp09" => visual(Codec::Vp9, *b"vpcC")?,
        b"mp4a" => match esds(config(AUDIO_BYTES, *b"esds").ok_or(BAD)?).ok_or(BAD)? {
            (0x6b | 0x69, _) => sound(Codec::Mp3, Bytes::new()),
            (0x40, asc) => Track::aac(id, Bytes::copy_from_slice(asc))?,
            _ => return Ok(None),
        },
        b"Opus" => {
            let head = config(AUDIO_BYTES, *b"dOps").and_then(entry::opus_head);
            sound(Codec::Opus, head.ok_or(BAD)?)
        }
        b"fLaC" => {
            let blocks = config(AUDIO_BYTES, *b"dfLa")
                .and_then(|full| full.get(4..))
                .ok_or(BAD)?;
            sound(Codec::Flac, [&b"fLaC"[..], blocks].concat().into())
        }
        b"alaw" => sound(Codec::G711a, Bytes::new()),
        b"ulaw" => sound(Codec::G711u, Bytes::new()),
        _ => return Ok(None),
    }))
}

/// The kind of object and the DecoderSpecificInfo of an `esds`.
fn esds(full: &[u8]) -> Option<(u8, &[u8])> {
    let stream = descriptor(full.get(4..)?, 3)?;
    let flags = *stream.get(2)?;
    // What depends on other streams or names them is nothing we can use.
    let decoder = descriptor(stream.get(3..).filter(|_| flags & 0xe0 == 0)?, 4)?;
    let specific = decoder.get(13..).and_then(|rest| descriptor(rest, 5));
    Some((*decoder.first()?, specific.unwrap_or_default()))
}

/// The content of a descriptor that has this tag (ISO/IEC 14496-1 §8.3.3).
fn descriptor(data: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, mut rest) = data.split_first()?;
    let mut length = 0_usize;
    for _ in 0..4 {
        let (byte, after) = rest.split_first()?;
        (length, rest) = ((length << 7) | usize::from(byte & 0x7f), after);
        if byte & 0x80 == 0 {
            break;
        }
    }
    rest.get(..length).filter(|_| *found == tag)
}
