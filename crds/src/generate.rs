//! The CustomResourceDefinitions as YAML, ready to be written to `crds/yaml/` and into the charts.

use crate::{HookEndpoint, MediaServer, Stream, StreamKey};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Every kind's definition.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![MediaServer::crd(), StreamKey::crd(), HookEndpoint::crd(), Stream::crd()]
}

/// One generated file.
#[derive(Debug)]
pub struct GeneratedFile {
    /// Name without a folder, as `mediaservers.yaml`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// The files of `crds/yaml/`, one a kind.
pub fn files() -> Result<Vec<GeneratedFile>, serde_yaml::Error> {
    let one = |crd: CustomResourceDefinition| {
        let yaml = serde_yaml::to_string(&crd)?;
        Ok(GeneratedFile {
            name: format!("{}.yaml", crd.spec.names.plural),
            text: format!("# Generated from crds/src by `cargo e2e generate`; do not edit.\n{yaml}"),
        })
    };
    definitions().into_iter().map(one).collect()
}
