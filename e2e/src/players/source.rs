//! What is published: streams of a picture in four colours, made by ffmpeg once.

use super::place::Place;
use crate::command::Cmd;
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::Paths;
use bytes::Bytes;
use headgate_flv::{Form, TagKind, TagReader};
use headgate_mpegts::{Demuxed, Demuxer};
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use rand::Rng as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// A clip.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    /// Of its file and its stream.
    pub name: &'static str,
    /// FLV as ffmpeg writes it; MPEG-TS for what it cannot write into that.
    file: &'static str,
    codecs: &'static str,
    /// Bitstream filters that bring its pictures into one form, wherever they come from.
    pub normal: &'static str,
    /// What a picture's time may differ by: RTMP carries whole milliseconds.
    pub rounding: f64,
}

/// Pictures out of order in all of them; 8 s each.
pub const ALL: [&Clip; 2] = [&H264, &H265];

const H264: Clip = Clip {
    name: "h264",
    file: "players-h264.flv",
    codecs: "-c:v libx264 -preset veryfast -profile:v main -bf 2 -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac -b:a 64k",
    normal: "h264_mp4toannexb,filter_units=pass_types=1-5",
    rounding: 0.000_03,
};

const H265: Clip = Clip {
    name: "h265",
    file: "players-h265.ts",
    codecs: "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:keyint=25:min-keyint=25:scenecut=0 -c:a aac -b:a 64k",
    normal: "hevc_mp4toannexb,filter_units=pass_types=0-21",
    rounding: 0.001_03,
};

/// Red and green above blue and yellow, with something that moves between them.
const PICTURE: &str = "color=c=0xC02020:s=160x90:r=25[a];color=c=0x20A020:s=160x90:r=25[b];color=c=0x2020C0:s=160x90:r=25[c];\
    color=c=0xC0C020:s=160x90:r=25[d];[a][b]hstack[top];[c][d]hstack[low];[top][low]vstack[all];\
    testsrc2=s=48x48:r=25[moves];[all][moves]overlay=x=136:y=66";
/// The same in the order of reading.
pub const COLOURS: [[i32; 3]; 4] = [
    [0xc0, 0x20, 0x20],
    [0x20, 0xa0, 0x20],
    [0x20, 0x20, 0xc0],
    [0xc0, 0xc0, 0x20],
];

impl Clip {
    /// Its file, encoded if it is not there.
    pub async fn file(&self, paths: &Paths) -> Result<PathBuf> {
        let file = paths.cache.join("clips").join(self.file);
        if file.exists() {
            return Ok(file);
        }
        std::fs::create_dir_all(paths.cache.join("clips")).context("making the directory of clips")?;
        let draft = paths.cache.join("clips").join(format!("draft-{}", self.file));
        Cmd::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-filter_complex", PICTURE])
            .args("-f lavfi -i sine=frequency=440:sample_rate=48000 -t 8 -pix_fmt yuv420p".split(' '))
            .args(self.codecs.split(' '))
            .arg(&draft)
            .timeout(Duration::from_mins(2))
            .run()
            .await?;
        std::fs::rename(&draft, &file).context("keeping the clip")?;
        Ok(file)
    }

    /// Publishes it once, in real time.
    pub async fn publish(&self, paths: &Paths, place: &Place) -> Result<()> {
        let file = self.file(paths).await?;
        send(&place.rtmp(), self.name, messages(&file)?).await
    }
}

/// A message of RTMP: what it is, when, and its body.
type Message = (TagKind, u32, Bytes);

fn messages(file: &Path) -> Result<Vec<Message>> {
    let bytes = Bytes::from(std::fs::read(file).context(file.display())?);
    let wrong = |error: &dyn std::fmt::Display| Error::new(format!("{}: {error}", file.display()));
    if file.extension().is_some_and(|kind| kind == "flv") {
        let tags = TagReader::new(bytes).map_err(|e| wrong(&e))?;
        let message = |tag: headgate_flv::Tag| (tag.kind, tag.timestamp_millis, tag.body);
        return tags.map(|tag| tag.map(message).map_err(|e| wrong(&e))).collect();
    }
    let (mut demuxer, mut out) = (Demuxer::default(), Vec::new());
    demuxer.push(&bytes, &mut out).map_err(|e| wrong(&e))?;
    demuxer.finish(&mut out).map_err(|e| wrong(&e))?;
    Ok(in_order(of_transport_stream(out)))
}

