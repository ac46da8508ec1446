//! The ledgers of all pods, each kept until its pod is gone and somebody has taken over what it left.

use super::ledger::{Follower, Ledger};
use super::{Env, Heard};
use crate::names::ObjectKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Ledgers that are opened at one time. A leader that begins dials all pods, and what they report comes first.
const OPENING: usize = 8;

/// Ledgers by the UID of their pod.
pub struct Ledgers {
    all: Mutex<HashMap<String, Followed>>,
    opening: Arc<Semaphore>,
}

impl Default for Ledgers {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            opening: Arc::new(Semaphore::new(OPENING)),
        }
    }
}

struct Followed {
    server: ObjectKey,
    kept: Kept,
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

impl Ledgers {
    /// Follows a pod's ledger as long as it is wanted, and to the end of what it says then. What it said before is known still.
    pub fn follow(&self, env: &Env, server: &ObjectKey, pod: &ObjectKey, uid: &str, heard: Heard) {
        let mut all = self.all.lock();
        let ledger = all.get(uid).map(|f| f.kept.ledger.clone()).unwrap_or_default();
        let follower = Follower {
            server: server.clone(),
            pod: pod.clone(),
            wanted: heard.wanted,
            ledger: ledger.clone(),
            wake: env.wake.clone(),
            opening: self.opening.clone(),
        };
        let followed = Followed {
            server: server.clone(),
            kept: Kept {
                pod: pod.clone(),
                uid: uid.to_owned(),
                ledger,
            },
            _task: AbortOnDropHandle::new(tokio::spawn(follower.run(heard.view))),
        };
        all.insert(uid.to_owned(), followed);
    }

    /// Those of a server, by name of the pod.
    pub fn of(&self, server: &ObjectKey) -> Vec<Kept> {
        let all = self.all.lock();
        let own = all.values().filter(|f| f.server == *server);
        let mut kept: Vec<Kept> = own.map(|f| f.kept.clone()).collect();
        kept.sort_by(|a, b| (&a.pod, &a.uid).cmp(&(&b.pod, &b.uid)));
        kept
    }

    /// Nobody needs it any more.
    pub fn drop_of(&self, uid: &str) {
        self.all.lock().remove(uid);
    }

    /// Those of a server.
    pub fn forget(&self, server: &ObjectKey) {
        self.all.lock().retain(|_, f| f.server != *server);
    }

    /// All.
    pub fn clear(&self) {
        self.all.lock().clear();
    }
}
