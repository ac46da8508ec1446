//! [`PodGate`]: what every session passes: the stream keys of the config in force, then the back ends that are asked.
//!
//! A new policy is in force for the next session. Who is in stays in, unless the StreamKey that let it in is taken away from it: see
//! [`KeyRing::lets_stay`].

use crate::keys::{Ask, KeyRing};
use crate::segments::Followed;
use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use headgate_codec::Track;
use headgate_hooks::Hooks;
use headgate_hub::{
    Connection, EndReason, FileRequest, Forward, Gate, Permit, Refusal, Request, Session, SessionKind, StreamName,
    Traffic, Treatment,
};
use jiff::Timestamp;
use std::sync::{Arc, OnceLock};

/// What is checked here, without asking anyone.
#[derive(Debug)]
pub struct Policy {
    /// The keys.
    pub keys: KeyRing,
    /// A second publisher of a name cuts the first.
    pub takeover: bool,
}

/// The gate of this process.
pub struct PodGate {
    policy: ArcSwap<Policy>,
    hooks: Hooks,
    /// Publishers whose segments are told.
    followed: Arc<Followed>,
    /// Pushes streams to where back ends say.
    forward: OnceLock<Arc<dyn Forward>>,
}

impl PodGate {
    /// Starts with `policy`.
    pub(crate) fn new(policy: Policy, hooks: Hooks, followed: Arc<Followed>) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            hooks,
            followed,
            forward: OnceLock::new(),
        }
    }

    /// Says who pushes streams to where back ends say (`on_forward`); nobody is asked before. The first one counts.
    pub fn forward_by(&self, forward: Arc<dyn Forward>) {
        let _ = self.forward.set(forward);
    }

    /// Lets a publisher in, and has its stream pushed to where back ends want it. What they want in vain keeps nobody out.
    async fn publish(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        self.hooks.publish(session).await?;
        let Some(forward) = self.forward.get() else {
            return Ok(());
        };
        let urls = self.hooks.forwards(session).await;
        let played = self.played(session);
        if !urls.is_empty()
            && let Err(refusal) = forward.forward(&played, &urls)
        {
            tracing::warn!(session = %session.id, reason = %refusal.reason, message = %refusal.message, "not pushed on");
        }
        Ok(())
    }

    /// The session as its stream is known, whose name a back end may have changed.
    fn played(&self, session: &Arc<Session>) -> Arc<Session> {
        let Some(stream) = self.hooks.treatment(session).played_as else {
            return Arc::clone(session);
        };
        let name = StreamName {
            stream,
            ..session.name.clone()
        };
        Arc::new(Session {
            name,
            ..Session::clone(session)
        })
    }

    /// Whether a session that is in may stay, by the policy in force.
    pub fn lets_stay(&self, session: &Session) -> bool {
        self.policy.load().keys.lets_stay(session)
    }

    /// Puts `policy` in force for the next session.
    pub fn set(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }
}

impl Gate for PodGate {
    fn check(&self, request: &Request) -> Result<Permit, Refusal> {
        self.policy.load().check(request, Timestamp::now())
    }

    fn connect<'a>(&'a self, connection: &'a Arc<Connection>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.hooks.connect(connection))
    }

    fn admit<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, Result<(), Refusal>> {
        match session.kind {
            SessionKind::Publish => Box::pin(self.publish(session)),
            SessionKind::Play => Box::pin(self.hooks.play(session)),
        }
    }

    fn treatment(&self, publisher: &Session) -> Treatment {
        self.hooks.treatment(publisher)
    }

    fn guards_files(&self) -> bool {
        self.hooks.guards_files()
    }

    fn file<'a>(&'a self, request: &'a FileRequest) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.hooks.file(request))
    }

    fn playable(&self, session: &Arc<Session>, tracks: &[Track]) {
        self.hooks.playable(session, tracks);
    }

    fn missing<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, bool> {
        Box::pin(self.hooks.missing(session))
    }

    fn ended(&self, session: &Arc<Session>, _: EndReason, traffic: Traffic) {
        match session.kind {
            SessionKind::Publish => {
                self.followed.end(&self.hooks, session);
                self.hooks.unpublish(session, traffic);
            }
            SessionKind::Play => self.hooks.stop(session, traffic),
        }
    }

    fn closed(&self, connection: &Arc<Connection>, traffic: Traffic) {
        self.hooks.close(connection, traffic);
    }
}

impl Policy {
    fn check(&self, request: &Request, now: Timestamp) -> Result<Permit, Refusal> {
        let (name, connection) = (&request.name, &request.connection);
        let granted = self.keys.check(&Ask {
            kind: request.kind,
            vhost: &name.vhost,
            app: &name.app,
            stream: &name.stream,
            param: &request.param,
            address: connection.peer.ip(),
            now,
        })?;
        let clean_url = self.keys.scrub(&connection.tc_url);
        Ok(Permit {
            name: StreamName {
                stream: granted.stream.into(),
                ..name.clone()
            },
            param: granted.param,
            tc_url: (clean_url != connection.tc_url).then_some(clean_url),
            key: granted.key,
            takeover: self.takeover,
            key_publishers_max: granted.publishers_max,
        })
    }
}
