//! What the server says: answers to what a client asked for, and what it says of itself.

use super::caps::announcement;
use super::{Connect, Role, STREAM_ID, ServerSession};
use crate::amf0::Value;
use crate::chunk::RawMessage;
use crate::connection::WINDOW;
use crate::message::{command_message, control, kind, number_message, user_control_message};

/// Set Peer Bandwidth with the limit type "dynamic" (5.4.5).
const DYNAMIC: u8 = 2;

impl ServerSession {
    /// Lets the client connect, and tells one that knows enhanced RTMP what we know of it.
    pub fn accept_connect(&mut self) {
        let Some((transaction, connect)) = self.connecting.take() else {
            return;
        };
        (self.is_connected, self.caps) = (true, connect.caps);
        self.link
            .control(&number_message(kind::WINDOW_ACK_SIZE, WINDOW), &mut self.output);
        let bandwidth = RawMessage {
            payload: [&WINDOW.to_be_bytes()[..], &[DYNAMIC]].concat().into(),
            ..number_message(kind::SET_PEER_BANDWIDTH, 0)
        };
        self.link.control(&bandwidth, &mut self.output);
        self.link.use_chunk_size(&mut self.output);
        let arguments = connected(&connect);
        self.result(transaction, arguments);
        let done = command_message(0, "onBWDone", 0.0, vec![Value::Null]);
        self.link.command(&done, &mut self.output);
        self.answered(Role::None);
    }

    /// Refuses the connection; the caller closes it when that is said. `description` begins with the reason.
    pub fn reject_connect(&mut self, description: &str) {
        let Some((transaction, _)) = self.connecting.take() else {
            return;
        };
        let info = info("error", "NetConnection.Connect.Rejected", description);
        let message = command_message(0, "_error", transaction, vec![Value::Null, info]);
        self.link.command(&message, &mut self.output);
        self.role = Role::None;
        self.held.clear();
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

    /// Tells a publisher that its stream was ended by the server.
    pub fn end_publish(&mut self, description: &str) {
        self.role = Role::None;
        self.status("error", "NetStream.Publish.Denied", description);
        self.fc_status("onFCUnpublish", "NetStream.Unpublish.Success", description);
    }

    /// Asks the client to connect again, and to leave this connection when it has: there is a better server for it behind the same URL. Nothing
    /// is said to a client that does not know how.
    pub fn ask_to_reconnect(&mut self, description: &str) {
        if self.caps.reconnect {
            let info = info("status", "NetConnection.Connect.ReconnectRequest", description);
            let message = command_message(0, "onStatus", 0.0, vec![Value::Null, info]);
            self.link.command(&message, &mut self.output);
        }
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

    pub(super) fn result(&mut self, transaction: f64, arguments: Vec<Value>) {
        self.link
            .command(&command_message(0, "_result", transaction, arguments), &mut self.output);
    }

    pub(super) fn status(&mut self, level: &str, code: &str, description: &str) {
        let mut info = info(level, code, description);
        if let Value::Object(list) = &mut info {
            list.push(("clientid".into(), "1".into()));
        }
        let message = command_message(STREAM_ID, "onStatus", 0.0, vec![Value::Null, info]);
        self.link.command(&message, &mut self.output);
    }

    pub(super) fn fc_status(&mut self, name: &str, code: &str, description: &str) {
        let info = Value::object([("code", code.into()), ("description", description.into())]);
        let message = command_message(STREAM_ID, name, 0.0, vec![Value::Null, info]);
        self.link.command(&message, &mut self.output);
    }
}

fn info(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", level.into()),
        ("code", code.into()),
        ("description", description.into()),
    ])
}

/// What a client is told of the server, then of its connection. Capabilities stand in both: the specification says the first, and clients
/// look for them in the second.
fn connected(connect: &Connect) -> Vec<Value> {
    let caps = || connect.caps.is_enhanced.then(announcement).into_iter().flatten();
    let server = [
        ("fmsVer", "FMS/3,5,3,888".into()),
        ("capabilities", 127.0.into()),
        ("mode", 1.0.into()),
    ];
    let status = [
        ("level", "status".into()),
        ("code", "NetConnection.Connect.Success".into()),
        ("description", "Connection succeeded".into()),
        ("objectEncoding", f64::from(connect.object_encoding).into()),
    ];
    vec![
        Value::object(server.into_iter().chain(caps())),
        Value::object(status.into_iter().chain(caps())),
    ]
}
