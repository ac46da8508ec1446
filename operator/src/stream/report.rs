//! What a Stream says of the stream: coarse, so that a stream that just runs costs no write.

use super::{Applied, Streams};
use crate::context::Context;
use crate::link::Sighting;
use crate::runner::{Error, Kind as _, Next};
use crate::status::write_if_changed;
use headgate_api::condition::{ConditionType, Finding, merge};
use headgate_api::{Stream, StreamStatus};
use headgate_resolve::{live, stream_status};
use k8s_openapi::jiff::Timestamp;

/// Writes the status, if it says something new.
pub async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
    let Some(object) = applied.object else {
        return Ok(Next::Resync);
    };
    let new = match &applied.live {
        Some(sighting) => status(&object, sighting, applied.now),
        None => lost(&object, applied.now),
    };
    let written =
        write_if_changed::<Stream, _>(ctx, Streams::NAME, object.as_ref(), object.status.as_ref(), &new).await?;
    Ok(written.next(&ctx.caches.streams))
}

fn status(object: &Stream, sighting: &Sighting, now: Timestamp) -> StreamStatus {
    let old = object.status.as_ref();
    let conditions = old.map(|s| s.conditions.as_slice()).unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or(0);
    let finding = finding(sighting);
    let mut new = stream_status(&sighting.pod.name, &sighting.report);
    new.pod_uid = Some(sighting.pod_uid.clone());
    new.observed_generation = Some(generation);
    new.conditions = merge(conditions, &[finding], generation, now);
    if let Some(old) = old.filter(|o| o.publisher == new.publisher) {
        steady(&mut new, old, sighting);
    }
    new
}

/// As it was seen last, and that it is over.
fn lost(object: &Stream, now: Timestamp) -> StreamStatus {
    let mut new = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or(0);
    let message = format!(
        "pod {} is gone; this object stays until another pod has sent the closing events",
        new.pod
    );
    let finding = Finding::no(ConditionType::Live, "PodLost", message);
    new.conditions = merge(&new.conditions, &[finding], generation, now);
    new
}

fn finding(sighting: &Sighting) -> Finding {
    if sighting.connected {
        return live(&sighting.report);
    }
    let message = format!("pod {} is not heard of; this is what it said last", sighting.pod.name);
    Finding::unknown(ConditionType::Live, "PodUnreachable", message)
}

/// What is shown stays until the measure has doubled or halved: an encoder's rate waves with the picture, and a status is not a
/// meter.
fn steady(new: &mut StreamStatus, old: &StreamStatus, sighting: &Sighting) {
    let measured = sighting.report.bitrate_kilobits;
    let near = measured.div_ceil(2)..=measured.saturating_mul(2);
    if kilobits(&old.bitrate).is_some_and(|shown| near.contains(&shown)) {
        new.bitrate.clone_from(&old.bitrate);
    }
    if let (Some(a), Some(b)) = (new.frames_per_second, old.frames_per_second)
        && a.abs_diff(b) <= 1
    {
        new.frames_per_second = Some(b);
    }
}

/// The number behind `600k` or `3M`.
fn kilobits(shown: &str) -> Option<u32> {
    match shown.strip_suffix('M') {
        Some(millions) => millions.parse::<u32>().ok()?.checked_mul(1000),
        None => shown.strip_suffix('k')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ObjectKey;
    use headgate_control::{StreamReport, TrackReport};
    use headgate_resolve::stream_spec;

    fn sighting(bitrate: u32, fps: u32) -> Sighting {
        let track = |codec: &str, width| TrackReport {
            codec: codec.into(),
            width,
            height: width.map(|_| 720),
            frames_per_second: width.map(|_| fps),
            sample_rate: None,
            channels: None,
        };
        Sighting {
            server: ObjectKey::new("n", "live"),
            server_uid: "u".into(),
            pod: ObjectKey::new("n", "live-0"),
            pod_uid: "pod-0".into(),
            heard: None,
            connected: true,
            report: StreamReport {
                vhost: "__defaultVhost__".into(),
                app: "live".into(),
                stream: "alice".into(),
                session: uuid::Uuid::nil(),
                protocol: "RTMP".into(),
                address: "10.0.0.1:1".into(),
                client_id: "c".into(),
                started: Timestamp::UNIX_EPOCH,
                tracks: vec![track("H264", Some(1280)), track("AAC", None)],
                bitrate_kilobits: bitrate,
                viewers: [("RTMP".to_owned(), 3), ("HTTP-FLV".to_owned(), 14)].into(),
                sealed: None,
            },
        }
    }

    fn object() -> Stream {
        let mut object = Stream::new("live-live-alice", stream_spec("live", &sighting(0, 0).report));
        object.metadata.generation = Some(1);
        object
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_users_see_of_a_live_stream() {
        let status = status(&object(), &sighting(2400, 30), at(10));
        insta::assert_yaml_snapshot!(status);
    }

    #[test]
    fn measures_that_wave_about_a_border_change_nothing() {
        let mut object = object();
        object.status = Some(status(&object, &sighting(2930, 30), at(10)));
        for (bitrate, fps) in [(2980, 30), (2920, 29), (3050, 31), (3900, 30), (1100, 30)] {
            let next = status(&object, &sighting(bitrate, fps), at(20));
            assert_eq!(Some(&next), object.status.as_ref(), "{bitrate} {fps}");
        }
        assert_eq!(status(&object, &sighting(900, 30), at(20)).bitrate, "900k");
        assert_eq!(status(&object, &sighting(4400, 30), at(20)).bitrate, "4M");
        assert_eq!(status(&object, &sighting(2930, 50), at(20)).frames_per_second, Some(50));
    }

    #[test]
    fn a_stream_whose_pod_is_not_heard_of_is_neither_live_nor_ended() {
        let mut silent = sighting(2400, 30);
        silent.connected = false;
        let status = status(&object(), &silent, at(10));
        assert_eq!(
            (
                status.conditions[0].status.as_str(),
                status.conditions[0].reason.as_str()
            ),
            ("Unknown", "PodUnreachable")
        );
    }
}
