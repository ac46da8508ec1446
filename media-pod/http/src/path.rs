//! Which stream a URL's path means, and in which container it is wanted.

use crate::format::Container;

/// A stream asked for by its path, in one of the forms that players know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaPath {
    pub(crate) app: String,
    pub(crate) stream: String,
    pub(crate) container: Container,
}

impl MediaPath {
    /// SRS's `/APP/STREAM.flv` or ZLMediaKit's `/APP/STREAM.live.flv`, and the same for `.ts` and `.mp4`; the app may have slashes. `None` for any
    /// other path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = decode(path)?;
        let (app, file) = path.strip_prefix('/')?.rsplit_once('/')?;
        let (container, stream) = Container::ALL
            .into_iter()
            .find_map(|container| Some((container, file.strip_suffix(container.extension())?)))?;
        Some(Self {
            app: app.to_owned(),
            stream: stream.strip_suffix(".live").unwrap_or(stream).to_owned(),
            container,
        })
    }
}

/// Percent-decoding; `None` when an escape is broken or the result is no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?].map(|d| char::from(d).to_digit(16));
        let [Some(high), Some(low)] = digits else { return None };
        out.push(u8::try_from((high << 4) | low).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Container::{Flv, Mp4, Ts};

    #[test]
    fn paths_of_both_families_are_understood() {
        let cases = [
            ("/live/alice.flv", Some(("live", "alice", Flv))),
            ("/live/alice.live.flv", Some(("live", "alice", Flv))),
            ("/live/alice.ts", Some(("live", "alice", Ts))),
            ("/live/alice.live.ts", Some(("live", "alice", Ts))),
            ("/live/alice.mp4", Some(("live", "alice", Mp4))),
            ("/live/alice.live.mp4", Some(("live", "alice", Mp4))),
            ("/live/eu/alice.flv", Some(("live/eu", "alice", Flv))),
            ("/live/a.b.flv", Some(("live", "a.b", Flv))),
            ("/live/%D0%B0.flv", Some(("live", "а", Flv))),
            ("/live/%zz.flv", None),
            ("/live/%f", None),
            ("/live/%FF.flv", None),
            ("/live/alice", None),
            ("/alice.flv", None),
            ("/", None),
            ("*", None),
        ];
        for (path, expected) in cases {
            let parsed = MediaPath::parse(path);
            assert_eq!(
                parsed
                    .as_ref()
                    .map(|p| (p.app.as_str(), p.stream.as_str(), p.container)),
                expected,
                "{path}"
            );
        }
    }
}
