//! How a StreamKey or HookEndpoint stands with the servers it names: whether they are there, and in how many of their ready pods
//! it is in force as it is now.

use crate::context::Context;
use crate::link::{Digests, View};
use crate::media_server::{host, is_ready};
use crate::names::ObjectKey;
use headgate_api::condition::{ConditionType, Finding};
use headgate_api::{HookEndpoint, MediaServer, ObjectRef, StreamKey};
use headgate_control::{HookReport, PodReport};
use headgate_resolve::{EntryKind, InForce, Secrets, Surroundings, entry_digests, pod_config};
use kube::ResourceExt;
use std::sync::Arc;

/// One server that an object names.
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// `None` when there is none.
    pub server: Option<Arc<MediaServer>>,
    /// Where its clients reach it.
    pub host: String,
    pods: Vec<Member>,
}

/// A pod of the server.
struct Member {
    ready: bool,
    unheard: bool,
    digests: Option<Arc<Digests>>,
    report: Option<Arc<PodReport>>,
    /// The report was written before the configuration that is in force now.
    behind: bool,
}

/// The servers that `refs` name.
pub fn attachments(ctx: &Context, namespace: &str, refs: &[ObjectRef]) -> Vec<Attachment> {
    refs.iter()
        .map(|r| one(ctx, &ObjectKey::new(namespace, &r.name)))
        .collect()
}

fn one(ctx: &Context, key: &ObjectKey) -> Attachment {
    let server = ctx.caches.servers.get(key);
    let pods = server.as_ref().map(|s| ctx.caches.pods_of(s)).unwrap_or_default();
    let member = |pod: &Arc<k8s_openapi::api::core::v1::Pod>| {
        let view = ctx
            .links
            .view(&ObjectKey::of(pod.as_ref()), &pod.uid().unwrap_or_default());
        let view = view.unwrap_or_default();
        Member {
            ready: is_ready(pod),
            unheard: view.report.is_none() && view.problem.is_none(),
            digests: digests(ctx, key, &view),
            behind: view.is_behind(),
            report: view.report.filter(|_| view.connected),
        }
    };
    let service = ctx.caches.services.get(key);
    Attachment {
        name: key.name.clone(),
        host: server.as_ref().map(|s| host(s, service.as_deref())).unwrap_or_default(),
        pods: pods.iter().map(member).collect(),
        server,
    }
}

fn digests(ctx: &Context, server: &ObjectKey, view: &View) -> Option<Arc<Digests>> {
    ctx.links.digests(server, &view.revision).filter(|_| view.connected)
}

impl Attachment {
    /// In how many ready pods the entry is as `wanted`; `None` is not at all.
    pub fn in_force(&self, kind: EntryKind, name: &str, wanted: Option<&String>) -> InForce {
        let ready = || self.pods.iter().filter(|p| p.ready);
        let wanted = wanted.map(String::as_str);
        let is_current = |p: &&Member| p.digests.as_ref().is_some_and(|d| d.has(kind, name, wanted));
        InForce {
            ready: ready().count(),
            current: ready().filter(is_current).count(),
        }
    }

    /// A ready pod has not been heard of since this process leads.
    pub fn is_unheard(&self) -> bool {
        self.pods.iter().any(|p| p.ready && p.unheard)
    }

    /// A pod has not said how it does with the configuration that is in force now.
    pub fn is_behind(&self) -> bool {
        self.pods.iter().any(|p| p.ready && p.behind)
    }

