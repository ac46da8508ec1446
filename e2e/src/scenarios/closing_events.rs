//! Whatever becomes of a pod, each session that was let in is told to have ended, once.

use super::fleet::{Pod, SELECTOR, origin_and_other, pods, scale, settled};
use super::site::{OPERATORS, SOON, START, SYSTEM, Site, becomes, leader, operators, text};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher};
use crate::receiver::Call;
use crate::ui::say;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What it proves.
pub(super) const ABOUT: &str = "SIGKILL, force delete, a lost node, also with the operator that leads on it: exactly one closing event a session; a node that is merely cut off closes nothing";

/// From the moment a node is given up to the closing events of what was on it.
const GIVEN_UP: Duration = Duration::from_secs(20);
/// How long it is watched that nothing more comes.
const ALL_THE_SAME: Duration = Duration::from_secs(4);
/// An operator that does not lead has heard what pods have open: it begins 2 s after it starts to wait.
const HEARD: Duration = Duration::from_secs(3);
/// The program in the pods.
const PROGRAM: &str = "media-pod";
/// The program in the operator's.
const OPERATOR: &str = "operator";
/// The local cluster's.
const NODES: [&str; 2] = ["hg-node-1", "hg-node-2"];
/// The pairs that must come out even.
const PAIRS: [(&str, &str); 3] = [
    ("on_connect", "on_close"),
    ("on_publish", "on_unpublish"),
    ("on_play", "on_stop"),
];

/// A publisher and two viewers of it, one of them at another pod.
struct Crowd {
    publisher: Publisher,
    players: Vec<Player>,
    origin: Pod,
}

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let every = json!({"spec": {"events": ["Connect", "Close", "Publish", "Unpublish", "Play", "Stop"]}});
    context
        .kubectl
        .patch("hookendpoint", &context.namespace, "backend", &every)
        .await?;
    scale(context, 2).await?;
    becomes(context, "hookendpoint", "backend", "Programmed", "True", SOON).await?;

    killed_process(context, &site).await?;
    forced_deletion(context, &site).await?;
    let node = lost_node(context, &site).await;
    for name in NODES {
        context.reconnect(name).await?;
    }
    node?;
    let node = lost_with_leader(context, &site).await;
    for name in NODES {
        context.reconnect(name).await?;
    }
    node
}

async fn crowd(context: &Context, site: &Site<'_>) -> Result<Crowd> {
    settled(context, 2, START).await?;
    crowd_at(context, site, &site.alice().await?).await
}

async fn crowd_at(context: &Context, site: &Site<'_>, url: &str) -> Result<Crowd> {
    site.back_end.forget();
    let publisher = Publisher::start(url).await?;
    let (origin, edge) = origin_and_other(context, &site.stream().await?).await?;
    let mut players = vec![
        Player::start(&origin.rtmp("alice"))?,
        Player::start(&origin.flv("alice"))?,
        Player::start(&edge.rtmp("alice"))?,
    ];
    for player in &mut players {
        player.gets(10, SOON).await?;
    }
    Ok(Crowd {
        publisher,
        players,
        origin,
    })
}

/// The kernel kills the process: the next one in the same pod says what the first could not.
async fn killed_process(context: &Context, site: &Site<'_>) -> Result<()> {
    let crowd = crowd(context, site).await?;
    context.kill_process(&crowd.origin.uid, PROGRAM)?;
    eventually(START, "the container runs again", async || {
        let now = pods(&context.kubectl, &context.namespace).await?;
        ensure!(
            now.iter()
                .any(|p| p.uid == crowd.origin.uid && p.restarts > crowd.origin.restarts),
            "it does not"
        );
        Ok(())
    })
    .await?;
    crowd.leaves().await?;
    all_closed(site, Duration::from_secs(30)).await
}

/// `kubectl delete pod --force`: another pod says it.
async fn forced_deletion(context: &Context, site: &Site<'_>) -> Result<()> {
    let crowd = crowd(context, site).await?;
    let force = [
        "delete",
        "pod",
        &crowd.origin.name,
        "-n",
        &context.namespace,
        "--force",
        "--grace-period=0",
    ];
    context.kubectl.run(&force).await?;
    crowd.leaves().await?;
    all_closed(site, GIVEN_UP).await?;
    site.no_streams().await
}

/// Cut off, a node may still serve, and nothing is closed. Given up, all that was on it is.
async fn lost_node(context: &Context, site: &Site<'_>) -> Result<()> {
    let mut crowd = crowd(context, site).await?;
    let node = crowd.origin.node.clone();
    context.cut_off(&node)?;
    let unknown = Duration::from_secs(90);
    context
        .kubectl
        .wait("default", &format!("node/{node}"), "condition=Ready=Unknown", unknown)
        .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    crowd.publisher.must_be_live()?;
    let early = site.back_end.calls_of("on_unpublish").len();
    ensure!(
        early == 0,
        "on_unpublish came while the publisher was live on a node that was cut off"
    );

    let on_node: Vec<_> = pods(&context.kubectl, &context.namespace)
        .await?
        .into_iter()
        .filter(|p| p.node == node)
        .collect();
    for pod in on_node {
        context.kill_process(&pod.uid, PROGRAM)?;
    }
    let given_up = Instant::now();
    context.kubectl.run(&["delete", "node", &node, "--wait=false"]).await?;
    crowd.leaves().await?;
    all_closed(site, GIVEN_UP.saturating_sub(given_up.elapsed())).await?;
    site.no_streams().await
}

