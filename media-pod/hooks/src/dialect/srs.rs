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

use headgate_control::{Dialect, HookEvent};
use serde_json::{Map, Value, json};

use super::{Answer, Reply, Request, Speak, Verdict, Voice, code, decimal, has_connection};
use crate::event::transport::{Carrier, Schema};
use crate::event::{Details, Event, HlsSegment, Stream};
use crate::identity::Origin;

/// How SRS calls the vhost that nobody named; left out of stream URLs.
const DEFAULT_VHOST: &str = "__defaultVhost__";

/// Today's SRS callback.
#[derive(Clone, Copy, Debug)]
pub struct Srs;

impl Speak for Srs {
    fn dialect(&self) -> Dialect {
        Dialect::Srs
    }

    /// An HTTP player has no connection that SRS would tell of.
    fn tells(&self, event: &Event) -> bool {
        let of_connection = matches!(event.kind, HookEvent::Connect | HookEvent::Close);
        self.dialect().has(event.kind) && (!of_connection || has_connection(event))
    }

    fn user_agent(&self) -> &'static str {
        concat!("SRS/7.0.18(Kai) Headgate/", env!("CARGO_PKG_VERSION"))
    }

    fn request(&self, event: &Event, voice: &Voice<'_>) -> Request {
        let origin = voice.origin_of(event);
        let mut body = head(event, origin);
        body.extend(tail(event, origin));
        Request::json(Value::Object(body).to_string())
    }

    fn judge(&self, kind: HookEvent, answer: &Answer) -> Verdict {
        match code::body(answer, &[200, 201]) {
            Ok(body) => judge_body(kind, body, answer),
            Err(verdict) => verdict,
        }
    }

    fn reply(&self, kind: HookEvent, answer: &Answer) -> Reply {
        let forward = || urls(&code::object(answer)?);
        Reply {
            forward: (kind == HookEvent::Forward).then(forward).flatten(),
            ..Reply::default()
        }
    }
}

/// What every action begins with; `on_forward` names itself first.
fn head(event: &Event, origin: &Origin) -> Map<String, Value> {
    let action = event.kind.callback();
    let mut head = object(if event.kind == HookEvent::Forward {
        json!({"action": action, "server_id": origin.server_id, "service_id": origin.service_id})
    } else {
        json!({"server_id": origin.server_id, "service_id": origin.service_id, "action": action})
    });
    head.extend(object(json!({
        "client_id": event.client.id,
        "ip": event.client.ip,
        "vhost": &*event.stream.vhost,
        "app": &*event.stream.app,
    })));
    head
}

/// What follows, by action: the order differs between them, as in SRS.
fn tail(event: &Event, origin: &Origin) -> Map<String, Value> {
    let (name, param) = (stream_name(event), &event.param);
    let (tc_url, page_url) = (tc_url(event), &event.client.page_url);
    let traffic = event.traffic.unwrap_or_default();
    let mut tail = object(match event.kind {
        HookEvent::Connect => json!({"stream": name, "param": param, "tcUrl": tc_url, "pageUrl": page_url}),
        HookEvent::Close => json!({"send_bytes": traffic.sent, "recv_bytes": traffic.received}),
        HookEvent::Play => json!({"stream": name, "tcUrl": tc_url, "param": param, "pageUrl": page_url}),
        _ => json!({"tcUrl": tc_url, "stream": name, "param": param}),
    });
    tail.extend(object(match &event.details {
        Details::Dvr { cwd, file } => json!({"cwd": cwd, "file": file}),
        Details::Hls(segment) => hls(segment),
        _ => Value::Null,
    }));
    if !matches!(event.kind, HookEvent::Connect | HookEvent::Close | HookEvent::Forward) {
        tail.extend(identity(&event.stream, origin));
    }
    tail
}

fn hls(segment: &HlsSegment) -> Value {
    json!({
        "duration": decimal::<f64>(segment.milliseconds), "cwd": segment.cwd, "file": segment.file, "url": segment.url,
        "m3u8": segment.m3u8, "m3u8_url": segment.m3u8_url, "seq_no": segment.seq_no,
    })
}

