//! Namespaces that are being deleted. Where the operator may not watch them, it asks about one in which a pod or a server goes.

use crate::cache::{Change, global_watch};
use crate::cluster::ClusterError;
use crate::context::Context;
use crate::names::ObjectKey;
use crate::node::is_granted;
use crate::routes::Routes;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const WITHOUT: &str = "namespaces may not be watched: one that is being deleted is noticed when Kubernetes deletes the pods in it, some seconds \
    later; grant what `rbac cluster` prints";

/// Whether a namespace is being deleted. Where there is no watch, only one that is `suspect` is asked about. One that cannot be read is
/// taken for one that stays.
pub async fn is_leaving(ctx: &Context, name: &str, suspect: bool) -> Result<bool, ClusterError> {
    let namespaces = &ctx.caches.namespaces;
    if namespaces.is_synced() {
        let known = namespaces.get(&ObjectKey::new("", name));
        return Ok(known.is_some_and(|n| goes(&n)));
    }
    if !suspect {
        return Ok(false);
    }
    match ctx.cluster.global_get::<Namespace>(name).await {
        Ok(namespace) => Ok(namespace.is_none_or(|n| goes(&n))),
        Err(error) if error.is_verdict() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Somebody has deleted it.
pub fn goes(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

/// Keeps the cache of namespaces fed, if the operator may watch them.
pub async fn watch(client: Client, ctx: Arc<Context>, routes: Routes, stop: CancellationToken) {
    let granted = stop
        .run_until_cancelled(is_granted::<Namespace>(&client, WITHOUT))
        .await;
    if granted != Some(true) {
        return;
    }
    let changed = move |change: &Change<Namespace>| routes.namespace(change);
    let (cache, metrics) = (ctx.caches.namespaces.clone(), ctx.metrics.clone());
    global_watch::<Namespace>(client, cache, metrics, changed, stop).await;
}
