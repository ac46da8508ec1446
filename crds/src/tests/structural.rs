//! The part of the API server's validation that a structural schema asks for, CEL apart: enough to run the cases without it.

use regex::Regex;
use serde_json::Value;

/// What is wrong with a value, each with the path of the field. Nothing is wrong with an absent or null field that is not required.
pub fn complaints(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = of_this(schema, value)
        .into_iter()
        .map(|what| format!("{path}: {what}"))
        .collect::<Vec<_>>();
    match value {
        Value::Object(fields) if schema.get("type").is_some() => {
            for name in schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                if !fields.contains_key(name) {
                    found.push(format!("{}: required", join(path, name)));
                }
            }
            for (name, field) in fields {
                found.extend(of_field(schema, name, field, path));
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}[{i}]");
                found.extend(complaints(&schema["items"], item, &path));
                if items[..i].iter().any(|other| same_entry(schema, other, item)) {
                    found.push(format!("{path}: duplicate"));
                }
            }
        }
        _ => {}
    }
    found
}

fn of_field(schema: &Value, name: &str, field: &Value, path: &str) -> Vec<String> {
    let path = join(path, name);
    let known = schema["properties"]
        .get(name)
        .or_else(|| schema.get("additionalProperties"));
    known.map_or_else(
        || vec![format!("{path}: unknown field")],
        |schema| complaints(schema, field, &path),
    )
}

fn of_this(schema: &Value, value: &Value) -> Option<String> {
    let size = match value {
        Value::String(text) => ("Length", text.chars().count()),
        Value::Array(items) => ("Items", items.len()),
        Value::Object(fields) => ("Properties", fields.len()),
        _ => ("", 0),
    };
    let bound = |key: String| schema.get(key).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "sizes of test objects")]
    let number = value
        .as_f64()
        .map_or((String::new(), size.1 as f64), |n| ("imum".into(), n));
    let word = if number.0.is_empty() { size.0 } else { "imum" };
    let below = bound(format!("min{word}")).is_some_and(|min| number.1 < min);
    let above = bound(format!("max{word}")).is_some_and(|max| number.1 > max);
    (!has_type(schema, value))
        .then(|| format!("not of the type {}", schema["type"]))
        .or_else(|| (below || above).then(|| "out of bounds".into()))
        .or_else(|| refused_text(schema, value))
}

fn has_type(schema: &Value, value: &Value) -> bool {
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => value.is_i64() || value.is_string(),
    }
}

fn refused_text(schema: &Value, value: &Value) -> Option<String> {
    if let Some(allowed) = schema["enum"].as_array() {
        return (!allowed.contains(value)).then(|| format!("not one of {allowed:?}"));
    }
    let text = value.as_str()?;
    let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(pattern).unwrap());
    let is_time = schema["format"] != "date-time" || text.parse::<jiff::Timestamp>().is_ok();
    (pattern.is_some_and(|pattern| !pattern.is_match(text)) || !is_time).then(|| "does not match".into())
}

fn same_entry(schema: &Value, one: &Value, other: &Value) -> bool {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => one == other,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
            keys.iter().filter_map(Value::as_str).all(|key| one[key] == other[key])
        }
        _ => false,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
