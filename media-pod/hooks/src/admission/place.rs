//! Places to ask in: so many questions are under way at one endpoint, so many more wait, and the rest have no answer.

use std::sync::atomic::Ordering;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::endpoint::Endpoint;

/// Questions that wait for a place at one endpoint; one more gets no answer.
const WAITING_MAX: usize = 1024;

impl Endpoint {
    /// A place to ask, or none until the deadline.
    pub(crate) async fn place(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.slots.try_acquire() {
            return Some(place);
        }
        let waiting = Waiting::new(self)?;
        let place = timeout_at(deadline, self.slots.acquire()).await.ok()?.ok();
        drop(waiting);
        place
    }
}

/// One of those who wait for a place.
struct Waiting<'a>(&'a Endpoint);

impl<'a> Waiting<'a> {
    fn new(endpoint: &'a Endpoint) -> Option<Self> {
        let below = |waiting: usize| (waiting < WAITING_MAX).then(|| waiting.saturating_add(1));
        endpoint
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below)
            .ok()
            .map(|_| Self(endpoint))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
