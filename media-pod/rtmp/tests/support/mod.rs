//! A server on a real socket, and peers of it.

#![allow(dead_code, reason = "not every test needs all of it")]

use bytes::{Bytes, BytesMut};
use headgate_hub::{Gate, Hub, Metrics, OpenGate};
use headgate_rtmp::CHUNK_SIZE;
use headgate_rtmp::amf0::{Value, write_all};
use headgate_rtmp::chunk::{RawMessage, write_message};
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use headgate_rtmp::message::{command_message, kind};
use headgate_rtmp::serve::{Options, serve};
use prometheus::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// FLV tag body of an H.264 sequence header, 1280x720, made by x264.
pub const SEQUENCE_HEADER: &[u8] = &[
    0x17, 0, 0, 0, 0, 0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50,
    0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60, 0x01,
    0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];
pub const SOON: Duration = Duration::from_secs(5);

pub struct Server {
    pub addr: SocketAddr,
    pub hub: Hub,
    pub registry: Registry,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Server {
    pub async fn start(options: Options) -> Self {
        Self::behind(Arc::new(OpenGate), options).await
    }

    pub async fn behind(gate: Arc<dyn Gate>, options: Options) -> Self {
        let registry = Registry::new();
        let hub = Hub::new(gate, Metrics::register(&registry).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, hub.clone(), options, shutdown.clone()));
        Self {
            addr,
            hub,
            registry,
            shutdown,
            task,
        }
    }

    pub fn viewers(&self) -> u32 {
        self.hub.snapshot().iter().flat_map(|s| s.viewers.values()).sum()
    }

    pub fn publishers(&self) -> Vec<String> {
        let streams = self.hub.snapshot().into_iter();
        streams
            .filter(|s| s.publisher.is_some())
            .map(|s| s.name.to_string())
            .collect()
    }

    /// Bytes of media that publishers have sent.
    pub fn ingested(&self) -> f64 {
        let families = self.registry.gather();
        let of = |family: &prometheus::proto::MetricFamily| family.get_metric()[0].get_counter().get_value();
        families
            .iter()
            .find(|f| f.name() == "headgate_ingest_bytes_total")
            .map_or(0.0, of)
    }

    pub async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is(self) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(SOON, wait).await.is_ok(), "{what}");
    }
}

pub struct Peer {
    pub socket: TcpStream,
    pub session: ClientSession,
}

impl Peer {
    /// A peer that is connected and has asked for its stream.
    pub async fn new(server: &Server, purpose: Purpose, stream: &str) -> Self {
        Self::of(server, ClientSession::new(purpose, "rtmp://127.0.0.1", "live", stream)).await
    }

    /// One that knows enhanced RTMP, and is in.
    pub async fn enhanced(server: &Server, purpose: Purpose, stream: &str) -> Self {
        let session = ClientSession::new(purpose, "rtmp://127.0.0.1", "live", stream);
        let mut peer = Self::of(server, session.that_is_enhanced()).await;
        while peer.next().await.unwrap() != Event::Started {}
        peer
    }

    pub async fn of(server: &Server, mut session: ClientSession) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        session.process(0, &mut |out| out.fill(7)).unwrap();
        Self {
            socket: socket.connect(server.addr).await.unwrap(),
            session,
        }
    }

    pub async fn started(server: &Server, purpose: Purpose, stream: &str) -> Self {
        let mut peer = Self::new(server, purpose, stream).await;
        while peer.next().await.unwrap() != Event::Started {}
        peer
    }

    pub async fn send(&mut self) {
        let out = self.session.take_output();
        self.socket.write_all(&out).await.unwrap();
    }

    pub async fn command(&mut self, name: &str, arguments: Vec<Value>) -> std::io::Result<()> {
        let mut out = BytesMut::new();
        write_message(&mut out, 3, &command_message(1, name, 9.0, arguments), CHUNK_SIZE);
        self.socket.write_all(&out).await
    }

    pub async fn data(&mut self, timestamp: u32, name: &str, value: Value) {
        let message = RawMessage {
            timestamp,
            kind: kind::DATA_AMF0,
            stream_id: 1,
            payload: write_all(&[name.into(), value]),
        };
        let mut out = BytesMut::new();
        write_message(&mut out, 5, &message, CHUNK_SIZE);
        self.socket.write_all(&out).await.unwrap();
    }

    /// The next that is picked out.
    pub async fn next_of<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.next().await.unwrap()) {
                return picked;
            }
        }
    }

    /// `None`: the server has closed.
    pub async fn next(&mut self) -> Option<Event> {
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
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// FLV tag body of a frame, of so many bytes.
pub fn frame(key: bool, size: usize) -> Bytes {
    let nal = u32::try_from(size - 9).unwrap().to_be_bytes();
    let (kind, nal_kind) = if key { (0x17, 0x65) } else { (0x27, 0x41) };
    [&[kind, 1, 0, 0, 0][..], &nal, &vec![nal_kind; size - 9]]
        .concat()
        .into()
}

pub fn video_of(event: Event) -> Option<(u32, Bytes)> {
    match event {
        Event::Video { timestamp, payload } => Some((timestamp, payload)),
        _ => None,
    }
}
