//! What breaks around the operator heals by itself, and no publisher is cut for it.

use super::fleet::settled;
use super::site::{OPERATORS, SOON, START, SYSTEM, Site, becomes, leader, operators, text};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, EtcdLink, eventually};
use crate::media::{Player, Publisher};
use crate::ui::say;
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

/// What it proves.
pub(super) const ABOUT: &str = "no API server for a minute, an etcd that answers late, an operator that sleeps through its lease, children edited and deleted: all heals, nobody is cut";

/// How long the API server is away.
const AWAY: Duration = Duration::from_mins(1);

/// From an API server that is back to an edit that is seen: two tries of a watch, the first of which hears that its version is too old.
const HEARS_AGAIN: Duration = Duration::from_secs(15);

/// How much longer a message from or to a slow etcd takes: a read takes half a second then, and a write as kubectl asks for it more than one.
const LATE: Duration = Duration::from_millis(250);

/// From a change to what it asks for while etcd is slow, which everybody in the cluster waits for.
const SLOWLY: Duration = Duration::from_secs(30);

/// A leader renews its lease several times in this.
const LEASES: Duration = Duration::from_secs(30);

/// From the end of a leader that gives nothing up to the next one, as the docs have it (10 s), and what a slow machine takes.
const TAKEOVER: Duration = Duration::from_secs(15);

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    let mut player = Player::start(&site.rtmp("alice").await?)?;
    player.gets(10, SOON).await?;
    let before = settled(context, 1, START).await?;

    children(context, &site).await?;
    // The authority's Secret was deleted, and the pods take a new configuration all the same.
    let limit = json!({"spec": {"maxPublishers": 3}});
    context
        .kubectl
        .patch("streamkey", &context.namespace, "alice", &limit)
        .await?;
    becomes(context, "streamkey", "alice", "Programmed", "True", SOON).await?;
    no_api_server(context, &site, &mut player).await?;
    site.all_in_force().await?;
    sleeping_leader(context).await?;
    site.all_in_force().await?;

    publisher.must_be_live()?;
    player.gets(25, SOON).await?;
    let after = settled(context, 1, START).await?;
    ensure!(
        after == before,
        "the pod is another or has restarted: {before:?}, now {after:?}"
    );
    no_other_pod_was_made(context).await?;
    let ends = site.back_end.calls_of("on_unpublish").len();
    ensure!(ends == 0, "on_unpublish came {ends} times");
    publisher.stop().await
}

/// A Service, a Secret and a budget that somebody edits or deletes.
async fn children(context: &Context, site: &Site<'_>) -> Result<()> {
    let namespace = &context.namespace;
    let wanted = site.address("rtmp").await?;
    let edit = json!({"spec": {"selector": {"headgate.dev/server": "another"}}});
    context.kubectl.patch("service", namespace, "live", &edit).await?;
    eventually(SOON, "the Service's selector is back", async || {
        let service = context.get("service", "live").await?;
        let selector = text(&service, "/spec/selector/headgate.dev~1server")?;
        ensure!(selector == "live", "it selects {selector}");
        Ok(())
    })
    .await?;
    let secrets = context
        .kubectl
        .list("secrets", namespace, super::fleet::SELECTOR)
        .await?;
    for secret in secrets.iter().filter_map(|s| text(s, "/metadata/name").ok()) {
        context.kubectl.delete("secret", namespace, &secret).await?;
        eventually(SOON, &format!("Secret {secret} is made again"), async || {
            context.get("secret", &secret).await
        })
        .await?;
    }
    for budget in context.kubectl.list("poddisruptionbudgets", namespace, "").await? {
        let name = text(&budget, "/metadata/name")?;
        context.kubectl.delete("poddisruptionbudget", namespace, &name).await?;
        eventually(SOON, &format!("the budget {name} is made again"), async || {
            context.get("poddisruptionbudget", &name).await
        })
        .await?;
    }
    context.kubectl.delete("service", namespace, "live").await?;
    eventually(SOON, "the Service is made again", async || {
        let port = site.address("rtmp").await?;
        ensure!(port.ends_with(":1935"), "it is at {port}, was at {wanted}");
        Ok(())
    })
    .await
}

