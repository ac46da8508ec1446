//! The HTTP callback of Oryx (SRS Stack): four actions, keys in the order in which its Go program writes them.
//!
//! | | |
//! |---|---|
//! | success | status 200, and a body that is an integer 0 or a JSON object whose `code` is 0, null or missing |
//! | no | the same with another integer |
//! | anything else | no answer: `HookBadStatus` or `HookBadAnswer` |
//!
//! `request_id` is the event's id, so that a repeat is known as one. What is empty is left out, but for `opaque`.

use headgate_control::{Dialect, HookEvent};
use serde_json::{Map, Value};

use super::{Answer, Request, Speak, Verdict, Voice, code};
use crate::event::{Details, Event};

/// Oryx's callback.
#[derive(Clone, Copy, Debug)]
pub struct Oryx;

impl Speak for Oryx {
    fn dialect(&self) -> Dialect {
        Dialect::Oryx
    }

    fn user_agent(&self) -> &'static str {
        concat!("Go-http-client/1.1 Headgate/", env!("CARGO_PKG_VERSION"))
    }

    fn request(&self, event: &Event, voice: &Voice<'_>) -> Request {
        let mut body = Map::new();
        body.insert("request_id".into(), event.id.to_string().into());
        body.insert("action".into(), self.event_name(event.kind).into());
        body.insert("opaque".into(), voice.opaque.into());
        let stream = &event.stream;
        put(&mut body, "vhost", &stream.vhost);
        put(&mut body, "app", &stream.app);
        put(&mut body, "stream", &stream.name);
        if event.kind == HookEvent::Publish {
            put(&mut body, "param", &event.param);
        }
        if let Details::Recording(recording) = &event.details {
            put(&mut body, "uuid", &recording.uuid);
            if let Some(artifact) = &recording.artifact {
                body.insert("artifact_code".into(), artifact.code.into());
                put(&mut body, "artifact_path", &artifact.path);
                put(&mut body, "artifact_url", &artifact.url);
            }
        }
        Request::json(as_go_writes(&Value::Object(body)))
    }

    fn judge(&self, _: HookEvent, answer: &Answer) -> Verdict {
        let body = match code::body(answer, &[200]) {
            Ok(body) => body,
            Err(verdict) => return verdict,
        };
        let bare = std::str::from_utf8(body).ok().and_then(|text| text.parse::<i64>().ok());
        let (number, message) = match (bare, serde_json::from_slice::<Value>(body)) {
            (Some(number), _) => (Some(number), None),
            (None, Ok(Value::Object(answer))) => (code_of(&answer), code::said(&answer)),
            (None, Ok(Value::Null)) => (Some(0), None),
            _ => (None, None),
        };
        code::verdict(number, message, answer, "neither an integer nor a JSON object")
    }
}

fn put(body: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        body.insert(key.to_owned(), value.into());
    }
}

/// Go takes a key in any case, the last one wins, and null is as if it were not there.
fn code_of(answer: &Map<String, Value>) -> Option<i64> {
    let mut codes = answer
        .iter()
        .filter(|(key, value)| key.eq_ignore_ascii_case("code") && !value.is_null());
    codes.next_back().map_or(Some(0), |(_, value)| value.as_i64())
}

/// Go escapes what could end a script in a web page.
fn as_go_writes(body: &Value) -> String {
    let mut text = String::new();
    for letter in body.to_string().chars() {
        match letter {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_200_with_an_integer_0_or_an_object_without_another_code() {
        let table = [
            (200, "0", "allow"),
            (200, "00", "allow"),
            (200, r#"{"code":0}"#, "allow"),
            (200, r#"{"code":0,"data":{}}"#, "allow"),
            (200, "{}", "allow"),
            (200, r#"{"code":null}"#, "allow"),
            (200, r#"{"server":"x"}"#, "allow"),
            (200, "1", "deny"),
            (200, r#"{"code":100}"#, "deny"),
            (200, r#"{"Code":100}"#, "deny"),
            (200, r#"{"code":"0"}"#, "HookBadAnswer"),
            (200, r#"{"code":0.5}"#, "HookBadAnswer"),
            (200, "", "HookBadAnswer"),
            (200, "0\n", "HookBadAnswer"),
            (200, "[]", "HookBadAnswer"),
            (200, "ok", "HookBadAnswer"),
            (201, "0", "HookBadStatus"),
            (204, "", "HookBadStatus"),
            (500, "0", "HookBadStatus"),
        ];
        for (status, body, expected) in table {
            let verdict = Oryx.judge(HookEvent::Publish, &Answer::of(status, body));
            assert_eq!(verdict.word(), expected, "{status} {body:?}");
        }
    }
}
