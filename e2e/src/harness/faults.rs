//! What goes wrong in a cluster, done on purpose to the local one: every fault is undone by what it returns, or by its counterpart.

use crate::cluster::daemon::{Daemon, end};
use crate::cluster::layout::{Layout, NODES, Node};
use crate::cluster::{apiserver, controllers, etcd, node, status};
use crate::error::{Context as _, Error, Result};
use crate::harness::{Cluster, Context, eventually};
use crate::slow_link::SlowLink;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long a component may take to serve again.
const BACK: Duration = Duration::from_mins(1);

impl Cluster {
    /// Undoes every fault that a scenario left behind in the local cluster: components that do not run, processes that are stopped, nodes that
    /// take no pods.
    pub(super) async fn heal(&self) -> Result<()> {
        let Some(layout) = &self.local else { return Ok(()) };
        etcd::daemon(layout).pid(layout).into_iter().for_each(go_on);
        let start = |daemon: &Daemon| match daemon.pid(layout) {
            Some(_) => Ok(()),
            None => daemon.start(layout),
        };
        if let Some(pid) = apiserver::daemon(layout).pid(layout)
            && !of_process(pid.as_raw(), "cmdline").contains(&etcd::url(layout))
        {
            end(pid);
        }
        [etcd::daemon(layout), apiserver::daemon(layout)]
            .iter()
            .try_for_each(start)?;
        // The others end at once where it does not serve.
        self.serves().await?;
        layout.daemons().iter().try_for_each(start)?;
        wake_pods();
        eventually(BACK, "the cluster is healthy again", async || {
            status::check_all(layout).await
        })
        .await?;
        for node in NODES {
            self.kubectl.run(&["uncordon", &node.name()]).await?;
        }
        Ok(())
    }

    async fn serves(&self) -> Result<()> {
        eventually(BACK, "the API server is back", async || {
            self.kubectl.run(&["get", "--raw", "/readyz"]).await.map(drop)
        })
        .await
    }
}

impl Context {
    /// The local cluster, without which a fault cannot be made.
    pub fn local(&self) -> Result<&Layout> {
        self.cluster
            .local
            .as_ref()
            .context("this scenario breaks components of the cluster, which it only does to the local one")
    }

    /// A node's kubelet stops, as when the node is cut off: its containers go on.
    pub fn cut_off(&self, name: &str) -> Result<()> {
        let layout = self.local()?;
        stop(layout, &node::kubelet(layout, node_of(name)?))
    }

    /// The kubelet is back, and the node is Ready.
    pub async fn reconnect(&self, name: &str) -> Result<()> {
        let layout = self.local()?;
        let kubelet = node::kubelet(layout, node_of(name)?);
        if kubelet.pid(layout).is_none() {
            kubelet.start(layout)?;
        }
        // A node that was given up comes back as a new one.
        eventually(BACK, &format!("{name} is Ready"), async || {
            let node = self.kubectl.get("node", None, name).await?;
            let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
            let ready = conditions
                .into_iter()
                .flatten()
                .find(|c| c.get("type") == Some(&json!("Ready")));
            crate::ensure!(
                ready.and_then(|c| c.get("status")) == Some(&json!("True")),
                "it is {ready:?}"
            );
            Ok(())
        })
        .await
    }

    /// Takes the API server away.
    pub fn stop_api_server(&self) -> Result<()> {
        let layout = self.local()?;
        stop(layout, &apiserver::daemon(layout))
    }

    /// Brings the API server back.
    pub async fn start_api_server(&self) -> Result<()> {
        self.start_as(&apiserver::daemon(self.local()?)).await
    }

