//! Who watches: sessions by the word in their playlist's address, and streams by name and by the word in their files' names.

use super::live::{HlsFormat, Live};
use crate::refuse;
use axum::response::Response;
use headgate_hls::Container;
use headgate_hub::{Client, Connection, EndReason, Hub, Player, Reason, Refusal, StreamName};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A viewer.
pub(crate) struct Entry {
    pub(crate) live: Arc<Live>,
    pub(crate) client: Client,
    /// When it last asked for its playlist.
    seen: Mutex<Instant>,
}

/// All viewers and streams of a listener.
#[derive(Default)]
pub(crate) struct Sessions {
    by_word: Mutex<HashMap<String, Arc<Entry>>>,
    by_name: Mutex<HashMap<(StreamName, Container), Weak<Live>>>,
}

/// Viewers of one listener; beyond them nobody is let in.
const SESSIONS_MAX: usize = 100_000;
/// A word that a client may ask for its session to have.
const WORD_MAX: usize = 64;
/// How often a session is looked after.
const TICK: Duration = Duration::from_secs(1);

impl Entry {
    pub(crate) fn touch(&self) {
        *self.seen.lock() = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.seen.lock().elapsed()
    }
}

impl Sessions {
    /// The session of this word; it lives on.
    pub(crate) fn find(&self, word: &str) -> Option<Arc<Entry>> {
        let entry = self.by_word.lock().get(word).cloned();
        if let Some(entry) = &entry {
            entry.touch();
        }
        entry
    }

    /// The stream with this word in its files' names.
    pub(crate) fn live(&self, run: &str) -> Option<Arc<Live>> {
        let streams = self.by_name.lock();
        streams.values().filter_map(Weak::upgrade).find(|live| live.run == run)
    }

    /// Asks the gate for a new viewer, and keeps it under this word until it ends.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        hub: &Hub,
        connection: Connection,
        container: Container,
        word: &str,
        (tasks, shutdown): (&TaskTracker, &CancellationToken),
    ) -> Result<Arc<Entry>, Response> {
        let full = self.by_word.lock().len() >= SESSIONS_MAX;
        if full || word.len() > WORD_MAX {
            let refusal = Refusal::new(Reason::LimitReached, "there are too many HLS viewers");
            return Err(refuse::refused(&refusal));
        }
        let refused = |refusal: Refusal| refuse::refused(&refusal);
        let name = StreamName::parse(&connection.vhost, &connection.app, &connection.stream).map_err(refused)?;
        let param = connection.param.clone();
        let client = hub.open(connection);
        let ours = Arc::new(Live::new(container));
        let format = Arc::new(HlsFormat(Arc::clone(&ours)));
        let player = client.play(name, param, format).await.map_err(refused)?;
        let Some(live) = self.settle(&player, ours, container).await else {
            return Err(refuse::ended(EndReason::StreamEnded));
        };
        let entry = Arc::new(Entry {
            live,
            client,
            seen: Mutex::new(Instant::now()),
        });
        self.by_word.lock().insert(word.to_owned(), Arc::clone(&entry));
        let (sessions, word, shutdown) = (Arc::clone(self), word.to_owned(), shutdown.clone());
        let kept = Arc::clone(&entry);
        tasks.spawn(async move {
            keep(player, &kept, &shutdown).await;
            let mut all = sessions.by_word.lock();
            if all.get(&word).is_some_and(|now| Arc::ptr_eq(now, &kept)) {
                all.remove(&word);
            }
        });
        Ok(entry)
    }

    /// The segments that the hub feeds for this player: those made for it, or those that were there before.
    async fn settle(&self, player: &Player, ours: Arc<Live>, container: Container) -> Option<Arc<Live>> {
        const TRIES: u32 = 20;
        let key = (player.session().name.clone(), container);
        for _ in 0..TRIES {
            if let Some(live) = self.known(&key, &ours) {
                return Some(live);
            }
            // Another viewer's are fed, and it is about to say so.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    fn known(&self, key: &(StreamName, Container), ours: &Arc<Live>) -> Option<Arc<Live>> {
        let mut streams = self.by_name.lock();
        if ours.is_fed() {
            streams.retain(|_, live| live.strong_count() > 0);
            streams.insert(key.clone(), Arc::downgrade(ours));
            return Some(Arc::clone(ours));
        }
        streams.get(key).and_then(Weak::upgrade)
    }
}

/// Keeps a viewer's session until it is idle or ended.
async fn keep(mut player: Player, entry: &Entry, shutdown: &CancellationToken) {
    let mut nothing = Vec::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.cancelled() => return player.finish(EndReason::Shutdown),
        }
        // A look is enough: there is nothing to take, but it tells when the session or the stream has ended.
        let looked = tokio::time::timeout(Duration::from_millis(1), player.next(&mut nothing, 1)).await;
        nothing.clear();
        match looked {
            Ok(Err(reason)) => return player.finish(reason),
            _ if entry.idle() > entry.live.patience() => return player.finish(EndReason::PeerClosed),
            _ => {}
        }
    }
}
