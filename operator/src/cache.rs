//! One cache a kind, fed by one watch, read by every reconciler.
//!
//! Objects are slimmed and packed before they are kept, and found by name or by what they have to do with. One that cannot be read
//! is counted and passed over: what was known of it before stays, and nobody else's watch suffers.

mod guard;
mod packed;
mod recent;
mod shelf;
mod slim;
mod words;

pub use slim::Slim;
pub use words::{Word, Worded};

use crate::cluster::{Global, Namespaced};
use crate::metrics::Metrics;
use crate::names::ObjectKey;
use crate::rbac::may;
use futures::StreamExt;
use guard::Guarded;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, utils::StreamBackoff};
use kube::{Api, Client, Resource};
use packed::{Dictionary, Packed};
use parking_lot::RwLock;
use recent::Recent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shelf::Shelf;
use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The objects of one kind that match the watch's selector, packed: a reader gets one of its own.
#[derive(Debug)]
pub struct Cache<K> {
    store: RwLock<Store>,
    /// Read and filled under the store's lock, so that it is never behind.
    recent: Recent<K>,
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
            synced: AtomicBool::new(false),
        }
    }
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

    /// A newer version of an object that is known: what a write answered. Never brings one back that is gone.
    pub fn refresh(&self, mut object: K) {
        object.slim();
        let key = ObjectKey::of(&object);
        let mut store = self.store.write();
        if let Some(known) = store.get::<K>(&key)
            && is_newer(&object, known.as_ref())
        {
            store.put(&key, &object, Some(known.as_ref()));
            self.recent.forget(&key);
        }
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

/// What to watch, and what to keep of it.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Empty for all namespaces.
    pub namespace: String,
    /// Label selector; empty for all objects.
    pub labels: &'static str,
    /// Whose turn it is to list.
    pub turns: ListTurns,
}

/// Objects that one answer to a list holds.
const PAGE: u32 = 250;

/// First lists come one after the other. All at once take as long, and what they need at one time stays with the process.
#[derive(Clone, Debug)]
pub struct ListTurns(Arc<Semaphore>);

impl Default for ListTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(2)))
    }
}

impl ListTurns {
    /// Until it is given back.
    async fn next(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}

/// Keeps a cache fed until `stop`. `changed` is told of each change.
pub async fn watch<K>(
    client: Client,
    scope: Scope,
    cache: Arc<Cache<K>>,
    metrics: Arc<Metrics>,
    changed: impl Fn(&Change<K>) + Send,
    stop: CancellationToken,
) where
    K: Namespaced + Kept + may::Watch + 'static,
{
    let api: Api<Guarded<K>> = if scope.namespace.is_empty() {
        Api::all(client)
    } else {
        Api::namespaced(client, &scope.namespace)
    };
    let feed = Feed {
        cache,
        changed,
        metrics,
        listed: None,
        turn: stop.run_until_cancelled(scope.turns.next()).await.flatten(),
    };
    follow(api, watcher::Config::default().labels(scope.labels), feed, stop).await;
}

/// The same for a kind that lives in no namespace.
pub async fn global_watch<K>(
    client: Client,
    cache: Arc<Cache<K>>,
    metrics: Arc<Metrics>,
    changed: impl Fn(&Change<K>) + Send,
    stop: CancellationToken,
) where
    K: Global + Kept + may::Watch + 'static,
{
    let feed = Feed {
        cache,
        changed,
        metrics,
        listed: None,
        turn: None,
    };
    let api: Api<Guarded<K>> = Api::all(client);
    follow(api, watcher::Config::default(), feed, stop).await;
}

async fn follow<K, F>(api: Api<Guarded<K>>, config: watcher::Config, mut feed: Feed<K, F>, stop: CancellationToken)
where
    K: Kept,
    F: Fn(&Change<K>) + Send,
{
    let events: StreamBackoff<_, _> = watcher(api, config.page_size(PAGE)).default_backoff();
    let mut events = pin!(events);
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        feed.event(event);
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

struct Feed<K: 'static, F> {
    cache: Arc<Cache<K>>,
    changed: F,
    metrics: Arc<Metrics>,
    /// What a list that is under way has named so far.
    listed: Option<Vec<ObjectKey>>,
    /// Given back when the first list is done, or does not come.
    turn: Option<OwnedSemaphorePermit>,
}

impl<K: Kept, F: Fn(&Change<K>)> Feed<K, F> {
    fn event(&mut self, event: Result<Event<Guarded<K>>, watcher::Error>) {
        match event {
            Ok(Event::Init) => self.listed = Some(Vec::new()),
            Ok(Event::InitApply(object)) => {
                if let Some(listed) = &mut self.listed {
                    listed.push(ObjectKey::of(&object));
                }
                self.put(object);
            }
            Ok(Event::InitDone) => self.list_done(),
            Ok(Event::Apply(object)) => self.put(object),
            Ok(Event::Delete(object)) => self.take(&ObjectKey::of(&object)),
            Err(error) => self.failed(&error),
        }
    }

