//! Reading a folder, and noticing that it changed. Plain files, symbolic links to them (as a mounted ConfigMap has) and no subfolders.

use super::folder::Files;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of one manifest file; a longer one is not read.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// What tells one version of a folder from another without reading it.
pub type Fingerprint = BTreeMap<PathBuf, (SystemTime, u64)>;

/// The fingerprint of all files of these folders; a folder that is not there is an empty one.
pub fn fingerprint(folders: &[&Path]) -> Fingerprint {
    let files = folders.iter().flat_map(|folder| list(folder).unwrap_or_default());
    let stamp = |path: &PathBuf| {
        fs::metadata(path)
            .ok()
            .map(|m| (m.modified().unwrap_or(SystemTime::UNIX_EPOCH), m.len()))
    };
    files.filter_map(|path| stamp(&path).map(|s| (path, s))).collect()
}

/// All `*.yaml` and `*.yml` files.
pub fn read(folder: &Path) -> io::Result<Files> {
    let manifests = list(folder)?.into_iter().filter(|path| is_manifest(path));
    Ok(manifests.map(|path| (file_name(&path), content(&path))).collect())
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<_>> = fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect();
    Ok(entries?.into_iter().filter(|path| path.is_file()).collect())
}

/// Hidden files are those that editors write beside the real one.
fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str());
    matches!(extension, Some("yaml" | "yml")) && !file_name(path).starts_with('.')
}

fn content(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path).map_err(|e| e.to_string())?.len();
    if length > FILE_MAX {
        return Err(format!(
            "has {length} bytes; a file of manifests has at most {FILE_MAX}"
        ));
    }
    fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manifests_are_read_and_every_change_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("a.yaml", "a");
        write("b.yml", "b");
        write("c.txt", "c");
        write(".d.yaml", "d");
        let names: Vec<String> = read(dir.path()).unwrap().into_keys().collect();
        assert_eq!(names, ["a.yaml", "b.yml"]);
        let before = fingerprint(&[dir.path()]);
        write("a.yaml", "aa");
        let after = fingerprint(&[dir.path()]);
        assert_ne!(before, after);
        fs::remove_file(dir.path().join("b.yml")).unwrap();
        assert_ne!(after, fingerprint(&[dir.path()]));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_to_read_and_empty_to_watch() {
        let gone = Path::new("/no/such/folder");
        assert!(read(gone).is_err());
        assert!(fingerprint(&[gone]).is_empty());
    }
}
