//! The ledgers of all pods, each kept until its pod is gone and somebody has taken over what it left.
//!
//! A process that leads follows them beside its links. One that does not follows them, too, and nothing else: what the pods have open must
//! not be lost with the leader.

use super::follower::Follower;
use super::ledger::Ledger;
use super::transport::Peer;
use super::{Env, Heard, Target};
use crate::names::ObjectKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Ledgers that are opened at one time. A leader that begins dials all pods, and what they report comes first.
const OPENING: usize = 8;
/// How long one who does not lead remembers what a pod that is gone had open. The leader has it closed in seconds, unless no pod is ready; and for so
/// long the pod that closed it knows that it did.
const REMEMBERED: Duration = Duration::from_hours(1);
/// And what it said of closed sessions, for a Stream that is late.
const CLOSED_REMEMBERED: Duration = Duration::from_mins(1);
/// Sessions of all those pods together; what is gone longest is forgotten first.
const SESSIONS_MAX: usize = 40_000;
/// And the bytes of their entries.
const BYTES_MAX: usize = 32 * 1024 * 1024;

type All = Mutex<HashMap<String, Followed>>;

/// Ledgers by the UID of their pod.
pub struct Ledgers {
    all: Arc<All>,
    opening: Arc<Semaphore>,
}

impl Default for Ledgers {
    fn default() -> Self {
        Self {
            all: Arc::default(),
            opening: Arc::new(Semaphore::new(OPENING)),
        }
    }
}

struct Followed {
    server: ObjectKey,
    kept: Kept,
    /// How to reach the pod, while this process does not lead and the pod is there.
    waits: Option<watch::Sender<Peer>>,
    /// Since when the pod is gone, as one who does not lead sees it.
    gone: Option<Instant>,
    _task: AbortOnDropHandle<()>,
}

/// A pod's ledger.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The pod.
    pub pod: ObjectKey,
    /// Its UID.
    pub uid: String,
    /// What it said.
    pub ledger: Arc<Mutex<Ledger>>,
}

/// The ledgers of the other pods.
#[derive(Clone)]
pub struct Siblings(Weak<All>);

impl Siblings {
    /// A pod of `server` has closed a session that another one had open. `false` when none had.
    pub fn closed(&self, server: &ObjectKey, session: &Uuid) -> bool {
        let Some(all) = self.0.upgrade() else { return false };
        let all = all.lock();
        let mut own = all.values().filter(|f| f.server == *server);
        own.any(|followed| {
            let mut ledger = followed.kept.ledger.lock();
            let had = ledger.is_open(session);
            if had {
                ledger.settled(*session);
            }
            had
        })
    }
}

impl Ledgers {
    /// Follows a pod's ledger as long as it is wanted, and to the end of what it says then. What it said before is known still.
    pub fn follow(&self, env: &Env, server: &ObjectKey, pod: &ObjectKey, uid: &str, heard: Heard) {
        let kept = self.kept(pod, uid);
        let follower = self.follower(env, server, &kept, heard.wanted);
        let task = tokio::spawn(follower.run_after(heard.view));
        self.put(server, kept, None, task);
    }

    /// Follows the ledgers of just these pods of a server, while another process leads. What one that is gone had open stays known.
    pub fn stand_by(&self, env: &Env, server: &ObjectKey, targets: Vec<Target>) {
        self.leave_gone(server, |uid| targets.iter().any(|t| t.uid == uid));
        for target in targets {
            if self.redirect(&target) {
                continue;
            }
            let kept = self.kept(&target.pod, &target.uid);
            let (waits, peer) = watch::channel(target.peer);
            let task = tokio::spawn(self.follower(env, server, &kept, peer).run());
            self.put(server, kept, Some(waits), task);
        }
    }

    /// This process leads, and links the pods of the server that it wants.
    pub fn stand_by_no_more(&self, server: &ObjectKey) {
        let mut all = self.all.lock();
        for followed in all.values_mut().filter(|f| f.server == *server) {
            (followed.waits, followed.gone) = (None, None);
        }
    }

    /// Forgets, where another process leads, what is past, is too much, or belongs to a server that is not there.
    pub fn tidy(&self, now: Instant, is_there: impl Fn(&ObjectKey) -> bool) {
        let mut all = self.all.lock();
        all.retain(|_, f| is_there(&f.server));
        let gone = all
            .iter()
            .filter_map(|(uid, f)| Some((f.gone?, uid.clone(), f.kept.ledger.lock().size())));
        let mut gone: Vec<_> = gone.collect();
        gone.sort_by(|(a, ..), (b, ..)| b.cmp(a));
        for uid in surplus(&gone, now) {
            all.remove(uid);
        }
    }

