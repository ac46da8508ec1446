//! How a back end is told, how each side proves itself, and which dead letters are sent once more.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// How notifications reach a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryPolicy {
    /// In which order.
    pub ordering: Ordering,
    /// What they survive.
    pub durability: Durability,
    /// How long one is tried before it is a dead letter, in seconds.
    pub max_age_seconds: u32,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            ordering: Ordering::PerStream,
            durability: Durability::Process,
            max_age_seconds: 86_400,
        }
    }
}

/// The order of notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ordering {
    /// Those of one stream one after the other, repeats included; streams side by side.
    #[default]
    PerStream,
    /// As they come, side by side: one that is not taken holds up no other.
    None,
}

/// What a notification survives that is not delivered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// The end of the process, however it ends: it is written.
    #[default]
    Process,
    /// That of the node too: it is written and synced.
    Node,
    /// Nothing: it is in memory only.
    None,
}

/// How a pod and a back end prove themselves to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookCredentials {
    /// Keys of 24 to 64 bytes in base64, that each sign every request as Standard Webhooks has it: the current one, and the one before it.
    #[serde(default)]
    pub signing: Vec<Hidden>,
    /// Headers of each request. Names are valid and none of those that requests have anyway.
    #[serde(default)]
    pub headers: Vec<HookHeader>,
    /// Certificates, in PEM, one of which must have signed that of the back end; those of the image when absent.
    #[serde(default)]
    pub authorities: Option<String>,
    /// Certificate chain and private key of the pod, in PEM.
    #[serde(default)]
    pub identity: Option<Hidden>,
}

impl HookCredentials {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A header of each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Hidden,
}

/// A text that is shown nowhere: a key, a token, a password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// The text, for those who need it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Hidden {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Without the text.
impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// A wish to send dead letters once more. A pod follows each wish once; another text is another wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// As it was written.
    pub wish: String,
    /// Which.
    pub letters: Letters,
}

/// Which dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Letters {
    /// Those of these events.
    Ids(Vec<Uuid>),
    /// Those whose events happened in this time, its ends included.
    Between(Timestamp, Timestamp),
}

/// Why a text is no wish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} says no dead letters: write `all`, FROM/TO as two times of RFC 3339, or ids of events with commas between"
)]
pub struct BadReplay(String);

impl Replay {
    /// Ids in one wish.
    pub const IDS_MAX: usize = 1000;
    /// Bytes of one wish.
    pub const BYTES_MAX: usize = 40_000;

    /// Reads `all`, `FROM/TO` or `ID,ID,…`, each with a word of one's own and a colon before it where the same is to be said again: `again: all`.
    pub fn parse(wish: &str) -> Result<Self, BadReplay> {
        let bad = || BadReplay(wish.chars().take(64).collect());
        let text = match wish.split_once(": ") {
            Some((_, text)) => text.trim(),
            None => wish.trim(),
        };
        if wish.len() > Self::BYTES_MAX {
            return Err(bad());
        }
        let letters = match text.split_once('/') {
            _ if text == "all" => Letters::Between(Timestamp::MIN, Timestamp::MAX),
            Some((from, to)) => {
                let time = |text: &str| text.trim().parse::<Timestamp>().map_err(|_| bad());
                Letters::Between(time(from)?, time(to)?)
            }
            None => {
                let ids: Result<Vec<Uuid>, _> = text.split(',').map(|id| id.trim().parse()).collect();
                Letters::Ids(ids.ok().filter(|ids| ids.len() <= Self::IDS_MAX).ok_or_else(bad)?)
            }
        };
        Ok(Self {
            wish: wish.to_owned(),
            letters,
        })
    }
}

impl Letters {
    /// Whether this event is among them.
    pub fn name(&self, id: Uuid, time: Timestamp) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&id),
            Self::Between(from, to) => (*from..=*to).contains(&time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_names_all_or_a_time_or_events() {
        let id: Uuid = "0190163d-8694-739b-aea5-966c26f8ad90".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let letters = |wish: &str| Replay::parse(wish).unwrap().letters;
        assert!(letters("all").name(id, Timestamp::UNIX_EPOCH));
        assert!(letters("second time: all").name(id, Timestamp::UNIX_EPOCH));
        let hour = letters("2026-11-28T10:00:00Z/2026-11-28T11:00:00+00:00");
        assert!(hour.name(id, at("2026-11-28T10:00:00Z")) && hour.name(id, at("2026-11-28T11:00:00Z")));
        assert!(!hour.name(id, at("2026-11-28T11:00:01Z")));
        let one = letters(&format!("{id}, {}", Uuid::nil()));
        assert!(one.name(id, Timestamp::UNIX_EPOCH) && !one.name(Uuid::max(), Timestamp::UNIX_EPOCH));
        for bad in ["", "yesterday", "2026-11-28/", "x/y", "1,2"] {
            assert!(Replay::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_hidden_shows_itself_nowhere() {
        assert_eq!(format!("{:?}", Hidden::from("s3cret")), "Hidden");
        assert_eq!(serde_json::to_string(&Hidden::from("s3cret")).unwrap(), "\"s3cret\"");
    }
}
