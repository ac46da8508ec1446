//! Segments to tracks and frames.

use crate::Error;
use crate::boxes::Head;
use crate::samples::{self, Planned};
use crate::tracks::{self, Described};
use bytes::{Buf, Bytes, BytesMut};
use headgate_codec::{Frame, Track};

/// What came out of some bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Demuxed {
    /// A track of an initialisation segment.
    Track(Track),
    /// A frame of a track that was announced. Its payload shares the fragment's bytes.
    Frame(Frame),
}

/// Reads a stream of boxes as they come.
#[derive(Debug, Default)]
pub struct Reader {
    rest: BytesMut,
    /// Bytes of a box that nobody wants, which are still to come.
    skip: u64,
    tracks: Vec<Described>,
    planned: Vec<Planned>,
    /// From the start of the newest `moof` to where `rest` begins.
    since_moof: u64,
    failed: bool,
}

/// Of `moov` and `moof`.
const HEADS_MAX: u64 = 1 << 20;
const DATA_MAX: u64 = 32 << 20;

impl Reader {
    /// Takes bytes, of any number, and appends what they came to. After an error the stream is lost: the same error comes again.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<Demuxed>) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Malformed { what: "stream" });
        }
        self.rest.extend_from_slice(data);
        let result = self.read(out);
        self.failed = result.is_err();
        if self.failed {
            self.rest = BytesMut::new();
        }
        result
    }

    fn read(&mut self, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        loop {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.rest.len());
            self.rest.advance(skipped);
            self.skip = self.skip.saturating_sub(skipped as u64);
            self.since_moof = self.since_moof.saturating_add(skipped as u64);
            let Some(head) = Head::parse(&self.rest)? else {
                return Ok(());
            };
            let max = match &head.name {
                b"moov" | b"moof" => HEADS_MAX,
                b"mdat" => DATA_MAX,
                _ => {
                    self.skip = head.content.saturating_add(head.before as u64);
                    continue;
                }
            };
            if head.content > max {
                return Err(Error::TooLarge {
                    what: "box",
                    value: head.content,
                });
            }
            let bytes = usize::try_from(head.content)
                .unwrap_or(usize::MAX)
                .saturating_add(head.before);
            if self.rest.len() < bytes {
                return Ok(());
            }
            let mut whole = self.rest.split_to(bytes).freeze();
            whole.advance(head.before);
            self.take(head, &whole, out)?;
        }
    }

    fn take(&mut self, head: Head, content: &Bytes, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        let bytes = head.content.saturating_add(head.before as u64);
        match &head.name {
            b"moov" => {
                self.tracks = tracks::parse(content)?;
                out.extend(self.tracks.iter().map(|t| Demuxed::Track(t.track.clone())));
            }
            b"moof" => {
                self.planned = samples::parse(content, &self.tracks)?;
                self.since_moof = 0;
            }
            _ => self.frames(self.since_moof.saturating_add(head.before as u64), content, out)?,
        }
        self.since_moof = self.since_moof.saturating_add(bytes);
        Ok(())
    }

    /// The frames that lie in an `mdat` whose content starts at `start`.
    fn frames(&mut self, start: u64, data: &Bytes, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        const BAD: Error = Error::Malformed {
            what: "place of a frame",
        };
        for planned in std::mem::take(&mut self.planned) {
            let Some(described) = self.tracks.get(planned.track) else {
                continue;
            };
            let from = planned
                .at
                .checked_sub(start)
                .and_then(|at| usize::try_from(at).ok())
                .ok_or(BAD)?;
            let to = usize::try_from(planned.bytes)
                .ok()
                .and_then(|n| from.checked_add(n))
                .ok_or(BAD)?;
            if to > data.len() {
                return Err(BAD);
            }
            out.push(Demuxed::Frame(Frame {
                track: described.track.id,
                kind: described.track.kind(),
                dts: planned.dts,
                pts: planned.pts,
                key: planned.key,
                payload: data.slice(from..to),
            }));
        }
        Ok(())
    }
}
