//! A stream that two pods have at once: what a network that came together again leaves. Pods settle it among themselves as long as they
//! reach each other; this is for when they could not.

use crate::events::Note;
use crate::link::Sighting;
use crate::names::ObjectKey;
use headgate_api::OnConflict;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// One pod's word that a publisher left may come after another's that it is there.
const SETTLE: Duration = Duration::from_secs(3);
const REMEMBERED: usize = 1024;

/// Streams that are live twice, and since when.
#[derive(Debug, Default)]
pub struct Twice(Mutex<HashMap<ObjectKey, Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Instant,
    told: bool,
}

/// What to do about it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The publisher that is shown.
    pub shown: Option<Sighting>,
    /// The one that is told to end.
    pub ends: Option<Sighting>,
    /// What users are told of it, once.
    pub note: Option<Note>,
    /// When to look again.
    pub again: Option<Duration>,
}

impl Twice {
    /// Decides; `seen` by start.
    pub fn judge(&self, stream: &ObjectKey, seen: Vec<Sighting>, policy: OnConflict, now: Instant) -> Verdict {
        let mut known = self.0.lock();
        let Some((stays, goes)) = rivals(&seen, policy) else {
            known.remove(stream);
            return Verdict {
                shown: shown(seen),
                ..Verdict::default()
            };
        };
        let (stays, goes) = (stays.clone(), goes.clone());
        if known.len() >= REMEMBERED && !known.contains_key(stream) {
            known.retain(|_, seen| now.saturating_duration_since(seen.since) < Duration::from_mins(1));
        }
        let entry = known.entry(stream.clone()).or_insert(Seen {
            since: now,
            told: false,
        });
        let mut verdict = Verdict {
            again: Some(Duration::from_secs(1)),
            ..Verdict::default()
        };
        if is_sure(entry.since, &[&stays, &goes], now) {
            verdict.note = (!entry.told).then(|| note(&stays, &goes, policy));
            entry.told = true;
            verdict.ends = Some(goes);
        }
        verdict.shown = Some(stays);
        verdict
    }
}

/// Both have reported since, and it has lasted.
fn is_sure(since: Instant, rivals: &[&Sighting], now: Instant) -> bool {
    let again = |s: &&Sighting| s.heard.is_some_and(|at| at > since);
    now.saturating_duration_since(since) >= SETTLE && rivals.iter().all(again)
}

/// Who stays and who goes, of those that are heard of now. One that is not may be gone.
fn rivals(seen: &[Sighting], policy: OnConflict) -> Option<(&Sighting, &Sighting)> {
    let mut heard = seen.iter().filter(|s| s.connected);
    let (first, last) = (heard.next()?, heard.next_back()?);
    if first.report.session == last.report.session {
        return None;
    }
    Some(match policy {
        OnConflict::Reject => (first, last),
        OnConflict::Takeover => (last, first),
    })
}

/// One that is heard of before one that is not, and of these the last.
fn shown(seen: Vec<Sighting>) -> Option<Sighting> {
    seen.into_iter().max_by_key(|s| (s.connected, s.report.started))
}

fn note(stays: &Sighting, goes: &Sighting, policy: OnConflict) -> Note {
    let (which, policy) = match policy {
        OnConflict::Reject => ("later", "Reject"),
        OnConflict::Takeover => ("earlier", "Takeover"),
    };
    Note {
        warning: true,
        reason: "PublishedTwice".into(),
        message: format!(
            "pods {} and {} each had a publisher of this stream, which they may while they cannot reach each other: the {which} one, in \
             pod {}, was ended (publish.onConflict: {policy})",
            stays.pod.name, goes.pod.name, goes.pod.name
        ),
        action: "EndPublisher",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(pod: &str, session: u128, started: i64, connected: bool, heard: Instant) -> Sighting {
        let mut report: headgate_control::StreamReport = serde_yaml::from_str("{vhost: __defaultVhost__, app: live, stream: alice, session: 00000000-0000-0000-0000-000000000000, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1}").unwrap();
        report.session = uuid::Uuid::from_u128(session);
        report.started = jiff::Timestamp::from_second(started).unwrap();
        Sighting {
            server: ObjectKey::new("n", "live"),
            server_uid: "u".into(),
            pod: ObjectKey::new("n", pod),
            pod_uid: pod.into(),
            heard: Some(heard),
            connected,
            report,
        }
    }

    fn after(now: Instant, seconds: u64) -> Instant {
        now.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn pod(sighting: Option<Sighting>) -> Option<String> {
        sighting.map(|s| s.pod.name)
    }

    fn key() -> ObjectKey {
        ObjectKey::new("n", "live-live-alice")
    }

    #[test]
    fn who_is_shown_and_who_ends_once_it_is_sure() {
        let now = Instant::now();
        let two =
            |a: bool, b: bool, at: Instant| vec![sighting("live-0", 1, 10, a, at), sighting("live-1", 2, 20, b, at)];
        let cases = [
            (
                "Reject: the later ends",
                two(true, true, after(now, 4)),
                OnConflict::Reject,
                Some("live-0"),
                Some("live-1"),
            ),
            (
                "Takeover: the earlier ends",
                two(true, true, after(now, 4)),
                OnConflict::Takeover,
                Some("live-1"),
                Some("live-0"),
            ),
            (
                "one is out of reach",
                two(false, true, after(now, 4)),
                OnConflict::Reject,
                Some("live-1"),
                None,
            ),
            (
                "the other is",
                two(true, false, after(now, 4)),
                OnConflict::Takeover,
                Some("live-0"),
                None,
            ),
            (
                "one has not spoken since",
                two(true, true, now),
                OnConflict::Reject,
                Some("live-0"),
                None,
            ),
            (
                "one publisher",
                vec![sighting("live-0", 1, 10, true, after(now, 4))],
                OnConflict::Reject,
                Some("live-0"),
                None,
            ),
            ("none", vec![], OnConflict::Reject, None, None),
        ];
        for (name, seen, policy, shows, ends) in cases {
            let twice = Twice::default();
            let first = twice.judge(&key(), seen.clone(), policy, now);
            assert!(first.ends.is_none(), "{name}: too early");
            let then = twice.judge(&key(), seen, policy, after(now, 5));
            assert_eq!(pod(then.shown).as_deref(), shows, "{name}");
            assert_eq!(pod(then.ends).as_deref(), ends, "{name}");
        }
    }

    #[test]
    fn users_are_told_once_and_of_the_next_time_again() {
        let (twice, now) = (Twice::default(), Instant::now());
        let judge = |at: u64, both: bool| {
            let mut seen = vec![sighting("live-0", 1, 10, true, after(now, at))];
            seen.extend(both.then(|| sighting("live-1", 2, 20, true, after(now, at))));
            twice.judge(&key(), seen, OnConflict::Reject, after(now, at))
        };
        let told: Vec<bool> = [0, 4, 5, 6].map(|at| judge(at, true).note.is_some()).into();
        assert_eq!(told, [false, true, false, false]);
        assert!(judge(7, false).ends.is_none());
        let told: Vec<bool> = [8, 12].map(|at| judge(at, true).note.is_some()).into();
        assert_eq!(told, [false, true]);
    }
}
