//! What a client means by its `app`, stream name and `tcUrl`, taken apart as SRS does.

use headgate_hub::{DEFAULT_VHOST, Refusal, StreamName};

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `?vhost=` or `?domain=` of the query, or `...vhost...NAME` behind app or stream.
    pub vhost: Option<String>,
    /// Host of the `tcUrl`, without a port.
    pub host: String,
    /// All but the last segment of what both names come to. Without a query, without `_definst_`, and without percent escapes.
    pub app: String,
    /// The last segment, without a query. May hold a stream key.
    pub stream: String,
    /// `?k=v`, or empty. As it came: may hold a stream key.
    pub param: String,
}

/// The application instance that everyone means who names none.
const DEFAULT_INSTANCE: &str = "_definst_";
/// For encoders that know no query.
const DOTTED_VHOST: &str = "...vhost...";

impl Target {
    /// Takes apart what the client said. Anything comes to something; what makes no sense is refused later, with a reason.
    pub fn parse(tc_url: &str, app: &str, stream: &str) -> Self {
        let (app, app_query) = cut(app);
        let (stream, stream_query) = cut(stream);
        let ((app, app_vhost), (stream, stream_vhost)) = (cut_dotted(app), cut_dotted(stream));
        // `app?k=v/stream`: some encoders put the query of the app in front of the name.
        let (app_query, behind) = match app_query.rsplit_once('/') {
            Some((query, name)) if stream.is_empty() => (query, name),
            _ => (app_query, ""),
        };
        let path = [app, stream, behind].join("/");
        let mut segments: Vec<&str> = path.split('/').collect();
        segments.retain(|segment| !segment.is_empty() && *segment != DEFAULT_INSTANCE);
        // While there is no stream, as at `connect`, all of it is the app.
        let has_stream = !stream.trim_matches('/').is_empty() || !behind.is_empty();
        let name = has_stream.then(|| segments.pop()).flatten().unwrap_or_default();
        let queries: Vec<&str> = [stream_query, app_query]
            .into_iter()
            .filter(|q| !q.is_empty())
            .collect();
        let query = queries.join("&");
        let named = |wanted: &str| {
            pairs(&query)
                .find(|(k, v)| *k == wanted && !v.is_empty())
                .map(|(_, v)| v.to_owned())
        };
        Self {
            vhost: named("vhost")
                .or_else(|| named("domain"))
                .or(stream_vhost)
                .or(app_vhost),
            host: host(tc_url).to_owned(),
            app: decoded(&segments.join("/")),
            stream: decoded(name),
            param: if query.is_empty() || query == "vhost=__defaultVhost__" {
                String::new()
            } else {
                format!("?{query}")
            },
        }
    }

    /// Whether any stream at all can be in this app. An empty one is no error before the stream is known, whose name may hold it.
    pub fn check_app(&self) -> Result<(), Refusal> {
        if self.app.is_empty() {
            return Ok(());
        }
        StreamName::parse(DEFAULT_VHOST, &self.app, "any").map(drop)
    }
}

/// In front of the query, and the query. A `#` begins one as well.
fn cut(text: &str) -> (&str, &str) {
    text.split_once(['?', '#']).unwrap_or((text, ""))
}