fn of_transport_stream(out: Vec<Demuxed>) -> Vec<Message> {
    let (mut tracks, mut messages) = (Vec::new(), Vec::new());
    for demuxed in out {
        match demuxed {
            Demuxed::Track(track) => {
                messages.push((track.kind().into(), 0, Form::default().config(&track)));
                tracks.push(track);
            }
            Demuxed::Frame(frame) => {
                let Some(track) = tracks.iter().rfind(|track| track.id == frame.track) else {
                    continue;
                };
                let prefix = Form::default().prefix(track, &frame);
                let body = [prefix.as_slice(), &frame.payload].concat();
                messages.push((frame.kind.into(), frame.dts.as_wrapped_millis(), body.into()));
            }
        }
    }
    messages
}

/// A transport stream says its sound a little after the pictures of its time; a publisher sends both by their time.
fn in_order(mut messages: Vec<Message>) -> Vec<Message> {
    messages.sort_by_key(|(_, time, _)| *time);
    messages
}

async fn send(address: &str, stream: &str, messages: Vec<Message>) -> Result<()> {
    let mut socket = TcpStream::connect(address)
        .await
        .context(format_args!("connecting to {address}"))?;
    socket.set_nodelay(true).context("setting TCP_NODELAY")?;
    let mut session = ClientSession::new(Purpose::Publish, &format!("rtmp://{address}"), "live", stream);
    process(&mut session, 0)?;
    loop {
        socket.write_all(&session.take_output()).await.context("sending")?;
        match session.poll_event() {
            Some(Event::Started) => break,
            Some(Event::Refused { description, .. }) => return Err(Error::new(description)),
            Some(_) => {}
            None => {
                let read = socket.read_buf(session.buffer()).await.context("reading")?;
                crate::ensure!(read > 0, "the server closed the connection");
                process(&mut session, read)?;
            }
        }
    }
    let first = messages
        .iter()
        .map(|(_, time, _)| *time)
        .find(|time| *time > 0)
        .unwrap_or(0);
    let start = Instant::now();
    for (kind, time, body) in messages {
        let at = Duration::from_millis(time.saturating_sub(first).into());
        tokio::time::sleep(at.saturating_sub(start.elapsed())).await;
        match kind {
            TagKind::Video => session.video(time, body),
            TagKind::Audio => session.audio(time, body),
            TagKind::Script => {}
        }
        socket.write_all(&session.take_output()).await.context("sending")?;
    }
    session.unpublish();
    socket.write_all(&session.take_output()).await.context("sending")?;
    // What the server has to say is read, so that nothing it has not read yet is lost with the connection.
    socket.shutdown().await.context("closing")?;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest)).await;
    Ok(())
}

fn process(session: &mut ClientSession, added: usize) -> Result<()> {
    let outcome = session.process(added, &mut |out| rand::rng().fill_bytes(out));
    outcome.map_err(|error| Error::new(format!("the server does not speak RTMP as we do: {error}")))
}

/// The H.264 clip over and over, by ffmpeg.
pub struct Loop(Child);

impl Loop {
    /// Starts it and waits until it is live.
    pub async fn start(paths: &Paths, place: &Place, stream: &str) -> Result<Self> {
        let file = H264.file(paths).await?;
        let url = format!("rtmp://{}/live/{stream}", place.rtmp());
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"])
            .arg(file)
            .args(["-c", "copy", "-f", "flv", &url])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting ffmpeg to publish")?;
        place.streams(1).await?;
        Ok(Self(child))
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        self.0.kill().await.context("ending the publisher")
    }
}
