//! The query that a client sent behind a stream's name: `?k=v&k=v`, or empty.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The pairs of a query with percent-decoded values, in their order. A `+` is a plus. A value that is no UTF-8 is left out: no key is.
pub(super) fn pairs(param: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    split(param).filter_map(|pair| Some((name(pair), value(pair)?)))
}

/// The query without the pairs that `drop` picks by name and decoded value; all else stays byte for byte.
pub(super) fn without(param: &str, drop: impl Fn(&str, &str) -> bool) -> String {
    let dropped = |pair: &str| value(pair).is_some_and(|v| drop(name(pair), &v));
    let kept: Vec<&str> = split(param).filter(|pair| !dropped(pair)).collect();
    if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    }
}

fn split(param: &str) -> impl Iterator<Item = &str> {
    let text = param.strip_prefix('?').unwrap_or(param);
    text.split(['&', '?']).filter(|pair| !pair.is_empty())
}

fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

fn value(pair: &str) -> Option<Cow<'_, str>> {
    let raw = pair.split_once('=').map_or("", |(_, value)| value);
    percent_decode_str(raw).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_names_are_not() {
        let found: Vec<_> = pairs("?a=1&se%63ret=x&b=%2Bk%26y&c&d=+&e=%FF").collect();
        let expected = [("a", "1"), ("se%63ret", "x"), ("b", "+k&y"), ("c", ""), ("d", "+")];
        assert_eq!(found, expected.map(|(n, v)| (n, Cow::Borrowed(v))));
    }

    #[test]
    fn what_stays_stays_byte_for_byte() {
        let cases = [
            ("?secret=k", ""),
            ("?secret=k&token=%41", "?token=%41"),
            ("?a=1&secret=k&b=2", "?a=1&b=2"),
            ("a=1", "?a=1"),
            ("?vhost=v?secret=k", "?vhost=v"),
            ("", ""),
        ];
        for (param, expected) in cases {
            assert_eq!(without(param, |name, _| name == "secret"), expected, "{param:?}");
        }
    }
}
