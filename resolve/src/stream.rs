//! A live stream as the Stream object that users see.

use crate::coarse;
use headgate_api as api;
use headgate_api::condition::{ConditionType, Finding};
use headgate_control::{StreamReport, TrackReport};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest, Sha256};

/// The vhost of every client that asks for no other.
const DEFAULT_VHOST: &str = "__defaultVhost__";
const NAME_MAX: usize = 63;
/// Bounds of the schema that a pod's word may not break.
const CODECS_MAX: usize = 64;
const SIDE_MAX: u32 = 999_999;
const FRAMES_MAX: u32 = 100_000;
const PROTOCOLS_MAX: usize = 16;

/// Name of the Stream object: `live-live-alice` for stream `alice` of app `live` on server `live`. A short hash follows where that
/// alone could mean two streams: another vhost, letters that an object's name cannot hold, or a dash in the server or the app. The
/// same stream of the same server always has the same name, and no other has it.
pub fn stream_object_name(server: &str, vhost: &str, app: &str, stream: &str) -> String {
    let plain = format!("{server}-{app}-{stream}");
    let clean = slug(&plain);
    let ambiguous = vhost != DEFAULT_VHOST || server.contains('-') || app.contains('-');
    if clean == plain && !ambiguous && clean.len() <= NAME_MAX {
        return clean;
    }
    let whole = [server, vhost, app, stream].join("\u{0}");
    let hash: String = hex::encode(Sha256::digest(whole)).chars().take(8).collect();
    let head: String = clean.chars().take(NAME_MAX.saturating_sub(9)).collect();
    format!("{}-{hash}", head.trim_end_matches('-'))
}

/// Spec of the Stream object.
pub fn stream_spec(server: &str, report: &StreamReport) -> api::StreamSpec {
    api::StreamSpec {
        server_ref: api::ObjectRef { name: server.into() },
        vhost: report.vhost.clone(),
        app: report.app.clone(),
        name: report.stream.clone(),
    }
}

/// Status of the Stream object, without its conditions.
pub fn stream_status(pod: &str, report: &StreamReport) -> api::StreamStatus {
    let video = report.tracks.iter().find(|t| t.width.is_some());
    let codecs: Vec<&str> = report.tracks.iter().map(|t| t.codec.as_str()).collect();
    let total: u64 = report.viewers.values().map(|n| u64::from(*n)).sum();
    let by_protocol = report
        .viewers
        .iter()
        .take(PROTOCOLS_MAX)
        .map(|(p, n)| (p.clone(), coarse(u64::from(*n))))
        .collect();
    api::StreamStatus {
        pod: pod.into(),
        publisher: Some(api::StreamPublisher {
            protocol: report.protocol.clone(),
            address: report.address.clone(),
            session: report.session.to_string(),
            client_id: report.client_id.clone(),
        }),
        codecs: codecs.join("/").chars().take(CODECS_MAX).collect(),
        size: video.map(size).unwrap_or_default(),
        frames_per_second: video.and_then(frames),
        bitrate: rate(report.bitrate_kilobits),
        viewers: api::StreamViewers {
            total: coarse(total),
            by_protocol,
        },
        start_time: Some(Time(report.started)),
        ..api::StreamStatus::default()
    }
}

/// As the schema bounds it: a picture of more pixels is none.
fn size(track: &TrackReport) -> String {
    let side = |pixels: Option<u32>| pixels.unwrap_or(0).min(SIDE_MAX);
    format!("{}x{}", side(track.width), side(track.height))
}

fn frames(track: &TrackReport) -> Option<i32> {
    i32::try_from(track.frames_per_second?.min(FRAMES_MAX)).ok()
}

/// `Live` of a stream that a pod reports.
pub fn live(report: &StreamReport) -> Finding {
    let kind = ConditionType::Live;
    if report.tracks.is_empty() {
        Finding::unknown(kind, "NoMediaYet", "the publisher was let in and has sent no media yet")
    } else {
        Finding::yes(kind, "Publishing", "media comes in")
    }
}

