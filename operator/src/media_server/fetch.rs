//! The server, its children, its pods with what they report, and what is attached to it.

use crate::cache::Word;
use crate::context::{Context, now};
use crate::events::Note;
use crate::link::View;
use crate::names::{self, DRAIN_FINALIZER, FORCE_ANNOTATION, ObjectKey, SECRET_LABEL, SecretUse, annotation, label};
use crate::namespace;
use crate::node::{Standing, standing};
use crate::orphans::Survey;
use crate::runner::Error;
use crate::tls::{Material, Verdict};
use headgate_api::{HookEndpoint, MediaServer, MediaServerSpec, StreamKey};
use headgate_control::HookNetworks;
use headgate_resolve::{KeySource, Secrets, tls_secrets};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Certificates of servers that are gone are thrown away when there are more of them.
const CLIENTS_SPARE: usize = 64;

/// Everything that a reconcile of one server looks at.
pub struct Fetched {
    /// The server.
    pub server: Arc<MediaServer>,
    /// What stands under the names of its children, ours or not.
    pub children: Children,
    /// Its pods.
    pub pods: Vec<Linked>,
    /// Ordinals whose pods' names others hold.
    pub reserved: Vec<usize>,
    /// StreamKeys that name it.
    pub keys: Vec<Arc<StreamKey>>,
    /// HookEndpoints that name it.
    pub hooks: Vec<Arc<HookEndpoint>>,
    /// Where the keys are, and the certificates of listeners.
    pub secrets: KeySecrets,
    /// Of these, what listeners name.
    pub certificates: Vec<Arc<Secret>>,
    /// The CA that its pods are reached with, which outlives its Secret as long as this process does.
    pub remembered: Option<Material>,
    /// What pods that are gone have left behind.
    pub survey: Survey,
    /// Its streams come faster than they are shown, and how long that is still said.
    pub slowed: Option<Duration>,
    /// Somebody deleted it, or its namespace.
    pub farewell: Option<Farewell>,
    /// For pods whose server names no image.
    pub media_image: String,
    /// Where hooks may go.
    pub hook_networks: HookNetworks,
    /// Read once.
    pub now: Timestamp,
}

impl Fetched {
    /// The CA in force: the one in the Secret if it is good, else the one that is remembered, so that a Secret that somebody deleted or broke
    /// costs no pod its certificate.
    pub fn authority(&self) -> Option<Material> {
        let is_good = |m: &Material| Material::authority_verdict(Some(m), self.now) == Verdict::Keep;
        let kept = self.children.authority.as_deref().and_then(Material::of);
        if kept.as_ref().is_some_and(is_good) {
            return kept;
        }
        self.remembered.clone().filter(is_good).or(kept)
    }
}

/// How a server that is being deleted goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Its pods are drained first.
    Drain,
    /// It does not wait for anybody: it was asked not to.
    AtOnce,
    /// Nor then, and nothing waits for it: its whole namespace goes, perhaps with our right to let it go.
    WithNamespace,
}

/// What stands under the names of a server's children.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// `<name>-ca`.
    pub authority: Option<Arc<Secret>>,
    /// `<name>-pod`.
    pub pod_secret: Option<Arc<Secret>>,
    /// `<name>-pods`.
    pub headless: Option<Arc<Service>>,
    /// `<name>`.
    pub client: Option<Arc<Service>>,
    /// `<name>-publishers`.
    pub budget: Option<Arc<PodDisruptionBudget>>,
}

/// A pod, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Linked {
    /// As the API server knows it.
    pub pod: Arc<Pod>,
    /// As it reports; `None` when it is not linked yet.
    pub view: Option<View>,
    /// How its node stands.
    pub node: Standing,
    /// For how long it has drained without a publisher.
    pub quiet: Option<Duration>,
}

/// The Secrets that some StreamKeys, HookEndpoints and listeners of one namespace name.
#[derive(Clone, Debug, Default)]
pub struct KeySecrets(BTreeMap<String, Arc<Secret>>);

