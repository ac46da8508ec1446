//! What is known of one pod.

use super::streams::Streams;
use headgate_control::{EdgeReport, PodReport, Problem, StreamReport};
use headgate_resolve::stream_object_name;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// What a pod said last, and whether it is heard of now.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Its report stream is open.
    pub connected: bool,
    /// Its last report, without its streams; stays when the stream breaks.
    pub report: Option<Arc<PodReport>>,
    /// When that came.
    pub heard: Option<Instant>,
    /// The streams of that report.
    streams: Arc<Streams>,
    /// Where in the report each edge is, by the name of its stream's object.
    edges: Arc<HashMap<String, usize>>,
    /// The configuration in force in it; empty when not known.
    pub revision: String,
    /// Why it is not reached, or what it refused.
    pub problem: Option<Problem>,
    /// The revision it refused; not sent again.
    pub refused: Option<String>,
    /// Since when it drains and has no publisher left.
    pub quiet: Option<Instant>,
    applied: Option<Instant>,
}

/// A report that was written before a push may arrive after it; for this long the push is right.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(2);

impl View {
    /// Takes a report in. Of what closes a session a digest is kept.
    pub fn heard(&mut self, server: &str, mut report: PodReport, now: Instant) {
        let streams = std::mem::take(&mut report.streams);
        self.streams = Arc::new(Streams::of(server, streams, &self.streams));
        let edges = report.edges.iter().map(|e| (&e.vhost, &e.app, &e.stream));
        self.edges = index(server, edges);
        let restarted = self.report.as_ref().is_some_and(|r| r.instance != report.instance);
        let settled = self
            .applied
            .is_none_or(|at| now.saturating_duration_since(at) >= SETTLE);
        if restarted || settled {
            self.revision.clone_from(&report.revision);
        }
        if restarted {
            self.refused = None;
        }
        if self.refused.is_none() {
            self.problem = None;
        }
        let quiet = report.draining.as_ref().is_some_and(|d| d.publishers == 0);
        self.quiet = self.quiet.or(Some(now)).filter(|_| quiet);
        self.connected = true;
        self.heard = Some(now);
        shrink(&mut report);
        self.report = Some(Arc::new(report));
    }

    /// The names of the objects of its streams.
    pub fn stream_names(&self) -> impl Iterator<Item = &str> {
        self.streams.names()
    }

    /// The names of the objects of the streams that it relays.
    pub fn edge_names(&self) -> impl Iterator<Item = &str> {
        self.edges.keys().map(String::as_str)
    }

    /// What it says of the stream with that object.
    pub fn stream(&self, name: &str) -> Option<StreamReport> {
        self.streams.get(name)
    }

    /// Whether something else is said of that stream than in `other`.
    pub fn stream_differs(&self, other: &Self, name: &str) -> bool {
        self.streams.differs(&other.streams, name)
    }

    /// How many streams have their publisher there.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Viewers there, of its own streams and of those that it relays.
    pub fn viewers(&self) -> u64 {
        let edges = self.report.iter().flat_map(|r| &r.edges);
        let relayed = edges.flat_map(|e| e.viewers.values()).map(|v| u64::from(*v));
        self.streams.viewers().saturating_add(relayed.sum())
    }

    /// What it says of the stream with that object, which another pod has.
    pub fn edge(&self, name: &str) -> Option<&EdgeReport> {
        self.report.as_ref()?.edges.get(*self.edges.get(name)?)
    }

    /// Its report was written before the configuration that is in force now.
    pub fn is_behind(&self) -> bool {
        self.report.as_ref().is_some_and(|r| r.revision != self.revision)
    }

    /// The pod says that a revision is in force.
    pub fn in_force(&mut self, revision: &str, now: Instant) {
        revision.clone_into(&mut self.revision);
        self.applied = Some(now);
        self.refused = None;
        self.problem = None;
    }

    /// The pod will not run a revision.
    pub fn refuse(&mut self, revision: &str, problem: Problem) {
        self.refused = Some(revision.to_owned());
        self.problem = Some(problem);
    }

    /// The report stream broke.
    pub fn lost(&mut self, problem: Problem) {
        self.connected = false;
        self.problem = Some(problem);
    }

