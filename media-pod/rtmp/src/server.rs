//! The server's side of a connection as a state machine: bytes in, bytes and events out.
//!
//! It answers by itself what needs no decision. A publish or play is an event; until the caller accepts it, nothing that looks
//! like success goes out. One connection has one message stream, as every server of the field has it, and may publish or play
//! again after it has closed the stream.

use crate::amf0::{self, Value};
use crate::chunk::Limits;
use crate::connection::{Error, Link, READ};
use crate::handshake::{Progress, ServerHandshake};
use crate::message::{Message, command_message, control, kind, number_message, user_control_message};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// The bit of Enhanced RTMP's `capsEx` that stands for reconnect requests.
const CAPS_RECONNECT: f64 = 1.0;
/// The one message stream.
pub const STREAM_ID: u32 = 1;
/// Bytes of `onMetaData` that are kept: every viewer gets them, and a real one has some hundred.
const METADATA_BYTES_MAX: usize = 64 * 1024;
/// Both windows that we announce, in bytes.
const WINDOW: u32 = 2_500_000;

/// What the peer wants, or sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It connected; was answered already.
    Connected(Connect),
    /// It wants to publish; answer with [`ServerSession::accept_publish`] or [`ServerSession::reject_publish`].
    Publish {
        /// As it came, with a query.
        stream: String,
    },
    /// It wants to play; answer with [`ServerSession::accept_play`] or [`ServerSession::reject_play`].
    Play {
        /// As it came, with a query.
        stream: String,
    },
    /// It paused (`true`) or went on.
    Pause(bool),
    /// It ended its publish or play and keeps the connection.
    Closed,
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
    /// `onMetaData` with its values, as AMF0, without `@setDataFrame`.
    Metadata(Bytes),
}

