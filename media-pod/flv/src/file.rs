//! FLV files and their tags (annex E.2 to E.4).

use crate::Error;
use bytes::{Buf, Bytes};
use headgate_codec::TrackKind;

const HEADER: &str = "FLV header";
const TAG: &str = "FLV tag";
const TAG_HEADER_BYTES: usize = 11;
const PREVIOUS_SIZE_BYTES: usize = 4;

/// What a tag is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// AMF0 data such as `onMetaData`.
    Script,
}

impl TagKind {
    /// The number in a tag header; also RTMP's message type id.
    pub const fn id(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::Script => 18,
        }
    }
}

impl From<TrackKind> for TagKind {
    fn from(kind: TrackKind) -> Self {
        match kind {
            TrackKind::Video => Self::Video,
            TrackKind::Audio => Self::Audio,
        }
    }
}

/// One tag of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it is for.
    pub kind: TagKind,
    /// 32-bit milliseconds.
    pub timestamp_millis: u32,
    /// What [`crate::parse_video`] or [`crate::parse_audio`] reads.
    pub body: Bytes,
}

/// Iterates over the tags of a whole file in memory. Bodies share the file's bytes. Stops after the first error; tags of unknown kinds are passed over.
#[derive(Clone, Debug)]
pub struct TagReader {
    rest: Bytes,
}

impl TagReader {
    /// Reads the file header.
    pub fn new(mut file: Bytes) -> Result<Self, Error> {
        if file.len() < 9 {
            return Err(Error::Truncated { what: HEADER });
        }
        let (signature, _flags, offset) = (file.get_u32(), file.get_u8(), file.get_u32());
        if signature != u32::from_be_bytes(*b"FLV\x01") {
            return Err(Error::Invalid {
                what: "FLV signature",
                value: signature,
            });
        }
        let beyond = usize::try_from(offset).ok().and_then(|o| o.checked_sub(9));
        let skip = beyond
            .ok_or(Error::Invalid {
                what: "FLV data offset",
                value: offset,
            })?
            .saturating_add(PREVIOUS_SIZE_BYTES);
        if skip > file.len() {
            return Err(Error::Truncated { what: HEADER });
        }
        file.advance(skip);
        Ok(Self { rest: file })
    }

    /// The next tag whatever its type, with the type.
    fn take(&mut self) -> Result<(u8, u32, Bytes), Error> {
        if self.rest.len() < TAG_HEADER_BYTES {
            return Err(Error::Truncated { what: TAG });
        }
        let kind = self.rest.get_u8() & 31;
        let size = usize::try_from(self.rest.get_uint(3)).unwrap_or(usize::MAX);
        let low = self.rest.get_uint(3);
        let high = u64::from(self.rest.get_u8());
        self.rest.advance(3);
        if self.rest.len() < size {
            return Err(Error::Truncated { what: TAG });
        }
        let body = self.rest.split_to(size);
        self.rest.advance(PREVIOUS_SIZE_BYTES.min(self.rest.len()));
        Ok((kind, u32::try_from((high << 24) | low).unwrap_or(u32::MAX), body))
    }
}

impl Iterator for TagReader {
    type Item = Result<Tag, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (kind, timestamp_millis, body) = match self.take() {
                Ok(tag) => tag,
                Err(error) => {
                    self.rest.clear();
                    return Some(Err(error));
                }
            };
            let kind = [TagKind::Audio, TagKind::Video, TagKind::Script]
                .into_iter()
                .find(|k| k.id() == kind);
            if let Some(kind) = kind {
                return Some(Ok(Tag {
                    kind,
                    timestamp_millis,
                    body,
                }));
            }
        }
        None
    }
}
