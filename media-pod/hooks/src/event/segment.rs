//! [`NewSegment`]: a segment of HLS that is whole, as each family of servers tells of it.
//!
//! There are no files: segments are in memory. Where the others name a file there stands the path of its URL, below a root that is `/`.

use super::{HlsSegment, RecordedFile};
use jiff::Timestamp;
use std::time::Duration;

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// Media sequence number.
    pub number: u64,
    /// How long it plays.
    pub duration: Duration,
    /// Its size.
    pub bytes: u64,
    /// When its first frame was, on the wall.
    pub date: Timestamp,
    /// The path of its URL, without the slash before it.
    pub path: String,
    /// That of the playlist.
    pub playlist: String,
}

impl NewSegment {
    pub(super) fn as_hls(&self) -> HlsSegment {
        let playlist = &self.playlist;
        HlsSegment {
            milliseconds: self.milliseconds(),
            cwd: "/".into(),
            file: format!("/{}", self.path),
            url: self.path.clone(),
            m3u8: format!("/{playlist}"),
            m3u8_url: playlist.clone(),
            seq_no: self.number,
        }
    }

    pub(super) fn as_recorded(&self) -> RecordedFile {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        RecordedFile {
            name: name.to_owned(),
            path: format!("/{}", self.path),
            folder: format!("/{folder}"),
            size: self.bytes,
            start_seconds: self.date.as_second(),
            milliseconds: self.milliseconds(),
            url: self.path.clone(),
        }
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_the_path_of_its_url_where_others_have_a_file() {
        let segment = NewSegment {
            number: 7,
            duration: Duration::from_millis(2020),
            bytes: 83_096,
            date: Timestamp::UNIX_EPOCH,
            path: "live/alice/hls/k-7.ts".into(),
            playlist: "live/alice.m3u8".into(),
        };
        let hls = segment.as_hls();
        assert_eq!((hls.milliseconds, hls.seq_no), (2020, 7));
        assert_eq!(
            (hls.file.as_str(), hls.url.as_str()),
            ("/live/alice/hls/k-7.ts", "live/alice/hls/k-7.ts")
        );
        assert_eq!(
            (hls.m3u8.as_str(), hls.m3u8_url.as_str()),
            ("/live/alice.m3u8", "live/alice.m3u8")
        );
        let file = segment.as_recorded();
        assert_eq!(
            (file.name.as_str(), file.folder.as_str()),
            ("k-7.ts", "/live/alice/hls")
        );
        assert_eq!((file.path.as_str(), file.size), ("/live/alice/hls/k-7.ts", 83_096));
    }
}
