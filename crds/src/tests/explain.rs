use super::walk_all;

/// What `kubectl explain` prints of a field: at least a sentence, and none that is only the field's name again.
#[test]
fn every_field_says_what_it_is_in_a_sentence() {
    let mut found = Vec::new();
    walk_all(|path, schema| {
        let is_field = path.contains('.') && !path.ends_with("[]") && !path.ends_with("{}");
        let text = schema["description"].as_str().unwrap_or_default();
        let ends_well = text.trim_end().ends_with(['.', ')', '`']);
        if is_field && (text.split_whitespace().count() < 2 || !ends_well) {
            found.push(format!("{path}: {text:?}"));
        }
    });
    assert!(found.is_empty(), "{found:#?}");
}
