//! Answers with a code: what the callbacks have in common when they read them.

use serde_json::{Map, Value};

use super::{Answer, Verdict};
use crate::failure::{Cause, Failure};

/// The body of an answer with one of `statuses`.
pub(super) fn body<'a>(answer: &'a Answer, statuses: &[u16]) -> Result<&'a [u8], Verdict> {
    if !statuses.contains(&answer.status) {
        let message = format!("answered with status {}", answer.status);
        return Err(Verdict::NoAnswer(Failure::new(Cause::BadStatus, message)));
    }
    whole(answer)
}

/// The body of an answer, whatever its status.
pub(super) fn whole(answer: &Answer) -> Result<&[u8], Verdict> {
    let too_long = || Failure::new(Cause::BadAnswer, "answered with more than 65536 bytes");
    answer.body.as_deref().ok_or_else(|| Verdict::NoAnswer(too_long()))
}

/// Yes for 0, no for another number, no answer for none: the body is `odd`.
pub(super) fn verdict(code: Option<i64>, message: Option<String>, answer: &Answer, odd: &str) -> Verdict {
    match code {
        Some(0) => Verdict::Allow,
        Some(code) => Verdict::Deny { code, message },
        None => Verdict::NoAnswer(not(answer, odd)),
    }
}

/// A body that is `odd`, as in "neither this nor that".
pub(super) fn not(answer: &Answer, odd: &str) -> Failure {
    let length = answer.body.as_ref().map_or(0, bytes::Bytes::len);
    let message = format!("answered {} with {length} bytes that are {odd}", answer.status);
    Failure::new(Cause::BadAnswer, message)
}

/// What a back end says to its no.
pub(super) fn said(answer: &Map<String, Value>) -> Option<String> {
    ["msg", "message"]
        .iter()
        .find_map(|key| answer.get(*key))
        .and_then(Value::as_str)
        .filter(|said| !said.is_empty())
        .map(str::to_owned)
}

/// The object that a body is.
pub(super) fn object(answer: &Answer) -> Option<Map<String, Value>> {
    serde_json::from_slice(unmarked(answer.body.as_deref()?)).ok()
}

/// The object that a body begins with, whatever stands behind it.
pub(super) fn first_object(answer: &Answer) -> Option<Map<String, Value>> {
    let body = unmarked(answer.body.as_deref()?);
    serde_json::Deserializer::from_slice(body).into_iter().next()?.ok()
}

/// Without the mark that some editors and frameworks set before a text in UTF-8.
pub(super) fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// A whole number, however it is written: 0, or 0.0.
pub(super) fn whole_number(value: &Value) -> Option<i64> {
    let float = || {
        value
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() < 9e15)
    };
    #[allow(clippy::cast_possible_truncation, reason = "whole, and within the bounds of an i64")]
    value.as_i64().or_else(|| float().map(|float| float as i64))
}
