//! The shell over real sockets: what goes in comes out, and every rule that ends a connection.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

use bytes::{Bytes, BytesMut};
use headgate_hub::{EndReason, Hub, Metrics, OpenGate};
use headgate_rtmp::CHUNK_SIZE;
use headgate_rtmp::amf0::Value;
use headgate_rtmp::chunk::write_message;
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use headgate_rtmp::message::command_message;
use headgate_rtmp::serve::{Options, serve};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// FLV tag body of an H.264 sequence header, 1280x720, made by x264.
const SEQUENCE_HEADER: &[u8] = &[
    0x17, 0, 0, 0, 0, 0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50,
    0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60, 0x01,
    0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];
const SOON: Duration = Duration::from_secs(5);

struct Server {
    addr: SocketAddr,
    hub: Hub,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(options: Options) -> Self {
        let hub = Hub::new(
            Arc::new(OpenGate),
            Metrics::register(&prometheus::Registry::new()).unwrap(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, hub.clone(), options, shutdown.clone()));
        Self {
            addr,
            hub,
            shutdown,
            task,
        }
    }

    fn viewers(&self) -> u32 {
        self.hub.snapshot().iter().flat_map(|s| s.viewers.values()).sum()
    }

    fn publishers(&self) -> Vec<String> {
        let streams = self.hub.snapshot().into_iter();
        streams
            .filter(|s| s.publisher.is_some())
            .map(|s| s.name.to_string())
            .collect()
    }

    async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is(self) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(SOON, wait).await.is_ok(), "{what}");
    }
}

struct Peer {
    socket: TcpStream,
    session: ClientSession,
}

impl Peer {
    /// A peer that is connected and has asked for its stream.
    async fn new(server: &Server, purpose: Purpose, stream: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut session = ClientSession::new(purpose, "rtmp://127.0.0.1", "live", stream);
        session.process(0, &mut |out| out.fill(7)).unwrap();
        Self {
            socket: socket.connect(server.addr).await.unwrap(),
            session,
        }
    }

    async fn started(server: &Server, purpose: Purpose, stream: &str) -> Self {
        let mut peer = Self::new(server, purpose, stream).await;
        while peer.next().await.unwrap() != Event::Started {}
        peer
    }

    async fn send(&mut self) {
        let out = self.session.take_output();
        self.socket.write_all(&out).await.unwrap();
    }

    async fn command(&mut self, name: &str, arguments: Vec<Value>) -> std::io::Result<()> {
        let mut out = BytesMut::new();
        write_message(&mut out, 3, &command_message(1, name, 9.0, arguments), CHUNK_SIZE);
        self.socket.write_all(&out).await
    }

    /// `None`: the server has closed.
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.send().await;
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            let read = timeout(SOON, self.socket.read_buf(self.session.buffer()))
                .await
                .unwrap();
            match read {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.session.process(count, &mut |out| out.fill(7)).unwrap(),
            }
        }
    }

    /// What the server still says, to its close.
    async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// FLV tag body of a frame, of so many bytes.
fn frame(key: bool, size: usize) -> Bytes {
    let nal = u32::try_from(size - 9).unwrap().to_be_bytes();
    let (kind, nal_kind) = if key { (0x17, 0x65) } else { (0x27, 0x41) };
    [&[kind, 1, 0, 0, 0][..], &nal, &vec![nal_kind; size - 9]]
        .concat()
        .into()
}

fn video_of(event: Event) -> Option<(u32, Bytes)> {
    match event {
        Event::Video { timestamp, payload } => Some((timestamp, payload)),
        _ => None,
    }
}

