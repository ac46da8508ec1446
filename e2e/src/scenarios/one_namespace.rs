//! An operator that minds one namespace, with no right beyond it.

use super::fleet::pods;
use super::site::{CHART_DIR, RELEASE, SOON, START, SYSTEM, becomes};
use crate::ensure;
use crate::error::{Error, Result};
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher};
use crate::tools::paths::workspace;
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "helm install with watchNamespace: media in that namespace, nothing anywhere else, and no right to it; the namespace can be deleted, also with the operator in it";

/// From the deletion of a namespace to its end: Kubernetes waits 5 s before it begins, and looks at pods that are left some seconds later.
const GONE: Duration = Duration::from_mins(1);
/// How long nothing must happen.
const STILL: Duration = Duration::from_secs(5);

const SERVER: &str = "
apiVersion: headgate.dev/v1alpha1
kind: MediaServer
metadata: {name: live}
spec: {publish: {authentication: None}}
";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let other = context.another_namespace("b").await?;
    let chart = workspace().join(CHART_DIR);
    let only = format!("watchNamespace={}", context.namespace);
    context
        .helm
        .install(RELEASE, SYSTEM, &chart.to_string_lossy(), &["--set", &only])
        .await?;
    for namespace in [&other, &context.namespace] {
        context.kubectl.apply(namespace, SERVER).await?;
    }
    becomes(context, "mediaserver", "live", "Ready", "True", START).await?;
    plays(context).await?;
    tokio::time::sleep(STILL).await;
    let left = context.kubectl.get("mediaserver", Some(&other), "live").await?;
    ensure!(
        left.get("status").is_none(),
        "the other namespace's server has a status"
    );
    let made = pods(&context.kubectl, &other).await?.len();
    ensure!(made == 0, "{made} pods were made in the other namespace");
    for (namespace, expected) in [(&context.namespace, "yes"), (&other, "no")] {
        let may = may_list_secrets(context, namespace).await?;
        ensure!(may == expected, "may it read Secrets in {namespace}: {may}");
    }
    goes_with_all(context, &context.namespace).await?;
    // What it could do there went with the namespace, so its last Job has no place.
    let no_job = ["uninstall", RELEASE, "-n", SYSTEM, "--no-hooks", "--wait"];
    context.helm.run(&no_job).await?;

    // The definitions that were kept belong to the release that is gone, which was in another namespace.
    let only = format!("watchNamespace={other},rbac.aggregate=false,crds.install=false");
    let set = ["--set", &only];
    context
        .helm
        .install(RELEASE, &other, &chart.to_string_lossy(), &set)
        .await?;
    goes_with_all(context, &other).await
}

/// A namespace is deleted while somebody is live in it. The operator's Role in it is deleted, too, and the operator itself where it is there.
async fn goes_with_all(context: &Context, namespace: &str) -> Result<()> {
    let pod = eventually(START, "a pod serves", async || {
        let pods = pods(&context.kubectl, namespace).await?;
        pods.into_iter()
            .find(|p| p.serves)
            .ok_or_else(|| Error::new("none does"))
    })
    .await?;
    let mut publisher = Publisher::start(&pod.rtmp("somebody")).await?;
    eventually(SOON, "a stream is live there", async || {
        let streams = context.kubectl.list("streams.headgate.dev", namespace, "").await?;
        ensure!(streams.len() == 1, "{} Streams", streams.len());
        Ok(())
    })
    .await?;
    let delete = ["delete", "namespace", namespace, "--wait=false"];
    context.kubectl.run(&delete).await?;
    eventually(GONE, "the namespace is gone", async || {
        let left = context.kubectl.try_get("namespace", None, namespace).await?;
        let status = left.as_ref().and_then(|n| n.pointer("/status"));
        ensure!(left.is_none(), "it is {status:?}");
        Ok(())
    })
    .await?;
    publisher.ends_within(SOON).await.map(drop)
}

/// A stream is published and played, and shown while it is.
async fn plays(context: &Context) -> Result<()> {
    let pods = pods(&context.kubectl, &context.namespace).await?;
    let Some(pod) = pods.first() else {
        return Err(crate::error::Error::new("there is no media pod"));
    };
    let publisher = Publisher::start(&pod.rtmp("somebody")).await?;
    let mut player = Player::start(&pod.flv("somebody"))?;
    player.gets(10, SOON).await?;
    let streams = async |count: usize| {
        eventually(SOON, &format!("there are {count} Streams"), async || {
            let found = context
                .kubectl
                .list("streams.headgate.dev", &context.namespace, "")
                .await?;
            ensure!(found.len() == count, "{} are", found.len());
            Ok(())
        })
        .await
    };
    streams(1).await?;
    publisher.stop().await?;
    streams(0).await
}

/// kubectl ends with an error where the answer is no.
async fn may_list_secrets(context: &Context, namespace: &str) -> Result<String> {
    let account = format!("--as=system:serviceaccount:{SYSTEM}:{RELEASE}-operator");
    let ask = ["auth", "can-i", "list", "secrets", "-n", namespace, &account];
    let answer = context.kubectl.command(&ask).output().await?;
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}