    fn put(&self, object: Guarded<K>) {
        match object.0 {
            Ok(mut object) => {
                object.slim();
                self.cache.put(object).iter().for_each(&self.changed);
            }
            Err(invalid) => {
                let key = (invalid.metadata.namespace, invalid.metadata.name);
                self.metrics
                    .watch_errors
                    .with_label_values(&[&*K::kind(&()), "Unreadable"])
                    .inc();
                tracing::warn!(kind = %K::kind(&()), object = ?key, error = %invalid.error, "object passed over: it cannot be read");
            }
        }
    }

    fn take(&self, key: &ObjectKey) {
        self.cache.take(key).iter().for_each(&self.changed);
    }

    /// What was known and is not in the list is gone.
    fn list_done(&mut self) {
        let listed: std::collections::HashSet<ObjectKey> = self.listed.take().into_iter().flatten().collect();
        for key in self.cache.keys() {
            if !listed.contains(&key) {
                self.take(&key);
            }
        }
        self.cache.synced.store(true, Ordering::Release);
        self.turn = None;
    }

    fn failed(&mut self, error: &watcher::Error) {
        self.metrics
            .watch_errors
            .with_label_values(&[&*K::kind(&()), "Watch"])
            .inc();
        tracing::warn!(kind = %K::kind(&()), %error, "watch interrupted; trying again");
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Secret;
    use parking_lot::Mutex;

    fn secret(name: &str, version: u64) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.namespace = Some("n".into());
        secret.metadata.name = Some(name.into());
        secret.metadata.uid = Some(format!("uid-{name}"));
        secret.metadata.resource_version = Some(version.to_string());
        secret
    }

    fn good(name: &str, version: u64) -> Guarded<Secret> {
        Guarded(Ok(secret(name, version)))
    }

    fn bad(name: &str) -> Guarded<Secret> {
        Guarded(Err(guard::Unreadable {
            error: "no".into(),
            metadata: secret(name, 9).metadata,
        }))
    }

    fn names(cache: &Cache<Secret>) -> Vec<String> {
        let mut all: Vec<String> = cache.keys().into_iter().map(|k| k.name).collect();
        all.sort();
        all
    }

    type Told = Arc<Mutex<Vec<(Option<u64>, Option<u64>)>>>;

    fn feed() -> (Feed<Secret, impl Fn(&Change<Secret>)>, Told) {
        let told = Told::default();
        let tell = told.clone();
        let version = |s: &Arc<Secret>| s.metadata.resource_version.as_ref().and_then(|v| v.parse().ok());
        let changed = move |c: &Change<Secret>| {
            tell.lock()
                .push((c.old.as_ref().and_then(version), c.new.as_ref().and_then(version)));
        };
        let feed = Feed {
            cache: Arc::default(),
            changed,
            metrics: Arc::new(Metrics::new().unwrap()),
            listed: None,
            turn: None,
        };
        (feed, told)
    }

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

    #[test]
    fn a_new_list_takes_away_what_it_does_not_name() {
        let (mut feed, told) = feed();
        for event in [
            Event::Init,
            Event::InitApply(good("a", 1)),
            Event::InitApply(good("b", 1)),
        ] {
            feed.event(Ok(event));
        }
        assert!(!feed.cache.is_synced());
        for event in [
            Event::InitDone,
            Event::Init,
            Event::InitApply(good("b", 2)),
            Event::InitDone,
        ] {
            feed.event(Ok(event));
        }
        assert!(feed.cache.is_synced());
        assert_eq!(names(&feed.cache), ["b"]);
        assert_eq!(told.lock().last(), Some(&(Some(1), None)));
    }

    #[test]
    fn an_object_that_cannot_be_read_leaves_the_others_and_its_last_good_version() {
        let (mut feed, _) = feed();
        for event in [
            Event::Apply(good("a", 1)),
            Event::Apply(bad("a")),
            Event::Apply(bad("c")),
            Event::Apply(good("b", 1)),
        ] {
            feed.event(Ok(event));
        }
        assert_eq!(names(&feed.cache), ["a", "b"]);
        feed.event(Ok(Event::Init));
        feed.event(Ok(Event::InitApply(bad("a"))));
        feed.event(Ok(Event::InitDone));
        assert_eq!(names(&feed.cache), ["a"]);
    }

    #[test]
    fn what_a_write_answered_is_known_before_the_watch_says_it_and_not_undone_by_an_older_event() {
        let (mut feed, told) = feed();
        feed.event(Ok(Event::Apply(good("a", 1))));
        feed.cache.refresh(secret("a", 3));
        feed.event(Ok(Event::Apply(good("a", 2))));
        assert_eq!(
            feed.cache
                .get(&ObjectKey::new("n", "a"))
                .unwrap()
                .metadata
                .resource_version
                .as_deref(),
            Some("3")
        );
        assert_eq!(told.lock().len(), 1);
        feed.event(Ok(Event::Delete(good("a", 4))));
        feed.cache.refresh(secret("a", 5));
        assert!(names(&feed.cache).is_empty());
    }
}
