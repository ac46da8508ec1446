//! etcd and kube-apiserver, and nothing else: no controller, no scheduler, no node. On loopback, on ports of their own, so that it
//! runs beside a whole cluster.

use crate::cluster::daemon::{Daemon, end, running};
use crate::cluster::layout::Seat;
use crate::cluster::{Layout, apiserver, certs, etcd};
use crate::error::{Context as _, Error, Result};
use crate::harness::Kubectl;
use crate::tools::go::Tools;
use crate::tools::paths::{Paths, write};
use crate::ui::step;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;

const HOST: &str = "127.0.0.1";

/// A running control plane. Its processes end and its files go with it.
#[derive(Debug)]
pub struct ControlPlane {
    layout: Layout,
}

impl ControlPlane {
    /// Starts it; what a killed run left is taken away first.
    pub async fn start(paths: &Paths) -> Result<Self> {
        let layout = Layout {
            root: paths.cache.join("bench"),
            tools: Tools::ensure(paths).await?,
            seat: Seat {
                host: HOST.into(),
                api_port: free_port()?,
                etcd_port: free_port()?,
            },
        };
        remove(&layout.root);
        let plane = Self { layout };
        step("etcd and kube-apiserver", plane.serve()).await?;
        Ok(plane)
    }

    async fn serve(&self) -> Result<()> {
        let layout = &self.layout;
        certs::create(layout)?;
        for client in certs::clients() {
            let (path, text) = client.kubeconfig(layout);
            write(Path::new(&path), text)?;
        }
        let etcd = etcd::daemon(layout);
        etcd.start(layout)?;
        etcd.serves(layout, async || {
            let to = (HOST, layout.seat.etcd_port);
            TcpStream::connect(to).await.context("etcd").map(drop)
        })
        .await?;
        let server = alone(apiserver::daemon(layout));
        server.start(layout)?;
        let kubectl = self.kubectl();
        server
            .serves(layout, async || {
                kubectl.run(&["get", "--raw", "/readyz"]).await.map(drop)
            })
            .await
    }

    /// kubectl as its administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::of(&self.layout)
    }

    /// A client as its administrator.
    pub async fn client(&self) -> Result<kube::Client> {
        client(Path::new(&self.layout.kubeconfig("admin"))).await
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://{HOST}:{}", self.layout.seat.api_port)
    }

    /// Its authority's certificate.
    pub fn authority(&self) -> String {
        self.layout.pki("ca.pem")
    }

    /// What runs of it, by name.
    pub fn processes(&self) -> impl Iterator<Item = (&'static str, i32)> {
        let pid = |name| {
            let file = self.layout.root.join("pids").join(name);
            running(&file, &self.layout.root).map(|pid| (name, pid.as_raw()))
        };
        ["kube-apiserver", "etcd"].into_iter().filter_map(pid)
    }

    /// A path below its folder.
    pub fn at(&self, path: &str) -> PathBuf {
        self.layout.root.join(path)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        remove(&self.layout.root);
    }
}

/// A client by a kubeconfig.
async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let failed = |error: &dyn std::fmt::Display| Error::new(format!("{}: {error}", kubeconfig.display()));
    let config = kube::config::Kubeconfig::read_from(kubeconfig).map_err(|e| failed(&e))?;
    let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default())
        .await
        .map_err(|e| failed(&e))?;
    kube::Client::try_from(config).map_err(|e| failed(&e))
}

/// On loopback it cannot be the endpoint of its own Service; writes are counted by its metrics, so it keeps no audit log.
fn alone(mut daemon: Daemon) -> Daemon {
    daemon.args.retain(|arg| !arg.starts_with("--audit"));
    daemon.args.push("--endpoint-reconciler-type=none".into());
    daemon
}

/// A port that nobody has. The kernel seldom gives a port again that it gave a moment ago.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind((HOST, 0)).context("finding a free port")?;
    Ok(listener.local_addr().context("finding a free port")?.port())
}

/// Ends what runs by its pid files, and takes the folder away once nothing runs.
fn remove(root: &Path) {
    for _ in 0..100 {
        let files = std::fs::read_dir(root.join("pids")).into_iter().flatten().flatten();
        let pids: Vec<_> = files.filter_map(|file| running(&file.path(), root)).collect();
        if pids.is_empty() {
            break;
        }
        pids.into_iter().for_each(end);
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = std::fs::remove_dir_all(root);
}
