//! What a process does that does not lead: it hears what the pods have open, so that closing events are not lost with a pod and the leader
//! together. It reads caches and ledgers, and writes nothing.

use crate::context::{Context, now};
use crate::link::{Peer, Target, Wish};
use crate::media_server::{address, tidy_clients};
use crate::names::{ObjectKey, authority_secret};
use crate::queue::Outcome;
use crate::routes::Routes;
use crate::tls::{Authority, Material, TlsError};
use headgate_api::MediaServer;
use headgate_control::{CONTROL_PORT, pod_tls_name};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Who starts leads at once where nobody does, and then opens ledgers in an order of its own.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at what can be forgotten.
const TIDY_EVERY: Duration = Duration::from_mins(1);

/// Until dropped.
pub async fn run(ctx: &Context, routes: &Routes) -> Infallible {
    sleep(PATIENCE).await;
    while !ctx.caches.are_synced() {
        sleep(Duration::from_millis(50)).await;
    }
    routes.servers_to(&ctx.queues.ledgers);
    let (never, _) = tokio::join!(follow(ctx), tidy(ctx));
    never
}

async fn follow(ctx: &Context) -> Infallible {
    loop {
        let key = ctx.queues.ledgers.next().await;
        if let Err(error) = look(ctx, &key) {
            tracing::warn!(server = %key, reason = error.reason(), %error, "what its pods have open is not heard");
        }
        ctx.queues.ledgers.done(key, Outcome::Forget);
        // Many at a start: the watches have their turn between them.
        tokio::task::yield_now().await;
    }
}

async fn tidy(ctx: &Context) -> Infallible {
    loop {
        sleep(TIDY_EVERY).await;
        ctx.links.tidy(|server| ctx.caches.servers.has(server));
        tidy_clients(ctx);
    }
}

/// Hears the pods that one server has now.
fn look(ctx: &Context, key: &ObjectKey) -> Result<(), TlsError> {
    let Some(server) = ctx.caches.servers.get(key) else {
        return Ok(());
    };
    let secret = ctx.caches.secrets.get(&key.sibling(authority_secret(&key.name)));
    // Without it nobody is linked: the leader is about to make it.
    let Some(material) = secret.as_deref().and_then(Material::of) else {
        return Ok(());
    };
    ctx.links.stand_by(key, targets(ctx, &server, &material)?);
    Ok(())
}

fn targets(ctx: &Context, server: &MediaServer, material: &Material) -> Result<Vec<Target>, TlsError> {
    let key = ObjectKey::of(server);
    let uid = server.metadata.uid.as_deref().unwrap_or_default();
    let tls = ctx.clients.get(uid, &Authority::load(material.pair())?, now())?;
    let name = pod_tls_name(&key.namespace, &key.name);
    let target = |pod: &Arc<Pod>| {
        let address = SocketAddr::new(address(pod)?, CONTROL_PORT);
        Some(Target {
            pod: ObjectKey::of(pod.as_ref()),
            uid: pod.uid()?,
            peer: Peer {
                address,
                name: name.clone(),
                tls: tls.clone(),
            },
            wish: Wish::AsItIs,
        })
    };
    Ok(ctx.caches.pods_of(server).iter().filter_map(target).collect())
}
