//! A URL to push to, taken apart.

use super::PushError;
use std::fmt;
use url::{Host, Url};

/// Where a stream goes. Shown without its stream, which may be a key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    /// As it is looked up: an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) app: String,
    /// With its query.
    pub(crate) stream: String,
}

const URL_BYTES_MAX: usize = 2048;

impl Target {
    /// `rtmp://HOST[:PORT]/APP/STREAM[?QUERY]`, or `rtmps://`; the app may have slashes.
    pub(crate) fn parse(text: &str) -> Result<Self, PushError> {
        if text.len() > URL_BYTES_MAX {
            return Err(PushError::BadUrl("is longer than 2,048 bytes"));
        }
        let url = Url::parse(text).map_err(|_| PushError::BadUrl("cannot be read"))?;
        let (tls, port) = match url.scheme() {
            "rtmp" => (false, 1935),
            "rtmps" => (true, 443),
            _ => return Err(PushError::BadUrl("is neither rtmp:// nor rtmps://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PushError::BadUrl("has a user's name in it"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(PushError::BadUrl("has no host")),
        };
        let path = url.path().trim_matches('/');
        let Some((app, name)) = path
            .rsplit_once('/')
            .filter(|(app, name)| !app.is_empty() && !name.is_empty())
        else {
            return Err(PushError::BadUrl("has no app and stream"));
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            tls,
            host,
            port: url.port().unwrap_or(port),
            app: app.to_owned(),
            stream: format!("{name}{query}"),
        })
    }

    /// All but app and stream.
    pub(crate) fn server(&self) -> String {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            format!("{scheme}://[{host}]:{port}")
        } else {
            format!("{scheme}://{host}:{port}")
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server(), self.app)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_without_its_stream() {
        let cases = [
            ("rtmp://a.example/live/key", "rtmp://a.example:1935/live", "key"),
            (
                "rtmps://a.example/live2/x-y?k=v&w",
                "rtmps://a.example:443/live2",
                "x-y?k=v&w",
            ),
            ("rtmp://10.0.0.1:19350/a/b/c", "rtmp://10.0.0.1:19350/a/b", "c"),
            ("rtmp://[::1]:1/a/b", "rtmp://[::1]:1/a", "b"),
        ];
        for (url, shown, stream) in cases {
            let target = Target::parse(url).unwrap();
            assert_eq!(
                (target.to_string().as_str(), target.stream.as_str()),
                (shown, stream),
                "{url}"
            );
            assert!(!format!("{target:?}").contains(stream));
        }
    }

    #[test]
    fn what_cannot_be_pushed_to_is_named_without_repeating_it() {
        let long = format!("rtmp://h/a/{}", "secret".repeat(400));
        let cases = [
            "http://h/a/secret",
            "rtmp://h/secret",
            "rtmp://h//secret",
            "rtmp:///a/secret",
            "rtmp://user:secret@h/a/b",
            "secret",
            &long,
        ];
        for url in cases {
            let error = Target::parse(url).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
            assert_eq!(error.reason(), "BadUrl");
        }
    }
}
