//! Whether the cluster is the one that is wanted, and healthy.

use std::path::PathBuf;

use serde_json::Value;

use crate::cluster::{Layout, NODES};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::Kubectl;
use crate::tools::paths::read;
use crate::ui::say;

/// Fails with the reason when the cluster cannot be used as it is.
pub async fn check(layout: &Layout) -> Result<()> {
    let found = read(&layout.fingerprint_file()).map_err(|_| Error::new("no cluster is up"))?;
    ensure!(
        found == layout.fingerprint(),
        "the cluster that is up was made from other versions or settings"
    );
    check_all(layout).await
}

/// Fails with the first thing that is not as it should be: a process that is gone, a node that is not ready.
pub async fn check_all(layout: &Layout) -> Result<()> {
    for daemon in layout.daemons() {
        ensure!(
            daemon.pid(layout).is_some(),
            "{} does not run; its log is {}",
            daemon.name,
            daemon.log(layout).display()
        );
    }
    for node in NODES {
        is_ready(layout, &node.name()).await?;
    }
    Ok(())
}

/// Fails unless the node says that it is ready.
pub async fn is_ready(layout: &Layout, node: &str) -> Result<()> {
    let object = Kubectl::of(layout).get("node", None, node).await?;
    ensure!(condition(&object, "Ready") == Some("True"), "node {node} is not Ready");
    Ok(())
}

/// The status of a condition of an object.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions
        .iter()
        .find(|condition| condition.get("type").is_some_and(|value| value == kind))?;
    found.get("status")?.as_str()
}

/// Prints every process and whether the cluster can be used.
pub async fn show(layout: &Layout) -> Result<()> {
    for daemon in layout.daemons() {
        let state = daemon
            .pid(layout)
            .map_or_else(|| "not running".to_owned(), |pid| format!("pid {pid}"));
        say(format_args!(
            "  {:28} {state:12} {}",
            daemon.name,
            resident(layout, &daemon)
        ));
    }
    let usable = check(layout).await;
    say(format_args!("kubeconfig {}", layout.kubeconfig("admin")));
    say(format_args!("kubectl    {}", layout.tools.program("kubectl").display()));
    usable.context("the cluster is not usable")?;
    say("cluster is up and healthy");
    Ok(())
}

fn resident(layout: &Layout, daemon: &crate::cluster::daemon::Daemon) -> String {
    let status = daemon
        .pid(layout)
        .map(|pid| PathBuf::from(format!("/proc/{pid}/status")));
    let text = status.and_then(|path| read(&path).ok()).unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    kib.map(|kib| format!("{} MiB", kib / 1024)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_found_by_its_type() {
        let object = serde_json::json!({"status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(condition(&object, "Ready"), Some("True"));
        assert_eq!(condition(&object, "B"), None);
    }
}
