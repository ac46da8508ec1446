//! One cache a kind, fed by one watch, read by every reconciler.
//!
//! Objects are slimmed and packed before they are kept, and found by name or by what they have to do with. One that cannot be read
//! is counted and passed over: what was known of it before stays, and nobody else's watch suffers.

mod feed;
mod guard;
mod packed;
mod patience;
mod recent;
mod shelf;
mod slim;
mod words;

pub use feed::{ListTurns, Scope, global_watch, watch};
pub use slim::{Slim, digest};
pub use words::{Word, Worded};

use crate::names::ObjectKey;
use kube::Resource;
use packed::{Dictionary, Packed};
use parking_lot::{Mutex, RwLock};
use recent::Recent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shelf::Shelf;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The objects of one kind that match the watch's selector, packed: a reader gets one of its own.
#[derive(Debug)]
pub struct Cache<K> {
    store: RwLock<Store>,
    /// Read and filled under the store's lock, so that it is never behind.
    recent: Recent<K>,
    /// What objects were before a write's answer that told of more than the write, until the watch has told of it. Locked within the store's lock.
    unseen: Mutex<HashMap<ObjectKey, Arc<K>>>,
    synced: AtomicBool,
}

#[derive(Debug, Default)]
struct Store {
    shelves: HashMap<String, Shelf>,
    dictionary: Dictionary,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            store: RwLock::default(),
            recent: Recent::default(),
            unseen: Mutex::default(),
            synced: AtomicBool::new(false),
        }
    }
}

/// What somebody wants of an object, as far as its metadata tells: another uid, generation, deletion or list of finalizers is another wish.
pub fn intent<K: Resource>(object: &K) -> (Option<String>, Option<i64>, bool, Option<Vec<String>>) {
    let meta = object.meta();
    (
        meta.uid.clone(),
        meta.generation,
        meta.deletion_timestamp.is_some(),
        meta.finalizers.clone(),
    )
}

/// What an event did to one object.
#[derive(Debug)]
pub struct Change<K> {
    /// As it was known before.
    pub old: Option<Arc<K>>,
    /// As it is now; `None` when it is gone.
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// Both, where they are.
    pub fn both(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(&self.new)
    }

    /// Whether what `look` sees of the object is another than before.
    pub fn differs<T: PartialEq>(&self, look: impl Fn(&K) -> T) -> bool {
        self.old.as_deref().map(&look) != self.new.as_deref().map(&look)
    }
}

impl<K: Kept> Cache<K> {
    /// Whether everything there was has been read once.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let store = self.store.read();
        let packed = store.shelves.get(&key.namespace)?.get(&key.name)?;
        self.read(&key.namespace, &key.name, packed)
    }

    fn read(&self, namespace: &str, name: &str, packed: &Packed) -> Option<Arc<K>> {
        self.recent.get(namespace, name, || unpack(packed))
    }

    /// Whether there is one.
    pub fn has(&self, key: &ObjectKey) -> bool {
        let store = self.store.read();
        store
            .shelves
            .get(&key.namespace)
            .is_some_and(|s| s.get(&key.name).is_some())
    }

    /// Those of a namespace that have a word, by name.
    pub fn find(&self, namespace: &str, word: &Word) -> Vec<Arc<K>> {
        let store = self.store.read();
        let shelf = store.shelves.get(namespace);
        let found = shelf.into_iter().flat_map(|s| s.with(word));
        found
            .filter_map(|(name, packed)| self.read(namespace, name, packed))
            .collect()
    }

    /// Those of all namespaces that have a word.
    pub fn find_all(&self, word: &Word) -> Vec<Arc<K>> {
        let store = self.store.read();
        let found = store.shelves.values().flat_map(|s| s.with(word));
        found.filter_map(|(_, packed)| unpack(packed)).collect()
    }

    /// The keys of those of a namespace that have a word, by name.
    pub fn find_keys(&self, namespace: &str, word: &Word) -> Vec<ObjectKey> {
        let store = self.store.read();
        let shelf = store.shelves.get(namespace);
        let found = shelf.into_iter().flat_map(|s| s.names_with(word));
        found.map(|name| ObjectKey::new(namespace, name)).collect()
    }

    /// The keys of those of a namespace, by name.
    pub fn keys_in(&self, namespace: &str) -> Vec<ObjectKey> {
        let store = self.store.read();
        let shelf = store.shelves.get(namespace);
        let names = shelf.into_iter().flat_map(Shelf::names);
        names.map(|name| ObjectKey::new(namespace, name)).collect()
    }

    /// How many have a word, in all namespaces.
    pub fn count(&self, word: &Word) -> usize {
        let store = self.store.read();
        store.shelves.values().map(|s| s.names_with(word).count()).sum()
    }

    /// The keys of all.
    pub fn keys(&self) -> Vec<ObjectKey> {
        let store = self.store.read();
        let all = store
            .shelves
            .iter()
            .flat_map(|(ns, shelf)| shelf.names().map(move |n| ObjectKey::new(ns, n)));
        all.collect()
    }

    /// A newer version of an object that is known: what a write answered. Never brings one back that is gone. When somebody else's edit came between,
    /// the answer has it too, and the watch will have nothing newer: what the object was before is kept, so that the edit is not passed over.
    pub fn refresh(&self, mut object: K) {
        object.slim();
        let key = ObjectKey::of(&object);
        let mut store = self.store.write();
        if let Some(known) = store.get::<K>(&key)
            && is_newer(&object, known.as_ref())
        {
            store.put(&key, &object, Some(known.as_ref()));
            self.recent.forget(&key);
            if intent(known.as_ref()) != intent(&object) {
                self.unseen.lock().entry(key).or_insert(known);
            }
        }
    }

    /// What somebody was answered who asks for all that there is again and again: there is no watch.
    pub fn asked(&self, mut object: K) -> Option<Change<K>> {
        object.slim();
        let change = self.put(object);
        self.synced.store(true, Ordering::Release);
        change
    }

    /// As the watch would say it.
    #[cfg(test)]
    pub fn known(&self, object: K) {
        self.put(object);
    }

    fn put(&self, object: K) -> Option<Change<K>> {
        let key = ObjectKey::of(&object);
        let mut store = self.store.write();
        let old = store.get::<K>(&key);
        if old.as_ref().is_some_and(|o| is_newer(o.as_ref(), &object)) {
            return None;
        }
        store.put(&key, &object, old.as_deref());
        self.recent.forget(&key);
        let old = self.unseen.lock().remove(&key).or(old);
        Some(Change {
            old,
            new: Some(Arc::new(object)),
        })
    }

    fn take(&self, key: &ObjectKey) -> Option<Change<K>> {
        let mut store = self.store.write();
        let old = store.get::<K>(key)?;
        let shelf = store.shelves.get_mut(&key.namespace)?;
        shelf.take(&key.name, &old.words());
        self.recent.forget(key);
        self.unseen.lock().remove(key);
        if shelf.is_empty() {
            store.shelves.remove(&key.namespace);
        }
        Some(Change {
            old: Some(old),
            new: None,
        })
    }
}

