//! A pod that must go, whoever says so: publishers go on to their end or the deadline.

use super::fleet::{Floor, brief, drain, origin_and_other, pods, scale, settled};
use super::site::{SOON, START, Site};
use crate::ensure;
use crate::error::{Error, Result};
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher};
use serde_json::json;
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str =
    "kubectl drain, scale-down, a deleted pod: publishers go on to their end or the deadline, each end is told once";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    scale(context, 2).await?;
    let node = drained_node(context, &site).await;
    let all = "node/hg-node-1 node/hg-node-2".split(' ');
    for name in all {
        context.kubectl.run(&["uncordon", name]).await?;
    }
    node?;
    deleted_pod(context, &site).await?;
    scaled_down_to_the_idle_one(context, &site).await?;
    deadline(context, &site).await
}

/// `kubectl drain`: the idle pod goes at once, the live one when its publisher has ended; there are always two that serve.
async fn drained_node(context: &Context, site: &Site<'_>) -> Result<()> {
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let (origin, _) = origin_and_other(context, &site.stream().await?).await?;
    let floor = Floor::watch(context);
    let drain = drain(context, &origin.node);
    eventually(START, "the live pod drains and two others serve", async || {
        let now = pods(&context.kubectl, &context.namespace).await?;
        let drains = now.iter().any(|p| p.uid == origin.uid && p.leaving);
        let elsewhere = now.iter().filter(|p| p.serves && p.node != origin.node).count();
        ensure!(drains && elsewhere == 2, "{}", brief(&now));
        Ok(())
    })
    .await?;
    publisher.must_be_live()?;
    // Until the Service leads elsewhere a player may be asked to come again.
    let flv = site.flv("alice").await?;
    eventually(SOON, "a new player gets the stream", async || {
        Player::start(&flv)?.gets(25, SOON).await
    })
    .await?;
    ensure!(!drain.is_finished(), "kubectl drain ended while the publisher was live");
    publisher.must_be_live()?;
    publisher.stop().await?;
    drain
        .await
        .map_err(|error| Error::new(format!("kubectl drain: {error}")))??;
    settled(context, 2, START).await?;
    floor.held(2)
}

/// `kubectl delete pod`: the same drain, by SIGTERM.
async fn deleted_pod(context: &Context, site: &Site<'_>) -> Result<()> {
    site.back_end.forget();
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let (origin, _) = origin_and_other(context, &site.stream().await?).await?;
    context
        .kubectl
        .run(&["delete", "pod", &origin.name, "-n", &context.namespace, "--wait=false"])
        .await?;
    eventually(START, "another pod is there for the one that goes", async || {
        let now = pods(&context.kubectl, &context.namespace).await?;
        let serving = now.iter().filter(|p| p.serves).count();
        ensure!(
            serving == 2 && now.iter().any(|p| p.uid == origin.uid),
            "{}",
            brief(&now)
        );
        Ok(())
    })
    .await?;
    // Longer than any grace that was not asked for.
    tokio::time::sleep(Duration::from_secs(5)).await;
    publisher.must_be_live()?;
    publisher.stop().await?;
    settled(context, 2, START).await?;
    ended_once(site).await
}

/// `kubectl scale`: the pod that is idle goes, whichever its number.
async fn scaled_down_to_the_idle_one(context: &Context, site: &Site<'_>) -> Result<()> {
    site.back_end.forget();
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let (origin, _) = origin_and_other(context, &site.stream().await?).await?;
    let left = scale(context, 1).await?;
    ensure!(
        left.iter().all(|p| p.uid == origin.uid),
        "left is {}, the publisher is in {}",
        brief(&left),
        origin.name
    );
    publisher.must_be_live()?;
    publisher.stop().await?;
    ended_once(site).await
}

/// Nobody may keep a pod for ever.
async fn deadline(context: &Context, site: &Site<'_>) -> Result<()> {
    site.back_end.forget();
    let short = json!({"spec": {"drain": {"deadlineSeconds": 6}}});
    context
        .kubectl
        .patch("mediaserver", &context.namespace, "live", &short)
        .await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    context
        .kubectl
        .run(&["scale", "mediaserver", "live", "-n", &context.namespace, "--replicas=0"])
        .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    publisher.must_be_live()?;
    publisher.ends_within(Duration::from_secs(15)).await?;
    settled(context, 0, START).await?;
    ended_once(site).await?;
    site.no_streams().await
}

async fn ended_once(site: &Site<'_>) -> Result<()> {
    site.back_end.wait_for("on_unpublish", 1, SOON).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (publishes, ends) = (
        site.back_end.calls_of("on_publish").len(),
        site.back_end.calls_of("on_unpublish").len(),
    );
    ensure!(
        publishes == 1 && ends == 1,
        "{publishes} on_publish, {ends} on_unpublish"
    );
    Ok(())
}
