//! A stream that comes from elsewhere: no session, no gate, no hook, no publisher. Viewers do not see the difference.

use crate::hub::Inner;
use crate::stream::Stream;
use crate::{Hub, Origin, StreamName};
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// Whether anybody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Watched,
    /// Since then nobody.
    Unwatched(Instant),
}

/// What the registry gives to make an edge of.
pub(crate) struct Seed {
    pub(crate) id: Uuid,
    pub(crate) interest: watch::Receiver<Interest>,
    pub(crate) stream: Arc<Stream>,
}

/// Feeds one stream from elsewhere, as long as it is wanted. Dropped, its source has ended, and the next viewer makes the hub want another one.
pub struct Edge {
    hub: Hub,
    seed: Seed,
}

impl Edge {
    pub(crate) fn new(hub: Hub, seed: Seed) -> Self {
        Self { hub, seed }
    }

    /// The stream.
    pub fn name(&self) -> &StreamName {
        &self.seed.stream.name
    }

    /// Resolves when the edge is not wanted any more: nobody has watched for [`crate::Settings::edge_linger`], or a publisher is here. Somebody must wait for
    /// it all the time.
    pub async fn over(&self) {
        let mut interest = self.seed.interest.clone();
        loop {
            let now = *interest.borrow_and_update();
            let until = match now {
                Interest::Watched => None,
                Interest::Unwatched(since) => since.checked_add(self.hub.settings().edge_linger),
            };
            let changed = match until {
                None => interest.changed().await,
                Some(until) => match timeout_at(until, interest.changed()).await {
                    Ok(changed) => changed,
                    Err(_) if self.hub.0.retire_edge(self.name(), self.seed.id) => return,
                    Err(_) => Ok(()),
                },
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Resolves when somebody watches.
    pub async fn watched(&self) {
        let mut interest = self.seed.interest.clone();
        if interest.wait_for(|now| *now == Interest::Watched).await.is_err() {
            // It is over, which somebody else waits for.
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when nobody watches.
    pub async fn unwatched(&self) {
        let mut interest = self.seed.interest.clone();
        if interest.wait_for(|now| *now != Interest::Watched).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A source was found; what is fed from now on is its. False when the edge is over.
    pub fn begin(&self, origin: Origin) -> bool {
        self.hub.0.begin_edge(&self.seed, origin)
    }

    /// The source has ended. Viewers wait for another.
    pub fn end(&self) {
        self.seed.stream.end(self.seed.id);
        self.hub.0.news();
    }

    /// As [`crate::Publisher::track`].
    pub fn track(&self, track: Track) {
        let keep = self.hub.0.settings.load().lag_max;
        if self.seed.stream.track(self.seed.id, track, keep) {
            self.hub.0.news();
        }
    }

    /// As [`crate::Publisher::metadata`].
    pub fn metadata(&self, metadata: Bytes) {
        let keep = self.hub.0.settings.load().lag_max;
        self.seed.stream.metadata(self.seed.id, metadata, keep);
    }

    /// As [`crate::Publisher::data`].
    pub fn data(&self, data: &Bytes, at: Timestamp) {
        let keep = self.hub.0.settings.load().lag_max;
        self.seed.stream.data(self.seed.id, (data, at), Instant::now(), keep);
    }

    /// As [`crate::Publisher::frame`].
    pub fn frame(&self, frame: Frame) {
        let settings = self.hub.0.settings.load();
        self.seed.stream.frame(self.seed.id, frame, Instant::now(), &settings);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.seed.stream.end(self.seed.id);
        self.hub.0.registry.lock().drop_edge(self.name(), self.seed.id);
        self.hub.0.news();
    }
}

impl Inner {
    fn begin_edge(&self, seed: &Seed, origin: Origin) -> bool {
        let registry = self.registry.lock();
        let wanted = registry.has_edge(&seed.stream.name, seed.id);
        if wanted {
            seed.stream.begin(seed.id, Some(origin));
        }
        drop(registry);
        self.news();
        wanted
    }

    /// True when nobody watches any more; the edge is out then.
    fn retire_edge(&self, name: &StreamName, id: Uuid) -> bool {
        self.registry.lock().retire_edge(name, id)
    }
}
