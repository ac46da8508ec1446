//! What is done before the operator is uninstalled: it is stopped in order, and then nothing waits for it any more.
//!
//! MediaServers and Streams carry finalizers, so that publishers can drain and be cut. With no operator nobody would take them off, and
//! neither the objects nor their namespaces could be deleted. The next operator puts them on again.

use crate::cluster::{Cluster, ClusterError};
use crate::lease::Claim;
use crate::metrics::Metrics;
use crate::names::{DRAIN_FINALIZER, KICK_FINALIZER, ObjectKey};
use headgate_api::{MediaServer, Stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long an operator may take to stop.
const STOPPED: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Somebody may change an object while it is let go.
const TRIES: usize = 5;

/// Which operator leaves.
#[derive(Clone, Debug, clap::Args)]
pub struct LeaveOptions {
    /// Its Deployment.
    #[arg(long, value_name = "NAME")]
    pub deployment: String,
    /// Labels of its pods.
    #[arg(long, value_name = "SELECTOR")]
    pub pods: String,
    /// Its namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// The one namespace that it minded; all when empty.
    #[arg(long, env = "HEADGATE_WATCH_NAMESPACE", default_value = "", value_name = "NAME")]
    pub watch_namespace: String,
}

/// Why it did not work. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// No kubeconfig, no service account, or no TLS.
    #[error("no way to the API server: {0}")]
    Client(#[from] kube::Error),
    /// A call to the API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It would put the finalizers on again.
    #[error("{0} pods of the operator have not stopped within {STOPPED:?}")]
    NotStopped(usize),
    /// Two metrics of one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Stops the operator and lets its objects go.
pub async fn run(options: LeaveOptions) -> Result<(), LeaveError> {
    let metrics = Arc::new(Metrics::new()?);
    let cluster = Cluster::new(crate::client::connect().await?, Claim::always(), metrics);
    stop(&cluster, &options).await?;
    let servers = servers(&cluster, &options.watch_namespace).await?;
    let streams = streams(&cluster, &options.watch_namespace).await?;
    tracing::info!(
        servers,
        streams,
        "the operator has stopped, and nothing waits for it: media pods serve on"
    );
    Ok(())
}

async fn stop(cluster: &Cluster, options: &LeaveOptions) -> Result<(), LeaveError> {
    let deployment = ObjectKey::new(&options.namespace, &options.deployment);
    cluster.stop::<Deployment>(&deployment).await?;
    let since = Instant::now();
    loop {
        let pods = cluster.list::<Pod>(&options.namespace, &options.pods).await?;
        let running = pods.iter().filter(|p| !has_ended(p)).count();
        if running == 0 {
            return Ok(());
        }
        if since.elapsed() > STOPPED {
            return Err(LeaveError::NotStopped(running));
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// How many were let go.
async fn servers(cluster: &Cluster, namespace: &str) -> Result<usize, ClusterError> {
    let mut count: usize = 0;
    for _ in 0..TRIES {
        let all = present(cluster.list::<MediaServer>(namespace, "").await)?;
        let patches: Vec<_> = all.iter().filter_map(|s| without(s, DRAIN_FINALIZER)).collect();
        if patches.is_empty() {
            break;
        }
        for (key, patch) in patches {
            let done = let_go(cluster.patch::<MediaServer>(&key, patch).await)?;
            count = count.saturating_add(usize::from(done));
        }
    }
    Ok(count)
}

async fn streams(cluster: &Cluster, namespace: &str) -> Result<usize, ClusterError> {
    let mut count: usize = 0;
    for _ in 0..TRIES {
        let all = present(cluster.list::<Stream>(namespace, "").await)?;
        let patches: Vec<_> = all.iter().filter_map(|s| without(s, KICK_FINALIZER)).collect();
        if patches.is_empty() {
            break;
        }
        for (key, patch) in patches {
            let done = let_go(cluster.patch::<Stream>(&key, patch).await)?;
            count = count.saturating_add(usize::from(done));
        }
    }
    Ok(count)
}

/// Where the kind is not installed there is nothing.
fn present<K>(found: Result<Vec<K>, ClusterError>) -> Result<Vec<K>, ClusterError> {
    match found {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        found => found,
    }
}

/// `false` when it is gone, or another than was read: then it is looked at again.
fn let_go<K>(written: Result<K, ClusterError>) -> Result<bool, ClusterError> {
    match written {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

/// What takes our finalizer off and leaves those of others; `None` when it is not on.
fn without(object: &impl Resource, finalizer: &str) -> Option<(ObjectKey, Value)> {
    let others: Vec<&String> = object.finalizers().iter().filter(|f| *f != finalizer).collect();
    if others.len() == object.finalizers().len() {
        return None;
    }
    let patch = json!({ "metadata": {
        "uid": object.uid(), "resourceVersion": object.resource_version(), "finalizers": others,
    } });
    Some((ObjectKey::of(object), patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_finalizer_is_taken_off_and_only_where_it_is() {
        let server = |finalizers: &str| -> MediaServer {
            let yaml = format!(
                "{{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {{name: live, namespace: n, uid: u, resourceVersion: '7', finalizers: {finalizers}}}, spec: {{}}}}"
            );
            serde_yaml::from_str(&yaml).unwrap()
        };
        let (key, patch) = without(&server("[headgate.dev/drain, example.com/theirs]"), DRAIN_FINALIZER).unwrap();
        assert_eq!(key, ObjectKey::new("n", "live"));
        let wanted = json!({"metadata": {"uid": "u", "resourceVersion": "7", "finalizers": ["example.com/theirs"]}});
        assert_eq!(patch, wanted);
        assert!(without(&server("[example.com/theirs]"), DRAIN_FINALIZER).is_none());
        assert!(without(&server("[]"), DRAIN_FINALIZER).is_none());
    }
}
