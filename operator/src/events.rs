//! Events: few, on transitions only, each saying what to do.

use crate::cluster::ClusterError;
use crate::lease::Claim;
use crate::metrics::Metrics;
use headgate_api::condition::ConditionType;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// One object gets one Event with one reason at most once in this time.
const INTERVAL: Duration = Duration::from_secs(10);
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
const REMEMBERED: usize = 1024;
const NOTE_MAX: usize = 1000;
/// Events in a row that are kept to be counted.
const COUNTED: usize = 128;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Something is wrong.
    pub warning: bool,
    /// PascalCase.
    pub reason: String,
    /// What happened and what to do; holds no secret.
    pub message: String,
    /// What the operator was doing.
    pub action: &'static str,
}

/// Publishes Events.
pub struct Events {
    recorders: Mutex<Recorders>,
    claim: Claim,
    metrics: Arc<Metrics>,
    last: Mutex<HashMap<(String, String), Instant>>,
}

impl Events {
    /// In the name of the operator's process.
    pub fn new(client: Client, identity: String, claim: Claim, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter {
            controller: "headgate.dev/operator".into(),
            instance: Some(identity),
        };
        Self {
            recorders: Mutex::new(Recorders::new(client, reporter)),
            claim,
            metrics,
            last: Mutex::default(),
        }
    }

    /// Publishes what has not been published a moment ago. An Event that cannot be published is logged and not tried again.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, notes: &[Note]) {
        let about = object.object_ref(&());
        for note in notes {
            if !self.is_due(&about, &note.reason, Instant::now()) {
                continue;
            }
            if let Err(error) = self.send(&about, note).await {
                tracing::warn!(object = ?about.name, reason = %note.reason, %error, "event not published");
            }
        }
    }

    /// Needs `create::<Event>` and `patch::<Event>`: the recorder counts an Event that happens again.
    async fn send(&self, about: &ObjectReference, note: &Note) -> Result<(), ClusterError> {
        if !self.claim.holds() {
            return Err(ClusterError::NotLeader);
        }
        self.metrics.api_writes.with_label_values(&["Event", "publish"]).inc();
        tracing::debug!(kind = "Event", about = ?about.name, reason = note.reason, "writing");
        let event = Event {
            type_: if note.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: note.reason.clone(),
            note: Some(note.message.chars().take(NOTE_MAX).collect()),
            action: note.action.into(),
            secondary: None,
        };
        let recorder = self.recorders.lock().next();
        match timeout(PUBLISH_TIMEOUT, recorder.publish(&event, about)).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(ClusterError::Timeout),
        }
    }

    fn is_due(&self, about: &ObjectReference, reason: &str, now: Instant) -> bool {
        let mut last = self.last.lock();
        let key = (about.uid.clone().unwrap_or_default(), reason.to_owned());
        let recent = |at: &Instant| now.saturating_duration_since(*at) < INTERVAL;
        if last.get(&key).is_some_and(recent) {
            return false;
        }
        if last.len() >= REMEMBERED {
            last.retain(|_, at| recent(at));
        }
        last.insert(key, now);
        true
    }
}

/// A recorder keeps each Event of the last minutes whole, to count those that happen again. Where all servers have something to say at once that is
/// more than anything else that is known of them, so it is left behind after a while: an Event that happens again is then one more.
struct Recorders {
    client: Client,
    reporter: Reporter,
    recorder: Recorder,
    left: usize,
}

impl Recorders {
    fn new(client: Client, reporter: Reporter) -> Self {
        Self {
            recorder: Recorder::new(client.clone(), reporter.clone()),
            client,
            reporter,
            left: COUNTED,
        }
    }

    /// Whom to publish one Event by.
    fn next(&mut self) -> Recorder {
        if self.left == 0 {
            *self = Self::new(self.client.clone(), self.reporter.clone());
        }
        self.left = self.left.saturating_sub(1);
        self.recorder.clone()
    }
}

/// What to tell of a change of conditions: what turned bad, what is bad for another reason, what is good again. Reasons that pass
/// by themselves are no news.
pub fn transitions(old: &[Condition], new: &[Condition], told: &[(ConditionType, bool)]) -> Vec<Note> {
    let find = |all: &[Condition], kind: ConditionType| all.iter().find(|c| c.type_ == kind.to_string()).cloned();
    let one = |(kind, good): &(ConditionType, bool)| {
        let new = find(new, *kind)?;
        let old = find(old, *kind);
        let is_good = says(&new, *good)?;
        let was_good = old.as_ref().and_then(|c| says(c, *good));
        let same_reason = old.as_ref().is_some_and(|c| c.reason == new.reason);
        let tell = match (was_good, is_good) {
            (Some(false), true) | (Some(true), false) => true,
            (None | Some(false), false) => !same_reason,
            (None | Some(true), true) => false,
        };
        (tell && !is_passing(&new.reason)).then_some(Note {
            warning: !is_good,
            reason: new.reason,
            message: new.message,
            action: "Reconcile",
        })
    };
    told.iter().filter_map(one).collect()
}

/// Whether it is good; `None` when nobody knows.
fn says(condition: &Condition, good: bool) -> Option<bool> {
    match condition.status.as_str() {
        "True" => Some(good),
        "False" => Some(!good),
        _ => None,
    }
}

fn is_passing(reason: &str) -> bool {
    matches!(reason, "Starting" | "Pushing" | "NoReadyPods" | "Stopped" | "Deleting")
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_api::condition::{Finding, merge};
    use k8s_openapi::jiff::Timestamp;

    const TOLD: &[(ConditionType, bool)] = &[(ConditionType::Ready, true), (ConditionType::Degraded, false)];

    fn shows(status: Option<bool>, reason: &'static str) -> Vec<Condition> {
        let finding = Finding {
            kind: ConditionType::Ready,
            status,
            reason,
            message: "m".into(),
        };
        merge(&[], &[finding], 1, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_transitions_are_told() {
        let cases = [
            (vec![], shows(Some(false), "Starting"), None),
            (vec![], shows(Some(false), "NameTaken"), Some((true, "NameTaken"))),
            (shows(Some(false), "NameTaken"), shows(Some(false), "NameTaken"), None),
            (
                shows(Some(false), "Starting"),
                shows(Some(true), "Serving"),
                Some((false, "Serving")),
            ),
            (shows(Some(true), "Serving"), shows(Some(true), "Serving"), None),
            (
                shows(Some(true), "Serving"),
                shows(Some(false), "PodsNotReady"),
                Some((true, "PodsNotReady")),
            ),
            (
                shows(Some(false), "NameTaken"),
                shows(Some(false), "PodRefused"),
                Some((true, "PodRefused")),
            ),
            (vec![], shows(Some(true), "Serving"), None),
            (vec![], shows(None, "NotCalledYet"), None),
            (shows(None, "NotCalledYet"), shows(Some(true), "Answering"), None),
            (
                shows(None, "NotCalledYet"),
                shows(Some(false), "HookTimeout"),
                Some((true, "HookTimeout")),
            ),
        ];
        for (old, new, expected) in cases {
            let notes = transitions(&old, &new, TOLD);
            let told = notes.first().map(|n| (n.warning, n.reason.as_str()));
            assert_eq!(told, expected, "{old:?} → {new:?}");
        }
    }
}
