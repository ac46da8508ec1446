use super::*;
use std::time::Duration;
use tokio::time::timeout;

fn stream_key(server: &str, generation: i64) -> Arc<StreamKey> {
    let yaml = format!(
        "{{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {{name: alice, namespace: n, generation: {generation}}}, spec: {{serverRefs: [{{name: {server}}}], stream: {{app: live}}, secretRef: {{name: s}}}}}}"
    );
    Arc::new(serde_yaml::from_str(&yaml).unwrap())
}

fn routes() -> Routes {
    Routes {
        caches: Caches::default(),
        queues: Queues::default(),
        open: Arc::default(),
    }
}

async fn drained(queue: &Queue) -> Vec<String> {
    let mut names = Vec::new();
    while let Ok(key) = timeout(Duration::from_millis(1), queue.next()).await {
        names.push(key.name);
    }
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_key_that_moves_wakes_the_server_it_left_and_the_one_it_joins() {
    let routes = routes();
    routes.stream_key(&Change {
        old: Some(stream_key("a", 1)),
        new: Some(stream_key("b", 2)),
    });
    assert_eq!(drained(&routes.queues.servers).await, ["a", "b"]);
    assert_eq!(drained(&routes.queues.keys).await, ["alice"]);
}

fn hook(wish: &str) -> Arc<HookEndpoint> {
    let yaml = format!(
        "{{apiVersion: headgate.dev/v1alpha1, kind: HookEndpoint, metadata: {{name: b, namespace: n, annotations: {{headgate.dev/replay: '{wish}'}}}}, spec: {{serverRefs: [{{name: live}}], urls: ['http://b/'], dialect: SRS}}}}"
    );
    Arc::new(serde_yaml::from_str(&yaml).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_dead_letters_wakes_the_servers_that_have_them() {
    let routes = routes();
    let change = |from: &str, to: &str| Change {
        old: Some(hook(from)),
        new: Some(hook(to)),
    };
    routes.hook(&change("all", "all"));
    assert!(drained(&routes.queues.servers).await.is_empty());
    routes.hook(&change("all", "again: all"));
    assert_eq!(drained(&routes.queues.servers).await, ["live"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_wakes_its_servers_when_it_is_deleted_and_not_when_it_is_labelled() {
    let routes = routes();
    for (namespace, name) in [("n", "a"), ("n", "b"), ("other", "c")] {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{}}}}"
        );
        routes.caches.servers.known(serde_yaml::from_str(&yaml).unwrap());
    }
    let namespace = |more: &str| -> Option<Arc<Namespace>> {
        Some(Arc::new(
            serde_yaml::from_str(&format!("{{metadata: {{name: n{more}}}}}")).unwrap(),
        ))
    };
    let change = |old, new| routes.namespace(&Change { old, new });
    change(namespace(""), namespace(", labels: {a: b}"));
    assert!(drained(&routes.queues.servers).await.is_empty());
    change(namespace(""), namespace(", deletionTimestamp: '2027-01-01T12:00:00Z'"));
    assert_eq!(drained(&routes.queues.servers).await, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_alone_wakes_nobody() {
    let routes = routes();
    let mut new = stream_key("a", 1).as_ref().clone();
    new.status = Some(headgate_api::StreamKeyStatus::default());
    routes.stream_key(&Change {
        old: Some(stream_key("a", 1)),
        new: Some(Arc::new(new)),
    });
    assert!(drained(&routes.queues.keys).await.is_empty());
    assert!(drained(&routes.queues.servers).await.is_empty());
}

#[test]
fn every_object_is_in_one_part_and_parts_are_of_a_size() {
    let keys: Vec<ObjectKey> = (0..6000).map(|n| ObjectKey::new("n", format!("key-{n}"))).collect();
    let count = |number| keys.iter().filter(|k| part(k, 60) == number).count();
    let counts: Vec<usize> = (0..60).map(count).collect();
    assert_eq!(counts.iter().sum::<usize>(), keys.len());
    assert!(counts.iter().all(|c| (50..200).contains(c)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_server_that_is_heard_of_is_not_looked_at_again() {
    let routes = routes();
    let feed = |name: &str, server: &str| {
        let mut key = stream_key(server, 1).as_ref().clone();
        key.metadata.name = Some(name.into());
        routes.caches.keys.known(key);
    };
    for (key, server) in [("a", "one"), ("b", "two"), ("c", "nobody")] {
        feed(key, server);
    }
    let server = |name: &str| {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {{name: {name}, namespace: n}}, spec: {{}}}}"
        );
        routes.caches.servers.known(serde_yaml::from_str(&yaml).unwrap());
    };
    ["one", "two"].into_iter().for_each(server);
    routes.rest(|server| server.name == "one");
    assert_eq!(drained(&routes.queues.keys).await, ["b", "c"]);
    assert!(drained(&routes.queues.servers).await.is_empty());
    routes.servers();
    assert_eq!(drained(&routes.queues.servers).await, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_report_wakes_just_what_it_touches() {
    let routes = routes();
    let changes = Changes {
        streams: ["live-live-a".to_owned()].into(),
        keys: ["made-up".to_owned()].into(),
        hooks: ["made-up".to_owned()].into(),
        ..Changes::default()
    };
    routes.report(&ObjectKey::new("n", "live"), changes);
    assert_eq!(drained(&routes.queues.streams).await, ["live-live-a"]);
    assert!(drained(&routes.queues.keys).await.is_empty());
    assert!(drained(&routes.queues.hooks).await.is_empty());
    assert!(drained(&routes.queues.servers).await.is_empty());
}
