//! The files that are made from others and committed: what `cargo e2e generate` writes and `cargo e2e generate --check` compares.
//!
//! [`files`] needs nothing but the checkout; [`chart::snapshots`] and [`chart::lint`] need helm.

pub mod chart;
pub mod values;

pub use headgate_api::generate::GeneratedFile;

use std::path::Path;
use std::{fs, io};

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A definition or the values are no YAML.
    #[error("not the YAML that was expected: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// A value stands without its `# -- ` comment.
    #[error("values.yaml: `{0}` has no comment that begins with `# -- `")]
    Undocumented(String),
    /// The page has no place for the table.
    #[error("README.md has no line {0:?}")]
    NoPlace(&'static str),
    /// helm said no.
    #[error("`helm {arguments}` failed: {output}")]
    Helm {
        /// What it was asked.
        arguments: String,
        /// What it said.
        output: String,
    },
}

const CHART: &str = "charts/headgate";
const RULES: &str = "config/prometheus/rules.yaml";

/// Everything that is made from the checkout at `root` alone: the definitions, the chart's README and its copy of the alerts.
pub fn files(root: &Path) -> Result<Vec<GeneratedFile>, Error> {
    let mut files = headgate_api::generate::files()?;
    let readme = format!("{CHART}/README.md");
    let table = values::table(&read(root, &format!("{CHART}/values.yaml"))?)?;
    files.push(GeneratedFile {
        text: values::with_table(&read(root, &readme)?, &table)?,
        path: readme,
    });
    files.push(GeneratedFile {
        path: format!("{CHART}/files/prometheus/rules.yaml"),
        text: read(root, RULES)?,
    });
    Ok(files)
}

/// The paths of those files that differ from what is there.
pub fn differences(root: &Path, files: &[GeneratedFile]) -> Vec<String> {
    let differs = |file: &&GeneratedFile| fs::read_to_string(root.join(&file.path)).ok().as_ref() != Some(&file.text);
    files.iter().filter(differs).map(|file| file.path.clone()).collect()
}

/// Writes them; a file that is as it should be is not touched.
pub fn write(root: &Path, files: &[GeneratedFile]) -> Result<(), Error> {
    let different = differences(root, files);
    for file in files.iter().filter(|file| different.contains(&file.path)) {
        let path = root.join(&file.path);
        let failed = |source| Error::File {
            path: file.path.clone(),
            source,
        };
        fs::create_dir_all(path.parent().unwrap_or(root)).map_err(failed)?;
        fs::write(path, &file.text).map_err(failed)?;
    }
    Ok(())
}

fn read(root: &Path, path: &str) -> Result<String, Error> {
    fs::read_to_string(root.join(path)).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn what_is_committed_is_what_is_made() {
        let made = files(&root()).unwrap();
        assert_eq!(
            differences(&root(), &made),
            Vec::<String>::new(),
            "run `cargo e2e generate`"
        );
    }

    #[test]
    fn a_file_that_differs_or_is_absent_is_named_until_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| GeneratedFile {
            path: path.into(),
            text: text.into(),
        };
        let made = [file("same", "a"), file("changed", "b"), file("folder/absent", "c")];
        fs::write(root.path().join("same"), "a").unwrap();
        fs::write(root.path().join("changed"), "a").unwrap();
        assert_eq!(differences(root.path(), &made), ["changed", "folder/absent"]);
        write(root.path(), &made).unwrap();
        assert!(differences(root.path(), &made).is_empty());
    }
}
