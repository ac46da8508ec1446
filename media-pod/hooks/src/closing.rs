//! What the hooks do about sessions that are over: tell of them, also of those that an earlier process or another pod had.

use headgate_control::{Durability, HookEvent, Orphan};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use crate::delivery::lane::{Dead, Death, Entry};
use crate::endpoint::{Endpoint, give_up};
use crate::event::Event;
use crate::hooks::Inner;
use crate::log::record::{Notice, Record, Target, Told};
use crate::log::state::{Pending, State};
use crate::opened::{Opened, closings};
use crate::orphans::{Family, families, read};

/// Why this pod makes a closing event of a session that it has not seen end.
#[derive(Clone, Copy, strum::IntoStaticStr)]
pub(crate) enum Cause {
    /// The process died.
    Restart,
    /// The pod is gone.
    Orphan,
}

/// Where a notice goes.
pub(crate) type Way = (Arc<Endpoint>, Entry);

impl Inner {
    /// Tells of an event and of what follows from it. One that ends a session closes it in the ledger in the same step.
    pub(crate) fn tell(&self, event: Event) {
        let ends = matches!(event.kind, HookEvent::Unpublish | HookEvent::Stop | HookEvent::Close);
        let closes = Some(event.session).filter(|session| ends && self.books().is_open(*session));
        let told = Told {
            closes: closes.into_iter().collect(),
            ..Told::default()
        };
        self.append(told, [event]);
    }

    /// Tells one endpoint alone of an event, if it takes it.
    pub(crate) fn tell_to(&self, endpoint: &Arc<Endpoint>, event: Event) {
        let (told, ways) = self.tells(std::slice::from_ref(endpoint), event);
        self.send(told, ways);
    }

