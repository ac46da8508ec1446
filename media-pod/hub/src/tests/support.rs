//! A gate that remembers, a format that can be read, and short cuts.

use crate::*;
use bytes::Bytes;
use futures::future::BoxFuture;
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Says what the query says: `deny`, `slow=MILLIS`, `takeover`, `key=NAME`, `max=N`, `noconnect`, `away`, `as=NAME`.
#[derive(Default)]
pub(super) struct Diary {
    pub(super) lines: Mutex<Vec<String>>,
    /// What became playable, and what was missing.
    pub(super) notes: Mutex<Vec<String>>,
    pub(super) admitted: Mutex<HashMap<Uuid, Arc<Session>>>,
    pub(super) over: Mutex<HashSet<Uuid>>,
    pub(super) connects: Mutex<usize>,
    pub(super) closes: Mutex<usize>,
    /// What each viewer was sent, and what all connections were.
    pub(super) sent: Mutex<HashMap<Uuid, u64>>,
    pub(super) closed_with: Mutex<u64>,
    pub(super) faults: Mutex<Vec<String>>,
}

pub(super) fn value<'a>(param: &'a str, key: &str) -> Option<&'a str> {
    param
        .trim_start_matches('?')
        .split('&')
        .find_map(|p| p.strip_prefix(key))
        .map(|v| v.trim_start_matches('='))
}

async fn wait(param: &str) {
    if let Some(millis) = value(param, "slow") {
        tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
    }
}

impl Diary {
    fn write(&self, line: String) {
        self.lines.lock().push(line);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock())
    }
}

impl Gate for Diary {
    fn check(&self, request: &Request) -> Result<Permit, Refusal> {
        let param = &request.param;
        if value(param, "wrong").is_some() {
            return Err(Refusal::new(Reason::KeyWrong, "no such key"));
        }
        Ok(Permit {
            takeover: value(param, "takeover").is_some(),
            key: value(param, "key").map(Into::into),
            key_publishers_max: value(param, "max").map(|v| v.parse().unwrap()),
            ..Permit::as_asked(request)
        })
    }

    fn connect<'a>(&'a self, c: &'a Arc<Connection>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            if value(&c.param, "noconnect").is_some() {
                return Err(Refusal::new(Reason::HookDenied, "no"));
            }
            *self.connects.lock() += 1;
            Ok(())
        })
    }

    fn admit<'a>(&'a self, s: &'a Arc<Session>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            wait(&s.param).await;
            if value(&s.param, "deny").is_some() {
                return Err(Refusal::new(Reason::HookDenied, "no"));
            }
            self.admitted.lock().insert(s.id, Arc::clone(s));
            self.write(format!("{} {}", s.kind, s.name));
            Ok(())
        })
    }

    fn treatment(&self, s: &Session) -> Treatment {
        Treatment {
            played_as: value(&s.param, "as").map(Into::into),
            ..Treatment::default()
        }
    }

    fn playable(&self, s: &Arc<Session>, tracks: &[Track]) {
        if self.over.lock().contains(&s.id) {
            self.faults.lock().push(format!("playable after its end: {s:?}"));
        }
        self.notes.lock().push(format!("playable {} {}", s.name, tracks.len()));
    }

    fn missing<'a>(&'a self, s: &'a Arc<Session>) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            self.notes.lock().push(format!("missing {}", s.name));
            wait(&s.param).await;
            value(&s.param, "away").is_some()
        })
    }

    fn ended(&self, s: &Arc<Session>, reason: EndReason, traffic: Traffic) {
        self.sent.lock().insert(s.id, traffic.sent);
        if !self.admitted.lock().contains_key(&s.id) || !self.over.lock().insert(s.id) {
            self.faults.lock().push(format!("ended twice or never admitted: {s:?}"));
        }
        self.write(format!("end {} {} {reason}", s.kind, s.name));
    }

    fn closed(&self, _: &Arc<Connection>, traffic: Traffic) {
        *self.closed_with.lock() += traffic.sent;
        *self.closes.lock() += 1;
    }
}

pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) diary: Arc<Diary>,
    pub(super) registry: prometheus::Registry,
}

/// Other pods that have every stream for half a second in two, and never a publisher.
pub(super) struct Feeder;

impl Elsewhere for Feeder {
    fn claim<'a>(&'a self, _: &'a Arc<Session>, _: bool) -> BoxFuture<'a, Answer> {
        Box::pin(async {
            millis(3).await;
            Answer::Free
        })
    }

    fn established<'a>(&'a self, _: &'a Arc<Session>) -> BoxFuture<'a, ()> {
        Box::pin(millis(3))
    }

    fn wanted(&self, edge: Edge) {
        tokio::spawn(async move {
            let feed = async {
                loop {
                    let (session, pod) = (Uuid::now_v7(), "other".into());
                    edge.begin(Origin { session, pod });
                    edge.track(video_track());
                    edge.frame(frame("V", 0, 100));
                    millis(500).await;
                    edge.end();
                    millis(1_500).await;
                    edge.watched().await;
                }
            };
            tokio::select! {
                () = edge.over() => {}
                () = feed => {}
            }
        });
    }
}

