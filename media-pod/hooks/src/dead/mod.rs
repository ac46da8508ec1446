//! Dead letters: notifications that were given up, kept in segments of their own so that somebody can look at them and have them sent once more.
//!
//! A thread of its own writes them and reads them; what hands one over never waits. The oldest segment goes when there are too many. Where there is no
//! folder they are in memory, and fewer.

mod handover;
mod shelf;
mod store;

pub use handover::LetterRecord;

use headgate_control::{HookEvent, Replay};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::delivery::lane::Dead;
use crate::event::Event;
use crate::log::metrics::{LogMetrics, Trouble};
use crate::log::store::{Folder, Store};
use shelf::{Letter, Shelf, Sizes, Wish};

/// Letters on their way to the thread; one more is lost, and counted.
const WAITING_MAX: usize = 4096;
/// The folder of the segments, below the state folder.
const FOLDER: &str = "dead-letters";

/// Letters with their numbers.
pub(crate) type Page = Vec<(u64, Letter)>;

/// What the thread is asked for.
enum Op {
    Keep(Box<Letter>),
    KeepAll(Vec<Letter>, oneshot::Sender<bool>),
    Oldest(usize, oneshot::Sender<Page>),
    Begin(String, Box<Replay>, oneshot::Sender<Option<Wish>>),
    Page(Wish, oneshot::Sender<Page>),
    Gone(Vec<u64>, oneshot::Sender<()>),
    End(Wish, oneshot::Sender<()>),
}

/// See the module.
pub(crate) struct DeadLetters {
    ops: Option<mpsc::Sender<Op>>,
    kept: Arc<Mutex<HashMap<String, u64>>>,
    metrics: LogMetrics,
    thread: Option<JoinHandle<()>>,
}

/// A dead letter, as somebody may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The event's id: its `webhook-id`.
    pub id: Uuid,
    /// When it happened.
    pub time: Timestamp,
    /// What.
    pub event: HookEvent,
    /// The HookEndpoint it was for.
    pub endpoint: String,
    /// `vhost/app/stream`; empty for an event of the server.
    pub stream: String,
    /// When it was given up.
    pub died: Timestamp,
    /// Why: `Overflow`, `Expired`, `Rejected` or `EndpointGone`.
    pub reason: String,
}

impl DeadLetters {
    /// Those of a state folder, or of this process alone.
    pub(crate) fn open(state: Option<&Path>, metrics: &LogMetrics) -> Self {
        let folder = state.map(|state| Folder::open(&state.join(FOLDER)));
        let (store, sizes): (Box<dyn Store>, Sizes) = match folder {
            Some(Ok(folder)) => (Box::new(folder), Sizes::default()),
            Some(Err(error)) => {
                metrics.error(Trouble::DeadLetters);
                tracing::error!(%error, "dead letters cannot be kept on disk: they are in memory only");
                (Box::<store::Memory>::default(), Sizes::in_memory())
            }
            None => (Box::<store::Memory>::default(), Sizes::in_memory()),
        };
        Self::over(store, sizes, metrics)
    }

    fn over(store: Box<dyn Store>, sizes: Sizes, metrics: &LogMetrics) -> Self {
        let kept = Arc::<Mutex<HashMap<String, u64>>>::default();
        let mut shelf = Shelf::open(store, sizes, metrics.clone());
        *kept.lock() = shelf.kept();
        let (ops, mut inbox) = mpsc::channel(WAITING_MAX);
        let shown = Arc::clone(&kept);
        let thread = thread::Builder::new().name("dead-letters".into());
        let thread = thread.spawn(move || work(&mut shelf, &mut inbox, &shown)).ok();
        Self {
            ops: Some(ops).filter(|_| thread.is_some()),
            kept,
            metrics: metrics.clone(),
            thread,
        }
    }

    /// Keeps one. Never waits.
    pub(crate) fn keep(&self, endpoint: &str, dead: Dead) {
        let letter = Letter {
            endpoint: endpoint.to_owned(),
            url: dead.url,
            died: Timestamp::now(),
            reason: <&str>::from(dead.death).to_owned(),
            event: dead.event,
        };
        let sent = self.ops.as_ref().map(|ops| ops.try_send(Op::Keep(Box::new(letter))));
        if !matches!(sent, Some(Ok(()))) {
            self.metrics.error(Trouble::DeadLetters);
        }
    }

