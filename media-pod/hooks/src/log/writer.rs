//! [`Writer`]: the one that writes. It takes what has come meanwhile in one go, so that a burst costs few writes, and cleans up behind.
//!
//! Segments go from the oldest on, never from the middle: what ends something stands behind what began it, so a record is gone only when nothing
//! before it could come back. What still lives in the oldest is copied forward when the log has grown to several times what it holds.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Sink;
use super::frame::{self, Piece};
use super::inbox::{Inbox, Op};
use super::index::Index;
use super::metrics::{LogMetrics, Trouble};
use super::record::Record;
use super::store::{Store, Tail};

/// Bytes in one write.
const WRITE: usize = 256 * 1024;
/// Records that wait for a disk that fails; then the oldest are not written at all.
const BACKLOG_MAX: usize = 100_000;
/// Records for which there is room all the time.
const BACKLOG_KEPT: usize = 1024;
/// How often a disk that fails is tried.
const RETRY: Duration = Duration::from_secs(1);

/// How much is in what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes after which a segment is not written to any more.
    pub(crate) segment: u64,
    /// Bytes of a log that is left as it is.
    pub(crate) small: u64,
    /// Bytes of the whole log; then the oldest notices are given up.
    pub(crate) log: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            segment: 2 * 1024 * 1024,
            small: 8 * 1024 * 1024,
            log: 256 * 1024 * 1024,
        }
    }
}

/// See the module.
pub(crate) struct Writer {
    pub(crate) store: Box<dyn Store>,
    pub(crate) index: Index,
    pub(crate) metrics: LogMetrics,
    pub(crate) sink: Arc<dyn Sink>,
    /// Number of the next segment.
    pub(crate) next: u64,
    pub(crate) sizes: Sizes,
    current: Option<Tail>,
    backlog: VecDeque<Op>,
    /// A segment was made that the disk may not know yet.
    unknown: bool,
    /// Set while the disk fails.
    failing: Option<Instant>,
}

/// Records as bytes, and how long each is.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    ops: Vec<(Op, usize)>,
}

impl Writer {
    pub(crate) fn new(
        store: Box<dyn Store>,
        index: Index,
        metrics: LogMetrics,
        sink: Arc<dyn Sink>,
        next: u64,
    ) -> Self {
        Self {
            store,
            index,
            metrics,
            sink,
            next,
            sizes: Sizes::default(),
            current: None,
            backlog: VecDeque::new(),
            unknown: false,
            failing: None,
        }
    }

    /// Writes until the inbox is closed and empty.
    pub(crate) fn run(mut self, inbox: &Inbox) {
        self.clean();
        while let Some(ops) = inbox.take(self.failing.map(|_| RETRY)) {
            self.step(ops);
            inbox.pass();
            self.sink.passed();
        }
        self.failing = None;
        self.write_backlog();
    }

    /// Takes on what came, writes what can be written, and cleans up.
    pub(crate) fn step(&mut self, ops: VecDeque<Op>) {
        self.backlog.extend(ops);
        if self.failing.is_none_or(|since| since.elapsed() >= RETRY) {
            self.write_backlog();
        }
        if self.failing.is_some() {
            self.put_off();
        }
        if self.backlog.is_empty() {
            // A crowd that came at once leaves its room behind.
            self.backlog.shrink_to(BACKLOG_KEPT);
        }
        self.clean();
        self.metrics
            .bytes
            .set(i64::try_from(self.index.bytes()).unwrap_or(i64::MAX));
        self.metrics.durable.set(i64::from(self.failing.is_none()));
        self.sink.durable(self.failing.is_none());
    }

    fn write_backlog(&mut self) {
        while !self.backlog.is_empty() {
            let batch = self.next_batch();
            match self.write(&batch.bytes) {
                Ok(segment) => {
                    let synced = self.sync(&batch);
                    self.written(batch, segment, synced);
                }
                Err(error) => {
                    self.failed(&error);
                    let ops = batch.ops.into_iter().map(|(op, _)| op);
                    ops.rev().for_each(|op| self.backlog.push_front(op));
                    return;
                }
            }
        }
        if self.failing.take().is_some() {
            tracing::info!("the outbox is on disk again");
        }
    }