/// Media and hooks go on; the operator is there when the API server is. That comes back with an etcd that is slow for a while.
async fn no_api_server(context: &Context, site: &Site<'_>, player: &mut Player) -> Result<()> {
    context.stop_api_server()?;
    tokio::time::sleep(AWAY).await;
    let seen = player.gets(25, SOON).await;
    let link = context.start_api_server_over_link().await?;
    seen?;
    eventually(START, "an operator leads", async || leader(context).await.map(drop)).await?;
    let limit = json!({"spec": {"maxPublishers": 5}});
    context
        .kubectl
        .patch("streamkey", &context.namespace, "alice", &limit)
        .await?;
    becomes(context, "streamkey", "alice", "Accepted", "True", HEARS_AGAIN).await?;
    // Whoever counts the nodes takes one whose kubelet could say nothing for a minute for lost, and its pods for not ready, until it hears of it.
    settled(context, 1, START).await?;
    site.all_in_force().await?;
    // One alone would lead again under the same name.
    operators(context, 2).await?;
    slow_etcd(context, site, &link).await?;
    link.take_away().await
}

/// That no node answered was no reason to make pods.
async fn no_other_pod_was_made(context: &Context) -> Result<()> {
    let events = context.kubectl.list("events", &context.namespace, "").await?;
    let others = events.iter().filter(|event| {
        let of = |field: &str| text(event, &format!("/involvedObject/{field}")).unwrap_or_default();
        of("kind") == "Pod" && of("name") != "live-0"
    });
    let others = others.count();
    ensure!(others == 0, "{others} events are about another pod than live-0");
    Ok(())
}

/// All that the API server says comes half a second late or more: who leads goes on to, and what is asked for and taken away comes.
async fn slow_etcd(context: &Context, site: &Site<'_>, link: &EtcdLink<'_>) -> Result<()> {
    let before = leader(context).await?;
    link.slow(LATE);
    let begun = Instant::now();
    let limit = json!({"spec": {"maxPublishers": 4}});
    context
        .kubectl
        .patch("streamkey", &context.namespace, "alice", &limit)
        .await?;
    context.kubectl.delete("service", &context.namespace, "live").await?;
    becomes(context, "streamkey", "alice", "Programmed", "True", SLOWLY).await?;
    eventually(SLOWLY, "the Service is made again", async || {
        site.address("rtmp").await.map(drop)
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    say(format_args!("  with a slow etcd all is in force after {took:.1} s"));
    tokio::time::sleep(LEASES.saturating_sub(begun.elapsed())).await;
    let after = leader(context).await?;
    ensure!(after == before, "{before} led, and now {after} does");
    link.slow(Duration::ZERO);
    Ok(())
}

/// A leader that is stopped past its lease and wakes up finds another in its place, and writes nothing.
async fn sleeping_leader(context: &Context) -> Result<()> {
    operators(context, 2).await?;
    let first = eventually(START, "an operator leads", async || leader(context).await).await?;
    let found = context.kubectl.list("pods", SYSTEM, OPERATORS).await?;
    let holder = found
        .iter()
        .find(|p| text(p, "/metadata/name").is_ok_and(|name| first.contains(&name)));
    let uid = text(
        holder.context(format_args!("no pod is named as the leader {first}"))?,
        "/metadata/uid",
    )?;
    context.signal(&uid, "operator", Signal::SIGSTOP)?;
    let begun = Instant::now();
    let taken = eventually(TAKEOVER, "the other one leads", async || {
        let now = leader(context).await?;
        ensure!(now != first, "{now} still leads");
        Ok(())
    })
    .await;
    say(format_args!(
        "  another leads {:.1} s after the leader stopped",
        begun.elapsed().as_secs_f64()
    ));
    context.signal(&uid, "operator", Signal::SIGCONT)?;
    taken?;
    let name = format!("after-{}", uuid::Uuid::new_v4().simple());
    let key = json!({"apiVersion": "headgate.dev/v1alpha1", "kind": "StreamKey", "metadata": {"name": name},
        "spec": {"serverRefs": [{"name": "live"}], "stream": {"app": "live", "name": "x"}, "secretRef": {"name": name}}});
    context.apply(&key.to_string()).await?;
    becomes(context, "streamkey", &name, "Programmed", "True", SOON).await?;
    operators(context, 1).await
}
