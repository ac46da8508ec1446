//! One cache a kind, fed by one watch, read by every reconciler.
//!
//! Objects are slimmed before they are kept. One that cannot be read is counted and passed over: what was known of it before
//! stays, and nobody else's watch suffers.

use crate::cluster::{Global, Namespaced};
use crate::metrics::Metrics;
use crate::names::ObjectKey;
use crate::rbac::may;
use futures::StreamExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, utils::StreamBackoff};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

type Namespaces<K> = HashMap<String, BTreeMap<String, Arc<K>>>;

/// The objects of one kind that match the watch's selector.
#[derive(Debug)]
pub struct Cache<K> {
    objects: RwLock<Namespaces<K>>,
    synced: AtomicBool,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            objects: RwLock::default(),
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

impl<K: Resource> Cache<K> {
    /// Whether everything there was has been read once.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.objects.read().get(&key.namespace)?.get(&key.name).cloned()
    }

    /// Those of all namespaces for which `wanted` holds.
    pub fn select_all(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.objects.read();
        let all = objects.values().flat_map(BTreeMap::values);
        all.filter(|o| wanted(o)).cloned().collect()
    }

    /// Those of a namespace for which `wanted` holds, by name.
    pub fn select(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.objects.read();
        let all = objects.get(namespace).into_iter().flat_map(BTreeMap::values);
        all.filter(|o| wanted(o)).cloned().collect()
    }

    /// The keys of all.
    pub fn keys(&self) -> Vec<ObjectKey> {
        let objects = self.objects.read();
        let all = objects
            .iter()
            .flat_map(|(ns, names)| names.keys().map(move |n| ObjectKey::new(ns, n)));
        all.collect()
    }

    /// A newer version of an object that is known: what a write answered. Never brings one back that is gone.
    pub fn refresh(&self, object: K) {
        let key = ObjectKey::of(&object);
        let mut objects = self.objects.write();
        if let Some(known) = objects.get_mut(&key.namespace).and_then(|n| n.get_mut(&key.name))
            && is_newer(&object, known.as_ref())
        {
            *known = Arc::new(object);
        }
    }

    fn put(&self, object: K) -> Option<Change<K>> {
        let key = ObjectKey::of(&object);
        let mut objects = self.objects.write();
        let names = objects.entry(key.namespace).or_default();
        let old = names.get(&key.name).cloned();
        if old.as_ref().is_some_and(|o| is_newer(o.as_ref(), &object)) {
            return None;
        }
        let new = Arc::new(object);
        names.insert(key.name, new.clone());
        Some(Change { old, new: Some(new) })
    }

    fn take(&self, key: &ObjectKey) -> Option<Change<K>> {
        let mut objects = self.objects.write();
        let names = objects.get_mut(&key.namespace)?;
        let old = names.remove(&key.name);
        if names.is_empty() {
            objects.remove(&key.namespace);
        }
        old.map(|old| Change {
            old: Some(old),
            new: None,
        })
    }
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
}

/// Keeps a cache fed until `stop`. `slim` takes off what nobody reads; `changed` is told of each change.
pub async fn watch<K>(
    client: Client,
    scope: Scope,
    cache: Arc<Cache<K>>,
    metrics: Arc<Metrics>,
    slim: fn(&mut K),
    changed: impl Fn(&Change<K>) + Send,
    stop: CancellationToken,
) where
    K: Namespaced + may::Watch + 'static,
{
    let api: Api<DeserializeGuard<K>> = if scope.namespace.is_empty() {
        Api::all(client)
    } else {
        Api::namespaced(client, &scope.namespace)
    };
    let feed = Feed {
        cache,
        slim,
        changed,
        metrics,
        listed: None,
    };
    follow(api, watcher::Config::default().labels(scope.labels), feed, stop).await;
}

/// The same for a kind that lives in no namespace.
pub async fn global_watch<K>(
    client: Client,
    cache: Arc<Cache<K>>,
    metrics: Arc<Metrics>,
    slim: fn(&mut K),
    changed: impl Fn(&Change<K>) + Send,
    stop: CancellationToken,
) where
    K: Global + may::Watch + Send + Sync + 'static,
{
    let feed = Feed {
        cache,
        slim,
        changed,
        metrics,
        listed: None,
    };
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    follow(api, watcher::Config::default(), feed, stop).await;
}

async fn follow<K, F>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    mut feed: Feed<K, F>,
    stop: CancellationToken,
) where
    K: Kept,
    F: Fn(&Change<K>) + Send,
{
    let events: StreamBackoff<_, _> = watcher(api, config).default_backoff();
    let mut events = pin!(events);
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        feed.event(event);
    }
}

/// What can be read from a watch and kept.
trait Kept: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K> Kept for K where K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

struct Feed<K: 'static, F> {
    cache: Arc<Cache<K>>,
    slim: fn(&mut K),
    changed: F,
    metrics: Arc<Metrics>,
    /// What a list that is under way has named so far.
    listed: Option<Vec<ObjectKey>>,
}

impl<K: Kept, F: Fn(&Change<K>)> Feed<K, F> {
    fn event(&mut self, event: Result<Event<DeserializeGuard<K>>, watcher::Error>) {
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

    fn put(&self, object: DeserializeGuard<K>) {
        match object.0 {
            Ok(mut object) => {
                object.managed_fields_mut().clear();
                (self.slim)(&mut object);
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
    }

    fn failed(&self, error: &watcher::Error) {
        self.metrics
            .watch_errors
            .with_label_values(&[&*K::kind(&()), "Watch"])
            .inc();
        tracing::warn!(kind = %K::kind(&()), %error, "watch interrupted; trying again");
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

    fn good(name: &str, version: u64) -> DeserializeGuard<Secret> {
        DeserializeGuard(Ok(secret(name, version)))
    }

    fn bad(name: &str) -> DeserializeGuard<Secret> {
        DeserializeGuard(Err(kube::core::error_boundary::InvalidObject {
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
            slim: |_: &mut Secret| {},
            changed,
            metrics: Arc::new(Metrics::new().unwrap()),
            listed: None,
        };
        (feed, told)
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