/// What a client says of itself when it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// With a query, as it came.
    pub app: String,
    /// As it came.
    pub tc_url: String,
    /// The page that the player is on.
    pub page_url: String,
    /// Name and version of the client.
    pub flash_version: String,
    /// 0, or 3 for AMF3.
    pub object_encoding: u8,
    /// It acts upon [`ServerSession::ask_to_reconnect`] (Enhanced RTMP v2, `capsEx`).
    pub can_reconnect: bool,
}

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
    connected: bool,
    can_reconnect: bool,
    role: Role,
    /// The encoder announced its publish with FCPublish and waits for onFCPublish.
    announced: bool,
    /// What came behind a publish or play that has no answer yet.
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
            connected: false,
            can_reconnect: false,
            role: Role::None,
            announced: false,
            held: VecDeque::new(),
        }
    }

    /// The buffer to read the socket into; call [`ServerSession::process`] after each read.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.input.reserve(READ);
        &mut self.input
    }

    /// Whether the handshake and the connect are over.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Acts on `added` new bytes in the buffer. Events queue up behind each other. `random` fills handshake bytes.
    ///
    /// While a publish or play waits for its answer, what follows it is held back: the caller should read no more until it has
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
            Message::Data { payload, .. } if self.role == Role::Publishing => {
                self.events.extend(metadata(&payload).map(Event::Metadata));
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
        if !self.connected {
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
            "pause" => {
                let on = arguments.get(1) == Some(&Value::Boolean(true));
                self.events.push_back(Event::Pause(on));
            }
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
        if self.connected {
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
            can_reconnect: caps_reconnect(object.get("capsEx")),
        };
        self.connected = true;
        self.can_reconnect = connect.can_reconnect;
        self.link
            .control(&number_message(kind::WINDOW_ACK_SIZE, WINDOW), &mut self.output);
        let bandwidth = [&WINDOW.to_be_bytes()[..], &[2]].concat();
        let bandwidth = crate::chunk::RawMessage {
            payload: bandwidth.into(),
            ..number_message(kind::SET_PEER_BANDWIDTH, 0)
        };
        self.link.control(&bandwidth, &mut self.output);
        self.link.use_chunk_size(&mut self.output);
        let server = Value::object([
            ("fmsVer", "FMS/3,5,3,888".into()),
            ("capabilities", 127.0.into()),
            ("mode", 1.0.into()),
        ]);
        let status = [
            ("level", "status".into()),
            ("code", "NetConnection.Connect.Success".into()),
            ("description", "Connection succeeded".into()),
            ("objectEncoding", f64::from(connect.object_encoding).into()),
        ];
        let caps = connect.can_reconnect.then(|| ("capsEx", CAPS_RECONNECT.into()));
        let status = Value::object(status.into_iter().chain(caps));
        self.result(transaction, vec![server, status]);
        self.link.command(
            &command_message(0, "onBWDone", 0.0, vec![Value::Null]),
            &mut self.output,
        );
        self.events.push_back(Event::Connected(connect));
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

    /// Takes up what came while the answer was awaited, until the next question.
    fn answered(&mut self, role: Role) {
        self.role = role;
        while self.role != Role::Asking
            && let Some(message) = self.held.pop_front()
        {
            // Cannot fail: only a command before connect does.
            let _ = self.on_message(message);
        }
        self.spare_memory();
    }

    /// Lets the publisher send. It sees success with this.
    pub fn accept_publish(&mut self) {
        if std::mem::take(&mut self.announced) {
            self.fc_status("onFCPublish", "NetStream.Publish.Start", "Started publishing stream.");
        }
        self.status("status", "NetStream.Publish.Start", "Started publishing stream.");
        self.answered(Role::Publishing);
    }

    /// Refuses a publish. `description` is what the encoder shows; it begins with the reason.
    pub fn reject_publish(&mut self, code: &str, description: &str) {
        self.status("error", code, description);
        self.answered(Role::None);
    }

    /// Lets the player play. It sees success with this; media may follow at once. `|RtmpSampleAccess` and `NetStream.Data.Start`, which
    /// only the Flash Player knew, are left out: ffmpeg makes a track of them.
    pub fn accept_play(&mut self) {
        self.link.control(
            &user_control_message(control::STREAM_BEGIN, STREAM_ID),
            &mut self.output,
        );
        self.status("status", "NetStream.Play.Reset", "Playing and resetting stream.");
        self.status("status", "NetStream.Play.Start", "Started playing stream.");
        self.answered(Role::Playing);
    }

    /// Refuses a play.
    pub fn reject_play(&mut self, code: &str, description: &str) {
        self.status("error", code, description);
        self.answered(Role::None);
    }

    /// Tells a player that the stream is over.
    pub fn end_play(&mut self) {
        self.role = Role::None;
        self.link
            .control(&user_control_message(control::STREAM_EOF, STREAM_ID), &mut self.output);
        self.status(
            "status",
            "NetStream.Play.UnpublishNotify",
            "The stream is no longer published.",
        );
        self.status("status", "NetStream.Play.Stop", "Stopped playing stream.");
    }

    /// Asks the client to connect again, and to leave this connection when it has: there is a better server for it behind the same URL. Nothing
    /// is said to a client that does not know how.
    pub fn ask_to_reconnect(&mut self, description: &str) {
        if !self.can_reconnect {
            return;
        }
        let info = Value::object([
            ("level", "status".into()),
            ("code", "NetConnection.Connect.ReconnectRequest".into()),
            ("description", description.into()),
        ]);
        let message = command_message(0, "onStatus", 0.0, vec![Value::Null, info]);
        self.link.command(&message, &mut self.output);
    }

    /// Tells a publisher that its stream was ended by the server.
    pub fn end_publish(&mut self, description: &str) {
        self.role = Role::None;
        self.status("error", "NetStream.Publish.Denied", description);
        self.fc_status("onFCUnpublish", "NetStream.Unpublish.Success", description);
    }

    /// Answers a pause.
    pub fn acknowledge_pause(&mut self, on: bool) {
        let (code, text) = if on {
            ("NetStream.Pause.Notify", "Paused stream.")
        } else {
            ("NetStream.Unpause.Notify", "Unpaused stream.")
        };
        self.status("status", code, text);
    }

    fn result(&mut self, transaction: f64, arguments: Vec<Value>) {
        self.link
            .command(&command_message(0, "_result", transaction, arguments), &mut self.output);
    }

    fn status(&mut self, level: &str, code: &str, description: &str) {
        let info = Value::object([
            ("level", level.into()),
            ("code", code.into()),
            ("description", description.into()),
            ("clientid", "1".into()),
        ]);
        let message = command_message(STREAM_ID, "onStatus", 0.0, vec![Value::Null, info]);
        self.link.command(&message, &mut self.output);
    }

    fn fc_status(&mut self, name: &str, code: &str, description: &str) {
        let info = Value::object([("code", code.into()), ("description", description.into())]);
        let message = command_message(STREAM_ID, name, 0.0, vec![Value::Null, info]);
        self.link.command(&message, &mut self.output);
    }
}

/// Whether a client's `capsEx` has the bit for reconnect requests. It is a small whole number; what is none says nothing.
fn caps_reconnect(caps: Option<&Value>) -> bool {
    let caps = caps.and_then(Value::as_number).unwrap_or(0.0);
    (0.0..=255.0).contains(&caps) && caps % 2.0 >= 1.0
}

/// `onMetaData …`, with `@setDataFrame` taken off; `None` for other data, for what is too long, and for what is no AMF0.
fn metadata(payload: &Bytes) -> Option<Bytes> {
    if payload.len() > METADATA_BYTES_MAX {
        return None;
    }
    let (first, rest) = amf0::read_one(payload).ok()?;
    let (name, body) = match first.as_str()? {
        "@setDataFrame" => (amf0::read_one(rest).ok()?.0, payload.slice_ref(rest)),
        _ => (first.clone(), payload.clone()),
    };
    let values = amf0::read_all(&body).ok()?;
    // What may hold AMF3 is written anew: not every player reads that.
    let plain = if body.contains(&0x11) {
        amf0::write_all(&values)
    } else {
        body
    };
    (name.as_str() == Some("onMetaData")).then_some(plain)
}
