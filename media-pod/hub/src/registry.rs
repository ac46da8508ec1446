//! Who has which name, who waits for an answer, and how many there are. Plain data behind the hub's one lock; decisions only, no calls out.

use crate::contest::{Answer, Newcomer};
use crate::edge::Seed;
use crate::entry::Entry;
use crate::live::Live;
use crate::stream::Stream;
use crate::{EndReason, Newcomers, Permit, Protocol, Reason, Refusal, Session, SessionKind, Settings, StreamName};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// All streams and sessions of a hub.
#[derive(Default)]
pub(crate) struct Registry {
    streams: HashMap<StreamName, Entry>,
    /// Publishers whose streams have other names than they asked for.
    pub(crate) renamed: HashMap<Uuid, StreamName>,
    /// Asked about; the name is theirs meanwhile.
    pending: HashMap<Uuid, Arc<Session>>,
    /// Admitted and not ended.
    live: HashMap<Uuid, Arc<Live>>,
    /// Places taken, by those who are asked about too.
    publishers: usize,
    viewers: usize,
    /// Publishers by key, those who are asked about too.
    keys: HashMap<Arc<str>, usize>,
    counts: Counts,
    /// Newcomers are sent elsewhere; who is in stays.
    pub(crate) newcomers: Newcomers,
    closed: Option<EndReason>,
}

/// What an admission came to in the end.
pub(crate) enum Established {
    /// In. The publisher before, if there was one, must be ended; the stream, if it is not here, must be brought.
    In(Option<Arc<Live>>, Option<Seed>),
    /// The client left, or the hub closed, while the gate was asked.
    Out(EndReason),
}

/// How many there are, admitted ones only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) publishers: usize,
    /// In the order of [`Protocol::ALL`].
    pub(crate) viewers: [usize; Protocol::ALL.len()],
}

impl Registry {
    /// Whether newcomers of any kind are let in.
    pub(crate) fn check_open(&self) -> Result<(), Refusal> {
        [SessionKind::Publish, SessionKind::Play]
            .into_iter()
            .map(|kind| self.check_newcomer(kind))
            .reduce(Result::or)
            .unwrap_or(Ok(()))
    }

    fn check_newcomer(&self, kind: SessionKind) -> Result<(), Refusal> {
        if self.closed.is_some() {
            return Err(Refusal::new(Reason::Draining, "the server is about to stop"));
        }
        if !self.newcomers.include(kind) {
            return Err(Refusal::new(
                Reason::Draining,
                "this server is on its way out: come again",
            ));
        }
        Ok(())
    }

    /// Keeps the name for a session that is about to be asked about.
    pub(crate) fn reserve(
        &mut self,
        session: &Arc<Session>,
        permit: &Permit,
        settings: &Settings,
    ) -> Result<Arc<Stream>, Refusal> {
        self.check_newcomer(session.kind)?;
        let displaced = match session.kind {
            SessionKind::Publish => self.check_name(&session.name, permit.takeover)?,
            SessionKind::Play => {
                self.check_offer(session)?;
                None
            }
        };
        self.check_limits(session, permit, settings, displaced)?;
        let entry = self
            .streams
            .entry(session.name.clone())
            .or_insert_with(|| Entry::new(&session.name));
        match session.kind {
            SessionKind::Publish => entry.newcomer = Some(Newcomer::new(session.id)),
            SessionKind::Play => entry.viewers = entry.viewers.saturating_add(1),
        }
        let stream = Arc::clone(&entry.stream);
        self.pending.insert(session.id, Arc::clone(session));
        self.take_place(session, |n| n.saturating_add(1));
        Ok(stream)
    }

    /// Gives the name that a publisher has back, and keeps another for it. None when it is asked about no more.
    pub(crate) fn rename(
        &mut self,
        session: &Session,
        name: &StreamName,
        takeover: bool,
    ) -> Result<Option<Arc<Stream>>, Refusal> {
        if !self.pending.contains_key(&session.id) {
            return Ok(None);
        }
        self.check_name(name, takeover)?;
        self.forget_at(&self.place(session), session);
        let entry = self.streams.entry(name.clone()).or_insert_with(|| Entry::new(name));
        entry.newcomer = Some(Newcomer::new(session.id));
        let stream = Arc::clone(&entry.stream);
        self.renamed.insert(session.id, name.clone());
        Ok(Some(stream))
    }

