//! Writes what was planned: what pods are to remember first, then certificates, the running pods' configuration, what the cluster
//! keeps, and pods.

mod pods;

use super::fetch::Fetched;
use super::plan::{Planned, Work, address, authority_secret, pod_secret, seal, secret_needs_write};
use super::validate::Valid;
use crate::cluster::ClusterError;
use crate::context::Context;
use crate::link::{Peer, Target};
use crate::names::ObjectKey;
use crate::runner::Error;
use crate::tls::{Authority, Material, Pair, TlsError, Verdict};
use bytes::Bytes;
use headgate_control::{CONTROL_PORT, pod_tls_name};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use std::net::SocketAddr;

/// A Secret holds at most 1 MiB; this much is left for a configuration.
const CONFIG_MAX: usize = 1_000_000;

/// What was done.
pub struct Applied {
    /// What it follows from.
    pub valid: Valid,
    /// What was done; `None` when nothing was to be done.
    pub work: Option<Work>,
    /// What the API server would not take.
    pub refused: Vec<Refusal>,
}

/// Something that the API server would not take, for a reason that stays until somebody acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// PascalCase.
    pub reason: &'static str,
    /// What and why.
    pub message: String,
}

/// Writes.
pub async fn apply(ctx: &Context, planned: Planned) -> Result<Applied, Error> {
    let Planned { valid, work } = planned;
    let mut refused = Vec::new();
    if let Some(work) = &work {
        let fetched = &valid.fetched;
        pods::finalizer(ctx, fetched, work, &mut refused).await?;
        // Before any pod is told: it must be known to whoever leads next.
        pods::marks(ctx, work).await?;
        let config = serde_json::to_vec(&work.config)?;
        if fetched.farewell.is_some() {
            if let Some(authority) = known_authority(fetched) {
                link(ctx, fetched, work, &authority, &config.into())?;
            }
        } else {
            children(ctx, fetched, work, config, &mut refused).await?;
        }
        pods::delete(ctx, work).await?;
        pods::create(ctx, work, &mut refused).await?;
        pods::release(ctx, fetched, work).await?;
    }
    Ok(Applied { valid, work, refused })
}

async fn children(
    ctx: &Context,
    fetched: &Fetched,
    work: &Work,
    config: Vec<u8>,
    refused: &mut Vec<Refusal>,
) -> Result<(), Error> {
    let seal = seal(
        fetched.children.authority.as_deref(),
        fetched.children.pod_secret.as_deref(),
    );
    let authority = authority(ctx, fetched, work, &seal).await?;
    link(ctx, fetched, work, &authority, &config.into())?;
    let config = serde_json::to_vec(&work.first_config)?;
    if config.len() > CONFIG_MAX {
        refused.push(too_large(config.len()));
    } else {
        secret(ctx, fetched, work, &authority, &config, &seal).await?;
    }
    services(ctx, work, refused).await?;
    budget(ctx, work, refused).await
}

/// Of a server that is being deleted no Secret is made anew: what its pods have is what there is.
fn known_authority(fetched: &Fetched) -> Option<Authority> {
    let material = fetched.children.authority.as_deref().and_then(Material::of)?;
    Authority::load(material.pair()).ok()
}

/// The CA in force, written before anything is issued by it.
async fn authority(ctx: &Context, fetched: &Fetched, work: &Work, seal: &str) -> Result<Authority, Error> {
    let live = fetched.children.authority.as_deref();
    let authority = match (work.authority, live.and_then(Material::of)) {
        (Verdict::Keep, Some(material)) => Authority::load(material.pair())?,
        (verdict, _) => {
            tracing::info!(server = %ObjectKey::of(fetched.server.as_ref()), ?verdict, "issuing a CA");
            Authority::issue(&fetched.server.name_any(), fetched.now)?
        }
    };
    let wanted = authority_secret(&fetched.server, authority.pair(), seal);
    if secret_needs_write(live, &wanted) {
        let written = ctx.cluster.apply::<Secret>(&wanted, live.is_some()).await?;
        ctx.caches.secrets.refresh(written);
    }
    Ok(authority)
}

