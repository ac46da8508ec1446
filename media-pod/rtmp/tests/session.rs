//! Both sides of a connection with each other, without a socket: what each sees, and when.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

use bytes::{Bytes, BytesMut};
use headgate_rtmp::CHUNK_SIZE;
use headgate_rtmp::amf0::{Value, write_all};
use headgate_rtmp::chunk::{Limits, RawMessage, write_message};
use headgate_rtmp::client::{self, ClientSession, Purpose};
use headgate_rtmp::message::command_message;
use headgate_rtmp::server::{self, Connect, ServerSession};

fn random(bytes: &mut [u8]) {
    bytes.fill(7);
}

/// A message of a client that has set its chunk size.
fn feed(server: &mut ServerSession, message: &RawMessage) {
    let mut bytes = BytesMut::new();
    write_message(&mut bytes, 3, message, CHUNK_SIZE);
    server.buffer().extend_from_slice(&bytes);
    server.process(bytes.len(), &mut random).unwrap();
}

struct Pair {
    client: ClientSession,
    server: ServerSession,
    client_saw: Vec<client::Event>,
    server_saw: Vec<server::Event>,
}

impl Pair {
    fn new(purpose: Purpose, stream: &str) -> Self {
        let mut client = ClientSession::new(purpose, "rtmp://host:1935", "live", stream);
        client.process(0, &mut random).unwrap();
        let server = ServerSession::new(Limits::default());
        let mut pair = Self {
            client,
            server,
            client_saw: vec![],
            server_saw: vec![],
        };
        pair.run();
        pair
    }

    /// Carries bytes to and fro, in small pieces, until both are silent.
    fn run(&mut self) {
        loop {
            let (up, down) = (self.client.take_output(), self.server.take_output());
            if up.is_empty() && down.is_empty() {
                return;
            }
            for piece in up.chunks(97) {
                self.server.buffer().extend_from_slice(piece);
                self.server.process(piece.len(), &mut random).unwrap();
            }
            for piece in down.chunks(89) {
                self.client.buffer().extend_from_slice(piece);
                self.client.process(piece.len(), &mut random).unwrap();
            }
            self.client_saw.extend(std::iter::from_fn(|| self.client.poll_event()));
            self.server_saw.extend(std::iter::from_fn(|| self.server.poll_event()));
        }
    }
}

#[test]
fn a_publisher_sees_success_only_when_it_was_accepted() {
    let mut pair = Pair::new(Purpose::Publish, "alice?secret=k");
    assert!(matches!(&pair.server_saw[..], [
        server::Event::Connected(Connect { app, tc_url, .. }),
        server::Event::Publish { stream },
    ] if app == "live" && tc_url == "rtmp://host:1935/live" && stream == "alice?secret=k"));
    assert_eq!(pair.client_saw, [], "nothing that looks like success before the answer");
    pair.server.accept_publish();
    pair.run();
    assert_eq!(pair.client_saw, [client::Event::Started]);
}

#[test]
fn media_of_every_size_arrives_as_it_was_sent() {
    let mut pair = Pair::new(Purpose::Publish, "alice");
    pair.server.accept_publish();
    pair.run();
    pair.server_saw.clear();
    let frame = |size: usize| Bytes::from(vec![0x17; size]);
    pair.client.metadata(vec![("width".into(), 640.0.into())]);
    pair.client.video(0, frame(5));
    pair.client.audio(23, frame(60_000));
    pair.client.video(0x0100_0000, frame(200_000));
    pair.run();
    let metadata = write_all(&[
        "onMetaData".into(),
        Value::EcmaArray(vec![("width".into(), 640.0.into())]),
    ]);
    assert_eq!(
        pair.server_saw,
        [
            server::Event::Metadata(metadata),
            server::Event::Video {
                timestamp: 0,
                payload: frame(5)
            },
            server::Event::Audio {
                timestamp: 23,
                payload: frame(60_000)
            },
            server::Event::Video {
                timestamp: 0x0100_0000,
                payload: frame(200_000)
            },
        ]
    );
}

