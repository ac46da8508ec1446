//! What a target gets: what viewers get, but metadata in the form in which encoders send it.

use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track};
use headgate_flv::Form;
use headgate_hub::{Format, FormatId, Packet, Start};
use headgate_rtmp::format::RtmpFormat;
use std::sync::Arc;

/// See the module. Targets of one stream share their bytes.
pub(crate) struct PushFormat(RtmpFormat);

/// AMF0's `@setDataFrame`.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

impl PushFormat {
    pub(crate) fn of(form: Form) -> Arc<dyn Format> {
        Arc::new(Self(RtmpFormat(form)))
    }
}

impl Format for PushFormat {
    fn id(&self) -> FormatId {
        let Form { four_cc, multitrack } = self.0.0;
        FormatId(match (four_cc, multitrack) {
            (false, false) => "push",
            (true, false) => "push-fourcc",
            (false, true) => "push-tracks",
            (true, true) => "push-fourcc-tracks",
        })
    }

    fn carries(&self, track: &Track) -> bool {
        self.0.carries(track)
    }

    fn start(&self, start: &Start<'_>) -> Bytes {
        let metadata = start.metadata.map(set);
        self.0.start(&Start {
            metadata: metadata.as_ref(),
            ..*start
        })
    }

    fn config(&self, track: &Track, at: Timestamp) -> Bytes {
        self.0.config(track, at)
    }

    fn metadata(&self, metadata: &Bytes, at: Timestamp) -> Bytes {
        self.0.metadata(&set(metadata), at)
    }

    fn data(&self, data: &Bytes, at: Timestamp) -> Bytes {
        self.0.data(data, at)
    }

    /// In one piece: the messages are put on another message stream.
    fn frame(&self, track: &Track, frame: &Frame) -> Packet {
        self.0.frame(track, frame).to_bytes().into()
    }
}

fn set(metadata: &Bytes) -> Bytes {
    [SET_DATA_FRAME, metadata].concat().into()
}
