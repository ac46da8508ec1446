//! [`StatusBook`]: what every object of a folder should say of itself, in the same words as in a cluster, and `/resources` made of it.

use super::look::Look;
use super::object::{Kind, Object};
use super::{Loaded, Refused};
use headgate_api::condition::{ConditionType, Finding, merge};
use headgate_api::{
    HookEndpoint, HookEndpointStatus, LastFailure, MediaServer, MediaServerStatus, PodStatus, Stream, StreamKey,
    StreamKeyStatus,
};
use headgate_control::StreamReport;
use headgate_resolve as resolve;
use headgate_resolve::{Back, EntryKind, coarse};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The host in addresses: nothing here knows under which name others reach this one.
const HOST: &str = "127.0.0.1";
/// The name of the only pod.
pub(crate) const POD: &str = "standalone";
/// Generation of every object: files have none.
const GENERATION: i64 = 1;

/// The conditions shown last, so that a time moves only when a status does.
#[derive(Debug, Default)]
pub struct StatusBook {
    conditions: BTreeMap<(String, String), Vec<Condition>>,
}

/// A condition that says something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Kind and name.
    pub object: String,
    /// Type, status, reason.
    pub condition: String,
    /// What it says.
    pub message: String,
    /// It stands at `False`.
    pub bad: bool,
    /// The object said nothing of this before, or says it because of what the server says for itself.
    pub quiet: bool,
}

/// `kind` and `apiVersion` come with the object itself; a refused one that was never good has nothing else.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ghost {
    api_version: &'static str,
    kind: String,
    metadata: BTreeMap<&'static str, String>,
    status: BTreeMap<&'static str, Vec<Condition>>,
}

impl StatusBook {
    /// What has changed since the last call, and where `text` is asked for all objects with their status as YAML documents, without
    /// Secrets.
    pub(super) fn show(&mut self, look: &Look<'_>, text: bool) -> (Option<String>, Vec<Change>) {
        let mut page = Page {
            book: self,
            look,
            text: text.then(|| notes(look.loaded)),
            changes: Vec::new(),
            seen: BTreeSet::new(),
        };
        page.all();
        let Page {
            text, changes, seen, ..
        } = page;
        self.conditions.retain(|key, _| seen.contains(key));
        (text, changes)
    }
}

/// Comments at the top: what a reader must see first.
fn notes(loaded: &Loaded) -> String {
    let mut text = String::new();
    for refused in &loaded.refused {
        let object = refused.id.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
        let kept = if refused.kept {
            " (what was good last stays)"
        } else {
            ""
        };
        let line = format!(
            "# {}: {object}{}: {}{kept}",
            refused.file, refused.reason, refused.message
        );
        let _ = writeln!(text, "{}", line.replace(['\n', '\r'], " "));
    }
    text
}

struct Page<'a> {
    book: &'a mut StatusBook,
    look: &'a Look<'a>,
    /// `None` where only changes are wanted.
    text: Option<String>,
    changes: Vec<Change>,
    seen: BTreeSet<(String, String)>,
}

