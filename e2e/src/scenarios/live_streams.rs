//! While it is live a stream is an object that says what it is, and deleting the object cuts the publisher.

use super::site::{SOON, Site, text};
use crate::ensure;
use crate::error::Result;
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher};
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "kubectl get streams shows a live stream; kubectl delete stream cuts its publisher";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let stream = site.stream().await?;
    let mut player = Player::start(&site.flv("alice").await?)?;
    player.gets(10, SOON).await?;
    let name = text(&stream, "/metadata/name")?;
    eventually(SOON, "kubectl get streams counts the viewer", async || {
        let table = context
            .kubectl
            .run(&["get", "streams", "-n", &context.namespace])
            .await?;
        shows_all(&table)
    })
    .await?;
    wide_enough_for_a_terminal(context).await?;
    described_for_people(context, &name).await?;

    context.kubectl.delete("stream", &context.namespace, &name).await?;
    let (_, log) = publisher.ends_within(SOON).await?;
    site.back_end.wait_for("on_unpublish", 1, SOON).await?;
    site.no_streams().await?;
    player.ends_within(Duration::from_secs(20)).await?;
    site.back_end.wait_for("on_stop", 1, SOON).await?;
    ensure!(
        site.back_end.calls_of("on_unpublish").len() == 1,
        "on_unpublish came more than once; the publisher said {log}"
    );

    // The name is free again, and the object comes and goes with the publisher.
    let again = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    again.kill().await?;
    site.back_end.wait_for("on_unpublish", 2, SOON).await?;
    site.no_streams().await
}

fn shows_all(table: &str) -> Result<()> {
    let row = table.lines().nth(1).unwrap_or_default();
    let words: Vec<_> = row.split_whitespace().collect();
    let expected = ["live", "alice", "live-0", "H264/AAC", "640x360", "RTMP", "1"];
    ensure!(
        words.get(1..8) == Some(&expected[..]) && words.len() == 9,
        "the table is\n{table}"
    );
    Ok(())
}

/// What is for machines alone is not among what a Stream says, and kubectl cuts it short.
async fn described_for_people(context: &Context, name: &str) -> Result<()> {
    let described = ["describe", "stream", name, "-n", &context.namespace];
    let text = context.kubectl.run(&described).await?;
    let (head, status) = text.split_once("Status:").unwrap_or((&text, ""));
    ensure!(
        status.contains("Publishing") && !status.contains("ealed"),
        "kubectl describe says\n{text}"
    );
    let longest = text.lines().map(str::len).max().unwrap_or(0);
    ensure!(longest <= 200, "a line of {longest} characters in\n{text}");
    ensure!(
        head.contains("headgate.dev/sealed-session"),
        "nothing would close the session of a lost pod:\n{text}"
    );
    Ok(())
}

async fn wide_enough_for_a_terminal(context: &Context) -> Result<()> {
    for kind in ["mediaservers", "streamkeys", "hookendpoints", "streams"] {
        for output in [&[][..], &["-o", "wide"]] {
            let get = ["get", kind, "-n", &context.namespace];
            let table = context.kubectl.run(&[get.as_slice(), output].concat()).await?;
            let widest = table.lines().map(str::len).max().unwrap_or(0);
            ensure!(
                widest <= 120,
                "kubectl get {kind} {output:?} is {widest} characters wide:\n{table}"
            );
        }
    }
    Ok(())
}
