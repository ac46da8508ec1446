//! Orphans: sessions of pods that are gone. Each is opened, told of once, and remembered, so that a config that goes on naming it changes nothing.

use headgate_control::Orphan;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

use crate::event::Event;
use crate::opened::{Opened, closings};
use crate::seal::{SealKey, Unreadable};

/// How long one is remembered after it was settled, even if no config names it: its connection may be named later than itself.
const MEMORY: Duration = Duration::from_hours(1);

/// Which orphans are settled.
#[derive(Default)]
pub(crate) struct Adopted(Mutex<State>);

#[derive(Default)]
struct State {
    known: HashMap<Uuid, Settled>,
    /// Those that the config names and that are ours.
    listed: HashSet<Uuid>,
}

#[derive(Clone, Copy)]
struct Settled {
    at: Timestamp,
    /// It is in the outbox, and the outbox is on disk.
    safe: bool,
}

/// Sessions of one connection, to be settled together: what is told of them, in order, and whom that settles.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) events: Vec<Event>,
    pub(crate) settles: Vec<Uuid>,
}

impl Adopted {
    /// Those of the config that are settled, in the order of their ids.
    pub(crate) fn reported(&self) -> Vec<Uuid> {
        let state = self.0.lock();
        let safe = |id: &&Uuid| state.known.get(id).is_some_and(|settled| settled.safe);
        let mut ids: Vec<Uuid> = state.listed.iter().filter(safe).copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Takes note of what the config names. Returns those that are new, and those that can be forgotten. The new ones count as known from now on.
    pub(crate) fn list<'a>(&self, mine: &[&'a Orphan], now: Timestamp) -> (Vec<&'a Orphan>, Vec<Uuid>) {
        let mut state = self.0.lock();
        state.listed = mine.iter().map(|orphan| orphan.session).collect();
        let State { known, listed } = &mut *state;
        let old = |settled: &Settled| now.duration_since(settled.at).unsigned_abs() > MEMORY;
        let past = known
            .iter()
            .filter(|(id, settled)| !listed.contains(id) && old(settled));
        let past: Vec<Uuid> = past.map(|(id, _)| *id).collect();
        for id in &past {
            known.remove(id);
        }
        let new = mine.iter().filter(|orphan| !known.contains_key(&orphan.session));
        (new.copied().collect(), past)
    }

    pub(crate) fn knows(&self, session: Uuid) -> bool {
        self.0.lock().known.contains_key(&session)
    }

    /// It is being settled; `safe` once the outbox has it on disk.
    pub(crate) fn settle(&self, session: Uuid, at: Timestamp, safe: bool) {
        self.0.lock().known.insert(session, Settled { at, safe });
    }
}

/// What an orphan says, if it can be read.
pub(crate) fn read(orphan: &Orphan, key: Option<&SealKey>) -> Result<Opened, Unreadable> {
    let opened = key.ok_or(Unreadable::NoKey)?.open(&orphan.sealed)?;
    if opened.session == orphan.session {
        Ok(opened)
    } else {
        Err(Unreadable::OtherSession)
    }
}

/// What is to be told of these, by connection. `skip` says of which sessions and connections nothing is told here.
pub(crate) fn families(opened: &[Opened], skip: impl Fn(Uuid) -> bool) -> Vec<Family> {
    let mut by_connection: BTreeMap<Uuid, Vec<&Opened>> = BTreeMap::new();
    for entry in opened {
        let connection = entry.connection.as_ref().map_or(entry.session, |close| close.session);
        by_connection.entry(connection).or_default().push(entry);
    }
    let family = |entries: Vec<&Opened>| {
        let events = closings(entries.iter().copied());
        let events: Vec<Event> = events
            .into_iter()
            .filter(|event| !skip(event.session))
            .cloned()
            .collect();
        let settles = events.iter().map(|event| event.session).collect();
        Family { events, settles }
    };
    by_connection.into_values().map(family).collect()
}