impl Page<'_> {
    fn all(&mut self) {
        let loaded = self.look.loaded;
        for object in &loaded.objects {
            match object {
                Object::Server(server) => self.server(server),
                Object::Key(key) => self.key(key),
                Object::Hook(hook) => self.hook(hook),
                Object::Secret(_) => {}
            }
        }
        for refused in &loaded.refused {
            self.ghost(refused);
        }
        if let Ok((server, _)) = &loaded.chosen {
            let report = self.look.report;
            report.streams.iter().for_each(|stream| self.stream(server, stream));
        }
    }

    fn server(&mut self, server: &MediaServer) {
        let name = server.metadata.name.clone().unwrap_or_default();
        let report = self.look.report;
        let runs = self.look.runs(&name);
        let ready = if runs {
            self.look.ready()
        } else {
            self.look.not_run(&name)
        };
        let resolved = resolve::server_findings(&server.spec, &self.look.loaded.secrets);
        let findings = [Some(ready), resolved].into_iter().flatten().collect();
        let mut status = MediaServerStatus {
            observed_generation: Some(GENERATION),
            ..MediaServerStatus::default()
        };
        status.conditions = self.conditions(Kind::MediaServer.into(), &name, findings);
        if runs {
            let viewers = report
                .streams
                .iter()
                .flat_map(|s| s.viewers.values())
                .map(|n| u64::from(*n))
                .sum();
            status.replicas = 1;
            status.ready_replicas = i32::from(report.ready);
            status.streams = i32::try_from(report.streams.len()).unwrap_or(i32::MAX);
            status.viewers = coarse(viewers);
            status.addresses = resolve::addresses(&server.spec.listeners, HOST);
            let revision = report.revision.clone();
            status.pods = vec![PodStatus {
                name: POD.into(),
                ready: report.ready,
                draining: report.draining.is_some(),
                revision,
                message: String::new(),
            }];
        }
        self.push(&MediaServer {
            status: Some(status),
            ..server.clone()
        });
    }

    fn key(&mut self, key: &StreamKey) {
        let name = key.metadata.name.clone().unwrap_or_default();
        let findings = resolve::key_findings(key, &|s| self.look.exists(s), &self.look.loaded.secrets);
        let findings = self
            .look
            .in_force(findings, key.spec.suspend, EntryKind::Key, &name, &key.spec.server_refs);
        let mut status = StreamKeyStatus {
            observed_generation: Some(GENERATION),
            ..StreamKeyStatus::default()
        };
        status.conditions = self.conditions(Kind::StreamKey.into(), &name, findings);
        if let Some(server) = self.look.server_of(&key.spec.server_refs) {
            (status.publish_urls, status.play_urls) = resolve::key_urls(&key.spec, &server.spec.listeners, HOST);
        }
        status.publishers = self
            .look
            .report
            .key_use
            .get(&name)
            .map_or(0, |n| i32::try_from(*n).unwrap_or(i32::MAX));
        self.push(&StreamKey {
            status: Some(status),
            ..key.clone()
        });
    }

    fn hook(&mut self, hook: &HookEndpoint) {
        let name = hook.metadata.name.clone().unwrap_or_default();
        let reports = self
            .look
            .report
            .hooks
            .iter()
            .filter(|r| r.name == name)
            .cloned()
            .collect();
        let back = Back { reports };
        let findings = resolve::hook_findings(hook, &|s| self.look.exists(s), &self.look.loaded.secrets);
        let mut findings = self.look.in_force(
            findings,
            hook.spec.suspend,
            EntryKind::Hook,
            &name,
            &hook.spec.server_refs,
        );
        findings.extend(resolve::reachable(&back));
        findings.extend(resolve::troubles(&back));
        let failure = back.reports.iter().find_map(|r| r.last_failure.clone());
        let sum = |of: &dyn Fn(&headgate_control::HookReport) -> u64| coarse(back.reports.iter().map(of).sum());
        let status = HookEndpointStatus {
            observed_generation: Some(GENERATION),
            conditions: self.conditions(Kind::HookEndpoint.into(), &name, findings),
            pending: sum(&|r| u64::from(r.pending)),
            dead: sum(&|r| r.dead),
            dead_letters: sum(&|r| u64::from(r.letters)),
            oldest_pending_seconds: back
                .reports
                .iter()
                .map(|r| r.oldest_pending_seconds)
                .max()
                .filter(|s| *s > 0)
                .map(|s| i32::try_from(s).unwrap_or(i32::MAX)),
            last_failure: failure.map(|f| LastFailure {
                event: f.event,
                reason: f.reason,
                message: f.message,
            }),
        };
        self.push(&HookEndpoint {
            status: Some(status),
            ..hook.clone()
        });
    }

    fn stream(&mut self, server: &str, report: &StreamReport) {
        let name = resolve::stream_object_name(server, &report.vhost, &report.app, &report.stream);
        let mut stream = Stream::new(&name, resolve::stream_spec(server, report));
        let mut status = resolve::stream_status(POD, report);
        status.conditions = self.conditions("Stream", &name, vec![resolve::live(report)]);
        stream.status = Some(status);
        self.push(&stream);
    }

    /// A refused object that no good version stands for.
    fn ghost(&mut self, refused: &Refused) {
        let Some(id) = refused.id.clone().filter(|id| id.kind != Kind::Secret && !refused.kept) else {
            return;
        };
        let message = format!("{}: {}", refused.file, refused.message);
        let findings = vec![Finding::no(ConditionType::Accepted, refused.reason, message)];
        let conditions = self.conditions(id.kind.into(), &id.name, findings);
        self.push(&Ghost {
            api_version: "headgate.dev/v1alpha1",
            kind: id.kind.to_string(),
            metadata: BTreeMap::from([("name", id.name)]),
            status: BTreeMap::from([("conditions", conditions)]),
        });
    }

    fn conditions(&mut self, kind: &str, name: &str, mut findings: Vec<Finding>) -> Vec<Condition> {
        if let Some(refused) = self.look.newer_refused(kind, name) {
            findings.retain(|f| f.kind != ConditionType::Accepted);
            findings.insert(0, refused);
        }
        let key = (kind.to_owned(), name.to_owned());
        let old = self.book.conditions.remove(&key).unwrap_or_default();
        // Nobody writes a Stream's spec.
        let generation = (kind != "Stream").then_some(GENERATION);
        let new = merge(&old, &findings, generation, self.look.now);
        for condition in new.iter().filter(|c| !old.iter().any(|o| same(o, c))) {
            let first = !old.iter().any(|o| o.type_ == condition.type_);
            self.changes.push(change(kind, name, condition, first));
        }
        self.book.conditions.insert(key.clone(), new.clone());
        self.seen.insert(key);
        new
    }

    fn push(&mut self, object: &impl Serialize) {
        let Some(text) = &mut self.text else { return };
        match serde_yaml::to_string(object) {
            Ok(yaml) => {
                let _ = write!(text, "---\n{yaml}");
            }
            Err(error) => tracing::error!(%error, "an object cannot be shown"),
        }
    }
}

fn same(a: &Condition, b: &Condition) -> bool {
    (&a.type_, &a.status, &a.reason, &a.message) == (&b.type_, &b.status, &b.reason, &b.message)
}

fn change(kind: &str, name: &str, condition: &Condition, first: bool) -> Change {
    let follows = matches!(condition.reason.as_str(), "NoReadyPods" | "Pushing" | "Programmed");
    Change {
        object: format!("{kind} {name:?}"),
        condition: format!("{}={} ({})", condition.type_, condition.status, condition.reason),
        message: condition.message.clone(),
        bad: condition.status == "False",
        quiet: follows || (first && condition.status != "False"),
    }
}
