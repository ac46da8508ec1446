//! Where things are: everything that is kept between runs lies outside the checkout, below one cache directory.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::error::{Context as _, Result};

/// The cache directory, and the places below it.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `$HEADGATE_CACHE`, or `~/.cache/headgate`.
    pub cache: PathBuf,
}

impl Paths {
    /// Finds the cache directory and makes it.
    pub fn find() -> Result<Self> {
        let chosen = std::env::var_os("HEADGATE_CACHE").map(PathBuf::from);
        let cache = chosen.or_else(|| std::env::home_dir().map(|home| home.join(".cache/headgate")));
        let cache = cache.context("neither HEADGATE_CACHE nor HOME is set")?;
        std::fs::create_dir_all(&cache).context(format_args!("making {}", cache.display()))?;
        let cache = cache
            .canonicalize()
            .context(format_args!("resolving {}", cache.display()))?;
        Ok(Self { cache })
    }

    /// The built programs of one Go module in one version.
    pub fn binaries(&self, hash: &str) -> PathBuf {
        self.cache.join("bin").join(hash)
    }

    /// The state of the local cluster: data, logs, kubeconfigs, pid files.
    pub fn cluster(&self) -> PathBuf {
        self.cache.join("cluster")
    }

    /// Built images and what builds them.
    pub fn images(&self) -> PathBuf {
        self.cache.join("images")
    }
}

/// The top of the checkout: as cargo says at run time, since a program that was built from another checkout into the same target
/// directory may be taken for this one's; else as it was when this was built.
pub fn workspace() -> &'static Path {
    static TOP: LazyLock<PathBuf> = LazyLock::new(|| {
        let built = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built, PathBuf::from);
        here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
    });
    &TOP
}

/// Where a failed run leaves its logs, below the checkout and ignored by git.
pub fn out() -> PathBuf {
    workspace().join("e2e/out")
}

/// Reads a file, with its name in the error.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).context(format_args!("reading {}", path.display()))
}

/// Writes a file and the directories above it.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).context(format_args!("making {}", parent.display()))?;
    }
    std::fs::write(path, content).context(format_args!("writing {}", path.display()))
}
