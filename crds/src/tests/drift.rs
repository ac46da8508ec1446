use crate::generate;
use std::{collections::BTreeSet, fs, path::Path};

const FOLDERS: [&str; 3] = [
    "crds/yaml",
    "charts/headgate/templates/crds",
    "charts/headgate-crds/templates",
];

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_committed_files_are_what_the_types_say() {
    for file in generate::files().unwrap() {
        let there = fs::read_to_string(root().join(&file.path)).unwrap_or_default();
        assert_eq!(there, file.text, "{} differs: run `cargo e2e generate`", file.path);
    }
}

#[test]
fn nothing_else_stands_among_them() {
    let known: BTreeSet<_> = generate::files().unwrap().into_iter().map(|file| file.path).collect();
    for folder in FOLDERS {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().display());
            assert!(known.contains(&path), "{path} is made from no type");
        }
    }
}

#[test]
fn the_charts_keep_the_definitions_and_the_plain_files_do_not_say_so() {
    for file in generate::files().unwrap() {
        let kept = file.text.contains("helm.sh/resource-policy: keep");
        assert_eq!(kept, file.path.starts_with("charts/"), "{}", file.path);
    }
}
