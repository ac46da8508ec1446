//! The bytes of one (stream, format), kept for its viewers: bounded in packets, bytes and age. A viewer is a cursor.

use crate::batch::Batch;
use crate::packet::{Packet, Pieces};
use crate::pass::Passes;
use crate::{Format, Start};
use bytes::Bytes;
use headgate_codec::{Timestamp, Track};
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The tracks and metadata of a stream at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrackSet {
    pub(crate) tracks: Vec<Track>,
    pub(crate) metadata: Option<Bytes>,
}

/// A place where a viewer can start.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) set: Arc<TrackSet>,
    pub(crate) at: Timestamp,
}

#[derive(Debug)]
struct Entry {
    packet: Packet,
    /// Counts the publishers of the stream. The first packet of an epoch is a join point.
    epoch: u64,
    join: Option<Join>,
    came: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    packets: VecDeque<Entry>,
    /// Sequence number of the first packet that is kept.
    base: u64,
    bytes: usize,
    /// Where viewers can start, oldest first.
    joins: VecDeque<u64>,
    /// A place to start whose own frame the format leaves out: what follows it is one.
    vacant: Option<(u64, Join)>,
}

/// See the module.
pub(crate) struct Ring {
    pub(crate) format: Arc<dyn Format>,
    inner: RwLock<Inner>,
    /// Something to look at: packets, or the stream's publisher came or went.
    pub(crate) news: Notify,
    /// Who writes to its viewers.
    pub(crate) passes: Passes,
}

/// Where a viewer stands in a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// The next packet; while `seeking`, the first join point from there on.
    next: u64,
    seeking: bool,
    epoch: u64,
    /// Had bytes before.
    started: bool,
    /// Skips since it was last caught up.
    pub(crate) skips: u32,
    /// Skips in all.
    pub(crate) skipped: u64,
}

/// What a look into the ring came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There is nothing new.
    Nothing,
    /// Packets were taken and there are more.
    Some,
    /// Packets were taken and there are no more.
    All,
}

impl Cursor {
    /// Never had anything.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.started
    }

    /// What of a batch this viewer has not had; `None` when it needs something else.
    pub(crate) fn rest_of(&self, batch: &Batch) -> Option<Bytes> {
        if self.seeking || self.epoch != batch.epoch {
            return None;
        }
        batch.rest(self.next)
    }

    /// Everything in front of this packet was taken.
    pub(crate) fn reach(&mut self, next: u64) {
        self.next = next;
        self.skips = 0;
    }

    /// Whether it needs the packet `next` of this publisher, and had those before.
    pub(crate) fn is_at(&self, next: u64, epoch: Option<u64>) -> bool {
        !self.seeking && self.next == next && Some(self.epoch) == epoch
    }
}

impl Ring {
    pub(crate) const PACKETS_MAX: usize = 8_192;
    pub(crate) const BYTES_MAX: usize = 32 << 20;

    pub(crate) fn new(format: Arc<dyn Format>) -> Self {
        Self {
            format,
            inner: RwLock::default(),
            news: Notify::new(),
            passes: Passes::default(),
        }
    }

    /// Where the next packet will stand.
    pub(crate) fn head(&self) -> u64 {
        self.inner.read().head()
    }

    /// When the packet at `next`, or the oldest one behind it, came; `None` when there is nothing new.
    pub(crate) fn came(&self, next: u64) -> Option<Instant> {
        let inner = self.inner.read();
        let index = inner.index(next.max(inner.base))?;
        inner.packets.get(index).map(|p| p.came)
    }

    /// Packets of one publisher from `next` on as one piece of about [`Batch::BYTES_MAX`] at most; `None` when there are none.
    pub(crate) fn batch(&self, next: u64) -> Option<Batch> {
        let inner = self.inner.read();
        let from = next.max(inner.base);
        let rest = inner.packets.range(inner.index(from)?..);
        let epoch = rest.clone().next()?.epoch;
        let same = rest.take_while(|p| p.epoch == epoch).map(|p| &p.packet);
        Some(Batch::new(from, epoch, same, &*self.format))
    }

    /// Takes up again, after a pause, at the newest join point or the next one.
    pub(crate) fn rejoin(&self, cursor: &mut Cursor) {
        let next = self.inner.read().newest_join();
        *cursor = Cursor {
            next,
            seeking: true,
            ..*cursor
        };
    }

    /// True when there is something for this viewer.
    pub(crate) fn has(&self, cursor: &mut Cursor) -> bool {
        let inner = self.inner.read();
        inner.seek(cursor) && cursor.next < inner.head()
    }

    /// Adds a packet that came at a time and drops what is beyond the bounds. Does not wake anybody.
    pub(crate) fn push(&self, packet: Packet, came: Instant, epoch: u64, join: Option<Join>, keep: Duration) {
        if packet.is_empty() {
            if let Some(join) = join {
                self.inner.write().vacant = Some((epoch, join));
            }
            return;
        }
        let mut inner = self.inner.write();
        let vacant = inner.vacant.take().filter(|(of, _)| *of == epoch);
        let join = join.or_else(|| vacant.map(|(_, join)| join));
        if join.is_some() {
            let head = inner.head();
            inner.joins.push_back(head);
        }
        inner.bytes = inner.bytes.saturating_add(packet.len());
        inner.packets.push_back(Entry {
            packet,
            epoch,
            join,
            came,
        });
        while inner.must_drop(came, keep) {
            inner.drop_front();
        }
    }