#[tokio::test]
async fn what_goes_in_comes_out_with_its_times() {
    let server = Server::start(Options::default()).await;
    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    // Across the time at which headers grow by four bytes, and longer than a chunk.
    let mut sent = vec![(0x00ff_fff0, Bytes::from_static(SEQUENCE_HEADER))];
    sent.extend((0..20_u32).map(|n| (0x00ff_fff0 + n * 3, frame(n == 0, 50_000 + 1_000 * n as usize))));
    for (timestamp, payload) in &sent {
        publisher.session.video(*timestamp, payload.clone());
    }
    publisher.send().await;
    let mut got = Vec::new();
    while got.len() < sent.len() {
        got.extend(video_of(player.next().await.unwrap()));
    }
    assert!(
        got == sent,
        "times: {:x?}",
        got.iter().map(|(t, p)| (*t, p.len())).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_player_that_stops_reading_is_cut_and_nobody_else_notices() {
    let options = Options {
        stall_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let server = Server::start(options).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let _stuck = Peer::started(&server, Purpose::Play, "alice").await;
    let mut good = Peer::started(&server, Purpose::Play, "alice").await;
    assert_eq!(server.viewers(), 2);
    publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    for n in 0..100 {
        publisher.session.video(n, frame(true, 200_000));
        publisher.send().await;
        while video_of(good.next().await.unwrap()).is_none_or(|(time, body)| time != n || body.len() < 1000) {}
    }
    server.until("the stuck player is cut", |s| s.viewers() == 1).await;
    assert_eq!(server.publishers(), ["live/alice"]);
}

#[tokio::test]
async fn chatter_keeps_nobody_alive() {
    let options = Options {
        handshake_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let server = Server::start(options).await;
    let mut peer = Peer::started(&server, Purpose::Play, "alice").await;
    peer.command("closeStream", vec![Value::Null]).await.unwrap();
    server.until("the play is over", |s| s.viewers() == 0).await;
    sleep(Duration::from_millis(400)).await;
    peer.command("pause", vec![Value::Null, Value::Boolean(true)])
        .await
        .unwrap();
    let answer = peer.next().await;
    assert!(answer.is_some(), "a connection that has had its stream has longer");

    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    let chat = async {
        loop {
            if idle.write_all(&[3]).await.is_err() || idle.read(&mut [0; 8]).await.unwrap_or(0) == 0 {
                return;
            }
        }
    };
    assert!(
        timeout(SOON, chat).await.is_ok(),
        "a peer that never says what it wants is closed"
    );
}

#[tokio::test]
async fn a_publisher_that_falls_silent_is_ended() {
    let options = Options {
        first_packet_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(200),
        ..Options::default()
    };
    let server = Server::start(options).await;
    for packets in [0, 1] {
        let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
        for _ in 0..packets {
            publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
        }
        publisher.rest().await;
        server.until("its session is over", |s| s.publishers().is_empty()).await;
    }
}

#[tokio::test]
async fn a_kicked_publisher_and_a_kicked_player_are_told() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let session = server.hub.snapshot()[0].publisher.as_ref().unwrap().session.id;
    assert!(server.hub.kick(session, EndReason::Kicked));
    let said = publisher.rest().await;
    assert!(
        said.iter()
            .any(|e| matches!(e, Event::Refused { description, .. } if description.starts_with("Kicked"))),
        "{said:?}"
    );

    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    server.hub.end_all(EndReason::Kicked);
    let said = player.rest().await;
    assert!(said.contains(&Event::Status("NetStream.Play.Stop".into())), "{said:?}");
}

#[tokio::test]
async fn one_connection_publishes_one_stream_after_the_other() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    publisher.session.unpublish();
    publisher.send().await;
    server.until("alice is over", |s| s.publishers().is_empty()).await;
    let bob = vec![Value::Null, "bob".into(), "live".into()];
    publisher.command("publish", bob).await.unwrap();
    while publisher.next().await.unwrap() != Event::Started {}
    assert_eq!(server.publishers(), ["live/bob"]);
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_its_sessions() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    server.task.abort();
    publisher.rest().await;
    timeout(SOON, server.hub.idle()).await.unwrap();
    assert!(!server.shutdown.is_cancelled());
}

#[tokio::test]
async fn a_player_that_is_sent_elsewhere_gets_all_that_was_begun_and_hears_why() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let mut player = Peer::new(&server, Purpose::Play, "alice").await;
    player.session = player.session.that_reconnects();
    while player.next().await.unwrap() != Event::Started {}
    publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    for n in 0..50 {
        publisher.session.video(n, frame(true, 200_000));
        publisher.send().await;
    }
    // By now more waits for the player than its socket holds.
    sleep(Duration::from_millis(200)).await;
    let sessions = server.hub.sessions();
    let session = sessions
        .iter()
        .find(|s| s.kind == headgate_hub::SessionKind::Play)
        .unwrap();
    assert!(server.hub.kick(session.id, EndReason::Draining));
    let said = player.rest().await;
    let codes: Vec<_> = said
        .iter()
        .filter_map(|event| {
            if let Event::Status(code) = event {
                Some(code.as_str())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        codes.get(codes.len() - 3..).unwrap(),
        [
            "NetStream.Play.UnpublishNotify",
            "NetStream.Play.Stop",
            "NetConnection.Connect.ReconnectRequest"
        ]
    );
    assert!(said.into_iter().filter_map(video_of).count() > 1, "and pictures before");
}