    /// Publishers that came in with a key.
    pub fn publishers(&self, key: &str) -> u32 {
        let used = self.reports().filter_map(|r| r.key_use.get(key));
        used.fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// What its pods say of a back end, with the configuration that is in force now.
    pub fn hook_reports(&self, hook: &str) -> impl Iterator<Item = HookReport> {
        let current = self.pods.iter().filter(|p| !p.behind);
        current
            .filter_map(|p| p.report.as_deref())
            .flat_map(|r| &r.hooks)
            .filter(move |h| h.name == hook)
            .cloned()
    }

    /// What a key comes to in this server's configuration.
    pub fn wanted_key(&self, key: &StreamKey, secrets: &dyn Secrets) -> Option<String> {
        let config = pod_config(self.server.as_deref()?, [key], [], secrets, Surroundings::default());
        entry_digests(&config).remove(&(EntryKind::Key, key.name_any()))
    }

    /// What a hook comes to in this server's configuration.
    pub fn wanted_hook(&self, hook: &HookEndpoint, secrets: &dyn Secrets) -> Option<String> {
        let config = pod_config(self.server.as_deref()?, [], [hook], secrets, Surroundings::default());
        entry_digests(&config).remove(&(EntryKind::Hook, hook.name_any()))
    }

    fn reports(&self) -> impl Iterator<Item = &PodReport> {
        self.pods.iter().filter_map(|p| p.report.as_deref())
    }
}

/// An object that refers to a server that is being deleted says so while that drains: nobody new gets in there.
pub fn note_leaving(findings: &mut [Finding], attachments: &[Attachment]) {
    let is_leaving = |a: &&Attachment| {
        a.server
            .as_ref()
            .is_some_and(|s| s.metadata.deletion_timestamp.is_some())
    };
    let Some(leaving) = attachments.iter().find(is_leaving) else {
        return;
    };
    for finding in findings.iter_mut().filter(|f| f.kind == ConditionType::ResolvedRefs) {
        let message = format!(
            "MediaServer {:?} is being deleted: name another one, or delete this too",
            leaving.name
        );
        *finding = Finding::no(ConditionType::ResolvedRefs, "ServerDeleting", message);
    }
}

/// Whether a status should wait: its object is on the way into the pods, or the pods have not been heard of yet.
pub fn is_passing(findings: &[Finding], attachments: &[Attachment]) -> bool {
    let pushing = |f: &Finding| f.kind == ConditionType::Programmed && f.reason == "Pushing";
    findings.iter().any(pushing) || attachments.iter().any(Attachment::is_unheard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_server::KeySecrets;
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;

    fn key(not_after: &str) -> StreamKey {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {{name: alice, namespace: n}}, spec: {{serverRefs: [{{name: live}}], stream: {{app: live}}, secretRef: {{name: s}}, notAfter: '{not_after}'}}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    }

    fn secrets(text: &str) -> KeySecrets {
        let mut secret = Secret::default();
        secret.metadata.name = Some("s".into());
        secret.data = Some([("key".to_owned(), ByteString(text.into()))].into());
        [Arc::new(secret)].into_iter().collect()
    }

    fn attached(pods: Vec<Member>) -> Attachment {
        let yaml =
            "{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {name: live, namespace: n}, spec: {}}";
        Attachment {
            name: "live".into(),
            server: Some(Arc::new(serde_yaml::from_str(yaml).unwrap())),
            host: "h".into(),
            pods,
        }
    }

    fn member(ready: bool, runs: Option<&str>) -> Member {
        let entry = |digest: &str| Digests::new([((EntryKind::Key, "alice".to_owned()), digest.to_owned())], None);
        Member {
            ready,
            unheard: runs.is_none(),
            digests: runs.map(|d| Arc::new(entry(d))),
            report: None,
            behind: false,
        }
    }

    #[test]
    fn a_report_of_an_earlier_configuration_says_nothing_of_the_endpoint_as_it_is() {
        let hook = HookReport {
            name: "backend".into(),
            reachable: Some(true),
            ..HookReport::default()
        };
        let report = PodReport {
            hooks: vec![hook],
            ..PodReport::default()
        };
        let told = |behind| {
            let pod = Member {
                report: Some(Arc::new(report.clone())),
                behind,
                ..member(true, Some("x"))
            };
            let attachment = attached(vec![pod]);
            (attachment.hook_reports("backend").count(), attachment.is_behind())
        };
        assert_eq!(told(false), (1, false));
        assert_eq!(told(true), (0, true));
    }

    #[test]
    fn a_key_is_in_force_where_a_ready_pod_runs_with_it_as_it_is_now() {
        let now = attached(vec![])
            .wanted_key(&key("2030-01-01T00:00:00Z"), &secrets("k"))
            .unwrap();
        let pods = vec![
            member(true, Some(&now)),
            member(true, Some("01de2")),
            member(false, Some("01de2")),
            member(true, None),
        ];
        let attachment = attached(pods);
        let in_force = attachment.in_force(EntryKind::Key, "alice", Some(&now));
        assert_eq!((in_force.ready, in_force.current), (3, 1));
        assert!(attachment.is_unheard());
    }

    #[test]
    fn a_key_is_another_when_its_spec_or_its_secret_is() {
        let wanted = |until: &str, text: &str| attached(vec![]).wanted_key(&key(until), &secrets(text));
        let first = wanted("2030-01-01T00:00:00Z", "k");
        assert_eq!(first, wanted("2030-01-01T00:00:00Z", "k\n"));
        assert_ne!(first, wanted("2031-01-01T00:00:00Z", "k"));
        assert_ne!(first, wanted("2030-01-01T00:00:00Z", "other"));
    }

    #[test]
    fn a_hook_is_another_when_what_its_secret_holds_is() {
        let yaml = "{apiVersion: headgate.dev/v1alpha1, kind: HookEndpoint, metadata: {name: b, namespace: n}, spec: {serverRefs: [{name: live}], dialect: SRS, urls: ['http://b/'], headers: [{name: X-A, valueFrom: {secretKeyRef: {name: s}}}]}}";
        let hook: HookEndpoint = serde_yaml::from_str(yaml).unwrap();
        let wanted = |secrets: &KeySecrets| attached(vec![]).wanted_hook(&hook, secrets);
        let first = wanted(&secrets("one"));
        assert_eq!(first, wanted(&secrets("one\n")));
        assert_ne!(first, wanted(&secrets("two")));
        assert!(
            wanted(&KeySecrets::default()).is_some_and(|d| Some(d) != first),
            "it stays, and is not called"
        );
    }

    #[test]
    fn an_object_says_that_its_server_is_being_deleted() {
        let said = |deleted: Option<&str>| {
            let mut attachment = attached(vec![]);
            let server = Arc::make_mut(attachment.server.as_mut().unwrap());
            let time = |t: &str| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(t.parse().unwrap());
            server.metadata.deletion_timestamp = deleted.map(time);
            let mut findings = [Finding::yes(ConditionType::ResolvedRefs, "Resolved", "m")];
            note_leaving(&mut findings, &[attachment]);
            (findings[0].status, findings[0].reason)
        };
        assert_eq!(said(None), (Some(true), "Resolved"));
        assert_eq!(said(Some("2027-01-01T12:00:00Z")), (Some(false), "ServerDeleting"));
    }

    #[test]
    fn what_is_on_its_way_is_passing_and_what_is_wrong_is_not() {
        let finding = |reason| Finding::no(ConditionType::Programmed, reason, "m");
        assert!(is_passing(&[finding("Pushing")], &[]));
        assert!(!is_passing(
            &[finding("BadGlob")],
            &[attached(vec![member(true, Some("x"))])]
        ));
        assert!(is_passing(&[], &[attached(vec![member(true, None)])]));
    }
}