/// To one digit, so that a status does not follow every wave: `300k`, `2M`. Empty before it is measured.
fn rate(kilobits: u32) -> String {
    let (number, unit) = match kilobits {
        0 => return String::new(),
        k if k < 950 => (k, "k"),
        k => (k.saturating_add(50).checked_div(1000).unwrap_or(0).max(1), "M"),
    };
    let step = 10_u32.saturating_pow(number.ilog10());
    let rounded = number
        .saturating_add(step.checked_div(2).unwrap_or(0))
        .checked_div(step)
        .unwrap_or(0);
    format!("{}{unit}", rounded.saturating_mul(step))
}

/// Lower-case letters, digits and dashes; starts and ends with none of the latter.
fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else if c == '-' || !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::hash_set;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn named(server: &str, app: &str, name: &str) -> String {
        stream_object_name(server, DEFAULT_VHOST, app, name)
    }

    #[test]
    fn a_stream_is_named_after_its_server_app_and_name() {
        assert_eq!(named("live", "live", "alice"), "live-live-alice");
        assert_eq!(named("live", "live", "my-cam"), "live-live-my-cam");
    }

    #[test]
    fn a_hash_follows_where_the_name_alone_could_mean_two_streams() {
        let others = [
            stream_object_name("live", "example.org", "live", "alice"),
            named("live", "live", "Alice"),
            named("live", "live", "alice_"),
            named("live", "live", "中文"),
            named("live-live", "alice", "x"),
            named("live", "live-alice", "x"),
            named("live", "live", &"x".repeat(999)),
        ];
        for name in &others {
            assert_ne!(*name, named("live", "live", "alice"));
            assert_eq!(name.rsplit('-').next().map(str::len), Some(8), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_stream_has_a_name_that_kubernetes_takes(vhost in ".{0,40}", app in ".{0,60}", name in ".{0,300}") {
            let made = stream_object_name("live", &vhost, &app, &name);
            prop_assert!(made.len() <= NAME_MAX && made.starts_with("live"));
            prop_assert!(made.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!made.ends_with('-'));
        }

        #[test]
        fn two_streams_never_share_a_name(streams in hash_set(("[ab][ab-]{0,2}", "[ab-]{1,3}", "[ab-]{1,4}"), 1..60)) {
            let mut seen = HashMap::new();
            for (server, app, name) in streams {
                prop_assert_eq!(seen.insert(named(&server, &app, &name), (server, app, name)), None);
            }
        }
    }

    #[test]
    fn a_bit_rate_has_one_digit() {
        let cases = [
            (0, ""),
            (7, "7k"),
            (64, "60k"),
            (349, "300k"),
            (949, "900k"),
            (980, "1M"),
            (2400, "2M"),
            (15_000, "20M"),
        ];
        for (kilobits, expected) in cases {
            assert_eq!(rate(kilobits), expected, "{kilobits}");
        }
    }

    #[test]
    fn what_a_pod_says_never_breaks_the_schema() {
        let track = "{codec: LongCodecOfItsOwn, width: 4294967295, height: 4294967295, framesPerSecond: 4294967295}";
        let tracks = vec![track; 16].join(", ");
        let viewers: Vec<String> = (0..40).map(|n| format!("p{n}: 4294967295")).collect();
        let yaml = format!(
            "{{vhost: v, app: a, stream: s, session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, \
             started: 2027-01-01T00:00:00Z, bitrateKilobits: 4294967295, tracks: [{tracks}], viewers: {{{}}}}}",
            viewers.join(", ")
        );
        let status = stream_status("live-0", &serde_yaml::from_str(&yaml).unwrap());
        assert!(status.codecs.len() <= 64 && status.size.len() <= 16 && status.bitrate.len() <= 16);
        assert!(status.frames_per_second.unwrap() <= 100_000);
        assert!(status.viewers.by_protocol.len() <= 32 && status.viewers.total.len() <= 16);
    }
}
