//! Who wakes whom: from a change of one object to the objects whose reconcile looks at it.

use crate::cache::{Cache, Change, Kept, Word, intent};
use crate::context::{Caches, Queues};
use crate::link::Changes;
use crate::names::{FORCE_ANNOTATION, ObjectKey, SERVER_LABEL, annotation, label};
use crate::node::Standing;
use crate::queue::Queue;
use headgate_api::{HookEndpoint, MediaServer, ObjectRef, Stream, StreamKey};
use headgate_resolve::REPLAY_ANNOTATION;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Turns changes into entries of the queues.
#[derive(Clone, Debug)]
pub struct Routes {
    /// To find who refers to what changed.
    pub caches: Caches,
    /// Where to put them.
    pub queues: Queues,
    /// Whether changes matter: who does not lead looks at everything when it begins to.
    pub open: Arc<AtomicBool>,
}

impl Routes {
    /// Whether changes are of any concern now.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// From now on they are, or are not.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    /// A MediaServer concerns itself; its keys and hooks only when more than its status changed.
    pub fn server(&self, change: &Change<MediaServer>) {
        let Some(key) = key(change) else { return };
        // That somebody does not want to wait for publishers any more is no change of the spec.
        let forced = |s: &MediaServer| annotation(s, FORCE_ANNOTATION).map(str::to_owned);
        if change.differs(intent) || change.differs(forced) {
            self.queues.servers.add(key.clone());
            self.attached(&key);
        } else if change.differs(|s| s.status.as_ref().map(|s| s.addresses.clone())) {
            self.attached(&key);
        }
    }

    /// A StreamKey concerns itself and the servers it names or named.
    pub fn stream_key(&self, change: &Change<StreamKey>) {
        if change.differs(intent) {
            self.attachment(change, &self.queues.keys, |k| &k.spec.server_refs);
        }
    }

    /// A HookEndpoint likewise. What its annotation wishes is no change of the spec.
    pub fn hook(&self, change: &Change<HookEndpoint>) {
        let wish = |h: &HookEndpoint| annotation(h, REPLAY_ANNOTATION).map(str::to_owned);
        if change.differs(intent) || change.differs(wish) {
            self.attachment(change, &self.queues.hooks, |h| &h.spec.server_refs);
        }
    }

    /// A Stream concerns itself. Its generation counts what we write, too.
    pub fn stream(&self, change: &Change<Stream>) {
        let intent = |s: &Stream| {
            (
                s.metadata.uid.clone(),
                s.metadata.deletion_timestamp.is_some(),
                s.metadata.finalizers.clone(),
            )
        };
        if change.differs(intent)
            && let Some(key) = key(change)
        {
            self.queues.streams.add(key);
        }
    }

    /// A pod concerns its server; the keys and hooks when it becomes ready or is no longer.
    pub fn pod(&self, change: &Change<Pod>) {
        let Some(server) = server_of(change) else {
            return;
        };
        if change.differs(crate::media_server::is_ready) {
            self.attached(&server);
        }
        self.queues.servers.add(server);
    }

    /// A Service concerns its server.
    pub fn service(&self, change: &Change<Service>) {
        if let Some(server) = server_of(change) {
            self.queues.servers.add(server);
        }
    }

    /// A budget concerns its server.
    pub fn budget(&self, change: &Change<PodDisruptionBudget>) {
        if let Some(server) = server_of(change) {
            self.queues.servers.add(server);
        }
    }

    /// A node concerns the servers that have pods on it, when it stands otherwise than before.
    pub fn node(&self, change: &Change<Node>) {
        let Some(node) = key(change).filter(|_| change.differs(Standing::of)) else {
            return;
        };
        for pod in self.caches.pods.find_all(&Word::node(&node.name)) {
            if let Some(server) = label(pod.as_ref(), SERVER_LABEL) {
                self.queues.servers.add(ObjectKey::of(pod.as_ref()).sibling(server));
            }
        }
    }

    /// A namespace concerns the servers and streams in it when somebody deletes it.
    pub fn namespace(&self, change: &Change<Namespace>) {
        let Some(namespace) = key(change).filter(|_| change.differs(crate::namespace::goes)) else {
            return;
        };
        for server in self.caches.servers.keys_in(&namespace.name) {
            self.queues.servers.add(server);
        }
        for stream in self.caches.streams.keys_in(&namespace.name) {
            self.queues.streams.add(stream);
        }
    }

    /// A Secret concerns its server and those whose listeners name it, or the keys and hooks that name it and their servers.
    pub fn secret(&self, change: &Change<Secret>) {
        if let Some(server) = server_of(change) {
            self.queues.servers.add(server);
        }
        let Some(secret) = key(change) else { return };
        let named = Word::secret(&secret.name);
        for server in self.caches.servers.find_keys(&secret.namespace, &named) {
            self.queues.servers.add(server);
        }
        for stream_key in self.caches.keys.find(&secret.namespace, &named) {
            self.queues.keys.add(ObjectKey::of(stream_key.as_ref()));
            self.servers_of(&secret, &stream_key.spec.server_refs);
        }
        for hook in self.caches.hooks.find(&secret.namespace, &named) {
            self.queues.hooks.add(ObjectKey::of(hook.as_ref()));
            self.servers_of(&secret, &hook.spec.server_refs);
        }
    }

