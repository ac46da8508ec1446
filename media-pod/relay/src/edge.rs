//! The life of one edge: ask the peers for its stream, feed it, ask again.

use crate::pause::{FIRST, Pause};
use crate::pull::Source;
use crate::relay::Inner;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use headgate_hub::{Edge, StreamName};
use tokio::time::{Instant, sleep};

impl Inner {
    /// Until the edge is not wanted any more.
    pub(crate) async fn keep(&self, edge: Edge) {
        tokio::select! {
            () = edge.over() => {}
            () = self.feed(&edge) => {}
        }
    }

    async fn feed(&self, edge: &Edge) {
        let mut pause = Pause::default();
        loop {
            edge.watched().await;
            if let Some(source) = self.find(edge.name()).await {
                let begun = Instant::now();
                self.pass(edge, source).await;
                if begun.elapsed() >= FIRST {
                    pause = Pause::default();
                    continue;
                }
            }
            let wait = pause.next();
            sleep(FIRST).await;
            // Whoever comes after a time without viewers does not wait longer than that.
            tokio::select! {
                () = sleep(wait.saturating_sub(FIRST)) => {}
                () = edge.unwatched() => {}
            }
        }
    }

    /// Asks all peers at once; the first that has it.
    async fn find(&self, name: &StreamName) -> Option<Source> {
        let _place = self.asking.acquire().await.ok()?;
        let (peers, patience) = (self.peers.all(), self.patience.media);
        let ask = |peer| async move { (peer, Source::open(peer, name, patience).await) };
        let mut asked: FuturesUnordered<_> = peers.iter().map(ask).collect();
        while let Some((peer, answer)) = asked.next().await {
            if let Some(Some(source)) = self.noted(peer, answer) {
                return Some(source);
            }
        }
        None
    }

    async fn pass(&self, edge: &Edge, source: Source) {
        let (name, origin) = (edge.name().clone(), source.origin.clone());
        if !edge.begin(origin.clone()) {
            return;
        }
        let _fed = Fed::new(edge, self);
        tracing::info!(stream = %name, from = %origin.pod, session = %origin.session, "a stream is brought here");
        match source.feed(edge, self.patience.idle, &self.metrics).await {
            Ok(()) => tracing::info!(stream = %name, from = %origin.pod, "a stream that was brought here has ended"),
            Err(error) => {
                let reason = error.reason();
                tracing::info!(stream = %name, from = %origin.pod, reason, %error, "a stream that was brought here broke off");
            }
        }
    }
}

/// While an edge has a source.
struct Fed<'a> {
    edge: &'a Edge,
    relay: &'a Inner,
}

impl<'a> Fed<'a> {
    fn new(edge: &'a Edge, relay: &'a Inner) -> Self {
        relay.metrics.edges.inc();
        Self { edge, relay }
    }
}

impl Drop for Fed<'_> {
    fn drop(&mut self) {
        self.relay.metrics.edges.dec();
        self.edge.end();
    }
}
