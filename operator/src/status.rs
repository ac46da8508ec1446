//! The one way to write a status: only when it says something new, and at most once in two seconds an object. One that only counts
//! otherwise than before waits for its turn.

mod counts;

pub use counts::Turns;

use crate::cache::Kept;
use crate::cluster::{ClusterError, Namespaced};
use crate::context::Context;
use crate::names::ObjectKey;
use crate::rbac::may;
use crate::room::give_back;
use crate::runner::{Error, Next};
use counts::Counted;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Between two writes of one status.
const INTERVAL: Duration = Duration::from_secs(2);
/// Streams that are reconciled or wait for it, from which on counts are slower.
const STREAMS_WAIT: usize = 12;
/// How many objects are remembered before those that wait no longer are forgotten.
const REMEMBERED: usize = 1024;

/// An object of a kind.
type Of = (&'static str, ObjectKey);

/// When each status was written last.
#[derive(Debug, Default)]
pub struct Writes(Mutex<HashMap<Of, Instant>>);

impl Writes {
    /// How long a write has to wait, or `None` with the write noted down.
    fn wait(&self, of: &Of, now: Instant) -> Option<Duration> {
        let mut last = self.0.lock();
        let age = last.get(of).map(|at| now.saturating_duration_since(*at));
        if let Some(wait) = age.and_then(|age| INTERVAL.checked_sub(age)).filter(|w| !w.is_zero()) {
            return Some(wait);
        }
        if last.len() >= REMEMBERED {
            last.retain(|_, at| now.saturating_duration_since(*at) < INTERVAL);
            give_back(&mut last);
        }
        last.insert(of.clone(), now);
        None
    }
}

/// Holds back what is about to pass by itself: a configuration is in force within milliseconds, and a status that says that it is
/// not would have to be taken back at once.
#[derive(Debug, Default)]
pub struct Holds(Mutex<HashMap<Of, Instant>>);

/// How long a passing state is not spoken of.
const HOLD: Duration = Duration::from_secs(1);

impl Holds {
    /// How long to wait before saying it; `None` when it may be said.
    pub fn wait(&self, kind: &'static str, key: &ObjectKey, passing: bool, now: Instant) -> Option<Duration> {
        let mut held = self.0.lock();
        let of = (kind, key.clone());
        if !passing {
            held.remove(&of);
            give_back(&mut held);
            return None;
        }
        let since = *held.entry(of).or_insert(now);
        HOLD.checked_sub(now.saturating_duration_since(since))
            .filter(|w| !w.is_zero())
    }
}

/// Writes `new` over `old`, the status that `object` shows. Times are part of the comparison only where they moved for a reason:
/// a condition keeps its time while its word stays. Comes back later where the last write was a moment ago.
pub async fn write_if_changed<K, S>(
    ctx: &Context,
    kind: &'static str,
    object: &K,
    old: Option<&S>,
    new: &S,
) -> Result<Written<K>, Error>
where
    K: Namespaced + may::ApplyStatus,
    S: Serialize + PartialEq + Clone + Counted,
{
    let key = ObjectKey::of(object);
    match due(ctx, kind, &key, old, new)? {
        Due::Same => return Ok(Written::Same),
        Due::Later(wait) => return Ok(Written::Later(wait)),
        Due::Now => {}
    }
    let uid = object.meta().uid.clone().unwrap_or_default();
    Written::of(ctx.cluster.apply_status::<K>(&key, &uid, new).await)
}

/// Whether a status is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It says so already.
    Same,
    /// The last write was a moment ago.
    Later(Duration),
    /// Yes, and it is noted down.
    Now,
}