pub(super) fn world() -> World {
    world_among(Arc::new(Alone))
}

pub(super) fn world_among(elsewhere: Arc<dyn Elsewhere>) -> World {
    let diary = Arc::new(Diary::default());
    let registry = prometheus::Registry::new();
    let gate: Arc<dyn Gate> = diary.clone();
    World {
        hub: Hub::among(elsewhere, gate, Metrics::register(&registry).unwrap()),
        diary,
        registry,
    }
}

impl World {
    /// The value of a metric, summed over its labels.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|f| f.name() == name)
            .map(|f| f.get_metric().to_vec())
            .unwrap_or_default();
        family
            .iter()
            .map(|m| m.get_gauge().get_value() + m.get_counter().get_value())
            .sum()
    }

    pub(super) fn assert_nothing_is_left(&self) {
        assert!(self.hub.0.registry.lock().is_empty());
        for gauge in ["headgate_streams", "headgate_publishers", "headgate_viewers"] {
            assert!(self.metric(gauge).abs() < f64::EPSILON, "{gauge}");
        }
        assert_eq!(
            self.diary.admitted.lock().len(),
            self.diary.over.lock().len(),
            "admitted and ended"
        );
        assert_eq!(
            *self.diary.connects.lock(),
            *self.diary.closes.lock(),
            "connected and closed"
        );
        assert_eq!(*self.diary.faults.lock(), Vec::<String>::new());
        assert!(self.hub.snapshot().is_empty());
    }
}

pub(super) fn connection(param: &str) -> Connection {
    Connection {
        client_id: client_id(),
        protocol: Protocol::Rtmp,
        peer: "127.0.0.1:5000".parse().unwrap(),
        vhost: DEFAULT_VHOST.into(),
        app: "live".into(),
        stream: "x".into(),
        param: param.into(),
        tc_url: "rtmp://127.0.0.1/live".into(),
        page_url: String::new(),
        started: jiff::Timestamp::now(),
    }
}

pub(super) fn name(stream: &str) -> StreamName {
    StreamName::parse(DEFAULT_VHOST, "live", stream).unwrap()
}

pub(super) async fn publish(hub: &Hub, stream: &str, param: &str) -> Result<Publisher, Refusal> {
    hub.open(connection(param)).publish(name(stream), param.into()).await
}

pub(super) async fn play(hub: &Hub, stream: &str, param: &str) -> Result<Player, Refusal> {
    hub.open(connection(param))
        .play(name(stream), param.into(), Arc::new(Readable))
        .await
}

/// Everything is a word: `start(2 tracks)`, `V0` (key frame at 0 ms), `v40`, `a23`, `config`.
pub(super) struct Readable;

impl Format for Readable {
    fn id(&self) -> FormatId {
        FormatId("readable")
    }

    fn start(&self, s: &Start<'_>) -> Bytes {
        let word = if s.resumed { "resumed" } else { "start" };
        format!("{word}({} at {})", s.tracks.len(), s.at.as_millis()).into()
    }

    fn config(&self, track: &Track, _: Timestamp) -> Bytes {
        format!("config {}", track.codec).into()
    }

    fn frame(&self, track: &Track, frame: &Frame) -> Packet {
        let word = match (track.kind(), frame.key) {
            (TrackKind::Audio, _) => 'a',
            (_, true) => 'V',
            (_, false) => 'v',
        };
        Bytes::from(format!("{word}{}", frame.dts.as_millis())).into()
    }
}

pub(super) fn video_track() -> Track {
    Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::from_static(b"one"))
}

pub(super) fn audio_track() -> Track {
    Track::sound(
        TrackId::AUDIO,
        Codec::Mp3,
        AudioInfo {
            sample_rate: 44_100,
            channels: 2,
        },
    )
}

/// `"V0 v40 a23"`, with 100 bytes of payload each.
pub(super) fn send(publisher: &mut Publisher, words: &str) {
    for word in words.split_whitespace() {
        publisher.frame(frame(&word[..1], word[1..].parse().unwrap(), 100));
    }
}

pub(super) fn frame(what: &str, millis: i64, bytes: usize) -> Frame {
    let dts = Timestamp::from_millis(millis);
    let (track, kind) = if what == "a" {
        (TrackId::AUDIO, TrackKind::Audio)
    } else {
        (TrackId::VIDEO, TrackKind::Video)
    };
    Frame {
        track,
        kind,
        dts,
        pts: dts,
        key: what != "v",
        payload: vec![0; bytes].into(),
    }
}

/// What is there for a player, as words.
pub(super) async fn read(player: &mut Player) -> Result<String, EndReason> {
    let mut out = Vec::new();
    player.next(&mut out, 1000).await?;
    let words: Vec<String> = out.iter().map(|b| String::from_utf8_lossy(b).into_owned()).collect();
    Ok(words.join(" "))
}

pub(super) async fn millis(n: u64) {
    tokio::time::sleep(Duration::from_millis(n)).await;
}
