//! ZLMediaKit's web hooks: keys sorted, `mediaServerId` and `hook_index` in every body, the vhost also in a header.
//!
//! | | |
//! |---|---|
//! | success | status 200 exactly, and a JSON object whose `code` is a whole number, 0; of `on_http_access` also an empty `err`. As for its JSON library a mark of UTF-8 may stand before it, and anything behind |
//! | no | another integer; of `on_http_access` an `err` that says something |
//! | anything else | no answer: `HookBadStatus` or `HookBadAnswer`; a bare `0` too, on which ZLMediaKit itself hangs |

mod body;
mod styled;

use headgate_control::{Dialect, HookEvent};
use serde_json::{Map, Value};
use std::time::Duration;

use super::reply::{Password, flag};
use super::{Answer, PublishOptions, Reply, Request, Retry, Speak, Verdict, Voice, code};
use crate::event::Event;

/// As `hook.retry_delay`.
const RETRY_DELAY: Duration = Duration::from_secs(3);

/// The no of an `on_http_access` that says why and has no code of its own.
const NO_ACCESS: i64 = 401;

/// ZLMediaKit's web hooks.
#[derive(Clone, Copy, Debug)]
pub struct ZLMediaKit;

impl Speak for ZLMediaKit {
    fn dialect(&self) -> Dialect {
        Dialect::ZLMediaKit
    }

    fn user_agent(&self) -> &'static str {
        concat!("ZLMediaKit(Headgate/", env!("CARGO_PKG_VERSION"), ")")
    }

    fn request(&self, event: &Event, voice: &Voice<'_>) -> Request {
        let body = body::body(event, voice);
        let mut headers = vec![("accept-language", "zh-CN".to_owned())];
        if let Some(vhost) = body.get("vhost").and_then(Value::as_str) {
            headers.push(("x-vhost", vhost.to_owned()));
        }
        Request {
            connection: "keep-alive",
            headers,
            ..Request::json(styled::styled(&Value::Object(body)))
        }
    }

    fn judge(&self, kind: HookEvent, answer: &Answer) -> Verdict {
        if let Err(verdict) = code::body(answer, &[200]) {
            return verdict;
        }
        let object = code::first_object(answer).unwrap_or_default();
        let number = object.get("code").and_then(code::whole_number);
        let err = object.get("err").and_then(Value::as_str).unwrap_or_default();
        if kind == HookEvent::HttpAccess && number == Some(0) && !err.is_empty() {
            return Verdict::Deny {
                code: NO_ACCESS,
                message: Some(err.to_owned()),
            };
        }
        code::verdict(
            number,
            code::said(&object),
            answer,
            "not a JSON object with an integer code",
        )
    }

    /// As ZLMediaKit, which says nothing where a cookie or a query is known.
    fn counts_sessions(&self) -> bool {
        false
    }

    /// Once, whatever came that was no answer; a code that is not 0 is one.
    fn retry(&self) -> Retry {
        Retry::Once(RETRY_DELAY)
    }

    fn reply(&self, kind: HookEvent, answer: &Answer) -> Reply {
        let is_yes = |object: &Map<String, Value>| object.get("code").and_then(code::whole_number) == Some(0);
        let Some(object) = code::first_object(answer).filter(is_yes) else {
            return Reply::default();
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        match kind {
            HookEvent::Publish => Reply {
                options: PublishOptions::read(&object),
                ..Reply::default()
            },
            HookEvent::StreamNoneReader | HookEvent::StreamNotFound => Reply {
                close: object.get("close").and_then(flag).unwrap_or(false),
                ..Reply::default()
            },
            HookEvent::HttpAccess => Reply {
                ttl: Some(seconds(&object)),
                path: text("path").filter(|path| !path.is_empty()),
                ..Reply::default()
            },
            HookEvent::RtspRealm => Reply {
                realm: Some(text("realm").unwrap_or_default()),
                ..Reply::default()
            },
            HookEvent::RtspAuth => Reply {
                password: Some(Password {
                    text: text("passwd").unwrap_or_default(),
                    is_hash: object.get("encrypted").and_then(flag).unwrap_or(false),
                }),
                ..Reply::default()
            },
            _ => Reply::default(),
        }
    }
}

