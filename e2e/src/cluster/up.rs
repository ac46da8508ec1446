//! Brings the cluster up, or says that it is up already. What a killed run left is taken down first.

use std::time::{Duration, Instant};

use futures::future::{try_join, try_join_all};

use crate::cluster::daemon::{Daemon, listens};
use crate::cluster::{
    Layout, NODES, Node, apiserver, certs, cgroups, controllers, coredns, etcd, network, node, status, teardown,
};
use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Kubectl, eventually};
use crate::images;
use crate::tools::apt;
use crate::tools::go::Tools;
use crate::tools::paths::{Paths, out, write};
use crate::ui::{say, seconds, step};

/// How long nodes may take to be ready.
const READY_LIMIT: Duration = Duration::from_mins(2);

/// Makes sure that a healthy cluster of this checkout's versions runs. The caller holds the lock.
pub async fn up(paths: &Paths) -> Result<Layout> {
    let begun = Instant::now();
    apt::install().await?;
    let tools = Tools::ensure(paths).await?;
    let layout = Layout::new(paths, tools);
    if status::check(&layout).await.is_ok() {
        images::import(&layout, &[images::busybox(paths).await?]).await?;
        say(format_args!("cluster is up  {}", seconds(begun.elapsed())));
        return Ok(layout);
    }
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the local cluster needs root: namespaces, mounts and cgroups are made"
    );
    if teardown::is_anything_left(&layout) {
        step("what was left of an earlier cluster removed", teardown::down(&layout)).await?;
    }
    if let Err(cause) = start(paths, &layout).await {
        let kept = out().join("cluster");
        teardown::keep_logs(&layout, &kept)?;
        teardown::down(&layout).await?;
        return Err(cause).context(format_args!(
            "the cluster did not come up; its logs are in {}",
            kept.display()
        ));
    }
    say(format_args!("cluster is up  {}", seconds(begun.elapsed())));
    Ok(layout)
}

async fn start(paths: &Paths, layout: &Layout) -> Result<()> {
    say("starting the cluster");
    step("network, certificates, configuration", prepare(layout)).await?;
    try_join(control_plane(layout), runtimes(paths, layout)).await?;
    let kubectl = Kubectl::of(layout);
    step("cluster DNS Service", kubectl.apply("kube-system", coredns::OBJECTS)).await?;
    try_join_all(NODES.iter().map(|node| kubelet(layout, *node))).await?;
    step("both nodes Ready", ready(layout)).await?;
    write(&layout.fingerprint_file(), layout.fingerprint())
}

async fn prepare(layout: &Layout) -> Result<()> {
    certs::create(layout)?;
    layout.write_files()?;
    NODES.iter().try_for_each(|node| cgroups::create(*node))?;
    network::create(&layout.root).await
}

async fn control_plane(layout: &Layout) -> Result<()> {
    serve(layout, etcd::daemon(layout), async || listens(etcd::PORT).await).await?;
    let kubectl = Kubectl::of(layout);
    serve(layout, apiserver::daemon(layout), async || {
        kubectl.run(&["get", "--raw", "/readyz"]).await.map(drop)
    })
    .await?;
    let manager = serve(layout, controllers::manager(layout), async || {
        listens(controllers::MANAGER_PORT).await
    });
    let scheduler = serve(layout, controllers::scheduler(layout), async || {
        listens(controllers::SCHEDULER_PORT).await
    });
    let dns = serve(layout, coredns::daemon(layout), async || listens(coredns::PORT).await);
    futures::future::try_join3(manager, scheduler, dns).await.map(drop)
}

async fn runtimes(paths: &Paths, layout: &Layout) -> Result<()> {
    let runtime = |node: Node| {
        serve(layout, node::containerd(layout, node), async move || {
            answers(layout, node).await
        })
    };
    let (archive, _) = try_join(
        images::busybox(paths),
        try_join_all(NODES.iter().map(|node| runtime(*node))),
    )
    .await?;
    images::import(layout, &[archive]).await
}

async fn answers(layout: &Layout, node: Node) -> Result<()> {
    Cmd::new("ctr")
        .args(["-a", &node::socket(layout, node), "version"])
        .run()
        .await
        .map(drop)
}

/// Whether kubelet and kube-proxy work is seen by the node's readiness, and by the Services that scenarios use.
async fn kubelet(layout: &Layout, node: Node) -> Result<()> {
    node::kube_proxy(layout, node).start(layout)?;
    serve(layout, node::kubelet(layout, node), async || {
        status::is_ready(layout, &node.name()).await
    })
    .await
}

async fn ready(layout: &Layout) -> Result<()> {
    eventually(READY_LIMIT, "the cluster is healthy", async || {
        status::check_all(layout).await
    })
    .await
}

async fn serve(layout: &Layout, daemon: Daemon, probe: impl AsyncFn() -> Result<()>) -> Result<()> {
    let name = format!("{} ready", daemon.name);
    step(name, async {
        daemon.start(layout)?;
        daemon.serves(layout, probe).await
    })
    .await
}
