//! Which objects a new report touches, so that only these are reconciled.

use super::{Digests, View};
use headgate_control::{ListenerReport, PodReport};
use headgate_resolve::{EntryKind, coarse};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The server's status.
    pub server: bool,
    /// Every key and hook of the server.
    pub everything: bool,
    /// These StreamKeys.
    pub keys: BTreeSet<String>,
    /// These HookEndpoints.
    pub hooks: BTreeSet<String>,
    /// These Streams.
    pub streams: BTreeSet<String>,
}

impl Changes {
    /// For a pod that is not linked any more.
    pub fn all_of(view: &View) -> Self {
        Self {
            server: true,
            everything: true,
            streams: view
                .stream_names()
                .chain(view.edge_names())
                .map(str::to_owned)
                .collect(),
            ..Self::default()
        }
    }

    /// From one view to the next. `digests` knows what is in a revision.
    pub fn between(old: &View, new: &View, digests: impl Fn(&str) -> Option<Arc<Digests>>) -> Self {
        let mut changes = Self {
            everything: old.is_ready() != new.is_ready(),
            ..Self::default()
        };
        changes.server = old.connected != new.connected
            || old.revision != new.revision
            || old.problem != new.problem
            || summary(old) != summary(new);
        if old.revision != new.revision {
            changes.revision(digests(&old.revision), digests(&new.revision));
        }
        if old.is_behind() != new.is_behind() {
            // What its report says of a back end counts from now on, or no longer.
            let hooks = new.report.iter().flat_map(|r| &r.hooks);
            changes.hooks.extend(hooks.map(|h| h.name.clone()));
        }
        changes.report(old.report.as_deref(), new.report.as_deref());
        changes.streams(old, new);
        changes
    }

    /// Nothing did.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn revision(&mut self, old: Option<Arc<Digests>>, new: Option<Arc<Digests>>) {
        let (Some(old), Some(new)) = (old, new) else {
            self.everything = true;
            return;
        };
        for (kind, name) in old.differences(&new) {
            let names = match kind {
                EntryKind::Key => &mut self.keys,
                EntryKind::Hook => &mut self.hooks,
            };
            names.insert(name.to_owned());
        }
    }

    fn report(&mut self, old: Option<&PodReport>, new: Option<&PodReport>) {
        let empty = PodReport::default();
        let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
        for name in old.key_use.keys().chain(new.key_use.keys()) {
            if old.key_use.get(name) != new.key_use.get(name) {
                self.keys.insert(name.clone());
            }
        }
        for hook in old.hooks.iter().filter(|h| !new.hooks.contains(h)) {
            self.hooks.insert(hook.name.clone());
        }
        for hook in new.hooks.iter().filter(|h| !old.hooks.contains(h)) {
            self.hooks.insert(hook.name.clone());
        }
    }

    fn streams(&mut self, old: &View, new: &View) {
        let all = old.connected != new.connected;
        let names = old.stream_names().chain(new.stream_names());
        let differs = names.filter(|n| all || old.stream_differs(new, n));
        self.streams.extend(differs.map(str::to_owned));
        let names = old.edge_names().chain(new.edge_names());
        let differs = names.filter(|n| all || old.edge(n) != new.edge(n));
        self.streams.extend(differs.map(str::to_owned));
    }
}

/// What a MediaServer's reconcile looks at.
#[derive(PartialEq)]
struct Summary<'a> {
    ready: bool,
    listeners: &'a [ListenerReport],
    streams: usize,
    viewers: String,
    adopted: &'a [Uuid],
    /// Until when it drains, its publishers, and its viewers.
    drains: Option<(jiff::Timestamp, u32, String)>,
}

