//! What a server needs: certificates, configuration, Services, pods. Pure.

mod budget;
mod fleet;
mod pod;
mod secret;
mod service;
mod states;

pub use fleet::{Mark, Removal, address, publishers};
pub use pod::revision;
pub use secret::{authority_secret, pod_secret, seal};
pub use states::deadline;

use super::choose::{Choice, Target, choose};
use super::fetch::{Farewell, Fetched};
use super::validate::Valid;
use crate::cache::Slim as _;
use crate::cluster::covers;
use crate::link::Wish;
use crate::names::{self, APPLIED_ANNOTATION, DRAIN_FINALIZER, ObjectKey};
use crate::tls::{Material, Verdict};
use headgate_api::MediaServer;
use headgate_control::{Orphan, PodConfig, pod_tls_name};
use headgate_resolve::{KnownKey, Surroundings, forget_previous, keep_previous, known_keys, overlaps, pod_config};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// A Secret holds at most 1 MiB; this much is left for a configuration.
pub const CONFIG_MAX: usize = 1_000_000;
/// Entry of the pods' Secret with [`keys_file`]. Pods do not read it.
pub const KEYS_FILE: &str = "keys.json";
/// After its deadline a server that is being deleted waits so many seconds more for its pods to be gone.
const LAST_SECONDS: i64 = 60;
/// Between two looks at pods whose time is about over.
const AGAIN: Duration = Duration::from_millis(500);

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
    /// The budget, when it is not as it should be, with whether one of ours is there already.
    pub budget: Option<(PodDisruptionBudget, bool)>,
    /// What to do about our finalizer.
    pub finalizer: Finalizer,
    /// What to write down on pods.
    pub marks: Vec<Mark>,
    /// What to tell pods, by name.
    pub wishes: BTreeMap<String, Wish>,
    /// Pods to make.
    pub create: Vec<Pod>,
    /// Pods to take away.
    pub delete: Vec<Removal>,
    /// Whence these.
    pub choice: Choice,
    /// When something happens by itself.
    pub next: Option<Duration>,
}

/// What to do about our finalizer on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finalizer {
    /// It is as it should be.
    Leave,
    /// Put it on, before there is anything that must drain.
    Add,
    /// Take it off: nothing is left to wait for.
    Remove,
}

/// Decides what to write.
pub fn plan(valid: Valid) -> Planned {
    let server = valid.fetched.server.clone();
    let name = server.name_any();
    let secrets = [names::authority_secret(&name), names::pod_secret(&name)];
    let stands = valid.invalid.is_none() && secrets.iter().all(|s| valid.may_write("Secret", s));
    let work = match valid.fetched.farewell {
        Some(farewell) => Some(goodbye(&valid.fetched, farewell)),
        None => stands.then(|| work(&valid, &server)),
    };
    Planned { valid, work }
}

fn work(valid: &Valid, server: &MediaServer) -> Work {
    let fetched = &valid.fetched;
    let (authority, certificate) = certificates(fetched, server);
    let replicas = usize::try_from(server.spec.replicas).unwrap_or(0);
    let name = server.name_any();
    let held = server.finalizers().iter().any(|f| f == DRAIN_FINALIZER);
    let mut work = pods(fetched, replicas);
    work.authority = authority;
    work.certificate = certificate;
    work.services = services(valid, server);
    work.budget = budget_for(valid, server);
    work.finalizer = if held { Finalizer::Leave } else { Finalizer::Add };
    let create = work.choice.create.iter();
    let create = create.map(|ordinal| pod::pod(server, names::pod(&name, *ordinal), &fetched.media_image));
    work.create = create.collect();
    work
}

