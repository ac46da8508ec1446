//! The headers that every dialect's requests carry beside its own: the names of Standard Webhooks and what a receiver needs to
//! tell a repeat from news and an old closing from a new session.

use http::header::{CONNECTION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use std::fmt::Write as _;

use super::{Request, Speak};
use crate::event::{Event, Stream};

/// Bytes of a header value; a longer stream name is cut.
const VALUE_MAX: usize = 1024;

/// All headers of one attempt at a request. `attempt` counts from 1.
pub fn headers(dialect: &dyn Speak, event: &Event, request: &Request, attempt: u32, now: Timestamp) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(13);
    map.insert(CONNECTION, HeaderValue::from_static(request.connection));
    map.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
    map.insert(USER_AGENT, HeaderValue::from_static(dialect.user_agent()));
    let own = request.headers.iter().cloned();
    let additive = additive(dialect.event_name(event.kind), event, attempt, now);
    for (name, value) in own.chain(additive) {
        // What no header can hold is left out.
        if let Ok(value) = HeaderValue::from_str(&value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
    map
}

fn additive(event_name: &str, event: &Event, attempt: u32, now: Timestamp) -> [(&'static str, String); 8] {
    [
        ("webhook-id", event.id.to_string()),
        ("webhook-timestamp", now.as_second().to_string()),
        ("x-media-event", event_name.to_owned()),
        ("x-media-stream", stream_value(&event.stream)),
        ("x-media-session", event.session.to_string()),
        ("x-media-seq", event.sequence.to_string()),
        ("x-media-attempt", attempt.to_string()),
        ("traceparent", trace_parent(event, attempt)),
    ]
}

/// W3C Trace Context: all of a session is one trace, each attempt a span of its own.
fn trace_parent(event: &Event, attempt: u32) -> String {
    let trace = if event.session.is_nil() {
        event.id
    } else {
        event.session
    };
    // Half of an id is as good as random, but for the two bits that say which kind of id it is.
    let span = event.id.as_u64_pair().1.wrapping_add(u64::from(attempt)).max(1);
    format!("00-{}-{span:016x}-01", trace.simple())
}

/// `vhost/app/stream`; what no header may hold is percent-encoded.
fn stream_value(stream: &Stream) -> String {
    let mut value = String::new();
    if *stream == Stream::default() {
        return value;
    }
    for (index, part) in [&stream.vhost, &stream.app, &stream.name].into_iter().enumerate() {
        if index > 0 {
            value.push('/');
        }
        for byte in part.bytes() {
            if value.len() >= VALUE_MAX {
                return value;
            }
            if byte.is_ascii_graphic() && byte != b'%' {
                value.push(char::from(byte));
            } else {
                let _ = write!(value, "%{byte:02X}");
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_a_trace_and_an_attempt_a_span() {
        let mut event = crate::testing::event(headgate_control::HookEvent::Publish, "alice");
        (event.session, event.id) = (uuid::Uuid::from_u128(0xabc), uuid::Uuid::from_u128(0xff));
        let first = "00-00000000000000000000000000000abc-0000000000000100-01";
        assert_eq!(trace_parent(&event, 1), first);
        assert_ne!(trace_parent(&event, 2), first);
        event.session = uuid::Uuid::nil();
        assert!(trace_parent(&event, 1).starts_with("00-000000000000000000000000000000ff-"));
        event.id = uuid::Uuid::from_u128(u128::from(u64::MAX) | (1 << 64));
        assert!(
            !trace_parent(&event, 1).contains("-0000000000000000-"),
            "no span is nothing"
        );
    }

    fn stream(name: &str) -> Stream {
        Stream {
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_stream_name_of_any_letters_fits_into_a_header() {
        let value = |name: &str| stream_value(&stream(name));
        assert_eq!(value("alice"), "__defaultVhost__/live/alice");
        assert_eq!(value("a b%\r\nX: y"), "__defaultVhost__/live/a%20b%25%0D%0AX:%20y");
        assert_eq!(value("é"), "__defaultVhost__/live/%C3%A9");
        assert!(value(&"x".repeat(5000)).len() <= VALUE_MAX);
    }
}
