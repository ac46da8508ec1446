//! The log on disk: what is open, pending and adopted, so that it is told whatever happens to the process.
//!
//! Numbered segments of framed JSON ([`frame`]), each record with a length and a CRC, written by a thread of its own ([`writer`]) that nobody on the
//! media path waits for. `write()` and no `fsync`, unless an endpoint asks for it: what is written survives SIGKILL and the end of the container, not of the
//! node. Where it is synced, all that came meanwhile is synced at once, so that nobody waits for more than the sync before and its own.
//!
//! Why not redb: without `fsync` what it commits is not there after SIGKILL, and with it a commit takes a millisecond. Measured with records of 600 bytes on
//! the same disk: 59,000/s one at a time and 350,000/s by 32 for redb without any durability, 450,000/s and 2,200,000/s for `write()` with a CRC. And what
//! stands here is read once, at a start, whole: a tree of pages has nothing to add to that.

pub(crate) mod frame;
mod inbox;
mod index;
pub(crate) mod metrics;
pub(crate) mod record;
pub(crate) mod state;
pub(crate) mod store;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;

use self::frame::Piece;
use self::inbox::Inbox;
use self::index::Index;
use self::metrics::{LogMetrics, Trouble};
use self::record::Record;
use self::state::State;
use self::store::{Folder, Store};
use self::writer::Writer;

/// How long anyone waits for a write; a disk that is slower holds up no session.
const WRITE_WAIT: Duration = Duration::from_secs(1);

/// Hears from the writer, on its thread.
pub(crate) trait Sink: Send + Sync + 'static {
    /// A record is safe.
    fn written(&self, record: &Record);
    /// These notices gave way to newer ones.
    fn given_up(&self, numbers: &[u64]);
    /// The disk takes what comes, or does not any more.
    fn durable(&self, _durable: bool) {}
    /// All that came up to now is written, or it was tried.
    fn passed(&self) {}
}

/// The way to the writer. It ends, with all written, when this is dropped.
pub(crate) struct Log {
    inbox: Arc<Inbox>,
    metrics: LogMetrics,
    sync: AtomicBool,
    writer: Option<JoinHandle<()>>,
}

impl Log {
    /// The log in a folder, and what it says.
    pub(crate) fn open(path: &Path, metrics: &LogMetrics, sink: Arc<dyn Sink>) -> io::Result<(Self, State)> {
        Self::over(Box::new(Folder::open(path)?), metrics, sink)
    }

    /// The same over any store.
    pub(crate) fn over(store: Box<dyn Store>, metrics: &LogMetrics, sink: Arc<dyn Sink>) -> io::Result<(Self, State)> {
        let (state, index, next) = recover(&*store, metrics)?;
        let inbox = Arc::new(Inbox::default());
        let writer = Writer::new(store, index, metrics.clone(), sink, next);
        let ops = Arc::clone(&inbox);
        let thread = thread::Builder::new().name("outbox".into());
        let log = Self {
            inbox,
            metrics: metrics.clone(),
            sync: AtomicBool::new(false),
            writer: Some(thread.spawn(move || writer.run(&ops))?),
        };
        metrics.durable.set(1);
        Ok((log, state))
    }

    /// Whether what begins something must be on the disk from now on, and not only written.
    pub(crate) fn set_sync(&self, sync: bool) {
        self.sync.store(sync, Ordering::Relaxed);
    }

    /// What ends something may be lost with the node: then it is told once more.
    fn must_sync(&self, record: &Record) -> bool {
        matches!(record, Record::Open(_) | Record::Told(_)) && self.sync.load(Ordering::Relaxed)
    }

    /// Hands a record over. Never waits, nor wakes anyone while the writer is busy. Its place, for [`Log::has_passed`].
    pub(crate) fn append(&self, record: Record) -> u64 {
        let sync = self.must_sync(&record);
        self.inbox.put([record], sync, None)
    }

    /// Whether the writer has written what was appended up to this place, or has tried to.
    pub(crate) fn has_passed(&self, place: u64) -> bool {
        self.inbox.has_passed(place)
    }

    /// Hands records over that are written in one go, and waits until they are. False when that failed or took too long; they may still be written later.
    pub(crate) async fn append_durably(&self, records: impl IntoIterator<Item = Record>) -> bool {
        let records: Vec<Record> = records.into_iter().collect();
        let write = async {
            self.inbox.room().await;
            let (ack, written) = oneshot::channel();
            let sync = records.iter().any(|record| self.must_sync(record));
            self.inbox.put(records, sync, Some(ack));
            written.await.unwrap_or(false)
        };
        tokio::time::timeout(WRITE_WAIT, write).await.unwrap_or_else(|_| {
            self.metrics.error(Trouble::Skipped);
            false
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.inbox.close();
        let writer = self.writer.take();
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != thread::current().id()) {
            let _ = writer.join();
        }
    }
}

/// All that can be read, what stands where, and the number of the next segment.
fn recover(store: &dyn Store, metrics: &LogMetrics) -> io::Result<(State, Index, u64)> {
    let (mut state, mut index, mut next) = (State::default(), Index::default(), 0);
    for segment in store.list()? {
        next = segment.saturating_add(1);
        let Ok(bytes) = store.read(segment) else {
            metrics.error(Trouble::Unread);
            tracing::warn!(segment, "a segment of the outbox cannot be read");
            continue;
        };
        index.add(segment, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        for piece in frame::read(&bytes) {
            match piece {
                Piece::Record(record, size) => {
                    index.apply(&record, segment, size);
                    state.apply(record);
                }
                Piece::Flaw(flaw) => {
                    metrics.error(flaw);
                    let reason: &str = flaw.into();
                    tracing::warn!(segment, reason, "a part of the outbox is lost");
                }
            }
        }
    }
    Ok((state, index, next))
}

#[cfg(test)]
mod tests;
