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
        container: Container,
        /// From this path to the media playlist, as it must stand in a playlist.
        media: String,
    },
    /// Something that a playlist named.
    File { name: String },
}

const TS: &str = "hls.m3u8";
const FMP4: &str = "hls.fmp4.m3u8";

impl HlsPath {
    /// SRS's `/APP/STREAM.m3u8`; ZLMediaKit's `/APP/STREAM/hls.m3u8` and `/APP/STREAM/hls.fmp4.m3u8`; beside these the files, in `hls/`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let raw_file = path.rsplit_once('/')?.1;
        let path = decode(path)?;
        let (parent, file) = path.strip_prefix('/')?.rsplit_once('/')?;
        if let Some((_, stream)) = parent.rsplit_once('/')
            && stream == "hls"
        {
            return Some(Self::File { name: file.to_owned() });
        }
        let ((app, stream), container, media) = match file {
            TS => (parent.rsplit_once('/')?, Container::Ts, TS.to_owned()),
            FMP4 => (parent.rsplit_once('/')?, Container::Fmp4, FMP4.to_owned()),
            _ => {
                let media = format!("./{}/{TS}", raw_file.strip_suffix(".m3u8")?);
                ((parent, file.strip_suffix(".m3u8")?), Container::Ts, media)
            }
        };
        Some(Self::Playlist {
            app: app.to_owned(),
            stream: stream.to_owned(),
            container,
            media,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_of_both_families_and_files_are_understood() {
        let playlist = |app: &str, stream: &str, container, media: &str| {
            Some(HlsPath::Playlist {
                app: app.to_owned(),
                stream: stream.to_owned(),
                container,
                media: media.to_owned(),
            })
        };
        let file = |name: &str| Some(HlsPath::File { name: name.to_owned() });
        let cases = [
            (
                "/live/alice.m3u8",
                playlist("live", "alice", Container::Ts, "./alice/hls.m3u8"),
            ),
            (
                "/live/%D0%B0.m3u8",
                playlist("live", "а", Container::Ts, "./%D0%B0/hls.m3u8"),
            ),
            (
                "/live/alice/hls.m3u8",
                playlist("live", "alice", Container::Ts, "hls.m3u8"),
            ),
            (
                "/live/eu/alice/hls.fmp4.m3u8",
                playlist("live/eu", "alice", Container::Fmp4, "hls.fmp4.m3u8"),
            ),
            ("/live/alice/hls/k-1.ts", file("k-1.ts")),
            ("/live/alice.ts", None),
            ("/alice.m3u8", None),
            ("/live/hls.m3u8", None),
        ];
        for (path, expected) in cases {
            assert_eq!(HlsPath::parse(path), expected, "{path}");
        }
    }
}
