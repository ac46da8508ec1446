//! What is measured is what users run: from any other build this program makes release builds and goes on as its own.

use crate::error::{Context as _, Error, Result};
use crate::images;
use crate::ui::step;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

/// The folder with the folders of the builds; when this is none of a release, this program first becomes one, with `package` built beside it.
pub async fn programs(package: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("finding this program")?;
    let folder = here.parent().context("this program lies in no folder")?;
    let target = folder.parent().context("this program lies in no target folder")?;
    if folder.ends_with("release") {
        return Ok(target.to_path_buf());
    }
    let builds = async {
        match package {
            "headgate-operator" => images::operator(target).await.map(drop)?,
            package => images::build(target, "release", package).await?,
        }
        images::build(target, "release", "headgate-e2e").await
    };
    step("builds as users run them", builds).await?;
    Err(go_on_as(&target.join("release/headgate-e2e")))
}

/// Returns only if it fails.
fn go_on_as(program: &Path) -> Error {
    let arguments = std::env::args_os().skip(1);
    let error = std::process::Command::new(program).args(arguments).exec();
    Error::new(format!("{}: {error}", program.display()))
}
