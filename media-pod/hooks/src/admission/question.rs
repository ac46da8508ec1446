//! [`Question`]: what is asked about whom, by what it is known again, and how long its answer is kept.

use aws_lc_rs::digest::{Context, SHA256};
use headgate_control::{EventClass, HookEndpoint, HookEvent};
use headgate_hub::Visitor;
use std::sync::Arc;
use std::time::Duration;

use super::cache::Key;
use crate::dialect::Reply;
use crate::event::transport::{Carrier, Schema};
use crate::event::{Details, Event};

/// How long a yes about an HLS viewer is kept where nobody says.
const HLS_ALLOW: Duration = Duration::from_mins(10);
/// How long a no about a player over HTTP is kept where nobody says.
const HTTP_DENY: Duration = Duration::from_secs(2);
/// No decision is kept for longer.
const KEPT_MAX: Duration = Duration::from_hours(24);
/// Folders above a path that are looked at for a decision that holds below them.
const FOLDERS_MAX: usize = 16;

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) event: Arc<Event>,
    /// Name of the StreamKey that opened the door.
    pub(crate) stream_key: Option<Arc<str>>,
    /// What tells a client that asks for files from others, where it has such a thing. It cannot choose it.
    pub(crate) visitor: Option<Visitor>,
    /// It was asked before, and the client is in: what is kept is not asked for.
    pub(crate) again: bool,
}

/// How the client came, as far as decisions about it are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over a connection of its own that is the session.
    Connection,
    /// As one long HTTP answer or WebSocket.
    Http,
    /// In many HTTP requests.
    Requests,
}

impl Question {
    pub(crate) fn new(event: Event) -> Self {
        Self {
            event: Arc::new(event),
            stream_key: None,
            visitor: None,
            again: false,
        }
    }

    pub(crate) fn way(&self) -> Way {
        let client = &self.event.client;
        match (self.event.kind, client.schema, client.carrier) {
            (HookEvent::HttpAccess, ..) | (HookEvent::Play, Schema::Hls | Schema::HlsFmp4, _) => Way::Requests,
            (HookEvent::Play, _, Carrier::Http | Carrier::Https | Carrier::Ws | Carrier::Wss) => Way::Http,
            _ => Way::Connection,
        }
    }

    /// Whether identical questions may be under way at once, so that one call will do for them.
    pub(crate) fn may_repeat(&self, spec: &HookEndpoint) -> bool {
        !self.again && (self.way() == Way::Requests || spec.cache.allow_seconds.is_some_and(|seconds| seconds > 0))
    }

    /// What a decision is kept under that holds below `path`, about a client that is known by its query and address.
    pub(crate) fn key(&self, path: &str) -> Key {
        self.key_of([&self.event.param, &self.event.client.ip.to_string()], path)
    }

