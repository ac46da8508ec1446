//! Which stream a client means: `app` of its connect, stream name of its publish or play, and `tcUrl`, taken apart as SRS does.

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `?vhost=` or `?domain=` of the query, or `app...vhost...NAME`.
    pub vhost: Option<String>,
    /// Host of the `tcUrl`, without a port.
    pub host: String,
    /// Without a query and without `_definst_`.
    pub app: String,
    /// Without a query. May hold a stream key.
    pub stream: String,
    /// `?k=v`, or empty. May hold a stream key.
    pub param: String,
}

impl Target {
    /// Takes apart what the client said. Anything comes to something; what makes no sense is refused later, with a reason.
    pub fn parse(tc_url: &str, app: &str, stream: &str) -> Self {
        let (app, app_query) = cut(app);
        let (stream, stream_query) = cut(stream.trim_start_matches('/'));
        let (app, dotted) = cut_dotted(app);
        // `app?k=v/stream`: some encoders put the query of the app in front of the name.
        let (app_query, stream) = match app_query.split_once('/') {
            Some((query, name)) if stream.is_empty() => (query, name),
            _ => (app_query, stream),
        };
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
            vhost: named("vhost").or_else(|| named("domain")).or(dotted),
            host: host(tc_url).to_owned(),
            app: app
                .trim_matches('/')
                .trim_end_matches("_definst_")
                .trim_end_matches('/')
                .to_owned(),
            stream: stream.to_owned(),
            param: if query.is_empty() || query == "vhost=__defaultVhost__" {
                String::new()
            } else {
                format!("?{query}")
            },
        }
    }
}

fn cut(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// `app...vhost...NAME`, for encoders that know no query.
fn cut_dotted(app: &str) -> (&str, Option<String>) {
    match app.split_once("...vhost...") {
        Some((app, vhost)) => (app, Some(vhost.split("...").next().unwrap_or_default().to_owned())),
        None => (app, None),
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
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

    #[test]
    fn every_way_to_write_a_url_means_what_it_means_to_srs() {
        let cases = [
            // tcUrl, app, stream → vhost, app, stream, param
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
        for (tc_url, app, stream, vhost, e_app, e_stream, param) in cases {
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
