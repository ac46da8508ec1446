//! The client's side of a connection as a state machine: publishes or plays one stream. Used by tests, by the test publisher of
//! `cargo demo`, and by whatever relays a stream.

use crate::amf0::{self, Value};
use crate::chunk::{Limits, RawMessage};
use crate::connection::{Error, Link, make_room};
use crate::handshake::{ClientHandshake, Progress};
use crate::message::{Message, command_message, kind};
use crate::server::{Caps, announcement};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// What a client wants of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To send a stream.
    Publish,
    /// To receive one.
    Play,
}

/// What the server did.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The publish or play was let in.
    Started,
    /// It was not, or was ended.
    Refused {
        /// As `NetStream.Publish.Denied`.
        code: String,
        /// What the server says about it.
        description: String,
    },
    /// Another status, such as `NetStream.Play.UnpublishNotify`.
    Status(String),
    /// An FLV audio tag body.
    Audio {
        /// Milliseconds; wraps.
        timestamp: u32,
        /// The tag body.
        payload: Bytes,
    },
    /// An FLV video tag body.
    Video {
        /// Milliseconds; wraps.
        timestamp: u32,
        /// The tag body.
        payload: Bytes,
    },
    /// AMF0 values that go with the stream.
    Data(Bytes),
}

/// One connection.
#[derive(Debug)]
pub struct ClientSession {
    purpose: Purpose,
    app: String,
    tc_url: String,
    stream: String,
    handshake: Option<ClientHandshake>,
    link: Link,
    input: BytesMut,
    output: BytesMut,
    events: VecDeque<Event>,
    stream_id: u32,
    announces: Announces,
    server: Caps,
}

/// What we say we know of enhanced RTMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announces {
    Nothing,
    Reconnect,
    All,
}

const CONNECT: f64 = 1.0;
const CREATE_STREAM: f64 = 4.0;

impl ClientSession {
    /// For `stream` (with its query) of `app` at `rtmp://HOST:PORT`.
    pub fn new(purpose: Purpose, server: &str, app: &str, stream: &str) -> Self {
        Self {
            purpose,
            app: app.to_owned(),
            tc_url: format!("{}/{app}", server.trim_end_matches('/')),
            stream: stream.to_owned(),
            handshake: Some(ClientHandshake::default()),
            link: Link::new(Limits::default()),
            input: BytesMut::new(),
            output: BytesMut::new(),
            events: VecDeque::new(),
            stream_id: 1,
            announces: Announces::Nothing,
            server: Caps::default(),
        }
    }

    /// Says to the server that the caller acts upon `NetConnection.Connect.ReconnectRequest`, which comes as [`Event::Status`].
    #[must_use]
    pub fn that_reconnects(mut self) -> Self {
        self.announces = Announces::Reconnect;
        self
    }

    /// Says to the server that the caller knows all of enhanced RTMP: codecs by FourCC, several tracks, requests to reconnect.
    #[must_use]
    pub fn that_is_enhanced(mut self) -> Self {
        self.announces = Announces::All;
        self
    }

    /// What the server said it knows of enhanced RTMP, once [`Event::Started`] was seen.
    pub fn server_caps(&self) -> Caps {
        self.server
    }

    /// The message stream that the server gave, once [`Event::Started`] was seen.
    pub fn stream_id(&self) -> u32 {
        self.stream_id
    }

