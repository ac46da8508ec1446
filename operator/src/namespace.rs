//! Namespaces that are being deleted. Where the operator may not watch them, it asks about its own again and again, or, without one, about one in
//! which a pod or a server goes.

use crate::cache::{Change, global_watch};
use crate::cluster::ClusterError;
use crate::context::Context;
use crate::names::ObjectKey;
use crate::node::is_granted;
use crate::routes::Routes;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const WITHOUT: &str = "namespaces may not be watched: one that is being deleted is asked about, every other second where it is the only one, else \
    when Kubernetes deletes the pods in it; grant what `rbac cluster` prints";
/// Kubernetes begins to take a namespace apart, and with it our rights in it, 5 s after it was deleted.
const ASK_EVERY: Duration = Duration::from_secs(2);

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

/// Whether a namespace is known to be deleted, where nobody can be asked.
pub fn is_known_to_leave(ctx: &Context, name: &str) -> bool {
    let known = ctx.caches.namespaces.get(&ObjectKey::new("", name));
    known.is_some_and(|n| goes(&n))
}

/// Keeps the cache of namespaces fed: by a watch, if the operator may, else with its own one, if it minds only `own`.
pub async fn watch(client: Client, own: String, ctx: Arc<Context>, routes: Routes, stop: CancellationToken) {
    let granted = stop
        .run_until_cancelled(is_granted::<Namespace>(&client, WITHOUT))
        .await;
    let changed = move |change: &Change<Namespace>| {
        if routes.is_open() {
            routes.namespace(change);
        }
    };
    match granted {
        Some(true) => {
            let (cache, metrics) = (ctx.caches.namespaces.clone(), ctx.metrics.clone());
            global_watch::<Namespace>(client, cache, metrics, changed, stop).await;
        }
        Some(false) if !own.is_empty() => {
            stop.run_until_cancelled(ask(&ctx, &own, changed)).await;
        }
        _ => {}
    }
}

async fn ask(ctx: &Context, name: &str, changed: impl Fn(&Change<Namespace>)) {
    loop {
        match ctx.cluster.global_get::<Namespace>(name).await {
            Ok(Some(namespace)) => ctx.caches.namespaces.asked(namespace).iter().for_each(&changed),
            Ok(None) => {}
            Err(error) => tracing::debug!(namespace = name, %error, "not known whether it is being deleted"),
        }
        sleep(ASK_EVERY).await;
    }
}
