//! A server on a free port, a gate with rules, and a publisher that feeds an FLV file.

use bytes::Bytes;
use futures::future::BoxFuture;
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind};
use headgate_flv::{Demuxed, Demuxer, Tag, TagKind, TagReader};
use headgate_http::{Hls, HlsKey, Options, serve};
use headgate_hub::*;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Refuses as the query says: `?refuse=KeyWrong`.
#[derive(Default)]
pub struct Rules {
    pub ended: AtomicUsize,
    pub seen: parking_lot::Mutex<Option<Arc<Session>>>,
}

impl Gate for Rules {
    fn check(&self, request: &Request) -> Result<Permit, Refusal> {
        let all = [
            Reason::KeyMissing,
            Reason::KeyWrong,
            Reason::UnknownApp,
            Reason::LimitReached,
            Reason::HookTimeout,
            Reason::Draining,
        ];
        match all.into_iter().find(|r| request.param == format!("?refuse={r}")) {
            Some(reason) => Err(Refusal::new(reason, "as asked")),
            None => Ok(Permit::as_asked(request)),
        }
    }

    fn connect<'a>(&'a self, _: &'a Arc<Connection>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn admit<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, Result<(), Refusal>> {
        if session.kind == SessionKind::Play {
            *self.seen.lock() = Some(Arc::clone(session));
        }
        Box::pin(async { Ok(()) })
    }

    fn ended(&self, session: &Arc<Session>, _: EndReason, _: Traffic) {
        self.ended
            .fetch_add(usize::from(session.kind == SessionKind::Play), Ordering::SeqCst);
    }

    fn closed(&self, _: &Arc<Connection>, _: Traffic) {}
}

pub struct Server {
    pub hub: Hub,
    pub rules: Arc<Rules>,
    pub address: SocketAddr,
    pub hls: Hls,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<()>,
}

