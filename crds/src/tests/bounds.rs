use super::walk_all;
use serde_json::Value;

/// Formats that the API server enforces; it ignores all others.
const KNOWN_FORMATS: [&str; 3] = ["int32", "int64", "date-time"];

/// Counts that the API server itself makes.
const UNBOUNDED: [&str; 1] = ["observedGeneration"];

fn missing_bounds(schema: &Value) -> Vec<&'static str> {
    let fixed = schema.get("enum").is_some() || schema["format"] == "date-time";
    let wanted: &[&str] = match schema["type"].as_str() {
        Some("string") if fixed => &[],
        Some("string") => &["maxLength"],
        Some("integer" | "number") => &["minimum", "maximum"],
        Some("array") => &["maxItems"],
        Some("object") if schema["additionalProperties"].is_object() => &["maxProperties"],
        Some(_) => &[],
        None => &["maxLength", "x-kubernetes-int-or-string"],
    };
    wanted.iter().copied().filter(|key| schema.get(key).is_none()).collect()
}

#[test]
fn every_string_list_map_and_number_is_bounded() {
    let mut found = Vec::new();
    walk_all(|path, schema| {
        if !UNBOUNDED.iter().any(|name| path.ends_with(name)) {
            found.extend(
                missing_bounds(schema)
                    .into_iter()
                    .map(|key| format!("{path} has no {key}")),
            );
        }
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_list_says_how_it_merges_or_is_replaced_as_a_whole() {
    walk_all(|path, schema| {
        if schema["x-kubernetes-list-type"] == "map" {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
            let required = schema["items"]["required"].as_array().unwrap();
            assert!(
                keys.iter().all(|key| required.contains(key)),
                "{path}: a key of a list is not required"
            );
        }
    });
}

#[test]
fn every_format_is_one_that_the_api_server_enforces() {
    walk_all(|path, schema| {
        if let Some(format) = schema["format"].as_str() {
            assert!(KNOWN_FORMATS.contains(&format), "{path} has the format {format}");
        }
    });
}

#[test]
fn every_field_is_described() {
    walk_all(|path, schema| {
        if path.rsplit(']').next().is_some_and(|tail| tail.contains('.'))
            && !path.ends_with("{}")
            && !path.ends_with("metadata")
        {
            assert!(schema["description"].is_string(), "{path} has no description");
        }
    });
}
