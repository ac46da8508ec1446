//! The callback of SRS 7: six actions, keys in the order in which SRS writes them, success by its rule and only by that.
//!
//! | | |
//! |---|---|
//! | success | status 200 or 201, and a body that is exactly `0` or a JSON object whose `code` is the integer 0 |
//! | no | the same with another integer |
//! | anything else | no answer: `HookBadStatus` or `HookBadAnswer` |
//!
//! `User-Agent` starts with SRS's own token, since receivers and the firewalls before them match on it; ours follows it, so
//! that a log tells the two apart.

use bytes::Bytes;
use headgate_control::HookEvent;
use headgate_hub::Protocol;
use serde_json::{Map, Value, json};

use super::{Answer, Speak, Verdict};
use crate::event::{Event, Stream};
use crate::failure::{Cause, Failure};
use crate::identity::Origin;

/// How SRS calls the vhost that nobody named; left out of stream URLs.
const DEFAULT_VHOST: &str = "__defaultVhost__";

/// Today's SRS callback.
#[derive(Clone, Copy, Debug)]
pub struct Srs;

impl Speak for Srs {
    fn event_name(&self, kind: HookEvent) -> &'static str {
        match kind {
            HookEvent::Connect => "on_connect",
            HookEvent::Close => "on_close",
            HookEvent::Publish => "on_publish",
            HookEvent::Unpublish => "on_unpublish",
            HookEvent::Play => "on_play",
            HookEvent::Stop => "on_stop",
        }
    }

    /// Connections are RTMP's: an HTTP player has none that SRS would tell of.
    fn tells(&self, kind: HookEvent, protocol: Protocol) -> bool {
        protocol == Protocol::Rtmp || !matches!(kind, HookEvent::Connect | HookEvent::Close)
    }

    fn user_agent(&self) -> &'static str {
        concat!("SRS/7.0.18(Kai) Headgate/", env!("CARGO_PKG_VERSION"))
    }

    fn body(&self, event: &Event, origin: &Origin) -> (&'static str, Bytes) {
        let mut body = self.head(event, origin);
        body.extend(tail(event, origin));
        ("application/json", Value::Object(body).to_string().into())
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        if !matches!(answer.status, 200 | 201) {
            let message = format!("answered with status {}", answer.status);
            return Verdict::NoAnswer(Failure::new(Cause::BadStatus, message));
        }
        match &answer.body {
            Some(body) => judge_body(answer.status, body),
            None => Verdict::NoAnswer(Failure::new(Cause::BadAnswer, "answered with more than 65536 bytes")),
        }
    }
}

impl Srs {
    /// What every action begins with.
    fn head(self, event: &Event, origin: &Origin) -> Map<String, Value> {
        object(json!({
            "server_id": origin.server_id,
            "service_id": origin.service_id,
            "action": self.event_name(event.kind),
            "client_id": event.client.id,
            "ip": event.client.ip,
            "vhost": &*event.stream.vhost,
            "app": &*event.stream.app,
        }))
    }
}

