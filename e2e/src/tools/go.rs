//! Builds Kubernetes, etcd, helm and CoreDNS from the Go module files in `e2e/cluster/`.
//!
//! The programs lie in the cache under the hash of those files. Each is built beside its place and then renamed, so a killed
//! build leaves nothing half; Go's own build cache makes the next try go on where it stopped.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::command::Cmd;
use crate::error::{Context as _, Result};
use crate::tools::paths::{Paths, read, workspace};
use crate::ui;

/// The version that the programs say they are. It must be the one in `kubernetes/go.mod`.
const KUBERNETES_VERSION: &str = "v1.34.4";

/// One directory below `e2e/cluster/` and what is built from it.
struct Module {
    directory: &'static str,
    /// Name of the program, and the package it is built from.
    programs: &'static [(&'static str, &'static str)],
}

const MODULES: [Module; 3] = [
    Module {
        directory: "kubernetes",
        programs: &[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            (
                "kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
            ),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            ("etcd", "go.etcd.io/etcd/server/v3"),
        ],
    },
    Module {
        directory: "helm",
        programs: &[("helm", "helm.sh/helm/v3/cmd/helm")],
    },
    Module {
        directory: "coredns",
        programs: &[("coredns", "github.com/coredns/coredns")],
    },
];

/// Where the built programs are.
#[derive(Debug, Clone)]
pub struct Tools {
    directories: Vec<(&'static str, PathBuf)>,
}

impl Tools {
    /// Where the programs of this checkout's module files belong, built or not.
    pub fn locate(paths: &Paths) -> Result<Self> {
        let directories = MODULES
            .iter()
            .map(|module| Ok((module.directory, paths.binaries(&module.hash()?))));
        Ok(Self {
            directories: directories.collect::<Result<_>>()?,
        })
    }

    /// Builds what is not there yet.
    pub async fn ensure(paths: &Paths) -> Result<Self> {
        let tools = Self::locate(paths)?;
        for module in &MODULES {
            for (program, package) in module.programs {
                let target = tools.program(program);
                if !target.exists() {
                    ui::step(format_args!("go build {program}"), module.build(package, &target)).await?;
                }
            }
        }
        Ok(tools)
    }

    /// The path of a built program.
    pub fn program(&self, name: &str) -> PathBuf {
        let module = MODULES
            .iter()
            .find(|module| module.programs.iter().any(|(program, _)| *program == name));
        let directory = module.and_then(|module| {
            self.directories
                .iter()
                .find(|(directory, _)| *directory == module.directory)
        });
        directory.map_or_else(|| PathBuf::from(name), |(_, path)| path.join(name))
    }
}

impl Module {
    fn source(&self) -> PathBuf {
        workspace().join("e2e/cluster").join(self.directory)
    }

    fn hash(&self) -> Result<String> {
        let source = self.source();
        let mut hash = Sha256::new();
        hash.update(read(&source.join("go.mod"))?);
        hash.update(read(&source.join("go.sum"))?);
        hash.update(link_flags());
        let hex = hex::encode(hash.finalize());
        Ok(format!("{}-{}", self.directory, hex.get(..16).unwrap_or(&hex)))
    }

    async fn build(&self, package: &str, target: &Path) -> Result<()> {
        let directory = target.parent().context("a program needs a directory")?;
        std::fs::create_dir_all(directory).context(format_args!("making {}", directory.display()))?;
        let unfinished = target.with_extension("unfinished");
        let command = Cmd::new("go")
            .dir(&self.source())
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly -buildvcs=false");
        let command = command
            .args(["build", "-trimpath", "-ldflags", &link_flags(), "-o"])
            .arg(&unfinished)
            .arg(package);
        command
            .run()
            .await
            .context("building with Go, of which 1.26 or later is needed")?;
        std::fs::rename(&unfinished, target).context(format_args!("renaming to {}", target.display()))
    }
}

/// Without its version a Kubernetes component says v0.0.0, and its clients misjudge what it can do.
fn link_flags() -> String {
    let mut numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={KUBERNETES_VERSION} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_said_is_the_version_built() {
        let module = read(&workspace().join("e2e/cluster/kubernetes/go.mod")).unwrap();
        assert!(module.contains(&format!("k8s.io/kubernetes {KUBERNETES_VERSION}")));
    }

    #[test]
    fn every_program_is_a_tool_of_its_module() {
        for module in &MODULES {
            let file = read(&module.source().join("go.mod")).unwrap();
            for (_, package) in module.programs {
                assert!(file.contains(package), "{package} is not in {}", module.directory);
            }
        }
    }

    #[test]
    fn programs_lie_under_the_hash_of_their_module() {
        let tools = Tools::locate(&Paths {
            cache: PathBuf::from("/cache"),
        })
        .unwrap();
        let (kubectl, helm) = (tools.program("kubectl"), tools.program("helm"));
        assert!(
            kubectl.starts_with("/cache/bin") && kubectl.ends_with("kubectl"),
            "{}",
            kubectl.display()
        );
        assert_ne!(kubectl.parent(), helm.parent());
    }
}
