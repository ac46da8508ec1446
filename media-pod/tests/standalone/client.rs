//! An RTMP client on a real socket, as thin as can be.

use bytes::Bytes;
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection of any kind.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<L: AsyncRead + AsyncWrite + Send + Unpin> Link for L {}

pub struct RtmpClient {
    session: ClientSession,
    socket: Box<dyn Link>,
    clock: u32,
}

impl RtmpClient {
    /// Publishes `stream` (with its query) of app `live`. The refusal's description comes back.
    pub async fn publish(port: u16, stream: &str) -> Result<Self, String> {
        Self::publish_with(port, stream, false).await
    }

    async fn begin(&mut self) {
        // AAC-LC, 44,100 Hz, stereo.
        self.session.audio(0, Bytes::from_static(&[0xaf, 0, 0x12, 0x10]));
        self.send_audio().await;
    }

    pub async fn play(port: u16, stream: &str) -> Result<Self, String> {
        Self::play_with(port, stream, false).await
    }

    async fn start(purpose: Purpose, port: u16, stream: &str, reconnects: bool) -> Result<Self, String> {
        let mut session = ClientSession::new(purpose, &format!("rtmp://127.0.0.1:{port}"), "live", stream);
        if reconnects {
            session = session.that_reconnects();
        }
        let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        Self::over(Box::new(socket), session).await
    }

    /// Publishes on a connection that is there.
    #[allow(dead_code, reason = "not every test that shares this brings its own connection")]
    pub async fn publish_over(socket: impl Link + 'static, stream: &str) -> Result<Self, String> {
        let session = ClientSession::new(Purpose::Publish, "rtmp://127.0.0.1", "live", stream);
        let mut client = Self::over(Box::new(socket), session).await?;
        client.begin().await;
        Ok(client)
    }

    async fn over(socket: Box<dyn Link>, session: ClientSession) -> Result<Self, String> {
        let mut client = Self {
            session,
            socket,
            clock: 0,
        };
        client.session.process(0, &mut random).unwrap();
        loop {
            match client.event().await {
                Some(Event::Started) => return Ok(client),
                Some(Event::Refused { description, .. }) => return Err(description),
                Some(_) => {}
                None => return Err("closed without a word".into()),
            }
        }
    }

    /// Says that it can reconnect where it is asked to, or does not.
    pub async fn publish_with(port: u16, stream: &str, reconnects: bool) -> Result<Self, String> {
        let mut client = Self::start(Purpose::Publish, port, stream, reconnects).await?;
        client.begin().await;
        Ok(client)
    }

    pub async fn play_with(port: u16, stream: &str, reconnects: bool) -> Result<Self, String> {
        Self::start(Purpose::Play, port, stream, reconnects).await
    }

    /// One frame of nothing.
    pub async fn send_audio(&mut self) {
        self.clock += 23;
        self.session
            .audio(self.clock, Bytes::from_static(&[0xaf, 1, 0x21, 0x10, 0x04]));
        self.flush().await;
    }

    /// One video tag.
    #[allow(dead_code, reason = "not every test that shares this sends pictures")]
    pub async fn send_video(&mut self, timestamp: u32, body: Bytes) {
        self.session.video(timestamp, body);
        self.flush().await;
    }

    /// Whether the server still takes what this publisher sends.
    pub async fn is_live(&mut self) -> bool {
        self.send_audio().await;
        match timeout(Duration::from_millis(100), self.event()).await {
            Err(_) => true,
            Ok(event) => !matches!(event, None | Some(Event::Refused { .. })),
        }
    }

    /// Whether the server keeps the connection, whatever it sends.
    #[allow(dead_code, reason = "not every test that shares this has a player")]
    pub async fn is_there(&mut self) -> bool {
        let until = tokio::time::Instant::now() + Duration::from_millis(300);
        loop {
            match tokio::time::timeout_at(until, self.event()).await {
                Err(_) => return true,
                Ok(None | Some(Event::Refused { .. })) => return false,
                Ok(Some(_)) => {}
            }
        }
    }

    /// The next event; `None` when the server closed.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            self.flush().await;
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            let read = timeout(Duration::from_secs(10), self.socket.read_buf(self.session.buffer()));
            let count = read.await.expect("the server is silent").unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.session.process(count, &mut random).unwrap();
        }
    }

    /// Says goodbye as encoders do.
    pub async fn unpublish(mut self) {
        self.session.unpublish();
        self.flush().await;
    }

    async fn flush(&mut self) {
        let output = self.session.take_output();
        // A server that has closed is found out by the next read.
        let _ = self.socket.write_all(&output).await;
    }
}

fn random(bytes: &mut [u8]) {
    rand::Rng::fill_bytes(&mut rand::rng(), bytes);
}
