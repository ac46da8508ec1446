//! Five back ends of five dialects beside each other, and all that can become of a pod: each hears of each session's beginning and end, once.

use super::fleet::{Pod, origin_and_other, pods, scale, settled};
use super::site::{SOON, START, Site, becomes, text, upgrade};
use crate::ensure;
use crate::error::Result;
use crate::harness::{Context, eventually};
use crate::http_get::http_body;
use crate::media::{Player, Publisher};
use crate::receiver::{Answer, Call, Receiver};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "five dialects at once: upgrade, rollout, a deleted pod, a lost node lose and double nothing; dead letters go on to another pod";

/// How long a lost pod's sessions may take to be closed, and what is handed over to come.
const CLOSED: Duration = Duration::from_secs(40);
/// What is not taken for a while.
const REFUSED: &str = "dev.headgate.close.v1";
/// The program in the pods.
const PROGRAM: &str = "media-pod";
/// The session of what belongs to none.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// An endpoint: where it calls below the back end's address, in which dialect, of what; and what closes what in it.
struct Hook {
    name: &'static str,
    dialect: &'static str,
    events: &'static str,
    pairs: &'static [(&'static str, &'static str)],
}

const SESSIONS: &str = "Connect, Close, Publish, Unpublish, Play, Stop";
const CALLBACKS: &[(&str, &str)] = &[
    ("on_connect", "on_close"),
    ("on_publish", "on_unpublish"),
    ("on_play", "on_stop"),
];

const HOOKS: [Hook; 5] = [
    Hook {
        name: "srs",
        dialect: "SRS",
        events: SESSIONS,
        pairs: CALLBACKS,
    },
    Hook {
        name: "v1",
        dialect: "SRSv1",
        events: SESSIONS,
        pairs: CALLBACKS,
    },
    Hook {
        name: "zlm",
        dialect: "ZLMediaKit",
        events: "Publish, Play, StreamChanged, FlowReport, StreamNotFound, ServerStarted, ServerExited",
        pairs: &[
            ("on_publish", "on_flow_report"),
            ("on_play", "on_flow_report"),
            ("on_stream_changed rtmp true", "on_stream_changed rtmp false"),
            ("on_stream_changed hls true", "on_stream_changed hls false"),
        ],
    },
    Hook {
        name: "oryx",
        dialect: "Oryx",
        events: "Publish, Unpublish",
        pairs: &[("on_publish", "on_unpublish")],
    },
    Hook {
        name: "native",
        dialect: "CloudEvents",
        events: "Connect, Close, Publish, Unpublish, Play, Stop, StreamChanged",
        pairs: &[
            ("dev.headgate.connect.v1", "dev.headgate.close.v1"),
            ("dev.headgate.publish.v1", "dev.headgate.unpublish.v1"),
            ("dev.headgate.play.v1", "dev.headgate.stop.v1"),
            (
                "dev.headgate.stream_changed.v1 true",
                "dev.headgate.stream_changed.v1 false",
            ),
        ],
    },
];

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
        self.told(2).await
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
        self.told(3).await
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
        self.told(4).await
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

impl Hook {
    fn manifest(&self, namespace: &str) -> String {
        let to = if self.dialect == "SRSv1" { "zero" } else { "object" };
        format!(
            "apiVersion: headgate.dev/v1alpha1
kind: HookEndpoint
metadata: {{name: {name}}}
spec:
  serverRefs: [{{name: live}}]
  dialect: {dialect}
  urls: ['http://{to}.{namespace}.svc:8085/{name}/{{event}}']
  events: [{events}]
",
            name = self.name,
            dialect = self.dialect,
            events = self.events,
        )
    }
}

/// What a call says happened; a change of a stream with what it is about.
fn word(call: &Call) -> String {
    let (name, body) = (call.path.rsplit('/').next().unwrap_or_default(), call.json());
    let of_zlm = body.get("regist").map(|there| {
        format!(
            " {} {there}",
            body.get("schema").and_then(Value::as_str).unwrap_or_default()
        )
    });
    let of_native = body.pointer("/data/live").map(|there| format!(" {there}"));
    format!("{name}{}", of_zlm.or(of_native).unwrap_or_default())
}

/// Every session that began has its end, each under one id; and as many began as came.
fn told_once(hook: &Hook, calls: &[Call], crowds: usize) -> Result<()> {
    let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    // The start and the end of a server are of no session: each pod has its own.
    for call in calls.iter().filter(|call| call.header("x-media-session") != NOBODY) {
        let about = (call.header("x-media-session"), word(call));
        ids.entry(about).or_default().insert(call.header("webhook-id"));
    }
    for (opening, closing) in hook.pairs {
        let sessions = |event: &str| -> BTreeSet<&String> {
            ids.keys()
                .filter(|(_, word)| word == event)
                .map(|(session, _)| session)
                .collect()
        };
        let (open, closed) = (sessions(opening), sessions(closing));
        // One report tells of the ends of both kinds.
        let unclosed: Vec<_> = open.difference(&closed).collect();
        let whole = open.len() >= crowds && unclosed.len() == if crowds == 0 { open.len() } else { 0 };
        ensure!(
            whole,
            "{opening} of {} sessions, {closing} of {}; without an end {unclosed:?}",
            open.len(),
            closed.len()
        );
        let unopened = if *closing == "on_flow_report" {
            0
        } else {
            closed.difference(&open).count()
        };
        ensure!(unopened == 0, "{closing} of {unopened} sessions that never began");
    }
    let renamed = ids.iter().find(|(_, ids)| ids.len() > 1);
    ensure!(renamed.is_none(), "under several ids: {renamed:?}");
    Ok(())
}
