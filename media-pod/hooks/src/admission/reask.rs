//! Asking again about publishers and players that are in, where an endpoint wants that. One that is refused then is cut; no answer changes nothing.

use futures::stream::{StreamExt as _, iter};
use headgate_control::HookEvent;
use headgate_hub::{Session, SessionKind};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

use super::Question;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::failure::Cause;
use crate::hooks::Inner;

/// How often it is looked who is due.
const LOOK: Duration = Duration::from_millis(500);
/// Questions of this kind under way at one endpoint; the other places are for those who want in.
const AT_ONCE: usize = 16;

/// Runs until it is dropped.
pub(crate) async fn run(owner: &Weak<Inner>, endpoint: &Arc<Endpoint>) -> Infallible {
    let mut due = Due::default();
    loop {
        let every = Duration::from_secs(endpoint.spec().reask_seconds.into());
        if every.is_zero() {
            due = Due::default();
            endpoint.edited.notified().await;
            continue;
        }
        tokio::time::sleep(LOOK).await;
        let Some(inner) = owner.upgrade() else {
            return std::future::pending().await;
        };
        let sessions = due.take(inner.present(), every, Instant::now());
        let ask = |session: Arc<Session>| ask(&inner, endpoint, session);
        iter(sessions).for_each_concurrent(AT_ONCE, ask).await;
    }
}

async fn ask(inner: &Inner, endpoint: &Arc<Endpoint>, session: Arc<Session>) {
    let kind = match session.kind {
        SessionKind::Publish => HookEvent::Publish,
        SessionKind::Play => HookEvent::Play,
    };
    let event = Event::of_session(kind, &session, None, inner.sequence());
    if !endpoint.takes(&event) {
        return;
    }
    let question = Question {
        stream_key: session.key.clone(),
        again: true,
        ..Question::new(event)
    };
    if let Err(failure) = endpoint.ask_anew(question).await.result
        && failure.cause == Cause::Denied
    {
        tracing::info!(session = %session.id, message = failure.message, "refused when asked again");
        inner.kick(session.id);
    }
}

/// When each session is due at one endpoint.
#[derive(Debug, Default)]
struct Due(HashMap<Uuid, Instant>);

impl Due {
    /// The sessions to ask about now. `present` says since when each is in.
    fn take(&mut self, present: Vec<(Arc<Session>, Instant)>, every: Duration, now: Instant) -> Vec<Arc<Session>> {
        let (mut due, mut next) = (Vec::new(), HashMap::with_capacity(present.len()));
        for (session, since) in present {
            let at = self.0.get(&session.id).copied();
            let last = at.unwrap_or(since);
            let is_due = now.saturating_duration_since(last) >= every;
            next.insert(session.id, if is_due { now } else { last });
            if is_due {
                due.push(session);
            }
        }
        self.0 = next;
        due
    }
}
