//! Reading a `moof`: where its frames are in the `mdat` that follows, and when.

use crate::Error;
use crate::boxes::Boxes;
use crate::tracks::{Defaults, Described, word};
use headgate_codec::Timestamp;

/// A frame that a `moof` announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Of the track in the list of tracks.
    pub(crate) track: usize,
    pub(crate) dts: Timestamp,
    pub(crate) pts: Timestamp,
    pub(crate) key: bool,
    /// From the start of the `moof`.
    pub(crate) at: u64,
    pub(crate) bytes: u32,
}

const SAMPLES_MAX: usize = 16_384;
const BAD: Error = Error::Malformed { what: "moof" };
/// `sample_is_non_sync_sample`.
const NON_SYNC: u32 = 0x1_0000;

/// Fields of a box that may or may not be there, one behind the other.
pub(crate) struct Fields<'a> {
    data: &'a [u8],
    flags: u32,
}

impl<'a> Fields<'a> {
    /// Of a box with version and flags.
    pub(crate) fn of(data: &'a [u8]) -> Result<(u8, Self), Error> {
        let head = word(data, 0).ok_or(BAD)?;
        let [version, ..] = head.to_be_bytes();
        let fields = Self {
            data: data.get(4..).ok_or(BAD)?,
            flags: head & 0x00ff_ffff,
        };
        Ok((version, fields))
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> Result<u32, Error> {
        let (head, rest) = self.data.split_first_chunk::<4>().ok_or(BAD)?;
        self.data = rest;
        Ok(u32::from_be_bytes(*head))
    }

    /// The next number if this flag says that it is there.
    pub(crate) fn next_if(&mut self, flag: u32) -> Result<Option<u32>, Error> {
        if self.flags & flag == 0 {
            return Ok(None);
        }
        self.next().map(Some)
    }
}

/// The frames of a `moof`, in its order.
pub(crate) fn parse(moof: &[u8], tracks: &[Described]) -> Result<Vec<Planned>, Error> {
    let mut samples = Vec::new();
    for found in Boxes::of(moof) {
        let (name, content) = found?;
        if &name == b"traf" {
            parse_track(content, tracks, &mut samples)?;
        }
    }
    Ok(samples)
}

fn parse_track(traf: &[u8], tracks: &[Described], samples: &mut Vec<Planned>) -> Result<(), Error> {
    let (_, mut head) = Fields::of(Boxes::find(traf, *b"tfhd").ok_or(BAD)?)?;
    let wire_id = head.next()?;
    let Some(index) = tracks.iter().position(|track| track.wire_id == wire_id) else {
        return Ok(());
    };
    let Some(described) = tracks.get(index) else {
        return Ok(());
    };
    if head.flags & 1 != 0 {
        return Err(Error::Malformed {
            what: "base data offset from the start of a file",
        });
    }
    head.next_if(2)?;
    let defaults = Defaults {
        duration: head.next_if(0x08)?.unwrap_or(described.defaults.duration),
        size: head.next_if(0x10)?.unwrap_or(described.defaults.size),
        flags: head.next_if(0x20)?.unwrap_or(described.defaults.flags),
    };
    let (version, mut time) = Fields::of(Boxes::find(traf, *b"tfdt").ok_or(BAD)?)?;
    let high = if version == 0 { 0 } else { time.next()? };
    let mut run = Run {
        track: index,
        timescale: described.timescale,
        dts: (u64::from(high) << 32) | u64::from(time.next()?),
        at: None,
        defaults,
    };
    for (name, content) in Boxes::of(traf).flatten() {
        if &name == b"trun" {
            run.parse(content, samples)?;
        }
    }
    Ok(())
}

/// The state that runs of one track share.
struct Run {
    track: usize,
    timescale: u32,
    dts: u64,
    /// Where the next frame is; runs that do not say follow the one before.
    at: Option<u64>,
    defaults: Defaults,
}

impl Run {
    fn parse(&mut self, trun: &[u8], samples: &mut Vec<Planned>) -> Result<(), Error> {
        let (version, mut fields) = Fields::of(trun)?;
        let count = fields.next()?;
        let offset = fields.next_if(1)?;
        let mut at = match (offset.map(u32::cast_signed), self.at) {
            (Some(offset), _) => u64::try_from(offset).map_err(|_| BAD)?,
            (None, Some(at)) => at,
            (None, None) => return Err(BAD),
        };
        let mut first_flags = fields.next_if(4)?;
        for _ in 0..count {
            if samples.len() >= SAMPLES_MAX {
                return Err(Error::TooLarge {
                    what: "number of frames",
                    value: u64::from(count),
                });
            }
            let duration = fields.next_if(0x100)?.unwrap_or(self.defaults.duration);
            let bytes = fields.next_if(0x200)?.unwrap_or(self.defaults.size);
            let own_flags = fields.next_if(0x400)?;
            let flags = first_flags.take().or(own_flags).unwrap_or(self.defaults.flags);
            let offset = fields.next_if(0x800)?.unwrap_or(0);
            let offset = if version == 0 {
                i64::from(offset)
            } else {
                i64::from(offset.cast_signed())
            };
            let pts = i128::from(self.dts).saturating_add(i128::from(offset));
            samples.push(Planned {
                track: self.track,
                dts: self.ticks(i128::from(self.dts)),
                pts: self.ticks(pts),
                key: flags & NON_SYNC == 0,
                at,
                bytes,
            });
            self.dts = self.dts.saturating_add(u64::from(duration));
            at = at.saturating_add(u64::from(bytes));
        }
        self.at = Some(at);
        Ok(())
    }

    fn ticks(&self, time: i128) -> Timestamp {
        let ticks = time
            .saturating_mul(i128::from(Timestamp::TICKS_PER_SECOND))
            .checked_div(i128::from(self.timescale))
            .and_then(|ticks| i64::try_from(ticks).ok());
        Timestamp::from_ticks(ticks.unwrap_or(i64::MAX))
    }
}
