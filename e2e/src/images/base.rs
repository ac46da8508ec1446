//! The base image: the dynamic loader, the C library and its kin, the certificate bundle, and a user to be.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::error::{Context as _, Result};
use crate::images::recipe::{Archive, Recipe};
use crate::tools::paths::{Paths, write};

const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libresolv.so.2"];

/// The base image of this machine.
pub(super) async fn archive(paths: &Paths) -> Result<Archive> {
    let context = scratch()?;
    let root = context.path().join("root");
    let (loader, directory) = loader();
    copy(Path::new(loader), &root.join(loader.trim_start_matches('/')))?;
    for library in LIBRARIES {
        let path = Path::new(directory).join(library);
        copy(&path, &root.join(path.strip_prefix("/").unwrap_or(&path)))?;
    }
    copy(
        Path::new(CERTIFICATES),
        &root.join(CERTIFICATES.trim_start_matches('/')),
    )?;
    write(&root.join("etc/passwd"), PASSWD)?;
    write(&root.join("etc/group"), GROUP)?;
    write(&root.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    Recipe::new(
        "localhost/headgate/base:1",
        context.path(),
        "FROM scratch\nCOPY root/ /\n",
    )
    .archive(paths)
    .await
}

/// The dynamic loader and the directory of the libraries, which Debian keeps at fixed places an architecture.
fn loader() -> (&'static str, &'static str) {
    match std::env::consts::ARCH {
        "aarch64" => ("/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu"),
        _ => ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu"),
    }
}

/// A directory for what goes into an image.
pub(super) fn scratch() -> Result<TempDir> {
    tempfile::tempdir().context("making a directory for an image")
}

/// Copies a program or a library, and not the link to it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let what = format!("copying {}", from.display());
    std::fs::create_dir_all(to.parent().unwrap_or(to)).context(&what)?;
    std::fs::copy(from, to).context(&what)?;
    let mode = if from == Path::new(CERTIFICATES) { 0o644 } else { 0o755 };
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode)).context(what)
}
