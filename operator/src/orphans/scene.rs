//! One look at what the pods of a server have left. Pure, but for the ledgers that it empties.

use super::decide::{self, Fate, Heir, Session};
use super::estate::Estate;
use crate::events::Note;
use crate::link::Kept;
use crate::names::ObjectKey;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// What a pod that is gone said of its sessions is remembered for so long, for a Stream that is late.
const REMEMBERED: Duration = Duration::from_mins(1);

/// What a look sees.
pub struct Scene {
    /// The ledgers of the pods that there are.
    pub here: Vec<Kept>,
    /// The ledgers of those that are gone.
    pub gone: Vec<Kept>,
    /// Streams of those that are gone, with what closes them.
    pub streams: Vec<LostStream>,
    /// Who may take it over.
    pub heirs: Vec<Heir>,
    /// Read once.
    pub now: Instant,
}

/// A Stream whose pod is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostStream {
    /// Its object.
    pub stream: ObjectKey,
    /// The publisher's session.
    pub session: Uuid,
    /// What closes it, where somebody had to read it.
    pub sealed: Option<Arc<str>>,
    /// The pod that had it.
    pub pod: String,
    /// Its UID; its name where that is not known.
    pub pod_uid: String,
    /// A pod that is there has the session all the same.
    pub live: bool,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When to look again.
    pub again: Option<Duration>,
    /// Sessions that another pod has to close from now on.
    pub inherited: usize,
    /// And those that were too many.
    pub dropped: u64,
    /// The pods that had them.
    pub pods: BTreeSet<String>,
    /// Streams that have to look again.
    pub streams: Vec<ObjectKey>,
    /// Streams of which must be read what closes their sessions.
    pub unread: Vec<ObjectKey>,
    /// Pods whose ledgers nobody needs any more, by UID.
    pub ledgers: Vec<String>,
}

impl Scene {
    /// Looks.
    pub fn look(&self, estate: &mut Estate) -> Outcome {
        let mut outcome = Outcome::default();
        estate.gone.retain(|uid, _| self.gone.iter().any(|k| k.uid == *uid));
        for kept in &self.gone {
            self.pod(estate, kept, &mut outcome);
        }
        for stream in &self.streams {
            self.stream(estate, stream, &mut outcome);
        }
        outcome.dropped = estate.take_dropped();
        estate.entrust(&self.heirs);
        // What a Stream names would be inherited once more if it were forgotten.
        let named: HashSet<Uuid> = self.streams.iter().map(|s| s.session).collect();
        estate.retain_settled(|session| named.contains(session));
        outcome
    }

    /// The pods that seem to be gone: name by UID.
    pub fn suspects(&self) -> BTreeMap<String, String> {
        let pods = self.gone.iter().map(|k| (k.uid.clone(), k.pod.name.clone()));
        let streams = self.streams.iter().map(|s| (s.pod_uid.clone(), s.pod.clone()));
        streams.chain(pods).collect()
    }

    /// These are there.
    pub fn leave_out(&mut self, hidden: &HashSet<String>) {
        self.gone.retain(|k| !hidden.contains(&k.uid));
        self.streams.retain(|s| !hidden.contains(&s.pod_uid));
    }

    /// Somebody read what closes these: session and text, by Stream.
    pub fn read(&mut self, texts: &HashMap<ObjectKey, super::Entry>) {
        for lost in &mut self.streams {
            let text = texts.get(&lost.stream);
            let own = text.filter(|(session, _)| *session == lost.session.to_string());
            lost.sealed = own.map(|(_, sealed)| sealed.clone());
        }
    }

    /// The first pod that has more sessions than are remembered.
    pub fn left_out(&self) -> Option<(String, u64)> {
        let count = |k: &Kept| (k.pod.name.clone(), k.ledger.lock().left_out());
        self.here.iter().map(count).find(|(_, count)| *count > 0)
    }

    /// Inherits what its ledger names. What it said of closed sessions stays for a moment.
    fn pod(&self, estate: &mut Estate, kept: &Kept, outcome: &mut Outcome) {
        if let Some(wait) = self.wait(estate, kept) {
            return outcome.look_after(wait);
        }
        let mut ledger = kept.ledger.lock();
        let left = ledger
            .sessions()
            .filter(|(s, sealed)| estate.inherit(*s, sealed.clone()));
        outcome.inherit(left.count(), &kept.pod.name);
        ledger.clear_open();
        drop(ledger);
        let left = REMEMBERED.saturating_sub(self.age(estate, kept));
        if left.is_zero() {
            outcome.ledgers.push(kept.uid.clone());
            estate.gone.remove(&kept.uid);
        } else {
            outcome.look_after(left);
        }
    }

    fn stream(&self, estate: &mut Estate, lost: &LostStream, outcome: &mut Outcome) {
        let kept = self.gone.iter().find(|k| k.uid == lost.pod_uid);
        let session = Session {
            sealed: true,
            gone: true,
            live: lost.live,
            early: kept.is_some_and(|k| self.wait(estate, k).is_some()),
            closed: kept.is_some_and(|k| k.ledger.lock().is_closed(&lost.session)),
            waiting: estate.is_waiting(&lost.session),
            settled: estate.is_settled(&lost.session),
        };
        match session.fate() {
            Fate::Orphan => {
                let Some(sealed) = lost.sealed.clone() else {
                    outcome.unread.push(lost.stream.clone());
                    return;
                };
                let left = estate.inherit(lost.session, sealed);
                outcome.inherit(usize::from(left), &lost.pod);
            }
            Fate::Closed => {
                estate.settle(lost.session);
            }
            Fate::Own | Fate::Open | Fate::Adopted => return,
        }
        outcome.streams.push(lost.stream.clone());
    }

    /// `None` when the pod will not speak again.
    fn wait(&self, estate: &mut Estate, kept: &Kept) -> Option<Duration> {
        estate.gone.entry(kept.uid.clone()).or_insert(self.now);
        let silence = kept.ledger.lock().silence(self.now);
        decide::wait(self.age(estate, kept), silence)
    }

    fn age(&self, estate: &Estate, kept: &Kept) -> Duration {
        let since = estate.gone.get(&kept.uid);
        since.map_or(Duration::ZERO, |at| self.now.saturating_duration_since(*at))
    }
}

impl Outcome {
    /// The same with what a second look brought.
    pub fn and(&mut self, later: Self) {
        later.again.into_iter().for_each(|wait| self.look_after(wait));
        self.inherited = self.inherited.saturating_add(later.inherited);
        self.dropped = self.dropped.saturating_add(later.dropped);
        self.pods.extend(later.pods);
        self.streams.extend(later.streams);
        self.ledgers.extend(later.ledgers);
        self.unread = later.unread;
    }

    /// One Event, whoever it is about.
    pub fn note(&self) -> Option<Note> {
        let pods: Vec<&str> = self.pods.iter().map(String::as_str).collect();
        if pods.is_empty() {
            return None;
        }
        let lost = match self.dropped {
            0 => String::new(),
            dropped => format!("; {dropped} more are too many and get none"),
        };
        Some(Note {
            warning: true,
            reason: "SessionsLost".into(),
            message: format!(
                "{} gone with open sessions: another pod of this server sends their closing events{lost}",
                pods.join(", ")
            ),
            action: "CloseSessions",
        })
    }

    fn look_after(&mut self, wait: Duration) {
        self.again = Some(self.again.map_or(wait, |again| again.min(wait)));
    }

    fn inherit(&mut self, sessions: usize, pod: &str) {
        self.inherited = self.inherited.saturating_add(sessions);
        if sessions > 0 {
            self.pods.insert(pod.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
