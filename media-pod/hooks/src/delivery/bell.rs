//! [`Bell`]: rouses the worker of an endpoint. Who appends on the media path does not ring it, since waking a task costs more than appending: the log rings
//! for what it has passed.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub(crate) struct Bell {
    work: Notify,
    /// There is something that nobody rang for.
    owed: AtomicBool,
}

impl Bell {
    /// There may be something to take.
    pub(crate) fn ring(&self) {
        self.work.notify_one();
    }

    /// There is something to take, and somebody rings for it soon.
    pub(crate) fn owe(&self) {
        self.owed.store(true, Ordering::SeqCst);
    }

    /// Rings if that is owed.
    pub(crate) fn settle(&self) {
        if self.owed.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Resolves when it was rung since the last time.
    pub(crate) async fn heard(&self) {
        self.work.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn what_is_owed_is_rung_for_once() {
        let bell = Bell::default();
        let heard = || bell.heard().now_or_never().is_some();
        bell.settle();
        assert!(!heard());
        bell.owe();
        assert!(!heard());
        bell.settle();
        assert!(heard());
        bell.settle();
        assert!(!heard());
    }
}