    fn kept(&self, pod: &ObjectKey, uid: &str) -> Kept {
        let all = self.all.lock();
        Kept {
            pod: pod.clone(),
            uid: uid.to_owned(),
            ledger: all.get(uid).map(|f| f.kept.ledger.clone()).unwrap_or_default(),
        }
    }

    fn follower<W>(&self, env: &Env, server: &ObjectKey, kept: &Kept, wanted: watch::Receiver<W>) -> Follower<W> {
        Follower {
            server: server.clone(),
            pod: kept.pod.clone(),
            wanted,
            ledger: kept.ledger.clone(),
            siblings: Siblings(Arc::downgrade(&self.all)),
            wake: env.wake.clone(),
            opening: self.opening.clone(),
        }
    }

    fn put(
        &self,
        server: &ObjectKey,
        kept: Kept,
        waits: Option<watch::Sender<Peer>>,
        task: tokio::task::JoinHandle<()>,
    ) {
        let uid = kept.uid.clone();
        let followed = Followed {
            server: server.clone(),
            kept,
            waits,
            gone: None,
            _task: AbortOnDropHandle::new(task),
        };
        self.all.lock().insert(uid, followed);
    }

    fn leave_gone(&self, server: &ObjectKey, is_there: impl Fn(&str) -> bool) {
        let mut all = self.all.lock();
        let gone = all.iter_mut().filter(|(uid, f)| f.server == *server && !is_there(uid));
        for (_, followed) in gone {
            followed.waits = None;
            followed.gone.get_or_insert_with(Instant::now);
        }
    }

    /// Whether it is followed already.
    fn redirect(&self, target: &Target) -> bool {
        let all = self.all.lock();
        let waits = all.get(&target.uid).and_then(|f| f.waits.as_ref());
        if let Some(waits) = waits {
            waits.send_if_modified(|peer| {
                let moved = *peer != target.peer;
                peer.clone_from(&target.peer);
                moved
            });
        }
        waits.is_some()
    }

    /// Those of a server, by name of the pod.
    pub fn of(&self, server: &ObjectKey) -> Vec<Kept> {
        let all = self.all.lock();
        let own = all.values().filter(|f| f.server == *server);
        let mut kept: Vec<Kept> = own.map(|f| f.kept.clone()).collect();
        kept.sort_by(|a, b| (&a.pod, &a.uid).cmp(&(&b.pod, &b.uid)));
        kept
    }

    /// Looks at the ledger of one pod, if it is followed.
    pub fn with<T>(&self, uid: &str, look: impl FnOnce(&mut Ledger) -> T) -> Option<T> {
        let ledger = self.all.lock().get(uid)?.kept.ledger.clone();
        let mut ledger = ledger.lock();
        Some(look(&mut ledger))
    }

    /// Nobody needs it any more.
    pub fn drop_of(&self, uid: &str) {
        self.all.lock().remove(uid);
    }

    /// Those of a server.
    pub fn forget(&self, server: &ObjectKey) {
        self.all.lock().retain(|_, f| f.server != *server);
    }
}

/// Of those that are gone, the last first, which are not to be remembered.
fn surplus(gone: &[(Instant, String, (usize, usize))], now: Instant) -> impl Iterator<Item = &String> {
    let (mut sessions, mut bytes) = (0_usize, 0_usize);
    let surplus = gone.iter().filter(move |(since, _, (count, size))| {
        sessions = sessions.saturating_add(*count);
        bytes = bytes.saturating_add(*size);
        let kept_for = if *count == 0 { CLOSED_REMEMBERED } else { REMEMBERED };
        let is_past = now.saturating_duration_since(*since) >= kept_for;
        is_past || sessions > SESSIONS_MAX || bytes > BYTES_MAX
    });
    surplus.map(|(_, uid, _)| uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_past_or_too_much_is_forgotten_and_soon_what_has_nothing_open() {
        let begin = Instant::now();
        let now = begin.checked_add(REMEMBERED).unwrap();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let cases = [
            ("nothing is open", vec![(59, 0, 0), (60, 0, 0)], vec![1]),
            ("within the bounds", vec![(1, 30_000, 9), (2, 10_000, 9)], vec![]),
            (
                "too many: the one that is gone longest",
                vec![(1, 30_000, 9), (2, 10_001, 9)],
                vec![1],
            ),
            ("too large", vec![(1, 1, 1), (2, 1, BYTES_MAX)], vec![1]),
            ("past", vec![(1, 1, 1), (3600, 1, 1)], vec![1]),
        ];
        for (name, gone, expected) in cases {
            let gone: Vec<_> = gone
                .into_iter()
                .enumerate()
                .map(|(at, (age, sessions, bytes))| (ago(age), at.to_string(), (sessions, bytes)))
                .collect();
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(surplus(&gone, now).cloned().collect::<Vec<_>>(), expected, "{name}");
        }
    }
}