    /// The front of the backlog, up to one write; what ends several notices becomes one record.
    fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        while batch.bytes.len() < WRITE
            && let Some(mut op) = self.backlog.pop_front()
        {
            if let Record::Done(numbers) = &mut op.record {
                while numbers.len() < 4096
                    && let Some(Op {
                        record: Record::Done(more),
                        ..
                    }) = self.backlog.front_mut()
                {
                    numbers.append(more);
                    self.backlog.pop_front();
                }
            }
            let before = batch.bytes.len();
            if frame::write(&op.record, &mut batch.bytes) {
                let size = batch.bytes.len().saturating_sub(before);
                batch.ops.push((op, size));
            } else {
                self.skip(op, "a record is too long");
            }
        }
        batch
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let segment_max = self.sizes.segment;
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.length >= segment_max)
        {
            let segment = self.store.create(self.next)?;
            self.unknown = true;
            self.current = Some(Tail::new(self.next, segment));
            self.index.add(self.next, 0);
            self.next = self.next.saturating_add(1);
        }
        let number = Tail::append(&mut self.current, bytes)?;
        self.index.add(number, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(number)
    }

    /// Waits for the disk where one of the batch must be there. A disk that cannot is counted, and what waits is told that it is not.
    fn sync(&mut self, batch: &Batch) -> bool {
        if !batch.ops.iter().any(|(op, _)| op.sync) {
            return true;
        }
        let segment = self.current.as_mut().map_or(Ok(()), |current| current.segment.sync());
        let made = if self.unknown { self.store.sync() } else { Ok(()) };
        let synced = segment.and(made);
        if let Err(error) = &synced {
            self.metrics.error(Trouble::Sync);
            tracing::warn!(%error, "the outbox cannot be synced to the disk");
        }
        self.unknown &= synced.is_err();
        synced.is_ok()
    }

    fn written(&mut self, mut batch: Batch, segment: u64, synced: bool) {
        // Somebody is let in when this is said: before anything that can wait.
        for (op, _) in &mut batch.ops {
            if let Some(ack) = op.ack.take() {
                let _ = ack.send(synced || !op.sync);
            }
        }
        for (op, size) in batch.ops {
            self.index.apply(&op.record, segment, size);
            self.metrics
                .append_seconds
                .observe(op.submitted.elapsed().as_secs_f64());
            self.sink.written(&op.record);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let trouble = if full { Trouble::DiskFull } else { Trouble::Write };
        self.metrics.error(trouble);
        if self.failing.is_none() {
            let reason: &str = trouble.into();
            tracing::warn!(reason, %error, "the outbox cannot be written: what is new is in memory only");
        }
        self.failing = Some(Instant::now());
    }

    /// Lets nobody wait for a disk that fails, and keeps only so much for when it is well again.
    fn put_off(&mut self) {
        for op in &mut self.backlog {
            if let Some(ack) = op.ack.take() {
                let _ = ack.send(false);
            }
        }
        while self.backlog.len() > BACKLOG_MAX
            && let Some(op) = self.backlog.pop_front()
        {
            self.skip(op, "too much waits for the disk");
        }
    }

    fn skip(&self, op: Op, why: &str) {
        self.metrics.error(Trouble::Skipped);
        tracing::debug!(why, "not written to the outbox");
        // It will never be safer than now.
        self.sink.written(&op.record);
        if let Some(ack) = op.ack {
            let _ = ack.send(false);
        }
    }

    /// Drops what nobody needs any more from the old end, and makes room where the log has grown too much.
    fn clean(&mut self) {
        while let Some((oldest, live)) = self.index.oldest() {
            if self.current.as_ref().is_some_and(|current| current.number == oldest) {
                return;
            }
            if live && !self.empty(oldest) {
                return;
            }
            if !self.drop_segment(oldest) {
                return;
            }
        }
    }

    /// Copies forward what is still needed of the oldest segment, if that is worth it. Without room for it all, its notices are given up.
    fn empty(&mut self, oldest: u64) -> bool {
        let (bytes, needed) = (self.index.bytes(), self.index.live());
        let sparse = bytes > self.sizes.small && bytes > needed.saturating_mul(2);
        // Open sessions alone are never too much: there are only as many as the pod has.
        let full = bytes > self.sizes.log && self.index.has_pending();
        if self.failing.is_some() || !(sparse || full) {
            return false;
        }
        self.copy_forward(oldest, sparse)
    }

    fn drop_segment(&mut self, segment: u64) -> bool {
        match self.store.remove(segment) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.metrics.error(Trouble::Write);
                tracing::debug!(segment, %error, "a segment of the outbox cannot be removed");
                false
            }
            _ => {
                self.index.remove(segment);
                true
            }
        }
    }

    /// Writes what is still needed of a segment once more. Without `notices` those are given up.
    fn copy_forward(&mut self, segment: u64, notices: bool) -> bool {
        if !notices {
            self.give_up(segment);
        }
        let Ok(bytes) = self.store.read(segment) else {
            self.metrics.error(Trouble::Unread);
            tracing::warn!(
                segment,
                "a segment of the outbox cannot be read: what it holds is in memory only"
            );
            return true;
        };
        let (mut copy, mut records) = (Vec::new(), Vec::new());
        for piece in frame::read(&bytes) {
            let Piece::Record(record, _) = piece else { continue };
            let Some(record) = self.index.live_part(record, notices) else {
                continue;
            };
            let before = copy.len();
            frame::write(&record, &mut copy);
            records.push((record, copy.len().saturating_sub(before)));
        }
        match self.write(&copy) {
            Ok(to) => records
                .iter()
                .for_each(|(record, size)| self.index.apply(record, to, *size)),
            Err(error) => {
                self.failed(&error);
                return false;
            }
        }
        self.metrics.compactions.inc();
        true
    }

    fn give_up(&mut self, segment: u64) {
        let numbers = self.index.pending_in(segment);
        if !numbers.is_empty() {
            tracing::warn!(
                count = numbers.len(),
                "the outbox is full: its oldest notifications are given up"
            );
        }
        self.index.apply(&Record::Done(numbers.clone()), segment, 0);
        self.sink.given_up(&numbers);
    }
}
