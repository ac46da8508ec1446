//! [`Books`]: the log, the ledger and the settled orphans, kept in step. With no log they are in memory, and do the same.

use parking_lot::Mutex;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::watch;
use uuid::Uuid;

use crate::books_metrics::BooksMetrics;
use crate::dead::DeadLetters;
use crate::delivery::bell::Bell;
use crate::handover::Remembered;
use crate::ledger::Ledger;
use crate::log::metrics::{LogMetrics, Trouble};
use crate::log::record::{Kept, Record, Told};
use crate::log::state::State;
use crate::log::{Log, Sink};
use crate::opened::Opened;
use crate::orphans::Adopted;
use crate::seal::SealKey;

/// Where hooks keep what must outlive the process, and how they seal what leaves it. The default keeps all in memory and seals nothing.
#[derive(Clone, Debug, Default)]
pub struct Storage<'a> {
    /// A folder that is there again after a restart; made if absent, used by one process at a time. If it cannot be used, all is kept in memory, and
    /// `headgate_hook_outbox_errors_total` says so.
    pub state: Option<&'a Path>,
    /// The server's key. Without one there are no ledger entries, and no orphan can be read.
    pub seal: Option<SealKey>,
}

/// See the module.
pub(crate) struct Books {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) adopted: Arc<Adopted>,
    pub(crate) seal: Option<SealKey>,
    pub(crate) metrics: BooksMetrics,
    /// Of what other pods handed over.
    pub(crate) taken_over: Mutex<Remembered>,
    /// What an earlier process left, until the first config says to whom it goes.
    left: Mutex<Option<State>>,
    /// What was given up.
    pub(crate) letters: DeadLetters,
    /// A folder was asked for.
    wants_disk: bool,
    /// The last number given to a notice.
    number: AtomicU64,
    listener: Arc<Listener>,
    log: Option<Log>,
}

/// Gives up notices by their numbers in the log.
pub(crate) trait GiveUp: Send + Sync {
    fn give_up(&self, numbers: &[u64]);
}

/// Hears from the writer what is safe.
struct Listener {
    ledger: Arc<Ledger>,
    adopted: Arc<Adopted>,
    changed: watch::Sender<u64>,
    owner: OnceLock<Weak<dyn GiveUp>>,
    /// To be rung for what is written.
    bells: Mutex<Vec<Weak<Bell>>>,
    /// The disk takes what comes.
    durable: AtomicBool,
}

impl Books {
    /// Books over a folder, or in memory. `changed` moves when a report would say something new.
    pub(crate) fn open(
        storage: &Storage<'_>,
        metrics: (LogMetrics, BooksMetrics),
        changed: watch::Sender<u64>,
    ) -> Self {
        let (log_metrics, metrics) = metrics;
        let listener = Arc::new(Listener {
            ledger: Arc::default(),
            adopted: Arc::default(),
            changed,
            owner: OnceLock::new(),
            bells: Mutex::default(),
            durable: AtomicBool::new(true),
        });
        let letters = DeadLetters::open(storage.state, &log_metrics);
        let path = storage.state.map(|state| state.join("outbox"));
        let found = path.and_then(|path| open_log(&path, &log_metrics, listener.clone()));
        let (log, left) = found.map_or((None, None), |(log, state)| (Some(log), Some(state)));
        let books = Self {
            ledger: listener.ledger.clone(),
            adopted: listener.adopted.clone(),
            seal: storage.seal.clone(),
            metrics,
            letters,
            wants_disk: storage.state.is_some(),
            taken_over: Mutex::default(),
            number: AtomicU64::new(left.as_ref().map_or(0, |state| state.number)),
            left: Mutex::new(None),
            listener,
            log,
        };
        if let Some(left) = left {
            books.recover(left, &log_metrics);
        }
        books
    }

    /// Who gives notices up when the log is full.
    pub(crate) fn set_owner(&self, owner: Weak<dyn GiveUp>) {
        let _ = self.listener.owner.set(owner);
    }

    /// What an earlier process left; once.
    pub(crate) fn take_left(&self) -> Option<State> {
        self.left.lock().take()
    }

    /// Whether what begins something must be on the disk, and not only written.
    pub(crate) fn set_sync(&self, sync: bool) {
        if let Some(log) = &self.log {
            log.set_sync(sync);
        }
    }