    /// What tells those of the endpoints of an event that take it.
    pub(crate) fn tells(&self, endpoints: &[Arc<Endpoint>], mut event: Event) -> (Told, Vec<Way>) {
        let takers: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.takes(&event))
            .cloned()
            .collect();
        if takers.is_empty() {
            return Default::default();
        }
        self.names().share(&mut event);
        let (notice, ways) = self.address(Arc::new(event), &takers);
        let told = Told {
            notices: Some(notice)
                .filter(|notice| !notice.targets.is_empty())
                .into_iter()
                .collect(),
            ..Told::default()
        };
        (told, ways)
    }

    /// Appends events for all that take them: to the log first, so that nothing is done with before it is there.
    fn append(&self, mut told: Told, events: impl IntoIterator<Item = Event>) {
        let mut ways = Vec::new();
        let wanted = |kind| self.wants(kind);
        for mut event in events
            .into_iter()
            .flat_map(|event| event.with_kin(self.sequence(), wanted))
        {
            self.names().share(&mut event);
            let takers = self.takers(&event);
            let (notice, to) = self.address(Arc::new(event), &takers);
            ways.extend(to);
            told.notices
                .extend(Some(notice).filter(|notice| !notice.targets.is_empty()));
        }
        self.send(told, ways);
    }

    fn send(&self, told: Told, ways: Vec<Way>) {
        let books = self.books();
        let place = if told == Told::default() {
            0
        } else {
            books.append(Record::Told(told))
        };
        let push = |(endpoint, entry): Way| {
            endpoint.outbox.push_quietly(entry);
            endpoint
        };
        let told: Vec<Arc<Endpoint>> = ways.into_iter().map(push).collect();
        // Else the log does it. It may have been there before the entry was.
        if books.has_passed(place) {
            for endpoint in told {
                endpoint.outbox.bell().settle();
            }
        }
    }

    fn address(&self, event: Arc<Event>, takers: &[Arc<Endpoint>]) -> (Notice, Vec<Way>) {
        let (at, mut targets, mut ways) = (Timestamp::now(), Vec::new(), Vec::new());
        for endpoint in takers {
            for (url, text) in endpoint.spec().urls.iter().enumerate() {
                let log = self.books().number();
                if endpoint.spec().delivery.durability != Durability::None {
                    targets.push(Target {
                        number: log,
                        endpoint: endpoint.name.clone(),
                        index: url,
                        url: text.clone(),
                        replay: false,
                    });
                }
                let entry = Entry {
                    url,
                    event: event.clone(),
                    log,
                    at,
                    age: Duration::ZERO,
                    replay: false,
                };
                ways.push((endpoint.clone(), entry));
            }
        }
        (Notice { event, at, targets }, ways)
    }

    /// Takes up what an earlier process left, now that it is known to whom it goes: first what it had to send, in its order, then the ends of what it had open.
    pub(crate) fn take_up(&self, left: State) {
        self.sequence().follow(left.sequence);
        for mut pending in left.pending.into_values() {
            if let Some(event) = Arc::get_mut(&mut pending.event) {
                self.names().share(event);
            }
            let endpoint = pending.target.endpoint.clone();
            match self.way(pending) {
                Ok((to, entry)) => to.outbox.push(entry),
                Err(pending) => {
                    give_up(self.context(), &endpoint, gone(&pending));
                    self.books().done(vec![pending.target.number]);
                }
            }
        }
        let mut opened: Vec<&Opened> = left.open.values().map(|kept| &kept.opened).collect();
        opened.sort_unstable_by_key(|opened| (opened.started, opened.session));
        let now = Timestamp::now();
        for event in closings(opened.iter().copied()) {
            let told = Told {
                closes: vec![event.session],
                adopts: vec![(event.session, now)],
                notices: Vec::new(),
            };
            self.append(told, [self.synthesize(event.clone(), Cause::Restart)]);
        }
    }

    /// The endpoint that a notice of a log belongs to: by name, and there by URL, or by the URL that stands in its place.
    pub(crate) fn way(&self, pending: Pending) -> Result<Way, Pending> {
        let Pending { event, at, target } = &pending;
        let endpoints = self.endpoints();
        let found = endpoints.iter().find(|endpoint| endpoint.name == target.endpoint);
        let place = found.and_then(|endpoint| {
            let spec = endpoint.spec();
            let same = spec.urls.iter().position(|url| *url == target.url);
            let url = same.or_else(|| (target.index < spec.urls.len()).then_some(target.index))?;
            let entry = Entry {
                url,
                event: event.clone(),
                log: target.number,
                at: *at,
                age: Duration::try_from(Timestamp::now().duration_since(*at)).unwrap_or_default(),
                replay: target.replay,
            };
            Some((endpoint.clone(), entry))
        });
        place.ok_or(pending)
    }

    fn synthesize(&self, event: Event, cause: Cause) -> Event {
        let labels: [&str; 2] = [event.kind.into(), cause.into()];
        self.books().metrics.synthesized.with_label_values(&labels).inc();
        Event {
            sequence: self.sequence().next(),
            time: Timestamp::now(),
            ..event
        }
    }

    /// See [`crate::Hooks::adopt`].
    pub(crate) fn adopt(&self, orphans: &[Orphan], me: &str) {
        let (books, now) = (self.books(), Timestamp::now());
        let mine: Vec<&Orphan> = orphans.iter().filter(|orphan| orphan.adopter == me).collect();
        let (new, past) = books.adopted.list(&mine, now);
        if !past.is_empty() {
            books.append(Record::Forgotten(past));
        }
        // One that is open here is not over; it has its closing event when it is.
        let new = new.into_iter().filter(|orphan| !books.is_open(orphan.session));
        let opened: Vec<Opened> = new.filter_map(|orphan| self.read_orphan(orphan, now)).collect();
        for family in families(&opened, |session| {
            books.is_open(session) || books.adopted.knows(session)
        }) {
            self.settle_family(family, now);
        }
        self.context().bump();
    }

    fn read_orphan(&self, orphan: &Orphan, now: Timestamp) -> Option<Opened> {
        let books = self.books();
        match read(orphan, books.seal.as_ref()) {
            Ok(opened) => {
                books.metrics.orphans.with_label_values(&["Told"]).inc();
                Some(opened)
            }
            Err(why) => {
                let reason: &str = why.into();
                books.metrics.orphans.with_label_values(&[reason]).inc();
                tracing::warn!(session = %orphan.session, reason, "the end of an orphan can never be told: {why}");
                self.append_settled(Told {
                    adopts: vec![(orphan.session, now)],
                    ..Told::default()
                });
                None
            }
        }
    }

    fn settle_family(&self, family: Family, now: Timestamp) {
        let told = Told {
            adopts: family.settles.iter().map(|session| (*session, now)).collect(),
            ..Told::default()
        };
        for (session, at) in &told.adopts {
            self.books().adopted.settle(*session, *at, false);
        }
        let events: Vec<Event> = family
            .events
            .into_iter()
            .map(|event| self.synthesize(event, Cause::Orphan))
            .collect();
        self.append(told, events);
    }

    fn append_settled(&self, told: Told) {
        for (session, at) in &told.adopts {
            self.books().adopted.settle(*session, *at, false);
        }
        self.books().append(Record::Told(told));
    }

    /// See [`crate::Hooks::adopted`].
    pub(crate) fn adopted(&self) -> Vec<Uuid> {
        self.books().adopted.reported()
    }
}

/// Its endpoint is not there any more.
pub(crate) fn gone(pending: &Pending) -> Dead {
    Dead {
        event: Arc::clone(&pending.event),
        death: Death::EndpointGone,
        url: pending.target.index,
    }
}

pub(crate) fn notice(endpoint: &Endpoint, entry: &Entry) -> Notice {
    let url = endpoint.spec().urls.get(entry.url).cloned().unwrap_or_default();
    Notice {
        event: entry.event.clone(),
        at: entry.at,
        targets: vec![Target {
            number: entry.log,
            endpoint: endpoint.name.clone(),
            index: entry.url,
            url,
            replay: entry.replay,
        }],
    }
}
