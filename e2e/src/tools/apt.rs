//! Installs the Debian packages that are missing. Their daemons are not started: nothing here uses the system's own.

use std::path::Path;

use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::ui;

/// What a cluster, the scenarios and the tests against other players need.
const PACKAGES: [&str; 20] = [
    "buildah",
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "ffmpeg",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-tools",
    "iproute2",
    "iptables",
    "libnginx-mod-rtmp",
    "make",
    "nftables",
    "nginx-light",
    "prometheus",
    "rtmpdump",
    "runc",
    "util-linux",
];

/// Debian asks this program whether a package may start its daemon.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str = "#!/bin/sh\n# Made by headgate-e2e while it installs packages.\nexit 101\n";

/// Installs what is missing, if anything is.
pub async fn install() -> Result<()> {
    install_also(&PACKAGES).await
}

/// The same for what only one part needs.
pub async fn install_also(packages: &[&'static str]) -> Result<()> {
    let missing = missing(packages).await?;
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        nix::unistd::geteuid().is_root(),
        "these packages are missing, and only root can install them: {}",
        missing.join(" ")
    );
    ui::say(format_args!("installing Debian packages: {}", missing.join(" ")));
    ui::step("package lists updated", apt(&["update", "-q"])).await?;
    let _quiet = QuietDaemons::new()?;
    let mut install = vec!["install", "-y", "-q", "--no-install-recommends"];
    install.extend(&missing);
    ui::step("packages installed", apt(&install)).await
}

async fn missing(wanted: &[&'static str]) -> Result<Vec<&'static str>> {
    let query = Cmd::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(wanted);
    let output = query.output().await.context("only Debian and its kin are supported")?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(wanted
        .iter()
        .copied()
        .filter(|package| !is_installed(&listed, package))
        .collect())
}

fn is_installed(listed: &str, package: &str) -> bool {
    listed
        .lines()
        .any(|line| line.strip_prefix(package) == Some(" installed"))
}

async fn apt(args: &[&str]) -> Result<()> {
    let command = Cmd::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    command.run().await.map(drop)
}

/// Keeps packages from starting daemons as long as it lives. A policy that somebody else made is left alone.
struct QuietDaemons {
    ours: bool,
}

impl QuietDaemons {
    fn new() -> Result<Self> {
        let ours = std::fs::read_to_string(POLICY).map_or(true, |text| text == POLICY_TEXT);
        if ours {
            std::fs::write(POLICY, POLICY_TEXT).context(POLICY)?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(Path::new(POLICY), mode).context(POLICY)?;
        }
        Ok(Self { ours })
    }
}

impl Drop for QuietDaemons {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_when_it_is_installed() {
        let listed = "runc installed\nbuildah config-files\nrunc-doc installed\n";
        assert!(is_installed(listed, "runc"));
        assert!(!is_installed(listed, "buildah"));
        assert!(!is_installed(listed, "ffmpeg"));
    }
}
