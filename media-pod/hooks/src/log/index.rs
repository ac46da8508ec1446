//! [`Index`]: which segment holds what is still needed, without the content. Tells what to copy forward and what to drop.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use uuid::Uuid;

use super::record::{Notice, Record, Told};

/// Where something stands, and about how many bytes it takes there.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    bytes: u32,
}

/// One segment.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Of the file.
    bytes: u64,
    /// Of what is still needed.
    live: u64,
    /// Things that are still needed.
    count: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    segments: BTreeMap<u64, Held>,
    open: HashMap<Uuid, Place>,
    pending: HashMap<u64, Place>,
    adopted: HashMap<Uuid, Place>,
}

impl Index {
    /// A segment is there, with or without anything in it.
    pub(crate) fn add(&mut self, segment: u64, bytes: u64) {
        let held = self.segments.entry(segment).or_default();
        held.bytes = held.bytes.saturating_add(bytes);
    }

    /// Forgets a segment and all that stood only there.
    pub(crate) fn remove(&mut self, segment: u64) {
        if let Some(held) = self.segments.remove(&segment)
            && held.count > 0
        {
            self.open.retain(|_, place| place.segment != segment);
            self.pending.retain(|_, place| place.segment != segment);
            self.adopted.retain(|_, place| place.segment != segment);
        }
    }

    /// Takes in a record of `bytes` that stands in `segment`.
    pub(crate) fn apply(&mut self, record: &Record, segment: u64, bytes: usize) {
        let place = |parts: usize| Place {
            segment,
            bytes: u32::try_from(bytes.checked_div(parts).unwrap_or(bytes)).unwrap_or(u32::MAX),
        };
        let segments = &mut self.segments;
        match record {
            Record::Open(kept) => put(segments, &mut self.open, kept.opened.session, place(1)),
            Record::Done(numbers) => numbers
                .iter()
                .for_each(|number| take(segments, &mut self.pending, number)),
            Record::Forgotten(sessions) => sessions.iter().for_each(|id| take(segments, &mut self.adopted, id)),
            Record::Told(told) => {
                told.closes
                    .iter()
                    .for_each(|session| take(segments, &mut self.open, session));
                let numbers = || told.notices.iter().flat_map(|notice| &notice.targets);
                let place = place(numbers().count().saturating_add(told.adopts.len()));
                told.adopts
                    .iter()
                    .for_each(|(id, _)| put(segments, &mut self.adopted, *id, place));
                numbers().for_each(|target| put(segments, &mut self.pending, target.number, place));
            }
        }
    }

    /// What of a record is still needed; `notices` says whether notices are kept.
    pub(crate) fn live_part(&self, record: Record, notices: bool) -> Option<Record> {
        match record {
            Record::Open(kept) => self
                .open
                .contains_key(&kept.opened.session)
                .then_some(Record::Open(kept)),
            Record::Told(told) => self.live_told(told, notices).map(Record::Told),
            Record::Done(_) | Record::Forgotten(_) => None,
        }
    }

    fn live_told(&self, told: Told, notices: bool) -> Option<Told> {
        let live = |notice: Notice| {
            let targets = notice.targets.into_iter();
            let targets: Vec<_> = targets
                .filter(|target| self.pending.contains_key(&target.number))
                .collect();
            (!targets.is_empty()).then(|| Notice {
                event: Arc::clone(&notice.event),
                at: notice.at,
                targets,
            })
        };
        let kept = told.notices.into_iter().filter(|_| notices).filter_map(live).collect();
        let adopts = told
            .adopts
            .into_iter()
            .filter(|(id, _)| self.adopted.contains_key(id))
            .collect();
        let told = Told {
            closes: Vec::new(),
            adopts,
            notices: kept,
        };
        (told != Told::default()).then_some(told)
    }

    /// The oldest segment, and whether anything in it is still needed.
    pub(crate) fn oldest(&self) -> Option<(u64, bool)> {
        self.segments
            .first_key_value()
            .map(|(number, held)| (*number, held.count > 0))
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.values().map(|held| held.bytes).sum()
    }

    /// About how many of them are still needed.
    pub(crate) fn live(&self) -> u64 {
        self.segments.values().map(|held| held.live).sum()
    }

    /// Whether any notice is pending.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Numbers of the notices that stand in a segment.
    pub(crate) fn pending_in(&self, segment: u64) -> Vec<u64> {
        let here = self.pending.iter().filter(|(_, place)| place.segment == segment);
        let mut numbers: Vec<u64> = here.map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn put<K: Hash + Eq>(segments: &mut BTreeMap<u64, Held>, places: &mut HashMap<K, Place>, key: K, place: Place) {
    let held = segments.entry(place.segment).or_default();
    held.count = held.count.saturating_add(1);
    held.live = held.live.saturating_add(place.bytes.into());
    if let Some(old) = places.insert(key, place) {
        release(segments, old);
    }
}

fn take<K: Hash + Eq>(segments: &mut BTreeMap<u64, Held>, places: &mut HashMap<K, Place>, key: &K) {
    if let Some(old) = places.remove(key) {
        release(segments, old);
    }
}

fn release(segments: &mut BTreeMap<u64, Held>, place: Place) {
    if let Some(held) = segments.get_mut(&place.segment) {
        held.count = held.count.saturating_sub(1);
        held.live = held.live.saturating_sub(place.bytes.into());
    }
}
