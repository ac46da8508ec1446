//! A cgroup a node in every hierarchy, below which its kubelet puts pods.

use std::path::{Path, PathBuf};

use crate::cluster::Node;
use crate::error::{Context as _, Result};
use crate::tools::paths::read;

/// Makes the node's cgroup everywhere.
pub fn create(node: Node) -> Result<()> {
    for hierarchy in hierarchies()? {
        let group = hierarchy.join(node.name());
        offer_controllers(&hierarchy);
        std::fs::create_dir_all(&group).context(format_args!("making {}", group.display()))?;
        for setting in ["cpuset.cpus", "cpuset.mems"] {
            inherit(&hierarchy, &group, setting)?;
        }
    }
    Ok(())
}

/// In version 1 a new cpuset is empty, and no process may enter it.
fn inherit(hierarchy: &Path, group: &Path, setting: &str) -> Result<()> {
    let is_version_1 = hierarchy.join(setting).exists();
    if !is_version_1 {
        return Ok(());
    }
    let value = read(&hierarchy.join(setting))?;
    std::fs::write(group.join(setting), value).context(format_args!("setting {setting} of {}", group.display()))
}

/// In version 2 a group's children get the controllers that it offers them. Each is asked for alone, since one may be missing.
fn offer_controllers(group: &Path) {
    for controller in ["cpu", "cpuset", "io", "memory", "pids"] {
        let _ = std::fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// The processes of every pod of the node.
pub fn processes(node: Node) -> Vec<i32> {
    let mut pids = Vec::new();
    for hierarchy in hierarchies().unwrap_or_default() {
        for group in groups_below(&hierarchy.join(node.name())) {
            let listed = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
    }
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes the node's cgroups, the innermost first. True when none is left.
pub fn remove(node: Node) -> bool {
    let mut gone = true;
    for hierarchy in hierarchies().unwrap_or_default() {
        for group in groups_below(&hierarchy.join(node.name())) {
            gone &= std::fs::remove_dir(&group).is_ok() || !group.exists();
        }
    }
    gone
}

/// This group and all below it, the innermost first; none if there is no such group.
fn groups_below(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(group) else {
        return Vec::new();
    };
    let children = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    children
        .flat_map(|child| groups_below(&child))
        .chain([group.to_owned()])
        .collect()
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = read(Path::new("/proc/self/mounts"))?;
    Ok(cgroup_mounts(&mounts))
}

fn cgroup_mounts(mounts: &str) -> Vec<PathBuf> {
    let point = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup" || kind == "cgroup2").then(|| PathBuf::from(point))
    };
    let mut points: Vec<_> = mounts.lines().filter_map(point).collect();
    points.dedup();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_found() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            cgroup_mounts(mounts),
            ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(PathBuf::from)
        );
    }

    #[test]
    fn the_innermost_group_comes_first() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("a/b")).unwrap();
        let found = groups_below(top.path());
        assert_eq!(
            found,
            [top.path().join("a/b"), top.path().join("a"), top.path().to_owned()]
        );
    }
}
