//! The images: built on this machine, kept by the hash of what is in them, imported into every node.
//!
//! No registry is asked. The base is made from the machine's own C library, so that it fits the binaries built here.

mod base;
mod recipe;

use std::path::{Path, PathBuf};

use futures::future::try_join_all;

use crate::cluster::{Layout, NODES, Node, layout, node};
use crate::command::Cmd;
use crate::error::{Context as _, Result};
use crate::tools::paths::{Paths, workspace, write};
use crate::ui::step;

pub use recipe::Archive;
use recipe::Recipe;

/// The tag that the chart asks for by default.
pub const VERSION: &str = "0.1.0";
/// The tag of the second operator image, to which an upgrade goes.
pub const NEXT_VERSION: &str = "0.1.0-next";
/// The operator's image, without its tag.
pub const OPERATOR: &str = "docker.io/headgate/operator";
/// The media pod's image, without its tag.
pub const MEDIA_POD: &str = "docker.io/headgate/media-pod";

/// The image of pods' sandboxes and of small helper pods: busybox on the base, and `getent` beside it. Debian's busybox is
/// linked statically and crashes where it looks up a name; `getent` asks as every program on the base does.
pub async fn busybox(paths: &Paths) -> Result<Archive> {
    let base = base::archive(paths).await?;
    let context = base::scratch()?;
    let binary = context.path().join("root/bin/busybox");
    base::copy(Path::new("/bin/busybox"), &binary)?;
    base::copy(Path::new("/usr/bin/getent"), &binary.with_file_name("getent"))?;
    let applets = Cmd::new("/bin/busybox").arg("--list").run().await?;
    for applet in applets.lines().filter(|applet| !["busybox", "getent"].contains(applet)) {
        std::os::unix::fs::symlink("busybox", binary.with_file_name(applet)).context("linking a busybox applet")?;
    }
    let dockerfile = "ARG BASE\nFROM ${BASE}\nCOPY root/ /\nCMD [\"/bin/sleep\", \"infinity\"]\n";
    Recipe::new(layout::BUSYBOX_IMAGE, context.path(), dockerfile)
        .base(&base)
        .archive(paths)
        .await
}

/// Builds the release binaries and the images of operator and media pod: what a chart with no values asks for, and the
/// operator's next version.
pub async fn product(paths: &Paths) -> Result<Vec<Archive>> {
    let binaries = step("release binaries of operator and media pod", programs(paths)).await?;
    let base = base::archive(paths).await?;
    let context = base::scratch()?;
    for binary in [&binaries.operator, &binaries.media_pod] {
        let name = binary.file_name().context("a program without a name")?;
        base::copy(binary, &context.path().join(name))?;
    }
    let dockerfile = crate::tools::paths::read(&workspace().join("images/Dockerfile"))?;
    let mut archives = Vec::new();
    for (name, target, version) in [
        (OPERATOR, "operator", VERSION),
        (OPERATOR, "operator", NEXT_VERSION),
        (MEDIA_POD, "media-pod", VERSION),
    ] {
        let recipe = Recipe::new(&format!("{name}:{version}"), context.path(), &dockerfile).base(&base);
        archives.push(recipe.target(target).arg("VERSION", version).archive(paths).await?);
    }
    Ok(archives)
}

/// What is in the images.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Built by a profile of its own, which keeps it small.
    pub operator: PathBuf,
    /// Built to be fast.
    pub media_pod: PathBuf,
}

/// The programs as users run them, which are built if they are not.
pub async fn programs(paths: &Paths) -> Result<Programs> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| paths.cache.join("target"), PathBuf::from);
    build(&target, "release", "headgate-media-pod").await?;
    Ok(Programs {
        operator: operator(&target).await?,
        media_pod: target.join("release/media-pod"),
    })
}

/// The operator alone, built into this folder.
pub async fn operator(target: &Path) -> Result<PathBuf> {
    build(target, "operator", "headgate-operator").await?;
    Ok(target.join("operator/headgate-operator"))
}

/// One package at a time: built together, each would get the features of the other's dependencies.
pub async fn build(target: &Path, profile: &str, package: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = Cmd::new(cargo).dir(workspace()).env("CARGO_TARGET_DIR", target);
    build
        .args(["build", "--quiet", "--profile", profile, "-p", package])
        .run()
        .await
        .map(drop)
}

/// Imports what a node does not have yet, into all nodes.
pub async fn import(layout: &Layout, archives: &[Archive]) -> Result<()> {
    for archive in archives {
        try_join_all(NODES.iter().map(|node| import_into(layout, *node, archive))).await?;
    }
    Ok(())
}

/// A mark a name says which content the node has under it; the node is asked as well, since a kubelet that was short of disk takes images away.
async fn import_into(layout: &Layout, node: Node, archive: &Archive) -> Result<()> {
    let mark = PathBuf::from(layout.of(node, &format!("imported/{}", archive.slug())));
    let is_marked = std::fs::read_to_string(&mark).is_ok_and(|id| id == archive.id());
    if is_marked && has(layout, node, archive).await? {
        return Ok(());
    }
    let what = format!("{} imported into {}", archive.reference, node.name());
    let import = images(layout, node).args(["import", "--base-name"]);
    step(what, import.arg(archive.name()).arg(&archive.file).run()).await?;
    write(&mark, archive.id())
}

async fn has(layout: &Layout, node: Node, archive: &Archive) -> Result<bool> {
    let listed = images(layout, node).args(["ls", "-q"]).run().await?;
    Ok(listed.lines().any(|line| line.trim() == archive.reference))
}

fn images(layout: &Layout, node: Node) -> Cmd {
    Cmd::new("ctr").args(["-a", &node::socket(layout, node), "-n", "k8s.io", "images"])
}