    /// Brings the API server back, with a link between it and etcd that can be slow.
    pub async fn start_api_server_over_link(&self) -> Result<EtcdLink<'_>> {
        let layout = self.local()?;
        let etcd = (&layout.seat.host, layout.seat.etcd_port);
        let link = SlowLink::start(etcd.0, format!("{}:{}", etcd.0, etcd.1)).await?;
        let daemon = apiserver::with_etcd(layout, &format!("https://{}", link.address()));
        let link = EtcdLink {
            context: self,
            layout,
            link,
        };
        self.start_as(&daemon).await?;
        Ok(link)
    }

    async fn start_as(&self, api_server: &Daemon) -> Result<()> {
        let layout = self.local()?;
        api_server.start(layout)?;
        for daemon in [controllers::manager(layout), controllers::scheduler(layout)] {
            if daemon.pid(layout).is_none() {
                daemon.start(layout)?;
            }
        }
        self.cluster.serves().await
    }

    /// Kills the process of a pod's container as the kernel does when memory is out. The kubelet starts another.
    pub fn kill_process(&self, pod_uid: &str, program: &str) -> Result<()> {
        self.signal(pod_uid, program, Signal::SIGKILL)
    }

    /// Sends a signal to the processes of a pod that run this program.
    pub fn signal(&self, pod_uid: &str, program: &str, signal: Signal) -> Result<()> {
        self.local()?;
        let found = processes(pod_uid, program);
        crate::ensure!(!found.is_empty(), "no process of pod {pod_uid} runs {program}");
        for pid in found {
            kill(pid, signal).map_err(|error| Error::new(format!("sending {signal} to {program}: {error}")))?;
        }
        Ok(())
    }
}

/// The API server reaches etcd over a link that can be slow, as long as this lives. Dropped, it takes the API server along, which
/// [`EtcdLink::take_away`] brings back.
#[derive(Debug)]
pub struct EtcdLink<'a> {
    context: &'a Context,
    layout: &'a Layout,
    link: SlowLink,
}

impl EtcdLink<'_> {
    /// Each message from or to etcd takes so much longer from now on.
    pub fn slow(&self, delay: Duration) {
        self.link.slow(delay);
    }

    /// The API server starts anew, without the link.
    pub async fn take_away(self) -> Result<()> {
        let (context, layout) = (self.context, self.layout);
        drop(self);
        let place = (layout.seat.host.as_str(), layout.seat.api_port);
        eventually(BACK, "the API server is gone", async || {
            TcpListener::bind(place).await.context("its port").map(drop)
        })
        .await?;
        context.start_api_server().await
    }
}

impl Drop for EtcdLink<'_> {
    fn drop(&mut self) {
        apiserver::daemon(self.layout)
            .pid(self.layout)
            .into_iter()
            .for_each(end);
    }
}

fn go_on(pid: Pid) {
    let _ = kill(pid, Signal::SIGCONT);
}

fn stop(layout: &Layout, daemon: &Daemon) -> Result<()> {
    let pid = daemon
        .pid(layout)
        .context(format_args!("{} does not run", daemon.name))?;
    end(pid);
    Ok(())
}

fn node_of(name: &str) -> Result<Node> {
    let found = NODES.into_iter().find(|n| n.name() == name);
    found.context(format_args!("the local cluster has no node {name}"))
}

/// The processes below a pod's cgroup that run a program of this name.
fn processes(pod_uid: &str, program: &str) -> Vec<Pid> {
    let runs = |pid: &i32| {
        let command = of_process(*pid, "cmdline");
        let first = command.split('\0').next().unwrap_or_default();
        of_process(*pid, "cgroup").contains(pod_uid) && first.ends_with(program)
    };
    pids().filter(runs).map(Pid::from_raw).collect()
}

/// Has every stopped process in a pod of the local cluster go on.
fn wake_pods() {
    let in_a_pod = |pid: &i32| {
        let cgroup = of_process(*pid, "cgroup");
        cgroup.contains("pod") && NODES.iter().any(|n| cgroup.contains(&format!("/{}/", n.name())))
    };
    let is_stopped = |pid: &i32| of_process(*pid, "status").contains("\nState:\tT");
    for pid in pids().filter(is_stopped).filter(in_a_pod) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// Empty when there is no such process any more.
fn of_process(pid: i32, file: &str) -> String {
    let read = std::fs::read(Path::new("/proc").join(pid.to_string()).join(file));
    String::from_utf8_lossy(&read.unwrap_or_default()).into_owned()
}