/// Tells every pod that can be reached what it should run.
fn link(ctx: &Context, fetched: &Fetched, work: &Work, authority: &Authority, config: &Bytes) -> Result<(), TlsError> {
    let server = ObjectKey::of(fetched.server.as_ref());
    let uid = fetched.server.metadata.uid.clone().unwrap_or_default();
    let tls = ctx.clients.get(&uid, authority, fetched.now)?;
    let name = pod_tls_name(&server.namespace, &server.name);
    let target = |pod: &Pod| {
        Some(Target {
            pod: ObjectKey::of(pod),
            uid: pod.metadata.uid.clone()?,
            peer: Peer {
                address: SocketAddr::new(address(pod)?, CONTROL_PORT),
                name: name.clone(),
                tls: tls.clone(),
            },
            wish: work.wishes.get(&pod.name_any()).copied().unwrap_or_default(),
        })
    };
    let targets = fetched.pods.iter().filter_map(|l| target(&l.pod)).collect();
    ctx.links.sync(&server, &uid, &work.config, config, targets);
    Ok(())
}

async fn secret(
    ctx: &Context,
    fetched: &Fetched,
    work: &Work,
    authority: &Authority,
    config: &[u8],
    seal: &str,
) -> Result<(), Error> {
    let live = fetched.children.pod_secret.as_deref();
    let pair = match (work.certificate, live.and_then(Material::of)) {
        (Verdict::Keep, Some(material)) => material.pair(),
        (verdict, _) => issue(fetched, authority, verdict)?,
    };
    let wanted = pod_secret(&fetched.server, config, &pair, authority.pair(), seal);
    if secret_needs_write(live, &wanted) {
        let written = ctx.cluster.apply::<Secret>(&wanted, live.is_some()).await?;
        ctx.caches.secrets.refresh(written);
    }
    Ok(())
}

fn issue(fetched: &Fetched, authority: &Authority, verdict: Verdict) -> Result<Pair, TlsError> {
    let server = ObjectKey::of(fetched.server.as_ref());
    tracing::info!(%server, ?verdict, "issuing a certificate for the pods");
    authority.server(&pod_tls_name(&server.namespace, &server.name), fetched.now)
}

async fn services(ctx: &Context, work: &Work, refused: &mut Vec<Refusal>) -> Result<(), Error> {
    for (service, exists) in &work.services {
        match ctx.cluster.apply::<Service>(service, *exists).await {
            Ok(written) => ctx.caches.services.refresh(written),
            Err(error) => refused.push(refusal(error, "ServiceRefused", "Service", &service.name_any())?),
        }
    }
    Ok(())
}

async fn budget(ctx: &Context, work: &Work, refused: &mut Vec<Refusal>) -> Result<(), Error> {
    let Some((budget, exists)) = &work.budget else {
        return Ok(());
    };
    match ctx.cluster.apply::<PodDisruptionBudget>(budget, *exists).await {
        Ok(written) => ctx.caches.budgets.refresh(written),
        Err(error) => refused.push(refusal(
            error,
            "BudgetRefused",
            "PodDisruptionBudget",
            &budget.name_any(),
        )?),
    }
    Ok(())
}

/// A verdict that stays until somebody acts goes into the status; anything else is tried again.
fn refusal(error: ClusterError, reason: &'static str, kind: &str, name: &str) -> Result<Refusal, ClusterError> {
    if !error.is_verdict() {
        return Err(error);
    }
    Ok(Refusal {
        reason,
        message: format!("{kind} {name:?} was refused: {error}"),
    })
}

fn too_large(bytes: usize) -> Refusal {
    Refusal {
        reason: "ConfigTooLarge",
        message: format!(
            "the configuration has {bytes} bytes and a Secret holds {CONFIG_MAX}: running pods have it, one that starts anew would \
             not; attach fewer StreamKeys to this MediaServer"
        ),
    }
}
