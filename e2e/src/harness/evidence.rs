//! What is kept of a scenario that failed: logs of its pods and of the operator, events, objects, the cluster's own logs.

use std::path::{Path, PathBuf};

use crate::cluster::teardown;
use crate::error::Result;
use crate::harness::{Context, Kubectl};
use crate::tools::paths::{out, write};

/// The operator's pods, wherever they run.
const OPERATOR: &str = "app.kubernetes.io/name=headgate";

/// Collects it and returns the directory. Something that cannot be had does not hide the rest.
pub(super) async fn keep(context: &Context, scenario: &str, reason: &str) -> Result<PathBuf> {
    let directory = out().join(scenario);
    let _ = std::fs::remove_dir_all(&directory);
    write(&directory.join("reason.txt"), reason)?;
    let kubectl = &context.kubectl;
    save(
        &directory.join("events.txt"),
        kubectl
            .run(&["get", "events", "-A", "--sort-by=.lastTimestamp", "-o", "wide"])
            .await,
    )?;
    save(
        &directory.join("pods.txt"),
        kubectl.run(&["get", "pods", "-A", "-o", "wide"]).await,
    )?;
    save(
        &directory.join("objects.yaml"),
        objects(kubectl, &context.namespace).await,
    )?;
    pod_logs(kubectl, &directory, &["-n", &context.namespace]).await?;
    pod_logs(kubectl, &directory, &["-A", "-l", OPERATOR]).await?;
    if let Some(layout) = &context.cluster.local {
        teardown::keep_logs(layout, &directory.join("cluster"))?;
    }
    Ok(directory)
}

fn save(file: &Path, content: Result<String>) -> Result<()> {
    write(
        file,
        content.unwrap_or_else(|cause| format!("not to be had: {cause}\n")),
    )
}

/// All objects of the namespace but Secrets, whose content belongs in no file, and Events, which have one of their own.
async fn objects(kubectl: &Kubectl, namespace: &str) -> Result<String> {
    let kinds = kubectl
        .run(&["api-resources", "--namespaced", "--verbs=list", "-o", "name"])
        .await?;
    let kinds: Vec<_> = kinds
        .lines()
        .filter(|kind| *kind != "secrets" && !kind.starts_with("events"))
        .collect();
    kubectl
        .run(&["get", &kinds.join(","), "-n", namespace, "-o", "yaml"])
        .await
}

async fn pod_logs(kubectl: &Kubectl, directory: &Path, which: &[&str]) -> Result<()> {
    let path = r#"jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}"#;
    let listed = kubectl
        .run(&[&["get", "pods", "-o", path], which].concat())
        .await
        .unwrap_or_default();
    for (namespace, pod) in listed.lines().filter_map(|line| line.split_once(' ')) {
        save(
            &directory.join(format!("{pod}.log")),
            kubectl.logs(namespace, pod).await,
        )?;
        let previous = kubectl
            .run(&["logs", "-n", namespace, pod, "--all-containers", "--previous"])
            .await;
        if let Ok(text) = previous {
            write(&directory.join(format!("{pod}.previous.log")), text)?;
        }
    }
    Ok(())
}
