//! The paths of HLS.

use crate::path::decode;
use headgate_hls::Container;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HlsPath {
    /// A playlist of a stream.
    Playlist {
        app: String,
        stream: String,
        /// `None` for the server's own.
        container: Option<Container>,
    },
    /// Something that a playlist named.
    File { name: String },
}

const TS: &str = "hls.m3u8";
const FMP4: &str = "hls.fmp4.m3u8";
/// Of the word that each name of a file begins with.
const RUN: usize = 32;

impl HlsPath {
    /// SRS's `/APP/STREAM.m3u8`; ZLMediaKit's `/APP/STREAM/hls.m3u8` and `/APP/STREAM/hls.fmp4.m3u8`; beside these the files, in `hls/`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = decode(path)?;
        let (parent, file) = path.strip_prefix('/')?.rsplit_once('/')?;
        if let Some((_, stream)) = parent.rsplit_once('/')
            && stream == "hls"
            && is_file(file)
        {
            return Some(Self::File { name: file.to_owned() });
        }
        let ((app, stream), container) = match file {
            TS => (parent.rsplit_once('/')?, Some(Container::Ts)),
            FMP4 => (parent.rsplit_once('/')?, Some(Container::Fmp4)),
            _ => ((parent, file.strip_suffix(".m3u8")?), None),
        };
        Some(Self::Playlist {
            app: app.to_owned(),
            stream: stream.to_owned(),
            container,
        })
    }
}

/// Whether a name is one that playlists give, and not that of a stream in an app that ends in `/hls`.
fn is_file(name: &str) -> bool {
    let run = name.split_once('-').map(|(run, _)| run);
    run.is_some_and(|run| run.len() == RUN && run.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_of_both_families_and_files_are_understood() {
        let playlist = |app: &str, stream: &str, container| {
            Some(HlsPath::Playlist {
                app: app.to_owned(),
                stream: stream.to_owned(),
                container,
            })
        };
        let run = "0123456789abcdef0123456789abcdef";
        let file = |name: &str| Some(HlsPath::File { name: name.to_owned() });
        let cases = [
            ("/live/alice.m3u8".to_owned(), playlist("live", "alice", None)),
            ("/live/%D0%B0.m3u8".to_owned(), playlist("live", "а", None)),
            (
                "/live/alice/hls.m3u8".to_owned(),
                playlist("live", "alice", Some(Container::Ts)),
            ),
            (
                "/live/eu/alice/hls.fmp4.m3u8".to_owned(),
                playlist("live/eu", "alice", Some(Container::Fmp4)),
            ),
            (format!("/live/alice/hls/{run}-a-1.ts"), file(&format!("{run}-a-1.ts"))),
            ("/live/hls/alice.m3u8".to_owned(), playlist("live/hls", "alice", None)),
            ("/live/hls/k-1.ts".to_owned(), None),
            ("/live/alice.ts".to_owned(), None),
            ("/alice.m3u8".to_owned(), None),
            ("/live/hls.m3u8".to_owned(), None),
        ];
        for (path, expected) in cases {
            assert_eq!(HlsPath::parse(&path), expected, "{path}");
        }
    }
}
