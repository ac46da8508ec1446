//! CloudEvents 1.0 in structured JSON: Headgate's own dialect. `docs/cloudevents.md` describes it, `docs/cloudevents.schema.json` the data of
//! each event.
//!
//! | asked | answer |
//! |---|---|
//! | yes | status 200 or 201, `{"allow": true}` |
//! | no | status 200 or 201, `{"allow": false, "code": 7, "message": "…"}`; or status 401 or 403 |
//! | anything else | no answer: `HookBadStatus` or `HookBadAnswer` |
//!
//! What is told is taken with any 2xx; a question that decides about nobody (`stream_not_found` and the like) too.

mod data;

pub use data::schema;

use headgate_control::{Dialect, EventClass, HookEvent};
use serde_json::{Map, Value};
use std::time::Duration;

use super::reply::{Password, flag};
use super::{Answer, PublishOptions, Reply, Request, Retry, Speak, Verdict, Voice, code};
use crate::event::transport::Schema;
use crate::event::{Details, Event};
use crate::failure::{Cause, Failure};

/// The code of a no that names none.
const FORBIDDEN: i64 = 403;

/// CloudEvents.
#[derive(Clone, Copy, Debug)]
pub struct CloudEvents;

impl Speak for CloudEvents {
    fn dialect(&self) -> Dialect {
        Dialect::CloudEvents
    }

    fn event_name(&self, kind: HookEvent) -> &'static str {
        kind.cloud_event()
    }

    /// A stream begins and ends once, not once for each schema.
    fn tells(&self, event: &Event) -> bool {
        let once = !matches!(event.details, Details::Changed { schema, .. } if schema != Schema::Rtmp);
        self.dialect().has(event.kind) && once
    }

    fn user_agent(&self) -> &'static str {
        concat!("Headgate/", env!("CARGO_PKG_VERSION"))
    }

    fn request(&self, event: &Event, voice: &Voice<'_>) -> Request {
        let origin = voice.origin_of(event);
        let mut body = Map::new();
        let mut put = |key: &str, value: String| body.insert(key.to_owned(), value.into());
        put("specversion", "1.0".to_owned());
        put("id", event.id.to_string());
        put("source", format!("/headgate/{}", origin.server));
        put("type", self.event_name(event.kind).to_owned());
        if !event.kind.is_of_server() {
            let stream = &event.stream;
            put("subject", format!("{}/{}/{}", stream.vhost, stream.app, stream.name));
        }
        put("time", event.time.to_string());
        put("datacontenttype", "application/json".to_owned());
        put("sequence", event.sequence.to_string());
        put("pod", origin.pod.clone());
        body.insert("data".to_owned(), data::of(event));
        Request {
            content_type: "application/cloudevents+json; charset=utf-8",
            ..Request::json(Value::Object(body).to_string())
        }
    }

    fn judge(&self, kind: HookEvent, answer: &Answer) -> Verdict {
        match (kind.class(), answer.status) {
            (EventClass::Admission, 200 | 201) => judge_body(answer),
            (EventClass::Admission, 401 | 403) => Verdict::Deny {
                code: answer.status.into(),
                message: code::object(answer).as_ref().and_then(code::said),
            },
            (EventClass::Query | EventClass::Notification | EventClass::Heartbeat, 200..=299) => Verdict::Allow,
            (_, status) => {
                let message = format!("answered with status {status}");
                Verdict::NoAnswer(Failure::new(Cause::BadStatus, message))
            }
        }
    }

    fn is_parallel(&self) -> bool {
        true
    }

    fn takes_back(&self) -> bool {
        true
    }

    /// Once and at once, if the back end cannot have begun to answer.
    fn retry(&self) -> Retry {
        Retry::Unheard
    }

    fn reply(&self, kind: HookEvent, answer: &Answer) -> Reply {
        let Some(object) = code::object(answer) else {
            return Reply {
                max_age: answer.max_age,
                ..Reply::default()
            };
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_query = kind.class() == EventClass::Query;
        Reply {
            options: if kind == HookEvent::Publish {
                options(&object)
            } else {
                PublishOptions::default()
            },
            close: is_query && object.get("close").and_then(flag).unwrap_or(false),
            ttl: object
                .get("ttlSeconds")
                .and_then(Value::as_u64)
                .map(Duration::from_secs),
            max_age: answer.max_age,
            path: text("path").filter(|path| !path.is_empty()),
            realm: (kind == HookEvent::RtspRealm).then(|| text("realm").unwrap_or_default()),
            password: (kind == HookEvent::RtspAuth)
                .then(|| text("password"))
                .flatten()
                .map(|text| Password {
                    text,
                    is_hash: object.get("passwordIsHash").and_then(flag).unwrap_or(false),
                }),
            forward: (kind == HookEvent::Forward).then(|| urls(&object)).flatten(),
        }
    }
}

