//! What the hooks tell and ask about streams and about the server itself.

use headgate_codec::Track;
use headgate_control::HookEvent;
use headgate_hub::{FileRequest, Refusal, Session, Treatment};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::admission::Question;
use crate::dialect::Reply;
use crate::event::transport::{PLAYED, Schema};
use crate::event::{Details, Event, NewSegment};
use crate::hooks::{Hooks, Inner};

/// How long the end of a server waits for what is to be told before it.
const BEFORE_THE_END: Duration = Duration::from_secs(2);
/// What is told of a segment.
const SEGMENT: [HookEvent; 2] = [HookEvent::Hls, HookEvent::RecordTs];

impl Hooks {
    /// Tells that a publisher's stream can be played from now on. Once for each, between [`Hooks::publish`] and [`Hooks::unpublish`]. Returns
    /// at once.
    pub fn playable(&self, publisher: &Session, tracks: &[Track]) {
        let inner = self.inner();
        let (without, name) = {
            let mut open = inner.open.lock();
            let entry = open.entry(publisher.id).or_default();
            entry.playable = true;
            (entry.options.without(), entry.options.played_as().map(Arc::from))
        };
        let segmented = !without.contains(&Schema::Hls);
        for schema in PLAYED.into_iter().filter(|schema| !without.contains(schema)) {
            let how = (schema, segmented);
            let event = Event::registered(publisher, how, tracks, inner.sequence());
            inner.tell(event.under(name.as_ref()));
        }
    }

    /// Whether anybody wants to hear of segments at all.
    pub fn wants_segments(&self) -> bool {
        SEGMENT.into_iter().any(|kind| self.inner().wants(kind))
    }

    /// Whether anybody wants to hear of the segments of this publisher's stream, and it is to be had as such. Nobody does once its end was told.
    pub fn follows_segments(&self, publisher: &Session) -> bool {
        let inner = self.inner();
        let Some(without) = inner.open.lock().get(&publisher.id).map(|open| open.options.without()) else {
            return false;
        };
        let name = inner.played_as(publisher);
        let is_taken = |kind| {
            let event = Event::of_session(kind, publisher, None, inner.sequence());
            !inner.takers(&event.under(name.as_ref())).is_empty()
        };
        let offered = !without.contains(&Schema::Hls);
        offered && SEGMENT.into_iter().any(is_taken)
    }

    /// Tells that a segment of a publisher's stream is whole. Returns at once.
    pub fn segment(&self, publisher: &Session, segment: &NewSegment) {
        let inner = self.inner();
        let name = inner.played_as(publisher);
        for kind in SEGMENT {
            let event = Event::of_segment(kind, publisher, segment, inner.sequence());
            inner.tell(event.under(name.as_ref()));
        }
    }

    /// How the stream of a publisher that was let in is to be treated, by what the back ends answered.
    pub fn treatment(&self, publisher: &Session) -> Treatment {
        let open = self.inner().open.lock();
        open.get(&publisher.id)
            .map(|open| open.options.treatment())
            .unwrap_or_default()
    }

    /// Asks where the stream of a publisher that was let in is to be pushed. Without an answer nowhere.
    pub async fn forwards(&self, publisher: &Session) -> Vec<String> {
        let inner = self.inner();
        if !inner.wants(HookEvent::Forward) {
            return Vec::new();
        }
        let event = Event::of_session(HookEvent::Forward, publisher, None, inner.sequence());
        let replies = inner.query(&event).await;
        replies
            .into_iter()
            .filter_map(|reply| reply.forward)
            .flatten()
            .collect()
    }

    /// Whether [`Hooks::file`] would ask anybody.
    pub fn guards_files(&self) -> bool {
        self.inner().wants(HookEvent::HttpAccess)
    }

    /// Asks whether a file may be had over HTTP: of each client once for what its answer is about, and for as long as that holds.
    pub async fn file(&self, request: &FileRequest) -> Result<(), Refusal> {
        let inner = self.inner();
        let question = Question {
            visitor: request.visitor.clone(),
            ..Question::new(Event::of_file(request, inner.sequence()))
        };
        inner.decide(&question).await.map(|_| ())
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
        let event = Event::none_reader(publisher, inner.sequence()).under(inner.played_as(publisher).as_ref());
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

    /// Tells that the server ends in peace. Behind it comes nothing: what is pending is told first, as far as that is quick.
    pub async fn server_exited(&self) {
        if self.inner().wants(HookEvent::ServerExited) {
            self.flush(BEFORE_THE_END).await;
        }
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
    /// The name that a publisher's stream has, where it is another than it asked for.
    fn played_as(&self, publisher: &Session) -> Option<Arc<str>> {
        let open = self.open.lock();
        open.get(&publisher.id)?.options.played_as().map(Arc::from)
    }

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
