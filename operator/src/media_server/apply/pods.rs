//! Pods, what is written down on them, and the finalizer that lets them drain.

use super::{Refusal, refusal};
use crate::cluster::ClusterError;
use crate::context::Context;
use crate::media_server::fetch::Fetched;
use crate::media_server::plan::{Finalizer, Work};
use crate::names::{DRAIN_FINALIZER, ObjectKey};
use crate::runner::Error;
use headgate_api::MediaServer;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

/// Puts our finalizer on a server, before it has anything that must drain.
pub async fn finalizer(ctx: &Context, fetched: &Fetched, work: &Work, refused: &mut Vec<Refusal>) -> Result<(), Error> {
    if work.finalizer != Finalizer::Add {
        return Ok(());
    }
    let mut wanted = fetched.server.finalizers().to_vec();
    wanted.push(DRAIN_FINALIZER.into());
    if let Err(error) = hold(ctx, &fetched.server, &wanted).await {
        let name = fetched.server.name_any();
        refused.push(refusal(error, "FinalizerRefused", "MediaServer", &name)?);
    }
    Ok(())
}

/// Takes it off, and leaves those of others.
pub async fn release(ctx: &Context, fetched: &Fetched, work: &Work) -> Result<(), Error> {
    if work.finalizer != Finalizer::Remove {
        return Ok(());
    }
    let others = fetched.server.finalizers().iter().filter(|f| *f != DRAIN_FINALIZER);
    let others: Vec<String> = others.cloned().collect();
    tracing::info!(server = %ObjectKey::of(fetched.server.as_ref()), "nothing is left to wait for");
    match hold(ctx, &fetched.server, &others).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

async fn hold(ctx: &Context, server: &MediaServer, finalizers: &[String]) -> Result<(), ClusterError> {
    let patch = json!({ "metadata": {
        "uid": server.uid(), "resourceVersion": server.resource_version(), "finalizers": finalizers,
    } });
    let written = ctx.cluster.patch::<MediaServer>(&ObjectKey::of(server), patch).await?;
    ctx.caches.servers.refresh(written);
    Ok(())
}

/// Writes down until when a pod drains, and whether it has publishers.
pub async fn marks(ctx: &Context, work: &Work) -> Result<(), Error> {
    for mark in &work.marks {
        let key = ObjectKey::of(mark.pod.as_ref());
        if let Some((why, until)) = mark.begins {
            tracing::info!(pod = %key, ?why, %until, "a pod drains");
        }
        match ctx.cluster.patch::<Pod>(&key, mark.patch.clone()).await {
            Ok(written) => ctx.caches.pods.refresh(written),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Takes pods away.
pub async fn delete(ctx: &Context, work: &Work) -> Result<(), Error> {
    for removal in &work.delete {
        let uid = removal.pod.metadata.uid.clone().unwrap_or_default();
        let key = ObjectKey::of(removal.pod.as_ref());
        tracing::info!(pod = %key, why = ?removal.why, grace = ?removal.grace, publishers = removal.publishers, "deleting a pod");
        ctx.cluster.timed_delete::<Pod>(&key, &uid, removal.grace).await?;
    }
    Ok(())
}

/// Makes pods.
pub async fn create(ctx: &Context, work: &Work, refused: &mut Vec<Refusal>) -> Result<(), Error> {
    for pod in &work.create {
        let key = ObjectKey::of(pod);
        match ctx.cluster.create::<Pod>(pod).await {
            Ok(_) => tracing::info!(pod = %key, "created a pod"),
            Err(error) if error.is_conflict() => refused.extend(stranger(ctx, pod, error).await?),
            Err(error) => refused.push(refusal(error, "PodRefused", "Pod", &key.name)?),
        }
    }
    Ok(())
}

/// A pod of this name is there already: ours, which the cache will soon know, or a stranger.
async fn stranger(ctx: &Context, wanted: &Pod, conflict: ClusterError) -> Result<Option<Refusal>, Error> {
    let Some(found) = ctx.cluster.get::<Pod>(&ObjectKey::of(wanted)).await? else {
        // It is gone meanwhile, or it was about something else, such as a quota that others used in the same moment.
        return Err(conflict.into());
    };
    let owners = |pod: &Pod| pod.metadata.owner_references.clone();
    let is_ours = owners(&found) == owners(wanted);
    let keys = crate::names::selector("");
    let labelled = keys.keys().all(|l| found.labels().get(l) == wanted.labels().get(l));
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