    /// The same about one that is known by `who`. No query is a visitor's word: it begins with a question mark.
    fn key_of(&self, who: [&str; 2], path: &str) -> Key {
        let (event, stream) = (&self.event, &self.event.stream);
        let kind: &str = event.kind.into();
        let of_file = matches!(event.details, Details::HttpAccess(_));
        let name = if of_file { "" } else { &stream.name };
        let app = if of_file { "" } else { &stream.app };
        let [client, beside] = who;
        let mut hash = Context::new(&SHA256);
        for part in [kind, &stream.vhost, app, name, client, beside, path] {
            hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut key = Key::default();
        key.iter_mut()
            .zip(hash.finish().as_ref())
            .for_each(|(to, from)| *to = *from);
        key
    }

    /// Everything that a kept decision about this may be under.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let Details::HttpAccess(access) = &self.event.details else {
            return vec![self.key("")];
        };
        let path = access.path.as_str();
        let folders = path.rmatch_indices('/').filter_map(|(at, _)| path.get(..=at));
        let places = std::iter::once(path).chain(folders).take(FOLDERS_MAX);
        places.flat_map(|place| self.keys_at(place)).collect()
    }

    /// What decisions about it at a place are under. A visitor's yes holds with any query, its no with the same one.
    fn keys_at(&self, place: &str) -> Vec<Key> {
        match &self.visitor {
            Some(Visitor { word, is_new: false }) => {
                vec![
                    self.key_of([word, ""], place),
                    self.key_of([word, &self.event.param], place),
                ]
            }
            _ => vec![self.key(place)],
        }
    }

    /// What a decision is to be kept under: about a file below the path of the answer, else below its folder. A yes to one who is a visitor from now on
    /// is found by its word too, and it is found without where the client keeps no cookies.
    pub(crate) fn kept_under(&self, allowed: bool, path: Option<&str>) -> Vec<Key> {
        let place = self.place(path);
        match (&self.visitor, self.keys_at(place).as_slice()) {
            (Some(visitor), [known]) if allowed => vec![*known, self.key_of([&visitor.word, ""], place)],
            (_, [yes, _]) if allowed => vec![*yes],
            (_, [_, no]) => vec![*no],
            (_, keys) => keys.to_vec(),
        }
    }

    /// All that a decision about it may be under now that this one stands in its place.
    pub(crate) fn outdated(&self, path: Option<&str>) -> Vec<Key> {
        self.keys_at(self.place(path))
    }

    /// Below what a decision holds.
    fn place<'a>(&'a self, path: Option<&'a str>) -> &'a str {
        let Details::HttpAccess(access) = &self.event.details else {
            return "";
        };
        let folder = access.path.rfind('/').and_then(|at| access.path.get(..=at));
        path.or(folder).unwrap_or("/")
    }

    /// What a call is known under while it is under way: for a file by its folder.
    pub(crate) fn flight(&self) -> Key {
        let known = |keys: Vec<Key>| keys.last().copied().unwrap_or_default();
        match self.port() {
            Some(port) => self.key(&format!(":{port}")),
            None => known(self.keys_at(self.place(None))),
        }
    }

    /// The client's port, where nothing else tells it from others behind its address. Who asks for a file knows a name that is told to viewers only.
    pub(crate) fn port(&self) -> Option<u16> {
        let of_file = self.event.kind == HookEvent::HttpAccess;
        let known = of_file || !self.event.param.is_empty();
        (!known && self.way() != Way::Connection).then_some(self.event.client.port)
    }

    /// For how long an answer holds, and for how long after that it may stand in for one that does not come.
    pub(crate) fn keeps(&self, allowed: bool, spec: &HookEndpoint, reply: &Reply) -> (Duration, Duration) {
        let way = self.way();
        let asked_for = if allowed {
            spec.cache.allow_seconds
        } else {
            spec.cache.deny_seconds
        };
        let usual = match (allowed, way) {
            (true, Way::Requests) => HLS_ALLOW,
            (false, Way::Requests | Way::Http) => HTTP_DENY,
            _ => Duration::ZERO,
        };
        let by_spec = asked_for.map(|seconds| Duration::from_secs(seconds.into()));
        let on = way != Way::Connection || by_spec.is_some();
        let by_answer = reply.ttl.or(reply.max_age.filter(|_| on));
        let fresh = by_answer.or(by_spec).unwrap_or(usual).min(KEPT_MAX);
        let stands_in = spec.failure_policy.is_cached() && self.event.kind.class() == EventClass::Admission;
        let stale = if stands_in {
            Duration::from_secs(spec.cache.stale_seconds.into())
        } else {
            Duration::ZERO
        };
        (fresh, stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::HttpAccess;
    use crate::testing::{self, endpoint};
    use headgate_control::{CachePolicy, FailurePolicy};

    fn question(kind: HookEvent, schema: Schema, carrier: Carrier) -> Question {
        let mut event = testing::event(kind, "alice");
        (event.client.schema, event.client.carrier) = (schema, carrier);
        Question::new(event)
    }

    fn rtmp(kind: HookEvent) -> Question {
        question(kind, Schema::Rtmp, Carrier::Rtmp)
    }

    fn hls() -> Question {
        question(HookEvent::Play, Schema::Hls, Carrier::Hls)
    }

    fn flv() -> Question {
        question(HookEvent::Play, Schema::Rtmp, Carrier::Http)
    }

    fn says(ttl: Option<u64>, max_age: Option<u64>) -> Reply {
        Reply {
            ttl: ttl.map(Duration::from_secs),
            max_age: max_age.map(Duration::from_secs),
            ..Reply::default()
        }
    }

    fn policy(allow_seconds: Option<u32>, deny_seconds: Option<u32>) -> HookEndpoint {
        let cache = CachePolicy {
            allow_seconds,
            deny_seconds,
            ..CachePolicy::default()
        };
        HookEndpoint { cache, ..endpoint() }
    }

    #[test]
    fn an_answer_holds_as_long_as_it_says_or_as_the_spec_says_or_as_is_usual() {
        let (none, spec) = (policy(None, None), policy(Some(30), Some(40)));
        let publish = || rtmp(HookEvent::Publish);
        let play = || rtmp(HookEvent::Play);
        let table = [
            (publish(), &none, says(None, None), (0, 0)),
            (publish(), &none, says(None, Some(60)), (0, 0)),
            (publish(), &none, says(Some(60), None), (60, 60)),
            (publish(), &spec, says(None, None), (30, 40)),
            (publish(), &spec, says(None, Some(60)), (60, 60)),
            (publish(), &spec, says(Some(0), Some(60)), (0, 0)),
            (play(), &none, says(None, Some(60)), (0, 0)),
            (flv(), &none, says(None, None), (0, 2)),
            (flv(), &none, says(None, Some(60)), (60, 60)),
            (hls(), &none, says(None, None), (600, 2)),
            (hls(), &none, says(None, Some(0)), (0, 0)),
            (hls(), &spec, says(None, None), (30, 40)),
            (hls(), &spec, says(Some(1_000_000), None), (86_400, 86_400)),
        ];
        for (question, spec, reply, (allow, deny)) in table {
            let fresh = [true, false].map(|allowed| question.keeps(allowed, spec, &reply).0.as_secs());
            assert_eq!(fresh, [allow, deny], "{:?} {reply:?}", question.way());
        }
    }

    #[test]
    fn only_a_policy_that_asks_for_it_makes_old_answers_stand_in() {
        let table = [
            (FailurePolicy::Fail, 0),
            (FailurePolicy::Ignore, 0),
            (FailurePolicy::CachedOrFail, 300),
            (FailurePolicy::CachedOrIgnore, 300),
        ];
        for (failure_policy, seconds) in table {
            let spec = HookEndpoint {
                failure_policy,
                ..endpoint()
            };
            let (_, stale) = rtmp(HookEvent::Publish).keeps(true, &spec, &Reply::default());
            assert_eq!(stale.as_secs(), seconds);
        }
    }

    #[test]
    fn a_question_is_known_by_what_is_asked_for_and_by_whom() {
        let changed = |change: fn(&mut Event)| {
            let mut event = Event::clone(&hls().event);
            change(&mut event);
            Question::new(event).key("")
        };
        let same = hls().key("");
        assert_eq!(same, changed(|event| event.client.port = 1));
        assert_eq!(same, changed(|event| event.client.id = "other".into()));
        assert_ne!(same, changed(|event| event.client.ip = [10, 0, 0, 1].into()));
        assert_ne!(same, changed(|event| event.param = "?token=abd".into()));
        assert_ne!(same, changed(|event| event.stream.name = "bob".into()));
        assert_ne!(same, changed(|event| event.kind = HookEvent::Publish));
        assert_ne!(
            changed(|event| (event.stream.app, event.stream.name) = ("ab".into(), "c".into())),
            changed(|event| (event.stream.app, event.stream.name) = ("a".into(), "bc".into()))
        );
    }

    #[test]
    fn a_viewer_without_a_query_is_told_from_others_of_its_address_by_its_port() {
        let mut event = Event::clone(&hls().event);
        event.param = Box::default();
        let question = Question::new(event);
        assert_eq!(question.port(), Some(question.event.client.port));
        assert_eq!(hls().port(), None);
    }

    #[test]
    fn a_decision_about_a_file_holds_below_its_folder_or_below_the_path_of_the_answer() {
        let of = |path: &str| {
            let mut event = testing::event(HookEvent::HttpAccess, "");
            event.details = Details::HttpAccess(Box::new(HttpAccess {
                path: path.into(),
                ..HttpAccess::default()
            }));
            Question::new(event)
        };
        let put = of("/live/alice/1.ts");
        let found = |path: &str, under: Option<&str>| of(path).keys().contains(&put.kept_under(true, under)[0]);
        assert!(found("/live/alice/2.ts", None));
        assert!(!found("/live/bob/2.ts", None));
        assert!(found("/live/bob/2.ts", Some("/live/")));
        assert!(found("/x", Some("/")));
        assert!(found("/live/alice/1.ts", Some("/live/alice/1.ts")));
        assert!(!found("/live/alice/2.ts", Some("/live/alice/1.ts")));
        assert_eq!(put.flight(), of("/live/alice/2.ts").flight());
        assert_ne!(put.flight(), of("/live/bob/1.ts").flight());
    }

    #[test]
    fn a_visitor_is_known_by_its_word_and_a_newcomer_by_both() {
        let of = |word: Option<(&str, bool)>, param: &str| {
            let mut event = testing::event(HookEvent::HttpAccess, "");
            event.param = param.into();
            event.details = Details::HttpAccess(Box::new(HttpAccess {
                path: "/live/alice/1.ts".into(),
                ..HttpAccess::default()
            }));
            let visitor = word.map(|(word, is_new)| Visitor {
                word: word.into(),
                is_new,
            });
            Question {
                visitor,
                ..Question::new(event)
            }
        };
        let finds = |asks: &Question, kept: &[Key]| asks.keys().iter().any(|key| kept.contains(key));
        let came = of(Some(("w", true)), "?a");
        let yes = came.kept_under(true, None);
        assert!(
            finds(&of(Some(("w", false)), "?b"), &yes),
            "by its cookie, whatever it asks with"
        );
        assert!(
            finds(&of(None, "?a"), &yes) && finds(&of(Some(("v", true)), "?a"), &yes),
            "without"
        );
        assert!(
            !finds(&of(Some(("v", false)), "?a"), &yes),
            "a neighbour with a cookie of its own"
        );
        let no = of(Some(("w", false)), "?a").kept_under(false, None);
        assert!(finds(&of(Some(("w", false)), "?a"), &no));
        assert!(
            !finds(&of(Some(("w", false)), "?b"), &no),
            "another query is another try"
        );
        assert!(!finds(&of(None, "?a"), &no), "and nobody else is refused by it");
        assert!(!finds(&of(Some(("?a", false)), ""), &came.kept_under(false, None)));
    }
}
