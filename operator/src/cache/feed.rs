//! What keeps a cache fed: one watch, read from its first list on.

use super::guard::Guarded;
use super::patience::Patience;
use super::{Cache, Change, Kept};
use crate::cluster::{Global, Namespaced};
use crate::metrics::Metrics;
use crate::names::ObjectKey;
use crate::rbac::may;
use futures::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, utils::StreamBackoff};
use kube::{Api, Client};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

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
    let turn = stop.run_until_cancelled(scope.turns.next()).await.flatten();
    let feed = Feed::new(cache, changed, metrics, turn);
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
    let feed = Feed::new(cache, changed, metrics, None);
    let api: Api<Guarded<K>> = Api::all(client);
    follow(api, watcher::Config::default(), feed, stop).await;
}

async fn follow<K, F>(api: Api<Guarded<K>>, config: watcher::Config, mut feed: Feed<K, F>, stop: CancellationToken)
where
    K: Kept,
    F: Fn(&Change<K>) + Send,
{
    let events: StreamBackoff<_, _> = watcher(api, config.page_size(PAGE)).backoff(Patience::default());
    let mut events = pin!(events);
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        feed.event(event);
    }
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
    fn new(cache: Arc<Cache<K>>, changed: F, metrics: Arc<Metrics>, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            cache,
            changed,
            metrics,
            listed: None,
            turn,
        }
    }

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
    use crate::cache::guard::Unreadable;
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
        Guarded(Err(Unreadable {
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

    #[test]
    fn an_edit_that_a_writes_answer_has_already_is_told_of_all_the_same() {
        let (mut feed, told) = feed();
        feed.event(Ok(Event::Apply(good("a", 1))));
        let mut answered = secret("a", 3);
        answered.metadata.generation = Some(2);
        feed.cache.refresh(answered.clone());
        feed.event(Ok(Event::Apply(Guarded(Ok(answered.clone())))));
        assert_eq!(
            told.lock().last(),
            Some(&(Some(1), Some(3))),
            "what it was before the edit"
        );
        answered.metadata.resource_version = Some("4".into());
        feed.cache.refresh(answered.clone());
        feed.event(Ok(Event::Apply(Guarded(Ok(answered)))));
        assert_eq!(
            told.lock().last(),
            Some(&(Some(4), Some(4))),
            "a write alone is nothing new"
        );
    }
}
