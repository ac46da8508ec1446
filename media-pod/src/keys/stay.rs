//! Who is in by a StreamKey, and whether that still holds.

use super::entry::Entry;
use super::{Ask, KeyRing};
use headgate_control::Authentication;
use headgate_hub::Session;

impl KeyRing {
    /// Whether whom a StreamKey let in may stay. It may not when the StreamKey is gone or suspended, or is edited so that it would not let the same session
    /// in now. What the key is and how long it is good is asked of newcomers only: who rotates a key cuts nobody.
    pub fn lets_stay(&self, session: &Session) -> bool {
        let Some(name) = &session.key else { return true };
        if self.authentication(session.kind) == Authentication::None {
            return true;
        }
        match self.by_object.get(name) {
            None => false,
            Some(None) => true,
            Some(Some(at)) => self.entries.get(*at).is_some_and(|entry| entry.lets_stay(session)),
        }
    }
}

impl Entry {
    fn lets_stay(&self, session: &Session) -> bool {
        let name = &session.name;
        let ask = Ask {
            kind: session.kind,
            vhost: &name.vhost,
            app: &name.app,
            stream: &name.stream,
            param: "",
            address: session.connection.peer.ip(),
            now: session.started,
        };
        !self.suspended && self.opens(&ask, ask.stream) && self.permits(ask.kind) && self.allows_address(&ask)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{alice, config};
    use super::*;
    use headgate_control::{KeyHash, Permission, PodConfig, StreamKey};
    use headgate_hub::{Connection, Protocol, SessionKind, StreamName};
    use jiff::Timestamp;
    use std::sync::Arc;
    use uuid::Uuid;

    fn publisher(key: Option<&str>) -> Session {
        let connection = Connection {
            client_id: "3ul1iu70".into(),
            protocol: Protocol::Rtmp,
            peer: ([10, 1, 2, 3], 50_000).into(),
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            stream: "alice".into(),
            param: String::new(),
            tc_url: String::new(),
            page_url: String::new(),
            started: Timestamp::UNIX_EPOCH,
        };
        Session {
            id: Uuid::nil(),
            kind: SessionKind::Publish,
            connection: Arc::new(connection),
            name: StreamName {
                vhost: "__defaultVhost__".into(),
                app: "live".into(),
                stream: "alice".into(),
            },
            param: String::new(),
            key: key.map(Into::into),
            started: Timestamp::UNIX_EPOCH,
        }
    }

    fn stays(config: &PodConfig) -> bool {
        KeyRing::new(config).unwrap().lets_stay(&publisher(Some("alice-key")))
    }

    fn edited(edit: impl FnOnce(&mut StreamKey)) -> bool {
        let mut key = alice();
        edit(&mut key);
        stays(&config(vec![key]))
    }

    #[test]
    fn who_rotates_a_key_or_lets_it_run_out_cuts_nobody() {
        let another = KeyHash {
            sha256: "00".repeat(32),
            length: 7,
        };
        assert!(edited(|_| ()));
        assert!(edited(|key| key.hash = another));
        assert!(edited(|key| key.not_after = Some(Timestamp::UNIX_EPOCH)));
        assert!(edited(|key| key.query_parameter = "token".into()));
        assert!(edited(|key| key.max_publishers = Some(0)));
        assert!(edited(|key| key.allowed_cidrs = vec!["10.0.0.0/8".parse().unwrap()]));
    }

    #[test]
    fn who_takes_away_what_let_somebody_in_cuts_him() {
        assert!(!stays(&config(vec![])), "deleted, or about another server");
        assert!(!edited(|key| key.suspended = true));
        assert!(!edited(|key| key.permissions = vec![Permission::Play]));
        assert!(!edited(
            |key| key.allowed_cidrs = vec!["192.168.0.0/16".parse().unwrap()]
        ));
        assert!(!edited(|key| key.pattern.stream = "bob".into()));
        assert!(!edited(|key| key.pattern.app = "other".into()));
        assert!(!edited(|key| key.pattern.vhost = "video.test.com".into()));
    }

    #[test]
    fn a_secret_that_is_gone_for_a_moment_cuts_nobody() {
        let mut config = config(vec![]);
        config.idle_keys = vec!["alice-key".into()];
        assert!(stays(&config));
    }

    #[test]
    fn where_no_key_is_asked_for_none_can_be_taken_away() {
        let mut open = config(vec![]);
        open.publish.authentication = Authentication::None;
        assert!(stays(&open));
        let nobody = KeyRing::new(&config(vec![])).unwrap();
        assert!(nobody.lets_stay(&publisher(None)));
    }
}