    /// Takes new sessions, as far as it is known.
    pub fn is_ready(&self) -> bool {
        self.connected && self.report.as_ref().is_some_and(|r| r.ready)
    }
}

/// It stays until the next one, and lists that were read one by one have room for as many again.
fn shrink(report: &mut PodReport) {
    report.edges.shrink_to_fit();
    report.hooks.shrink_to_fit();
    report.listeners.shrink_to_fit();
}

fn index<'a>(
    server: &str,
    streams: impl Iterator<Item = (&'a String, &'a String, &'a String)>,
) -> Arc<HashMap<String, usize>> {
    let named = streams.map(|(vhost, app, stream)| stream_object_name(server, vhost, app, stream));
    Arc::new(named.enumerate().map(|(at, name)| (name, at)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn report(instance: &str, revision: &str) -> PodReport {
        PodReport {
            instance: instance.into(),
            revision: revision.into(),
            ..PodReport::default()
        }
    }

    fn heard(view: &mut View, instance: &str, revision: &str, now: Instant) {
        view.heard("live", report(instance, revision), now);
    }

    fn stream(bitrate: u32, fps: u32) -> PodReport {
        let json = format!(
            r#"{{"instance":"i","sequence":1,"revision":"1","ready":true,"streams":[{{"vhost":"v","app":"a","stream":"s",
                "session":"00000000-0000-0000-0000-000000000001","protocol":"RTMP","address":"a:1","clientId":"c",
                "started":"2026-01-01T00:00:00Z","bitrateKilobits":{bitrate},
                "tracks":[{{"codec":"H264","width":1,"height":1,"framesPerSecond":{fps}}}]}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_measure_that_waves_is_taken_as_it_was_and_one_that_moves_on_in_small_steps_is_not() {
        let (mut view, now) = (View::default(), Instant::now());
        let mut seen = |bitrate, fps| {
            view.heard("live", stream(bitrate, fps), now);
            let name = view.stream_names().next().unwrap().to_owned();
            let stream = view.stream(&name).unwrap();
            (stream.bitrate_kilobits, stream.tracks[0].frames_per_second)
        };
        assert_eq!(seen(2000, 30), (2000, Some(30)));
        for bitrate in [2500, 3100, 3900, 1100] {
            assert_eq!(seen(bitrate, 29), (2000, Some(30)));
        }
        assert_eq!(seen(4100, 50), (4100, Some(50)));
    }

    #[test]
    fn a_report_from_before_a_push_does_not_undo_it() {
        let (mut view, now) = (View::default(), Instant::now());
        heard(&mut view, "i", "1", now);
        view.in_force("2", now);
        heard(&mut view, "i", "1", now);
        assert_eq!(view.revision, "2");
        heard(&mut view, "i", "1", now.checked_add(Duration::from_secs(2)).unwrap());
        assert_eq!(view.revision, "1");
    }

    #[test]
    fn it_is_quiet_since_its_last_publisher_ended() {
        let (mut view, now) = (View::default(), Instant::now());
        let mut drains = |publishers: Option<u32>, second| {
            let deadline = jiff::Timestamp::UNIX_EPOCH;
            let draining = publishers.map(|publishers| headgate_control::DrainReport {
                deadline,
                publishers,
                viewers: 1,
            });
            let at = now.checked_add(Duration::from_secs(second)).unwrap();
            view.heard(
                "live",
                PodReport {
                    draining,
                    ..report("i", "1")
                },
                at,
            );
            view.quiet.map(|since| since.saturating_duration_since(now).as_secs())
        };
        assert_eq!((drains(None, 0), drains(Some(1), 1)), (None, None));
        assert_eq!((drains(Some(0), 2), drains(Some(0), 3)), (Some(2), Some(2)));
        assert_eq!((drains(None, 4), drains(Some(0), 5)), (None, Some(5)));
    }

    #[test]
    fn a_pod_that_restarted_is_believed_at_once() {
        let (mut view, now) = (View::default(), Instant::now());
        heard(&mut view, "i", "1", now);
        view.in_force("2", now);
        view.refuse(
            "3",
            Problem {
                reason: "R".into(),
                message: String::new(),
            },
        );
        heard(&mut view, "j", "1", now);
        assert_eq!((view.revision.as_str(), view.refused, view.problem), ("1", None, None));
    }
}
