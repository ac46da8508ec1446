//! The table of the chart's values, made from the comments of `values.yaml`: each value, or a map as a whole, has a comment that
//! begins with `# -- `. A value without one is an error, so that the table is complete.

use super::Error;
use serde_yaml::Value;

const BEGIN: &str = "<!-- values: made from values.yaml by `cargo e2e generate`; do not edit -->";
const END: &str = "<!-- end of values -->";

/// One documented value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As for `--set`: `image.tag`.
    pub path: String,
    /// The default as JSON on one line.
    pub default: String,
    /// What it does.
    pub description: String,
}

/// Every documented value of `values.yaml`, in its order.
pub fn rows(values: &str) -> Result<Vec<Row>, Error> {
    let defaults: Value = serde_yaml::from_str(values)?;
    let mut reader = Reader::default();
    for line in values.lines() {
        reader.line(line)?;
    }
    let row = |(path, description): (Vec<String>, String)| Row {
        default: default_of(&defaults, &path),
        path: path.join("."),
        description,
    };
    Ok(reader.documented.into_iter().map(row).collect())
}

/// The table as Markdown.
pub fn table(values: &str) -> Result<String, Error> {
    let line = |row: Row| {
        let description = row.description.replace('|', "\\|");
        format!("| `{}` | `{}` | {description} |\n", row.path, row.default)
    };
    let lines = rows(values)?.into_iter().map(line).collect::<String>();
    Ok(format!("| value | default | what it does |\n|---|---|---|\n{lines}"))
}

/// The page with the table in its place.
pub fn with_table(page: &str, table: &str) -> Result<String, Error> {
    let (before, rest) = page.split_once(BEGIN).ok_or(Error::NoPlace(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or(Error::NoPlace(END))?;
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

/// Where the reading of the file stands.
#[derive(Default)]
struct Reader {
    /// Keys above, each with its indentation.
    above: Vec<(usize, String)>,
    /// Comment that waits for its key.
    comment: Option<String>,
    /// Indentation of the documented key whose children are being passed over.
    inside: Option<usize>,
    documented: Vec<(Vec<String>, String)>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Error> {
        let text = line.trim_start();
        let indent = line.len().saturating_sub(text.len());
        if let Some(comment) = text.strip_prefix('#') {
            self.comment_line(comment.trim());
        } else if text.is_empty() {
            self.comment = None;
        } else if self.inside.is_none_or(|outer| indent <= outer)
            && let Some((key, value)) = text.split_once(':')
        {
            self.key(indent, key, value)?;
        }
        Ok(())
    }

    fn comment_line(&mut self, comment: &str) {
        match (comment.strip_prefix("-- "), &mut self.comment) {
            (Some(first), waiting) => *waiting = Some(first.to_owned()),
            (None, Some(begun)) => *begun = format!("{begun} {comment}"),
            (None, None) => {}
        }
    }

    fn key(&mut self, indent: usize, key: &str, value: &str) -> Result<(), Error> {
        self.above.retain(|(outer, _)| *outer < indent);
        let parents = self.above.iter().map(|(_, key)| key.clone());
        let path: Vec<String> = parents.chain([key.to_owned()]).collect();
        self.inside = None;
        match self.comment.take() {
            Some(description) => {
                self.inside = Some(indent);
                self.documented.push((path, description));
            }
            None if value.trim().is_empty() => self.above.push((indent, key.to_owned())),
            None => return Err(Error::Undocumented(path.join("."))),
        }
        Ok(())
    }
}

fn default_of(defaults: &Value, path: &[String]) -> String {
    let found = path.iter().try_fold(defaults, |value, key| value.get(key));
    found
        .and_then(|value| serde_json::to_string(value).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const VALUES: &str = "# A file.\n\na:\n  # -- First,\n  # in two lines.\n  b: \"\"\n  # -- A map | of things.\n  c:\n    d: 1\n    e: [2]\n# -- Last.\nf: {}\n";

    #[test]
    fn a_table_has_a_row_for_each_comment() {
        insta::assert_snapshot!(table(VALUES).unwrap(), @r#"
        | value | default | what it does |
        |---|---|---|
        | `a.b` | `""` | First, in two lines. |
        | `a.c` | `{"d":1,"e":[2]}` | A map \| of things. |
        | `f` | `{}` | Last. |
        "#);
    }

    #[test]
    fn a_value_without_a_comment_is_an_error() {
        let error = table("a:\n  # -- One.\n  b: 1\n  c: 2\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "values.yaml: `a.c` has no comment that begins with `# -- `"
        );
    }

    #[test]
    fn the_table_replaces_the_one_before_and_nothing_else() {
        let page = format!("# Page\n{BEGIN}\nold\n{END}\nrest\n");
        let once = with_table(&page, "new\n").unwrap();
        assert_eq!(once, format!("# Page\n{BEGIN}\n\nnew\n\n{END}\nrest\n"));
        assert_eq!(with_table(&once, "new\n").unwrap(), once);
        assert!(matches!(with_table("# Page\n", "new\n"), Err(Error::NoPlace(_))));
    }

    /// Paths of the schema's leaves; a map of free keys is a leaf.
    fn leaves(schema: &serde_json::Value, node: &serde_json::Value, path: &str) -> BTreeSet<String> {
        let node = node["$ref"]
            .as_str()
            .map_or(node, |at| schema.pointer(at.trim_start_matches('#')).unwrap());
        let Some(properties) = node["properties"].as_object() else {
            return BTreeSet::from([path.trim_start_matches('.').to_owned()]);
        };
        properties
            .iter()
            .flat_map(|(name, node)| leaves(schema, node, &format!("{path}.{name}")))
            .collect()
    }

    #[test]
    fn the_schema_and_the_values_know_the_same() {
        let schema = serde_json::from_str(include_str!("../../../charts/headgate/values.schema.json")).unwrap();
        let rows = rows(include_str!("../../../charts/headgate/values.yaml")).unwrap();
        let known = rows.into_iter().map(|row| row.path).collect::<BTreeSet<_>>();
        let mut leaves = leaves(&schema, &schema, "");
        leaves.remove("global");
        let under = |leaf: &str, path: &str| leaf == path || leaf.starts_with(&format!("{path}."));
        for leaf in &leaves {
            assert!(
                known.iter().any(|path| under(leaf, path)),
                "the schema knows {leaf}, values.yaml does not"
            );
        }
        for path in &known {
            assert!(
                leaves.iter().any(|leaf| under(leaf, path)),
                "values.yaml knows {path}, the schema does not"
            );
        }
    }
}
