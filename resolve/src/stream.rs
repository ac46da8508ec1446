//! A live stream as the Stream object that users see.

use crate::coarse;
use headgate_api as api;
use headgate_api::condition::{ConditionType, Finding};
use headgate_control::StreamReport;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest, Sha256};

/// Name of the Stream object: the server's and the stream's, as far as a Kubernetes name can hold them, and a hash that keeps apart what
/// then looks alike. The same stream of the same server always has the same name.
pub fn stream_object_name(server: &str, vhost: &str, app: &str, stream: &str) -> String {
    let mut hash = Sha256::new();
    for part in [vhost, app, stream] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest: String = hex::encode(hash.finalize()).chars().take(10).collect();
    format!("{server}-{}-{digest}", slug(stream))
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
        codecs: codecs.join("/"),
        size: video.map_or_else(String::new, |t| {
            format!("{}x{}", t.width.unwrap_or(0), t.height.unwrap_or(0))
        }),
        frames_per_second: video.and_then(|t| i32::try_from(t.frames_per_second?).ok()),
        bitrate: rate(report.bitrate_kilobits),
        viewers: api::StreamViewers {
            total: coarse(total),
            by_protocol,
        },
        start_time: Some(Time(report.started)),
        ..api::StreamStatus::default()
    }
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

fn slug(text: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let text: String = text.chars().map(kept).take(40).collect();
    let text = text.trim_matches('-');
    if text.is_empty() { "stream".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_a_name_that_kubernetes_takes_and_no_other_has() {
        let name = |app, stream| stream_object_name("live", "v", app, stream);
        assert!(
            name("live", "alice").starts_with("live-alice-"),
            "{}",
            name("live", "alice")
        );
        assert!(name("live", "Ünï code/../x").starts_with("live-n--code----x-"));
        assert!(name("live", "中文").starts_with("live-stream-"));
        assert_ne!(name("live", "a"), name("live", "A"));
        assert_ne!(name("ab", "c"), name("a", "bc"));
        assert!(stream_object_name(&"s".repeat(40), "v", "a", &"x".repeat(999)).len() <= 253);
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
}
