//! Who wants to hear of every segment of a stream, whether or not anybody watches.

use super::live::{HlsFormat, Live};
use super::sessions::Hls;
use headgate_hls::Whole;
use headgate_hub::{Format, Hub, StreamName, Tap};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often it is looked whether the publisher is still there.
const LOOK: Duration = Duration::from_secs(1);

/// The segments of one publisher's stream, as they become whole. While this is there they are cut.
pub struct Segments {
    hls: Hls,
    live: Arc<Live>,
    tap: Tap,
    name: StreamName,
    /// Number of the next one.
    next: u64,
}

/// Says when there may be more of them.
pub struct SegmentNews(Arc<Live>);

impl SegmentNews {
    /// Looks now, and with all that is new, until there is an answer. Can be dropped and called again without loss.
    pub async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let news = self.0.news();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(answer) = look() {
                return answer;
            }
            let _ = tokio::time::timeout(LOOK, news).await;
        }
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number.
    pub number: u64,
    /// How long it plays.
    pub duration: Duration,
    /// Its size.
    pub bytes: u64,
    /// When its first frame was, on the wall.
    pub date: jiff::Timestamp,
    /// The path of its URL, without the slash before it.
    pub path: String,
    /// That of the stream's playlist.
    pub playlist: String,
}

impl Hls {
    /// Those of a stream whose publisher is here; from the newest key frame on, or from where who watches it already had it begin.
    pub fn segments(&self, hub: &Hub, name: &StreamName) -> Option<Segments> {
        let ours = self.begun(name, self.settings().container());
        let format: Arc<dyn Format> = Arc::new(HlsFormat(ours));
        let tap = hub.look_on(name, &format)?;
        let format: &dyn Any = tap.format();
        let live = format.downcast_ref().map(|HlsFormat(live)| Arc::clone(live))?;
        self.know(&live);
        Some(Segments {
            next: live.next_whole(),
            hls: self.clone(),
            name: name.clone(),
            live,
            tap,
        })
    }
}

impl Segments {
    /// The publisher's session.
    pub fn publisher(&self) -> Uuid {
        self.tap.publisher()
    }

    /// Whether the publisher has ended. What was growing is whole by then.
    pub fn is_over(&self) -> bool {
        self.tap.is_over()
    }

    /// Those that have become whole since the last call.
    pub fn take(&mut self) -> Vec<Segment> {
        let new = self.live.whole_from(self.next);
        if let Some(last) = new.last() {
            self.next = last.number.saturating_add(1);
        }
        new.iter().map(|whole| self.segment(whole)).collect()
    }

    /// To wait for more of them.
    pub fn news(&self) -> SegmentNews {
        SegmentNews(Arc::clone(&self.live))
    }

    fn segment(&self, whole: &Whole) -> Segment {
        let folder = format!("{}/{}", self.name.app, self.name.stream);
        Segment {
            number: whole.number,
            duration: whole.duration,
            bytes: u64::try_from(whole.bytes).unwrap_or(u64::MAX),
            date: whole.date,
            path: format!("{folder}/{}", whole.name),
            playlist: format!("{folder}.m3u8"),
        }
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.hls.keep(&self.name, &self.live);
    }
}
