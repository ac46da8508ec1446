//! Takes the cluster away, whole or half: processes, mounts, namespaces, cgroups, links, files.
//!
//! It ends only processes that it can tell to be the cluster's: those that a pid file names and whose arguments name the
//! cluster's directory, those in the nodes' network namespaces, and those in the nodes' cgroups.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::unistd::Pid;

use crate::cluster::{Layout, NODES, Node, cgroups, daemon, network};
use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::tools::paths::read;

/// How long processes may take to be gone after they were killed.
const LIMIT: Duration = Duration::from_secs(20);

/// Whether there is anything to take down.
pub fn is_anything_left(layout: &Layout) -> bool {
    let link = |name: &str| Path::new("/sys/class/net").join(name).exists();
    layout.root.exists() || link(super::layout::BRIDGE) || NODES.iter().any(|node| node.namespace().exists())
}

/// Takes everything down. It can be run again when it was cut.
pub async fn down(layout: &Layout) -> Result<()> {
    if let Some(owner) = network::owner() {
        let cache = owner.parent().unwrap_or(&owner).display();
        ensure!(
            owner == layout.root,
            "another cluster is up; `HEADGATE_CACHE={cache} cargo e2e cluster down` takes it down"
        );
    }
    end_processes(layout).await?;
    remove_sockets(layout);
    unmount_below(&layout.root)?;
    network::remove().await;
    remove_cgroups().await?;
    remove_traces(layout);
    remove_files(&layout.root)
}

/// Copies the logs of every component to this directory.
pub fn keep_logs(layout: &Layout, kept: &Path) -> Result<()> {
    std::fs::create_dir_all(kept).context(format_args!("making {}", kept.display()))?;
    for entry in std::fs::read_dir(layout.root.join("logs"))
        .into_iter()
        .flatten()
        .flatten()
    {
        std::fs::copy(entry.path(), kept.join(entry.file_name())).context("keeping a log")?;
    }
    Ok(())
}

/// Kills and looks again until nothing is left: a process that is being ended may have started another.
async fn end_processes(layout: &Layout) -> Result<()> {
    let begun = Instant::now();
    loop {
        let left = processes(layout).await;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(begun.elapsed() < LIMIT, "these processes do not end: {left:?}");
        left.into_iter().for_each(daemon::end);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn processes(layout: &Layout) -> Vec<Pid> {
    let pid_files = std::fs::read_dir(layout.root.join("pids"))
        .into_iter()
        .flatten()
        .flatten();
    let mut pids: Vec<Pid> = pid_files
        .filter_map(|entry| daemon::running(&entry.path(), &layout.root))
        .collect();
    for node in NODES {
        pids.extend(in_namespace(node).await);
        pids.extend(cgroups::processes(node).into_iter().map(Pid::from_raw));
    }
    pids
}

async fn in_namespace(node: Node) -> Vec<Pid> {
    let listed = Cmd::new("ip")
        .args(["netns", "pids", &node.name()])
        .run()
        .await
        .unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| line.trim().parse().ok().map(Pid::from_raw))
        .collect()
}

/// The shims' sockets lie outside of the node's directory; each task names its own.
fn remove_sockets(layout: &Layout) {
    for node in NODES {
        let tasks = layout
            .root
            .join(node.name())
            .join("run/io.containerd.runtime.v2.task/k8s.io");
        for task in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
            let address = std::fs::read_to_string(task.path().join("address")).unwrap_or_default();
            if let Some(socket) = address.trim().strip_prefix("unix://") {
                let _ = std::fs::remove_file(socket);
            }
        }
    }
}

fn unmount_below(root: &Path) -> Result<()> {
    for point in mounts_below(&read(Path::new("/proc/self/mountinfo"))?, root)
        .iter()
        .rev()
    {
        umount2(point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .map_err(std::io::Error::from)
            .context(format_args!("unmounting {}", point.display()))?;
    }
    let left = mounts_below(&read(Path::new("/proc/self/mountinfo"))?, root);
    ensure!(left.is_empty(), "these mounts are still there: {left:?}");
    Ok(())
}

/// Mount points below a directory, in the order in which they were mounted.
fn mounts_below(mountinfo: &str, root: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| point.starts_with(root))
        .collect()
}

async fn remove_cgroups() -> Result<()> {
    let begun = Instant::now();
    while NODES.iter().filter(|node| !cgroups::remove(**node)).count() > 0 {
        ensure!(begun.elapsed() < LIMIT, "a cgroup of a node cannot be removed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// What kubelet and CNI leave outside of the node's directory, at places that cannot be chosen.
fn remove_traces(layout: &Layout) {
    for link in entries("/var/log/containers") {
        if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(&layout.root)) {
            let _ = std::fs::remove_file(link);
        }
    }
    let root = layout.root.to_string_lossy();
    for result in entries("/var/lib/cni/results") {
        if std::fs::read_to_string(&result).is_ok_and(|text| text.contains(&*root)) {
            let _ = std::fs::remove_file(result);
        }
    }
    for file in ["kubelet.sock", "DEPRECATION", "kubelet_internal_checkpoint"] {
        let _ = std::fs::remove_file(Path::new("/var/lib/kubelet/device-plugins").join(file));
    }
    let only_if_empty = [
        "/var/lib/kubelet/device-plugins",
        "/var/lib/kubelet",
        "/var/log/containers",
        "/var/lib/cni/results",
        "/run/containerd/s",
    ];
    for directory in only_if_empty {
        let _ = std::fs::remove_dir(directory);
    }
}

fn entries(directory: &str) -> Vec<PathBuf> {
    std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

fn remove_files(root: &Path) -> Result<()> {
    match std::fs::remove_dir_all(root) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(cause).context(format_args!("removing {}", root.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_directory_are_named() {
        let mountinfo = "1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /c/cluster/a rw - tmpfs t rw\n3 1 0:3 / /c/cluster-two/b rw - tmpfs t rw\n";
        assert_eq!(
            mounts_below(mountinfo, Path::new("/c/cluster")),
            [PathBuf::from("/c/cluster/a")]
        );
    }
}
