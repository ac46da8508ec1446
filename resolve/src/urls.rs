//! Where clients reach a server, and where a key's stream is published and played.

use headgate_api::{Listener, ListenerAddress, Permission, Placement, Protocol, StreamKeySpec};

/// One address a listener, at `host`. IPv6 addresses come in brackets.
pub fn addresses(listeners: &[Listener], host: &str) -> Vec<ListenerAddress> {
    let one = |l: &Listener| ListenerAddress {
        listener: l.name.clone(),
        url: base(l, host),
    };
    listeners.iter().map(one).collect()
}

/// Publish and play URLs of a key whose app and stream are no globs, without the key; the word KEY stands for it.
pub fn key_urls(spec: &StreamKeySpec, listeners: &[Listener], host: &str) -> (Vec<String>, Vec<String>) {
    let (app, name) = (&spec.stream.app, &spec.stream.name);
    if [app, name].iter().any(|text| text.contains(['*', '?'])) {
        return (Vec::new(), Vec::new());
    }
    let may_publish = spec.permissions.contains(&Permission::Publish);
    let path = |l: &Listener| format!("{}/{app}/{name}", base(l, host));
    let publish = listeners.iter().filter(|l| may_publish && !l.protocol.is_http());
    let publish = publish.map(|l| with_key(&path(l), spec)).collect();
    let play = listeners.iter().map(|l| {
        let suffix = if l.protocol.is_http() { ".flv" } else { "" };
        path(l) + suffix
    });
    (publish, play.collect())
}

fn with_key(path: &str, spec: &StreamKeySpec) -> String {
    if spec.placements.contains(&Placement::Query) {
        format!("{path}?{}=KEY", spec.query_parameter)
    } else {
        format!("{path}-KEY")
    }
}

fn base(listener: &Listener, host: &str) -> String {
    let scheme = match listener.protocol {
        Protocol::Rtmp => "rtmp",
        Protocol::Rtmps => "rtmps",
        Protocol::Http => "http",
        Protocol::Https => "https",
    };
    format!("{scheme}://{host}:{}", listener.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_api::default_listeners;

    fn key(stream: &str, rest: &str) -> StreamKeySpec {
        let yaml = format!("{{serverRefs: [{{name: live}}], stream: {stream}, secretRef: {{name: s}}{rest}}}");
        serde_yaml::from_str(&yaml).unwrap()
    }

    #[test]
    fn a_key_of_one_stream_says_where_to_publish_and_to_play() {
        let (publish, play) = key_urls(&key("{app: live, name: alice}", ""), &default_listeners(), "h");
        assert_eq!(publish, ["rtmp://h:1935/live/alice?secret=KEY"]);
        assert_eq!(play, ["rtmp://h:1935/live/alice", "http://h:8080/live/alice.flv"]);
        let (publish, _) = key_urls(
            &key("{app: live, name: a}", ", placements: [StreamName]"),
            &default_listeners(),
            "h",
        );
        assert_eq!(publish, ["rtmp://h:1935/live/a-KEY"]);
        let (publish, _) = key_urls(
            &key("{app: live, name: a}", ", permissions: [Play]"),
            &default_listeners(),
            "h",
        );
        assert!(publish.is_empty());
    }

    #[test]
    fn listeners_with_tls_have_addresses_of_their_own() {
        let listeners = [
            Listener::plain("rtmps", Protocol::Rtmps, 1936),
            Listener::plain("https", Protocol::Https, 8443),
        ];
        let (publish, play) = key_urls(&key("{app: live, name: a}", ""), &listeners, "h");
        assert_eq!(publish, ["rtmps://h:1936/live/a?secret=KEY"]);
        assert_eq!(play, ["rtmps://h:1936/live/a", "https://h:8443/live/a.flv"]);
        let bases: Vec<_> = addresses(&listeners, "h").into_iter().map(|a| a.url).collect();
        assert_eq!(bases, ["rtmps://h:1936", "https://h:8443"]);
    }

    #[test]
    fn a_key_of_many_streams_says_none() {
        assert_eq!(
            key_urls(&key("{app: live}", ""), &default_listeners(), "h"),
            (vec![], vec![])
        );
    }
}