/// `second`; 0 is not at all, and so is none.
fn seconds(answer: &Map<String, Value>) -> Duration {
    let seconds = answer.get("second").and_then(code::whole_number);
    Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_200_and_an_integer_code_of_zero_and_only_that() {
        let table = [
            (200, r#"{"code":0}"#, "allow"),
            (200, r#"{"code":0,"msg":"success","enable_hls":true}"#, "allow"),
            (200, r#"{"code":-1,"msg":"no"}"#, "deny"),
            (200, r#"{"code":401}"#, "deny"),
            (200, " {\"code\":0}\r\n", "allow"),
            (200, "\u{feff}{\"code\":0}", "allow"),
            (200, "{\"code\":0}\n<!-- 3 ms -->", "allow"),
            (200, r#"{"code":0.0}"#, "allow"),
            (200, r#"{"code":-1.0}"#, "deny"),
            (200, r#"{"code":0.5}"#, "HookBadAnswer"),
            (200, r#"{"code":1e300}"#, "HookBadAnswer"),
            (200, r#"{"code":[0]}"#, "HookBadAnswer"),
            (200, r#"{"Code":0}"#, "HookBadAnswer"),
            (200, r#"{"code":0"#, "HookBadAnswer"),
            (200, r#"[{"code":0}]"#, "HookBadAnswer"),
            (200, "null", "HookBadAnswer"),
            (200, "0", "HookBadAnswer"),
            (200, "{}", "HookBadAnswer"),
            (200, r#"{"code":"0"}"#, "HookBadAnswer"),
            (200, r#"{"code":null}"#, "HookBadAnswer"),
            (200, r#"{"code":true}"#, "HookBadAnswer"),
            (200, "", "HookBadAnswer"),
            (200, "[]", "HookBadAnswer"),
            (201, r#"{"code":0}"#, "HookBadStatus"),
            (204, "", "HookBadStatus"),
            (302, r#"{"code":0}"#, "HookBadStatus"),
            (500, r#"{"code":0}"#, "HookBadStatus"),
        ];
        for (status, body, expected) in table {
            let verdict = ZLMediaKit.judge(HookEvent::Publish, &Answer::of(status, body));
            assert_eq!(verdict.word(), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn an_access_that_is_answered_with_a_reason_is_refused_for_so_long() {
        let answer = Answer::of(200, r#"{"code":0,"err":"pay first","path":"/live","second":600}"#);
        let verdict = ZLMediaKit.judge(HookEvent::HttpAccess, &answer);
        let message = Some("pay first".into());
        assert_eq!(verdict, Verdict::Deny { code: 401, message });
        let reply = ZLMediaKit.reply(HookEvent::HttpAccess, &answer);
        let kept = (reply.ttl, reply.path.as_deref());
        assert_eq!(kept, (Some(Duration::from_mins(10)), Some("/live")));
        let answer = Answer::of(200, r#"{"code":0,"err":"","path":"","second":0}"#);
        assert_eq!(ZLMediaKit.judge(HookEvent::HttpAccess, &answer), Verdict::Allow);
        let not_kept = Reply {
            ttl: Some(Duration::ZERO),
            ..Reply::default()
        };
        assert_eq!(ZLMediaKit.reply(HookEvent::HttpAccess, &answer), not_kept);
    }

    #[test]
    fn close_needs_a_yes() {
        let close = |kind, body: &str| ZLMediaKit.reply(kind, &Answer::of(200, body)).close;
        for kind in [HookEvent::StreamNoneReader, HookEvent::StreamNotFound] {
            assert!(close(kind, r#"{"code":0,"close":true}"#));
            assert!(!close(kind, r#"{"code":0,"close":false}"#));
            assert!(!close(kind, r#"{"code":0}"#));
            assert!(!close(kind, r#"{"code":-1,"close":true}"#));
            assert!(!close(kind, "0"));
        }
        assert!(!close(HookEvent::Play, r#"{"code":0,"close":true}"#));
    }

    #[test]
    fn rtsp_gets_its_realm_and_its_password() {
        let realm = |body: &str| ZLMediaKit.reply(HookEvent::RtspRealm, &Answer::of(200, body)).realm;
        assert_eq!(realm(r#"{"code":0,"realm":"zlm"}"#).as_deref(), Some("zlm"));
        assert_eq!(realm(r#"{"code":0}"#).as_deref(), Some(""));
        let answer = Answer::of(200, r#"{"code":0,"encrypted":true,"passwd":"0123"}"#);
        let password = ZLMediaKit.reply(HookEvent::RtspAuth, &answer).password;
        let (text, is_hash) = password.map(|p| (p.text, p.is_hash)).unwrap_or_default();
        assert_eq!((text.as_str(), is_hash), ("0123", true));
    }
}
