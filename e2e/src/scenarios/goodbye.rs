//! Taking things away: a server with a live stream, a namespace, the operator itself.

use super::fleet::{pods, settled};
use super::site::{RELEASE, SOON, START, SYSTEM, Site, becomes, install, leader, operators, text};
use crate::ensure;
use crate::error::Result;
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher};
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "helm uninstall keeps objects and media, a reinstall adopts them; a deleted server drains first; no namespace hangs, not even one deleted while no operator runs";

/// From the deletion of a namespace to its end: Kubernetes itself waits 5 s before it begins, and looks at pods that are left after half of their grace.
const GONE: Duration = Duration::from_mins(2);

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    let mut player = Player::start(&site.rtmp("alice").await?)?;
    player.gets(10, SOON).await?;

    reinstalled(context, &site, &mut player).await?;
    publisher.must_be_live()?;

    let gone = [
        "delete",
        "mediaserver",
        "live",
        "-n",
        &context.namespace,
        "--wait=false",
    ];
    context.kubectl.run(&gone).await?;
    for (kind, name) in [("streamkey", "alice"), ("hookendpoint", "backend")] {
        let refs = becomes(context, kind, name, "ResolvedRefs", "False", SOON).await?;
        let reason = text(&refs, "/reason")?;
        ensure!(reason == "ServerDeleting", "{kind} {name} says {reason}");
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    publisher.must_be_live()?;
    ensure!(
        pods(&context.kubectl, &context.namespace).await?.len() == 1,
        "the pod went while its publisher was live"
    );
    publisher.stop().await?;
    settled(context, 0, START).await?;
    eventually(SOON, "the server is gone", async || {
        let left = context
            .kubectl
            .try_get("mediaserver", Some(&context.namespace), "live")
            .await?;
        ensure!(left.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    let ends = site.back_end.wait_for("on_unpublish", 1, SOON).await?.len();
    ensure!(ends == 1, "on_unpublish came {ends} times");
    whole_namespace(context).await?;
    namespaces_without_operator(context).await
}

/// helm takes the operator and leaves what users made; another operator takes it over with no restart.
async fn reinstalled(context: &Context, site: &Site<'_>, player: &mut Player) -> Result<()> {
    let before = settled(context, 1, START).await?;
    context.helm.uninstall(RELEASE, SYSTEM).await?;
    player.gets(25, SOON).await?;
    context.get("mediaserver", "live").await?;
    let before_it = leader(context).await.ok();
    install(context).await?;
    // What stands in the objects is still the last one's word.
    eventually(START, "the new operator leads", async || {
        let leads = leader(context).await?;
        ensure!(Some(&leads) != before_it.as_ref(), "{leads} has not given up");
        Ok(())
    })
    .await?;
    site.all_in_force().await?;
    site.stream().await?;
    player.gets(25, SOON).await?;
    let after = settled(context, 1, START).await?;
    ensure!(after == before, "the media pod is another or has restarted");
    Ok(())
}

/// A namespace with a server and a live stream in it goes, whoever is live.
async fn whole_namespace(context: &Context) -> Result<()> {
    let (namespace, mut publisher) = another_site(context, "b").await?;
    delete_namespace(context, &namespace).await?;
    is_gone(context, &namespace).await?;
    publisher.ends_within(SOON).await.map(drop)
}

/// Those that are deleted while no operator runs wait for it, and go once it is back: one whose publisher is live, and one where only what the operator
/// holds is left.
async fn namespaces_without_operator(context: &Context) -> Result<()> {
    let (live, mut publisher) = another_site(context, "c").await?;
    let (idle, other) = another_site(context, "d").await?;
    operators(context, 0).await?;
    for namespace in [&live, &idle] {
        delete_namespace(context, namespace).await?;
    }
    other.stop().await?;
    eventually(START, "only what the operator holds is left", async || {
        let pods = pods(&context.kubectl, &idle).await?.len();
        ensure!(pods == 0, "{pods} pods are left");
        Ok(())
    })
    .await?;
    for namespace in [&live, &idle] {
        let servers = context.kubectl.list("mediaservers", namespace, "").await?.len();
        ensure!(
            servers == 1,
            "nobody held the server in {namespace}: {servers} are left"
        );
    }
    operators(context, 1).await?;
    is_gone(context, &live).await?;
    is_gone(context, &idle).await?;
    publisher.ends_within(SOON).await.map(drop)
}

/// Another namespace with a server of its own, and a publisher who is live there.
async fn another_site(context: &Context, suffix: &str) -> Result<(String, Publisher)> {
    let namespace = context.another_namespace(suffix).await?;
    let kubectl = &context.kubectl;
    let server = "
apiVersion: headgate.dev/v1alpha1
kind: MediaServer
metadata: {name: live}
spec: {publish: {authentication: None}, drain: {deadlineSeconds: 30}}
";
    kubectl.apply(&namespace, server).await?;
    let pod = eventually(START, "its pod serves", async || {
        let pods = pods(kubectl, &namespace).await?;
        let serving = pods.into_iter().find(|p| p.serves);
        serving.ok_or_else(|| crate::error::Error::new("no pod serves"))
    })
    .await?;
    let publisher = Publisher::start(&pod.rtmp("somebody")).await?;
    eventually(SOON, "a stream is live there", async || {
        let streams = kubectl.list("streams.headgate.dev", &namespace, "").await?;
        ensure!(streams.len() == 1, "{} Streams", streams.len());
        Ok(())
    })
    .await?;
    Ok((namespace, publisher))
}

async fn delete_namespace(context: &Context, namespace: &str) -> Result<()> {
    let delete = ["delete", "namespace", namespace, "--wait=false"];
    context.kubectl.run(&delete).await.map(drop)
}

async fn is_gone(context: &Context, namespace: &str) -> Result<()> {
    eventually(GONE, "the namespace is gone", async || {
        let left = context.kubectl.try_get("namespace", None, namespace).await?;
        ensure!(
            left.is_none(),
            "it is {:?}",
            left.and_then(|n| n.pointer("/status").cloned())
        );
        Ok(())
    })
    .await
}
