//! Whether a report can be what a media pod says: a pod faces the internet, and one that was taken over may say anything.

use headgate_control::{EdgeReport, PodReport, StreamReport};
use std::collections::HashSet;

/// Bytes of each part of a stream's name, as pods take them from publishers.
const NAME_MAX: usize = 255;
/// As in the schema of a Stream.
const ADDRESS_MAX: usize = 64;
const WORD_MAX: usize = 32;
const TRACKS_MAX: usize = 16;
/// Codecs of the first tracks are shown together.
const CODEC_MAX: usize = 16;
const PROTOCOLS_MAX: usize = 16;
/// Hooks, listeners, names of keys: each is of the configuration, which has fewer.
const ENTRIES_MAX: usize = 50_000;
/// An entry of the ledger that is longer is not kept: the stream is shown, and nobody can close it for its pod.
const SEALED_MAX: usize = 16 * 1024;

/// The report if it holds together, or what is wrong with it.
pub fn check(mut report: PodReport) -> Result<PodReport, String> {
    let lists = [
        ("streams", report.streams.len(), PodReport::STREAMS_MAX),
        ("edges", report.edges.len(), PodReport::STREAMS_MAX),
        ("hooks", report.hooks.len(), ENTRIES_MAX),
        ("listeners", report.listeners.len(), ENTRIES_MAX),
        ("keys in use", report.key_use.len(), ENTRIES_MAX),
    ];
    if let Some((what, count, max)) = lists.into_iter().find(|(_, count, max)| count > max) {
        return Err(format!("{count} {what}, and {max} are the most"));
    }
    let mut names = HashSet::new();
    for stream in &report.streams {
        is_stream(stream)?;
        if !names.insert((&stream.vhost, &stream.app, &stream.stream)) {
            return Err(format!("two streams of one name, session {}", stream.session));
        }
    }
    report.edges.iter().try_for_each(is_edge)?;
    for stream in &mut report.streams {
        stream.sealed = stream.sealed.take().filter(|s| s.len() <= SEALED_MAX);
    }
    Ok(report)
}

fn is_stream(stream: &StreamReport) -> Result<(), String> {
    let viewers = stream.viewers.keys().map(|p| ("protocol of viewers", p, WORD_MAX));
    let codecs = stream.tracks.iter().map(|t| ("codec", &t.codec, CODEC_MAX));
    let own = [
        ("protocol", &stream.protocol, WORD_MAX),
        ("address", &stream.address, ADDRESS_MAX),
        ("client id", &stream.client_id, ADDRESS_MAX),
    ];
    let name = name(&stream.vhost, &stream.app, &stream.stream);
    short(name.into_iter().chain(own).chain(viewers).chain(codecs))?;
    let counts = [
        ("tracks", stream.tracks.len(), TRACKS_MAX),
        ("protocols", stream.viewers.len(), PROTOCOLS_MAX),
    ];
    match counts.into_iter().find(|(_, count, max)| count > max) {
        Some((what, count, max)) => Err(format!("a stream with {count} {what}, and {max} are the most")),
        None => Ok(()),
    }
}

fn is_edge(edge: &EdgeReport) -> Result<(), String> {
    let viewers = edge.viewers.keys().map(|p| ("protocol of viewers", p, WORD_MAX));
    short(name(&edge.vhost, &edge.app, &edge.stream).into_iter().chain(viewers))?;
    if edge.viewers.len() > PROTOCOLS_MAX {
        return Err(format!("an edge with {} protocols", edge.viewers.len()));
    }
    Ok(())
}

fn name<'a>(vhost: &'a String, app: &'a String, stream: &'a String) -> [(&'static str, &'a String, usize); 3] {
    [
        ("vhost", vhost, NAME_MAX),
        ("app", app, NAME_MAX),
        ("stream name", stream, NAME_MAX),
    ]
}

/// Does not repeat what is too long.
fn short<'a>(texts: impl Iterator<Item = (&'static str, &'a String, usize)>) -> Result<(), String> {
    let mut texts = texts;
    match texts.find(|(what, text, max)| text.len() > *max || (text.is_empty() && is_name(what))) {
        Some((what, text, max)) => Err(format!(
            "a stream whose {what} has {} bytes, and 1 to {max} are right",
            text.len()
        )),
        None => Ok(()),
    }
}

fn is_name(what: &str) -> bool {
    matches!(what, "vhost" | "app" | "stream name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_control::TrackReport;

    fn stream(name: &str) -> StreamReport {
        serde_yaml::from_str(&format!("{{vhost: __defaultVhost__, app: live, stream: '{name}', session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1}}")).unwrap()
    }

    fn edge(name: &str) -> EdgeReport {
        serde_yaml::from_str(&format!("{{vhost: __defaultVhost__, app: live, stream: '{name}', session: 00000000-0000-0000-0000-000000000001, from: live-0}}")).unwrap()
    }

    fn verdict(change: impl FnOnce(&mut PodReport)) -> Result<PodReport, String> {
        let mut report = PodReport {
            streams: vec![stream("a"), stream("b")],
            edges: vec![edge("c")],
            ..PodReport::default()
        };
        change(&mut report);
        check(report)
    }

    #[test]
    fn an_honest_report_passes_as_it_is() {
        let passed = verdict(|_| {}).unwrap();
        assert_eq!((passed.streams.len(), passed.edges.len()), (2, 1));
    }

    #[test]
    fn a_report_that_no_media_pod_sends_is_refused_whole() {
        let long = "x".repeat(300);
        let track = TrackReport {
            codec: "H264".into(),
            width: None,
            height: None,
            frames_per_second: None,
            sample_rate: None,
            channels: None,
        };
        let cases: Vec<(&str, Result<PodReport, String>)> = vec![
            ("two streams", verdict(|r| r.streams.push(stream("a")))),
            ("stream name", verdict(|r| r.streams.push(stream(&long)))),
            ("stream name", verdict(|r| r.streams.push(stream("")))),
            ("vhost", verdict(|r| r.streams[0].vhost.clone_from(&long))),
            ("app", verdict(|r| r.edges[0].app.clone_from(&long))),
            ("address", verdict(|r| r.streams[0].address.clone_from(&long))),
            ("client id", verdict(|r| r.streams[0].client_id.clone_from(&long))),
            (
                "protocol of viewers",
                verdict(|r| {
                    r.streams[0].viewers.insert(long.clone(), 1);
                }),
            ),
            (
                "protocols",
                verdict(|r| r.streams[0].viewers = (0..20).map(|n| (n.to_string(), 1)).collect()),
            ),
            ("tracks", verdict(|r| r.streams[0].tracks = vec![track; 17])),
            (
                "streams",
                verdict(|r| r.streams = (0..10_001).map(|n| stream(&n.to_string())).collect()),
            ),
            (
                "edges",
                verdict(|r| r.edges = (0..10_001).map(|n| edge(&n.to_string())).collect()),
            ),
        ];
        for (what, result) in cases {
            let why = result.expect_err(what);
            assert!(why.contains(what) && why.len() < 200, "{what}: {why}");
        }
    }

    #[test]
    fn an_entry_that_is_too_long_is_left_out_and_the_stream_is_shown() {
        let passed = verdict(|r| r.streams[0].sealed = Some("x".repeat(SEALED_MAX + 1))).unwrap();
        assert_eq!((passed.streams.len(), &passed.streams[0].sealed), (2, &None));
    }
}
