//! The pods of the quickstart's server one by one, where a scenario is about which of them does what.

use super::site::{START, text};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, Kubectl, eventually};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// Selects the pods.
pub const SELECTOR: &str = "headgate.dev/server=live";
/// When a draining pod cuts its last publisher.
const DEADLINE: &str = "/metadata/annotations/headgate.dev~1drain-deadline";
/// How often the floor is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A media pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uid: String,
    /// Its address.
    pub ip: String,
    /// Its node.
    pub node: String,
    /// How often its container was started again.
    pub restarts: i64,
    /// Takes sessions.
    pub serves: bool,
    /// The operator wants it gone, or it goes.
    pub leaving: bool,
}

impl Pod {
    /// As the API shows it.
    pub fn of(object: &Value) -> Result<Self> {
        let ready = object
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|c| c.get("type") == Some(&json!("Ready")) && c.get("status") == Some(&json!("True")));
        let leaving = object.pointer("/metadata/deletionTimestamp").is_some() || object.pointer(DEADLINE).is_some();
        let restarts = object.pointer("/status/containerStatuses/0/restartCount");
        Ok(Self {
            name: text(object, "/metadata/name")?,
            uid: text(object, "/metadata/uid")?,
            ip: text(object, "/status/podIP").unwrap_or_default(),
            node: text(object, "/spec/nodeName").unwrap_or_default(),
            restarts: restarts.and_then(Value::as_i64).unwrap_or(0),
            serves: ready && !leaving,
            leaving,
        })
    }

    /// Where to publish or play `live/NAME` at this very pod.
    pub fn rtmp(&self, name: &str) -> String {
        format!("rtmp://{}:1935/live/{name}", self.ip)
    }

    /// Where to play `live/NAME` over HTTP-FLV at this very pod.
    pub fn flv(&self, name: &str) -> String {
        format!("http://{}:8080/live/{name}.flv", self.ip)
    }
}

/// All pods of the server, by name.
pub async fn pods(kubectl: &Kubectl, namespace: &str) -> Result<Vec<Pod>> {
    let objects = kubectl.list("pods", namespace, SELECTOR).await?;
    let mut pods = objects.iter().map(Pod::of).collect::<Result<Vec<_>>>()?;
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

/// Has the server have so many pods, as `kubectl scale` does, and waits for just these.
pub async fn scale(context: &Context, replicas: usize) -> Result<Vec<Pod>> {
    let count = format!("--replicas={replicas}");
    let args = ["scale", "mediaserver", "live", "-n", &context.namespace, &count];
    context.kubectl.run(&args).await?;
    settled(context, replicas, START).await
}

/// Waits until there are so many pods, all of them serving, and no other.
pub async fn settled(context: &Context, replicas: usize, limit: Duration) -> Result<Vec<Pod>> {
    eventually(
        limit,
        &format!("{replicas} pods serve and there is no other"),
        async || {
            let pods = pods(&context.kubectl, &context.namespace).await?;
            ensure!(
                pods.len() == replicas && pods.iter().all(|p| p.serves),
                "{}",
                brief(&pods)
            );
            Ok(pods)
        },
    )
    .await
}

/// `kubectl drain` of the server's pods on a node. It goes on for as long as a publisher there does.
pub fn drain(context: &Context, node: &str) -> JoinHandle<Result<String>> {
    let selector = format!("--pod-selector={SELECTOR}");
    let set = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s"];
    let args = [["drain", node, &selector].as_slice(), &set].concat();
    let command = context.kubectl.command(&args).timeout(Duration::from_secs(160));
    tokio::spawn(command.run())
}

/// The pod that a Stream says its publisher is in, and one that it is not in.
pub async fn origin_and_other(context: &Context, stream: &Value) -> Result<(Pod, Pod)> {
    let origin = text(stream, "/status/pod")?;
    let pods = pods(&context.kubectl, &context.namespace).await?;
    let (here, there): (Vec<_>, Vec<_>) = pods.into_iter().filter(|p| p.serves).partition(|p| p.name == origin);
    let origin = here.into_iter().next().context("the publisher's pod does not serve")?;
    let other = there.into_iter().next().context("there is no other pod that serves")?;
    Ok((origin, other))
}

/// For messages.
pub fn brief(pods: &[Pod]) -> String {
    let one = |p: &Pod| {
        let state = if p.leaving {
            "leaving"
        } else if p.serves {
            "serves"
        } else {
            "not ready"
        };
        format!("{} {state}", p.name)
    };
    pods.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Counts all the while how many pods serve at least.
#[derive(Debug)]
pub struct Floor {
    lowest: Arc<AtomicUsize>,
    _looks: AbortOnDropHandle<()>,
}

impl Floor {
    /// Counts from now on.
    pub fn watch(context: &Context) -> Self {
        let lowest = Arc::new(AtomicUsize::new(usize::MAX));
        let (kubectl, namespace) = (context.kubectl.clone(), context.namespace.clone());
        let seen = Arc::clone(&lowest);
        let look = async move {
            loop {
                if let Ok(pods) = pods(&kubectl, &namespace).await {
                    seen.fetch_min(pods.iter().filter(|p| p.serves).count(), Ordering::Relaxed);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        Self {
            lowest,
            _looks: AbortOnDropHandle::new(tokio::spawn(look)),
        }
    }

    /// Fails when there were ever fewer.
    pub fn held(&self, wanted: usize) -> Result<()> {
        let lowest = self.lowest.load(Ordering::Relaxed);
        ensure!(lowest >= wanted, "at one time only {lowest} pods served");
        ensure!(lowest < usize::MAX, "nobody could look");
        Ok(())
    }
}
