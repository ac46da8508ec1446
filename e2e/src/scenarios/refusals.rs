//! Whoever may not publish is told why: in the RTMP status, in a metric, and where a back end is at fault in its conditions and in an Event.

use super::site::{SOON, Site, becomes};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, eventually};
use crate::http_get::http_body;
use crate::media::Publisher;
use crate::receiver::Answer;
use serde_json::{Value, json};
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str =
    "keys, apps and back ends that say no: the reason in status, metric, condition and Event";

const KEYS: &str = "
apiVersion: v1
kind: Secret
metadata: {name: other-keys}
stringData: {expired: expired-key, suspended: suspended-key}
---
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: expired}
spec: {serverRefs: [{name: live}], stream: {app: live, name: old}, secretRef: {name: other-keys, key: expired}, notAfter: '2020-01-01T00:00:00Z'}
---
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: suspended}
spec: {serverRefs: [{name: live}], stream: {app: live, name: asleep}, secretRef: {name: other-keys, key: suspended}, suspend: true}
";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    context.apply(KEYS).await?;
    for key in ["expired", "suspended"] {
        becomes(context, "streamkey", key, "Programmed", "True", SOON).await?;
    }
    let key = site.key("alice-key").await?;
    let cases = [
        ("live/alice?secret=wrong".to_owned(), "KeyWrong"),
        ("live/alice".to_owned(), "KeyMissing"),
        ("live/old?secret=expired-key".to_owned(), "KeyExpired"),
        ("live/asleep?secret=suspended-key".to_owned(), "KeySuspended"),
        (format!("nowhere/alice?secret={key}"), "UnknownApp"),
    ];
    for (path, reason) in cases {
        let url = format!("rtmp://{}/{path}", site.address("rtmp").await?);
        refused(context, &url, reason)
            .await
            .context(format_args!("publishing with a case of {reason}"))?;
    }
    ensure!(
        site.back_end.calls().is_empty(),
        "the back end was asked about someone without a key: {:?}",
        site.back_end.calls()
    );

    // SRS waits half a minute for an answer, and so does its dialect unless told otherwise.
    let patience = json!({"spec": {"admission": {"timeoutMilliseconds": 3000}}});
    context
        .kubectl
        .patch("hookendpoint", &context.namespace, "backend", &patience)
        .await?;
    site.becomes("hookendpoint", "backend", "Programmed", "True", SOON)
        .await?;
    let back_end = [
        (Answer::deny(), "HookDenied", "True"),
        (Answer::status(500), "HookBadStatus", "False"),
        (Answer::nonsense(), "HookBadAnswer", "False"),
        (Answer::hang(), "HookTimeout", "False"),
    ];
    for (answer, reason, reachable) in back_end {
        site.back_end.answer("on_publish", answer);
        let url = site.alice().await?;
        refused(context, &url, reason)
            .await
            .context(format_args!("a back end with {reason}"))?;
        says(context, reason, reachable).await?;
    }
    // The back end is mended, and so is what its object says.
    site.back_end.answer("on_publish", Answer::allow());
    let publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    says(context, "Answering", "True").await?;
    publisher.stop().await
}

/// ffmpeg is refused, shows the word, and the pod has counted it under that word.
async fn refused(context: &Context, url: &str, reason: &str) -> Result<()> {
    let before = counted(context, reason).await?;
    let mut publisher = Publisher::start(url).await?;
    let (status, log) = publisher.ends_within(Duration::from_secs(20)).await?;
    ensure!(!status.success(), "ffmpeg thinks that it has published: {log}");
    ensure!(log.contains(reason), "ffmpeg does not show {reason}: {log}");
    let after = counted(context, reason).await?;
    ensure!(
        after == before.saturating_add(1),
        "headgate_sessions_refused_total{{reason={reason:?}}} went from {before} to {after}"
    );
    Ok(())
}

async fn counted(context: &Context, reason: &str) -> Result<u64> {
    let pod = context.get("pod", "live-0").await?;
    let address = format!("{}:9090", super::site::text(&pod, "/status/podIP")?);
    let text = http_body(&address, "/metrics").await?;
    let line = format!("headgate_sessions_refused_total{{reason=\"{reason}\"}} ");
    let value = text.lines().find_map(|l| l.strip_prefix(&line));
    Ok(value.and_then(|v| v.trim().parse().ok()).unwrap_or(0))
}

/// The condition and, where something is wrong, an Event name the reason.
async fn says(context: &Context, reason: &str, reachable: &str) -> Result<()> {
    eventually(SOON, &format!("HookEndpoint backend says {reason}"), async || {
        let condition = becomes(
            context,
            "hookendpoint",
            "backend",
            "Reachable",
            reachable,
            Duration::ZERO,
        )
        .await?;
        let said = condition.get("reason").and_then(Value::as_str);
        ensure!(said == Some(reason), "Reachable says {condition}");
        Ok(())
    })
    .await?;
    if reason == "Answering" {
        return Ok(());
    }
    eventually(SOON, &format!("an Event says {reason}"), async || {
        let about = "involvedObject.kind=HookEndpoint,involvedObject.name=backend";
        let args = [
            "get",
            "events",
            "-n",
            &context.namespace,
            "--field-selector",
            about,
            "-o",
            "jsonpath={.items[*].reason}",
        ];
        let reasons = context.kubectl.run(&args).await?;
        ensure!(
            reasons.split(' ').any(|r| r == reason),
            "the Events' reasons are: {reasons}"
        );
        Ok(())
    })
    .await
}