/// What follows, by action: the order differs between them, as in SRS.
fn tail(event: &Event, origin: &Origin) -> Map<String, Value> {
    let stream = &event.stream;
    let (name, param) = (&*stream.name, &event.param);
    let (tc_url, page_url) = (tc_url(event), &event.client.page_url);
    let (stream_url, stream_id) = (stream_url(stream), origin.stream_id(&stream.vhost, &stream.app, name));
    let traffic = event.traffic.unwrap_or_default();
    object(match event.kind {
        HookEvent::Connect => json!({"stream": name, "param": param, "tcUrl": tc_url, "pageUrl": page_url}),
        HookEvent::Close => json!({"send_bytes": traffic.sent, "recv_bytes": traffic.received}),
        HookEvent::Play => json!({
            "stream": name, "tcUrl": tc_url, "param": param, "pageUrl": page_url,
            "stream_url": stream_url, "stream_id": stream_id,
        }),
        HookEvent::Publish | HookEvent::Unpublish | HookEvent::Stop => json!({
            "tcUrl": tc_url, "stream": name, "param": param, "stream_url": stream_url, "stream_id": stream_id,
        }),
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// RTMP clients send theirs; for the others SRS makes one up.
fn tc_url(event: &Event) -> String {
    match event.client.protocol {
        Protocol::Rtmp => event.client.tc_url.clone(),
        _ => format!("rtmp://{}/{}", event.stream.vhost, event.stream.app),
    }
}

fn stream_url(stream: &Stream) -> String {
    let vhost = if &*stream.vhost == DEFAULT_VHOST {
        ""
    } else {
        &stream.vhost
    };
    format!("{vhost}/{}/{}", stream.app, stream.name)
}

fn judge_body(status: u16, body: &[u8]) -> Verdict {
    if body == b"0" {
        return Verdict::Allow;
    }
    let (code, message) = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(answer)) => (answer.get("code").and_then(Value::as_i64), said(&answer)),
        // A bare `0` with anything around it is no yes, but a bare 1 is a clear no.
        Ok(Value::Number(code)) => (code.as_i64().filter(|code| *code != 0), None),
        _ => (None, None),
    };
    match code {
        Some(0) => Verdict::Allow,
        Some(code) => Verdict::Deny { code, message },
        None => {
            let what = "neither 0 nor a JSON object with an integer code";
            let message = format!("answered {status} with {} bytes that are {what}", body.len());
            Verdict::NoAnswer(Failure::new(Cause::BadAnswer, message))
        }
    }
}

fn said(answer: &Map<String, Value>) -> Option<String> {
    ["msg", "message"]
        .iter()
        .find_map(|key| answer.get(*key))
        .and_then(Value::as_str)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, body: &str) -> &'static str {
        let answer = Answer {
            status,
            body: Some(Bytes::copy_from_slice(body.as_bytes())),
            retry_after: None,
        };
        match Srs.judge(&answer) {
            Verdict::Allow => "allow",
            Verdict::Deny { .. } => "deny",
            Verdict::NoAnswer(failure) => failure.cause.reason(),
        }
    }

    #[test]
    fn success_is_zero_or_an_integer_code_of_zero_with_200_or_201_and_only_that() {
        let table = [
            (200, "0", "allow"),
            (201, "0", "allow"),
            (200, r#"{"code":0}"#, "allow"),
            (201, r#"{"code": 0, "data": {"x": 1}, "msg": "fine"}"#, "allow"),
            (200, " {\"code\":0}\r\n", "allow"),
            (200, "1", "deny"),
            (200, "-3", "deny"),
            (200, "1\n", "deny"),
            (200, r#"{"code":1}"#, "deny"),
            (201, r#"{"code":403,"msg":"no"}"#, "deny"),
            (200, r#""0""#, "HookBadAnswer"),
            (200, "0\n", "HookBadAnswer"),
            (200, " 0", "HookBadAnswer"),
            (200, "00", "HookBadAnswer"),
            (200, "0.0", "HookBadAnswer"),
            (200, "-0", "HookBadAnswer"),
            (200, r#"{"code":"0"}"#, "HookBadAnswer"),
            (200, r#"{"code":0.0}"#, "HookBadAnswer"),
            (200, r#"{"code":null}"#, "HookBadAnswer"),
            (200, r#"{"code":false}"#, "HookBadAnswer"),
            (200, r#"{"Code":0}"#, "HookBadAnswer"),
            (200, r#"{"data":{"code":0}}"#, "HookBadAnswer"),
            (200, "{}", "HookBadAnswer"),
            (200, "[]", "HookBadAnswer"),
            (200, "[0]", "HookBadAnswer"),
            (200, "", "HookBadAnswer"),
            (200, "OK", "HookBadAnswer"),
            (200, r#"{"code":0"#, "HookBadAnswer"),
            (200, r#"{"code":0}{"code":0}"#, "HookBadAnswer"),
            (202, "0", "HookBadStatus"),
            (204, "", "HookBadStatus"),
            (204, "0", "HookBadStatus"),
            (301, "0", "HookBadStatus"),
            (302, r#"{"code":0}"#, "HookBadStatus"),
            (400, "0", "HookBadStatus"),
            (403, r#"{"code":1}"#, "HookBadStatus"),
            (500, "0", "HookBadStatus"),
        ];
        for (status, body, expected) in table {
            assert_eq!(judge(status, body), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn a_no_carries_the_code_and_what_was_said() {
        let answer = Answer {
            status: 200,
            body: Some(r#"{"code":7,"msg":"quota"}"#.into()),
            retry_after: None,
        };
        assert_eq!(
            Srs.judge(&answer),
            Verdict::Deny {
                code: 7,
                message: Some("quota".into())
            }
        );
    }

    #[test]
    fn an_endless_answer_is_a_bad_one() {
        let answer = Answer {
            status: 200,
            body: None,
            retry_after: None,
        };
        assert!(matches!(Srs.judge(&answer), Verdict::NoAnswer(f) if f.cause == Cause::BadAnswer));
    }
}
