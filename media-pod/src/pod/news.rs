//! To wait for what a report would say anew.

use tokio::sync::watch;

/// Wakes when a [`headgate_control::PodReport`] would say something new.
pub struct News {
    pub(super) sources: [watch::Receiver<u64>; 4],
}

impl News {
    /// Resolves when something is new since the last time.
    pub async fn wait(&mut self) {
        let [a, b, c, d] = &mut self.sources;
        tokio::select! {
            () = changed(a) => {}
            () = changed(b) => {}
            () = changed(c) => {}
            () = changed(d) => {}
        }
    }

    /// Forgets what is new up to now.
    pub fn mark(&mut self) {
        for source in &mut self.sources {
            source.borrow_and_update();
        }
    }
}

/// A source that is gone says nothing any more.
async fn changed(source: &mut watch::Receiver<u64>) {
    if source.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
