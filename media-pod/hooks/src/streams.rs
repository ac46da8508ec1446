//! What the hooks tell and ask about streams and about the server itself.

use headgate_codec::Track;
use headgate_control::HookEvent;
use headgate_hub::Session;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dialect::Reply;
use crate::event::transport::PLAYED;
use crate::event::{Details, Event};
use crate::hooks::{Hooks, Inner};

impl Hooks {
    /// Tells that a publisher's stream can be played from now on. Once for each, between [`Hooks::publish`] and [`Hooks::unpublish`]. Returns
    /// at once.
    pub fn playable(&self, publisher: &Session, tracks: &[Track]) {
        let inner = self.inner();
        inner.open.lock().entry(publisher.id).or_default().playable = true;
        for schema in PLAYED {
            inner.tell(Event::registered(publisher, schema, tracks, inner.sequence()));
        }
    }

    /// Asks what to do with a player that waits for a stream that nobody publishes. True sends it away.
    pub async fn missing(&self, player: &Session) -> bool {
        let inner = self.inner();
        let event = Event::of_session(HookEvent::StreamNotFound, player, None, inner.sequence());
        inner.query(&event).await.iter().any(|reply| reply.close)
    }

    /// Asks what to do with a stream that nobody plays. True ends its publisher; so does the `auto_close` that its `on_publish` was answered
    /// with, whatever is answered now.
    pub async fn unwatched(&self, publisher: &Session) -> bool {
        let inner = self.inner();
        let auto_close = inner.closes_unwatched(publisher);
        let event = Event::none_reader(publisher, inner.sequence());
        let replies = inner.query(&event).await;
        auto_close || replies.iter().any(|reply| reply.close)
    }

    /// Whether [`Hooks::unwatched`] would ask anybody or end anything, so that it is worth looking for such streams.
    pub fn cares_for_unwatched(&self) -> bool {
        let inner = self.inner();
        inner.wants(HookEvent::StreamNoneReader)
            || inner
                .open
                .lock()
                .values()
                .any(|open| open.options.auto_close == Some(true))
    }

    /// Tells that the server has started. `settings` hold no secret.
    pub fn server_started(&self, settings: BTreeMap<String, String>) {
        self.tell_of_server(HookEvent::ServerStarted, Details::ServerStarted { settings });
    }

    /// Tells that the server ends in peace. Behind it comes nothing.
    pub fn server_exited(&self) {
        self.tell_of_server(HookEvent::ServerExited, Details::None);
    }

    /// What a keepalive says there is how many of.
    pub fn count_by(&self, counters: impl Fn() -> BTreeMap<String, u64> + Send + Sync + 'static) {
        self.inner().context().count_by(Arc::new(counters));
    }

    fn tell_of_server(&self, kind: HookEvent, details: Details) {
        let inner = self.inner();
        inner.tell(Event::of_server(kind, details, inner.sequence()));
    }
}

impl Inner {
    fn closes_unwatched(&self, publisher: &Session) -> bool {
        let open = self.open.lock();
        open.get(&publisher.id)
            .is_some_and(|open| open.options.auto_close == Some(true))
    }

    async fn query(&self, event: &Event) -> Vec<Reply> {
        let mut replies = Vec::new();
        for endpoint in self.takers(event) {
            replies.extend(endpoint.query(event).await);
        }
        replies
    }
}
