//! How one image is built, and the archive that comes of it. An archive's name holds the hash of all that goes into it, so an
//! image whose parts have not changed is not built again.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::command::Cmd;
use crate::error::{Context as _, Result};
use crate::tools::paths::Paths;
use crate::ui::step;

/// A built image in a file.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Its full name with its tag.
    pub reference: String,
    /// The OCI archive.
    pub file: PathBuf,
}

impl Archive {
    /// Its full name without its tag.
    pub fn name(&self) -> &str {
        self.reference
            .rsplit_once(':')
            .map_or(&self.reference, |(name, _)| name)
    }

    /// Its full name as the name of a file.
    pub fn slug(&self) -> String {
        slug(&self.reference)
    }

    /// What tells this content from any other.
    pub fn id(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What goes into an image.
#[derive(Debug)]
pub(super) struct Recipe<'a> {
    reference: String,
    context: &'a Path,
    dockerfile: &'a str,
    target: Option<&'a str>,
    args: Vec<(&'a str, String)>,
}

impl<'a> Recipe<'a> {
    pub(super) fn new(reference: &str, context: &'a Path, dockerfile: &'a str) -> Self {
        Self {
            reference: reference.to_owned(),
            context,
            dockerfile,
            target: None,
            args: Vec::new(),
        }
    }

    pub(super) fn base(self, base: &Archive) -> Self {
        let from = format!("oci-archive:{}:{}", base.file.display(), base.reference);
        self.arg("BASE", from)
    }

    pub(super) fn target(mut self, target: &'a str) -> Self {
        self.target = Some(target);
        self
    }

    pub(super) fn arg(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.args.push((name, value.into()));
        self
    }

    /// The archive, built if it is not there.
    pub(super) async fn archive(&self, paths: &Paths) -> Result<Archive> {
        let (slug, hash) = (slug(&self.reference), self.hash()?);
        let file = paths
            .images()
            .join(format!("{slug}@{}.tar", hash.get(..16).unwrap_or(&hash)));
        if !file.exists() {
            step(format_args!("image {}", self.reference), self.build(&file)).await?;
            remove_older(&file, &slug);
        }
        Ok(Archive {
            reference: self.reference.clone(),
            file,
        })
    }

    async fn build(&self, file: &Path) -> Result<()> {
        let directory = file.parent().context("an archive needs a directory")?;
        std::fs::create_dir_all(directory).context(format_args!("making {}", directory.display()))?;
        let work = tempfile::tempdir_in(directory).context("making a directory for buildah")?;
        let (dockerfile, unfinished) = (work.path().join("Dockerfile"), work.path().join("image.tar"));
        std::fs::write(&dockerfile, self.dockerfile).context("writing the Dockerfile")?;
        let mut build = buildah(work.path())
            .args(["bud", "--isolation", "chroot", "-q", "-t", &self.reference, "-f"])
            .arg(&dockerfile);
        for (name, value) in &self.args {
            build = build.arg("--build-arg").arg(format!("{name}={value}"));
        }
        if let Some(target) = self.target {
            build = build.arg("--target").arg(target);
        }
        build.arg(self.context).run().await?;
        let to = format!("oci-archive:{}:{}", unfinished.display(), self.reference);
        buildah(work.path())
            .args(["push", "-q", &self.reference, &to])
            .run()
            .await?;
        std::fs::rename(unfinished, file).context(format_args!("renaming to {}", file.display()))
    }

    fn hash(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{} {:?} {:?}\n{}\n",
            self.reference, self.target, self.args, self.dockerfile
        ));
        hash_tree(&mut hash, self.context, self.context)?;
        Ok(hex::encode(hash.finalize()))
    }
}

fn slug(reference: &str) -> String {
    reference.replace(['/', ':'], "_")
}

/// A storage of its own for every build: nothing stays, and nothing that a killed build left is in the way.
fn buildah(work: &Path) -> Cmd {
    let (root, run) = (work.join("storage"), work.join("run"));
    Cmd::new("buildah")
        .args(["--storage-driver", "vfs", "--root"])
        .arg(root)
        .arg("--runroot")
        .arg(run)
}

fn hash_tree(hash: &mut Sha256, directory: &Path, top: &Path) -> Result<()> {
    let entries = std::fs::read_dir(directory).context(format_args!("reading {}", directory.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        hash.update(format!("{}\n", path.strip_prefix(top).unwrap_or(&path).display()));
        if path.is_symlink() {
            hash.update(format!("{:?}\n", std::fs::read_link(&path).ok()));
        } else if path.is_dir() {
            hash_tree(hash, &path, top)?;
        } else {
            hash.update(Sha256::digest(
                std::fs::read(&path).context(format_args!("reading {}", path.display()))?,
            ));
        }
    }
    Ok(())
}

fn remove_older(file: &Path, slug: &str) {
    let prefix = format!("{slug}@");
    for entry in std::fs::read_dir(file.parent().unwrap_or(file))
        .into_iter()
        .flatten()
        .flatten()
    {
        let is_kin = entry.file_name().to_string_lossy().starts_with(&prefix);
        if is_kin && entry.path() != file {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_changes_with_any_part() {
        let context = tempfile::tempdir().unwrap();
        std::fs::write(context.path().join("binary"), "one").unwrap();
        let hash = |dockerfile, version: &str| {
            Recipe::new("x:1", context.path(), dockerfile)
                .arg("VERSION", version)
                .hash()
                .unwrap()
        };
        let first = hash("FROM scratch", "1");
        assert_eq!(first, hash("FROM scratch", "1"));
        assert_ne!(first, hash("FROM scratch", "2"));
        assert_ne!(first, hash("FROM base", "1"));
        std::fs::write(context.path().join("binary"), "two").unwrap();
        assert_ne!(first, hash("FROM scratch", "1"));
    }

    #[test]
    fn a_name_is_a_reference_without_its_tag() {
        let archive = Archive {
            reference: "docker.io/headgate/operator:0.1.0".into(),
            file: PathBuf::new(),
        };
        assert_eq!(archive.name(), "docker.io/headgate/operator");
    }
}
