//! Libraries of PyPI, each in one version, below the cache.

use super::paths::Paths;
use crate::command::Cmd;
use crate::error::Result;
use crate::ui::step;
use std::path::PathBuf;

/// The folder to put into `PYTHONPATH` for `requirement` (`NAME==VERSION`), which brings the module `module`; installed if it is not there. `None`
/// where there is no Python with pip.
pub async fn library(paths: &Paths, requirement: &str, module: &str) -> Result<Option<PathBuf>> {
    let folder = paths.cache.join("python").join(requirement);
    if folder.join(module).is_dir() {
        return Ok(Some(folder));
    }
    if !has_pip().await {
        return Ok(None);
    }
    let install = Cmd::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"])
        .args(["--root-user-action", "ignore", "--target"])
        .arg(&folder)
        .arg(requirement);
    step(format_args!("library {requirement} of PyPI"), install.run()).await?;
    Ok(Some(folder))
}

async fn has_pip() -> bool {
    let tried = Cmd::new("python3").args(["-m", "pip", "--version"]).output().await;
    tried.is_ok_and(|output| output.status.success())
}
