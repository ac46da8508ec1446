use super::{schema, structural, walk_all};
use kube_cel::{ValidationErrors, Validator, apply_defaults};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// One entry of `cases/admission.yaml`, which says what the fields mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    at: String,
    message: Option<String>,
    old: Option<Value>,
    accepted: Value,
    refused: Value,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn cases() -> Vec<Case> {
    serde_yaml::from_str(&read("cases/admission.yaml")).unwrap()
}

/// What an API server would say to an object: by the schema, then by the CEL rules.
fn complaints(object: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = schema(object["kind"].as_str().unwrap());
    let object = apply_defaults(&schema, object);
    let mut plain = object.clone();
    for system in ["apiVersion", "kind", "metadata"] {
        plain.as_object_mut().unwrap().remove(system);
    }
    let by_rules = Validator::new().validate(&schema, &object, old).err();
    let by_rules = by_rules.into_iter().flat_map(ValidationErrors::into_vec);
    let mut found = structural::complaints(&schema, &plain, "");
    found.extend(by_rules.map(|e| format!("{}: {}", e.field_path, e.message)));
    found
}

#[test]
fn what_is_good_is_accepted() {
    for case in cases() {
        let found = complaints(&case.accepted, case.old.as_ref());
        assert!(found.is_empty(), "{}: {found:?}", case.name);
    }
}

#[test]
fn what_is_wrong_is_refused_for_that_reason_alone() {
    for case in cases() {
        let expected = format!("{}: {}", case.at, case.message.as_deref().unwrap_or_default());
        let found = complaints(&case.refused, case.old.as_ref());
        assert_eq!(found.len(), 1, "{}: {found:?}", case.name);
        assert!(found[0].starts_with(&expected), "{}: {found:?}", case.name);
    }
}

#[test]
fn every_rule_has_a_case() {
    let cases = cases();
    walk_all(|path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap();
            let found = cases
                .iter()
                .filter_map(|case| case.message.as_deref())
                .any(|m| message.starts_with(m));
            assert!(found, "{path}: no case for the rule {message:?}");
        }
    });
}

#[test]
fn the_samples_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/samples");
    let mut seen = 0;
    let files = |folder: &Path| {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let below = |path: std::path::PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    for path in files(&folder).into_iter().flat_map(below) {
        for document in serde_yaml::Deserializer::from_str(&fs::read_to_string(&path).unwrap()) {
            let object = Value::deserialize(document).unwrap();
            if object["apiVersion"] == "headgate.dev/v1alpha1" {
                assert_eq!(complaints(&object, None), Vec::<String>::new(), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 6, "only {seen} objects were read");
}

#[test]
fn a_server_that_says_nothing_gets_what_most_would_choose() {
    let object = json!({ "kind": "MediaServer", "metadata": { "name": "live" }, "spec": {} });
    let defaulted = apply_defaults(&schema("MediaServer"), &object);
    insta::assert_yaml_snapshot!(defaulted["spec"]);
}
