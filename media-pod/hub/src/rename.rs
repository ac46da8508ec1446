//! A publisher whose stream is to be had under another name than the one that it asked for: its session keeps the name, the stream has the other.

use crate::client::Link;
use crate::contest::Answer;
use crate::hub::Inner;
use crate::live::Live;
use crate::registry::Registry;
use crate::{EndReason, Reason, Refusal, Session, SessionKind, StreamName, Traffic};
use std::sync::Arc;

impl Link {
    /// Gives a publisher that was just let in the name that the gate wants for its stream. With it comes the session as others are to know it. The gate
    /// hears of the end of one whose name cannot be had.
    pub(crate) async fn renamed(&self, live: Arc<Live>, takeover: bool) -> Result<(Arc<Live>, Arc<Session>), Refusal> {
        let (hub, session) = (self.hub(), Arc::clone(&live.session));
        let wanted = match session.kind {
            SessionKind::Publish => hub.gate.treatment(&session).played_as,
            SessionKind::Play => None,
        };
        let Some(wanted) = wanted.filter(|wanted| **wanted != *session.name.stream) else {
            return Ok((live, session));
        };
        let renamed = hub.rename(&session, &wanted, takeover).await;
        if let Err(refusal) = &renamed {
            tracing::info!(session = %session.id, stream = %session.name, %wanted, %refusal, "the name that its stream was to have cannot be had");
            hub.tell_ended(&session, EndReason::RenameFailed, Traffic::default());
        }
        renamed.map(|(stream, known)| (stream.unwrap_or(live), known))
    }
}

impl Inner {
    /// The publisher with its new stream; none where it left meanwhile, which its establishing finds.
    async fn rename(
        &self,
        session: &Arc<Session>,
        wanted: &str,
        takeover: bool,
    ) -> Result<(Option<Arc<Live>>, Arc<Session>), Refusal> {
        let name = StreamName::parse(&session.name.vhost, &session.name.app, wanted)?;
        let stream = self.registry.lock().rename(session, &name, takeover)?;
        let known = Arc::new(Session {
            name,
            ..Session::clone(session)
        });
        let Some(stream) = stream else { return Ok((None, known)) };
        let answer = self.elsewhere.claim(&known, takeover).await;
        if answer != Answer::Free || !self.registry.lock().secure(session) {
            let message = format!("{} has a publisher already, in another pod", known.name);
            return Err(Refusal::new(Reason::NameBusy, message));
        }
        Ok((Some(Arc::new(Live::new(Arc::clone(session), stream))), known))
    }
}

impl Registry {
    /// The name that the stream of a session has.
    pub(crate) fn place(&self, session: &Session) -> StreamName {
        self.renamed.get(&session.id).unwrap_or(&session.name).clone()
    }
}