    /// Whether a publisher may try for a name, and whom it would displace.
    fn check_name(&self, name: &StreamName, takeover: bool) -> Result<Option<Uuid>, Refusal> {
        let Some(entry) = self.streams.get(name) else {
            return Ok(None);
        };
        let busy = entry.newcomer.is_some() || (entry.publisher.is_some() && !takeover);
        if busy {
            return Err(Refusal::new(
                Reason::NameBusy,
                format!("{name} has a publisher already"),
            ));
        }
        Ok(entry.publisher)
    }

    /// Whether a stream that is there is to be had over the player's protocol.
    fn check_offer(&self, session: &Session) -> Result<(), Refusal> {
        let (name, protocol) = (&session.name, session.connection.protocol);
        let stream = self.streams.get(name).map(|entry| &entry.stream);
        if stream.is_none_or(|stream| stream.offers(protocol)) {
            return Ok(());
        }
        let message = format!("{name} is not to be had over {protocol}");
        Err(Refusal::new(Reason::StreamNotFound, message))
    }

    fn check_limits(
        &self,
        session: &Session,
        permit: &Permit,
        settings: &Settings,
        displaced: Option<Uuid>,
    ) -> Result<(), Refusal> {
        let displaced = displaced.and_then(|id| self.live.get(&id));
        let (what, taken, max) = match session.kind {
            SessionKind::Publish => ("publishers", self.publishers, settings.publishers_max),
            SessionKind::Play => ("viewers", self.viewers, settings.viewers_max),
        };
        let taken = taken.saturating_sub(usize::from(displaced.is_some()));
        if let Some(max) = max.filter(|max| taken >= *max) {
            return Err(Refusal::new(
                Reason::LimitReached,
                format!("this server takes no more than {max} {what}"),
            ));
        }
        let (SessionKind::Publish, Some(key)) = (session.kind, &session.key) else {
            return Ok(());
        };
        let same_key = displaced.is_some_and(|live| live.session.key.as_ref() == Some(key));
        let taken = self
            .keys
            .get(key)
            .copied()
            .unwrap_or(0)
            .saturating_sub(usize::from(same_key));
        match permit.key_publishers_max {
            Some(max) if taken >= usize::try_from(max).unwrap_or(usize::MAX) => Err(Refusal::new(
                Reason::LimitReached,
                format!("this key takes no more than {max} publishers"),
            )),
            _ => Ok(()),
        }
    }

    /// Counts a session in or out of the places that are taken.
    fn take_place(&mut self, session: &Session, change: impl Fn(usize) -> usize) {
        match session.kind {
            SessionKind::Play => self.viewers = change(self.viewers),
            SessionKind::Publish => {
                self.publishers = change(self.publishers);
                if let Some(key) = &session.key {
                    let taken = self.keys.entry(Arc::clone(key)).or_default();
                    *taken = change(*taken);
                    self.keys.retain(|_, taken| *taken > 0);
                }
            }
        }
    }

    fn count(&mut self, session: &Session, change: impl Fn(usize) -> usize) {
        let protocol = session.connection.protocol;
        let count = match session.kind {
            SessionKind::Publish => Some(&mut self.counts.publishers),
            SessionKind::Play => self
                .counts
                .viewers
                .iter_mut()
                .zip(Protocol::ALL)
                .find(|(_, p)| *p == protocol)
                .map(|(c, _)| c),
        };
        if let Some(count) = count {
            *count = change(*count);
        }
    }

    /// Frees what a session reserved that is not to be admitted. False when it is admitted already.
    pub(crate) fn release(&mut self, id: Uuid) -> bool {
        let session = self.pending.remove(&id);
        if let Some(session) = &session {
            self.leave(session);
        }
        session.is_some()
    }

    /// Makes a session that the gate let in a live one.
    pub(crate) fn establish(&mut self, live: &Arc<Live>) -> Established {
        let (session, place) = (&live.session, self.place(&live.session));
        let Some(entry) = self
            .streams
            .get_mut(&place)
            .filter(|_| self.pending.remove(&session.id).is_some())
        else {
            return Established::Out(EndReason::PeerClosed);
        };
        if let Some(reason) = self.closed {
            self.leave(session);
            return Established::Out(reason);
        }
        let mut displaced = None;
        match session.kind {
            SessionKind::Publish => displaced = entry.enter(session.id),
            SessionKind::Play => entry.present = entry.present.saturating_add(1),
        }
        let wanted = entry.review();
        self.live.insert(session.id, Arc::clone(live));
        self.count(session, |n| n.saturating_add(1));
        Established::In(displaced.and_then(|id| self.live.get(&id).cloned()), wanted)
    }