impl Store {
    fn get<K: Kept>(&self, key: &ObjectKey) -> Option<Arc<K>> {
        unpack(self.shelves.get(&key.namespace)?.get(&key.name)?)
    }

    /// Objects that were read can be written.
    fn put<K: Kept>(&mut self, key: &ObjectKey, object: &K, old: Option<&K>) {
        match self.dictionary.pack(object) {
            Ok(packed) => {
                let shelf = self.shelves.entry(key.namespace.clone()).or_default();
                let old = old.map(Worded::words).unwrap_or_default();
                shelf.put(&key.name, packed, &old, &object.words());
            }
            Err(error) => tracing::error!(object = %key, %error, "object not kept"),
        }
    }
}

fn unpack<K: Kept>(packed: &Packed) -> Option<Arc<K>> {
    let object = packed.unpack::<K>();
    object
        .inspect_err(|error| tracing::error!(kind = %K::kind(&()), %error, "object not found again"))
        .ok()
        .map(Arc::new)
}

/// Same object, later version. Versions of one object are integers that grow; what is no integer is never newer.
fn is_newer(a: &impl Resource, b: &impl Resource) -> bool {
    let version = |o: Option<String>| o.and_then(|v| v.parse::<u64>().ok());
    a.meta().uid == b.meta().uid
        && match (
            version(a.meta().resource_version.clone()),
            version(b.meta().resource_version.clone()),
        ) {
            (Some(a), Some(b)) => a > b,
            _ => false,
        }
}

/// What can be read from a watch and kept.
pub trait Kept:
    Resource<DynamicType = ()> + Worded + Slim + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Kept for K where
    K: Resource<DynamicType = ()>
        + Worded
        + Slim
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream_key(server: &str) -> headgate_api::StreamKey {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {{name: alice, namespace: n}}, spec: {{serverRefs: [{{name: {server}}}], stream: {{app: live}}, secretRef: {{name: s}}}}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    }

    #[test]
    fn an_object_is_found_by_what_it_names_now_and_not_by_what_it_named() {
        let cache = Cache::<headgate_api::StreamKey>::default();
        let found = |word: Word| cache.find("n", &word).len() + cache.find_keys("n", &word).len();
        cache.put(stream_key("one"));
        assert_eq!((found(Word::server("one")), found(Word::secret("s"))), (2, 2));
        cache.put(stream_key("two"));
        assert_eq!((found(Word::server("one")), found(Word::server("two"))), (0, 2));
        cache.take(&ObjectKey::new("n", "alice"));
        assert_eq!((found(Word::server("two")), found(Word::secret("s"))), (0, 0));
        assert!(cache.keys().is_empty());
    }
}
