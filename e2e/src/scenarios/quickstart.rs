//! `helm install` with no values and the unchanged quickstart: what a newcomer does first works as it stands.

use super::site::{START, SYSTEM, becomes, install};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, eventually};
use crate::http_get::http_get;
use crate::tools::paths::{read, workspace};
use serde_json::Value;
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "helm install with no values and the unchanged quickstart: everything Ready";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    context.restrict_pods().await?;
    install(context).await?;
    context
        .kubectl
        .wait(SYSTEM, "deployment --all", "condition=Available", START)
        .await?;
    definitions_are_established(context).await?;
    // The sample names the back end in `default`, whatever namespace its objects are in.
    let back_end = context.backend("default", "backend", 8085).await?;
    context
        .apply(&read(&workspace().join("config/samples/quickstart.yaml"))?)
        .await?;
    let outcome = everything_comes_up(context).await;
    no_api_token(context).await?;
    ensure!(
        back_end.calls().is_empty(),
        "the back end was called with no session: {:?}",
        back_end.calls()
    );
    for kind in ["service", "endpointslice"] {
        context.kubectl.delete(kind, "default", "backend").await?;
    }
    outcome
}

/// A media pod faces the internet, and is given no way to the API.
async fn no_api_token(context: &Context) -> Result<()> {
    for pod in context
        .kubectl
        .list("pods", &context.namespace, "headgate.dev/server")
        .await?
    {
        let spec = pod.get("spec").context("a pod without a spec")?.to_string();
        ensure!(
            !spec.contains("serviceAccountToken\":{"),
            "a media pod mounts an API token: {spec}"
        );
        let wanted = pod.pointer("/spec/automountServiceAccountToken");
        ensure!(
            wanted == Some(&Value::Bool(false)),
            "a media pod leaves its token to the cluster"
        );
    }
    Ok(())
}

async fn definitions_are_established(context: &Context) -> Result<()> {
    for kind in ["mediaservers", "streamkeys", "hookendpoints", "streams"] {
        let name = format!("crd/{kind}.headgate.dev");
        context
            .kubectl
            .wait("default", &name, "condition=Established", Duration::from_secs(10))
            .await?;
    }
    Ok(())
}

async fn everything_comes_up(context: &Context) -> Result<()> {
    becomes(context, "mediaserver", "live", "Ready", "True", START).await?;
    for (kind, name) in [
        ("mediaserver", "live"),
        ("streamkey", "alice"),
        ("hookendpoint", "backend"),
    ] {
        eventually(
            Duration::from_secs(20),
            &format!("every condition of {kind} {name} is True"),
            async || all_true(&context.get(kind, name).await?),
        )
        .await?;
    }
    context
        .kubectl
        .wait(
            &context.namespace,
            "pod/live-0",
            "condition=Ready",
            Duration::from_secs(10),
        )
        .await?;
    let service = context.get("service", "live").await?;
    let ip = super::site::text(&service, "/spec/clusterIP")?;
    let (status, _) = eventually(Duration::from_secs(10), "the Service answers", async || {
        http_get(&format!("{ip}:8080"), "/nothing/here").await
    })
    .await?;
    ensure!(status == 404, "HTTP on the Service answered {status}");
    has_no_api_token(context).await
}

/// True for the spec as it is now.
fn all_true(object: &Value) -> Result<()> {
    let generation = object
        .pointer("/metadata/generation")
        .context("the object has no generation")?;
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .context("it has no conditions yet")?;
    for condition in conditions {
        let good = condition.get("status").and_then(Value::as_str) == Some("True");
        ensure!(
            good && condition.get("observedGeneration") == Some(generation),
            "{condition}"
        );
    }
    ensure!(!conditions.is_empty(), "it has no conditions");
    Ok(())
}

/// The pod faces the internet: it must not hold a key to the cluster.
async fn has_no_api_token(context: &Context) -> Result<()> {
    let pod = context.get("pod", "live-0").await?.to_string();
    ensure!(
        !pod.contains("serviceAccountToken") && !pod.contains("/var/run/secrets/kubernetes.io"),
        "the media pod has an API token"
    );
    Ok(())
}