    /// Takes an ended session out. Its stream's viewers may need it from elsewhere now.
    pub(crate) fn remove(&mut self, live: &Live) -> Option<Seed> {
        let session = &live.session;
        self.live.remove(&session.id)?;
        self.count(session, |n| n.saturating_sub(1));
        let place = self.place(session);
        let entry = self.streams.get_mut(&place)?;
        match session.kind {
            SessionKind::Publish => entry.forget(session.id),
            SessionKind::Play => entry.present = entry.present.saturating_sub(1),
        }
        let wanted = if self.closed.is_none() { entry.review() } else { None };
        self.leave(session);
        wanted
    }

    fn leave(&mut self, session: &Session) {
        self.take_place(session, |n| n.saturating_sub(1));
        let place = self.place(session);
        self.renamed.remove(&session.id);
        self.forget_at(&place, session);
    }

    fn forget_at(&mut self, name: &StreamName, session: &Session) {
        let Some(entry) = self.streams.get_mut(name) else {
            return;
        };
        match session.kind {
            SessionKind::Publish => entry.forget(session.id),
            SessionKind::Play => entry.viewers = entry.viewers.saturating_sub(1),
        }
        if entry.is_idle() {
            self.streams.remove(name);
        }
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&mut self, reason: EndReason) {
        self.closed = Some(reason);
        self.streams.values_mut().for_each(Entry::drop_edge);
        self.streams.retain(|_, entry| !entry.is_idle());
    }

    /// All others have answered that the name is free. False when another newcomer has gone before meanwhile.
    pub(crate) fn secure(&mut self, session: &Session) -> bool {
        let place = self.place(session);
        let newcomer = self.streams.get_mut(&place).and_then(|e| e.newcomer.as_mut());
        newcomer
            .filter(|n| n.session == session.id)
            .is_some_and(Newcomer::secure)
    }

    /// Answers a claim from elsewhere.
    pub(crate) fn contend(&mut self, name: &StreamName, session: Uuid, takeover: bool) -> Answer {
        let entry = self.streams.get_mut(name);
        entry.map_or(Answer::Free, |entry| entry.contend(session, takeover))
    }

    /// The publisher that one elsewhere has displaced.
    pub(crate) fn displaced(&self, name: &StreamName, by: Uuid) -> Option<Arc<Live>> {
        self.get(self.streams.get(name)?.yields_to(by)?)
    }

    /// The publisher that is in.
    pub(crate) fn publisher(&self, name: &StreamName) -> Option<Arc<Live>> {
        self.get(self.streams.get(name)?.publisher?)
    }

    pub(crate) fn has_edge(&self, name: &StreamName, id: Uuid) -> bool {
        self.streams.get(name).is_some_and(|entry| entry.has_edge(id))
    }

    /// Takes an edge out that nobody watches. False when somebody does.
    pub(crate) fn retire_edge(&mut self, name: &StreamName, id: Uuid) -> bool {
        let watched = self.streams.get(name).is_some_and(|entry| entry.present > 0);
        if !watched {
            self.drop_edge(name, id);
        }
        !watched
    }

    pub(crate) fn drop_edge(&mut self, name: &StreamName, id: Uuid) {
        if let Some(entry) = self.streams.get_mut(name).filter(|entry| entry.has_edge(id)) {
            entry.drop_edge();
            if entry.is_idle() {
                self.streams.remove(name);
            }
        }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<Live>> {
        self.live.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.live.values().cloned().collect()
    }

    pub(crate) fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.values().map(|e| Arc::clone(&e.stream)).collect()
    }

    /// No session, no reservation and no stream is left.
    pub(crate) fn is_empty(&self) -> bool {
        let nobody = self.live.is_empty() && self.pending.is_empty() && self.renamed.is_empty();
        nobody && self.streams.is_empty() && self.keys.is_empty()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }
}