    /// What a pod of `server` reported.
    pub fn report(&self, server: &ObjectKey, changes: Changes) {
        if changes.server {
            self.queues.servers.add(server.clone());
        }
        if changes.everything {
            self.attached(server);
            // Also those that the pod does not speak of: they ended while nobody listened.
            let word = Word::server(&server.name);
            for stream in self.caches.streams.find_keys(&server.namespace, &word) {
                self.queues.streams.add(stream);
            }
        }
        let sibling = |name: String| server.sibling(name);
        // A pod may name what there is not.
        let keys = changes.keys.into_iter().map(sibling);
        keys.filter(|k| self.caches.keys.has(k))
            .for_each(|k| self.queues.keys.add(k));
        let hooks = changes.hooks.into_iter().map(sibling);
        hooks
            .filter(|k| self.caches.hooks.has(k))
            .for_each(|k| self.queues.hooks.add(k));
        changes
            .streams
            .into_iter()
            .map(sibling)
            .for_each(|k| self.queues.streams.add(k));
    }

    /// Every server: this process leads from now on. What belongs to a server is looked at when its pods are heard of.
    pub fn servers(&self) {
        self.servers_to(&self.queues.servers);
    }

    /// Every server into one queue.
    pub fn servers_to(&self, queue: &Queue) {
        self.caches
            .servers
            .keys()
            .into_iter()
            .for_each(|server| queue.add(server));
    }

    /// What concerns one who does not lead: the pods of a server, and how they are reached.
    pub fn stand_by<K: Resource>(&self, change: &Change<K>) {
        if let Some(server) = server_of(change) {
            self.queues.ledgers.add(server);
        }
    }

    /// Everything but what belongs to a server for which `is_heard` holds.
    pub fn rest(&self, is_heard: impl Fn(&ObjectKey) -> bool) {
        let (caches, queues) = (&self.caches, &self.queues);
        let heard: Vec<ObjectKey> = caches.servers.keys().into_iter().filter(|k| is_heard(k)).collect();
        rest(&caches.keys, &queues.keys, &heard);
        rest(&caches.hooks, &queues.hooks, &heard);
        rest(&caches.streams, &queues.streams, &heard);
    }

    /// One of `of` parts of everything. An object is always in the same one.
    pub fn slice(&self, number: u64, of: u64) {
        let (caches, queues) = (&self.caches, &self.queues);
        let add = |keys: Vec<ObjectKey>, queue: &Queue| {
            let chosen = keys.into_iter().filter(|k| part(k, of) == number);
            chosen.for_each(|k| queue.add(k));
        };
        add(caches.servers.keys(), &queues.servers);
        add(caches.keys.keys(), &queues.keys);
        add(caches.hooks.keys(), &queues.hooks);
        add(caches.streams.keys(), &queues.streams);
    }

    fn servers_of(&self, sibling: &ObjectKey, refs: &[ObjectRef]) {
        for server in refs {
            self.queues.servers.add(sibling.sibling(&server.name));
        }
    }

    fn attached(&self, server: &ObjectKey) {
        let word = Word::server(&server.name);
        for key in self.caches.keys.find_keys(&server.namespace, &word) {
            self.queues.keys.add(key);
        }
        for hook in self.caches.hooks.find_keys(&server.namespace, &word) {
            self.queues.hooks.add(hook);
        }
    }

    fn attachment<K: Resource>(&self, change: &Change<K>, own: &Queue, refs: impl Fn(&K) -> &Vec<ObjectRef>) {
        let Some(key) = key(change) else { return };
        for server in change.both().flat_map(|o| refs(o)) {
            self.queues.servers.add(key.sibling(&server.name));
        }
        own.add(key);
    }
}

fn server_of<K: Resource>(change: &Change<K>) -> Option<ObjectKey> {
    let key = key(change)?;
    let server = change.both().find_map(|o| label(o.as_ref(), SERVER_LABEL))?;
    Some(key.sibling(server))
}

fn rest<K: Kept>(cache: &Cache<K>, queue: &Queue, heard: &[ObjectKey]) {
    let mut rest: HashSet<ObjectKey> = cache.keys().into_iter().collect();
    for server in heard {
        for key in cache.find_keys(&server.namespace, &Word::server(&server.name)) {
            rest.remove(&key);
        }
    }
    for key in rest {
        queue.add(key);
    }
}

fn part(key: &ObjectKey, of: u64) -> u64 {
    let mut hash = DefaultHasher::new();
    key.hash(&mut hash);
    hash.finish().checked_rem(of).unwrap_or(0)
}

fn key<K: Resource>(change: &Change<K>) -> Option<ObjectKey> {
    change.both().next().map(|o| ObjectKey::of(o.as_ref()))
}

#[cfg(test)]
mod tests;
