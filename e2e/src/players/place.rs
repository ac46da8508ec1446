//! A media pod of its own, standalone, on ports that were free.

use crate::command::Cmd;
use crate::error::{Context as _, Result};
use crate::harness::eventually;
use crate::http_get::http_body;
use crate::tools::paths::{workspace, write};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// See the module. Killed when dropped.
pub struct Place {
    pod: Child,
    dir: TempDir,
    rtmp: u16,
    http: u16,
    admin: u16,
}

impl Place {
    /// Builds it as a debug build, starts it and waits until it is ready.
    pub async fn start() -> Result<Self> {
        Self::of(&build().await?, None).await
    }

    /// The same with a binary, on one core where it is named.
    pub async fn of(binary: &Path, core: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir().context("making a directory for the media pod")?;
        let [rtmp, http, admin] = free_ports()?;
        let place = Self {
            pod: spawn(binary, core, &dir, (rtmp, http, admin))?,
            dir,
            rtmp,
            http,
            admin,
        };
        let address = place.admin();
        eventually(Duration::from_secs(20), "the media pod is ready", async || {
            http_body(&address, "/readyz").await.map(drop)
        })
        .await?;
        Ok(place)
    }

    /// Where streams are published and played over RTMP.
    pub fn rtmp(&self) -> String {
        format!("127.0.0.1:{}", self.rtmp)
    }

    /// Where they are played over HTTP.
    pub fn http(&self) -> String {
        format!("127.0.0.1:{}", self.http)
    }

    /// Its process.
    pub fn pid(&self) -> Result<u32> {
        self.pod.id().context("the media pod has ended")
    }

    fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    /// A place for what the checks write.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until so many streams have a publisher.
    pub async fn streams(&self, wanted: usize) -> Result<()> {
        let address = self.admin();
        eventually(Duration::from_secs(20), "the streams are live", async || {
            let metrics = http_body(&address, "/metrics").await?;
            let live = metrics.lines().find_map(|l| l.strip_prefix("headgate_streams "));
            crate::ensure!(
                live == Some(wanted.to_string().as_str()),
                "{live:?} of {wanted} streams are live"
            );
            Ok(())
        })
        .await
    }

    /// Waits until so many viewers are there, over all protocols.
    pub async fn viewers(&self, wanted: u64) -> Result<()> {
        let address = self.admin();
        eventually(Duration::from_secs(20), "the viewers are there", async || {
            let metrics = http_body(&address, "/metrics").await?;
            let counts = metrics.lines().filter(|l| l.starts_with("headgate_viewers{"));
            let there: u64 = counts.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum();
            crate::ensure!(there == wanted, "{there} of {wanted} viewers");
            Ok(())
        })
        .await
    }

    /// Ends it in order.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.pod.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let ended = tokio::time::timeout(Duration::from_secs(15), self.pod.wait()).await;
        crate::ensure!(ended.is_ok(), "the media pod did not end in 15 s");
        Ok(())
    }
}

/// A debug build of it.
pub(crate) async fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(cargo)
        .args(["build", "--quiet", "-p", "headgate-media-pod"])
        .dir(workspace())
        .timeout(Duration::from_mins(30))
        .run()
        .await?;
    let here = std::env::current_exe().context("finding this program")?;
    Ok(here.with_file_name("media-pod"))
}

/// Bound together, so that they differ.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let bound = [(); N].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&bound) {
        let address = listener.as_ref().ok().and_then(|l| l.local_addr().ok());
        *port = address.context("finding a free port")?.port();
    }
    Ok(ports)
}

fn spawn(binary: &Path, core: Option<&str>, dir: &TempDir, (rtmp, http, admin): (u16, u16, u16)) -> Result<Child> {
    let manifest = format!(
        "apiVersion: headgate.dev/v1alpha1
kind: MediaServer
metadata: {{name: players}}
spec:
  listeners: [{{name: rtmp, protocol: RTMP, port: {rtmp}}}, {{name: http, protocol: HTTP, port: {http}}}]
  publish: {{authentication: None}}
"
    );
    write(&dir.path().join("resources/server.yaml"), manifest)?;
    let mut command = match core {
        Some(core) => {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", core]).arg(binary);
            pinned
        }
        None => Command::new(binary),
    };
    command.arg("--resources").arg(dir.path().join("resources"));
    command.args(["--admin", &format!("127.0.0.1:{admin}")]);
    let log = std::fs::File::create(dir.path().join("pod.log")).context("making the media pod's log")?;
    command.env("RUST_LOG", "info").stdout(Stdio::null()).stderr(log);
    command.kill_on_drop(true).spawn().context("starting the media pod")
}
