//! Containers as the hub's output formats, framed for the way they go: made once for all viewers of a stream that ask for the same.

mod flv;
mod framing;
mod mp4;
mod ts;

pub(crate) use framing::Framing;

use bytes::{Bytes, BytesMut};
use headgate_codec::{Frame, Timestamp, Track};
use headgate_flv::Form;
use headgate_hub::{Format, FormatId, Packet, Protocol, Start};
use parking_lot::Mutex;
use smallvec::SmallVec;

/// What media is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Flv,
    Ts,
    Mp4,
}

impl Container {
    pub(crate) const ALL: [Self; 3] = [Self::Flv, Self::Ts, Self::Mp4];

    /// Of a file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Flv => ".flv",
            Self::Ts => ".ts",
            Self::Mp4 => ".mp4",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Ts => "video/mp2t",
            Self::Mp4 => "video/mp4",
        }
    }

    /// As sessions are labelled.
    pub(crate) fn protocol(self, framing: Framing) -> Protocol {
        match (self, framing) {
            (Self::Flv, Framing::WebSocket) => Protocol::WsFlv,
            (Self::Ts, Framing::WebSocket) => Protocol::WsTs,
            (Self::Mp4, Framing::WebSocket) => Protocol::WsFmp4,
            (Self::Flv, _) => Protocol::HttpFlv,
            (Self::Ts, _) => Protocol::HttpTs,
            (Self::Mp4, _) => Protocol::HttpFmp4,
        }
    }

    fn body(self, form: Form) -> Box<dyn Body> {
        match self {
            Self::Flv => Box::new(flv::Flv(form)),
            Self::Ts => Box::<ts::Ts>::default(),
            Self::Mp4 => Box::<mp4::Mp4>::default(),
        }
    }
}

/// Writes a container. Told of everything in the order of the stream, but for `start`, which is asked for by each viewer.
trait Body: Send {
    /// The tracks that are known where viewers can start.
    fn tracks(&mut self, _tracks: &[Track]) {}
    fn start(&mut self, start: &Start<'_>, out: &mut BytesMut);
    fn config(&mut self, track: &Track, at: Timestamp, out: &mut BytesMut);
    fn metadata(&mut self, _metadata: &Bytes, _out: &mut BytesMut) {}
    fn data(&mut self, _data: &Bytes, _at: Timestamp, _out: &mut BytesMut) {}
    /// What stands before and behind a frame's payload, in a container that takes it as it is.
    fn around(&mut self, _track: &Track, _frame: &Frame) -> Option<Around> {
        None
    }
    /// A frame, in one that does not.
    fn frame(&mut self, _track: &Track, _frame: &Frame, _out: &mut BytesMut) {}
}

/// See [`Body::around`].
type Around = (SmallVec<[u8; 32]>, [u8; 4]);

/// A container in a framing: a format of the hub.
pub(crate) struct MediaFormat {
    container: Container,
    framing: Framing,
    form: Form,
    body: Mutex<Box<dyn Body>>,
}

impl MediaFormat {
    pub(crate) fn new(container: Container, framing: Framing) -> Self {
        Self::with_form(container, framing, Form::default())
    }

    /// `form` is about FLV alone.
    pub(crate) fn with_form(container: Container, framing: Framing, form: Form) -> Self {
        Self {
            container,
            framing,
            form,
            body: Mutex::new(container.body(form)),
        }
    }

    fn framed(&self, room: usize, put: impl FnOnce(&mut dyn Body, &mut BytesMut)) -> Bytes {
        self.framing.wrap(room, |out| put(&mut **self.body.lock(), out))
    }
}

impl Format for MediaFormat {
    fn id(&self) -> FormatId {
        FormatId(match (self.container, self.framing) {
            (Container::Flv, Framing::Plain) => "flv",
            (Container::Flv, Framing::Chunked) => "flv-chunked",
            (Container::Flv, Framing::WebSocket) => "flv-ws",
            (Container::Ts, Framing::Plain) => "ts",
            (Container::Ts, Framing::Chunked) => "ts-chunked",
            (Container::Ts, Framing::WebSocket) => "ts-ws",
            (Container::Mp4, Framing::Plain) => "mp4",
            (Container::Mp4, Framing::Chunked) => "mp4-chunked",
            (Container::Mp4, Framing::WebSocket) => "mp4-ws",
        })
    }

    fn carries(&self, track: &Track) -> bool {
        match self.container {
            Container::Flv => self.form.carries(track),
            Container::Ts => headgate_mpegts::carries(track),
            Container::Mp4 => headgate_fmp4::carries(track),
        }
    }

    fn tracks(&self, tracks: &[Track]) {
        self.body.lock().tracks(tracks);
    }

    fn start(&self, start: &Start<'_>) -> Bytes {
        self.framed(0, |body, out| body.start(start, out))
    }

    fn config(&self, track: &Track, at: Timestamp) -> Bytes {
        self.framed(0, |body, out| body.config(track, at, out))
    }

    fn metadata(&self, metadata: &Bytes, _: Timestamp) -> Bytes {
        self.framed(0, |body, out| body.metadata(metadata, out))
    }

    fn data(&self, data: &Bytes, at: Timestamp) -> Bytes {
        self.framed(0, |body, out| body.data(data, at, out))
    }

    fn frame(&self, track: &Track, frame: &Frame) -> Packet {
        let around = self.body.lock().around(track, frame);
        if let Some((head, tail)) = around {
            return self.framing.wrap_around(&head, frame.payload.clone(), &tail);
        }
        let room = frame.payload.len().saturating_add(256);
        self.framed(room, |body, out| body.frame(track, frame, out)).into()
    }

    /// Fragments of one frame are a tenth heads.
    fn gather(&self, packets: &[Bytes]) -> Option<Bytes> {
        if self.container != Container::Mp4 {
            return None;
        }
        let bodies: Option<Vec<&[u8]>> = packets.iter().map(|packet| self.framing.unwrap(packet)).collect();
        let (bodies, room) = (
            bodies?,
            packets.iter().fold(0, |sum, packet| packet.len().saturating_add(sum)),
        );
        Some(self.framing.wrap(room, |out| headgate_fmp4::gather(bodies, out)))
    }
}
