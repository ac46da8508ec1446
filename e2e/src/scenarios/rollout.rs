//! A new template reaches every pod, and nobody who publishes is cut for it.

use super::fleet::{Floor, brief, origin_and_other, pods, scale, settled};
use super::site::{SOON, START, Site, becomes, text};
use crate::ensure;
use crate::error::Result;
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher};
use serde_json::{Value, json};
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str =
    "a new template surges and drains, a bad image stops the rollout and reverting heals, no publisher is cut";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let before = scale(context, 2).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let (origin, other) = origin_and_other(context, &site.stream().await?).await?;
    let mut player = Player::start(&origin.flv("alice"))?;
    player.gets(10, SOON).await?;

    let floor = Floor::watch(context);
    bad_image(context).await?;
    let healed = settled(context, 2, START).await?;
    ensure!(
        healed == before,
        "reverting made other pods: {}, before {}",
        brief(&healed),
        brief(&before)
    );
    publisher.must_be_live()?;
    player.gets(25, SOON).await?;

    template(context, "two").await?;
    eventually(
        START,
        "the idle pod is replaced, the live one drains and another is there for it",
        async || {
            let now = pods(&context.kubectl, &context.namespace).await?;
            let drains = now.iter().any(|p| p.uid == origin.uid && p.leaving);
            let serving = now.iter().filter(|p| p.serves).count();
            let replaced = now.iter().all(|p| p.uid != other.uid);
            ensure!(drains && serving == 2 && replaced, "{}", brief(&now));
            Ok(())
        },
    )
    .await?;
    let draining = becomes(context, "mediaserver", "live", "Draining", "True", SOON).await?;
    let message = text(&draining, "/message")?;
    ensure!(
        message.contains(&origin.name) && message.contains("1 publisher"),
        "Draining says {message:?}"
    );
    publisher.must_be_live()?;

    // The player was told to come back, and finds the stream through the Service.
    player.ends_within(Duration::from_secs(30)).await?;
    let mut player = Player::start(&site.flv("alice").await?)?;
    player.gets(50, SOON).await?;
    publisher.must_be_live()?;
    drop(player);
    publisher.stop().await?;
    let after = settled(context, 2, START).await?;
    ensure!(
        after.iter().all(|p| before.iter().all(|b| b.uid != p.uid)),
        "a pod of the old template is left: {}",
        brief(&after)
    );
    becomes(context, "mediaserver", "live", "Ready", "True", SOON).await?;
    floor.held(2)?;
    site.back_end.wait_for("on_unpublish", 1, SOON).await?;
    let ends = site.back_end.calls_of("on_unpublish").len();
    ensure!(ends == 1, "on_unpublish came {ends} times");
    Ok(())
}

/// An image that does not exist: the old pods serve on, and the server says why it does not go on. Then it is taken back.
async fn bad_image(context: &Context) -> Result<()> {
    let image = |image: Value| json!({"spec": {"image": image}});
    let patch = async |value: Value| {
        context
            .kubectl
            .patch("mediaserver", &context.namespace, "live", &value)
            .await
    };
    patch(image(json!("headgate.invalid/media-pod:none"))).await?;
    eventually(START, "the server says that the new image does not start", async || {
        let server = context.get("mediaserver", "live").await?;
        let conditions = server
            .pointer("/status/conditions")
            .cloned()
            .unwrap_or_default()
            .to_string();
        let says = ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"]
            .iter()
            .any(|r| conditions.contains(r));
        ensure!(says, "conditions are {conditions}");
        Ok(())
    })
    .await?;
    patch(image(Value::Null)).await
}

/// Something of the pod template that only new pods can have.
async fn template(context: &Context, generation: &str) -> Result<()> {
    let label = json!({"spec": {"podTemplate": {"metadata": {"labels": {"generation": generation}}}}});
    context
        .kubectl
        .patch("mediaserver", &context.namespace, "live", &label)
        .await
}
