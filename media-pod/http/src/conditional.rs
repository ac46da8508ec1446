//! What a request says of what its sender has already, and of how much it wants (RFC 9110 §13 and §14). Pure.

use http::{HeaderMap, HeaderName, header};
use std::ops::Range;

/// Whether the sender has what the tag names: `If-None-Match`, compared weakly as for GET.
pub(crate) fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    values(headers, &header::IF_NONE_MATCH).any(|named| named.trim() == "*" || opaque(named) == opaque(tag))
}

/// Whether gzip may be sent.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in values(headers, &header::ACCEPT_ENCODING) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => return !refused,
            "*" => any = !refused,
            _ => {}
        }
    }
    any
}

/// Which part of something is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Part(Range<usize>),
    /// Nothing of it.
    Beyond,
}

/// The part that `Range` names, unless `If-Range` is about another version. Several parts at once, and what is no range, mean the whole.
pub(crate) fn wanted(headers: &HeaderMap, tag: &str, length: usize) -> Wanted {
    let newest = |since: &http::HeaderValue| since.to_str().is_ok_and(|since| since.trim() == tag);
    if headers.get(header::IF_RANGE).is_some_and(|since| !newest(since)) {
        return Wanted::Whole;
    }
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let bounds = range.and_then(|range| range.trim().strip_prefix("bytes=")?.split_once('-'));
    match bounds.map(|(from, to)| (from.trim(), to.trim())) {
        None => Wanted::Whole,
        Some(("", last)) => last.parse::<usize>().map_or(Wanted::Whole, |last| match last {
            0 => Wanted::Beyond,
            last => Wanted::Part(length.saturating_sub(last)..length),
        }),
        Some((from, to)) => between(from, to, length),
    }
}

fn between(from: &str, to: &str, length: usize) -> Wanted {
    let to = if to.is_empty() {
        Ok(usize::MAX)
    } else {
        to.parse::<usize>()
    };
    match (from.parse::<usize>(), to) {
        (Ok(from), Ok(to)) if from <= to => {
            if from >= length {
                return Wanted::Beyond;
            }
            Wanted::Part(from..to.saturating_add(1).min(length))
        }
        _ => Wanted::Whole,
    }
}

/// The elements of a header that is a list. A tag that holds a comma is not one of ours.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        let cases = [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=9-3", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("seconds=0-1", Wanted::Whole),
            ("bytes=99999999999999999999-", Wanted::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(wanted(&with(header::RANGE, range), "\"t\"", 100), expected, "{range}");
        }
        let mut since = with(header::RANGE, "bytes=0-9");
        since.insert(header::IF_RANGE, "\"t\"".parse().unwrap());
        assert_eq!(wanted(&since, "\"t\"", 100), Wanted::Part(0..10));
        assert_eq!(wanted(&since, "\"u\"", 100), Wanted::Whole, "of another version");
    }

    #[test]
    fn tags_are_compared_weakly() {
        for (sent, expected) in [("\"a\", \"t\"", true), ("W/\"t\"", true), ("*", true), ("\"u\"", false)] {
            assert_eq!(
                has_already(&with(header::IF_NONE_MATCH, sent), "\"t\""),
                expected,
                "{sent}"
            );
        }
        assert!(!has_already(&HeaderMap::new(), "\"t\""));
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let cases = [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("*", true),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("", false),
        ];
        for (sent, expected) in cases {
            assert_eq!(takes_gzip(&with(header::ACCEPT_ENCODING, sent)), expected, "{sent}");
        }
    }
}
