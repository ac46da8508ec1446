//! [`Ledger`]: the sessions that are open, as everybody outside may know them: by id and sealed text.

use headgate_control::{LedgerEntry, LedgerLine};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::broadcast;
use uuid::Uuid;

/// Changes that a subscriber may be behind.
const CHANGES_MAX: usize = 4096;

/// See the module.
pub(crate) struct Ledger {
    open: Mutex<HashMap<Uuid, Option<Arc<str>>>>,
    changes: broadcast::Sender<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Open(Uuid, Arc<str>),
    Closed(Uuid),
}

/// What is open, and what changes from then on. Without a seal key it is empty: nobody could do anything with it.
#[derive(Debug)]
pub struct LedgerView {
    /// Everything that is open now.
    pub open: Vec<LedgerEntry>,
    /// Each change after that.
    pub changes: LedgerChanges,
}

/// Sessions as they open and close.
#[derive(Debug)]
pub struct LedgerChanges(broadcast::Receiver<Change>);

impl LedgerChanges {
    /// The next change: an `Open` or a `Closed`, the latter also of orphans that are settled here. `None` when some were missed, because this was not asked for too long, or when the hooks are gone: then only
    /// a new [`crate::Hooks::ledger`] says what is open.
    pub async fn next(&mut self) -> Option<LedgerLine> {
        Some(match self.0.recv().await.ok()? {
            Change::Open(session, sealed) => LedgerLine::Open(entry(session, &sealed)),
            Change::Closed(session) => LedgerLine::Closed { session },
        })
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES_MAX),
        }
    }
}

impl Ledger {
    pub(crate) fn open(&self, session: Uuid, sealed: Option<Arc<str>>) {
        let mut open = self.open.lock();
        open.insert(session, sealed.clone());
        if let Some(sealed) = sealed {
            let _ = self.changes.send(Change::Open(session, sealed));
        }
    }

    pub(crate) fn close(&self, session: Uuid) {
        let mut open = self.open.lock();
        if let Some(Some(_)) = open.remove(&session) {
            let _ = self.changes.send(Change::Closed(session));
        }
    }

    /// A session of a pod that is gone has been closed here. Whoever heard that pod is told.
    pub(crate) fn adopted(&self, session: Uuid) {
        let _ = self.changes.send(Change::Closed(session));
    }

    pub(crate) fn is_open(&self, session: Uuid) -> bool {
        self.open.lock().contains_key(&session)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.lock().len()
    }

    pub(crate) fn sealed(&self, session: Uuid) -> Option<String> {
        let sealed = self.open.lock().get(&session).cloned().flatten();
        sealed.map(|sealed| sealed.as_ref().to_owned())
    }

    /// Nothing is missed or said twice between the two halves.
    pub(crate) fn view(&self) -> LedgerView {
        let open = self.open.lock();
        let changes = LedgerChanges(self.changes.subscribe());
        let sealed = open.iter().filter_map(|(id, sealed)| Some((*id, sealed.clone()?)));
        let sealed: Vec<_> = sealed.collect();
        drop(open);
        let open = sealed.into_iter().map(|(id, sealed)| entry(id, &sealed)).collect();
        LedgerView { open, changes }
    }
}

fn entry(session: Uuid, sealed: &str) -> LedgerEntry {
    LedgerEntry {
        session,
        sealed: sealed.to_owned(),
    }
}