/// Whether `new` is to be written over `old`.
pub fn due<S>(ctx: &Context, kind: &'static str, key: &ObjectKey, old: Option<&S>, new: &S) -> Result<Due, Error>
where
    S: Serialize + PartialEq + Clone + Counted,
{
    if says_the_same(old, new)? {
        return Ok(Due::Same);
    }
    let (of, now) = ((kind, key.clone()), Instant::now());
    let busy = ctx.queues.streams.depth() > STREAMS_WAIT;
    let turn = only_counts(old, new)?.then(|| ctx.turns.wait(&of, busy, now)).flatten();
    Ok(turn.or_else(|| ctx.writes.wait(&of, now)).map_or(Due::Now, Due::Later))
}

/// A patch that merges `old` into `new`: what is no longer there is named as null.
pub fn merging(old: &Value, mut new: Value) -> Value {
    if let (Value::Object(old), Value::Object(fields)) = (old, &mut new) {
        for (name, before) in old {
            let now = fields.get_mut(name).map(Value::take);
            let now = now.map_or(Value::Null, |now| merging(before, now));
            fields.insert(name.clone(), now);
        }
    }
    new
}

/// Whether what is new of it is only how much of something there is.
fn only_counts<S: Serialize + PartialEq + Clone + Counted>(
    old: Option<&S>,
    new: &S,
) -> Result<bool, serde_json::Error> {
    let Some(old) = old else { return Ok(false) };
    let mut rest = new.clone();
    rest.count_as(old);
    says_the_same(Some(old), &rest)
}

/// Compared as they are written: a time has nanoseconds here and seconds in the cluster.
fn says_the_same<S: Serialize + PartialEq>(old: Option<&S>, new: &S) -> Result<bool, serde_json::Error> {
    let Some(old) = old else { return Ok(false) };
    Ok(old == new || serde_json::to_value(old)? == serde_json::to_value(new)?)
}

/// What came of a status.
#[derive(Debug)]
pub enum Written<K> {
    /// It said so already.
    Same,
    /// It says so now.
    New(Box<K>),
    /// The last write was a moment ago.
    Later(Duration),
}

impl<K> Written<K> {
    /// What an attempt to write came to.
    pub fn of(outcome: Result<K, ClusterError>) -> Result<Self, Error> {
        match outcome {
            Ok(object) => Ok(Self::New(Box::new(object))),
            Err(error) if error.is_not_found() => Ok(Self::Same),
            // Another came after it under its name, or somebody else wrote in the same moment.
            Err(error) if error.is_conflict() => Ok(Self::Later(INTERVAL)),
            Err(error) => Err(error.into()),
        }
    }
}

impl<K: Kept> Written<K> {
    /// When to look again. A new version goes into the cache, so that the next reconcile sees it even before the watch does.
    pub fn next(self, cache: &crate::cache::Cache<K>) -> Next {
        match self {
            Self::Same => Next::Resync,
            Self::Later(wait) => Next::After(wait),
            Self::New(object) => {
                cache.refresh(*object);
                Next::Resync
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn a_status_waits_out_two_seconds_since_its_last_write() {
        let (writes, now) = (Writes::default(), Instant::now());
        let key = ObjectKey::new("n", "a");
        let at = |ms| now.checked_add(Duration::from_millis(ms)).unwrap();
        let (stream, stream_key) = (("Stream", key.clone()), ("StreamKey", key));
        assert_eq!(writes.wait(&stream, at(0)), None);
        assert_eq!(writes.wait(&stream, at(500)), Some(Duration::from_millis(1500)));
        assert_eq!(writes.wait(&stream_key, at(500)), None);
        assert_eq!(writes.wait(&stream, at(2000)), None);
    }

    #[test]
    fn a_status_that_says_anything_but_another_count_does_not_wait_for_its_turn() {
        let old = headgate_api::StreamKeyStatus {
            publishers: 1,
            ..headgate_api::StreamKeyStatus::default()
        };
        let counted = headgate_api::StreamKeyStatus {
            publishers: 2,
            ..old.clone()
        };
        let changed = headgate_api::StreamKeyStatus {
            observed_generation: Some(2),
            ..counted.clone()
        };
        assert!(only_counts(Some(&old), &counted).unwrap());
        assert!(!only_counts(Some(&old), &changed).unwrap());
        assert!(!only_counts(None, &counted).unwrap());
    }

    #[test]
    fn a_status_that_came_back_from_the_cluster_says_the_same() {
        let new = headgate_api::StreamStatus {
            start_time: Some(Time(Timestamp::from_nanosecond(1_800_000_000_123_456_789).unwrap())),
            ..headgate_api::StreamStatus::default()
        };
        let written = serde_json::to_value(&new).unwrap();
        let read: headgate_api::StreamStatus = serde_json::from_value(written).unwrap();
        assert_ne!(read, new);
        assert!(says_the_same(Some(&read), &new).unwrap());
        let later = headgate_api::StreamStatus {
            start_time: Some(Time(Timestamp::from_second(1_800_000_001).unwrap())),
            ..read.clone()
        };
        assert!(!says_the_same(Some(&read), &later).unwrap());
        assert!(!says_the_same(None, &new).unwrap());
    }

    #[test]
    fn a_patch_takes_off_what_is_no_longer_said() {
        let old = json!({"pod": "live-0", "size": "1x1", "viewers": {"total": "2", "byProtocol": {"RTMP": "1", "HLS": "1"}}, "conditions": [1, 2]});
        let new = json!({"pod": "live-1", "viewers": {"total": "1", "byProtocol": {"HLS": "1"}}, "conditions": [2]});
        let patch = merging(&old, new);
        let expected = json!({"pod": "live-1", "size": null, "viewers": {"total": "1", "byProtocol": {"RTMP": null, "HLS": "1"}}, "conditions": [2]});
        assert_eq!(patch, expected);
        assert_eq!(merging(&Value::Null, json!({"a": 1})), json!({"a": 1}));
    }

    #[test]
    fn what_passes_within_a_second_is_not_spoken_of() {
        let (holds, now) = (Holds::default(), Instant::now());
        let key = ObjectKey::new("n", "a");
        let at = |ms| now.checked_add(Duration::from_millis(ms)).unwrap();
        assert_eq!(holds.wait("K", &key, true, at(0)), Some(HOLD));
        assert_eq!(holds.wait("K", &key, true, at(400)), Some(Duration::from_millis(600)));
        assert_eq!(holds.wait("K", &key, true, at(1000)), None);
        assert_eq!(holds.wait("K", &key, false, at(1100)), None);
        assert_eq!(holds.wait("K", &key, true, at(1200)), Some(HOLD));
    }

    #[test]
    fn what_waits_no_longer_is_forgotten() {
        let (writes, now) = (Writes::default(), Instant::now());
        for n in 0..5000_u64 {
            let at = now.checked_add(Duration::from_millis(n * 10)).unwrap();
            writes.wait(&("Stream", ObjectKey::new("n", n.to_string())), at);
        }
        assert!(writes.0.lock().len() <= REMEMBERED);
    }
}