    /// Whether what is pending should be on disk, and is in memory only.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.wants_disk && (self.log.is_none() || !self.listener.durable.load(Ordering::Relaxed))
    }

    /// A number for a notice, higher than all before it.
    pub(crate) fn number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Hands a record over to the log. Never waits. Its place there, for [`Books::has_passed`].
    pub(crate) fn append(&self, record: Record) -> u64 {
        if let Some(log) = &self.log {
            return log.append(record);
        }
        self.listener.written(&record);
        0
    }

    /// Whether what was appended up to this place is written, or will never be; until then the log owes a ring of the bells.
    pub(crate) fn has_passed(&self, place: u64) -> bool {
        self.log.as_ref().is_none_or(|log| log.has_passed(place))
    }

    /// Whether there is a log.
    pub(crate) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Who is to be rung for what is written.
    pub(crate) fn ring(&self, bell: &Arc<Bell>) {
        let mut bells = self.listener.bells.lock();
        bells.retain(|bell| bell.strong_count() > 0);
        bells.push(Arc::downgrade(bell));
    }

    /// Hands records over that are written in one go, and waits until they are safe, in bounded time. False when they are not.
    pub(crate) async fn append_durably(&self, records: impl IntoIterator<Item = Record>) -> bool {
        if let Some(log) = &self.log {
            return log.append_durably(records).await;
        }
        for record in records {
            self.listener.written(&record);
        }
        true
    }

    /// Notices that are done with.
    pub(crate) fn done(&self, numbers: Vec<u64>) {
        if self.log.is_some() {
            self.append(Record::Done(numbers));
        }
    }

    /// Whether a session is open.
    pub(crate) fn is_open(&self, session: Uuid) -> bool {
        self.ledger.is_open(session)
    }

    /// Enters a session, before anybody hears that it is let in; with it, in one step, what is told of that.
    pub(crate) async fn enter(&self, opened: Opened, told: Told) {
        let session = opened.session;
        let sealed: Option<Arc<str>> = self.seal.as_ref().and_then(|key| key.seal(&opened)).map(Into::into);
        let kept = Kept {
            opened,
            sealed: sealed.clone(),
        };
        if self.log.is_some() {
            let told = Some(told).filter(|told| *told != Told::default()).map(Record::Told);
            // A disk that fails or is slow is counted by the log, and stops nobody.
            self.append_durably(told.into_iter().chain([Record::Open(Arc::new(kept))]))
                .await;
        }
        self.ledger.open(session, sealed);
    }

    fn recover(&self, left: State, metrics: &LogMetrics) {
        let count = |what: &str, count: usize| {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            metrics.recovered.with_label_values(&[what]).inc_by(count);
        };
        count("notification", left.pending.len());
        count("session", left.open.len());
        count("orphan", left.adopted.len());
        if !left.open.is_empty() || !left.pending.is_empty() {
            let (notifications, sessions) = (left.pending.len(), left.open.len());
            tracing::info!(notifications, sessions, "the outbox of an earlier process is taken up");
        }
        for (session, at) in &left.adopted {
            self.adopted.settle(*session, *at, true);
        }
        for (session, kept) in &left.open {
            self.ledger.open(*session, kept.sealed.clone());
        }
        *self.left.lock() = Some(left);
    }
}

impl Sink for Listener {
    fn written(&self, record: &Record) {
        let Record::Told(told) = record else { return };
        for session in &told.closes {
            self.ledger.close(*session);
        }
        for (session, at) in &told.adopts {
            self.adopted.settle(*session, *at, true);
            self.ledger.adopted(*session);
        }
        if !told.adopts.is_empty() {
            self.changed.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    fn durable(&self, durable: bool) {
        if self.durable.swap(durable, Ordering::Relaxed) != durable {
            self.changed.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    fn passed(&self) {
        for bell in self.bells.lock().iter().filter_map(Weak::upgrade) {
            bell.settle();
        }
    }

    fn given_up(&self, numbers: &[u64]) {
        if let Some(owner) = self.owner.get().and_then(Weak::upgrade) {
            owner.give_up(numbers);
        }
    }
}

fn open_log(path: &Path, metrics: &LogMetrics, sink: Arc<dyn Sink>) -> Option<(Log, State)> {
    match Log::open(path, metrics, sink) {
        Ok(found) => Some(found),
        Err(error) => {
            metrics.error(Trouble::Unusable);
            let path = path.display();
            tracing::error!(%path, %error, "the outbox cannot be opened: all of it is in memory only");
            None
        }
    }
}
