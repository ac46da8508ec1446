//! What the pods of one server have left behind, from the loss to the word of the pod that closed it. Pure.

use super::decide::{Heir, adopter};
use headgate_control::Orphan;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

/// Orphans in one configuration; the rest waits for the first to be closed.
const AT_A_TIME: usize = 1000;
/// Bytes of their entries.
const BYTES_AT_A_TIME: usize = 512 * 1024;
/// Sessions of one server that wait.
const WAITING_MAX: usize = 40_000;
/// Bytes of their entries.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Everything that is left of one server's pods.
#[derive(Debug, Default)]
pub struct Estate {
    /// The server's UID: one that comes after it under its name inherits nothing.
    pub server_uid: String,
    /// Since when each pod is gone, by UID.
    pub gone: HashMap<String, Instant>,
    /// Pods of which the API server itself says that they are gone, by UID.
    pub confirmed: HashSet<String>,
    waiting: BTreeMap<Uuid, Waiting>,
    bytes: usize,
    settled: HashSet<Uuid>,
    dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    sealed: Arc<str>,
    adopter: Option<String>,
}

impl Estate {
    /// Of the server with that UID.
    pub fn of(server_uid: &str) -> Self {
        Self {
            server_uid: server_uid.to_owned(),
            ..Self::default()
        }
    }

    /// Takes a session over that nobody closes. `false` when it is known, or when there are too many.
    pub fn inherit(&mut self, session: Uuid, sealed: Arc<str>) -> bool {
        if self.waiting.contains_key(&session) || self.settled.contains(&session) {
            return false;
        }
        let bytes = self.bytes.saturating_add(sealed.len());
        if self.waiting.len() >= WAITING_MAX || bytes > BYTES_MAX {
            self.dropped = self.dropped.saturating_add(1);
            self.settled.insert(session);
            return false;
        }
        self.bytes = bytes;
        self.waiting.insert(session, Waiting { sealed, adopter: None });
        true
    }

    /// Somebody closed it, or nobody has to. Whether that is new.
    pub fn settle(&mut self, session: Uuid) -> bool {
        if let Some(gone) = self.waiting.remove(&session) {
            self.bytes = self.bytes.saturating_sub(gone.sealed.len());
        }
        self.settled.insert(session)
    }

