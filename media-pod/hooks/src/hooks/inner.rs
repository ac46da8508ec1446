//! [`Inner`]: what the parts of the hooks have of each other.

use headgate_control::{HookEndpoint, HookEvent};
use headgate_hub::{Refusal, Session};
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Attached, Inner};
use crate::admission::{Question, reask};
use crate::beat;
use crate::books::{Books, GiveUp};
use crate::delivery::worker;
use crate::endpoint::{Context, Endpoint};
use crate::event::{Event, Sequence};
use crate::identity::{Origin, connection_session};
use crate::intern::Interner;
use crate::opened::Opened;
use crate::probe;
use crate::replay;

impl Inner {
    pub(crate) fn books(&self) -> &Books {
        &self.context.books
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn sequence(&self) -> &Sequence {
        &self.context.sequence
    }

    pub(crate) fn names(&self) -> &Interner {
        &self.names
    }

    pub(super) async fn admit(&self, kind: HookEvent, session: &Arc<Session>) -> Result<(), Refusal> {
        let question = Question {
            stream_key: session.key.clone(),
            ..Question::new(Event::of_session(kind, session, None, self.sequence()))
        };
        let admitted = self.decide(&question).await?;
        let on = &session.connection;
        let connected = self
            .books()
            .is_open(connection_session(&on.client_id, on.started.as_microsecond()));
        let opened = Opened::of_session(session, connected, admitted.options.played_as(), self.sequence());
        self.enter(opened, &question, &admitted.unasked).await;
        let mut open = self.open.lock();
        let entry = open.entry(session.id).or_default();
        entry.session = Some((Arc::clone(session), Instant::now()));
        entry.options = admitted.options;
        Ok(())
    }

    /// The sessions that are in, and since when.
    pub(crate) fn present(&self) -> Vec<(Arc<Session>, Instant)> {
        self.open
            .lock()
            .values()
            .filter_map(|open| open.session.clone())
            .collect()
    }

    pub(crate) fn kick(&self, session: Uuid) {
        if let Some(kick) = self.kicker.get() {
            kick(session);
        }
    }

    /// Writes into the ledger what may have to be told by another process, in the name of this one, and tells those of it who let it in without being asked.
    pub(super) async fn enter(&self, mut opened: Opened, question: &Question, unasked: &[Arc<Endpoint>]) {
        let origin = || Some(Box::new(Origin::clone(&self.context.origin.load())));
        opened.closing.origin = origin();
        if let Some(close) = &mut opened.connection {
            close.origin = origin();
        }
        let (told, ways) = if unasked.is_empty() {
            Default::default()
        } else {
            self.tells(unasked, Event::clone(&question.event))
        };
        self.books().enter(opened, told).await;
        for (endpoint, entry) in ways {
            endpoint.outbox.push(entry);
        }
    }

    /// All endpoints, in order.
    pub(crate) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.attached
            .load()
            .iter()
            .map(|attached| attached.endpoint.clone())
            .collect()
    }

    pub(super) fn attach(&self, spec: &HookEndpoint) -> Attached {
        let endpoint = Arc::new(Endpoint::new(spec, self.context.clone(), &*self.transports));
        let me = self.me.get().cloned().unwrap_or_default();
        let worker = tokio::spawn(work(me, endpoint.clone()));
        Attached {
            endpoint,
            worker: Arc::new(AbortOnDropHandle::new(worker)),
        }
    }

    /// Whether any endpoint asks for events of this kind, of whatever stream.
    pub(crate) fn wants(&self, kind: HookEvent) -> bool {
        let attached = self.attached.load();
        attached.iter().any(|attached| attached.endpoint.wants(kind))
    }

    pub(crate) fn takers(&self, event: &Event) -> Vec<Arc<Endpoint>> {
        let attached = self.attached.load();
        let takes = |attached: &&Attached| attached.endpoint.takes(event);
        attached
            .iter()
            .filter(takes)
            .map(|attached| attached.endpoint.clone())
            .collect()
    }
}

impl GiveUp for Inner {
    fn give_up(&self, numbers: &[u64]) {
        let numbers: HashSet<u64> = numbers.iter().copied().collect();
        for endpoint in self.endpoints() {
            endpoint.outbox.overflow(&numbers);
        }
    }
}

/// All that is done for an endpoint without being asked; ends with its task.
async fn work(owner: Weak<Inner>, endpoint: Arc<Endpoint>) {
    tokio::select! {
        () = worker::run(endpoint.clone()) => {}
        never = probe::run(&endpoint) => match never {},
        never = beat::run(&endpoint) => match never {},
        never = replay::run(&endpoint) => match never {},
        never = reask::run(&owner, &endpoint) => match never {},
    }
}
