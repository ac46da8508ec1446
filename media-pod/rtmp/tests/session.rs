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
use headgate_rtmp::message::{command_message, control, kind, number_message, user_control_message};
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

/// Lets whoever is there connect.
fn admit(server: &mut ServerSession, saw: &[server::Event]) {
    if matches!(saw.last(), Some(server::Event::Connect(_))) {
        server.accept_connect();
    }
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
        Self::of(client)
    }

    fn of(client: ClientSession) -> Self {
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
            while let Some(event) = self.server.poll_event() {
                self.server_saw.push(event);
                admit(&mut self.server, &self.server_saw);
            }
        }
    }
}

#[test]
fn a_publisher_sees_success_only_when_it_was_accepted() {
    let mut pair = Pair::new(Purpose::Publish, "alice?secret=k");
    assert!(matches!(&pair.server_saw[..], [
        server::Event::Connect(Connect { app, tc_url, .. }),
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

#[test]
fn a_client_that_is_refused_at_connect_is_told_so_and_nothing_else_happens() {
    let mut client = ClientSession::new(Purpose::Publish, "rtmp://host:1935", "..", "alice");
    client.process(0, &mut random).unwrap();
    let mut server = ServerSession::new(Limits::default());
    let mut said = vec![];
    for _ in 0..4 {
        let (up, down) = (client.take_output(), server.take_output());
        server.buffer().extend_from_slice(&up);
        server.process(up.len(), &mut random).unwrap();
        if let Some(server::Event::Connect(_)) = server.poll_event() {
            server.reject_connect("BadRequest: the app name has an empty or dotted path segment");
        }
        client.buffer().extend_from_slice(&down);
        client.process(down.len(), &mut random).unwrap();
        said.extend(std::iter::from_fn(|| client.poll_event()));
    }
    assert_eq!(
        said,
        [client::Event::Refused {
            code: "NetConnection.Connect.Rejected".into(),
            description: "BadRequest: the app name has an empty or dotted path segment".into(),
        }]
    );
    assert!(!server.is_connected());
}

#[test]
fn both_sides_learn_what_the_other_knows_of_enhanced_rtmp() {
    let plain = Pair::new(Purpose::Play, "alice");
    assert!(!plain.server.caps().is_enhanced && !plain.client.server_caps().is_enhanced);
    let mut client = ClientSession::new(Purpose::Play, "rtmp://host", "live", "alice").that_is_enhanced();
    client.process(0, &mut random).unwrap();
    let pair = Pair::of(client);
    for caps in [pair.server.caps(), pair.client.server_caps()] {
        assert!(
            caps.is_enhanced && caps.reconnect && caps.form.four_cc && caps.form.multitrack,
            "{caps:?}"
        );
    }
}

#[test]
fn data_of_any_name_comes_in_its_place_and_is_told_from_metadata() {
    let mut pair = Pair::new(Purpose::Publish, "alice");
    pair.server.accept_publish();
    pair.run();
    pair.server_saw.clear();
    let values = [
        Value::from("onTextData"),
        Value::object([("text", Value::from("hello"))]),
    ];
    let text = RawMessage {
        timestamp: 40,
        kind: 18,
        stream_id: 1,
        payload: write_all(&values),
    };
    pair.client.video(20, Bytes::from_static(b"v"));
    pair.run();
    feed(&mut pair.server, &text);
    pair.run();
    let seen: Vec<_> = std::iter::from_fn(|| pair.server.poll_event()).collect();
    let all = [pair.server_saw, seen].concat();
    let [server::Event::Video { .. }, server::Event::Data { timestamp, payload }] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!((*timestamp, payload), (40, &write_all(&values)));
}

#[test]
fn what_came_in_is_acknowledged_whether_or_not_the_peer_said_when_it_wants_that() {
    let acks = |pair: &mut Pair| {
        pair.client.video(0, Bytes::from(vec![1; 1_000_000]));
        let up = pair.client.take_output();
        let mut acks = 0;
        for piece in up.chunks(10_000) {
            pair.server.buffer().extend_from_slice(piece);
            pair.server.process(piece.len(), &mut random).unwrap();
            // Each is a message of type 3 and four bytes.
            acks += pair.server.take_output().len() / 16;
        }
        acks
    };
    let mut pair = Pair::new(Purpose::Publish, "alice");
    pair.server.accept_publish();
    pair.run();
    assert_eq!(acks(&mut pair) + acks(&mut pair) + acks(&mut pair), 1);
    feed(&mut pair.server, &number_message(kind::WINDOW_ACK_SIZE, 100_000));
    let seen = acks(&mut pair);
    assert!((9..=11).contains(&seen), "{seen}");
}

#[test]
fn a_ping_is_answered_and_a_limit_on_us_too() {
    let mut pair = Pair::new(Purpose::Play, "alice");
    feed(&mut pair.server, &user_control_message(control::PING_REQUEST, 77));
    assert_eq!(pair.server.take_output()[12..], [0, 7, 0, 0, 0, 77]);
    feed(&mut pair.server, &number_message(kind::SET_PEER_BANDWIDTH, 1));
    assert_eq!(pair.server.take_output()[12..], 2_500_000_u32.to_be_bytes());
}

#[test]
fn an_aggregate_comes_to_its_parts() {
    let mut pair = Pair::new(Purpose::Publish, "alice");
    pair.server.accept_publish();
    pair.run();
    pair.server_saw.clear();
    let part = |kind: u8, time: u8| [&[kind, 0, 0, 1, 0, 0, time, 0, 0, 0, 0, time][..], &[0, 0, 0, 12]].concat();
    let aggregate = RawMessage {
        timestamp: 1_000,
        kind: kind::AGGREGATE,
        stream_id: 1,
        payload: [
            part(kind::VIDEO, 10),
            part(kind::AUDIO, 30),
            part(kind::COMMAND_AMF0, 40),
        ]
        .concat()
        .into(),
    };
    feed(&mut pair.server, &aggregate);
    let seen: Vec<_> = std::iter::from_fn(|| pair.server.poll_event()).collect();
    let expected = [
        server::Event::Video {
            timestamp: 1_000,
            payload: Bytes::from_static(&[10]),
        },
        server::Event::Audio {
            timestamp: 1_020,
            payload: Bytes::from_static(&[30]),
        },
    ];
    assert_eq!(seen, expected);
}
