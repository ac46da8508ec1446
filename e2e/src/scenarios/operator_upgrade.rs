//! The operator comes and goes; the media does not notice.

use super::site::{RELEASE, SOON, START, SYSTEM, Site, becomes, operators, upgrade};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, eventually};
use crate::images::NEXT_VERSION;
use crate::media::{Player, Publisher};
use serde_json::Value;

/// What it proves.
pub(super) const ABOUT: &str = "helm upgrade, helm rollback and a killed operator: publisher and player notice nothing";

const BOB: &str = "
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: bob}
spec: {serverRefs: [{name: live}], stream: {app: live, name: bob}, secretRef: {name: bob-key}}
";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let stream = site.stream().await?;
    let mut player = Player::start(&site.rtmp("alice").await?)?;
    player.gets(10, SOON).await?;
    let before = site.pod().await?;

    upgrade(context).await?;
    runs(context, NEXT_VERSION).await?;
    context.apply(BOB).await?;
    becomes(context, "streamkey", "bob", "Programmed", "True", SOON).await?;
    player.gets(25, SOON).await?;

    context.helm.rollback(RELEASE, SYSTEM, None).await?;
    runs(context, crate::images::VERSION).await?;
    player.gets(25, SOON).await?;
    publisher.must_be_live()?;

    let mut bob = without_operator(context, &site).await?;
    player.gets(25, SOON).await?;
    publisher.must_be_live()?;
    bob.must_be_live()?;
    bob.stop().await?;

    ensure!(site.pod().await? == before, "the media pod is another or has restarted");
    let same = |s: &Value| s.pointer("/metadata/uid").cloned();
    ensure!(
        same(&site.stream().await?) == same(&stream),
        "the Stream object was made anew"
    );
    let cut: Vec<_> = site
        .back_end
        .calls_of("on_unpublish")
        .iter()
        .filter_map(|c| c.field("stream"))
        .collect();
    ensure!(!cut.contains(&"alice".to_owned()), "alice was cut");
    publisher.stop().await
}

/// Bob goes live while no operator runs; the status catches up when one is back.
async fn without_operator(context: &Context, site: &Site<'_>) -> Result<Publisher> {
    operators(context, 0).await?;
    let mut bob = Publisher::start(&site.rtmp(&format!("bob?secret={}", site.key("bob-key").await?)).await?).await?;
    let asked = eventually(SOON, "bob is let in without an operator", async || {
        let calls = site.back_end.calls_of("on_publish");
        ensure!(
            calls.iter().any(|c| c.field("stream").as_deref() == Some("bob")),
            "{} publishers were asked about",
            calls.len()
        );
        Ok(())
    });
    asked.await?;
    bob.must_be_live()?;
    operators(context, 1).await?;
    eventually(START, "the status has caught up", async || {
        let names: Vec<_> = site
            .streams()
            .await?
            .iter()
            .filter_map(|s| super::site::text(s, "/spec/name").ok())
            .collect();
        ensure!(
            names.contains(&"bob".to_owned()) && names.len() == 2,
            "the Streams are {names:?}"
        );
        Ok(())
    })
    .await?;
    Ok(bob)
}

/// Only operators of this version are left.
async fn runs(context: &Context, version: &str) -> Result<()> {
    eventually(START, &format!("the operator is {version}"), async || {
        let pods = context
            .kubectl
            .list("pods", SYSTEM, "app.kubernetes.io/name=headgate-operator")
            .await?;
        let images: Vec<_> = pods
            .iter()
            .filter_map(|p| super::site::text(p, "/spec/containers/0/image").ok())
            .collect();
        let tag = format!(":{version}");
        ensure!(
            !images.is_empty() && images.iter().all(|i| i.ends_with(&tag)),
            "images are {images:?}"
        );
        Ok(())
    })
    .await
    .context("after helm")
}