    /// The buffer to read the socket into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        make_room(&mut self.input, self.purpose == Purpose::Play);
        &mut self.input
    }

    /// Acts on `added` new bytes in the buffer. Call it once with 0 to begin.
    pub fn process(&mut self, added: usize, random: &mut dyn FnMut(&mut [u8])) -> Result<(), Error> {
        if let Some(handshake) = &mut self.handshake {
            match handshake.input(&mut self.input, &mut self.output, random)? {
                Progress::Waiting => return Ok(()),
                Progress::Done => self.connect(),
            }
        }
        self.link.received(added, &mut self.output);
        while let Some(message) = self.link.next(&mut self.input, &mut self.output)? {
            self.on_message(message);
        }
        Ok(())
    }

    /// The oldest event that was not taken yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// All bytes that must be sent.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// Sends an FLV audio tag body.
    pub fn audio(&mut self, timestamp: u32, payload: Bytes) {
        self.media(4, kind::AUDIO, timestamp, payload);
    }

    /// Sends an FLV video tag body.
    pub fn video(&mut self, timestamp: u32, payload: Bytes) {
        self.media(6, kind::VIDEO, timestamp, payload);
    }

    /// Sends `onMetaData`.
    pub fn metadata(&mut self, properties: Vec<(String, Value)>) {
        let values = [
            "@setDataFrame".into(),
            "onMetaData".into(),
            Value::EcmaArray(properties),
        ];
        self.media(5, kind::DATA_AMF0, 0, amf0::write_all(&values));
    }

    /// Says goodbye to a server that we published to.
    pub fn unpublish(&mut self) {
        let name = self.stream.clone();
        self.command(0, "FCUnpublish", 6.0, vec![Value::Null, name.as_str().into()]);
        let id = f64::from(self.stream_id);
        self.command(0, "deleteStream", 7.0, vec![Value::Null, id.into()]);
    }

    fn media(&mut self, csid: u8, kind: u8, timestamp: u32, payload: Bytes) {
        let message = RawMessage {
            timestamp,
            kind,
            stream_id: self.stream_id,
            payload,
        };
        self.link.send(csid, &message, &mut self.output);
    }

    fn command(&mut self, stream_id: u32, name: &str, transaction: f64, arguments: Vec<Value>) {
        self.link.command(
            &command_message(stream_id, name, transaction, arguments),
            &mut self.output,
        );
    }

    fn connect(&mut self) {
        self.handshake = None;
        self.link.use_chunk_size(&mut self.output);
        let object = [
            ("app", self.app.as_str().into()),
            ("type", "nonprivate".into()),
            ("flashVer", "FMLE/3.0 (compatible; Headgate)".into()),
            ("tcUrl", self.tc_url.as_str().into()),
        ];
        let caps = match self.announces {
            Announces::Nothing => vec![],
            Announces::Reconnect => vec![("capsEx", 1.0.into())],
            Announces::All => announcement().to_vec(),
        };
        let object = Value::object(object.into_iter().chain(caps));
        self.command(0, "connect", CONNECT, vec![object]);
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Command {
                name,
                transaction,
                arguments,
            } => match name.as_str() {
                "_result" => self.on_result(transaction, &arguments),
                "_error" => self.refused(arguments.get(1)),
                "onStatus" => self.on_status(arguments.get(1)),
                _ => {}
            },
            Message::Audio { timestamp, payload } => self.events.push_back(Event::Audio { timestamp, payload }),
            Message::Video { timestamp, payload } => self.events.push_back(Event::Video { timestamp, payload }),
            Message::Data { payload, .. } => self.events.push_back(Event::Data(payload)),
            _ => {}
        }
    }

    #[allow(
        clippy::float_cmp,
        reason = "transaction ids are small whole numbers that come back as they were sent"
    )]
    fn on_result(&mut self, transaction: f64, arguments: &[Value]) {
        let name = self.stream.clone();
        if transaction == CONNECT {
            // It stands in the one or in the other, or in both.
            let said = arguments.iter().map(Caps::of).find(|caps| caps.is_enhanced);
            self.server = said.unwrap_or_default();
            if self.purpose == Purpose::Publish {
                self.command(0, "releaseStream", 2.0, vec![Value::Null, name.as_str().into()]);
                self.command(0, "FCPublish", 3.0, vec![Value::Null, name.as_str().into()]);
            }
            self.command(0, "createStream", CREATE_STREAM, vec![Value::Null]);
        } else if transaction == CREATE_STREAM {
            let id = arguments.get(1).and_then(Value::as_number).unwrap_or(1.0);
            self.stream_id = if (1.0..=65_535.0).contains(&id) {
                small_whole(id)
            } else {
                1
            };
            let (command, kind) = match self.purpose {
                Purpose::Publish => ("publish", "live".into()),
                Purpose::Play => ("play", Value::from(-2000.0)),
            };
            self.command(
                self.stream_id,
                command,
                5.0,
                vec![Value::Null, name.as_str().into(), kind],
            );
        }
    }

    fn on_status(&mut self, info: Option<&Value>) {
        let text = |name: &str| {
            info.and_then(|i| i.get(name))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if text("level") == "error" {
            return self.refused(info);
        }
        self.events.push_back(match text("code").as_str() {
            "NetStream.Publish.Start" | "NetStream.Play.Start" => Event::Started,
            other => Event::Status(other.to_owned()),
        });
    }

    fn refused(&mut self, info: Option<&Value>) {
        let text = |name: &str| {
            info.and_then(|i| i.get(name))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        self.events.push_back(Event::Refused {
            code: text("code"),
            description: text("description"),
        });
    }
}

/// A whole number from 0 to 65,535 that came as a float.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller has checked the range"
)]
fn small_whole(number: f64) -> u32 {
    number as u32
}