impl KeySecrets {
    /// Those that the watch knows.
    pub fn of(ctx: &Context, namespace: &str, keys: &[Arc<StreamKey>], hooks: &[Arc<HookEndpoint>]) -> Self {
        let keys = keys.iter().map(|k| k.spec.secret_ref.name.as_str());
        let hooks = hooks.iter().flat_map(|h| h.spec.secrets());
        let of_users = |s: &Arc<Secret>| SecretUse::is_of_users(label(s.as_ref(), SECRET_LABEL));
        keys.chain(hooks)
            .filter_map(|name| ctx.caches.secrets.get(&ObjectKey::new(namespace, name)))
            .filter(of_users)
            .collect()
    }

    /// With more of them.
    fn and(mut self, secrets: &[Arc<Secret>]) -> Self {
        self.0.extend(secrets.iter().map(|s| (s.name_any(), Arc::clone(s))));
        self
    }
}

impl FromIterator<Arc<Secret>> for KeySecrets {
    fn from_iter<T: IntoIterator<Item = Arc<Secret>>>(secrets: T) -> Self {
        Self(secrets.into_iter().map(|s| (s.name_any(), s)).collect())
    }
}

impl Secrets for KeySecrets {
    fn entry(&self, secret: &str, entry: &str) -> KeySource<'_> {
        let Some(secret) = self.0.get(secret) else {
            return KeySource::NoSecret;
        };
        let found = secret.data.as_ref().and_then(|d| d.get(entry));
        found.map_or(KeySource::NoEntry, |bytes| KeySource::Found(&bytes.0))
    }
}

/// `None` when there is no such server, or nothing holds it any more: the garbage collector takes its children away.
pub async fn fetch(ctx: &Context, key: &ObjectKey) -> Result<Option<Fetched>, Error> {
    let Some(server) = ctx.caches.servers.get(key) else {
        forget(ctx, key).await;
        return Ok(None);
    };
    let pods = linked(ctx, &server).await?;
    let farewell = farewell(ctx, &server, &pods).await?;
    let is_held = server.finalizers().iter().any(|f| f == DRAIN_FINALIZER);
    let is_over = farewell != Some(Farewell::WithNamespace) || pods.is_empty();
    if farewell.is_some() && !is_held && is_over {
        return Ok(None);
    }
    let attached = Word::server(&key.name);
    let keys = ctx.caches.keys.find(&key.namespace, &attached);
    let hooks = ctx.caches.hooks.find(&key.namespace, &attached);
    let children = children(ctx, key).await?;
    let certificates = certificates(ctx, &server).await?;
    let seen = pods.iter().map(|l| (l.pod.as_ref(), l.view.as_ref()));
    Ok(Some(Fetched {
        survey: ctx.orphans.survey(ctx, &server, seen).await?,
        slowed: ctx.flow.slowed(key, Instant::now()),
        remembered: ctx
            .clients
            .authority(server.metadata.uid.as_deref().unwrap_or_default()),
        children,
        pods,
        reserved: reserved(ctx, &server),
        secrets: KeySecrets::of(ctx, &key.namespace, &keys, &hooks).and(&certificates),
        certificates,
        keys,
        hooks,
        farewell,
        media_image: ctx.media_image.clone(),
        hook_networks: ctx.hook_networks.clone(),
        now: now(),
        server,
    }))
}

async fn forget(ctx: &Context, key: &ObjectKey) {
    ctx.links.forget(key);
    if let Some((sessions, uid)) = ctx.orphans.forget(key) {
        tracing::warn!(server = %key, sessions, "the MediaServer is gone: nobody closes the sessions that its pods left behind");
        let mut gone = MediaServer::new(&key.name, MediaServerSpec::default());
        gone.metadata.namespace = Some(key.namespace.clone());
        gone.metadata.uid = Some(uid);
        ctx.events.publish(&gone, &[dropped(sessions)]).await;
    }
    tidy_clients(ctx);
}

/// Throws client certificates of servers that are gone away, when there are some.
pub fn tidy_clients(ctx: &Context) {
    let servers = ctx.caches.servers.keys();
    if ctx.clients.count() <= servers.len().saturating_add(CLIENTS_SPARE) {
        return;
    }
    let uids: HashSet<String> = servers
        .iter()
        .filter_map(|k| ctx.caches.servers.get(k)?.uid())
        .collect();
    ctx.clients.retain(|uid| uids.contains(uid));
}

fn dropped(sessions: usize) -> Note {
    Note {
        warning: true,
        reason: "SessionsDropped".into(),
        message: format!(
            "deleted before another pod could close what lost pods had left: {sessions} sessions get no closing event"
        ),
        action: "CloseSessions",
    }
}

