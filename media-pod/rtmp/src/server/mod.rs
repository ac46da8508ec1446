//! The server's side of a connection as a state machine: bytes in, bytes and events out.
//!
//! It answers by itself what needs no decision. A connect, publish or play is an event; until the caller accepts it, nothing that looks
//! like success goes out. One connection has one message stream, as every server of the field has it, and may publish or play
//! again after it has closed the stream.

mod answer;
mod caps;
mod data;
mod event;

pub use caps::Caps;
pub(crate) use caps::announcement;
pub use event::{Connect, Event};

use crate::amf0::Value;
use crate::chunk::Limits;
use crate::connection::{Error, Link, make_room};
use crate::handshake::{Progress, ServerHandshake};
use crate::message::Message;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// The one message stream.
pub const STREAM_ID: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    None,
    Asking,
    Publishing,
    Playing,
}

/// One connection.
#[derive(Debug)]
pub struct ServerSession {
    handshake: Option<ServerHandshake>,
    link: Link,
    input: BytesMut,
    output: BytesMut,
    events: VecDeque<Event>,
    /// A connect that has no answer yet, with its transaction.
    connecting: Option<(f64, Connect)>,
    is_connected: bool,
    caps: Caps,
    role: Role,
    /// The encoder announced its publish with FCPublish and waits for onFCPublish.
    announced: bool,
    /// What came behind a connect, publish or play that has no answer yet.
    held: VecDeque<Message>,
}

impl ServerSession {
    /// At the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            handshake: Some(ServerHandshake::default()),
            link: Link::new(limits),
            input: BytesMut::new(),
            output: BytesMut::new(),
            events: VecDeque::new(),
            connecting: None,
            is_connected: false,
            caps: Caps::default(),
            role: Role::None,
            announced: false,
            held: VecDeque::new(),
        }
    }

    /// The buffer to read the socket into; call [`ServerSession::process`] after each read.
    pub fn buffer(&mut self) -> &mut BytesMut {
        make_room(&mut self.input, self.role == Role::Publishing);
        &mut self.input
    }

    /// Whether the handshake and the connect are over.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// What the client knows of enhanced RTMP.
    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// Acts on `added` new bytes in the buffer. Events queue up behind each other. `random` fills handshake bytes.
    ///
    /// While a connect, publish or play waits for its answer, what follows it is held back: the caller should read no more until it has
    /// answered.
    pub fn process(&mut self, added: usize, random: &mut dyn FnMut(&mut [u8])) -> Result<(), Error> {
        if let Some(handshake) = &mut self.handshake {
            match handshake.input(&mut self.input, &mut self.output, random)? {
                Progress::Waiting => return Ok(()),
                Progress::Done => self.handshake = None,
            }
        }
        self.link.received(added, &mut self.output);
        while let Some(message) = self.link.next(&mut self.input, &mut self.output)? {
            self.on_message(message)?;
        }
        self.spare_memory();
        Ok(())
    }

    /// The oldest event that was not taken yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// All bytes that must be sent.
    pub fn take_output(&mut self) -> Bytes {
        if self.output.is_empty() {
            return Bytes::new();
        }
        std::mem::take(&mut self.output).freeze()
    }

    fn on_message(&mut self, message: Message) -> Result<(), Error> {
        match message {
            message if self.role == Role::Asking => {
                self.held.push_back(message);
                Ok(())
            }
            Message::Command {
                name,
                transaction,
                arguments,
            } => self.on_command(&name, transaction, &arguments),
            Message::Audio { timestamp, payload } if self.role == Role::Publishing => {
                self.events.push_back(Event::Audio { timestamp, payload });
                Ok(())
            }
            Message::Video { timestamp, payload } if self.role == Role::Publishing => {
                self.events.push_back(Event::Video { timestamp, payload });
                Ok(())
            }
            Message::Data { timestamp, payload } if self.role == Role::Publishing => {
                self.events.extend(data::event(timestamp, &payload));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_command(&mut self, name: &str, transaction: f64, arguments: &[Value]) -> Result<(), Error> {
        if name == "connect" {
            self.on_connect(transaction, arguments);
            return Ok(());
        }
        if !self.is_connected {
            return Err(Error::NotConnected(name.chars().take(32).collect()));
        }
        let text = arguments.get(1).and_then(Value::as_str).unwrap_or_default();
        match name {
            "createStream" => self.result(transaction, vec![Value::Null, Value::from(f64::from(STREAM_ID))]),
            "releaseStream" | "_checkbw" => self.result(transaction, vec![Value::Null, Value::Undefined]),
            "getStreamLength" => self.result(transaction, vec![Value::Null, Value::from(0.0)]),
            "FCPublish" => {
                self.announced = true;
                self.result(transaction, vec![Value::Null, Value::Undefined]);
            }
            "publish" => self.ask(Event::Publish {
                stream: text.to_owned(),
            }),
            "play" => self.ask(Event::Play {
                stream: text.to_owned(),
            }),
            "pause" | "pauseRaw" => {
                let on = arguments.get(1) == Some(&Value::Boolean(true));
                self.events.push_back(Event::Pause(on));
            }
            "seek" => self.status("error", "NetStream.Seek.Failed", "A live stream cannot be sought in."),
            "FCUnpublish" => {
                self.fc_status(
                    "onFCUnpublish",
                    "NetStream.Unpublish.Success",
                    "Stop publishing stream.",
                );
                self.result(transaction, vec![Value::Null, Value::Undefined]);
                self.close();
            }
            "closeStream" | "deleteStream" => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn on_connect(&mut self, transaction: f64, arguments: &[Value]) {
        if self.is_connected {
            return;
        }
        let object = arguments.first().cloned().unwrap_or(Value::Null);
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let encoding = object.get("objectEncoding").and_then(Value::as_number).unwrap_or(0.0);
        let connect = Connect {
            app: text("app"),
            tc_url: text("tcUrl"),
            page_url: text("pageUrl"),
            flash_version: text("flashVer"),
            object_encoding: if encoding >= 3.0 { 3 } else { 0 },
            caps: Caps::of(&object),
        };
        self.connecting = Some((transaction, connect.clone()));
        self.ask(Event::Connect(connect));
    }

    /// A second publish or play while one is on takes the place of the first.
    fn ask(&mut self, event: Event) {
        self.close();
        self.role = Role::Asking;
        self.events.push_back(event);
    }

    fn close(&mut self) {
        let before = std::mem::replace(&mut self.role, Role::None);
        if before != Role::None {
            self.events.push_back(Event::Closed);
        }
    }

    /// A player says next to nothing once it plays, and there may be thousands.
    fn spare_memory(&mut self) {
        if self.role == Role::Playing && self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Takes up what came while the answer was awaited, until the next question. A command before connect is an error, and none is held then.
    fn answered(&mut self, role: Role) {
        self.role = role;
        while self.role != Role::Asking
            && let Some(message) = self.held.pop_front()
        {
            let _ = self.on_message(message);
        }
        self.spare_memory();
    }
}
