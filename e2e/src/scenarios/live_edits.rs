//! What is edited while a publisher is live is in force at once, and the publisher does not notice.

use super::site::{SOON, Site, becomes};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher, probe};
use serde_json::json;
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "a hook's URL, a rotated key and a new key are in force within two seconds, nobody is cut; a deleted one ends who lives by it";

/// The promise is a second or two; a change is looked for by starting an ffmpeg, which takes one more.
const AT_ONCE: Duration = Duration::from_secs(4);

const BOB: &str = "
apiVersion: v1
kind: Secret
metadata: {name: bob-key}
stringData: {key: bobs-first-key}
---
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: bob}
spec: {serverRefs: [{name: live}], stream: {app: live, name: bob}, secretRef: {name: bob-key}}
";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    let mut player = Player::start(&site.rtmp("alice").await?)?;
    player.gets(10, SOON).await?;
    let before = site.pod().await?;

    hook_url(context, &site).await?;
    rotation(context, &site).await?;
    new_key(context, &site).await?;

    publisher.must_be_live()?;
    player.gets(25, SOON).await?;
    ensure!(
        site.pod().await? == before,
        "the pod is another or has restarted: {before:?}, now {:?}",
        site.pod().await?
    );
    let ended: Vec<_> = site
        .back_end
        .calls_of("on_unpublish")
        .iter()
        .filter_map(|c| c.field("stream"))
        .collect();
    ensure!(!ended.contains(&"alice".to_owned()), "the publisher was cut");
    publisher.stop().await
}

/// The next session asks the new URL.
async fn hook_url(context: &Context, site: &Site<'_>) -> Result<()> {
    let other = context.backend(&context.namespace, "other", 9000).await?;
    let url = format!("http://other.{}.svc:9000/{{event}}", context.namespace);
    context
        .kubectl
        .patch(
            "hookendpoint",
            &context.namespace,
            "backend",
            &json!({"spec": {"urls": [url]}}),
        )
        .await?;
    becomes(context, "hookendpoint", "backend", "Programmed", "True", AT_ONCE).await?;
    // The Service is as new as the URL: a node may take a moment before it leads anywhere, and the endpoint says so.
    becomes(
        context,
        "hookendpoint",
        "backend",
        "Reachable",
        "True",
        Duration::from_secs(20),
    )
    .await?;
    let first = site.back_end.calls().len();
    probe(&site.flv("alice").await?).await?;
    other.wait_for("on_play", 1, SOON).await?;
    other.wait_for("on_stop", 1, SOON).await?;
    ensure!(site.back_end.calls().len() == first, "the old URL was called again");
    let back = format!("http://backend.{}.svc:8085/api/v1/streams", context.namespace);
    context
        .kubectl
        .patch(
            "hookendpoint",
            &context.namespace,
            "backend",
            &json!({"spec": {"urls": [back]}}),
        )
        .await?;
    becomes(context, "hookendpoint", "backend", "Programmed", "True", AT_ONCE)
        .await
        .map(drop)
}

/// The name is taken by the live publisher: a good key gets as far as that, the old one does not.
async fn rotation(context: &Context, site: &Site<'_>) -> Result<()> {
    let old = site.alice().await?;
    context
        .kubectl
        .patch(
            "secret",
            &context.namespace,
            "alice-key",
            &json!({"stringData": {"key": "a-key-of-my-own"}}),
        )
        .await?;
    eventually(AT_ONCE, "the new key is good", async || {
        answered(&site.alice().await?, "NameBusy").await
    })
    .await?;
    answered(&old, "KeyWrong")
        .await
        .context("the old key after the rotation")
}

/// A key with a Secret of the user's own: good at once, and so is its rotation.
async fn new_key(context: &Context, site: &Site<'_>) -> Result<()> {
    context.apply(BOB).await?;
    becomes(context, "streamkey", "bob", "Programmed", "True", AT_ONCE).await?;
    let mut bob = Publisher::start(&site.rtmp("bob?secret=bobs-first-key").await?).await?;
    eventually(SOON, "bob is live", async || {
        ensure!(
            site.streams().await?.len() == 2,
            "there are {} streams",
            site.streams().await?.len()
        );
        Ok(())
    })
    .await?;
    context
        .kubectl
        .patch(
            "secret",
            &context.namespace,
            "bob-key",
            &json!({"stringData": {"key": "bobs-second-key"}}),
        )
        .await?;
    let second = site.rtmp("bob?secret=bobs-second-key").await?;
    eventually(AT_ONCE, "bob's second key is good", async || {
        answered(&second, "NameBusy").await
    })
    .await?;
    bob.must_be_live()?;
    taken_away(context, site, &mut bob).await
}

/// Who lives by a key goes with it, and the back end is told once. A rotation, above, is none of that.
async fn taken_away(context: &Context, site: &Site<'_>, bob: &mut Publisher) -> Result<()> {
    context.kubectl.delete("streamkey", &context.namespace, "bob").await?;
    bob.ends_within(AT_ONCE).await.context("after its StreamKey is gone")?;
    site.back_end.wait_for("on_unpublish", 1, SOON).await?;
    let ends = site.back_end.calls_of("on_unpublish").len();
    ensure!(ends == 1, "on_unpublish came {ends} times");
    Ok(())
}

/// A publisher that is refused with this reason.
async fn answered(url: &str, reason: &str) -> Result<()> {
    let (_, log) = Publisher::start(url).await?.ends_within(SOON).await?;
    ensure!(log.contains(reason), "ffmpeg says: {log}");
    Ok(())
}
