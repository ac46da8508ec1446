//! What helm makes of the charts: `charts/headgate/tests/snapshots/`, one file for each of `tests/values/`.

use super::{CHART, Error, GeneratedFile};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

const CRD_CHART: &str = "charts/headgate-crds";

/// helm cannot ask a cluster here, so it is told which Kubernetes to render for.
const KUBERNETES: &str = "1.34.0";

/// What `helm template` gives for each file of values. Of the definitions only the names are kept: they are compared elsewhere.
pub fn snapshots(root: &Path, helm: &Path) -> Result<Vec<GeneratedFile>, Error> {
    let one = |name: String| {
        let values = format!("{CHART}/tests/values/{name}");
        let rendered = run(
            root,
            helm,
            &[
                "template",
                "headgate",
                CHART,
                "--namespace",
                "headgate-system",
                "--values",
                &values,
            ],
        )?;
        Ok(GeneratedFile {
            path: format!("{CHART}/tests/snapshots/{name}"),
            text: without_definitions(&rendered),
        })
    };
    values_files(root)?.into_iter().map(one).collect()
}

/// Runs `helm lint --strict` over both charts, with each file of values.
pub fn lint(root: &Path, helm: &Path) -> Result<(), Error> {
    run(root, helm, &["lint", "--strict", CRD_CHART])?;
    for name in values_files(root)? {
        let values = format!("{CHART}/tests/values/{name}");
        run(root, helm, &["lint", "--strict", CHART, "--values", &values])?;
    }
    Ok(())
}

fn values_files(root: &Path) -> Result<Vec<String>, Error> {
    let folder = format!("{CHART}/tests/values");
    let entries = std::fs::read_dir(root.join(&folder)).map_err(|source| Error::File { path: folder, source })?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

fn run(root: &Path, helm: &Path, arguments: &[&str]) -> Result<String, Error> {
    let arguments = [arguments, &["--kube-version", KUBERNETES]].concat();
    let failed = |output: String| Error::Helm {
        arguments: arguments.join(" "),
        output,
    };
    let output = Command::new(helm)
        .args(arguments.iter().map(OsStr::new))
        .current_dir(root)
        .output();
    let output = output.map_err(|cause| failed(format!("{}: {cause}", helm.display())))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    ))
}

fn without_definitions(rendered: &str) -> String {
    let shorten = |document: &str| {
        if document.contains("\nkind: CustomResourceDefinition\n") {
            let source = document.lines().find(|line| line.starts_with("# Source: "));
            format!("{}\n", source.unwrap_or_default())
        } else {
            document.to_owned()
        }
    };
    rendered.split("---\n").map(shorten).collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::read;

    #[test]
    fn a_definition_is_kept_by_name_only() {
        let rendered = "---\n# Source: a\nkind: Service\n---\n# Source: b\napiVersion: v1\nkind: CustomResourceDefinition\nspec: {}\n---\n# Source: c\nkind: Role\n";
        let expected = "---\n# Source: a\nkind: Service\n---\n# Source: b\n---\n# Source: c\nkind: Role\n";
        assert_eq!(without_definitions(rendered), expected);
    }

    #[test]
    fn what_helm_says_is_in_the_error() {
        let error = run(Path::new("."), Path::new("/bin/false"), &["lint"]).unwrap_err();
        assert_eq!(error.to_string(), "`helm lint --kube-version 1.34.0` failed: ");
        assert!(
            run(Path::new("."), Path::new("/no/helm"), &["lint"])
                .unwrap_err()
                .to_string()
                .contains("/no/helm")
        );
    }

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn no_right_is_granted_by_wildcard() {
        for file in ["watched.yaml", "own.yaml", "cluster.yaml"] {
            let text = read(&root(), &format!("{CHART}/files/rbac/{file}")).unwrap();
            let rules: Vec<serde_json::Value> = serde_yaml::from_str(&text).unwrap();
            assert!(!rules.is_empty());
            assert!(!serde_json::to_string(&rules).unwrap().contains('*'), "{file}");
        }
    }

    #[test]
    fn the_charts_have_the_version_of_the_code() {
        for chart in [CHART, CRD_CHART] {
            let text = read(&root(), &format!("{chart}/Chart.yaml")).unwrap();
            let chart: serde_json::Value = serde_yaml::from_str(&text).unwrap();
            assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
            assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
        }
    }
}
