//! The callback of SRS 1: an integer for the client, just the fields of then, and the body `0` for a yes.
//!
//! | | |
//! |---|---|
//! | success | a body that is exactly the byte `0`; the status is not looked at |
//! | no | a body that is another integer, or a JSON object with a `code` that is not 0 |
//! | anything else | no answer: `HookBadStatus` when the status is no 2xx, else `HookBadAnswer` |
//!
//! SRS 1 wrote JSON without escapes, so that a quote in a name broke it; here it is always JSON.

use headgate_control::{Dialect, HookEvent};
use serde_json::{Map, Value, json};

use super::{Answer, Request, Speak, Verdict, Voice, code, has_connection};
use crate::event::Event;
use crate::failure::{Cause, Failure};
use crate::identity::client_number;

/// The original callback.
#[derive(Clone, Copy, Debug)]
pub struct SrsV1;

impl Speak for SrsV1 {
    fn dialect(&self) -> Dialect {
        Dialect::SrsV1
    }

    fn tells(&self, event: &Event) -> bool {
        let of_connection = matches!(event.kind, HookEvent::Connect | HookEvent::Close);
        self.dialect().has(event.kind) && (!of_connection || has_connection(event))
    }

    fn user_agent(&self) -> &'static str {
        concat!("srs(simple rtmp server)0.9.2 Headgate/", env!("CARGO_PKG_VERSION"))
    }

    fn request(&self, event: &Event, _: &Voice<'_>) -> Request {
        let stream = &event.stream;
        let mut body = Map::new();
        body.insert("action".into(), self.event_name(event.kind).into());
        body.insert("client_id".into(), client_number(&event.client.id).into());
        body.insert("ip".into(), event.client.ip.to_string().into());
        body.insert("vhost".into(), (*stream.vhost).into());
        body.insert("app".into(), (*stream.app).into());
        match event.kind {
            HookEvent::Connect => {
                body.insert("tcUrl".into(), (*event.client.tc_url).into());
                body.insert("pageUrl".into(), (*event.client.page_url).into());
            }
            HookEvent::Close => {}
            _ => {
                body.insert("stream".into(), json!(&*stream.name));
            }
        }
        Request::json(Value::Object(body).to_string())
    }

    fn judge(&self, _: HookEvent, answer: &Answer) -> Verdict {
        let body = match code::whole(answer) {
            Ok(body) => body,
            Err(verdict) => return verdict,
        };
        if body == b"0" {
            return Verdict::Allow;
        }
        if !(200..300).contains(&answer.status) {
            let message = format!("answered with status {}", answer.status);
            return Verdict::NoAnswer(Failure::new(Cause::BadStatus, message));
        }
        let (number, message) = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Number(number)) => (number.as_i64(), None),
            Ok(Value::Object(answer)) => (answer.get("code").and_then(Value::as_i64), code::said(&answer)),
            _ => (None, None),
        };
        code::verdict(number.filter(|number| *number != 0), message, answer, "not the byte 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_the_body_0_and_only_that() {
        let table = [
            (200, "0", "allow"),
            (500, "0", "allow"),
            (200, "1", "deny"),
            (200, "403", "deny"),
            (200, r#"{"code":1}"#, "deny"),
            (200, r#"{"code":0}"#, "HookBadAnswer"),
            (200, "0\n", "HookBadAnswer"),
            (200, "\"0\"", "HookBadAnswer"),
            (200, "", "HookBadAnswer"),
            (200, "OK", "HookBadAnswer"),
            (404, "1", "HookBadStatus"),
            (500, "", "HookBadStatus"),
        ];
        for (status, body, expected) in table {
            let verdict = SrsV1.judge(HookEvent::Publish, &Answer::of(status, body));
            assert_eq!(verdict.word(), expected, "{status} {body:?}");
        }
    }
}
