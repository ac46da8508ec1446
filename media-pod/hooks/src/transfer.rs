//! What is not delivered when a pod ends goes to another one, which tells it in the name of the first.

use std::collections::HashSet;
use std::sync::Arc;

use crate::closing::{Way, gone, notice};
use crate::endpoint::give_up;
use crate::event::Event;
use crate::handover::{HANDOVER_MAX, HandoverRecord, TakeOverError, VERSION};
use crate::hooks::Inner;
use crate::identity::Origin;
use crate::log::record::{Record, Told};
use crate::log::state::Pending;

/// Notices in one record of what was taken over.
const PART: usize = 64;

impl Inner {
    /// See [`crate::Hooks::hand_over`].
    pub(crate) fn hand_over(&self) -> Vec<HandoverRecord> {
        let mut records = Vec::new();
        for endpoint in self.endpoints() {
            endpoint.outbox.hold();
            let urls = endpoint.spec().urls.clone();
            for entry in endpoint.outbox.entries(HANDOVER_MAX) {
                records.push(HandoverRecord {
                    version: VERSION,
                    endpoint: endpoint.name.clone(),
                    index: entry.url,
                    url: urls.get(entry.url).cloned().unwrap_or_default(),
                    at: entry.at,
                    event: self.in_my_name(entry.event),
                    replay: entry.replay,
                    number: entry.log,
                });
            }
        }
        records.sort_unstable_by_key(|record| record.number);
        records.truncate(HANDOVER_MAX);
        records
    }

    /// Another pod tells it as if this one did.
    pub(crate) fn in_my_name(&self, event: Arc<Event>) -> Arc<Event> {
        if event.origin.is_some() {
            return event;
        }
        let origin = Some(Box::new(Origin::clone(&self.context().origin.load())));
        let event = Event::clone(&event);
        Arc::new(Event { origin, ..event })
    }

    /// See [`crate::Hooks::handed_over`].
    pub(crate) async fn handed_over(&self, records: &[HandoverRecord]) {
        let numbers: HashSet<u64> = records.iter().map(|record| record.number).collect();
        for endpoint in self.endpoints() {
            endpoint.outbox.handed_over(&numbers);
        }
        self.count_handover("out", records.len());
        self.written().await;
    }

    /// Waits, in bounded time, until all that is on its way to the log is written.
    pub(crate) async fn written(&self) {
        self.books().append_durably([Record::Done(Vec::new())]).await;
    }

    /// See [`crate::Hooks::take_over`].
    pub(crate) async fn take_over(&self, records: Vec<HandoverRecord>) -> Result<(), TakeOverError> {
        if let Some(odd) = records.iter().find(|record| record.version != VERSION) {
            return Err(TakeOverError::UnknownVersion(odd.version));
        }
        let (mut ways, mut names) = (Vec::new(), Vec::new());
        for record in records {
            let name = record.name();
            if self.books().taken_over.lock().insert(name) {
                names.push(name);
                ways.extend(self.accept(record));
            }
        }
        if !self.write_down(&ways).await {
            let mut taken_over = self.books().taken_over.lock();
            for name in names {
                taken_over.forget(name);
            }
            return Err(TakeOverError::NotDurable);
        }
        self.count_handover("in", ways.len());
        for (endpoint, entry) in ways {
            endpoint.outbox.push(entry);
        }
        Ok(())
    }

    /// Writes what was taken over, in parts that are no more than one write each. False, and none of it stays, when that fails.
    async fn write_down(&self, ways: &[Way]) -> bool {
        for part in ways.chunks(PART) {
            let told = Told {
                notices: part.iter().map(|(endpoint, entry)| notice(endpoint, entry)).collect(),
                ..Told::default()
            };
            if !self.books().append_durably([Record::Told(told)]).await {
                self.books().done(ways.iter().map(|(_, entry)| entry.log).collect());
                return false;
            }
        }
        true
    }

    /// Where a record that came goes. Nowhere when it is there already, or when its endpoint is gone: then it is dead, and counted.
    fn accept(&self, record: HandoverRecord) -> Option<Way> {
        let target = record.target(self.books().number());
        let pending = Pending {
            event: record.event,
            at: record.at,
            target,
        };
        match self.way(pending) {
            Ok((endpoint, entry)) => {
                let known = endpoint.outbox.contains(entry.url, &entry.event);
                (!known).then_some((endpoint, entry))
            }
            Err(pending) => {
                give_up(self.context(), &pending.target.endpoint, gone(&pending));
                None
            }
        }
    }

    fn count_handover(&self, direction: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.books()
            .metrics
            .handed_over
            .with_label_values(&[direction])
            .inc_by(count);
    }
}
