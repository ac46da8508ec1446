//! What is in the last configurations of each server: a digest of each key and hook, so that one can tell from a revision which of them
//! a pod runs with.

use crate::names::ObjectKey;
use headgate_control::PodConfig;
use headgate_resolve::{EntryKind, entry_digests};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Revisions of one server whose entries are remembered, so that a pod that runs one of them is understood.
const REVISIONS: usize = 8;

/// A digest of each key and hook of a configuration, in few bytes: there are as many as there are keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests(Box<[Entry]>);

/// An entry's kind, name and digest.
type Entry = (EntryKind, Arc<str>, u64);

/// Revisions with what is in them, oldest first.
type Last = VecDeque<(String, Arc<Digests>)>;

/// What is in the last revisions of each server.
#[derive(Debug, Default)]
pub struct Revisions(Mutex<HashMap<ObjectKey, Last>>);

impl Digests {
    /// Of these entries, each with its digest. Names that `before` knows are shared with it.
    pub fn new(entries: impl IntoIterator<Item = ((EntryKind, String), String)>, before: Option<&Self>) -> Self {
        let shared = |kind, name: String| {
            let known = before.and_then(|b| b.find(kind, &name));
            known.map_or_else(|| name.into(), |(_, name, _)| name.clone())
        };
        let entries = entries.into_iter();
        let mut all: Vec<Entry> = entries
            .map(|((kind, name), digest)| (kind, shared(kind, name), number(&digest)))
            .collect();
        all.sort();
        Self(all.into())
    }

    /// Whether the entry is in it with that digest; with `None`, whether it is not in it.
    pub fn has(&self, kind: EntryKind, name: &str, digest: Option<&str>) -> bool {
        self.find(kind, name).map(|e| e.2) == digest.map(number)
    }

    /// What is in only one of both, or in both in another way.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (EntryKind, &'a str)> {
        let only = |here: &'a Self, there: &'a Self| {
            let entries = here.0.iter();
            let differs = move |e: &&'a Entry| there.find(e.0, &e.1) != Some(*e);
            entries.filter(differs).map(|e| (e.0, e.1.as_ref()))
        };
        only(self, other).chain(only(other, self))
    }

    fn find(&self, kind: EntryKind, name: &str) -> Option<&Entry> {
        let at = self.0.binary_search_by(|e| (e.0, e.1.as_ref()).cmp(&(kind, name)));
        self.0.get(at.ok()?)
    }
}

/// The first digits of a digest, of which there are 12.
fn number(digest: &str) -> u64 {
    u64::from_str_radix(digest.get(..16).unwrap_or(digest), 16).unwrap_or_default()
}

impl Revisions {
    /// A server's pods should run this from now on.
    pub fn remember(&self, server: &ObjectKey, config: &PodConfig) {
        let mut revisions = self.0.lock();
        let known = revisions.entry(server.clone()).or_default();
        if known.back().is_some_and(|(r, _)| *r == config.revision) {
            return;
        }
        known.retain(|(r, _)| *r != config.revision);
        let before = known.back().map(|(_, digests)| digests.clone());
        let digests = Digests::new(entry_digests(config), before.as_deref());
        known.push_back((config.revision.clone(), Arc::new(digests)));
        while known.len() > REVISIONS {
            known.pop_front();
        }
    }

    /// What is in one.
    pub fn get(&self, server: &ObjectKey, revision: &str) -> Option<Arc<Digests>> {
        let revisions = self.0.lock();
        let known = revisions.get(server)?.iter().find(|(r, _)| r == revision);
        known.map(|(_, digests)| digests.clone())
    }

    /// Nobody runs others any more than these and the last one: they go, and with them what a burst of edits took.
    pub fn settle(&self, server: &ObjectKey, in_use: &HashSet<String>) {
        let mut revisions = self.0.lock();
        let Some(known) = revisions.get_mut(server) else { return };
        let last = known.back().map(|(revision, _)| revision.clone());
        known.retain(|(revision, _)| in_use.contains(revision) || Some(revision) == last.as_ref());
        known.shrink_to_fit();
    }

    /// A server is gone.
    pub fn forget(&self, server: &ObjectKey) {
        self.0.lock().remove(server);
    }

    /// All are.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(entries: &[(EntryKind, &str, &str)]) -> Digests {
        let entries = entries.iter().map(|(k, n, d)| ((*k, (*n).to_owned()), (*d).to_owned()));
        Digests::new(entries, None)
    }

    #[test]
    fn an_entry_is_there_as_it_is_and_in_no_other_way() {
        let all = digests(&[
            (EntryKind::Key, "b", "00112233445f"),
            (EntryKind::Key, "a", "1"),
            (EntryKind::Hook, "a", "2"),
        ]);
        assert!(all.has(EntryKind::Key, "b", Some("00112233445f")));
        assert!(!all.has(EntryKind::Key, "b", Some("00112233445e")));
        assert!(!all.has(EntryKind::Key, "b", None));
        assert!(!all.has(EntryKind::Hook, "b", Some("2")) && all.has(EntryKind::Hook, "b", None));
        assert!(all.has(EntryKind::Hook, "a", Some("2")));
    }

    #[test]
    fn what_differs_is_named_whichever_side_it_is_on() {
        let one = digests(&[
            (EntryKind::Key, "a", "1"),
            (EntryKind::Key, "b", "1"),
            (EntryKind::Hook, "c", "1"),
        ]);
        let two = digests(&[
            (EntryKind::Key, "a", "1"),
            (EntryKind::Key, "b", "2"),
            (EntryKind::Key, "d", "1"),
        ]);
        let mut names: Vec<_> = one.differences(&two).map(|(_, name)| name.to_owned()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names, ["b", "c", "d"]);
        assert_eq!(one.differences(&one).count(), 0);
    }

    #[test]
    fn revisions_that_nobody_runs_are_forgotten_but_the_last() {
        let (revisions, server) = (Revisions::default(), ObjectKey::new("n", "live"));
        for revision in ["1", "2", "3", "4"] {
            let yaml = format!(
                "{{revision: '{revision}', server: {{namespace: n, name: live, uid: u}}, listeners: [], publish: {{authentication: None, onConflict: Reject}}, play: {{authentication: None, gopCache: true, maxLatencyMilliseconds: 0}}}}"
            );
            revisions.remember(&server, &serde_yaml::from_str(&yaml).unwrap());
        }
        revisions.settle(&server, &["2".to_owned()].into());
        let known = |revision| revisions.get(&server, revision).is_some();
        assert_eq!(["1", "2", "3", "4"].map(known), [false, true, false, true]);
    }
}