fn identity(stream: &Stream, origin: &Origin) -> Map<String, Value> {
    let stream_id = origin.stream_id(&stream.vhost, &stream.app, &stream.name);
    object(json!({"stream_url": stream_url(stream), "stream_id": stream_id}))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A player of HLS asks for the playlist, and that is the name that SRS tells.
fn stream_name(event: &Event) -> String {
    let of_player = matches!(event.kind, HookEvent::Play | HookEvent::Stop);
    let of_hls = matches!(event.client.schema, Schema::Hls | Schema::HlsFmp4);
    let ending = if of_player && of_hls { ".m3u8" } else { "" };
    format!("{}{ending}", event.stream.name)
}

/// RTMP clients send theirs; for a stream in an HTTP answer SRS makes one up.
fn tc_url(event: &Event) -> String {
    match event.client.carrier {
        Carrier::Http | Carrier::Https | Carrier::Ws | Carrier::Wss => {
            format!("rtmp://{}/{}", event.stream.vhost, event.stream.app)
        }
        _ => event.client.tc_url.to_string(),
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

/// A yes to `on_forward` must say where to.
fn judge_body(kind: HookEvent, body: &[u8], answer: &Answer) -> Verdict {
    let odd = "neither 0 nor a JSON object with an integer code";
    if kind == HookEvent::Forward {
        let object = code::object(answer).unwrap_or_default();
        let number = object.get("code").and_then(Value::as_i64);
        let number = number.filter(|number| *number != 0 || urls(&object).is_some());
        return code::verdict(
            number,
            code::said(&object),
            answer,
            "not a JSON object with code and data.urls",
        );
    }
    if body == b"0" {
        return Verdict::Allow;
    }
    let (number, message) = match serde_json::from_slice::<Value>(code::unmarked(body)) {
        Ok(Value::Object(answer)) => (answer.get("code").and_then(Value::as_i64), code::said(&answer)),
        // A bare `0` with anything around it is no yes, but a bare 1 is a clear no.
        Ok(Value::Number(number)) => (number.as_i64().filter(|number| *number != 0), None),
        _ => (None, None),
    };
    code::verdict(number, message, answer, odd)
}

/// Where a stream is to be pushed on to.
fn urls(answer: &Map<String, Value>) -> Option<Vec<String>> {
    let urls = answer.get("data")?.get("urls")?.as_array()?;
    urls.iter().map(|url| url.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, body: &str) -> &'static str {
        Srs.judge(HookEvent::Publish, &Answer::of(status, body)).word()
    }

    #[test]
    fn success_is_zero_or_an_integer_code_of_zero_with_200_or_201_and_only_that() {
        let table = [
            (200, "0", "allow"),
            (201, "0", "allow"),
            (200, r#"{"code":0}"#, "allow"),
            (201, r#"{"code": 0, "data": {"x": 1}, "msg": "fine"}"#, "allow"),
            (200, " {\"code\":0}\r\n", "allow"),
            (200, "\u{feff}{\"code\":0}", "allow"),
            (200, "\u{feff}0", "HookBadAnswer"),
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
        let answer = Answer::of(200, r#"{"code":7,"msg":"quota"}"#);
        let message = Some("quota".into());
        assert_eq!(
            Srs.judge(HookEvent::Publish, &answer),
            Verdict::Deny { code: 7, message }
        );
    }

    #[test]
    fn an_endless_answer_is_a_bad_one() {
        let answer = Answer {
            body: None,
            ..Answer::of(200, "")
        };
        assert_eq!(Srs.judge(HookEvent::Publish, &answer).word(), "HookBadAnswer");
    }

    #[test]
    fn a_forward_must_say_where_to() {
        let table = [
            (r#"{"code":0,"data":{"urls":["rtmp://a/b/c"]}}"#, "allow", Some(1)),
            (r#"{"code":0,"data":{"urls":[]}}"#, "allow", Some(0)),
            (r#"{"code":0,"data":{}}"#, "HookBadAnswer", None),
            (r#"{"code":0}"#, "HookBadAnswer", None),
            (r#"{"code":0,"data":{"urls":[1]}}"#, "HookBadAnswer", None),
            ("0", "HookBadAnswer", None),
            (r#"{"code":1}"#, "deny", None),
        ];
        for (body, verdict, count) in table {
            let answer = Answer::of(200, body);
            assert_eq!(Srs.judge(HookEvent::Forward, &answer).word(), verdict, "{body}");
            let urls = Srs.reply(HookEvent::Forward, &answer).forward;
            assert_eq!(urls.map(|urls| urls.len()), count, "{body}");
        }
    }
}
