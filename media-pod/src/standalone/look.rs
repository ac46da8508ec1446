//! [`Look`]: what holds for each object of a folder, judged from the folder, the config in force and the pod's report. Pure.

use super::{Loaded, NoServer, Refused};
use headgate_api::condition::{ConditionType, Finding};
use headgate_api::{MediaServer, ObjectRef};
use headgate_control::PodReport;
use headgate_resolve as resolve;
use headgate_resolve::{EntryKind, InForce};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One look at everything.
pub(super) struct Look<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) report: &'a PodReport,
    current: BTreeSet<(EntryKind, String)>,
    pub(super) now: Timestamp,
    servers: BTreeMap<&'a str, &'a MediaServer>,
}

/// The digests of the objects in the config that is in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunningConfig(pub BTreeMap<(EntryKind, String), String>);

impl RunningConfig {
    /// The objects that are in force as they stand in the folder.
    fn current(&self, loaded: &Loaded) -> BTreeSet<(EntryKind, String)> {
        let wanted = loaded
            .chosen
            .as_ref()
            .map(|(_, config)| resolve::entry_digests(config))
            .unwrap_or_default();
        let same = |(key, digest): &(_, String)| self.0.get(key) == Some(digest);
        wanted.into_iter().filter(same).map(|(key, _)| key).collect()
    }
}

impl<'a> Look<'a> {
    pub(super) fn new(loaded: &'a Loaded, report: &'a PodReport, running: &RunningConfig, now: Timestamp) -> Self {
        let servers = super::servers(&loaded.objects).filter_map(|s| Some((s.metadata.name.as_deref()?, s.as_ref())));
        Self {
            loaded,
            report,
            current: running.current(loaded),
            now,
            servers: servers.collect(),
        }
    }

    pub(super) fn runs(&self, server: &str) -> bool {
        match &self.loaded.chosen {
            Ok((name, _)) | Err(NoServer::Invalid(name, ..)) => name == server,
            Err(_) => false,
        }
    }

    pub(super) fn exists(&self, server: &str) -> bool {
        self.servers.contains_key(server)
    }

    pub(super) fn server_of(&self, refs: &[ObjectRef]) -> Option<&MediaServer> {
        let running = refs.iter().find(|r| self.runs(&r.name))?;
        self.servers.get(running.name.as_str()).copied()
    }

    pub(super) fn ready(&self) -> Finding {
        let kind = ConditionType::Ready;
        if let Err(why) = &self.loaded.chosen {
            return Finding::no(kind, why.reason(), format!("{why}; what was in force before stays"));
        }
        let closed = self
            .report
            .listeners
            .iter()
            .find_map(|l| Some((l, l.problem.as_ref()?)));
        match closed {
            Some((listener, problem)) => Finding::no(
                kind,
                "ListenerNotOpen",
                format!(
                    "listener {:?} on port {}: {}",
                    listener.name, listener.port, problem.message
                ),
            ),
            None if self.report.ready => Finding::yes(kind, "Serving", "listens and takes sessions"),
            None => Finding::no(kind, "NotReady", "does not take sessions: it starts or stops"),
        }
    }

    pub(super) fn not_run(&self, name: &str) -> Finding {
        let message = match &self.loaded.chosen {
            Ok((other, _)) => format!("this process runs MediaServer {other:?}: start another with --server {name}"),
            Err(why) => why.to_string(),
        };
        Finding::no(ConditionType::Ready, "NotRunHere", message)
    }

    /// Adds `Programmed`. A server that is not run here has no pod that could have the object in force.
    pub(super) fn in_force(
        &self,
        mut findings: Vec<Finding>,
        suspended: bool,
        kind: EntryKind,
        name: &str,
        servers: &[ObjectRef],
    ) -> Vec<Finding> {
        let suspended_hook = suspended && kind == EntryKind::Hook;
        let current = suspended_hook || self.current.contains(&(kind, name.to_owned()));
        let force = |server: &str| InForce {
            ready: usize::from(self.runs(server) && self.report.ready),
            current: usize::from(self.runs(server) && current),
        };
        let servers: Vec<_> = servers.iter().map(|s| (s.name.clone(), force(&s.name))).collect();
        findings.push(resolve::programmed(&findings, suspended, &servers));
        findings
    }

    /// Says that the file holds something newer than what stands in force.
    pub(super) fn newer_refused(&self, kind: &str, name: &str) -> Option<Finding> {
        let named = |r: &&Refused| {
            r.kept
                && r.id
                    .as_ref()
                    .is_some_and(|id| id.kind.to_string() == kind && id.name == name)
        };
        let refused = self.loaded.refused.iter().find(named)?;
        let message = format!(
            "{}: {}; what was good last stays in force",
            refused.file, refused.message
        );
        Some(Finding::no(ConditionType::Accepted, refused.reason, message))
    }
}
