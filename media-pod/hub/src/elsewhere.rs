//! What a hub asks of the other hubs that act as one with it, and what it answers them.
//!
//! A name has one publisher in all of them. No pod decides for the others: a newcomer asks each of them, and each answers for itself alone, from
//! what it holds of the name ([`crate::contest`]). One that cannot be reached does not hold a name: better two publishers for the time
//! that pods cannot reach each other than none.

use crate::contest::Answer;
use crate::hub::Inner;
use crate::{Edge, EndReason, Hub, Reason, Refusal, Session, StreamName};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The other hubs.
pub trait Elsewhere: Send + Sync + 'static {
    /// A publisher has its name here and is not yet asked about: does anything elsewhere stand against it? Must bound its own time. With `takeover` a
    /// live publisher is no obstacle.
    fn claim<'a>(&'a self, session: &'a Arc<Session>, takeover: bool) -> BoxFuture<'a, Answer>;
    /// A publisher that may take a name over is in: those it displaced must end. Must bound its own time.
    fn established<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, ()>;
    /// A stream has viewers and no publisher here. Whoever keeps the edge feeds it until [`Edge::over`]. Must not block.
    fn wanted(&self, edge: Edge);
    /// How long it may take to find a wanted stream, before it can be said that nobody has it.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }
}

/// There are no other hubs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Elsewhere for Alone {
    fn claim<'a>(&'a self, _: &'a Arc<Session>, _: bool) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::ready(Answer::Free))
    }

    fn established<'a>(&'a self, _: &'a Arc<Session>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn wanted(&self, _: Edge) {}
}

/// Where an edge's stream comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The publisher's session there.
    pub session: Uuid,
    /// Name of the pod.
    pub pod: Arc<str>,
}

impl Hub {
    /// Answers a claim from elsewhere. A newcomer here that the claim goes before has lost from now on.
    pub fn contend(&self, name: &StreamName, session: Uuid, takeover: bool) -> Answer {
        self.0.registry.lock().contend(name, session, takeover)
    }

    /// A publisher elsewhere, `by`, has taken the name over: the one that it displaced here ends. True when there was one.
    pub fn evict(&self, name: &StreamName, by: Uuid) -> bool {
        let live = self.0.registry.lock().displaced(name, by);
        live.is_some_and(|live| self.0.end(&live, EndReason::TakenOver))
    }

    /// The session of a stream's publisher, when it is here.
    pub fn found(&self, name: &StreamName) -> Option<Uuid> {
        self.0.registry.lock().publisher(name).map(|live| live.session.id)
    }
}

impl Inner {
    /// Asks the others for the name of a newcomer that has it here.
    pub(crate) async fn secure(&self, session: &Arc<Session>, takeover: bool) -> Result<(), Refusal> {
        let answer = self.elsewhere.claim(session, takeover).await;
        if answer == Answer::Free && self.registry.lock().secure(session) {
            return Ok(());
        }
        let message = format!("{} has a publisher already, in another pod", session.name);
        Err(Refusal::new(Reason::NameBusy, message))
    }

    /// Has the others end whom a publisher displaced; it need not wait for that.
    pub(crate) fn evict_elsewhere(self: &Arc<Self>, session: &Arc<Session>) {
        let (hub, session) = (Arc::clone(self), Arc::clone(session));
        self.admissions.spawn(async move {
            hub.elsewhere.established(&session).await;
        });
    }
}