fn summary(view: &View) -> Option<Summary<'_>> {
    let report = view.report.as_ref()?;
    let drains = report.draining.as_ref();
    Some(Summary {
        ready: report.ready,
        listeners: &report.listeners,
        streams: view.stream_count(),
        viewers: coarse(view.viewers()),
        adopted: &report.adopted,
        drains: drains.map(|d| (d.deadline, d.publishers, coarse(d.viewers.into()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_control::{HookReport, StreamReport};
    use tokio::time::Instant;

    fn stream(name: &str, bitrate: u32) -> StreamReport {
        StreamReport {
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            stream: name.into(),
            session: uuid::Uuid::nil(),
            protocol: "RTMP".into(),
            address: "10.0.0.1:1".into(),
            client_id: "c".into(),
            started: jiff::Timestamp::UNIX_EPOCH,
            tracks: vec![],
            bitrate_kilobits: bitrate,
            viewers: std::iter::empty().collect(),
            sealed: None,
        }
    }

    fn view(revision: &str, streams: Vec<StreamReport>, hook: Option<bool>, users: u32) -> View {
        let mut view = View::default();
        let report = PodReport {
            instance: "i".into(),
            revision: revision.into(),
            ready: true,
            streams,
            hooks: vec![HookReport {
                name: "b".into(),
                reachable: hook,
                ..HookReport::default()
            }],
            key_use: [("alice".to_owned(), users)].into(),
            ..PodReport::default()
        };
        view.heard("live", report, Instant::now());
        view
    }

    fn names(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_report_that_says_the_same_touches_nothing() {
        let old = view("1", vec![stream("a", 100)], None, 1);
        assert!(Changes::between(&old, &old.clone(), |_| None).is_empty());
    }

    #[test]
    fn a_report_that_catches_up_with_a_configuration_touches_the_hooks_though_it_says_the_same_of_them() {
        let mut old = view("1", vec![], Some(true), 1);
        old.in_force("2", Instant::now());
        assert!(old.is_behind());
        let mut new = old.clone();
        let mut report = old.report.as_deref().cloned().unwrap();
        report.revision = "2".into();
        new.heard("live", report, Instant::now());
        assert!(!new.is_behind());
        let changes = Changes::between(&old, &new, |_| None);
        assert_eq!(names(&changes.hooks), ["b"]);
        assert!(!changes.everything && changes.keys.is_empty());
    }

    #[test]
    fn a_report_touches_just_what_it_says_something_new_of() {
        let old = view("1", vec![stream("a", 100), stream("b", 100)], None, 1);
        let new = view("1", vec![stream("a", 100), stream("c", 100)], Some(false), 2);
        let changes = Changes::between(&old, &new, |_| None);
        assert_eq!(names(&changes.streams), ["live-live-b", "live-live-c"]);
        assert_eq!(
            (names(&changes.hooks), names(&changes.keys)),
            (vec!["b"], vec!["alice"])
        );
        assert!(!changes.server && !changes.everything);
    }

    #[test]
    fn a_new_revision_touches_only_the_entries_that_differ() {
        let digests = |revision: &str| {
            let mut all = vec![
                ((EntryKind::Key, "alice".to_owned()), "1".to_owned()),
                ((EntryKind::Hook, "b".to_owned()), revision.to_owned()),
            ];
            if revision == "2" {
                all.push(((EntryKind::Key, "bob".to_owned()), "1".to_owned()));
            }
            Some(Arc::new(Digests::new(all, None)))
        };
        let (old, new) = (view("1", vec![], None, 1), view("2", vec![], None, 1));
        let changes = Changes::between(&old, &new, digests);
        assert_eq!((names(&changes.hooks), names(&changes.keys)), (vec!["b"], vec!["bob"]));
        assert!(changes.server && !changes.everything);
        assert!(Changes::between(&old, &new, |_| None).everything);
    }

    #[test]
    fn a_link_that_breaks_touches_the_server_and_its_streams() {
        let old = view("1", vec![stream("a", 100)], None, 1);
        let mut new = old.clone();
        new.lost(headgate_control::Problem {
            reason: "PodUnreachable".into(),
            message: "m".into(),
        });
        let changes = Changes::between(&old, &new, |_| None);
        assert!(changes.server && changes.everything);
        assert_eq!(names(&changes.streams), ["live-live-a"]);
    }
}
