//! The state folder: what must outlive the process. Looked at when the process starts, so that what is wrong with it is said then and not with the first
//! event that is lost.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why a folder holds no state.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep state in {0:?}: {1}; --state names another folder")]
pub struct BadState(PathBuf, io::Error);

/// Makes the folder, for its owner alone, and tries whether it can be written.
pub fn prepare(folder: &Path) -> Result<(), BadState> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let probe = folder.join(format!(".writable-{}", std::process::id()));
    let tried = made
        .and_then(|()| fs::write(&probe, b""))
        .and_then(|()| fs::remove_file(&probe));
    tried.map_err(|error| BadState(folder.into(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_and_left_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        prepare(&folder).unwrap();
        prepare(&folder).unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_a_folder_says_so() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = prepare(&file).unwrap_err().to_string();
        assert!(error.contains("file") && error.contains("--state"), "{error}");
    }
}
