//! One name in the registry: who has it, who wants it, who watches.

use crate::StreamName;
use crate::contest::{Answer, Newcomer, is_older};
use crate::edge::{Interest, Seed};
use crate::stream::Stream;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Challengers that are remembered.
const CHALLENGERS_MAX: usize = 16;

pub(crate) struct Entry {
    pub(crate) stream: Arc<Stream>,
    pub(crate) publisher: Option<Uuid>,
    pub(crate) newcomer: Option<Newcomer>,
    /// Sessions elsewhere that asked to take the name over from the publisher that is in, newest last.
    challengers: Vec<Uuid>,
    /// Viewers, those who are asked about too.
    pub(crate) viewers: usize,
    /// Viewers that are in.
    pub(crate) present: usize,
    /// What brings the stream from elsewhere. Dropped, it is over.
    edge: Option<Held>,
}

/// The registry's end of an [`crate::Edge`].
struct Held {
    id: Uuid,
    interest: watch::Sender<Interest>,
}

impl Entry {
    pub(crate) fn new(name: &StreamName) -> Self {
        Self {
            stream: Arc::new(Stream::new(name.clone())),
            publisher: None,
            newcomer: None,
            challengers: Vec::new(),
            viewers: 0,
            present: 0,
            edge: None,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.publisher.is_none() && self.newcomer.is_none() && self.viewers == 0 && self.edge.is_none()
    }

    /// A publisher's session is over, or its admission came to nothing.
    pub(crate) fn forget(&mut self, publisher: Uuid) {
        self.publisher = self.publisher.filter(|id| *id != publisher);
        self.newcomer = self.newcomer.filter(|n| n.session != publisher);
    }

    /// A newcomer is in. Says whom it displaces.
    pub(crate) fn enter(&mut self, publisher: Uuid) -> Option<Uuid> {
        self.newcomer = None;
        self.challengers.clear();
        self.publisher.replace(publisher)
    }

    /// See [`crate::contest`].
    pub(crate) fn contend(&mut self, session: Uuid, takeover: bool) -> Answer {
        let live = self.publisher.is_some();
        if live && !takeover {
            return Answer::Taken;
        }
        let answer = self.newcomer.as_mut().map_or(Answer::Free, |n| n.contend(session));
        if live && answer == Answer::Free {
            let too_many = self.challengers.len().saturating_sub(CHALLENGERS_MAX - 1);
            self.challengers.drain(..too_many);
            self.challengers.push(session);
        }
        answer
    }

    /// The publisher, if it goes before one elsewhere that took the name over.
    pub(crate) fn yields_to(&self, other: Uuid) -> Option<Uuid> {
        let must = |own: &Uuid| self.challengers.contains(&other) || is_older(*own, other);
        self.publisher.filter(|own| *own != other).filter(must)
    }

    /// Keeps the edge in step: there while somebody watches and nobody publishes here. A new one is handed out once.
    pub(crate) fn review(&mut self) -> Option<Seed> {
        if self.publisher.is_some() {
            self.edge = None;
            return None;
        }
        let Some(edge) = &self.edge else {
            return (self.present > 0).then(|| self.sow());
        };
        let watched = self.present > 0;
        edge.interest.send_if_modified(|now| {
            let news = watched != (*now == Interest::Watched);
            if news {
                *now = if watched {
                    Interest::Watched
                } else {
                    Interest::Unwatched(Instant::now())
                };
            }
            news
        });
        None
    }

    fn sow(&mut self) -> Seed {
        let (id, (sender, interest)) = (Uuid::new_v4(), watch::channel(Interest::Watched));
        self.edge = Some(Held { id, interest: sender });
        Seed {
            id,
            interest,
            stream: Arc::clone(&self.stream),
        }
    }

    pub(crate) fn has_edge(&self, id: Uuid) -> bool {
        self.edge.as_ref().is_some_and(|edge| edge.id == id)
    }

    pub(crate) fn drop_edge(&mut self) {
        self.edge = None;
    }
}
