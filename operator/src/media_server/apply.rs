//! Writes what was planned: certificates first, then the running pods' configuration, then what the cluster keeps, then pods.

use super::fetch::Fetched;
use super::plan::{Planned, Work, authority_secret, needs_write, pod_secret};
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
use kube::ResourceExt;
use std::net::{IpAddr, SocketAddr};

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
        let authority = authority(ctx, fetched, work).await?;
        let config = serde_json::to_vec(&work.config)?;
        link(ctx, fetched, work, &authority, Bytes::from(config))?;
        let config = serde_json::to_vec(&work.first_config)?;
        if config.len() > CONFIG_MAX {
            refused.push(too_large(config.len()));
        } else {
            secret(ctx, fetched, work, &authority, &config).await?;
        }
        services(ctx, work, &mut refused).await?;
        pods(ctx, work, &mut refused).await?;
    }
    Ok(Applied { valid, work, refused })
}

/// The CA in force, written before anything is issued by it.
async fn authority(ctx: &Context, fetched: &Fetched, work: &Work) -> Result<Authority, Error> {
    let live = fetched.children.authority.as_deref();
    let authority = match (work.authority, live.and_then(Material::of)) {
        (Verdict::Keep, Some(material)) => Authority::load(material.pair())?,
        (verdict, _) => {
            tracing::info!(server = %ObjectKey::of(fetched.server.as_ref()), ?verdict, "issuing a CA");
            Authority::issue(&fetched.server.name_any(), fetched.now)?
        }
    };
    let wanted = authority_secret(&fetched.server, authority.pair());
    if needs_write(live, &wanted) {
        let written = ctx.cluster.apply::<Secret>(&wanted, live.is_some()).await?;
        ctx.caches.secrets.refresh(written);
    }
    Ok(authority)
}

/// Tells every pod that can be reached what it should run.
fn link(ctx: &Context, fetched: &Fetched, work: &Work, authority: &Authority, config: Bytes) -> Result<(), TlsError> {
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
        })
    };
    let targets = fetched.pods.iter().filter_map(|l| target(&l.pod)).collect();
    ctx.links.sync(&server, &uid, &work.config, config, targets);
    Ok(())
}

/// Of a pod that has one and has not ended.
fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return None;
    }
    status.pod_ip.as_ref()?.parse().ok()
}

async fn secret(
    ctx: &Context,
    fetched: &Fetched,
    work: &Work,
    authority: &Authority,
    config: &[u8],
) -> Result<(), Error> {
    let live = fetched.children.pod_secret.as_deref();
    let pair = match (work.certificate, live.and_then(Material::of)) {
        (Verdict::Keep, Some(material)) => material.pair(),
        (verdict, _) => issue(fetched, authority, verdict)?,
    };
    let wanted = pod_secret(&fetched.server, config, &pair, authority.pair());
    if needs_write(live, &wanted) {
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

async fn pods(ctx: &Context, work: &Work, refused: &mut Vec<Refusal>) -> Result<(), Error> {
    for pod in &work.delete {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let key = ObjectKey::of(pod.as_ref());
        tracing::info!(pod = %key, "deleting a pod");
        ctx.cluster.delete::<Pod>(&key, &uid).await?;
    }
    for pod in &work.create {
        let key = ObjectKey::of(pod);
        match ctx.cluster.create::<Pod>(pod).await {
            Ok(_) => tracing::info!(pod = %key, "created a pod"),
            Err(error) if error.is_conflict() => refused.extend(stranger(ctx, pod).await?),
            Err(error) => refused.push(refusal(error, "PodRefused", "Pod", &key.name)?),
        }
    }
    Ok(())
}

/// A pod of this name is there already: ours, which the cache will soon know, or a stranger.
async fn stranger(ctx: &Context, wanted: &Pod) -> Result<Option<Refusal>, Error> {
    let found = ctx.cluster.get::<Pod>(&ObjectKey::of(wanted)).await?;
    let owners = |pod: &Pod| pod.metadata.owner_references.clone();
    let is_ours = found.as_ref().is_none_or(|pod| owners(pod) == owners(wanted));
    let labelled = found.as_ref().is_none_or(|pod| {
        let wanted = wanted.labels();
        crate::names::selector("")
            .keys()
            .all(|l| pod.labels().get(l) == wanted.get(l))
    });
    if is_ours && labelled {
        return Ok(None);
    }
    let message = format!(
        "Pod {:?} was not made for this MediaServer or lost its labels: delete it",
        wanted.name_any()
    );
    Ok(Some(Refusal {
        reason: "NameTaken",
        message,
    }))
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
