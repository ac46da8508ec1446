//! [`HookEndpoint`]: a back end, what it is asked and told, and what holds while it is silent.

use crate::{DeliveryPolicy, Dialect, HookCredentials, HookEvent, Replay};
use serde::{Deserialize, Serialize};
use url::Url;

/// What an admission does when no valid answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// Refuse.
    #[default]
    Fail,
    /// Let in, and count it.
    Ignore,
    /// Do as the last valid answer to the same question said, while that is not too old; else refuse.
    CachedOrFail,
    /// The same; else let in, and count it.
    CachedOrIgnore,
}

impl FailurePolicy {
    /// Whether the last answer stands in for one that does not come.
    pub fn is_cached(self) -> bool {
        matches!(self, Self::CachedOrFail | Self::CachedOrIgnore)
    }

    /// Whether it lets in where nothing is known.
    pub fn lets_in(self) -> bool {
        matches!(self, Self::Ignore | Self::CachedOrIgnore)
    }
}

/// How long decisions are kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachePolicy {
    /// A yes whose answer does not say for how long. `None` is the default of the kind of session: HLS 600, others 0.
    #[serde(default)]
    pub allow_seconds: Option<u32>,
    /// A no whose answer does not say for how long. `None` is the default of the kind of session: HLS and HTTP 2, others 0.
    #[serde(default)]
    pub deny_seconds: Option<u32>,
    /// How long behind that a decision may still stand in for an answer that does not come ([`FailurePolicy::is_cached`]).
    pub stale_seconds: u32,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            allow_seconds: None,
            deny_seconds: None,
            stale_seconds: 300,
        }
    }
}

/// One back end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookEndpoint {
    /// Name of the HookEndpoint object.
    pub name: String,
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Asked in this order. `{event}` stands for the dialect's name of the event and is kept percent-encoded or not as it came.
    pub urls: Vec<String>,
    /// The events it takes.
    pub events: Vec<HookEvent>,
    /// The streams it takes them for; empty lists are any.
    #[serde(default)]
    pub matches: HookMatch,
    /// Bound on one admission, all URLs together, in milliseconds.
    pub timeout_milliseconds: u32,
    /// What an admission without a valid answer comes to.
    pub failure_policy: FailurePolicy,
    /// How often it is asked again about publishers and players that are in, in seconds; 0 is never.
    #[serde(default)]
    pub reask_seconds: u32,
    /// How long its decisions are kept.
    #[serde(default)]
    pub cache: CachePolicy,
    /// What each request says of itself, in dialects that have a place for it (Oryx).
    #[serde(default)]
    pub opaque: String,
    /// How it is told.
    #[serde(default)]
    pub delivery: DeliveryPolicy,
    /// How each side proves itself to the other.
    #[serde(default, skip_serializing_if = "HookCredentials::is_empty")]
    pub credentials: HookCredentials,
    /// Why it must not be called, such as a Secret that is not there: then what is asked has no answer, and what is told waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<String>,
    /// Which dead letters are to be sent once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// Globs that say which streams an endpoint is about; an empty list is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookMatch {
    /// Virtual hosts.
    #[serde(default)]
    pub vhosts: Vec<String>,
    /// Apps.
    #[serde(default)]
    pub apps: Vec<String>,
    /// Stream names.
    #[serde(default)]
    pub streams: Vec<String>,
}

impl HookEndpoint {
    /// The URL to call for an event, with `{event}` filled in. `None` when it is no URL.
    pub fn url(&self, template: &str, event: &str) -> Option<Url> {
        Url::parse(&template.replace("{event}", event)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_stands_where_the_template_says() {
        let url = |t: &str| HookEndpoint::url(&endpoint(), t, "on_publish").map(String::from);
        assert_eq!(
            url("http://b:8085/hook/{event}").as_deref(),
            Some("http://b:8085/hook/on_publish")
        );
        assert_eq!(url("http://b:8085/all").as_deref(), Some("http://b:8085/all"));
        assert_eq!(url("not a url"), None);
    }

    fn endpoint() -> HookEndpoint {
        HookEndpoint {
            name: "backend".into(),
            dialect: Dialect::Srs,
            urls: vec![],
            events: vec![HookEvent::Publish],
            matches: HookMatch::default(),
            timeout_milliseconds: 3000,
            failure_policy: FailurePolicy::Fail,
            reask_seconds: 0,
            cache: CachePolicy::default(),
            opaque: String::new(),
            delivery: DeliveryPolicy::default(),
            credentials: HookCredentials::default(),
            unresolved: None,
            replay: None,
        }
    }
}
