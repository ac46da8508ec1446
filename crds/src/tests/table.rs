use super::definition;
use insta::assert_yaml_snapshot;
use serde_json::json;

/// What `kubectl get` knows of a kind.
fn table(kind: &str) -> serde_json::Value {
    let spec = definition(kind).spec;
    let version = &spec.versions[0];
    let column =
        |c: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition| {
            format!("{} {} {} {}", c.name, c.type_, c.priority.unwrap_or(0), c.json_path)
        };
    json!({
        "names": [spec.names.kind, spec.names.plural, spec.names.singular],
        "shortNames": spec.names.short_names,
        "categories": spec.names.categories,
        "scope": spec.scope,
        "columns": version.additional_printer_columns.iter().flatten().map(column).collect::<Vec<_>>(),
        "subresources": version.subresources,
        "selectable": version.selectable_fields.iter().flatten().map(|f| &f.json_path).collect::<Vec<_>>(),
    })
}

#[test]
fn kubectl_shows_these_tables() {
    let tables = ["MediaServer", "StreamKey", "HookEndpoint", "Stream"].map(table);
    assert_yaml_snapshot!(tables);
}

#[test]
fn every_column_shows_a_field_that_is_there() {
    for definition in crate::generate::definitions() {
        let kind = definition.spec.names.kind;
        for column in definition.spec.versions[0].additional_printer_columns.iter().flatten() {
            let top = column
                .json_path
                .split(['[', '?'])
                .next()
                .unwrap()
                .trim_start_matches('.');
            let found = top.split('.').try_fold(super::schema(&kind), |schema, name| {
                (name == "creationTimestamp" || name == "metadata")
                    .then(|| json!({}))
                    .or_else(|| schema["properties"].get(name).cloned())
            });
            assert!(
                found.is_some(),
                "{kind}: the column {} shows {}",
                column.name,
                column.json_path
            );
        }
    }
}
