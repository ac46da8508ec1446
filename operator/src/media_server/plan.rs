//! What a server needs: certificates, configuration, Services, pods. Pure.

mod pod;
mod secret;
mod service;

#[cfg(test)]
pub use pod::revision;
pub use secret::{authority_secret, pod_secret};

use super::choose::{Choice, Phase, PodState, choose};
use super::fetch::{Fetched, Linked};
use super::validate::Valid;
use crate::cluster::covers;
use crate::names::{self, APPLIED_ANNOTATION, ObjectKey, REVISION_LABEL, label};
use crate::tls::{Material, Verdict};
use headgate_api::MediaServer;
use headgate_control::{Orphan, PodConfig, pod_tls_name};
use headgate_resolve::{Surroundings, pod_config};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A pod that ended is taken away only after this time, so that one that ends at once does not do so many times a second.
pub const ENDED_SECONDS: i64 = 10;

/// What to do about a server.
pub struct Planned {
    /// What it follows from.
    pub valid: Valid,
    /// `None` when nothing may be written: what runs stays as it is.
    pub work: Option<Work>,
}

/// What to write.
pub struct Work {
    /// Whether another CA is needed.
    pub authority: Verdict,
    /// Whether the pods need another certificate.
    pub certificate: Verdict,
    /// What the pods should run.
    pub config: PodConfig,
    /// What one that starts anew runs until it is told more. Without orphans: these are handed over by word, and only once.
    pub first_config: PodConfig,
    /// Services that are not as they should be, with whether one of ours is there already.
    pub services: Vec<(Service, bool)>,
    /// Pods to make.
    pub create: Vec<Pod>,
    /// Pods to take away.
    pub delete: Vec<Arc<Pod>>,
    /// Whence these.
    pub choice: Choice,
}

/// Decides what to write.
pub fn plan(valid: Valid) -> Planned {
    let server = valid.fetched.server.clone();
    let name = server.name_any();
    let secrets = [names::authority_secret(&name), names::pod_secret(&name)];
    let stands = valid.invalid.is_none() && secrets.iter().all(|s| valid.may_write("Secret", s));
    let work = stands.then(|| work(&valid, &server));
    Planned { valid, work }
}

fn work(valid: &Valid, server: &MediaServer) -> Work {
    let fetched = &valid.fetched;
    let (authority, certificate) = certificates(fetched, server);
    let choice = choose(
        &states(fetched),
        &fetched.reserved,
        usize::try_from(server.spec.replicas).unwrap_or(0),
    );
    let name = server.name_any();
    let create = choice.create.iter();
    let create = create.map(|ordinal| pod::pod(server, names::pod(&name, *ordinal), &fetched.media_image));
    let goes = |pod: &Pod| {
        let ordinal = names::ordinal(&name, &pod.name_any());
        choice.delete.iter().any(|(o, _)| Some(*o) == ordinal)
    };
    let pods = fetched.pods.iter().map(|l| &l.pod);
    Work {
        authority,
        certificate,
        config: config_for(fetched, fetched.survey.orphans.clone()),
        first_config: config_for(fetched, vec![]),
        services: services(valid, server),
        create: create.collect(),
        delete: pods.filter(|p| goes(p)).cloned().collect(),
        choice,
    }
}

/// The configuration of the server's pods.
pub fn config_for(fetched: &Fetched, orphans: Vec<Orphan>) -> PodConfig {
    let surroundings = Surroundings {
        orphans,
        ..Surroundings::default()
    };
    pod_config(
        &fetched.server,
        fetched.keys.iter().map(AsRef::as_ref),
        fetched.hooks.iter().map(AsRef::as_ref),
        &fetched.secrets,
        surroundings,
    )
}

fn certificates(fetched: &Fetched, server: &MediaServer) -> (Verdict, Verdict) {
    let key = ObjectKey::of(server);
    let authority = fetched.children.authority.as_deref().and_then(Material::of);
    let leaf = fetched.children.pod_secret.as_deref().and_then(Material::of);
    let first = Material::authority_verdict(authority.as_ref(), fetched.now);
    let second = match first {
        Verdict::Issue(_) => Verdict::Issue("OtherAuthority"),
        Verdict::Keep => Material::leaf_verdict(
            leaf.as_ref(),
            authority.as_ref(),
            &pod_tls_name(&key.namespace, &key.name),
            fetched.now,
        ),
    };
    (first, second)
}

fn services(valid: &Valid, server: &MediaServer) -> Vec<(Service, bool)> {
    let children = &valid.fetched.children;
    let planned = [
        (service::headless(server), children.headless.as_deref()),
        (service::client(server), children.client.as_deref()),
    ];
    let planned = planned
        .into_iter()
        .filter(|(s, _)| valid.may_write("Service", &s.name_any()));
    planned
        .filter_map(|(service, live)| {
            let service = stamped(service);
            needs_write(live, &service).then_some((service, live.is_some()))
        })
        .collect()
}

fn states(fetched: &Fetched) -> Vec<PodState> {
    let wanted = pod::revision(&fetched.server);
    let name = fetched.server.name_any();
    let one = |linked: &Linked| {
        Some(PodState {
            ordinal: names::ordinal(&name, &linked.pod.name_any())?,
            phase: phase(&linked.pod, fetched.now),
            outdated: label(linked.pod.as_ref(), REVISION_LABEL) != Some(&wanted),
            busy: is_busy(linked),
        })
    };
    fetched.pods.iter().filter_map(one).collect()
}

fn phase(pod: &Pod, now: Timestamp) -> Phase {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let made = pod.metadata.creation_timestamp.as_ref().map_or(0, |t| t.0.as_second());
    if pod.metadata.deletion_timestamp.is_some() {
        Phase::Deleting
    } else if !matches!(phase, Some("Failed" | "Succeeded")) {
        if super::is_ready(pod) {
            Phase::Ready
        } else {
            Phase::Starting
        }
    } else if now.as_second().saturating_sub(made) < ENDED_SECONDS {
        Phase::EndedNow
    } else {
        Phase::Ended
    }
}

/// Has a publisher by its last report. Without any report nobody can tell of one whose container runs.
fn is_busy(linked: &Linked) -> bool {
    match linked.view.as_ref().and_then(|v| v.report.as_ref()) {
        Some(report) => !report.streams.is_empty(),
        None => is_running(&linked.pod),
    }
}

fn is_running(pod: &Pod) -> bool {
    let containers = pod.status.as_ref().and_then(|s| s.container_statuses.as_deref());
    let running =
        |c: &k8s_openapi::api::core::v1::ContainerStatus| c.state.as_ref().is_some_and(|s| s.running.is_some());
    containers.unwrap_or_default().iter().any(running)
}

/// A short hash of anything.
pub fn hash(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(json)).chars().take(10).collect()
}

/// The object with the hash of itself in an annotation.
pub fn stamped<K: Resource + Serialize>(mut object: K) -> K {
    let hash = hash(&object);
    object.annotations_mut().insert(APPLIED_ANNOTATION.into(), hash);
    object
}

/// Whether what is there is not what was planned: made from another plan, or edited since.
pub fn needs_write<K: Resource + Serialize>(live: Option<&K>, planned: &K) -> bool {
    let Some(live) = live else { return true };
    let stamp = |o: &K| o.annotations().get(APPLIED_ANNOTATION).cloned();
    let json = |o: &K| serde_json::to_value(o).unwrap_or_default();
    stamp(live) != stamp(planned) || !covers(&json(live), &json(planned))
}

#[cfg(test)]
mod tests;