    /// What pods say they have closed, as far as it waited.
    pub fn adopted<'a>(&mut self, sessions: impl IntoIterator<Item = &'a Uuid>) -> usize {
        let known = sessions.into_iter().filter(|s| self.waiting.contains_key(s));
        let known: HashSet<Uuid> = known.copied().collect();
        known.iter().filter(|s| self.settle(**s)).count()
    }

    /// Finds each session a pod.
    pub fn entrust(&mut self, heirs: &[Heir]) {
        for waiting in self.waiting.values_mut() {
            waiting.adopter = adopter(waiting.adopter.as_deref(), heirs);
        }
    }

    /// For the configuration of the server's pods.
    pub fn orphans(&self) -> Vec<Orphan> {
        let mut bytes = 0_usize;
        let ready = self.waiting.iter().filter_map(|(session, waiting)| {
            Some(Orphan {
                session: *session,
                adopter: waiting.adopter.clone()?,
                sealed: waiting.sealed.to_string(),
            })
        });
        let fits = |orphan: &Orphan| {
            bytes = bytes.saturating_add(orphan.sealed.len());
            bytes <= BYTES_AT_A_TIME
        };
        ready.take(AT_A_TIME).take_while(fits).collect()
    }

    /// It waits for its adopter.
    pub fn is_waiting(&self, session: &Uuid) -> bool {
        self.waiting.contains_key(session)
    }

    /// It is closed.
    pub fn is_settled(&self, session: &Uuid) -> bool {
        self.settled.contains(session)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    /// How many were too many, since the last time that somebody asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Forgets what is closed and named by nobody any more.
    pub fn retain_settled(&mut self, named: impl Fn(&Uuid) -> bool) {
        self.settled.retain(named);
    }

    /// Nothing is left to be done or to be remembered.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.waiting.is_empty() && self.settled.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn heir(name: &str, heard: bool, able: bool) -> Heir {
        Heir {
            name: name.into(),
            heard,
            able,
        }
    }

    fn sessions(estate: &Estate) -> Vec<u128> {
        estate.orphans().iter().map(|o| o.session.as_u128()).collect()
    }

    #[test]
    fn a_session_waits_for_a_pod_is_handed_over_and_is_closed_once() {
        let mut estate = Estate::of("u");
        assert!(estate.inherit(id(1), "a".into()));
        assert!(!estate.inherit(id(1), "a".into()), "it is known");
        estate.entrust(&[]);
        assert!(estate.orphans().is_empty() && estate.is_waiting(&id(1)));
        estate.entrust(&[heir("live-1", true, true)]);
        let orphan = Orphan {
            session: id(1),
            adopter: "live-1".into(),
            sealed: "a".into(),
        };
        assert_eq!(estate.orphans(), [orphan]);
        assert_eq!(estate.adopted(&[id(1), id(9)]), 1);
        assert!(estate.orphans().is_empty() && estate.is_settled(&id(1)) && !estate.is_settled(&id(9)));
        assert!(!estate.inherit(id(1), "a".into()), "closed, it is not closed once more");
        estate.retain_settled(|_| false);
        assert!(estate.is_empty() && estate.bytes == 0);
    }

    #[test]
    fn a_configuration_carries_a_thousand_and_the_rest_follows() {
        let mut estate = Estate::of("u");
        for n in 0..2500 {
            assert!(estate.inherit(id(n), "x".into()));
        }
        estate.entrust(&[heir("live-1", true, true)]);
        let mut closed = 0;
        for expected in [1000, 1000, 500, 0] {
            let now = estate.orphans();
            assert_eq!(now.len(), expected);
            closed += estate.adopted(now.iter().map(|o| &o.session));
        }
        assert_eq!(closed, 2500);
    }

    #[test]
    fn a_configuration_stays_small_however_large_the_entries_are() {
        let (mut estate, large) = (Estate::of("u"), "x".repeat(16 * 1024));
        for n in 0..100 {
            estate.inherit(id(n), large.as_str().into());
        }
        estate.entrust(&[heir("live-1", true, true)]);
        assert_eq!(estate.orphans().len(), 32);
    }

    #[test]
    fn what_is_too_much_is_counted_and_given_up() {
        let (mut estate, large) = (Estate::of("u"), "x".repeat(1024 * 1024));
        let kept = (0..40)
            .filter(|n| estate.inherit(id(*n), large.as_str().into()))
            .count();
        assert_eq!((kept, estate.take_dropped(), estate.take_dropped()), (32, 8, 0));
        assert!(estate.is_settled(&id(39)), "nobody waits for it for ever");
    }

    proptest! {
        #[test]
        fn a_session_is_in_one_hand_at_a_time_and_never_comes_back(acts in proptest::collection::vec((0..4_u8, 0..6_u128, 0..3_usize), 0..60)) {
            let mut estate = Estate::of("u");
            let mut closed = HashSet::new();
            for (act, n, pod) in acts {
                match act {
                    0 => { estate.inherit(id(n), "x".into()); }
                    1 => { if estate.adopted(&[id(n)]) == 1 { prop_assert!(closed.insert(n)); } }
                    2 => estate.entrust(&[heir(&format!("live-{pod}"), true, true)]),
                    _ => estate.entrust(&[]),
                }
                let now = sessions(&estate);
                let once: HashSet<u128> = now.iter().copied().collect();
                prop_assert_eq!(once.len(), now.len());
                prop_assert!(now.iter().all(|n| !closed.contains(n)));
            }
        }
    }
}
