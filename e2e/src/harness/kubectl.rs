//! kubectl, with its answers as JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::cluster::Layout;
use crate::command::Cmd;
use crate::error::{Context as _, Result};
use crate::harness::PortForward;

/// A call that takes longer is cut. `wait` has a limit of its own.
const LIMIT: Duration = Duration::from_mins(1);

/// The program and the cluster that it speaks to.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// This program, for the cluster of this kubeconfig.
    pub fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { program, kubeconfig }
    }

    /// For the local cluster, as its administrator.
    pub fn of(layout: &Layout) -> Self {
        Self::new(layout.tools.program("kubectl"), layout.kubeconfig("admin").into())
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A command line to go on with.
    pub fn command(&self, args: &[&str]) -> Cmd {
        Cmd::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .timeout(LIMIT)
    }

    /// Runs it with these arguments and returns what it printed.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        self.command(args).run().await
    }

    /// Applies manifests, in this namespace unless they name their own, and returns what it printed.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<String> {
        self.command(&["apply", "-n", namespace, "-f", "-"])
            .input(yaml)
            .run()
            .await
    }

    /// One object.
    pub async fn get(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Value> {
        let object = self.try_get(kind, namespace, name).await?;
        object.context(format_args!("there is no {kind} {name}"))
    }

    /// One object, if it is there.
    pub async fn try_get(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        let mut args = vec!["get", kind, name, "--ignore-not-found", "-o", "json"];
        args.extend(namespace.iter().flat_map(|namespace| ["-n", namespace]));
        let text = self.run(&args).await?;
        Ok(if text.trim().is_empty() {
            None
        } else {
            Some(serde_json::from_str(&text)?)
        })
    }

    /// The objects of a kind in a namespace that have these labels; an empty selector is all.
    pub async fn list(&self, kind: &str, namespace: &str, selector: &str) -> Result<Vec<Value>> {
        let text = self
            .run(&["get", kind, "-n", namespace, "-l", selector, "-o", "json"])
            .await?;
        let mut answer: Value = serde_json::from_str(&text)?;
        Ok(answer
            .get_mut("items")
            .and_then(Value::as_array_mut)
            .map(std::mem::take)
            .unwrap_or_default())
    }

    /// Deletes an object and waits until it is gone. One that is not there is as good.
    pub async fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        self.run(&["delete", kind, name, "-n", namespace, "--ignore-not-found"])
            .await
            .map(drop)
    }

    /// Merges this into an object.
    pub async fn patch(&self, kind: &str, namespace: &str, name: &str, merge: &Value) -> Result<()> {
        self.run(&[
            "patch",
            kind,
            name,
            "-n",
            namespace,
            "--type=merge",
            "-p",
            &merge.to_string(),
        ])
        .await
        .map(drop)
    }

    /// Waits as `kubectl wait` does: `target` is `pod/x` or `pods --all`, `condition` is `condition=Ready` or `delete`.
    pub async fn wait(&self, namespace: &str, target: &str, condition: &str, limit: Duration) -> Result<()> {
        let (condition, timeout) = (format!("--for={condition}"), format!("--timeout={}s", limit.as_secs()));
        let mut args = vec!["wait", "-n", namespace, &condition, &timeout];
        args.extend(target.split_whitespace());
        self.command(&args)
            .timeout(limit.saturating_add(LIMIT))
            .run()
            .await
            .map(drop)
    }

    /// What a pod's containers wrote so far.
    pub async fn logs(&self, namespace: &str, pod: &str) -> Result<String> {
        self.run(&[
            "logs",
            "-n",
            namespace,
            pod,
            "--all-containers",
            "--prefix",
            "--tail=-1",
        ])
        .await
    }

    /// Runs a program in a pod's first container and returns what it printed.
    pub async fn exec(&self, namespace: &str, pod: &str, command: &[&str]) -> Result<String> {
        self.command(&["exec", "-n", namespace, pod, "--"])
            .args(command)
            .run()
            .await
    }

    /// A port on loopback that leads to this port of `pod/x` or `svc/x`, as long as the answer lives.
    pub async fn port_forward(&self, namespace: &str, target: &str, port: u16) -> Result<PortForward> {
        PortForward::open(&self.program, &self.kubeconfig, namespace, target, port).await
    }
}