pub async fn server() -> Server {
    let rules = Arc::new(Rules::default());
    let gate: Arc<dyn Gate> = rules.clone();
    let hub = Hub::new(gate, Metrics::register(&prometheus::Registry::new()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let named = vec!["studio.example".to_owned()];
    let mut options = Options::new(Arc::new(move |host, param| resolve_vhost(&named, host, param)));
    options.head_timeout = Duration::from_millis(500);
    options.hls = Hls::with_idle(HlsKey::new(b"of all pods"), Duration::from_secs(1));
    let hls = options.hls.clone();
    let served = tokio::spawn(serve(listener, hub.clone(), options, shutdown.clone()));
    Server {
        hub,
        rules,
        address,
        hls,
        shutdown,
        served,
    }
}

/// The answer to a GET: status line and headers in small letters, and the body.
pub async fn get(server: &Server, path: &str) -> (String, Vec<u8>) {
    ask(server, "GET", path, "").await
}

/// The same with a method, and with headers that end in `\r\n`.
pub async fn ask(server: &Server, method: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
    let mut socket = server.open(&head).await;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let at = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let body = answer.split_off(at + 4);
    (String::from_utf8(answer).unwrap(), body)
}

/// Sound alone, as much of it at once as is wanted.
pub struct Sound(pub Publisher, i64);

impl Sound {
    pub fn new(mut publisher: Publisher) -> Self {
        let info = AudioInfo {
            sample_rate: 44_100,
            channels: 2,
        };
        publisher.track(Track::sound(TrackId::AUDIO, Codec::Mp3, info));
        let mut sound = Self(publisher, 0);
        sound.play(1);
        sound
    }

    /// Sends so many frames of 26 ms.
    pub fn play(&mut self, frames: i64) {
        for _ in 0..frames {
            let dts = Timestamp::from_millis(self.1 * 26);
            self.1 += 1;
            self.0.frame(Frame {
                track: TrackId::AUDIO,
                kind: TrackKind::Audio,
                dts,
                pts: dts,
                key: true,
                payload: Bytes::from_static(&[7; 200]),
            });
        }
    }
}

/// Begins to watch a stream of sound alone that is at its start, and gives the path of the viewer's own playlist.
pub async fn watch(server: &Server, path: &str, sound: &mut Sound) -> String {
    let (asked, ()) = tokio::join!(get(server, path), async {
        server.until_viewers(server.viewers() + 1).await;
        sound.play(400);
    });
    let (head, body) = asked;
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    media_of(path, &String::from_utf8(body).unwrap())
}

/// The path of the playlist that a master playlist leads to.
pub fn media_of(path: &str, master: &str) -> String {
    let named = master.lines().find(|line| line.contains("hls_ctx=")).expect(master);
    let (folder, _) = path.rsplit_once('/').unwrap();
    format!("{folder}/{}", named.trim_start_matches("./"))
}

impl Server {
    pub async fn publisher(&self, vhost: &str, stream: &str) -> Publisher {
        let connection = Connection {
            client_id: client_id(),
            protocol: Protocol::Rtmp,
            peer: self.address,
            vhost: vhost.into(),
            app: "live".into(),
            stream: stream.into(),
            param: String::new(),
            tc_url: String::new(),
            page_url: String::new(),
            started: jiff::Timestamp::now(),
        };
        let name = StreamName::parse(vhost, "live", stream).unwrap();
        self.hub.open(connection).publish(name, String::new()).await.unwrap()
    }

    /// The same stream anew.
    pub async fn publisher_again(&self, old: Publisher, vhost: &str, stream: &str) -> Publisher {
        old.finish(EndReason::Unpublished);
        self.publisher(vhost, stream).await
    }

    /// Sends a request and gives the open socket.
    pub async fn open(&self, head: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    }

    /// The whole answer to a request, as text.
    pub async fn ask(&self, head: &str) -> String {
        let mut socket = self
            .open(&format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn viewers(&self) -> u32 {
        self.hub.snapshot().iter().flat_map(|s| s.viewers.values()).sum()
    }

    pub async fn until_viewers(&self, count: u32) {
        let reached = async {
            while self.viewers() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), reached)
            .await
            .expect("the viewers come or go");
    }
}

/// Passes a tag on as an RTMP publisher would.
pub fn feed(publisher: &mut Publisher, demuxer: &mut Demuxer, tag: &Tag) {
    if tag.kind == TagKind::Script {
        return publisher.metadata(tag.body.clone());
    }
    for one in demuxer
        .push_tag(tag.kind, tag.timestamp_millis, tag.body.clone())
        .unwrap()
    {
        match one {
            Demuxed::Track(track) => publisher.track(track),
            Demuxed::Frame(frame) => publisher.frame(frame),
            Demuxed::Nothing(_) => {}
        }
    }
}

pub fn has_ffmpeg() -> bool {
    let found = ["ffmpeg", "ffprobe"]
        .iter()
        .all(|p| Command::new(p).arg("-version").output().is_ok());
    if !found {
        println!("skipped: ffmpeg and ffprobe are not installed");
    }
    found
}

/// Two seconds of moving pictures and a tone, with a key frame every second.
pub fn clip(directory: &std::path::Path, audio: &str) -> std::path::PathBuf {
    long_clip(directory, audio, 2)
}

pub fn long_clip(directory: &std::path::Path, audio: &str, seconds: u32) -> std::path::PathBuf {
    let file = directory.join("clip.flv");
    let arguments = format!(
        "-v error -y -f lavfi -i testsrc=size=320x180:rate=25:duration={seconds} -f lavfi -i sine=sample_rate=44100:duration={seconds} \
         -c:v libx264 -preset ultrafast -bf 2 -g 25 -pix_fmt yuv420p"
    );
    let status = Command::new("ffmpeg")
        .args(arguments.split_whitespace())
        .args(["-c:a", audio])
        .arg(&file)
        .status();
    assert!(status.unwrap().success());
    file
}

pub fn tags(file: &std::path::Path) -> Vec<Tag> {
    TagReader::new(Bytes::from(std::fs::read(file).unwrap()))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}
