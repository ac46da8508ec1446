//! Five back ends of five dialects beside each other, and all that can become of a pod: each hears of each session's beginning and end, once.

mod heard;

use super::fleet::{Pod, drain, origin_and_other, pods, scale, settled};
use super::site::{SOON, START, Site, becomes, text, upgrade};
use crate::ensure;
use crate::error::{Error, Result};
use crate::harness::{Context, eventually};
use crate::http_get::http_body;
use crate::media::{Player, Publisher};
use crate::receiver::{Answer, Call, Receiver};
use heard::{HOOKS, Hook, REFUSED, told_once};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "five dialects at once: upgrade, drain, rollout, a deleted pod, a lost node lose and double nothing; dead letters go on to another pod";

/// How long a lost pod's sessions may take to be closed, and what is handed over to come.
const CLOSED: Duration = Duration::from_secs(40);
/// The program in the pods.
const PROGRAM: &str = "media-pod";
/// The quickstart with all five, and what they heard.
struct Stage<'a> {
    context: &'a Context,
    site: Site<'a>,
    /// Answers `0`, which SRSv1 alone must have.
    zero: Receiver,
    /// Answers in one object what the others take for a yes.
    object: Receiver,
}

/// A publisher and two viewers, one of them at another pod.
struct Crowd {
    publisher: Publisher,
    players: Vec<Player>,
    origin: Pod,
}

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let stage = Stage::set(context).await?;
    stage.upgraded().await?;
    stage.drained().await?;
    stage.rolled_out().await?;
    stage.deleted().await?;
    stage.repeats_nothing()?;
    let lost = stage.lost_node().await;
    for name in ["hg-node-1", "hg-node-2"] {
        context.reconnect(name).await?;
    }
    lost
}