/// Nothing is made any more; pods go as they do for a smaller number.
fn goodbye(fetched: &Fetched, farewell: Farewell) -> Work {
    let mut work = pods(fetched, 0);
    let deleted = fetched.server.metadata.deletion_timestamp.as_ref();
    let deleted = deleted.map_or(0, |t| t.0.as_second());
    let limit = i64::from(fetched.server.spec.drain.deadline_seconds).saturating_add(LAST_SECONDS);
    let late = fetched.now.as_second().saturating_sub(deleted).saturating_sub(limit);
    let leaving = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let is_over = match farewell {
        Farewell::Drain => fetched.pods.iter().all(|l| late > 0 && leaving(&l.pod)),
        Farewell::AtOnce | Farewell::WithNamespace => {
            work.delete = fleet::all_at_once(fetched);
            work.wishes = fleet::all_leave_now(fetched);
            work.marks.clear();
            let over = fleet::when_over(fetched);
            work.next = over.map(|wait| wait.max(AGAIN));
            over.is_none() || farewell == Farewell::WithNamespace
        }
    };
    let is_held = fetched.server.finalizers().iter().any(|f| f == DRAIN_FINALIZER);
    if is_over && is_held {
        work.finalizer = Finalizer::Remove;
    } else if farewell == Farewell::Drain && late <= 0 {
        let left = u64::try_from(late.saturating_neg()).unwrap_or(0).saturating_add(1);
        work.next = [work.next, Some(Duration::from_secs(left))].into_iter().flatten().min();
    }
    work
}

/// What becomes of the pods that are there.
fn pods(fetched: &Fetched, replicas: usize) -> Work {
    let target = Target {
        replicas,
        reserved: &fetched.reserved,
    };
    let choice = choose(&states::states(fetched), &target);
    let fleet = fleet::Fleet {
        fetched,
        choice: &choice,
    };
    Work {
        authority: Verdict::Keep,
        certificate: Verdict::Keep,
        config: config_for(fetched, fetched.survey.orphans.clone()),
        first_config: config_for(fetched, vec![]),
        services: Vec::new(),
        budget: None,
        finalizer: Finalizer::Leave,
        marks: fleet.marks(),
        wishes: fleet.wishes(),
        create: Vec::new(),
        delete: fleet.removals(),
        next: states::next(fetched),
        choice,
    }
}

/// The configuration of the server's pods.
pub fn config_for(fetched: &Fetched, orphans: Vec<Orphan>) -> PodConfig {
    let surroundings = Surroundings {
        orphans,
        peers: fleet::peers(fetched),
        hook_networks: fetched.hook_networks.clone(),
    };
    let keys = || fetched.keys.iter().map(AsRef::as_ref);
    let mut config = pod_config(
        &fetched.server,
        keys(),
        fetched.hooks.iter().map(AsRef::as_ref),
        &fetched.secrets,
        surroundings,
    );
    if overlaps(keys()) {
        keep_previous(&mut config, &keys_before(fetched), keys(), fetched.now);
        // What does not go into the Secret is not known the next time: it would begin anew again and again.
        let beside = keys_file(fetched, &config).map_or(0, |json| json.len());
        if serde_json::to_vec(&config).is_ok_and(|json| json.len().saturating_add(beside) > CONFIG_MAX) {
            forget_previous(&mut config);
        }
    }
    config
}

/// The keys that were in force until now.
fn keys_before(fetched: &Fetched) -> Vec<KnownKey> {
    let secret = fetched.children.pod_secret.as_ref();
    let data = secret.and_then(|s| s.data.as_ref()?.get(KEYS_FILE));
    data.and_then(|json| serde_json::from_slice(&json.0).ok())
        .unwrap_or_default()
}

/// What must be known of the keys of `config` the next time; `None` where it is nothing.
pub fn keys_file(fetched: &Fetched, config: &PodConfig) -> Option<Vec<u8>> {
    let known = known_keys(config, fetched.keys.iter().map(AsRef::as_ref));
    let json = serde_json::to_vec(&known).ok();
    json.filter(|_| !known.is_empty())
}

fn certificates(fetched: &Fetched, server: &MediaServer) -> (Verdict, Verdict) {
    let key = ObjectKey::of(server);
    let authority = fetched.authority();
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

fn budget_for(valid: &Valid, server: &MediaServer) -> Option<(PodDisruptionBudget, bool)> {
    let live = valid.fetched.children.budget.as_deref();
    let planned = stamped(budget::budget(server));
    let may = valid.may_write("PodDisruptionBudget", &planned.name_any());
    (may && needs_write(live, &planned)).then(|| (planned, live.is_some()))
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

/// The same of a Secret, of which less is kept than is written.
pub fn secret_needs_write(live: Option<&Secret>, planned: &Secret) -> bool {
    let slim = |secret: &Secret| {
        let mut slim = secret.clone();
        slim.slim();
        slim
    };
    needs_write(live.map(slim).as_ref(), &slim(planned))
}

#[cfg(test)]
mod tests;
