//! Publishes the synthetic stream over RTMP in real time.

use super::{
    AUDIO_CONFIG, AUDIO_FRAME_SAMPLES, AUDIO_RATE, AUDIO_SILENCE, FRAMES_PER_SECOND, H264Writer, HEIGHT, WIDTH,
};
use crate::error::{Context as _, Error, Result};
use bytes::Bytes;
use headgate_rtmp::amf0::Value;
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use rand::Rng as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long the server may take to let it in.
const PATIENCE: Duration = Duration::from_secs(15);

/// Publishes `stream` (with its query) of `app` to `HOST:PORT` until the server ends it or the future is dropped.
pub async fn publish(address: &str, app: &str, stream: &str) -> Result<()> {
    let socket = TcpStream::connect(address)
        .await
        .context(format_args!("connecting to {address}"))?;
    socket.set_nodelay(true).context("setting TCP_NODELAY")?;
    let session = ClientSession::new(Purpose::Publish, &format!("rtmp://{address}"), app, stream);
    let mut publisher = Publisher { socket, session };
    let started = tokio::time::timeout(PATIENCE, publisher.start()).await;
    started.map_err(|_| Error::new("the server did not answer the publish"))??;
    publisher.send_headers();
    publisher.run().await
}

struct Publisher {
    socket: TcpStream,
    session: ClientSession,
}

impl Publisher {
    async fn start(&mut self) -> Result<()> {
        self.process(0)?;
        loop {
            self.flush().await?;
            match self.session.poll_event() {
                Some(Event::Started) => return Ok(()),
                Some(Event::Refused { description, .. }) => return Err(Error::new(description)),
                Some(_) => {}
                None => self.read().await?,
            }
        }
    }

    fn send_headers(&mut self) {
        let number = |n: u32| Value::Number(f64::from(n));
        let frames = u32::try_from(FRAMES_PER_SECOND).unwrap_or(0);
        let properties = [
            ("width", number(WIDTH)),
            ("height", number(HEIGHT)),
            ("framerate", number(frames)),
        ];
        self.session.metadata(
            properties
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        );
        self.session
            .video(0, [&[0x17, 0, 0, 0, 0], &H264Writer::config()[..]].concat().into());
        self.session.audio(0, [&[0xaf, 0], &AUDIO_CONFIG[..]].concat().into());
    }

    /// Both clocks run from the same start; whichever is due next is sent.
    async fn run(&mut self) -> Result<()> {
        let (mut writer, start) = (H264Writer::default(), Instant::now());
        let (mut pictures, mut sounds) = (0_u64, 0_u64);
        let silence = Bytes::from([&[0xaf, 1], &AUDIO_SILENCE[..]].concat());
        loop {
            let video_at = pictures * 1000 / FRAMES_PER_SECOND;
            let audio_at = sounds * AUDIO_FRAME_SAMPLES * 1000 / AUDIO_RATE;
            let due = video_at.min(audio_at);
            self.wait_until(start + Duration::from_millis(due)).await?;
            let time = u32::try_from(due & u64::from(u32::MAX)).unwrap_or(0);
            if video_at <= audio_at {
                let frame = writer.frame();
                let kind = if frame.key { 0x17 } else { 0x27 };
                self.session
                    .video(time, [&[kind, 1, 0, 0, 0], &frame.payload[..]].concat().into());
                pictures += 1;
            } else {
                self.session.audio(time, silence.clone());
                sounds += 1;
            }
            self.flush().await?;
        }
    }

    /// Listens to the server meanwhile.
    async fn wait_until(&mut self, when: Instant) -> Result<()> {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(when) => return Ok(()),
                read = self.read() => read?,
            }
            while let Some(event) = self.session.poll_event() {
                if let Event::Refused { description, .. } = event {
                    return Err(Error::new(description));
                }
            }
        }
    }

    async fn read(&mut self) -> Result<()> {
        let count = self
            .socket
            .read_buf(self.session.buffer())
            .await
            .context("reading from the server")?;
        if count == 0 {
            return Err(Error::new("the server closed the connection"));
        }
        self.process(count)
    }

    fn process(&mut self, added: usize) -> Result<()> {
        let outcome = self.session.process(added, &mut |out| rand::rng().fill_bytes(out));
        outcome.map_err(|error| Error::new(format!("the server does not speak RTMP as we do: {error}")))
    }

    async fn flush(&mut self) -> Result<()> {
        let output = self.session.take_output();
        self.socket.write_all(&output).await.context("sending to the server")
    }
}
