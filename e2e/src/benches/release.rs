//! What is measured is what users run: from any other build this program makes release builds and goes on as its own.

use crate::command::Cmd;
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::workspace;
use crate::ui::step;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

/// The folder of the release builds; when this is none of them, this program first becomes one, with `package` built beside it.
pub async fn programs(package: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("finding this program")?;
    let folder = here.parent().context("this program lies in no folder")?;
    if folder.ends_with("release") {
        return Ok(folder.to_path_buf());
    }
    let target = folder.parent().context("this program lies in no target folder")?;
    step("release builds", build(package)).await?;
    Err(go_on_as(&target.join("release/headgate-e2e")))
}

/// Returns only if it fails.
fn go_on_as(program: &Path) -> Error {
    let arguments = std::env::args_os().skip(1);
    let error = std::process::Command::new(program).args(arguments).exec();
    Error::new(format!("{}: {error}", program.display()))
}

/// One at a time: built together, each would get the features of the other's dependencies.
async fn build(package: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for package in [package, "headgate-e2e"] {
        Cmd::new(&cargo)
            .args(["build", "--quiet", "--release", "-p", package])
            .dir(workspace())
            .run()
            .await?;
    }
    Ok(())
}
