//! [`Outbox`]: an endpoint's queue, shared between those who append, the worker who sends and those who wait for it.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::bell::Bell;
use super::lane::{Dead, Death, Entry, Job, Limits, Settle};
use super::queue::{Policy, Queue};
use crate::event::{Event, Stream};

/// How long an admission waits for what ended before it to be told.
const FLUSH_MAX: Duration = Duration::from_millis(500);

/// Called with each notice that is given up.
pub(crate) type OnDead = Box<dyn Fn(Dead) + Send + Sync>;

/// Called with the numbers in the log of notices that are done with.
pub(crate) type OnGone = Box<dyn Fn(Vec<u64>) + Send + Sync>;

/// See the module.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    bell: Arc<Bell>,
    /// An attempt ended.
    settled: Notify,
    dead: AtomicU64,
    on_dead: OnDead,
    on_gone: OnGone,
}

impl Outbox {
    pub(crate) fn new(limits: Limits, on_dead: OnDead, on_gone: OnGone) -> Self {
        Self {
            queue: Mutex::new(Queue::new(limits)),
            bell: Arc::default(),
            settled: Notify::new(),
            dead: AtomicU64::new(0),
            on_dead,
            on_gone,
        }
    }

    /// Appends.
    pub(crate) fn push(&self, entry: Entry) {
        self.with(|queue| queue.push(entry, Instant::now()));
        self.bell.ring();
    }

    /// Appends, and leaves it to the log to say so.
    pub(crate) fn push_quietly(&self, entry: Entry) {
        self.with(|queue| queue.push(entry, Instant::now()));
        self.bell.owe();
    }

    /// What rouses those who take from it.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// How what is pending is treated from now on.
    pub(crate) fn set_policy(&self, policy: Policy) {
        self.queue.lock().set_policy(policy);
        self.bell.ring();
    }

    /// Whether a URL is left alone because it said 410.
    pub(crate) fn is_suspended(&self) -> bool {
        self.queue.lock().is_suspended()
    }

    /// Starts no attempt any more; what is under way goes on.
    pub(crate) fn hold(&self) {
        self.queue.lock().hold();
    }

    /// The first `max` of what is pending, in order.
    pub(crate) fn entries(&self, max: usize) -> Vec<Entry> {
        self.queue.lock().pending(max)
    }

    /// Whether this is pending for a URL.
    pub(crate) fn contains(&self, url: usize, event: &Event) -> bool {
        self.queue.lock().contains(url, event)
    }

    /// Gives up what has these numbers in the log and is not under way.
    pub(crate) fn overflow(&self, numbers: &HashSet<u64>) {
        self.with(|queue| queue.remove(numbers, Some(Death::Overflow), false));
    }

    /// Lets go of what another pod has now.
    pub(crate) fn handed_over(&self, numbers: &HashSet<u64>) {
        self.with(|queue| queue.remove(numbers, None, true));
    }

    pub(crate) fn take(&self) -> Option<Job> {
        self.with(|queue| queue.take(Instant::now()))
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.queue.lock().next_due()
    }

    pub(crate) fn failures(&self, job: &Job) -> u32 {
        self.queue.lock().failures(job)
    }

    pub(crate) fn settle(&self, job: &Job, settle: Settle) {
        self.with(|queue| queue.settle(job, settle, Instant::now()));
        self.bell.ring();
        self.settled.notify_waiters();
    }

    pub(crate) fn resume(&self, url: usize) {
        self.with(|queue| queue.resume(url));
        self.bell.ring();
    }

    pub(crate) fn urls_changed(&self, count: usize) {
        self.with(|queue| queue.urls_changed(count));
        self.bell.ring();
    }

    /// Tries everything that waits for a later time once now.
    pub(crate) fn wake_all(&self) {
        self.with(Queue::wake_all);
        self.bell.ring();
    }

    /// Gives everything up, and all that comes after.
    pub(crate) fn close(&self) {
        self.with(Queue::close);
    }

    /// Resolves when there is something to look at.
    pub(crate) async fn work(&self) {
        self.bell.heard().await;
    }

    /// Notices pending.
    pub(crate) fn pending(&self) -> usize {
        self.queue.lock().len()
    }

    /// Age of the oldest pending notice.
    pub(crate) fn oldest(&self) -> Duration {
        let (expiry, max_age) = {
            let queue = self.queue.lock();
            (queue.first_expiry(), queue.max_age())
        };
        let left = |expiry: Instant| expiry.saturating_duration_since(Instant::now());
        expiry
            .map(|expiry| max_age.saturating_sub(left(expiry)))
            .unwrap_or_default()
    }

    /// Notices given up since the start.
    pub(crate) fn dead(&self) -> u64 {
        self.dead.load(Ordering::Relaxed)
    }

    /// Waits until what is pending about a stream now, and that `of` says yes to, is sent or has failed again: 500 ms at most.
    pub(crate) async fn flush_stream(&self, stream: &Stream, urls: usize, of: fn(&Event) -> bool) {
        let mark = self.with(|queue| {
            queue.wake(stream, urls);
            queue.mark()
        });
        if self.queue.lock().moving(stream, mark, urls, of) {
            self.bell.ring();
            let _ = tokio::time::timeout(FLUSH_MAX, self.settle_up_to(stream, mark, urls, of)).await;
        }
    }

    async fn settle_up_to(&self, stream: &Stream, mark: u64, urls: usize, of: fn(&Event) -> bool) {
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            if !self.queue.lock().moving(stream, mark, urls, of) {
                return;
            }
            settled.await;
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let (result, dead, gone) = {
            let mut queue = self.queue.lock();
            let result = change(&mut queue);
            (result, queue.take_dead(), queue.take_gone())
        };
        if !gone.is_empty() {
            (self.on_gone)(gone);
        }
        for dead in dead {
            self.dead.fetch_add(1, Ordering::Relaxed);
            (self.on_dead)(dead);
        }
        result
    }
}
