//! The process that is killed, and the folder that outlives it.

use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::eventually;
use crate::http_get::http_body;
use crate::players::place::free_ports;
use crate::tools::paths::write;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// What every process starts on.
pub(super) struct Folder {
    program: PathBuf,
    dir: TempDir,
    rtmp: u16,
    admin: u16,
}

/// Killed when dropped.
pub(super) struct Process(Child);

impl Folder {
    /// A server that lets everybody in whom the back end at `url` lets in.
    pub(super) fn new(program: &Path, url: &str) -> Result<Self> {
        let dir = tempfile::tempdir().context("making a directory for the media pod")?;
        let [rtmp, http, admin] = free_ports()?;
        let resources = dir.path().join("resources");
        write(&resources.join("server.yaml"), server(rtmp, http))?;
        write(&resources.join("hooks.yaml"), hooks(url))?;
        Ok(Self {
            program: program.to_owned(),
            dir,
            rtmp,
            admin,
        })
    }

    /// Where streams are published and played.
    pub(super) fn rtmp(&self) -> String {
        format!("127.0.0.1:{}", self.rtmp)
    }

    /// The next process.
    pub(super) fn spawn(&self) -> Result<Process> {
        let admin = format!("127.0.0.1:{}", self.admin);
        let mut command = Command::new(&self.program);
        command.arg("--resources").arg(self.dir.path().join("resources"));
        command.arg("--state").arg(self.dir.path().join("state"));
        command.args(["--admin", &admin]).env("RUST_LOG", "error");
        let command = command.stdout(Stdio::null()).kill_on_drop(true);
        command.spawn().context("starting the media pod").map(Process)
    }

    /// Waits until it takes connections.
    pub(super) async fn opens(&self) -> Result<()> {
        let address = self.rtmp();
        let open = async {
            while TcpStream::connect(&address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let opened = tokio::time::timeout(Duration::from_secs(20), open).await;
        ensure!(opened.is_ok(), "nothing listens on {address}");
        Ok(())
    }

    /// Waits until nobody is in and nothing is left to tell.
    pub(super) async fn settled(&self, limit: Duration) -> Result<()> {
        let admin = format!("127.0.0.1:{}", self.admin);
        eventually(limit, "all is told", async || {
            let metrics = http_body(&admin, "/metrics").await?;
            let of = |name: &str| metrics.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            let left = [of("headgate_hook_outbox_pending"), of("headgate_hook_ledger_open")];
            let none = |line: &Option<String>| line.as_ref().is_some_and(|line| line.ends_with(" 0"));
            ensure!(left.iter().all(none), "{left:?}");
            Ok(())
        })
        .await
    }
}

impl Process {
    /// SIGKILL.
    pub(super) async fn kill(mut self) -> Result<()> {
        self.0.kill().await.context("killing the media pod")
    }

    /// In peace.
    pub(super) async fn end(mut self) -> Result<()> {
        if let Some(pid) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let ended = tokio::time::timeout(Duration::from_secs(15), self.0.wait()).await;
        ensure!(ended.is_ok(), "the media pod did not end in 15 s");
        Ok(())
    }
}

fn server(rtmp: u16, http: u16) -> String {
    format!(
        "apiVersion: headgate.dev/v1alpha1
kind: MediaServer
metadata: {{name: killed}}
spec:
  listeners: [{{name: rtmp, protocol: RTMP, port: {rtmp}}}, {{name: http, protocol: HTTP, port: {http}}}]
  publish: {{authentication: None}}
"
    )
}

fn hooks(url: &str) -> String {
    format!(
        "apiVersion: headgate.dev/v1alpha1
kind: HookEndpoint
metadata: {{name: backend}}
spec:
  serverRefs: [{{name: killed}}]
  dialect: SRS
  urls: ['{url}']
  events: [Connect, Close, Publish, Unpublish, Play, Stop]
"
    )
}
