//! What most scenarios begin with: the chart installed, the quickstart applied, and a back end that this process runs.

use crate::error::{Context as _, Error, Result};
use crate::harness::{Context, eventually};
use crate::images;
use crate::receiver::Receiver;
use crate::tools::paths::{read, workspace};
use serde_json::Value;
use std::time::Duration;

/// Name of the release.
pub const RELEASE: &str = "headgate";
/// Namespace of the operator.
pub const SYSTEM: &str = "headgate-system";
/// The chart, from the top of the checkout.
pub const CHART_DIR: &str = "charts/headgate";
/// The quickstart, unchanged, for users to copy.
const QUICKSTART: &str = "config/samples/quickstart.yaml";
/// Where the quickstart's back end is.
const BACK_END: &str = "backend.default.svc";
const KINDS: &str = "mediaservers,streams,streamkeys,hookendpoints";
/// From a manifest to what it asks for, on a cold cluster: a pod must start.
pub const START: Duration = Duration::from_mins(2);
/// From a change to what it asks for, where nothing must start: the promise is a second, the rest is a slow machine.
pub const SOON: Duration = Duration::from_secs(10);

/// The quickstart, running.
#[derive(Debug)]
pub struct Site<'a> {
    context: &'a Context,
    /// The back end of HookEndpoint `backend`. Allows everything until told otherwise.
    pub back_end: Receiver,
}

/// Installs the chart with no values at all.
pub async fn install(context: &Context) -> Result<()> {
    let chart = workspace().join(CHART_DIR);
    context
        .helm
        .install(RELEASE, SYSTEM, &chart.to_string_lossy(), &[])
        .await
        .map(drop)
}

/// Upgrades to the operator's second image, with everything else as it was.
pub async fn upgrade(context: &Context) -> Result<()> {
    let chart = workspace().join(CHART_DIR);
    let tag = format!("image.tag={}", images::NEXT_VERSION);
    context
        .helm
        .upgrade(RELEASE, SYSTEM, &chart.to_string_lossy(), &["--set", &tag])
        .await
        .map(drop)
}

impl<'a> Site<'a> {
    /// Installs the chart, applies the quickstart in the scenario's namespace with its back end there too, and waits until all of it is in force.
    pub async fn quickstart(context: &'a Context) -> Result<Self> {
        install(context).await?;
        Self::quickstart_on(context).await
    }

    /// The same where the chart is installed already.
    pub async fn quickstart_on(context: &'a Context) -> Result<Self> {
        let back_end = context.backend(&context.namespace, "backend", 8085).await?;
        let here = format!("backend.{}.svc", context.namespace);
        context
            .apply(&read(&workspace().join(QUICKSTART))?.replace(BACK_END, &here))
            .await?;
        let site = Self { context, back_end };
        site.all_in_force().await?;
        Ok(site)
    }

    /// The quickstart's objects are in force.
    pub async fn all_in_force(&self) -> Result<()> {
        self.becomes("mediaserver", "live", "Ready", "True", START).await?;
        self.becomes("streamkey", "alice", "Programmed", "True", SOON).await?;
        self.becomes("hookendpoint", "backend", "Programmed", "True", SOON)
            .await
    }

    /// Waits until a condition of an object has this status, for the spec as it is now.
    pub async fn becomes(&self, kind: &str, name: &str, condition: &str, status: &str, limit: Duration) -> Result<()> {
        becomes(self.context, kind, name, condition, status, limit)
            .await
            .map(drop)
    }

    /// The content of a Secret's entry `key`.
    pub async fn key(&self, secret: &str) -> Result<String> {
        let path = "jsonpath={.data.key}";
        let encoded = self
            .context
            .kubectl
            .run(&["get", "secret", secret, "-n", &self.context.namespace, "-o", path])
            .await?;
        decode(&encoded).context(format_args!("entry `key` of Secret {secret} is no text"))
    }

    /// `IP:PORT` of a listener, through the Service.
    pub async fn address(&self, listener: &str) -> Result<String> {
        let service = self.context.get("service", "live").await?;
        let ip = text(&service, "/spec/clusterIP")?;
        let ports = service
            .pointer("/spec/ports")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let port = ports
            .iter()
            .find(|p| p.get("name").and_then(Value::as_str) == Some(listener));
        let port = port
            .and_then(|p| p.get("port"))
            .context(format_args!("Service live has no port {listener}"))?;
        Ok(format!("{ip}:{port}"))
    }

    /// Where to publish `name` of app `live`, with a query.
    pub async fn rtmp(&self, name: &str) -> Result<String> {
        Ok(format!("rtmp://{}/live/{name}", self.address("rtmp").await?))
    }

    /// Where to play `name` of app `live` over HTTP-FLV.
    pub async fn flv(&self, name: &str) -> Result<String> {
        Ok(format!("http://{}/live/{name}.flv", self.address("http").await?))
    }

    /// Where to publish `live/alice`, with its key.
    pub async fn alice(&self) -> Result<String> {
        self.rtmp(&format!("alice?secret={}", self.key("alice-key").await?))
            .await
    }