impl<'a> Stage<'a> {
    async fn set(context: &'a Context) -> Result<Self> {
        let site = Site::quickstart(context).await?;
        let namespace = &context.namespace;
        let (zero, object) = (
            context.backend(namespace, "zero", 8085).await?,
            context.backend(namespace, "object", 8085).await?,
        );
        object.answer_all(Answer::body(r#"{"code":0,"allow":true}"#));
        context.kubectl.delete("hookendpoint", namespace, "backend").await?;
        for hook in &HOOKS {
            context.apply(&hook.manifest(namespace)).await?;
        }
        scale(context, 2).await?;
        for hook in &HOOKS {
            becomes(context, "hookendpoint", hook.name, "Programmed", "True", SOON).await?;
        }
        Ok(Self {
            context,
            site,
            zero,
            object,
        })
    }

    /// A new operator cuts nobody, and what the admin port of a pod shows has every endpoint in it.
    async fn upgraded(&self) -> Result<()> {
        let mut crowd = self.crowd().await?;
        upgrade(self.context).await?;
        self.shows_attempts(&crowd.origin).await?;
        self.key_made_anew(&mut crowd).await?;
        crowd.goes_on().await?;
        self.told(0).await?;
        crowd.leaves().await?;
        self.told(1).await
    }

    /// `kubectl drain`: it waits for the publisher, who goes on to the end.
    async fn drained(&self) -> Result<()> {
        let mut crowd = self.crowd().await?;
        let node = crowd.origin.node.clone();
        let drain = drain(self.context, &node);
        let drains = self.drains(&crowd.origin).await;
        let waits = !drain.is_finished();
        crowd.publisher.must_be_live()?;
        crowd.leaves().await?;
        let drained = drain
            .await
            .map_err(|error| Error::new(format!("kubectl drain: {error}")));
        self.context.kubectl.run(&["uncordon", &node]).await?;
        drained??;
        drains?;
        ensure!(waits, "kubectl drain ended while the publisher was live");
        settled(self.context, 2, START).await?;
        self.told(2).await
    }

    /// A new template: the publisher's pod drains until it has ended.
    async fn rolled_out(&self) -> Result<()> {
        let mut crowd = self.crowd().await?;
        let label = json!({"spec": {"podTemplate": {"metadata": {"labels": {"generation": "two"}}}}});
        let namespace = &self.context.namespace;
        self.context
            .kubectl
            .patch("mediaserver", namespace, "live", &label)
            .await?;
        self.drains(&crowd.origin).await?;
        crowd.publisher.must_be_live()?;
        crowd.leaves().await?;
        settled(self.context, 2, START).await?;
        self.told(3).await
    }

    /// A pod is deleted while a back end takes nothing: what waits for it and its dead letters go on to the other pod.
    async fn deleted(&self) -> Result<()> {
        let mut crowd = self.crowd().await?;
        let stops = "on_flow_report";
        self.object.answer(REFUSED, Answer::status(503));
        self.object.answer(stops, Answer::status(400));
        let delete = [
            "delete",
            "pod",
            &crowd.origin.name,
            "-n",
            &self.context.namespace,
            "--wait=false",
        ];
        self.context.kubectl.run(&delete).await?;
        self.drains(&crowd.origin).await?;
        crowd.publisher.must_be_live()?;
        let gone = crowd.origin.uid.clone();
        crowd.leaves().await?;
        eventually(START, "the pod is gone", async || {
            let left = pods(&self.context.kubectl, &self.context.namespace).await?;
            ensure!(left.iter().all(|pod| pod.uid != gone), "it is not");
            Ok(())
        })
        .await?;
        self.object.answer(REFUSED, Answer::body(r#"{"allow":true}"#));
        self.object.answer(stops, Answer::body(r#"{"code":0}"#));
        self.letters("3").await?;
        let replay = [
            "annotate",
            "hookendpoint",
            "zlm",
            "-n",
            &self.context.namespace,
            "headgate.dev/replay=all",
        ];
        self.context.kubectl.run(&replay).await?;
        self.letters("0").await?;
        settled(self.context, 2, START).await?;
        self.told(4).await
    }

    /// A node is given up: the other pod closes what was on it.
    async fn lost_node(&self) -> Result<()> {
        let crowd = self.crowd().await?;
        let node = crowd.origin.node.clone();
        self.context.cut_off(&node)?;
        for pod in pods(&self.context.kubectl, &self.context.namespace).await? {
            if pod.node == node {
                self.context.kill_process(&pod.uid, PROGRAM)?;
            }
        }
        let delete = ["delete", "node", &node, "--wait=false"];
        self.context.kubectl.run(&delete).await?;
        crowd.leaves().await?;
        self.told(5).await
    }

    async fn crowd(&self) -> Result<Crowd> {
        settled(self.context, 2, START).await?;
        let publisher = Publisher::start(&self.site.alice().await?).await?;
        let (origin, edge) = origin_and_other(self.context, &self.site.stream().await?).await?;
        let mut players = vec![
            Player::start(&origin.rtmp("alice"))?,
            Player::start(&edge.flv("alice"))?,
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

    async fn drains(&self, origin: &Pod) -> Result<()> {
        eventually(START, "the publisher's pod drains, and two others serve", async || {
            let now = pods(&self.context.kubectl, &self.context.namespace).await?;
            let drains = now.iter().any(|pod| pod.uid == origin.uid && pod.leaving);
            let serving = now.iter().filter(|pod| pod.serves).count();
            ensure!(drains && serving == 2, "{}", super::fleet::brief(&now));
            Ok(())
        })
        .await
    }

    /// `GET /hooks` through a port-forward, as a user looks.
    async fn shows_attempts(&self, pod: &Pod) -> Result<()> {
        let target = format!("pod/{}", pod.name);
        let kubectl = &self.context.kubectl;
        let forward = kubectl.port_forward(&self.context.namespace, &target, 9090).await?;
        let shown = http_body(&forward.address().to_string(), "/hooks").await?;
        let shown: Value = serde_json::from_str(&shown)?;
        for hook in &HOOKS {
            let endpoints = shown.as_array().into_iter().flatten();
            let mut of_it = endpoints.filter(|one| one.get("endpoint") == Some(&json!(hook.name)));
            let attempts = of_it
                .next()
                .and_then(|one| one.get("attempts")?.as_array())
                .map_or(0, Vec::len);
            ensure!(attempts > 0, "GET /hooks shows no attempt at {}: {shown}", hook.name);
        }
        Ok(())
    }

    /// The Secret of a key goes and comes back, as when somebody replaces it: who came with it stays.
    async fn key_made_anew(&self, crowd: &mut Crowd) -> Result<()> {
        let key = self.site.key("alice-key").await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "alice-key"}, "stringData": {"key": key},
        });
        let namespace = &self.context.namespace;
        self.context.kubectl.delete("secret", namespace, "alice-key").await?;
        self.context.apply(&secret.to_string()).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        crowd.publisher.must_be_live()?;
        ensure!(self.site.key("alice-key").await? == key, "the key is another");
        becomes(self.context, "streamkey", "alice", "Programmed", "True", SOON)
            .await
            .map(drop)
    }

    async fn letters(&self, count: &str) -> Result<()> {
        eventually(CLOSED, &format!("{count} dead letters are kept"), async || {
            let endpoint = self.context.get("hookendpoint", "zlm").await?;
            let kept = text(&endpoint, "/status/deadLetters")?;
            ensure!(kept == count, "deadLetters is {kept:?}");
            Ok(())
        })
        .await
    }

    fn calls(&self, hook: &Hook) -> Vec<Call> {
        let receiver = if hook.dialect == "SRSv1" {
            &self.zero
        } else {
            &self.object
        };
        let below = format!("/{}/", hook.name);
        let calls = receiver.calls().into_iter();
        calls.filter(|call| call.path.starts_with(&below)).collect()
    }

    /// Each back end has heard of so many crowds, the beginning and the end of each session under one id each.
    async fn told(&self, crowds: usize) -> Result<()> {
        for hook in &HOOKS {
            let look = async || told_once(hook, &self.calls(hook), crowds);
            eventually(CLOSED, &format!("{} has heard of all", hook.name), look).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        HOOKS
            .iter()
            .try_for_each(|hook| told_once(hook, &self.calls(hook), crowds))
    }

    /// Nobody died, so nothing came twice but what was not taken by a pod that then ended.
    fn repeats_nothing(&self) -> Result<()> {
        for hook in &HOOKS {
            let (calls, mut seen) = (self.calls(hook), BTreeSet::new());
            let first =
                |call: &&Call| call.header("x-media-attempt") == "1" && call.header("webhook-replay").is_empty();
            let mut taken = calls.iter().filter(first).filter(|call| call.event != REFUSED);
            let again = taken.find(|call| !seen.insert(call.header("webhook-id")));
            ensure!(
                again.is_none(),
                "{} came twice to {}",
                again.map_or("", |call| &call.event),
                hook.name
            );
        }
        Ok(())
    }
}

impl Crowd {
    async fn goes_on(&mut self) -> Result<()> {
        self.publisher.must_be_live()?;
        for player in &mut self.players {
            player.gets(25, SOON).await?;
        }
        Ok(())
    }

    async fn leaves(self) -> Result<()> {
        for player in self.players {
            player.stop().await?;
        }
        self.publisher.kill().await
    }
}
