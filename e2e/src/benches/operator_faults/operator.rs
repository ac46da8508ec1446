//! The operator as a process behind the proxy, minding one namespace.

use crate::error::{Context as _, Result};
use crate::tools::paths::write;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// What it needs to start.
pub struct Setup<'a> {
    /// The program.
    pub program: &'a Path,
    /// The proxy before the API server.
    pub proxy: &'a str,
    /// Where to write how it is reached.
    pub kubeconfig: &'a Path,
    /// Where its log goes.
    pub log: &'a Path,
    /// The namespace that it minds.
    pub namespace: &'a str,
}

/// A running operator. It ends when this is dropped.
pub struct Operator(Child);

impl Operator {
    /// Starts it. It needs no Lease: nobody else minds its namespace.
    pub fn start(setup: &Setup<'_>) -> Result<Self> {
        write(setup.kubeconfig, kubeconfig(setup.proxy))?;
        let log = std::fs::File::options().create(true).append(true).open(setup.log);
        let child = Command::new(setup.program)
            .args([
                "run",
                "--media-image=played:1",
                "--metrics-address=127.0.0.1:0",
                "--leader-elect=false",
            ])
            .arg(format!("--watch-namespace={}", setup.namespace))
            .env("KUBECONFIG", setup.kubeconfig)
            .env("RUST_LOG", "info,headgate_operator=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.context("the operator's log")?)
            .kill_on_drop(true)
            .spawn();
        child.map(Self).context("starting the operator")
    }

    /// As the kernel ends a process.
    pub async fn kill(&mut self) -> Result<()> {
        self.0.kill().await.context("killing the operator")
    }
}

/// The proxy has the identity.
fn kubeconfig(proxy: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: proxy
clusters: [{{name: proxy, cluster: {{server: '{proxy}'}}}}]
users: [{{name: nobody, user: {{}}}}]
contexts: [{{name: proxy, context: {{cluster: proxy, user: nobody}}}}]
"
    )
}