    /// The Stream of `live/alice`, once it shows what it consists of.
    pub async fn stream(&self) -> Result<Value> {
        eventually(SOON, "Stream of live/alice shows its codecs", async || {
            let streams = self.streams().await?;
            let stream = streams
                .into_iter()
                .find(|s| s.pointer("/spec/name").and_then(Value::as_str) == Some("alice"));
            let stream = stream.context("there is no such Stream")?;
            let codecs = stream
                .pointer("/status/codecs")
                .and_then(Value::as_str)
                .unwrap_or_default();
            crate::ensure!(codecs == "H264/AAC", "codecs are {codecs:?}");
            Ok(stream)
        })
        .await
    }

    /// Every Stream of the namespace.
    pub async fn streams(&self) -> Result<Vec<Value>> {
        self.context
            .kubectl
            .list("streams.headgate.dev", &self.context.namespace, "")
            .await
    }

    /// Waits until no Stream is left.
    pub async fn no_streams(&self) -> Result<()> {
        eventually(SOON, "no Stream is left", async || {
            let left = self.streams().await?.len();
            crate::ensure!(left == 0, "{left} are");
            Ok(())
        })
        .await
    }

    /// The name of the media pod, and its unique id, which a new pod of the same name would not have.
    pub async fn pod(&self) -> Result<(String, String)> {
        let pods = self
            .context
            .kubectl
            .list("pods", &self.context.namespace, "headgate.dev/server=live")
            .await?;
        let pod = pods.first().context("there is no media pod")?;
        crate::ensure!(pods.len() == 1, "there are {} media pods", pods.len());
        let restarts = pod
            .pointer("/status/containerStatuses/0/restartCount")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        Ok((
            text(pod, "/metadata/name")?,
            format!("{} restarts={restarts}", text(pod, "/metadata/uid")?),
        ))
    }
}

/// The operator that leads.
pub async fn leader(context: &Context) -> Result<String> {
    let lease = context.kubectl.get("lease", Some(SYSTEM), "headgate-operator").await?;
    let holder = text(&lease, "/spec/holderIdentity").unwrap_or_default();
    crate::ensure!(!holder.is_empty(), "nobody leads");
    Ok(holder)
}

/// Selects the operator's pods.
pub const OPERATORS: &str = "app.kubernetes.io/name=headgate-operator";

/// Has so many operators. With 0 none is left, killed as a node that fails kills them; else all of them are waited for.
pub async fn operators(context: &Context, count: usize) -> Result<()> {
    let flag = format!("--replicas={count}");
    let scale = ["scale", "deployment", "-n", SYSTEM, "-l", OPERATORS, &flag];
    context.kubectl.run(&scale).await?;
    if count == 0 {
        let kill = ["delete", "pod", "-n", SYSTEM, "-l", OPERATORS];
        let kill = [kill.as_slice(), &["--force", "--grace-period=0"]].concat();
        return context.kubectl.run(&kill).await.map(drop);
    }
    eventually(START, &format!("{count} operators are ready"), async || {
        let found = context.kubectl.list("deployments", SYSTEM, OPERATORS).await?;
        let ready = found.first().and_then(|d| d.pointer("/status/readyReplicas")?.as_u64());
        crate::ensure!(ready == u64::try_from(count).ok(), "{ready:?} are");
        Ok(())
    })
    .await
}

/// Waits until a condition of an object has this status, for the spec as it is now, and returns the condition.
pub async fn becomes(
    context: &Context,
    kind: &str,
    name: &str,
    condition: &str,
    status: &str,
    limit: Duration,
) -> Result<Value> {
    eventually(limit, &format!("{kind} {name}: {condition} is {status}"), async || {
        let object = context.get(kind, name).await?;
        let generation = object.pointer("/metadata/generation");
        let all = object
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let shown = || all.iter().map(brief).collect::<Vec<_>>().join("; ");
        let found = all
            .iter()
            .find(|c| c.get("type").and_then(Value::as_str) == Some(condition));
        let found = found.context(format_args!("it has no such condition: {}", shown()))?;
        let right = found.get("status").and_then(Value::as_str) == Some(status)
            && found.get("observedGeneration") == generation;
        crate::ensure!(right, "{}", shown());
        Ok(found.clone())
    })
    .await
}

fn brief(condition: &Value) -> String {
    let field = |name: &str| {
        condition
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    format!(
        "{}={} ({}: {})",
        field("type"),
        field("status"),
        field("reason"),
        field("message")
    )
}

/// None of these turns up where others than its owner may read: the pod's log, Events, objects.
pub async fn never_shown(context: &Context, pod: &str, secrets: &[String]) -> Result<()> {
    let namespace = &context.namespace;
    let mut seen = context.kubectl.logs(namespace, pod).await?;
    for kinds in ["events", KINDS, "configmaps,pods,services"] {
        let listed = context
            .kubectl
            .run(&["get", kinds, "-n", namespace, "-o", "yaml"])
            .await?;
        seen.push_str(&listed);
    }
    for secret in secrets {
        crate::ensure!(
            !seen.contains(secret.as_str()),
            "a secret is in a log, an Event or an object"
        );
    }
    Ok(())
}

/// A text in an object, by JSON pointer.
pub fn text(object: &Value, pointer: &str) -> Result<String> {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .context(format_args!("there is no text at {pointer}"))
}

fn decode(base64: &str) -> Result<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64.trim());
    let bytes = bytes.map_err(|error| Error::new(format!("not base64: {error}")))?;
    String::from_utf8(bytes).map_err(|error| Error::new(format!("not text: {error}")))
}
