//! The operator's clock is another than that of the pods, first ahead and then behind: certificates are made by one and judged by the other.

use super::site::{OPERATORS, RELEASE, START, SYSTEM, Site, becomes, leader, text};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::{Context, eventually};
use crate::media::Publisher;
use crate::tools::apt;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The two operators differ by 50 minutes, and certificates are made for clocks that differ by up to an hour.
const MINUTES: i64 = 25;
/// Where Debian has the library that tells a program another time.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime";
/// A program of several threads needs this one.
const FILE: &str = "libfaketimeMT.so.1";

/// A server that is made by the one and kept by the other.
const SERVER: &str = "
apiVersion: headgate.dev/v1alpha1
kind: MediaServer
metadata: {name: early}
spec: {}
---
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: early}
spec: {serverRefs: [{name: early}, {name: live}], stream: {app: live, name: early}, secretRef: {name: early-key}}
";

/// What it proves.
pub(super) const ABOUT: &str = "operators whose clocks differ by 50 minutes, one after the other: every certificate is good to both sides, nobody is cut";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    context.local()?;
    apt::install_also(&["libfaketime"]).await?;
    let site = Site::quickstart(context).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let before = site.pod().await?;

    set(context, MINUTES).await?;
    context.apply(SERVER).await?;
    becomes(context, "mediaserver", "early", "Ready", "True", START).await?;
    changed(context, "early", 2).await?;
    changed(context, "alice", 2).await?;
    set(context, MINUTES.saturating_neg()).await?;
    changed(context, "early", 3).await?;
    changed(context, "alice", 3).await?;

    publisher.must_be_live()?;
    let after = site.pod().await?;
    ensure!(before == after, "the pod is {after:?}, was {before:?}");
    publisher.stop().await
}

/// A StreamKey is changed, and what it asks for comes to be in force: its pods take a configuration, and are heard.
async fn changed(context: &Context, key: &str, publishers: u32) -> Result<()> {
    let limit = json!({"spec": {"maxPublishers": publishers}});
    context
        .kubectl
        .patch("streamkey", &context.namespace, key, &limit)
        .await?;
    becomes(context, "streamkey", key, "Programmed", "True", START)
        .await
        .map(drop)
}

/// Replaces the operator by one whose clock differs by so many minutes, and sees by its Lease that it does.
async fn set(context: &Context, minutes: i64) -> Result<()> {
    let (kubectl, name) = (&context.kubectl, format!("{RELEASE}-operator"));
    let patch = json!({"spec": {"template": {"spec": {
        "volumes": [{"name": "faketime", "hostPath": {"path": LIBRARY}}],
        "containers": [{
            "name": "operator",
            "volumeMounts": [{"name": "faketime", "mountPath": "/faketime", "readOnly": true}],
            "env": [
                {"name": "LD_PRELOAD", "value": format!("/faketime/{FILE}")},
                {"name": "FAKETIME", "value": format!("{minutes:+}m")},
                {"name": "FAKETIME_DONT_FAKE_MONOTONIC", "value": "1"},
            ],
        }],
    }}}});
    let at = ["deployment", &name, "-n", SYSTEM];
    let patch = patch.to_string();
    kubectl
        .run(&[["patch"].as_slice(), &at, &["--type=strategic", "-p", &patch]].concat())
        .await?;
    let rolled = [["rollout", "status"].as_slice(), &at, &["--timeout=120s"]].concat();
    kubectl.run(&rolled).await?;
    eventually(
        START,
        &format!("an operator leads whose clock differs by {minutes} min"),
        async || {
            let pods = kubectl.list("pods", SYSTEM, OPERATORS).await?;
            let names: Vec<String> = pods.iter().filter_map(|p| text(p, "/metadata/name").ok()).collect();
            let first = leader(context).await?;
            ensure!(
                names.len() == 1 && names.contains(&first),
                "{first} leads, of {names:?}"
            );
            let lease = kubectl.get("lease", Some(SYSTEM), "headgate-operator").await?;
            let renewed: Timestamp = text(&lease, "/spec/renewTime")?
                .parse()
                .map_err(|error| Error::new(format!("the Lease's time: {error}")))?;
            let differs = renewed.duration_since(Timestamp::now());
            let wanted = SignedDuration::from_mins(minutes);
            let off = differs.checked_sub(wanted).context("no such time")?.abs();
            ensure!(off < SignedDuration::from_mins(1), "it differs by {differs:#}");
            Ok(())
        },
    )
    .await
}
