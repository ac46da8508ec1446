//! FLV files and their tags (annex E.2 to E.4).

use crate::Error;
use bytes::{Buf, Bytes};
use headgate_codec::TrackKind;

const HEADER: &str = "FLV header";
const TAG: &str = "FLV tag";
const FILE_HEADER_BYTES: usize = 9;
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
        let skip = first_tag(&file)?.ok_or(Error::Truncated { what: HEADER })?;
        if skip > file.len() {
            return Err(Error::Truncated { what: HEADER });
        }
        file.advance(skip);
        Ok(Self { rest: file })
    }

    /// The next tag whatever its type, with the type.
    fn take(&mut self) -> Result<(Head, Bytes), Error> {
        let head = Head::read(&self.rest).ok_or(Error::Truncated { what: TAG })?;
        self.rest.advance(TAG_HEADER_BYTES);
        if self.rest.len() < head.size {
            return Err(Error::Truncated { what: TAG });
        }
        let body = self.rest.split_to(head.size);
        self.rest.advance(PREVIOUS_SIZE_BYTES.min(self.rest.len()));
        Ok((head, body))
    }
}

/// Where the first tag begins, behind a file's header and the first PreviousTagSize. `None` when that is not all there yet.
pub(crate) fn first_tag(mut file: &[u8]) -> Result<Option<usize>, Error> {
    if file.len() < FILE_HEADER_BYTES {
        return Ok(None);
    }
    let (signature, _flags, offset) = (file.get_u32(), file.get_u8(), file.get_u32());
    if signature != u32::from_be_bytes(*b"FLV\x01") {
        return Err(Error::Invalid {
            what: "FLV signature",
            value: signature,
        });
    }
    let offset_bytes = usize::try_from(offset).ok().filter(|o| *o >= FILE_HEADER_BYTES);
    let bad = Error::Invalid {
        what: "FLV data offset",
        value: offset,
    };
    Ok(Some(offset_bytes.ok_or(bad)?.saturating_add(PREVIOUS_SIZE_BYTES)))
}

/// What stands before a tag's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    kind: u8,
    size: usize,
    timestamp_millis: u32,
}

impl Head {
    /// `None` when it is not all there yet.
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < TAG_HEADER_BYTES {
            return None;
        }
        let kind = bytes.get_u8() & 31;
        let size = usize::try_from(bytes.get_uint(3)).unwrap_or(usize::MAX);
        let low = bytes.get_uint(3);
        let high = u64::from(bytes.get_u8());
        Some(Self {
            kind,
            size,
            timestamp_millis: u32::try_from((high << 24) | low).unwrap_or(u32::MAX),
        })
    }

    /// Bytes of the tag with its header and its PreviousTagSize.
    pub(crate) fn tag_bytes(self) -> usize {
        self.size.saturating_add(TAG_HEADER_BYTES + PREVIOUS_SIZE_BYTES)
    }

    /// The tag with this head out of its own bytes.
    pub(crate) fn tag_of(self, mut bytes: Bytes) -> Option<Tag> {
        bytes.advance(TAG_HEADER_BYTES.min(bytes.len()));
        bytes.truncate(self.size);
        self.tag(bytes)
    }

    /// `None` when it is of an unknown kind.
    fn tag(self, body: Bytes) -> Option<Tag> {
        let kinds = [TagKind::Audio, TagKind::Video, TagKind::Script];
        Some(Tag {
            kind: kinds.into_iter().find(|k| k.id() == self.kind)?,
            timestamp_millis: self.timestamp_millis,
            body,
        })
    }
}

impl Iterator for TagReader {
    type Item = Result<Tag, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (head, body) = match self.take() {
                Ok(tag) => tag,
                Err(error) => {
                    self.rest.clear();
                    return Some(Err(error));
                }
            };
            if let Some(tag) = head.tag(body) {
                return Some(Ok(tag));
            }
        }
        None
    }
}
