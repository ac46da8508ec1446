//! Which stream a URL's path means.

/// A stream asked for by its path, in one of the forms that players know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaPath {
    pub(crate) app: String,
    pub(crate) stream: String,
}

/// Endings of HTTP-FLV, ZLMediaKit's before SRS's.
const FLV: [&str; 2] = [".live.flv", ".flv"];

impl MediaPath {
    /// `/APP/STREAM.flv` or `/APP/STREAM.live.flv`; the app may have slashes. `None` for any other path.
    pub(crate) fn flv(path: &str) -> Option<Self> {
        let path = decode(path)?;
        let (app, file) = path.strip_prefix('/')?.rsplit_once('/')?;
        let stream = FLV.iter().find_map(|ending| file.strip_suffix(ending))?;
        Some(Self {
            app: app.to_owned(),
            stream: stream.to_owned(),
        })
    }
}

/// Percent-decoding; `None` when an escape is broken or the result is no UTF-8.
fn decode(text: &str) -> Option<String> {
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

    #[test]
    fn paths_of_both_families_are_understood() {
        let cases = [
            ("/live/alice.flv", Some(("live", "alice"))),
            ("/live/alice.live.flv", Some(("live", "alice"))),
            ("/live/eu/alice.flv", Some(("live/eu", "alice"))),
            ("/live/a.b.flv", Some(("live", "a.b"))),
            ("/live/%D0%B0.flv", Some(("live", "а"))),
            ("/live/%zz.flv", None),
            ("/live/%f", None),
            ("/live/%FF.flv", None),
            ("/live/alice", None),
            ("/alice.flv", None),
            ("/", None),
            ("*", None),
        ];
        for (path, expected) in cases {
            let parsed = MediaPath::flv(path);
            assert_eq!(
                parsed.as_ref().map(|p| (p.app.as_str(), p.stream.as_str())),
                expected,
                "{path}"
            );
        }
    }
}
