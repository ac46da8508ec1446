//! How frames become the bytes that viewers of one kind get.

use crate::Packet;
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track};
use std::any::Any;

/// Names a format; viewers of one stream that ask for equal ids share their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FormatId(pub &'static str);

/// What a viewer must know before its first frame.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The tracks that are known.
    pub tracks: &'a [Track],
    /// The publisher's `onMetaData` as AMF0: the name and the value behind each other.
    pub metadata: Option<&'a Bytes>,
    /// Decoding time of the first frame that follows.
    pub at: Timestamp,
    /// The viewer had bytes before: it skipped, or the stream was published anew. What may stand only once (a file header) must not be repeated.
    pub resumed: bool,
}

/// Makes output bytes, once per stream. Equal frames give equal bytes; a format that counts or remembers is told of everything in the order of the
/// stream, but for [`Format::start`], which each viewer asks for. Empty bytes are not sent.
pub trait Format: Any + Send + Sync + 'static {
    /// Its name.
    fn id(&self) -> FormatId;
    /// Whether viewers of this format get the track at all. What says no is left out of the output and named in the log.
    fn carries(&self, _track: &Track) -> bool {
        true
    }
    /// Another publisher's frames follow, or the same one's anew: their times have nothing to do with those before.
    fn begin(&self) {}
    /// The publisher is gone. Whether another one comes nobody knows yet.
    fn pause(&self) {}
    /// The tracks as they are known where viewers can start, told before the frame that is there.
    fn tracks(&self, _tracks: &[Track]) {}
    /// What a viewer gets before its first frame, and again after a gap.
    fn start(&self, start: &Start<'_>) -> Bytes;
    /// A track that is new or changed in mid-stream.
    fn config(&self, track: &Track, at: Timestamp) -> Bytes;
    /// Metadata that is new or changed in mid-stream.
    fn metadata(&self, _metadata: &Bytes, _at: Timestamp) -> Bytes {
        Bytes::new()
    }
    /// AMF0 data that goes with the stream at this time, such as `onTextData`: the name and the values behind each other.
    fn data(&self, _data: &Bytes, _at: Timestamp) -> Bytes {
        Bytes::new()
    }
    /// One frame.
    fn frame(&self, track: &Track, frame: &Frame) -> Packet;
    /// The same as some packets behind each other, said in fewer bytes; `None` where there is nothing to spare. Asked only of packets that are one
    /// piece each.
    fn gather(&self, _packets: &[Bytes]) -> Option<Bytes> {
        None
    }
}