async fn children(ctx: &Context, key: &ObjectKey) -> Result<Children, Error> {
    Ok(Children {
        authority: secret(ctx, key.sibling(names::authority_secret(&key.name))).await?,
        pod_secret: secret(ctx, key.sibling(names::pod_secret(&key.name))).await?,
        headless: service(ctx, key.sibling(names::headless_service(&key.name))).await?,
        client: service(ctx, key.clone()).await?,
        budget: budget(ctx, key.sibling(names::budget(&key.name))).await?,
    })
}

/// A namespace that is being deleted loses its pods first, and its servers only when no pod is left: so that is asked of a server that
/// nobody has deleted, too.
async fn farewell(ctx: &Context, server: &MediaServer, pods: &[Linked]) -> Result<Option<Farewell>, Error> {
    let is_deleted = server.metadata.deletion_timestamp.is_some();
    let is_forced = annotation(server, FORCE_ANNOTATION) == Some("true") || server.spec.drain.deadline_seconds == 0;
    let suspect = is_deleted || pods.iter().any(|l| l.pod.metadata.deletion_timestamp.is_some());
    if namespace::is_leaving(ctx, &server.namespace().unwrap_or_default(), suspect).await? {
        return Ok(Some(Farewell::WithNamespace));
    }
    let how = if is_forced { Farewell::AtOnce } else { Farewell::Drain };
    Ok(is_deleted.then_some(how))
}

/// From the cache; where it knows none, one that carries no label of ours may yet hold the name.
async fn secret(ctx: &Context, key: ObjectKey) -> Result<Option<Arc<Secret>>, Error> {
    match ctx.caches.secrets.get(&key) {
        Some(known) => Ok(Some(known)),
        None => Ok(ctx.cluster.get::<Secret>(&key).await?.map(Arc::new)),
    }
}

/// Those that listeners name and that are there. A Secret of ours is none: its key is not for clients.
async fn certificates(ctx: &Context, server: &MediaServer) -> Result<Vec<Arc<Secret>>, Error> {
    let mut found = Vec::new();
    for name in tls_secrets(&server.spec) {
        let secret = secret(ctx, ObjectKey::of(server).sibling(name)).await?;
        let label = secret.as_ref().map(|s| label(s.as_ref(), SECRET_LABEL));
        if label.is_some_and(|label| label.is_none() || SecretUse::is_of_users(label)) {
            found.extend(secret);
        }
    }
    Ok(found)
}

async fn service(ctx: &Context, key: ObjectKey) -> Result<Option<Arc<Service>>, Error> {
    match ctx.caches.services.get(&key) {
        Some(known) => Ok(Some(known)),
        None => Ok(ctx.cluster.get::<Service>(&key).await?.map(Arc::new)),
    }
}

async fn budget(ctx: &Context, key: ObjectKey) -> Result<Option<Arc<PodDisruptionBudget>>, Error> {
    match ctx.caches.budgets.get(&key) {
        Some(known) => Ok(Some(known)),
        None => Ok(ctx.cluster.get::<PodDisruptionBudget>(&key).await?.map(Arc::new)),
    }
}

async fn linked(ctx: &Context, server: &MediaServer) -> Result<Vec<Linked>, Error> {
    let mut all = Vec::new();
    for pod in ctx.caches.pods_of(server) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let view = ctx.links.view(&ObjectKey::of(pod.as_ref()), &uid);
        all.push(Linked {
            node: standing(ctx, &pod).await?,
            quiet: view.as_ref().and_then(|v| v.quiet).map(|since| since.elapsed()),
            view,
            pod,
        });
    }
    Ok(all)
}

/// Pods of an earlier server of this name that are not gone yet.
fn reserved(ctx: &Context, server: &MediaServer) -> Vec<usize> {
    let key = ObjectKey::of(server);
    let uid = server.metadata.uid.as_deref().unwrap_or_default();
    let named = ctx.caches.pods.find(&key.namespace, &Word::server(&key.name));
    named
        .iter()
        .filter(|pod| !names::is_owned_by(pod.as_ref(), uid))
        .filter_map(|pod| names::ordinal(&key.name, &pod.name_any()))
        .collect()
}
