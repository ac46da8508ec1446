//! [`State`]: what the records of a log come to. Pure; the same record twice, as a copy forward leaves it, changes nothing.

use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

use super::record::{Kept, Record, Target, Told};
use crate::event::Event;

/// What is open, pending and adopted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct State {
    /// Sessions whose closing events nobody has appended.
    pub(crate) open: HashMap<Uuid, Arc<Kept>>,
    /// Notices that are not done with, by number.
    pub(crate) pending: BTreeMap<u64, Pending>,
    /// Orphans that are settled, and when they were.
    pub(crate) adopted: HashMap<Uuid, Timestamp>,
    /// The highest number of a notice so far.
    pub(crate) number: u64,
    /// The highest sequence of an event so far.
    pub(crate) sequence: u64,
}

/// A notice for one URL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pending {
    pub(crate) event: Arc<Event>,
    pub(crate) at: Timestamp,
    pub(crate) target: Target,
}

impl State {
    /// Takes the next record in.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Open(kept) => {
                self.open.insert(kept.opened.session, kept);
            }
            Record::Told(told) => self.tell(told),
            Record::Done(numbers) => {
                for number in numbers {
                    self.number = self.number.max(number);
                    self.pending.remove(&number);
                }
            }
            Record::Forgotten(sessions) => {
                for session in sessions {
                    self.adopted.remove(&session);
                }
            }
        }
    }

    fn tell(&mut self, told: Told) {
        for session in told.closes {
            self.open.remove(&session);
        }
        self.adopted.extend(told.adopts);
        for notice in told.notices {
            self.sequence = self.sequence.max(notice.event.sequence);
            for target in notice.targets {
                self.number = self.number.max(target.number);
                let pending = Pending {
                    event: notice.event.clone(),
                    at: notice.at,
                    target,
                };
                self.pending.insert(pending.target.number, pending);
            }
        }
    }
}
