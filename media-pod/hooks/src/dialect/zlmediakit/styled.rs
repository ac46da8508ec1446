//! JSON as ZLMediaKit's library writes it: keys sorted, one a line, tabs, ` : `, and nothing beyond ASCII.

use serde_json::{Map, Number, Value};
use std::fmt::Write as _;

/// The text of a value, with a line end.
pub(super) fn styled(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text.push('\n');
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => self::number(text, number),
        Value::String(string) => quote(text, string),
        Value::Array(items) if items.is_empty() => text.push_str("[]"),
        Value::Array(items) => array(text, items, depth),
        Value::Object(members) if members.is_empty() => text.push_str("{}"),
        Value::Object(members) => object(text, members, depth),
    }
}

fn object(text: &mut String, members: &Map<String, Value>, depth: usize) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    let inner = depth.saturating_add(1);
    text.push('{');
    for (at, (key, value)) in sorted.into_iter().enumerate() {
        comma(text, at);
        line(text, inner);
        quote(text, key);
        text.push_str(" : ");
        if nests(value) {
            line(text, inner);
        }
        write(text, value, inner);
    }
    line(text, depth);
    text.push('}');
}

fn array(text: &mut String, items: &[Value], depth: usize) {
    let inner = depth.saturating_add(1);
    text.push('[');
    for (at, item) in items.iter().enumerate() {
        comma(text, at);
        line(text, inner);
        write(text, item, inner);
    }
    line(text, depth);
    text.push(']');
}

/// Begins on a line of its own.
fn nests(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn comma(text: &mut String, at: usize) {
    if at > 0 {
        text.push(',');
    }
}

fn line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n('\t', depth));
}

fn quote(text: &mut String, string: &str) {
    text.push('"');
    for letter in string.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            ' '..='\u{7f}' => text.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

/// Integers as they are; others with 17 digits, as C's `%.17g`, and never without a point.
fn number(text: &mut String, number: &Number) {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        let _ = write!(text, "{number}");
        return;
    };
    let scientific = format!("{float:.16e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let shown = if (-4..17).contains(&exponent) {
        let places = usize::try_from(16_i32.saturating_sub(exponent)).unwrap_or(0);
        trimmed(&format!("{float:.places$}")).to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
    };
    text.push_str(&shown);
    if !shown.contains(['.', 'e']) {
        text.push_str(".0");
    }
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_looks_as_in_zlmediakits_own_log() {
        let body = json!({"mediaServerId": "testabcd", "hook_index": 5629, "data": {"Socket": 225, "Buffer": 33}, "none": {}, "tracks": [{"fps": 25.0}, 1]});
        let text = concat!(
            "{\n\t\"data\" : \n\t{\n\t\t\"Buffer\" : 33,\n\t\t\"Socket\" : 225\n\t},\n\t\"hook_index\" : 5629,\n",
            "\t\"mediaServerId\" : \"testabcd\",\n\t\"none\" : {},\n\t\"tracks\" : \n\t[\n\t\t{\n\t\t\t\"fps\" : 25.0\n\t\t},\n\t\t1\n\t]\n}\n",
        );
        assert_eq!(styled(&body), text);
    }

    #[test]
    fn numbers_have_the_digits_of_c() {
        let shown = |float: f64| styled(&json!(float)).trim().to_owned();
        let table = [
            (25.0, "25.0"),
            (-1.0, "-1.0"),
            (0.1, "0.10000000000000001"),
            (3.970_999_956_130_981_4, "3.9709999561309814"),
            (29.97, "29.969999999999999"),
            (0.0, "0.0"),
            (1e20, "1e+20"),
            (0.000_01, "1.0000000000000001e-05"),
        ];
        for (float, text) in table {
            assert_eq!(shown(float), text);
        }
    }

    #[test]
    fn names_of_any_letters_are_ascii_and_still_the_same_name() {
        for name in ["алиса \"x\"\\", "直播😀", "a\u{1}\n\t\u{7f}/"] {
            let text = styled(&json!({ "stream": name }));
            assert!(text.is_ascii());
            let back: Value = serde_json::from_str(&text).unwrap_or_default();
            assert_eq!(back.get("stream").and_then(Value::as_str), Some(name));
        }
    }
}
