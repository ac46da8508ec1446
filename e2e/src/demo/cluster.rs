//! The demo with Kubernetes: helm and the quickstart on the local cluster.

use super::{publish_for_ever, until_interrupted};
use crate::error::{Context as _, Result};
use crate::harness::{Cluster, Context, clean};
use crate::scenarios::site::{CHART_DIR, RELEASE, SYSTEM, Site};
use crate::tools::lock::Lock;
use crate::tools::paths::Paths;
use crate::ui::say;

/// Runs until Ctrl-C, then takes away what it made; the cluster stays up.
pub async fn on_cluster(paths: &Paths) -> Result<()> {
    let _lock = Lock::take(paths).await?;
    let cluster = Cluster::ensure(paths, true).await?;
    let context = Context::of_demo(&cluster).await?;
    let outcome = show(&context).await;
    let cleaned = clean(&context).await;
    outcome.and(cleaned)
}

async fn show(context: &Context) -> Result<()> {
    say(format_args!(
        "helm install {RELEASE} {CHART_DIR} -n {SYSTEM}, then the quickstart in namespace {}",
        context.namespace
    ));
    let site = Site::quickstart(context).await?;
    let (address, key) = (site.address("rtmp").await?, site.key("alice-key").await?);
    let http = site.address("http").await?;
    let kubeconfig = context.kubectl.kubeconfig().display();
    say(format_args!(
        "
A test stream goes to rtmp://{address}/live/alice. Play it:
  ffplay rtmp://{address}/live/alice
  ffplay http://{http}/live/alice.flv
Look:
  export KUBECONFIG={kubeconfig}
  kubectl -n {namespace} get mediaservers,streamkeys,hookendpoints,streams
Ctrl-C takes it away; `cargo e2e cluster down` ends the cluster.
",
        namespace = context.namespace,
    ));
    let stream = format!("alice?secret={key}");
    tokio::select! {
        ended = until_interrupted() => ended,
        ended = publish_for_ever(&address, "live", &stream) => ended,
    }
    .context("the demo")
}
