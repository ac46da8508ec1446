//! Libraries of npm, each in one version, below the cache.

use super::paths::Paths;
use crate::command::Cmd;
use crate::error::Result;
use crate::ui::step;
use std::path::PathBuf;

/// The folder to put into `NODE_PATH` for `requirement` (`NAME@VERSION`); installed if it is not there. `None` where there is no Node.js with npm.
pub async fn library(paths: &Paths, requirement: &str) -> Result<Option<PathBuf>> {
    let folder = paths.cache.join("node").join(requirement);
    let modules = folder.join("node_modules");
    let name = requirement.rsplit_once('@').map_or(requirement, |(name, _)| name);
    if modules.join(name).is_dir() {
        return Ok(Some(modules));
    }
    if !is_there("node").await || !is_there("npm").await {
        return Ok(None);
    }
    std::fs::create_dir_all(&folder).ok();
    let install = Cmd::new("npm")
        .args([
            "install",
            "--silent",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
        ])
        .arg(&folder)
        .arg(requirement);
    step(format_args!("library {requirement} of npm"), install.run()).await?;
    Ok(Some(modules))
}

async fn is_there(program: &str) -> bool {
    let tried = Cmd::new(program).arg("--version").output().await;
    tried.is_ok_and(|output| output.status.success())
}