#[test]
fn a_refusal_carries_its_reason() {
    let mut pair = Pair::new(Purpose::Publish, "alice");
    pair.server
        .reject_publish("NetStream.Publish.Denied", "KeyWrong: the stream key is not valid");
    pair.run();
    assert_eq!(
        pair.client_saw,
        [client::Event::Refused {
            code: "NetStream.Publish.Denied".into(),
            description: "KeyWrong: the stream key is not valid".into(),
        }]
    );
}

#[test]
fn what_comes_before_the_answer_is_held_until_then() {
    let early = Bytes::from_static(b"early");
    let with_answer = |accept: fn(&mut ServerSession)| {
        let mut pair = Pair::new(Purpose::Publish, "alice");
        pair.server_saw.clear();
        pair.client.video(0, early.clone());
        pair.client.unpublish();
        pair.run();
        assert_eq!(pair.server_saw, []);
        accept(&mut pair.server);
        pair.run();
        pair.server_saw
    };
    let (timestamp, payload) = (0, early.clone());
    assert_eq!(
        with_answer(ServerSession::accept_publish),
        [server::Event::Video { timestamp, payload }, server::Event::Closed]
    );
    assert_eq!(
        with_answer(|server| server.reject_publish("NetStream.Publish.Denied", "HookDenied: no")),
        []
    );
}

#[test]
fn a_second_question_waits_for_the_answer_to_the_first() {
    let mut pair = Pair::new(Purpose::Publish, "alice");
    let bob = command_message(1, "publish", 8.0, vec![Value::Null, "bob".into(), "live".into()]);
    feed(&mut pair.server, &bob);
    assert_eq!(pair.server.poll_event(), None);
    pair.server.accept_publish();
    pair.run();
    let expected = [server::Event::Closed, server::Event::Publish { stream: "bob".into() }];
    assert_eq!(pair.server_saw[2..], expected);
    assert_eq!(pair.client_saw, [client::Event::Started], "success is said once");
}

#[test]
fn a_connection_may_publish_again_after_it_closed_its_stream() {
    let mut pair = Pair::new(Purpose::Publish, "alice");
    pair.server.accept_publish();
    pair.run();
    pair.client.unpublish();
    pair.run();
    pair.server_saw.clear();
    let again = command_message(1, "publish", 8.0, vec![Value::Null, "bob".into(), "live".into()]);
    feed(&mut pair.server, &again);
    assert_eq!(
        pair.server.poll_event(),
        Some(server::Event::Publish { stream: "bob".into() })
    );
}

#[test]
fn a_player_is_told_when_the_stream_ends() {
    let mut pair = Pair::new(Purpose::Play, "alice");
    assert_eq!(
        pair.server_saw.last(),
        Some(&server::Event::Play { stream: "alice".into() })
    );
    pair.server.accept_play();
    pair.server.end_play();
    pair.run();
    let statuses: Vec<_> = pair
        .client_saw
        .iter()
        .filter(|e| matches!(e, client::Event::Status(_) | client::Event::Started))
        .collect();
    assert_eq!(
        statuses,
        [
            &client::Event::Status("NetStream.Play.Reset".into()),
            &client::Event::Started,
            &client::Event::Status("NetStream.Play.UnpublishNotify".into()),
            &client::Event::Status("NetStream.Play.Stop".into()),
        ]
    );
}

#[test]
fn a_command_before_connect_ends_the_connection() {
    let mut server = ServerSession::new(Limits::default());
    server.buffer().extend_from_slice(&[3]);
    server.buffer().extend_from_slice(&[0; 3072]);
    let publish = command_message(1, "publish", 1.0, vec![Value::Null, "x".into()]);
    let mut bytes = BytesMut::new();
    write_message(&mut bytes, 3, &publish, 128);
    server.buffer().extend_from_slice(&bytes);
    let error = server.process(3073 + bytes.len(), &mut random).unwrap_err();
    assert_eq!(error.to_string(), "publish before connect");
}
