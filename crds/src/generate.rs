//! The CustomResourceDefinitions as YAML, ready to be written to `crds/yaml/` and into the charts. Nothing is written here:
//! whoever calls it does that, or compares.

use crate::{HookEndpoint, MediaServer, Stream, StreamKey};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

const HEADER: &str = "# Generated from crds/src by `cargo e2e generate`; do not edit.\n";

/// Every kind's definition.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let streams = without_status_subresource(Stream::crd());
    vec![MediaServer::crd(), StreamKey::crd(), HookEndpoint::crd(), streams]
}

/// The status is written with the rest of the object.
fn without_status_subresource(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.subresources = version.subresources.take().and_then(|mut s| {
            s.status = None;
            s.scale.is_some().then_some(s)
        });
    }
    crd
}

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Path from the root of the repository, as `crds/yaml/mediaservers.yaml`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// Everything that is made from the types: `crds/yaml/`, and the same definitions as templates of both charts.
pub fn files() -> Result<Vec<GeneratedFile>, serde_yaml::Error> {
    let per_kind = definitions().into_iter().map(|crd| for_one(&crd));
    Ok(per_kind.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn for_one(crd: &CustomResourceDefinition) -> Result<[GeneratedFile; 3], serde_yaml::Error> {
    let name = format!("{}.yaml", crd.spec.names.plural);
    let kept = serde_yaml::to_string(&keep_on_uninstall(crd.clone()))?;
    let kept = format!("{HEADER}{}", template(&kept));
    let file = |folder: &str, text: String| GeneratedFile {
        path: format!("{folder}/{name}"),
        text,
    };
    Ok([
        file("crds/yaml", format!("{HEADER}{}", serde_yaml::to_string(crd)?)),
        file(
            "charts/headgate/templates/crds",
            format!("{{{{- if .Values.crds.install }}}}\n{kept}{{{{- end }}}}\n"),
        ),
        file("charts/headgate-crds/templates", kept),
    ])
}

/// Helm leaves such an object where it is when the release goes, and with it every object of the kind.
fn keep_on_uninstall(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let annotations = crd.metadata.annotations.get_or_insert_default();
    annotations.insert("helm.sh/resource-policy".into(), "keep".into());
    crd
}

/// Text that Helm's template language gives back as it is.
fn template(yaml: &str) -> String {
    yaml.replace("{{", "{{ \"{{\" }}")
}