    /// More is known of the tracks than when the newest join point was made.
    pub(crate) fn widen_join(&self, set: &Arc<TrackSet>) {
        let mut inner = self.inner.write();
        let index = inner.joins.back().and_then(|seq| inner.index(*seq));
        if let Some(join) = index
            .and_then(|i| inner.packets.get_mut(i))
            .and_then(|p| p.join.as_mut())
        {
            join.set = Arc::clone(set);
        }
    }

    /// Nobody can start at what is there now.
    pub(crate) fn forget_joins(&self) {
        let mut inner = self.inner.write();
        inner.joins.clear();
        inner.vacant = None;
    }

    /// A new viewer, who starts at the newest join point or waits for the next.
    pub(crate) fn join(&self, newest: bool) -> Cursor {
        let inner = self.inner.read();
        let next = if newest { inner.newest_join() } else { inner.head() };
        Cursor {
            next,
            seeking: true,
            ..Cursor::default()
        }
    }

    /// Appends up to `max` packets behind the cursor to `out`, of a mebibyte together or one, and moves it.
    pub(crate) fn take(&self, cursor: &mut Cursor, out: &mut Vec<Bytes>, max: usize) -> Taken {
        let inner = self.inner.read();
        if !cursor.seeking && cursor.next < inner.base {
            let (skips, skipped) = (cursor.skips.saturating_add(1), cursor.skipped.saturating_add(1));
            *cursor = Cursor {
                next: inner.newest_join(),
                seeking: true,
                skips,
                skipped,
                ..*cursor
            };
        }
        if !inner.seek(cursor) {
            return Taken::Nothing;
        }
        let from = inner.index(cursor.next).unwrap_or(inner.packets.len());
        let rest = inner.packets.range(from..);
        let entries = rest.clone().take(fitting(rest.take(max.max(1))));
        if entries.len() == 0 {
            return Taken::Nothing;
        }
        let mut pieces = Pieces::new(out, entries.clone().map(|entry| &entry.packet));
        for entry in entries {
            self.begin_epoch(entry, cursor, &mut pieces);
            pieces.push(&entry.packet);
            cursor.next = cursor.next.saturating_add(1);
        }
        pieces.end();
        if cursor.next < inner.head() {
            return Taken::Some;
        }
        cursor.skips = 0;
        Taken::All
    }

    fn begin_epoch(&self, entry: &Entry, cursor: &mut Cursor, out: &mut Pieces<'_>) {
        if entry.epoch == cursor.epoch {
            return;
        }
        cursor.epoch = entry.epoch;
        if let Some(Join { set, at }) = &entry.join {
            let (metadata, resumed) = (set.metadata.as_ref(), cursor.started);
            out.push_whole(self.format.start(&Start {
                tracks: &set.tracks,
                metadata,
                at: *at,
                resumed,
            }));
            cursor.started = true;
        }
    }
}

/// How many of them are a mebibyte together; one at least.
fn fitting<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    let mut bytes = 0_usize;
    let fits = |(at, entry): &(usize, &Entry)| {
        bytes = bytes.saturating_add(entry.packet.len());
        bytes <= Batch::BYTES_MAX || *at == 0
    };
    entries.enumerate().take_while(fits).count()
}

impl Inner {
    fn head(&self) -> u64 {
        self.base.saturating_add(self.packets.len() as u64)
    }

    fn index(&self, seq: u64) -> Option<usize> {
        seq.checked_sub(self.base)
            .and_then(|i| usize::try_from(i).ok())
            .filter(|i| *i <= self.packets.len())
    }

    /// The newest place to start, or where the next one can come.
    fn newest_join(&self) -> u64 {
        self.joins.back().copied().unwrap_or_else(|| self.head())
    }

    /// True when the cursor stands at a packet to go on with.
    fn seek(&self, cursor: &mut Cursor) -> bool {
        if cursor.seeking
            && let Some(seq) = self.joins.iter().find(|seq| **seq >= cursor.next)
        {
            // An epoch that no packet has makes the start be sent.
            *cursor = Cursor {
                next: *seq,
                seeking: false,
                epoch: u64::MAX,
                ..*cursor
            };
        }
        !cursor.seeking
    }

    fn must_drop(&self, now: Instant, keep: Duration) -> bool {
        if self.packets.len() > Ring::PACKETS_MAX || self.bytes > Ring::BYTES_MAX {
            return self.packets.len() > 1;
        }
        let behind_join = self.joins.back().is_none_or(|join| self.base < *join);
        behind_join && self.packets.front().is_some_and(|p| now.duration_since(p.came) > keep)
    }

    fn drop_front(&mut self) {
        if let Some(entry) = self.packets.pop_front() {
            self.bytes = self.bytes.saturating_sub(entry.packet.len());
            self.base = self.base.saturating_add(1);
            while self.joins.front().is_some_and(|join| *join < self.base) {
                self.joins.pop_front();
            }
        }
    }
}
