//! One stream's segments, fed by the hub as if they were one more output format.

use super::elsewhere::Home;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use headgate_codec::{Frame, Timestamp, Track};
use headgate_hls::{Config, Container, Cut, Directives, File, Reload, Segmenter, Variant, Whole};
use headgate_hub::{Format, FormatId, Packet, Start};
use parking_lot::Mutex;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// See the module. Every ring of the hub that cuts a stream has its own.
pub(crate) struct Live {
    /// In every name of a file.
    pub(crate) run: String,
    pub(crate) container: Container,
    segmenter: Mutex<Segmenter>,
    /// The newest playlist and the newest delta update, compressed, with their tags.
    packed: Mutex<[Option<(String, Bytes)>; 2]>,
    news: Notify,
}

/// A playlist at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) bytes: Bytes,
    /// Names its content among all playlists there ever are; no quotes.
    pub(crate) tag: String,
    is_delta: bool,
}

/// Why there is no playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It asked for what is far off.
    TooFar,
    /// It did not come in time.
    Late,
}

/// A shorter text is not worth it.
const GZIP_FROM: usize = 512;

impl Live {
    /// Cut as said. The first number follows the clock: a player that was sent elsewhere finds larger ones than it had.
    pub(crate) fn new(container: Container, cut: Cut, home: Home) -> Self {
        let run = hex::encode(home.unique());
        let now = u128::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        let first = now.checked_div(cut.segment.as_millis()).unwrap_or(0);
        let config = Config {
            segment: cut.segment,
            window: cut.window,
            event: cut.event,
            part: cut.part,
            bytes_max: cut.bytes_max,
            first: u64::try_from(first).unwrap_or(0),
            secret: uuid::Uuid::new_v4().into_bytes(),
            ..Config::new(container, "hls/", &run)
        };
        Self {
            run,
            container,
            segmenter: Mutex::new(Segmenter::new(config)),
            packed: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Cuts in another way from the next segment on.
    pub(crate) fn recut(&self, cut: Cut) {
        self.change(|segmenter| segmenter.recut(cut));
    }

    /// No more frames will come: the playlist says so.
    pub(crate) fn end(&self) {
        self.change(|segmenter| {
            if !segmenter.is_ended() {
                segmenter.end();
            }
        });
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.segmenter.lock().is_ended()
    }

    /// Whether there is something to play.
    pub(crate) fn is_ready(&self) -> bool {
        self.segmenter.lock().is_ready()
    }

    /// The segments from this number on that are whole.
    pub(crate) fn whole_from(&self, number: u64) -> Vec<Whole> {
        self.segmenter.lock().whole_from(number)
    }

    /// The number after that of the last one that is whole; zero before there is one.
    pub(crate) fn next_whole(&self) -> u64 {
        let last = self.whole_from(0).pop();
        last.map_or(0, |last| last.number.saturating_add(1))
    }

    /// Resolves with the next change.
    pub(crate) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    pub(crate) fn target(&self) -> Duration {
        self.segmenter.lock().target()
    }

    pub(crate) fn variant(&self) -> Option<Variant> {
        self.segmenter.lock().variant()
    }

    /// The playlist as it was asked for, waiting for it until `deadline`.
    pub(crate) async fn playlist(&self, directives: Directives, deadline: Instant) -> Result<Text, Missing> {
        self.wait(deadline, |segmenter| match segmenter.reload(directives) {
            _ if !segmenter.is_ready() => None,
            Reload::Now => Some(Ok(self.text(segmenter, directives.skip))),
            Reload::Wait => None,
            Reload::TooFar => Some(Err(Missing::TooFar)),
        })
        .await
        .unwrap_or(Err(Missing::Late))
    }

    fn text(&self, segmenter: &mut Segmenter, is_delta: bool) -> Text {
        let kind = if is_delta { "d" } else { "" };
        Text {
            tag: format!("{}-{}{kind}", self.run, segmenter.version()),
            bytes: segmenter.playlist(is_delta),
            is_delta,
        }
    }

    /// The text compressed; made once for all who ask. `None` when that does not pay.
    pub(crate) fn gzip(&self, text: &Text) -> Option<Bytes> {
        if text.bytes.len() < GZIP_FROM {
            return None;
        }
        let mut packed = self.packed.lock();
        let [whole, delta] = &mut *packed;
        let kept = if text.is_delta { delta } else { whole };
        if let Some((_, bytes)) = kept.as_ref().filter(|(tag, _)| *tag == text.tag) {
            return Some(bytes.clone());
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text.bytes).ok()?;
        let bytes = Bytes::from(encoder.finish().ok()?);
        *kept = Some((text.tag.clone(), bytes.clone()));
        Some(bytes)
    }

    /// A file that a playlist names, with its type; a part that was hinted at is waited for. `None` when it is not there.
    pub(crate) async fn file(&self, name: &str, deadline: Instant) -> Option<(&'static str, Vec<Bytes>)> {
        self.wait(deadline, |segmenter| {
            let Some(file) = File::parse(name, segmenter.config()) else {
                return Some(None);
            };
            let kind = file.content_type(segmenter.config());
            match (segmenter.file(file), file) {
                (Some(pieces), _) => Some(Some((kind, pieces))),
                (None, File::Part(segment, part)) => {
                    let directives = Directives {
                        segment: Some(segment),
                        part: Some(part),
                        skip: false,
                    };
                    (segmenter.reload(directives) != Reload::Wait).then_some(None)
                }
                (None, _) => Some(None),
            }
        })
        .await
        .flatten()
    }

    /// Asks until there is an answer.
    async fn wait<T>(&self, deadline: Instant, ask: impl Fn(&mut Segmenter) -> Option<T>) -> Option<T> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let answer = ask(&mut self.segmenter.lock());
            if answer.is_some() {
                return answer;
            }
            tokio::time::timeout_at(deadline, news).await.ok()?;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Segmenter)) {
        let mut segmenter = self.segmenter.lock();
        let before = segmenter.version();
        change(&mut segmenter);
        let changed = segmenter.version() != before;
        drop(segmenter);
        if changed {
            self.news.notify_waiters();
        }
    }
}

/// The segments as a format. It makes no bytes for the ring: viewers get files.
pub(crate) struct HlsFormat(pub(crate) Arc<Live>);

impl Format for HlsFormat {
    fn id(&self) -> FormatId {
        FormatId(match self.0.container {
            Container::Ts => "hls-ts",
            Container::Fmp4 => "hls-fmp4",
        })
    }

    fn carries(&self, track: &Track) -> bool {
        match self.0.container {
            Container::Ts => headgate_mpegts::carries(track),
            Container::Fmp4 => headgate_fmp4::carries(track),
        }
    }

    fn begin(&self) {
        self.0.change(Segmenter::break_off);
    }

    fn pause(&self) {
        self.0.change(Segmenter::break_off);
    }

    fn tracks(&self, tracks: &[Track]) {
        self.0.change(|segmenter| segmenter.set_tracks(tracks));
    }

    fn start(&self, _: &Start<'_>) -> Bytes {
        Bytes::new()
    }

    /// A track that is new or changed counts from the next place where viewers can start.
    fn config(&self, _: &Track, _: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn frame(&self, _: &Track, frame: &Frame) -> Packet {
        self.0.change(|segmenter| segmenter.push(frame, jiff::Timestamp::now()));
        Packet::default()
    }
}
