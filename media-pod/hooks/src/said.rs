//! What a back end said with its no, made fit to be shown to the client and in a log.

use std::borrow::Cow;

use crate::event::Event;

/// Characters that are kept.
const LENGTH_MAX: usize = 120;
/// Shorter values are no secrets: `1`, `live`.
const SECRET_MIN: usize = 4;

/// The printable start of `said`; nothing when it repeats a value of the client's own query, which may be a token.
pub(crate) fn quotable(said: &str, event: &Event) -> Option<String> {
    let queries = [
        &*event.param,
        event.client.tc_url.split_once('?').map_or("", |(_, query)| query),
    ];
    if queries
        .into_iter()
        .flat_map(values)
        .any(|value| value.len() >= SECRET_MIN && said.contains(&*value))
    {
        return None;
    }
    let text: String = said.chars().filter(|c| !c.is_control()).take(LENGTH_MAX).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The values of a query, as they came and decoded.
fn values(query: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let query = query.trim_start_matches('?');
    let raw = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(_, value)| Cow::Borrowed(value));
    raw.chain(url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_reason_is_quoted_and_a_token_is_not() {
        let event = testing::event(headgate_control::HookEvent::Publish, "alice");
        let event = Event {
            param: "?token=s3cr%20et&x=1".into(),
            ..event
        };
        assert_eq!(
            quotable("quota is used up", &event).as_deref(),
            Some("quota is used up")
        );
        assert_eq!(quotable("error 1", &event).as_deref(), Some("error 1"));
        assert_eq!(quotable("bad token s3cr et", &event), None);
        assert_eq!(quotable("bad token s3cr%20et", &event), None);
        assert_eq!(quotable("a\r\nb\0", &event).as_deref(), Some("ab"));
        assert_eq!(quotable(" \n", &event), None);
        assert_eq!(
            quotable(&"x".repeat(500), &event).map(|text| text.len()),
            Some(LENGTH_MAX)
        );
    }
}
