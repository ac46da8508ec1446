//! One stream's segments, fed by the hub as if they were one more output format.

use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track};
use headgate_hls::{Config, Container, Directives, File, Reload, Segmenter};
use headgate_hub::{Format, FormatId, Start};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// See the module. Every ring of the hub that cuts a stream has its own.
pub(crate) struct Live {
    /// In every name of a file.
    pub(crate) run: String,
    container: Container,
    segmenter: Mutex<Segmenter>,
    news: Notify,
    /// The hub feeds it.
    fed: AtomicBool,
}

/// The length of parts where there are any.
const PART: Duration = Duration::from_millis(500);

/// Why there is no playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It asked for what is far off.
    TooFar,
    /// It did not come in time.
    Late,
}

impl Live {
    pub(crate) fn new(container: Container) -> Self {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let config = Config {
            part: (container == Container::Fmp4).then_some(PART),
            ..Config::new(container, "hls/", &run)
        };
        Self {
            run,
            container,
            segmenter: Mutex::new(Segmenter::new(config)),
            news: Notify::new(),
            fed: AtomicBool::new(false),
        }
    }

    /// Whether the hub has taken this one for the stream, and not one that was there.
    pub(crate) fn is_fed(&self) -> bool {
        self.fed.load(Ordering::Acquire)
    }

    /// Three target durations.
    pub(crate) fn patience(&self) -> Duration {
        self.segmenter.lock().target().saturating_mul(3)
    }

    /// The playlist as it was asked for, waiting for it until `deadline`.
    pub(crate) async fn playlist(&self, directives: Directives, deadline: Instant) -> Result<Bytes, Missing> {
        self.wait(deadline, |segmenter| match segmenter.reload(directives) {
            _ if !segmenter.is_ready() => None,
            Reload::Now => Some(Ok(segmenter.playlist(directives.skip))),
            Reload::Wait => None,
            Reload::TooFar => Some(Err(Missing::TooFar)),
        })
        .await
        .unwrap_or(Err(Missing::Late))
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
pub(crate) struct HlsFormat(pub(crate) std::sync::Arc<Live>);

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

    fn tracks(&self, tracks: &[Track]) {
        self.0.fed.store(true, Ordering::Release);
        self.0.change(|segmenter| segmenter.set_tracks(tracks));
    }

    fn start(&self, _: &Start<'_>) -> Bytes {
        Bytes::new()
    }

    /// A track that is new or changed counts from the next place where viewers can start.
    fn config(&self, _: &Track, _: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn frame(&self, _: &Track, frame: &Frame) -> Bytes {
        self.0.change(|segmenter| segmenter.push(frame, jiff::Timestamp::now()));
        Bytes::new()
    }
}