/// `app...vhost...NAME`, and more that may follow behind another three dots.
fn cut_dotted(text: &str) -> (&str, Option<String>) {
    match text.split_once(DOTTED_VHOST) {
        Some((text, vhost)) => (text, Some(vhost.split("...").next().unwrap_or_default().to_owned())),
        None => (text, None),
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Without percent escapes, so that a name means what it means in an HTTP URL. As it was, where they make no text. An escaped slash stays one
/// in the name, and is refused there.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

fn host(tc_url: &str) -> &str {
    let rest = tc_url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if let Some(v6) = authority.strip_prefix('[') {
        return v6.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tcUrl, app, stream → vhost, app, stream, param.
    type Case = (
        &'static str,
        &'static str,
        &'static str,
        Option<&'static str>,
        &'static str,
        &'static str,
        &'static str,
    );

    const URLS: &[Case] = &[
        ("rtmp://h:1935/live", "live", "alice", None, "live", "alice", ""),
        (
            "rtmp://h/live",
            "live",
            "alice?secret=k&x=1",
            None,
            "live",
            "alice",
            "?secret=k&x=1",
        ),
        (
            "rtmp://h/live?vhost=v",
            "live?vhost=v",
            "alice",
            Some("v"),
            "live",
            "alice",
            "?vhost=v",
        ),
        (
            "rtmp://h/live",
            "live",
            "alice?vhost=__defaultVhost__",
            Some("__defaultVhost__"),
            "live",
            "alice",
            "",
        ),
        (
            "rtmp://h/live?a=1/alice",
            "live?a=1/alice",
            "",
            None,
            "live",
            "alice",
            "?a=1",
        ),
        (
            "rtmp://h/live",
            "live?a=1",
            "alice?b=2",
            None,
            "live",
            "alice",
            "?b=2&a=1",
        ),
        (
            "rtmp://h/live/_definst_",
            "live/_definst_",
            "alice",
            None,
            "live",
            "alice",
            "",
        ),
        (
            "rtmp://h/live...vhost...v",
            "live...vhost...v",
            "alice",
            Some("v"),
            "live",
            "alice",
            "",
        ),
        ("rtmp://h/a", "a", "b/c", None, "a/b", "c", ""),
        ("rtmp://h", "", "live/alice", None, "live", "alice", ""),
        ("rtmp://h/live", "live", "/alice/", None, "live", "alice", ""),
        (
            "rtmp://h/live/inst",
            "live/inst",
            "alice",
            None,
            "live/inst",
            "alice",
            "",
        ),
        ("rtmp://h/live", "live/_definst_/a", "b", None, "live/a", "b", ""),
        (
            "rtmp://h/live",
            "live",
            "alice...vhost...v",
            Some("v"),
            "live",
            "alice",
            "",
        ),
        ("rtmp://h/live#k=v", "live#k=v", "alice", None, "live", "alice", "?k=v"),
        (
            "rtmp://h/live",
            "live",
            "alice?url=/x/y",
            None,
            "live",
            "alice",
            "?url=/x/y",
        ),
        ("rtmp://h/live", "live", "%E6%88%91%20b", None, "live", "我 b", ""),
        ("rtmp://h/live", "live", "a%2Fb", None, "live", "a/b", ""),
        ("rtmp://h/live", "l%69ve", "100%", None, "live", "100%", ""),
        ("rtmp://h/live", "live", "%ff", None, "live", "%ff", ""),
        ("rtmp://h/live", "live", "", None, "live", "", ""),
        (
            "rtmp://h/a/b",
            "a/b/",
            "alice?domain=d",
            Some("d"),
            "a/b",
            "alice",
            "?domain=d",
        ),
    ];

    #[test]
    fn every_way_to_write_a_url_means_what_it_means_to_srs() {
        for (tc_url, app, stream, vhost, e_app, e_stream, param) in URLS.iter().copied() {
            let expected = Target {
                vhost: vhost.map(str::to_owned),
                host: "h".into(),
                app: e_app.into(),
                stream: e_stream.into(),
                param: param.into(),
            };
            assert_eq!(Target::parse(tc_url, app, stream), expected, "{app} {stream}");
        }
    }

    #[test]
    fn only_an_app_that_cannot_be_is_refused_before_the_stream_is_known() {
        let cases = [
            ("live", true),
            ("", true),
            ("a/b", true),
            ("a/../b", false),
            ("a%0ab", false),
            ("a b", false),
        ];
        for (app, good) in cases {
            assert_eq!(
                Target::parse("rtmp://h/x", app, "").check_app().is_ok(),
                good,
                "{app:?}"
            );
        }
    }

    #[test]
    fn the_host_comes_without_port_and_brackets() {
        let cases = [
            ("rtmp://a.b:1935/x", "a.b"),
            ("rtmp://[::1]:1935/x", "::1"),
            ("rtmp://a", "a"),
            ("", ""),
            ("/x", ""),
        ];
        for (url, expected) in cases {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