    /// Keeps these. False when some could not be written.
    pub(crate) async fn keep_all(&self, letters: Vec<Letter>) -> bool {
        self.ask(|answer| Op::KeepAll(letters, answer)).await.unwrap_or(false)
    }

    /// The oldest of all that are kept.
    pub(crate) async fn oldest(&self, max: usize) -> Page {
        self.ask(|answer| Op::Oldest(max, answer)).await.unwrap_or_default()
    }

    /// How many are kept of an endpoint.
    pub(crate) fn kept(&self, endpoint: &str) -> u64 {
        self.kept.lock().get(endpoint).copied().unwrap_or(0)
    }

    /// What a replay is about. `None` when it was followed before, in this process or one before it.
    pub(crate) async fn begin(&self, endpoint: &str, replay: &Replay) -> Option<Wish> {
        let (endpoint, replay) = (endpoint.to_owned(), Box::new(replay.clone()));
        self.ask(|answer| Op::Begin(endpoint, replay, answer)).await.flatten()
    }

    /// The next of those that a wish is about and that are still here.
    pub(crate) async fn page(&self, wish: &Wish) -> Page {
        self.ask(|answer| Op::Page(wish.clone(), answer))
            .await
            .unwrap_or_default()
    }

    /// These are no dead letters any more.
    pub(crate) async fn gone(&self, numbers: Vec<u64>) {
        self.ask(|answer| Op::Gone(numbers, answer)).await;
    }

    /// A wish was followed, and is not followed again.
    pub(crate) async fn end(&self, wish: &Wish) {
        self.ask(|answer| Op::End(wish.clone(), answer)).await;
    }

    /// The thread answers within moments; where its queue is full, this waits for a place without holding a worker up.
    async fn ask<T>(&self, op: impl FnOnce(oneshot::Sender<T>) -> Op) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.ops.as_ref()?.send(op(answer)).await.ok()?;
        answered.await.ok()
    }
}

impl Drop for DeadLetters {
    /// All that was handed over is written.
    fn drop(&mut self) {
        self.ops.take();
        let thread = self.thread.take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

fn work(shelf: &mut Shelf, inbox: &mut mpsc::Receiver<Op>, shown: &Mutex<HashMap<String, u64>>) {
    // Shown before it is answered: who has the answer may look.
    let show = |shelf: &Shelf| *shown.lock() = shelf.kept();
    while let Some(op) = inbox.blocking_recv() {
        match op {
            Op::Keep(letter) => {
                shelf.keep(*letter);
                show(shelf);
            }
            Op::KeepAll(letters, answer) => {
                let mut kept = true;
                for letter in letters {
                    kept &= shelf.keep(letter);
                }
                show(shelf);
                let _ = answer.send(kept);
            }
            Op::Oldest(max, answer) => drop(answer.send(shelf.oldest(max))),
            Op::Begin(endpoint, replay, answer) => drop(answer.send(shelf.begin(endpoint, *replay))),
            Op::Page(wish, answer) => drop(answer.send(shelf.page(&wish))),
            Op::Gone(numbers, answer) => {
                shelf.gone(numbers);
                show(shelf);
                let _ = answer.send(());
            }
            Op::End(wish, answer) => {
                shelf.end(wish);
                let _ = answer.send(());
            }
        }
    }
}

/// The dead letters in a state folder, the oldest first, also while a process uses it.
pub fn read_dead_letters(state: &Path) -> io::Result<Vec<DeadLetter>> {
    let letters = shelf::read_folder(&state.join(FOLDER))?;
    Ok(letters.into_iter().map(DeadLetter::from).collect())
}

impl From<Letter> for DeadLetter {
    fn from(letter: Letter) -> Self {
        let Event {
            id, time, kind, stream, ..
        } = &*letter.event;
        let named = !stream.name.is_empty();
        Self {
            id: *id,
            time: *time,
            event: *kind,
            stream: if named {
                format!("{}/{}/{}", stream.vhost, stream.app, stream.name)
            } else {
                String::new()
            },
            died: letter.died,
            reason: letter.reason,
            endpoint: letter.endpoint,
        }
    }
}

#[cfg(test)]
mod tests;
