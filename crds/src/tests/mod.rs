//! What must hold of the definitions as a whole, without a cluster.

mod admission;
mod bounds;
mod drift;
mod explain;
mod structural;
mod table;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// The definition of a kind.
fn definition(kind: &str) -> CustomResourceDefinition {
    let found = crate::generate::definitions()
        .into_iter()
        .find(|d| d.spec.names.kind == kind);
    found.unwrap_or_else(|| panic!("no kind {kind}"))
}

/// The schema of a kind as JSON.
fn schema(kind: &str) -> Value {
    serde_json::to_value(
        &definition(kind).spec.versions[0]
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema,
    )
    .unwrap()
}

/// Every schema inside a schema with its path, the whole first.
fn walk<'a>(path: &str, schema: &'a Value, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            walk(&format!("{path}{mark}"), &schema[key], visit);
        }
    }
}

/// Visits every schema of every kind.
fn walk_all(mut visit: impl FnMut(&str, &Value)) {
    for kind in crate::generate::definitions().iter().map(|d| &d.spec.names.kind) {
        walk(kind, &schema(kind), &mut visit);
    }
}