fn judge_body(answer: &Answer) -> Verdict {
    let object = code::object(answer).unwrap_or_default();
    match object.get("allow").and_then(Value::as_bool) {
        Some(true) => Verdict::Allow,
        Some(false) => Verdict::Deny {
            code: object
                .get("code")
                .and_then(Value::as_i64)
                .filter(|code| *code != 0)
                .unwrap_or(FORBIDDEN),
            message: code::said(&object),
        },
        None => code::verdict(None, None, answer, "not a JSON object in which allow is true or false"),
    }
}

fn options(answer: &Map<String, Value>) -> PublishOptions {
    let options = answer.get("options").and_then(Value::as_object);
    options.map(PublishOptions::read).unwrap_or_default()
}

fn urls(answer: &Map<String, Value>) -> Option<Vec<String>> {
    let urls = answer.get("urls")?.as_array()?;
    urls.iter().map(|url| url.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_must_say_allow() {
        let table = [
            (200, r#"{"allow":true}"#, "allow"),
            (201, r#"{"allow":true,"ttlSeconds":60}"#, "allow"),
            (200, r#"{"allow":false}"#, "deny"),
            (401, "", "deny"),
            (403, r#"{"message":"no"}"#, "deny"),
            (200, r#"{"allow":"true"}"#, "HookBadAnswer"),
            (200, r#"{"code":0}"#, "HookBadAnswer"),
            (200, "0", "HookBadAnswer"),
            (200, "", "HookBadAnswer"),
            (202, r#"{"allow":true}"#, "HookBadStatus"),
            (204, "", "HookBadStatus"),
            (500, r#"{"allow":true}"#, "HookBadStatus"),
        ];
        for (status, body, expected) in table {
            let verdict = CloudEvents.judge(HookEvent::Publish, &Answer::of(status, body));
            assert_eq!(verdict.word(), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn who_is_told_needs_only_take_it() {
        for (status, expected) in [
            (200, "allow"),
            (202, "allow"),
            (204, "allow"),
            (302, "HookBadStatus"),
            (503, "HookBadStatus"),
        ] {
            let verdict = CloudEvents.judge(HookEvent::Unpublish, &Answer::of(status, "whatever"));
            assert_eq!(verdict.word(), expected, "{status}");
        }
        let verdict = CloudEvents.judge(HookEvent::StreamNotFound, &Answer::of(204, ""));
        assert_eq!(verdict, Verdict::Allow);
    }

    #[test]
    fn a_no_has_a_code_and_what_was_said() {
        let of = |status, body| CloudEvents.judge(HookEvent::Play, &Answer::of(status, body));
        let no = |code, message: Option<&str>| Verdict::Deny {
            code,
            message: message.map(str::to_owned),
        };
        assert_eq!(
            of(200, r#"{"allow":false,"code":7,"message":"quota"}"#),
            no(7, Some("quota"))
        );
        assert_eq!(of(200, r#"{"allow":false,"code":0}"#), no(403, None));
        assert_eq!(of(401, r#"{"message":"who?"}"#), no(401, Some("who?")));
    }

    #[test]
    fn an_answer_has_options_and_a_time_for_which_it_holds() {
        let body = r#"{"allow":true,"ttlSeconds":60,"options":{"enable_mp4":true,"auto_close":true}}"#;
        let reply = CloudEvents.reply(HookEvent::Publish, &Answer::of(200, body));
        assert_eq!(reply.ttl, Some(Duration::from_mins(1)));
        assert_eq!(reply.options.given(), ["auto_close", "enable_mp4"]);
        let reply = CloudEvents.reply(HookEvent::StreamNoneReader, &Answer::of(200, r#"{"close":true}"#));
        assert!(reply.close);
    }
}
