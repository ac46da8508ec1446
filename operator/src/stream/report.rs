//! What a Stream says of the stream: coarse, so that a stream that just runs costs no write.

use super::{Applied, Streams};
use crate::cache::digest;
use crate::context::Context;
use crate::link::Sighting;
use crate::names::{ObjectKey, SEALED_ANNOTATION, annotation};
use crate::runner::{Error, Kind as _, Next};
use crate::status::{Due, Written, due, merging};
use headgate_api::condition::{ConditionType, Finding, merge};
use headgate_api::{Stream, StreamStatus};
use headgate_resolve::{live, stream_status};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// A pod's ledger may say later than its report what closes a session; one that is too long never says it.
const SEALED_LATER: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// Writes the status, if it says something new.
pub async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
    let Some(object) = applied.object else {
        return Ok(Next::Resync);
    };
    let old = object.status.as_ref();
    let (new, unwritten) = match &applied.live {
        Some(sighting) => (status(old, sighting, applied.now), unwritten(&object, sighting)),
        None => (lost(old, applied.now), None),
    };
    let sealed = unwritten.and_then(|s| ctx.links.sealed(&s.pod_uid, s.report.session));
    let late = unwritten.filter(|_| sealed.is_none()).map(|s| again(s, applied.now));
    let at = ObjectKey::of(object.as_ref());
    let written = match due(ctx, Streams::NAME, &at, old, &new)? {
        Due::Later(wait) => Written::Later(wait),
        Due::Same if sealed.is_none() => Written::Same,
        Due::Same | Due::Now => {
            let patch = patch(&object, &new, sealed.as_deref())?;
            let written = ctx.cluster.patch::<Stream>(&at, patch).await;
            Written::of(match written {
                Ok(object) => Ok(kept(object)?),
                Err(error) => Err(error),
            })?
        }
    };
    if let (Some(sighting), None) = (&applied.live, unwritten)
        && let Some(digest) = &sighting.report.sealed
    {
        ctx.links.stored(&sighting.pod_uid, sighting.report.session, digest);
    }
    Ok(written.next(&ctx.caches.streams).or_sooner(late))
}

/// A written object that came back with its status.
pub fn kept(object: Stream) -> Result<Stream, Error> {
    if object.status.is_none() {
        return Err(Error::OldDefinition(Streams::NAME));
    }
    Ok(object)
}

fn again(sighting: &Sighting, now: Timestamp) -> Duration {
    let [soon, later] = SEALED_LATER;
    let age = now.duration_since(sighting.report.started).unsigned_abs();
    if age < later { soon } else { later }
}

/// The publisher, where the object does not have what its closing events need.
fn unwritten<'a>(object: &Stream, sighting: &'a Sighting) -> Option<&'a Sighting> {
    let wanted = sighting.report.sealed.as_deref()?;
    let known = annotation(object, SEALED_ANNOTATION).map(digest);
    (known != Some(digest(wanted))).then_some(sighting)
}

fn patch(object: &Stream, new: &StreamStatus, sealed: Option<&str>) -> Result<Value, Error> {
    let old = serde_json::to_value(&object.status)?;
    let mut patch = json!({
        "metadata": { "uid": object.metadata.uid },
        "status": merging(&old, serde_json::to_value(new)?),
    });
    if let (Some(sealed), Some(metadata)) = (sealed, patch.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.insert("annotations".into(), json!({ SEALED_ANNOTATION: sealed }));
    }
    Ok(patch)
}

/// Of a live stream. `old`: what was said before.
pub fn status(old: Option<&StreamStatus>, sighting: &Sighting, now: Timestamp) -> StreamStatus {
    let conditions = old.map(|s| s.conditions.as_slice()).unwrap_or_default();
    let finding = finding(sighting);
    let mut new = stream_status(&sighting.pod.name, &sighting.report);
    new.pod_uid = Some(sighting.pod_uid.clone());
    new.conditions = merge(conditions, &[finding], None::<i64>, now);
    if let Some(old) = old.filter(|o| o.publisher == new.publisher) {
        steady(&mut new, old, sighting);
    }
    new
}

/// As it was seen last, and that it is over.
fn lost(old: Option<&StreamStatus>, now: Timestamp) -> StreamStatus {
    let mut new = old.cloned().unwrap_or_default();
    let message = format!(
        "pod {} is gone; this object stays until another pod has sent the closing events",
        new.pod
    );
    let finding = Finding::no(ConditionType::Live, "PodLost", message);
    new.conditions = merge(&new.conditions, &[finding], None::<i64>, now);
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
    use crate::cache::Slim as _;
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
        let status = status(None, &sighting(2400, 30), at(10));
        insta::assert_yaml_snapshot!(status);
    }

    #[test]
    fn measures_that_wave_about_a_border_change_nothing() {
        let old = status(None, &sighting(2930, 30), at(10));
        let status = |bitrate, fps| status(Some(&old), &sighting(bitrate, fps), at(20));
        for (bitrate, fps) in [(2980, 30), (2920, 29), (3050, 31), (3900, 30), (1100, 30)] {
            assert_eq!(status(bitrate, fps), old, "{bitrate} {fps}");
        }
        assert_eq!(status(900, 30).bitrate, "900k");
        assert_eq!(status(4400, 30).bitrate, "4M");
        assert_eq!(status(2930, 50).frames_per_second, Some(50));
    }

    #[test]
    fn a_stream_whose_pod_is_not_heard_of_is_neither_live_nor_ended() {
        let mut silent = sighting(2400, 30);
        silent.connected = false;
        let status = status(None, &silent, at(10));
        assert_eq!(
            (
                status.conditions[0].status.as_str(),
                status.conditions[0].reason.as_str()
            ),
            ("Unknown", "PodUnreachable")
        );
    }

    #[test]
    fn what_closes_a_session_is_written_once_and_kept_as_a_digest() {
        let mut live = sighting(2400, 30);
        live.report.sealed = Some("sealed".into());
        let mut object = object();
        object.status = Some(status(None, &live, at(10)));
        let status = object.status.clone().unwrap();
        assert!(unwritten(&object, &live).is_some());
        let patched = patch(&object, &status, Some("sealed")).unwrap();
        assert_eq!(patched["metadata"]["annotations"][SEALED_ANNOTATION], "sealed");
        object.metadata.annotations = Some([(SEALED_ANNOTATION.to_owned(), "sealed".to_owned())].into());
        assert!(unwritten(&object, &live).is_none());
        object.slim();
        assert_ne!(annotation(&object, SEALED_ANNOTATION), Some("sealed"));
        assert!(unwritten(&object, &live).is_none());
        live.report.sealed = Some("another".into());
        assert!(unwritten(&object, &live).is_some());
    }

    #[test]
    fn an_object_that_lost_its_status_on_the_way_is_an_error() {
        assert!(matches!(kept(object()), Err(Error::OldDefinition("Stream"))));
    }
}