/// A node is lost with the operator that leads and a media pod on it, both in the same moment: the other operator has heard what the pod had open.
async fn lost_with_leader(context: &Context, site: &Site<'_>) -> Result<()> {
    let node = apart(context).await?;
    // A node that was lost has none: the second one is made there.
    scale(context, 1).await?;
    let pods = scale(context, 2).await?;
    let elsewhere = pods.iter().any(|p| p.node != node);
    ensure!(elsewhere, "all media pods are on {node}");
    let there = pods.iter().find(|p| p.node == node);
    let pod = there.context(format_args!("no media pod is on {node}"))?;
    let key = site.key("alice-key").await?;
    let crowd = crowd_at(context, site, &pod.rtmp(&format!("alice?secret={key}"))).await?;
    ensure!(
        crowd.origin.name == pod.name,
        "the publisher is in {}",
        crowd.origin.name
    );
    tokio::time::sleep(HEARD).await;

    let first = leader(context).await?;
    context.cut_off(&node)?;
    for (uid, program) in on_node(context, &node).await? {
        context.kill_process(&uid, program)?;
    }
    let given_up = Instant::now();
    context.kubectl.run(&["delete", "node", &node, "--wait=false"]).await?;
    crowd.leaves().await?;
    let closed = all_closed(site, GIVEN_UP).await;
    say(format_args!(
        "  {:.1} s after the node was given up",
        given_up.elapsed().saturating_sub(ALL_THE_SAME).as_secs_f64()
    ));
    closed?;
    let now = leader(context).await?;
    ensure!(now != first, "{first} leads still: it was not lost");
    let (opened, stops) = (
        site.back_end.calls_of("on_play").len(),
        site.back_end.calls_of("on_stop").len(),
    );
    ensure!(
        opened == 3 && stops == 3,
        "on_play came {opened} times, on_stop {stops} times"
    );
    site.no_streams().await
}

/// Has two operators, one on each node; the node of the one that leads.
async fn apart(context: &Context) -> Result<String> {
    operators(context, 2).await?;
    eventually(START, "the operators are apart", async || {
        let found = context.kubectl.list("pods", SYSTEM, OPERATORS).await?;
        let first = leader(context).await?;
        let name = |p: &Value| text(p, "/metadata/name");
        let leads = |p: &&Value| name(p).is_ok_and(|name| name == first);
        let node = text(found.iter().find(leads).context("no pod leads")?, "/spec/nodeName")?;
        let beside = found
            .iter()
            .find(|p| !leads(p) && text(p, "/spec/nodeName").is_ok_and(|n| n == node));
        if let Some(beside) = beside {
            context.kubectl.run(&["cordon", &node]).await?;
            context.kubectl.delete("pod", SYSTEM, &name(beside)?).await?;
            operators(context, 2).await?;
            context.kubectl.run(&["uncordon", &node]).await?;
            return Err(Error::new(format!("both were on {node}")));
        }
        Ok(node)
    })
    .await
}

/// The pods of a node by UID, and what runs in them.
async fn on_node(context: &Context, node: &str) -> Result<Vec<(String, &'static str)>> {
    let all = [
        (SYSTEM, OPERATORS, OPERATOR),
        (context.namespace.as_str(), SELECTOR, PROGRAM),
    ];
    let mut found = Vec::new();
    for (namespace, selector, program) in all {
        let pods = context.kubectl.list("pods", namespace, selector).await?;
        let there = pods
            .iter()
            .filter(|p| text(p, "/spec/nodeName").is_ok_and(|n| n == node));
        for pod in there {
            found.push((text(pod, "/metadata/uid")?, program));
        }
    }
    Ok(found)
}

impl Crowd {
    /// All of it goes, if it is still there.
    async fn leaves(self) -> Result<()> {
        for player in self.players {
            player.stop().await?;
        }
        self.publisher.kill().await
    }
}

/// What was let in was told to have ended, under one id each.
async fn all_closed(site: &Site<'_>, limit: Duration) -> Result<()> {
    eventually(limit, "every session was closed", async || {
        let calls = site.back_end.calls();
        for (opening, closing) in PAIRS {
            let (open, closed) = (clients(&calls, opening), clients(&calls, closing));
            ensure!(open == closed, "{opening} {open:?}, {closing} {closed:?}");
        }
        Ok(())
    })
    .await?;
    tokio::time::sleep(ALL_THE_SAME).await;
    let calls = site.back_end.calls();
    for (opening, closing) in PAIRS {
        let ids: BTreeSet<_> = calls.iter().filter(|c| c.event == closing).filter_map(id).collect();
        let opened = calls.iter().filter(|c| c.event == opening).count();
        ensure!(
            ids.len() == opened,
            "{opened} {opening}, but {closing} under {} ids",
            ids.len()
        );
    }
    Ok(())
}

fn clients(calls: &[Call], event: &str) -> BTreeSet<String> {
    calls
        .iter()
        .filter(|c| c.event == event)
        .filter_map(|c| c.field("client_id"))
        .collect()
}

fn id(call: &Call) -> Option<String> {
    Some(call.headers.get("webhook-id")?.to_str().ok()?.to_owned())
}
